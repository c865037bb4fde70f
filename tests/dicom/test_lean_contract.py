"""What `lean` leans on in pynetdicom beyond its documentation. A new version that moves it fails here first, and falls back."""

from __future__ import annotations

import inspect

import pytest
from pynetdicom import acse, association, dul, fsm
from pynetdicom.association import Association

from gateway.dicom import lean
from tests.dicom import wire
from tests.dicom.serving import serving


def test_it_is_available_here() -> None:
    assert lean.available()


def test_it_is_not_where_the_loop_is_called_by_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Association, "run_reactor", lambda self: self._serve())
    assert not lean.available()


def test_the_hooks_are_where_they_were() -> None:
    reactor = inspect.getsource(Association.run_reactor)
    assert reactor.index("negotiate_association()") < reactor.index("self._run_reactor()")
    assert reactor.index("evt.EVT_REQUESTED") < reactor.index("negotiate_association()")
    loop = inspect.getsource(Association._run_reactor)
    assert "self.acse.is_release_requested()" in loop and "self.acse.is_aborted()" in loop
    assert "self.dul.idle_timer_expired()" in loop and "not self.dul.is_alive()" in loop
    assert "block is False" in inspect.getsource(Association._abort_blocking)
    reads = inspect.getsource(dul.DULServiceProvider._read_pdu_data)
    assert reads.count("self.socket.recv(") == 2
    assert "return self._idle_timer.expired" in inspect.getsource(dul.DULServiceProvider.idle_timer_expired)
    assert "self.assoc._accepted_cx" in inspect.getsource(acse.ACSE._negotiate_as_acceptor)
    assert "_accepted_cx" in inspect.getsource(association.Association)


def test_the_states_and_events_are_the_ones_that_are_used() -> None:
    table = fsm.TRANSITION_TABLE
    assert table["Evt7", "Sta3"] == "AE-7" and fsm.ACTIONS["AE-7"][2] == "Sta6"
    assert table["Evt17", "Sta6"] == "AA-4" and table["Evt19", "Sta6"] == "AA-8"
    assert fsm.ACTIONS["AA-8"][2] == "Sta13"


def test_the_state_changes_in_the_thread_that_would_read_next() -> None:
    """Else the DUL could read the first P-DATA between the A-ASSOCIATE-AC and the change to Sta6."""
    loop = inspect.getsource(dul.DULServiceProvider.run_reactor)
    assert loop.count("do_action") == 1 and loop.index("_is_transport_event") < loop.index("do_action")
    assert "self.transition(next_state)" in inspect.getsource(fsm.StateMachine.do_action)


def test_nothing_of_a_store_reaches_pynetdicom(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    plain = dul.DULServiceProvider._decode_pdu

    def watched(self: dul.DULServiceProvider, stream: bytearray) -> object:
        decoded.append(bytes(stream[:1]))
        return plain(self, stream)

    monkeypatch.setattr(dul.DULServiceProvider, "_decode_pdu", watched)
    with serving() as rig, wire.associate(rig.port) as sock:
        sock.sendall(wire.store(b"x" * 100000) + wire.echo())
        assert (wire.status(sock), wire.status(sock)) == (0, 0)
        sock.sendall(wire.RELEASE)
        assert wire.read_pdu(sock)[0] == 6
    assert decoded == [b"\1", b"\5"]

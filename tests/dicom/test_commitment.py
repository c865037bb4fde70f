"""Storage Commitment as SCP, with pynetdicom as the peer: answers, reports on either kind of association, and odd requests."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from gateway.cstore.commitment import Commitments, Ledgers
from gateway.dicom.commitment import PUSH_INSTANCE, PUSH_MODEL, Asked, Line
from gateway.dicom.incoming import Incoming, Limits
from gateway.dicom.server import StorageServer
from gateway.model import LedgerLine, Outcome
from gateway.settings import Pacs
from gateway.state.ledger import LEDGER
from tests.dicom.serving import OURS, Counts, eventually
from tests.dicom.test_server import tiny
from tests.support.process import HOST, new_folder

TRANSACTION = "2.25.4711"


class Known:
    """Store and outbox in one: `archive` and `ledger` hold instance hashes."""

    def __init__(self) -> None:
        self.archive: set[str] = set()
        self.ledgers: dict[str, dict[str, LedgerLine]] = {}
        self.read: list[str] = []
        self._folder = new_folder("commitment")

    def instance_hash(self, SOPInstanceUID: str) -> str:
        return f"hash of {SOPInstanceUID}"

    def committed(self, instances: Any) -> frozenset[str]:
        return frozenset(self.archive & set(instances))

    def series(self) -> list[str]:
        return list(self.ledgers)

    def ledger(self, series: str) -> dict[str, LedgerLine]:
        self.read.append(series)
        return self.ledgers.get(series, {})  # as the outbox does of one that goes meanwhile

    def path(self, series: str, name: str) -> Path:
        return self._folder / f"{series}.{name}"

    def arrived(self, uid: str, outcome: Outcome, series: str = "S-1") -> None:
        with self.path(series, LEDGER).open("a") as ledger:
            ledger.write("a line\n")
        self.ledgers.setdefault(series, {})[f"hash of {uid}"] = LedgerLine(f"hash of {uid}", outcome)

    def confirmed(self, *uids: str) -> None:
        self.archive |= {f"hash of {uid}" for uid in uids}


class Peer:
    """A modality that stores, asks for commitment, and listens for reports on a port of its own."""

    def __init__(self, server_port: int) -> None:
        self.reports: queue.Queue[tuple[str, int, Dataset]] = queue.Queue()
        self._port = server_port
        ae = AE("MODALITY")
        ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
        self._listener = ae.start_server((HOST, 0), block=False, evt_handlers=self._handlers("own"))
        assert self._listener is not None
        self.port: int = self._listener.server_address[1]

    def close(self) -> None:
        assert self._listener is not None
        self._listener.shutdown()

    def _handlers(self, kind: str) -> list[evt.EventHandlerType]:
        def heard(event: evt.Event) -> tuple[int, None]:
            self.reports.put((kind, event.event_type or 0, event.event_information))
            return 0x0000, None

        return [(evt.EVT_N_EVENT_REPORT, heard)]

    def associate(self, syntax: str = ImplicitVRLittleEndian) -> Association:
        ae = AE("MODALITY")
        ae.acse_timeout = ae.dimse_timeout = 10
        for sop_class in (PUSH_MODEL, CTImageStorage, Verification):
            ae.add_requested_context(sop_class, syntax)
        return ae.associate(HOST, self._port, ae_title=OURS, evt_handlers=self._handlers("same"))

    def ask(self, assoc: Association, *uids: str, **change: Any) -> int:
        ds = Dataset()
        ds.TransactionUID = change.get("transaction", TRANSACTION)
        ds.ReferencedSOPSequence = [self._item(uid) for uid in uids]
        status, _ = assoc.send_n_action(
            change.get("information", ds), change.get("action", 1), PUSH_MODEL, change.get("instance", PUSH_INSTANCE)
        )
        return int(status.Status)

    def _item(self, uid: str) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
        return item

    def told(self) -> tuple[str, int, dict[str, int]]:
        """Kind of association, event type, and instance -> failure reason or 0."""
        kind, event, ds = self.reports.get(timeout=15)
        assert ds.TransactionUID == TRANSACTION
        good = {str(i.ReferencedSOPInstanceUID): 0 for i in ds.get("ReferencedSOPSequence", [])}
        bad = {str(i.ReferencedSOPInstanceUID): int(i.FailureReason) for i in ds.get("FailedSOPSequence", [])}
        return kind, event, good | bad


class Rig:
    def __init__(self, patience: float, *, listens: bool = True) -> None:
        listener = socket.create_server((HOST, 0), backlog=16)
        self.known, self.counts, self.stop = Known(), Counts(), threading.Event()
        self.peer = Peer(listener.getsockname()[1])
        where = Pacs(name="peer", ae_title="MODALITY", host=HOST, port=self.peer.port) if listens else None
        self.asked: list[tuple[str, str]] = []

        def peer(*who: str) -> Pacs | None:
            self.asked.append((who[0], who[1]))
            return where

        self.commitments = commitments = Commitments(
            self.known, self.known, ae_title=OURS, peer=peer, patience=patience
        )
        server = StorageServer(
            OURS, listener, admit=lambda *_: True, on_store=self.take, max_associations=8, count=self.counts,
            commitments=commitments,
        )  # fmt: skip
        self.thread = threading.Thread(target=server.serve, args=(self.stop, Limits(drain=2)), daemon=True)
        self.thread.start()

    def leave(self, *assocs: Association) -> None:
        """Once every report is answered. pynetdicom's own release may wait for ever after one."""
        assert eventually(lambda: not self.commitments._running)
        for assoc in assocs:
            assoc.abort()

    def take(self, incoming: Incoming) -> int:
        self.known.arrived(incoming.SOPInstanceUID, Outcome.KEPT)
        return 0


@contextlib.contextmanager
def committing(patience: float = 30.0, *, listens: bool = True) -> Iterator[Rig]:
    rig = Rig(patience, listens=listens)
    try:
        yield rig
    finally:
        rig.stop.set()
        rig.thread.join(20)
        rig.peer.close()
        assert not rig.thread.is_alive()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_what_is_confirmed_is_committed_and_the_rest_says_why(syntax: str) -> None:
    with committing() as rig:
        rig.known.confirmed("2.25.1")
        rig.known.arrived("2.25.3", Outcome.REFUSED)
        assoc = rig.peer.associate(syntax)
        assert rig.peer.ask(assoc, "2.25.1", "2.25.2", "2.25.3") == 0
        assert rig.peer.told() == ("same", 2, {"2.25.1": 0, "2.25.2": 0x0112, "2.25.3": 0x0110})
        rig.leave(assoc)
        again = rig.peer.associate(syntax)
        assert rig.peer.ask(again, "2.25.1") == 0
        assert rig.peer.told() == ("same", 1, {"2.25.1": 0})
        rig.leave(again)


def test_on_an_association_of_our_own_when_theirs_is_over() -> None:
    with committing() as rig:
        rig.known.confirmed("2.25.1")
        assoc = rig.peer.associate()
        assert rig.peer.ask(assoc, "2.25.1") == 0
        assoc.release()
        assert rig.peer.told() == ("own", 1, {"2.25.1": 0})
        assert rig.asked == [("MODALITY", HOST)]


def test_it_waits_for_what_is_on_its_way_to_the_archive() -> None:
    with committing() as rig:
        assoc = rig.peer.associate()
        assert assoc.send_c_store(tiny(CTImageStorage, ImplicitVRLittleEndian)).Status == 0
        assert rig.peer.ask(assoc, "2.25.11") == 0
        with pytest.raises(queue.Empty):
            rig.peer.reports.get(timeout=1.5)
        rig.known.confirmed("2.25.11")
        rig.known.ledgers.clear()
        assert rig.peer.told() == ("same", 1, {"2.25.11": 0})
        rig.leave(assoc)


@pytest.mark.parametrize("outcome", [Outcome.KEPT, Outcome.HELD])
def test_not_for_ever(outcome: Outcome) -> None:
    with committing(patience=1.0) as rig:
        rig.known.arrived("2.25.1", outcome)
        rig.known.confirmed("2.25.1")  # for one project; another one's copy still waits
        assoc = rig.peer.associate()
        assert rig.peer.ask(assoc, "2.25.1") == 0
        assert rig.peer.told() == ("same", 2, {"2.25.1": 0x0110})
        rig.leave(assoc)


def test_a_server_that_stops_reports_what_it_knows() -> None:
    with committing() as rig:
        rig.known.arrived("2.25.1", Outcome.KEPT)
        rig.known.confirmed("2.25.2")
        assoc = rig.peer.associate()
        assert rig.peer.ask(assoc, "2.25.1", "2.25.2") == 0
        rig.stop.set()
        assert rig.peer.told() == ("same", 2, {"2.25.1": 0x0110, "2.25.2": 0})
        rig.leave(assoc)


def test_odd_requests_are_answered_and_the_association_goes_on() -> None:
    with committing() as rig:
        assoc = rig.peer.associate()
        empty = Dataset()
        empty.TransactionUID = TRANSACTION
        assert rig.peer.ask(assoc, "2.25.1", action=2) == 0x0123
        assert rig.peer.ask(assoc, "2.25.1", instance="2.25.1") == 0x0112
        assert rig.peer.ask(assoc, "2.25.1", information=None) == 0x0115
        assert rig.peer.ask(assoc, "2.25.1", information=empty) == 0x0115
        assert rig.peer.ask(assoc, "2.25.1", transaction="") == 0x0115
        assert assoc.send_c_echo().Status == 0
        assert assoc.send_c_store(tiny(CTImageStorage, ImplicitVRLittleEndian)).Status == 0
        assoc.release()
        assert rig.peer.reports.empty() and not rig.asked


def test_a_peer_that_cannot_be_reached_costs_nothing_but_its_report() -> None:
    with committing(listens=False) as rig:
        assoc = rig.peer.associate()
        assert rig.peer.ask(assoc, "2.25.1") == 0
        assoc.abort()
        assert eventually(lambda: rig.asked == [("MODALITY", HOST)])
        other = rig.peer.associate()
        assert rig.peer.ask(other, "2.25.2") == 0 and rig.peer.told() == ("same", 2, {"2.25.2": 0x0112})
        rig.leave(other)


def test_transactions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cstore.commitment.MOST", 3)
    with committing() as rig:
        rig.known.arrived("2.25.1", Outcome.KEPT)
        assocs = [rig.peer.associate() for _ in range(5)]
        assert [rig.peer.ask(assoc, "2.25.1") for assoc in assocs] == [0, 0, 0, 0x0213, 0x0213]
        rig.stop.set()
        assert [rig.peer.told()[1] for _ in range(3)] == [2, 2, 2]
        rig.leave(*assocs)


def test_none_is_taken_where_nobody_answers_for_it() -> None:
    listener = socket.create_server((HOST, 0))
    stop = threading.Event()
    server = StorageServer(
        OURS, listener, admit=lambda *_: True, on_store=lambda _: 0, max_associations=2, count=Counts()
    )
    thread = threading.Thread(target=server.serve, args=(stop, Limits(drain=1)), daemon=True)
    port = listener.getsockname()[1]
    thread.start()
    ae = AE("MODALITY")
    ae.add_requested_context(PUSH_MODEL)
    ae.add_requested_context(Verification)
    assoc = ae.associate(HOST, port, ae_title=OURS)
    assert [c.abstract_syntax for c in assoc.rejected_contexts] == [PUSH_MODEL]
    assoc.release()
    stop.set()
    thread.join(10)


def test_nothing_of_it_shows_in_what_may_be_logged() -> None:
    asked = Asked("SECRET AE", HOST, TRANSACTION, ())
    assert TRANSACTION not in repr(asked) and "SECRET" not in repr(asked) and Line.report.__doc__


def test_a_ledger_that_says_nothing_of_it_is_read_again_only_when_it_has_changed() -> None:
    known = Known()
    known.arrived("2.25.1", Outcome.KEPT)
    known.arrived("2.25.2", Outcome.KEPT, "S-2")
    ledgers, wanted = Ledgers(known), frozenset({"hash of 2.25.1", "hash of 2.25.3"})
    assert ledgers.say(wanted) == ledgers.say(wanted) == {"hash of 2.25.1": {Outcome.KEPT}}
    assert known.read == ["S-1", "S-2", "S-1"], "what is on its way may have left without a word"
    known.arrived("2.25.3", Outcome.EXCLUDED, "S-2")
    assert ledgers.say(wanted)["hash of 2.25.3"] == {Outcome.EXCLUDED}

"""What PACS do when they send (docs/pacs-behaviour.md S2, S4, S12 to S14), on the wire, with the real Receive."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from gateway.model import Dropped, Outcome
from tests.cstore.rig import INSTANCE, SERIES, STUDY, Expects, FakeCleaner, Rig, dataset
from tests.dicom import wire
from tests.dicom.serving import Serving, serving
from tests.support.process import HOST
from tests.support.raw_pacs import user_items
from tests.support.scripted_pacs import instance

OTHER = "2.25.71099"


def response(sock: socket.socket, sent: bytes) -> dict[int, bytes]:
    """The command set that answers `sent`."""
    sock.sendall(sent)
    kind, body = wire.read_pdu(sock)
    assert kind == 4
    return wire.parsed(body)


def stored(served: Serving, *sent: bytes) -> list[dict[int, bytes]]:
    with wire.associate(served.port) as sock:
        return [response(sock, one) for one in sent]


@pytest.mark.catalogue("S14")
def test_s14_the_data_set_counts_not_the_command(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    with serving(rig.receive.store) as served:
        (said,) = stored(served, wire.store(dataset(INSTANCE, SERIES, STUDY), instance=OTHER))
    assert said[0x0900] == b"\0\0"
    assert said[0x1000].rstrip(b"\0") == OTHER.encode(), "answered as it was called"
    assert rig.line() is not None and rig.line(instance=OTHER) is None


@pytest.mark.catalogue("S13")
def test_s13_a_uid_padded_with_a_space_is_repeated_as_it_came_and_known_without(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    padded = INSTANCE + " " * (2 - len(INSTANCE) % 2)
    raw = dataset(INSTANCE, SERIES, STUDY).replace(INSTANCE.encode() + b"\0", INSTANCE.encode() + b" ")
    with serving(rig.receive.store) as served:
        (said,) = stored(served, wire.store(raw, instance=padded))
    assert said[0x0900] == b"\0\0"
    assert said[0x1000].rstrip(b"\0") == padded.encode()
    assert rig.line() is not None


@pytest.mark.catalogue("S2", "S1", "S5")
@pytest.mark.parametrize(
    "dropped", [None, Dropped(Outcome.EXCLUDED, "select.instance"), Dropped(Outcome.REFUSED, "x.y")]
)
def test_s2_kept_excluded_refused_and_twice_are_all_plain_success(tmp_path: Path, dropped: Dropped | None) -> None:
    rig = Rig(tmp_path, Expects(), cleaners={"chest": FakeCleaner(dropped)})
    one = wire.store(dataset(INSTANCE, SERIES, STUDY), instance=INSTANCE)
    with serving(rig.receive.store) as served:
        assert [said[0x0900] for said in stored(served, one, one)] == [b"\0\0"] * 2
    assert len(rig.files()) == (dropped is None)


@pytest.mark.catalogue("S4")
@pytest.mark.parametrize(("title", "number"), [(None, None), ("ELSEWHERE", 0), ("RESEARCH", 65535)])
def test_s4_who_says_he_began_the_move_does_not_matter(tmp_path: Path, title: str | None, number: int | None) -> None:
    rig = Rig(tmp_path, Expects())
    ds = instance(STUDY, SERIES, INSTANCE)
    ae = AE("NODE")
    ae.add_requested_context(ds.SOPClassUID, ExplicitVRLittleEndian)
    with serving(rig.receive.store) as served:
        assoc = ae.associate(HOST, served.port, ae_title="RESEARCH")
        assert assoc.send_c_store(ds, originator_aet=title, originator_id=number).Status == 0x0000
        assoc.release()
    assert rig.line() is not None


@pytest.mark.catalogue("S12")
def test_s12_a_full_set_of_contexts_again_and_again(tmp_path: Path) -> None:
    """128 contexts, the most there can be, on each of many short associations; a class that appears in the third only."""
    rig = Rig(tmp_path, Expects())
    classes = [f"1.2.840.10008.5.1.4.1.1.{n}" for n in range(300, 684)]
    with serving(rig.receive.store) as served:
        for part in (classes[:128], classes[128:256], [*classes[256:383], wire.CT]):
            contexts = [(sop_class, (wire.EXPLICIT, wire.IMPLICIT)) for sop_class in part]
            sock = wire.associate(served.port, contexts)
            with sock:
                sent = wire.store(dataset(INSTANCE, SERIES, STUDY), context=255, sop_class=part[-1], instance=INSTANCE)
                assert response(sock, sent)[0x0900] == b"\0\0"
                sock.sendall(wire.RELEASE)
                assert wire.read_pdu(sock)[0] == 6
    assert len(rig.files()) == 1


@pytest.mark.catalogue("A11")
def test_a11_the_asynchronous_window_is_not_negotiated_with_us() -> None:
    """Offered 3 and 3, we do not answer it: one operation at a time (PS3.7 D.3.3.3.1)."""
    proposal = bytearray(wire.associate_rq()[6:])
    window = wire.item(0x53, struct.pack(">HH", 3, 3))
    at = proposal.rfind(b"\x50\x00", 0, proposal.rfind(b"\x51\x00"))
    (length,) = struct.unpack_from(">H", proposal, at + 2)
    struct.pack_into(">H", proposal, at + 2, length + len(window))
    with serving() as served, socket.create_connection((HOST, served.port), timeout=10) as sock:
        sock.sendall(wire.pdu(1, bytes(proposal) + window))
        kind, answer = wire.read_pdu(sock)
    assert kind == 2
    assert 0x51 in user_items(answer) and 0x53 not in user_items(answer)

"""The Storage SCP against DCMTK's senders, pynetdicom's and raw sockets: what is taken, refused, and survives."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association

from gateway.dicom.part10 import read_file
from gateway.dicom.quiet import silence
from gateway.dicom.reactor import steady
from gateway.dicom.server import Incoming, Limits
from gateway.errors import Retry
from tests.dicom.serving import Serving, associate_pdu, convert, dcmtk, eventually, serving
from tests.support.process import HOST

CT = "1.2.840.10008.5.1.4.1.1.2"
PRIVATE_CLASS = "1.3.12.2.1107.5.9.1"  # Siemens CSA Non-Image Storage
RETIRED_CLASS = "1.2.840.10008.5.1.4.1.1.6"  # Ultrasound Image Storage (Retired)
MODALITY_WORKLIST = "1.2.840.10008.5.1.4.31"


def sample(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    assert path
    return Path(path)


def tiny(sop_class: str, syntax: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID = UID(sop_class), UID("2.25.11"), UID("2.25.12")
    return ds


def connect(rig: Serving, *wanted: tuple[str, list[str]], calling: str = "MODALITY") -> Association:
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = 10
    for sop_class, syntaxes in wanted or (("1.2.840.10008.1.1", ["1.2.840.10008.1.2"]),):
        ae.add_requested_context(sop_class, syntaxes)
    # Else an answer is lost now and then on a busy machine.
    held: list[evt.EventHandlerType] = [(evt.EVT_CONN_OPEN, lambda event: steady(event.assoc))]
    return ae.associate(HOST, rig.port, ae_title="RESEARCH", evt_handlers=held)


def test_echo() -> None:
    with serving() as rig:
        assert dcmtk("echoscu", rig.port).returncode == 0


def test_stores_the_bytes_as_they_were_sent(tmp_path: Path) -> None:
    with serving() as rig:
        assert dcmtk("storescu", rig.port, sample("CT_small.dcm")).returncode == 0
        assert dcmtk("dcmsend", rig.port, sample("CT_small.dcm")).returncode == 0
    (incoming, data), (_, again) = rig.got
    ds = dcmread(sample("CT_small.dcm"))
    assert incoming.sop_class == CT and incoming.SOPInstanceUID == ds.SOPInstanceUID
    assert (
        incoming.transfer_syntax == ExplicitVRLittleEndian
        and incoming.calling_ae == "MODALITY"
        and incoming.address == HOST
    )
    assert ds.PixelData in data and data == again


@pytest.mark.parametrize(
    ("tool", "option"),
    [("dcmconv +ti", "-xi"), ("dcmconv +tb", "-xb"), ("dcmconv +td", "-xd"), ("dcmcrle", "-xr"), ("dcmcjpls", "-xt"),
     ("dcmcjpeg +e1", "-xs")],
)  # fmt: skip
def test_takes_each_transfer_syntax(tmp_path: Path, tool: str, option: str) -> None:
    file = tmp_path / "a.dcm"
    convert(*tool.split(), sample("MR_small.dcm"), file)
    data, syntax = read_file(file)
    with serving() as rig:
        done = dcmtk("storescu", rig.port, "-R", option, file)
    assert done.returncode == 0, done.stdout
    assert rig.got[0][0].transfer_syntax == syntax
    if syntax not in (ExplicitVRBigEndian, "1.2.840.10008.1.2.1.99"):
        assert dcmread(file).PixelData in rig.got[0][1] and len(rig.got[0][1]) == pytest.approx(len(data), rel=0.05)


@pytest.mark.parametrize("sop_class", [PRIVATE_CLASS, RETIRED_CLASS, CT])
def test_takes_private_and_retired_classes(sop_class: str) -> None:
    with serving() as rig:
        assoc = connect(rig, (sop_class, [ExplicitVRBigEndian, ImplicitVRLittleEndian, ExplicitVRLittleEndian]))
        status = assoc.send_c_store(tiny(sop_class, ExplicitVRLittleEndian))
        assoc.release()
    assert status.Status == 0x0000
    assert rig.got[0][0].transfer_syntax == ExplicitVRLittleEndian  # our order, not the peer's


def test_leaves_other_services_alone() -> None:
    with serving() as rig:
        assoc = connect(rig, (MODALITY_WORKLIST, [ImplicitVRLittleEndian]), (CT, [ImplicitVRLittleEndian]))
        assert [cx.abstract_syntax for cx in assoc.rejected_contexts] == [MODALITY_WORKLIST]
        assert [cx.abstract_syntax for cx in assoc.accepted_contexts] == [CT]
        assoc.release()


def test_refuses_a_stranger_and_a_wrong_name() -> None:
    with serving() as rig:
        stranger = dcmtk("echoscu", rig.port, calling="STRANGER")
        misdirected = dcmtk("echoscu", rig.port, called="SOMEBODY")
        assert dcmtk("echoscu", rig.port).returncode == 0
    assert "Calling AE Title Not Recognized" in stranger.stdout + stranger.stderr
    assert "Called AE Title Not Recognized" in misdirected.stdout + misdirected.stderr
    assert (rig.rejected("calling-ae"), rig.rejected("called-ae")) == (1, 1)


def test_too_many_associations_are_put_off_and_room_comes_back() -> None:
    with serving(most=2) as rig:
        first, second = connect(rig), connect(rig)
        assert eventually(lambda: rig.associations() == 2)
        third = connect(rig)
        assert third.is_rejected and third.acceptor.primitive is not None
        told = third.acceptor.primitive
        assert (told.result, told.diagnostic) == (2, 2)  # transient, local limit
        first.release()
        assert eventually(lambda: rig.associations() == 1)
        fourth = connect(rig)
        assert fourth.send_c_echo().Status == 0
        second.release()
        fourth.release()
    assert rig.rejected("limit") == 1 and rig.associations() == 0


def test_silent_connections_take_no_association_slot() -> None:
    with serving(most=1, limits=Limits(acse=0.5, drain=2)) as rig:
        silent = [socket.create_connection((HOST, rig.port)) for _ in range(5)]
        assert dcmtk("echoscu", rig.port).returncode == 0
        for sock in silent:
            sock.settimeout(5)
            assert sock.recv(1) == b""  # closed by us after the ACSE time-out
            sock.close()


def test_idle_associations_cost_nothing() -> None:
    """pynetdicom's own loops take half a core for as many (catalogue B1)."""
    with serving(most=8) as rig, contextlib.ExitStack() as open_sockets:
        for _ in range(8):
            sock = open_sockets.enter_context(socket.create_connection((HOST, rig.port)))
            sock.sendall(associate_pdu())
            assert sock.recv(1) == b"\x02"
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.1
        assert rig.associations() == 8


def test_hanging_up_without_asking_frees_the_thread_at_once() -> None:
    with serving(most=1) as rig:
        for _ in range(30):  # more than 4 x 1 + 16, with an ACSE time-out of 8 s
            socket.create_connection((HOST, rig.port)).close()
        assert eventually(lambda: dcmtk("echoscu", rig.port).returncode == 0, seconds=4)


def test_connections_without_end_are_refused() -> None:
    with serving(most=1, limits=Limits(acse=3, drain=2)) as rig:
        many = [socket.create_connection((HOST, rig.port)) for _ in range(21)]  # 4 x 1 + 16 are let in
        assert eventually(lambda: rig.rejected("connections") == 1)
        for sock in many:
            sock.close()
        assert eventually(lambda: dcmtk("echoscu", rig.port).returncode == 0)


def test_half_a_pdu_and_silence_ends_by_deadline_while_others_go_on() -> None:
    with serving(most=2, limits=Limits(pdu=1.0, acse=1.0, drain=2)) as rig:
        before, inside = (socket.create_connection((HOST, rig.port)) for _ in range(2))
        before.sendall(associate_pdu()[:40])
        inside.sendall(associate_pdu())
        inside.settimeout(5)
        assert inside.recv(1) == b"\x02"  # accepted
        inside.sendall(struct.pack(">BxI", 4, 1000) + b"\0" * 10)
        assert dcmtk("storescu", rig.port, sample("CT_small.dcm")).returncode == 0
        started = time.monotonic()
        for sock in (before, inside):
            sock.settimeout(5)
            while sock.recv(4096):
                pass
            sock.close()
        assert time.monotonic() - started < 4
        assert eventually(lambda: rig.associations() == 0)
    assert len(rig.got) == 1


def test_a_pdu_longer_than_any_ends_the_association() -> None:
    with serving(limits=Limits(acse=1.0, drain=2)) as rig, socket.create_connection((HOST, rig.port)) as sock:
        sock.settimeout(5)
        sock.sendall(struct.pack(">BxI", 1, 0xFFFFFFF0))
        assert sock.recv(1) == b""
        assert dcmtk("echoscu", rig.port).returncode == 0


@pytest.mark.parametrize(("error", "status"), [(Retry("state.busy"), 0xA700), (ZeroDivisionError(), 0xC211)])
def test_a_failing_handler_answers_and_goes_on(error: Exception, status: int) -> None:
    def fails(incoming: Incoming) -> int:
        raise error

    with serving(fails) as rig:
        assoc = connect(rig, (CT, [ExplicitVRLittleEndian]))
        statuses = [assoc.send_c_store(tiny(CT, ExplicitVRLittleEndian)).Status for _ in range(2)]
        assoc.release()
    assert statuses == [status, status]


def test_an_illegal_uid_is_stored_like_any_other() -> None:
    silence()
    with serving() as rig:
        assoc = connect(rig, (CT, [ExplicitVRLittleEndian]))
        ds = tiny(CT, ExplicitVRLittleEndian)
        ds.SOPInstanceUID = UID("1.02.x" + "3" * 64)
        assert assoc.send_c_store(ds).Status == 0
        assoc.release()
    assert rig.got[0][0].SOPInstanceUID == ds.SOPInstanceUID


def test_drains_what_runs_and_refuses_what_is_new() -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(incoming: Incoming) -> int:
        entered.set()
        go_on.wait(10)
        return 0x0000

    statuses: list[int] = []
    with serving(slow, limits=Limits(drain=5)) as rig:
        assoc = connect(rig, (CT, [ExplicitVRLittleEndian]))
        sender = threading.Thread(
            target=lambda: statuses.append(assoc.send_c_store(tiny(CT, ExplicitVRLittleEndian)).Status)
        )
        sender.start()
        assert entered.wait(5)
        rig.stop.set()
        assert eventually(lambda: _refuses(rig.port))
        go_on.set()
        sender.join(5)
        assoc.release()
    assert statuses == [0x0000]


def test_aborts_what_does_not_end_and_leaves_no_thread() -> None:
    with serving(limits=Limits(drain=0.3)) as rig:
        idle = connect(rig)
        stuck = socket.create_connection((HOST, rig.port))
        stuck.sendall(associate_pdu())
        assert stuck.recv(1) == b"\x02" and eventually(lambda: rig.associations() == 2)
        stuck.sendall(struct.pack(">BxI", 4, 1000))
        started = time.monotonic()
        rig.stop.set()
        rig.thread.join(10)
        assert time.monotonic() - started < 6
        assert eventually(lambda: idle.is_aborted)
        stuck.close()
    left = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    assert not left, left


def _refuses(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return True
    return False

"""A DICOM archive that is full, refuses, remarks, loses or is silent; and one that reports on either association, or never."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom import AE, evt

from gateway import settings
from gateway.deliver.storescu import StoreSink
from gateway.dicom import storing
from gateway.dicom.association import VERIFICATION
from gateway.dicom.commitment import PUSH_MODEL, Asked, Line, Reference, dial
from gateway.errors import GatewayError, Refused, Retry
from tests.deliver.clean import clean_file
from tests.support.process import HOST, free_port

UID = "2.25.10001"
ROWS = Tag("Rows")
KEEPS = frozenset({0x0000, 0xB000, 0xB00E, 0x0001, 0x0107, 0x0116})
AET = "ARCHIVE"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"


@dataclass
class Scripted:
    """What it does with what comes. `held`: SOPInstanceUIDs, `failing`: those it will not vouch for."""

    status: int = 0x0000
    loses: bool = False
    silent: bool = False
    syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
    commits: bool = True
    reports: str = "same"  # association; "own", "never", "stranger", "other-transaction"
    failing: set[str] = field(default_factory=set)
    held: dict[str, Dataset] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    report_port: int = 0

    def on_store(self, event: evt.Event) -> int:
        if self.silent:
            self.over.wait(30)
        ds = event.dataset
        if self.status in KEEPS and not self.loses:
            self.held[str(ds.SOPInstanceUID)] = ds
        return self.status

    def on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for uid in self.held:
            row = Dataset()
            row.QueryRetrieveLevel, row.SOPInstanceUID = "IMAGE", uid
            yield 0xFF00, row

    def on_action(self, event: evt.Event) -> tuple[int, None]:
        if not self.commits:
            return 0x0110, None
        told = event.action_information
        references = tuple(
            Reference(str(i.ReferencedSOPClassUID), str(i.ReferencedSOPInstanceUID)) for i in told.ReferencedSOPSequence
        )
        transaction = "1.2.3" if self.reports == "other-transaction" else str(told.TransactionUID)
        asked = Asked("", HOST, transaction, references)
        reply = threading.Thread(target=self._report, args=(Line(event.assoc), asked), daemon=True)
        reply.start()
        return 0x0000, None

    def _report(self, line: Line, asked: Asked) -> None:
        good = self.held.keys() - self.failing
        verdicts = {r: 0 if r.SOPInstanceUID in good else 0x0112 for r in asked.references}
        if self.reports in ("same", "other-transaction"):
            line.report(asked, verdicts)
        elif self.reports != "never":
            peer = settings.Pacs(name="us", ae_title="RESEARCH", host=HOST, port=self.report_port)
            with contextlib.suppress(Retry):
                dial(peer, "STRANGER" if self.reports == "stranger" else AET, asked, verdicts)


@dataclass
class Archive:
    script: Scripted
    sink: StoreSink


@pytest.fixture
def script(request: pytest.FixtureRequest) -> Scripted:
    return getattr(request, "param", None) or Scripted()


@pytest.fixture
def archive(script: Scripted) -> Iterator[Archive]:
    """`script` is read when the archive opens; what it holds may change later."""
    ae = AE(AET)
    ae.add_supported_context(CTImageStorage, list(script.syntaxes))
    ae.add_supported_context(VERIFICATION)
    ae.add_supported_context(FIND)
    if script.commits:
        ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    server = ae.start_server((HOST, 0), block=False, evt_handlers=[
        (evt.EVT_C_STORE, script.on_store), (evt.EVT_C_FIND, script.on_find), (evt.EVT_N_ACTION, script.on_action),
    ])  # fmt: skip
    assert server is not None
    script.report_port = free_port()
    aimed = settings.DicomSink(
        ae_title=AET, host=HOST, port=server.server_address[1], report_port=script.report_port, commitment_timeout=3.0
    )
    made = Archive(script, StoreSink(aimed, "RESEARCH"))
    yield made
    script.over.set()
    made.sink.close()
    server.shutdown()


def trouble(sink: StoreSink, file: Path) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        sink.put(file)
    assert UID not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "reason", "charge"),
    [
        (0xA700, Retry, "sink.full", False),
        (0xA702, Retry, "sink.full", False),
        (0x0124, Retry, "sink.unauthorised", False),
        (0x0110, Retry, "deliver.failed", True),
        (0xA900, Refused, "deliver.refused", None),
        (0xC000, Refused, "deliver.refused", None),
        (0x0122, Refused, "deliver.unsupported", None),
    ],
)
def test_its_status_decides(
    archive: Archive, tmp_path: Path, status: int, kind: type[GatewayError], reason: str, charge: bool | None
) -> None:
    archive.script.status = status
    err = trouble(archive.sink, clean_file(tmp_path))
    assert (type(err), err.reason, getattr(err, "charge", None)) == (kind, reason, charge)


@pytest.mark.parametrize("status", [0xB000, 0xB00E, 0x0001, 0x0107, 0x0116])
def test_a_remark_is_no_refusal(archive: Archive, tmp_path: Path, status: int) -> None:
    archive.script.status = status
    file = clean_file(tmp_path)
    assert archive.sink.put(file).new and not archive.sink.put(file).new and archive.sink.confirm(file)


def test_one_that_takes_nothing_twice_says_that_it_is_there(archive: Archive, tmp_path: Path) -> None:
    """After a kill, where it offers no C-FIND: what it says is no receipt."""
    archive.script.status = 0x0111
    file = clean_file(tmp_path)
    assert not archive.sink.put(file).new
    assert not archive.sink.confirm(file)


def test_one_that_loses_is_found_out(archive: Archive, tmp_path: Path) -> None:
    archive.script.loses = True
    file = clean_file(tmp_path)
    assert archive.sink.put(file).new
    assert not archive.sink.confirm(file)


@pytest.mark.parametrize("reports", ["same", "own"])
def test_every_instance_of_the_report_counts(archive: Archive, tmp_path: Path, reports: str) -> None:
    archive.script.reports = reports
    files = [clean_file(tmp_path, n) for n in (1, 2, 3)]
    for file in files:
        archive.sink.put(file)
    assert archive.sink.confirm(*files)
    archive.script.failing = {"2.25.10002"}
    assert not archive.sink.confirm(*files)
    assert archive.sink.confirm(files[0], files[2])


@pytest.mark.parametrize("reports", ["never", "stranger", "other-transaction"])
def test_without_a_report_it_is_asked_what_it_holds(
    script: Scripted, tmp_path: Path, reports: str, archive: Archive
) -> None:
    file = clean_file(tmp_path)
    archive.sink.put(file)
    impatient = archive.sink._settings.model_copy(update={"commitment_timeout": 0.5})
    sink = StoreSink(impatient, "RESEARCH")
    script.reports = reports
    script.failing = {UID}  # a report that must not count says so
    assert sink.confirm(file)
    script.held.clear()
    assert not sink.confirm(file)


def test_waiting_for_a_report_ends_with_the_daemon(archive: Archive, tmp_path: Path) -> None:
    archive.script.reports = "never"
    archive.sink.put(clean_file(tmp_path))

    def stop() -> None:
        raise Retry("daemon.stopping", "", charge=False)

    sink = StoreSink(archive.sink._settings, "RESEARCH", stop)
    with pytest.raises(Retry, match=r"^daemon\.stopping"):
        sink.confirm(clean_file(tmp_path))


def test_one_that_hangs_is_not_waited_for(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "STORED", 0.3)
    archive.script.silent = True
    err = trouble(archive.sink, clean_file(tmp_path))
    assert isinstance(err, Retry) and (err.reason, err.charge) == ("sink.timeout", False)


def test_an_association_that_went_is_made_anew(archive: Archive, tmp_path: Path) -> None:
    archive.sink.put(clean_file(tmp_path, 1))
    assoc = archive.sink._scu._assoc
    assert assoc is not None
    assoc.abort()
    assert archive.sink.put(clean_file(tmp_path, 2)).new
    assert len(archive.script.held) == 2


def test_the_port_for_reports_may_be_taken(archive: Archive, tmp_path: Path) -> None:
    file = clean_file(tmp_path)
    archive.sink.put(file)
    ae = AE("OTHER")
    ae.add_supported_context(VERIFICATION)
    other = ae.start_server((HOST, archive.script.report_port), block=False)
    assert other is not None
    try:
        with pytest.raises(Retry, match=r"^sink\.port"):
            archive.sink.confirm(file)
    finally:
        other.shutdown()


@pytest.mark.parametrize("script", [Scripted(syntaxes=(ImplicitVRLittleEndian,))], indirect=True)
def test_one_of_few_syntaxes_is_told_in_its_own(archive: Archive, tmp_path: Path) -> None:
    file = clean_file(tmp_path)
    assert archive.sink.put(file).new and archive.sink.confirm(file)
    assert archive.script.held[UID].PixelData == bytes([7]) * 512


@pytest.mark.parametrize("script", [Scripted(syntaxes=(JPEGBaseline8Bit,))], indirect=True)
def test_what_it_does_not_take_is_refused(archive: Archive, tmp_path: Path) -> None:
    err = trouble(archive.sink, clean_file(tmp_path))
    assert isinstance(err, Refused) and err.reason == "deliver.unsupported"


def test_what_cannot_be_told_in_what_it_takes_is_refused(archive: Archive, tmp_path: Path) -> None:
    """Compressed, where it takes others of the class in Implicit VR; the next one goes on the same association."""
    archive.sink.put(clean_file(tmp_path, 1))
    ds = dcmread(clean_file(tmp_path, 2))
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate([bytes(16)])
    ds.save_as(tmp_path / "2.25.10002.dcm", enforce_file_format=True)
    err = trouble(archive.sink, tmp_path / "2.25.10002.dcm")
    assert isinstance(err, Refused) and err.reason == "deliver.unsupported"
    assert archive.sink.put(clean_file(tmp_path, 3)).new and len(archive.script.held) == 2


@pytest.mark.parametrize("script", [Scripted(syntaxes=(ImplicitVRLittleEndian,))], indirect=True)
def test_a_value_that_only_explicit_vr_can_tell_is_refused(archive: Archive, tmp_path: Path) -> None:
    ds = dcmread(clean_file(tmp_path))
    ds._dict[ROWS] = RawDataElement(ROWS, "US", 1, b"\x01", 0, False, True)
    ds.save_as(tmp_path / "2.25.10001.dcm", enforce_file_format=True)
    err = trouble(archive.sink, tmp_path / "2.25.10001.dcm")
    assert isinstance(err, Refused) and err.reason == "deliver.unsupported"


@pytest.mark.parametrize("script", [Scripted(commits=False)], indirect=True)
def test_one_without_commitment_is_found_out_and_may_be_left_without(archive: Archive, tmp_path: Path) -> None:
    file = clean_file(tmp_path)
    archive.sink.put(file)
    with pytest.raises(Retry, match=r"^sink\.(unsupported|no-answer)"):
        archive.sink.confirm(file)
    asks = StoreSink(archive.sink._settings.model_copy(update={"storage_commitment": False}), "RESEARCH")
    assert asks.confirm(file)


def test_one_that_is_not_there(tmp_path: Path) -> None:
    sink = StoreSink(settings.DicomSink(ae_title=AET, host=HOST, port=free_port()), "RESEARCH")
    err = trouble(sink, clean_file(tmp_path))
    assert isinstance(err, Retry) and (err.reason, err.charge) == ("sink.unreachable", False)
    with pytest.raises(Retry, match=r"^sink\.unreachable"):
        sink.probe()

"""The gate of the withdrawn: it believes the pseudonym in what is about to be written, in every encoding."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from functools import cache

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from gateway.cstore import withdrawn
from gateway.cstore.withdrawn import UNREADABLE, WITHDRAWN, WithoutWithdrawn
from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.dicom.part10 import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from gateway.model import Buffer, Dropped, Held, Kept, Outcome
from gateway.settings import Deidentify
from gateway.state import persons
from tests.support.dicomfiles import SOP_CLASSES

KEY = bytes(range(32))
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, DEFLATED_LE)
ANNA, BERT = "SYNPID1", "SYNPID2"


@dataclass
class Crosswalk:
    """Who was entered; `barred`: pseudonyms of the withdrawn."""

    entered: list[persons.Kept] = field(default_factory=list)
    barred: set[str] = field(default_factory=set)

    def enter(self, kept: persons.Kept, *, now: float) -> bool:
        assert now == 7.0
        self.entered.append(kept)
        return kept.pseudonym not in self.barred


@dataclass
class Given:
    """A cleaner that answers what the test says."""

    parts: tuple[Buffer, ...]

    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Kept | Held | Dropped:
        return Kept(self.parts, "2.25.9", "profile")


def dataset(patient: str = ANNA, series: str = "1.2.3.1", *, nested: str = "", pixels: int = 64) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = SOP_CLASSES["CT"], "1.2.3.1.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID, ds.Modality = "1.2.3", series, patient, "CT"
    if nested:
        ds.ReferencedPatientSequence = Sequence([Dataset()])
        ds.ReferencedPatientSequence[0].PatientID = nested
    ds.Rows = ds.Columns = 4
    ds.add_new("PixelData", "OW", bytes(pixels))
    return ds


def encoded(ds: Dataset, syntax: str = EXPLICIT_LE) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = syntax == IMPLICIT_LE, syntax != EXPLICIT_BE
    write_dataset(stream, ds)
    raw: bytes = stream.getvalue()
    if syntax != DEFLATED_LE:
        return raw
    deflater = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflater.compress(raw) + deflater.flush()


@cache
def cleaner() -> Cleaner:
    """Made once: compiling a profile takes longer than any test here."""
    deidentify = Deidentify(patient_id="CHEST-{pseudonym}")
    return make_cleaner(project="chest", deidentify=deidentify, instance_rule=None, key=KEY)


def gate(crosswalk: Crosswalk) -> WithoutWithdrawn:
    return WithoutWithdrawn("chest", cleaner(), crosswalk, lambda: 7.0)


@pytest.mark.parametrize("pixels", [64, 1 << 17])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_person_is_entered_once_for_each_series(syntax: str, pixels: int) -> None:
    crosswalk = Crosswalk()
    made = gate(crosswalk)
    for patient, series in (
        (ANNA, "1.2.3.1"),
        (ANNA, "1.2.3.1"),
        (ANNA, "1.2.3.2"),
        (BERT, "1.2.3.2"),
        (ANNA, "1.2.3.1"),
    ):
        done = made.clean(encoded(dataset(patient, series, pixels=pixels), syntax), syntax, frozenset())
        assert isinstance(done, Kept)
    told = [(k.project, k.patient, k.StudyInstanceUID, k.SeriesInstanceUID) for k in crosswalk.entered]
    assert told == [("chest", p, "1.2.3", s) for p, s in ((ANNA, "1.2.3.1"), (ANNA, "1.2.3.2"), (BERT, "1.2.3.2"))]
    assert len({k.pseudonym for k in crosswalk.entered}) == 2
    assert all(k.pseudonym.startswith("CHEST-") and len(k.pseudonym) == 22 for k in crosswalk.entered)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_withdrawn_are_dropped_however_often_they_come(syntax: str) -> None:
    crosswalk = Crosswalk()
    made = gate(crosswalk)
    made.clean(encoded(dataset(), syntax), syntax, frozenset())
    crosswalk.barred = {crosswalk.entered[0].pseudonym}
    for _ in range(2):
        assert made.clean(encoded(dataset(series="1.2.3.5"), syntax), syntax, frozenset()) is WITHDRAWN
    assert len(crosswalk.entered) == 3  # nobody who was turned away is remembered as welcome
    assert isinstance(made.clean(encoded(dataset(BERT), syntax), syntax, frozenset()), Kept)


def element(tag: bytes, vr: bytes, value: bytes, *, implicit: bool = False) -> bytes:
    value += b"\0" * (len(value) % 2)
    return tag + (len(value).to_bytes(4, "little") if implicit else vr + len(value).to_bytes(2, "little")) + value


def clean_parts(patient: bytes, nested: bytes = b"", *, implicit: bool = False, large: int = 0) -> tuple[bytes, ...]:
    """A clean file by hand: head, header with another patient inside a sequence before the patient's own, pixel data."""
    inside = element(b"\x10\x00\x20\x00", b"LO", nested, implicit=implicit) if nested else b""
    item = b"\xfe\xff\x00\xe0" + len(inside).to_bytes(4, "little") + inside
    sequence = b"\x08\x00\x20\x11" + (b"" if implicit else b"SQ\0\0") + len(item).to_bytes(4, "little") + item
    series = element(b"\x20\x00\x0e\x00", b"UI", b"2.25.8", implicit=implicit)
    header = (sequence if nested else b"") + element(b"\x10\x00\x20\x00", b"LO", patient, implicit=implicit) + series
    pixels = b"\xe0\x7f\x10\x00" + (b"" if implicit else b"OW\0\0") + large.to_bytes(4, "little")
    return (b"head", header, *((pixels, bytes(large)) if large else ()))


@pytest.mark.parametrize("large", [0, 1 << 17])
@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("nested", [b"", b"CHEST-A", b"CHEST-BB"])
def test_whose_it_is_stands_at_the_top(nested: bytes, implicit: bool, large: int) -> None:
    """Somebody else's pseudonym in a sequence before it does not let the withdrawn pass, nor stop the others."""
    syntax = IMPLICIT_LE if implicit else EXPLICIT_LE
    crosswalk = Crosswalk(barred={"CHEST-A"})
    for patient, kept in ((b"CHEST-A", False), (b"CHEST-BB", True)):
        parts = clean_parts(patient, nested, implicit=implicit, large=large)
        made = WithoutWithdrawn("chest", Given(parts), crosswalk, lambda: 7.0)
        assert isinstance(made.clean(encoded(dataset()), syntax, frozenset()), Kept) is kept
        assert crosswalk.entered[-1].pseudonym == patient.decode()


def test_a_glance_tells_the_same_as_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    for syntax in SYNTAXES:
        for nested in ("", BERT):
            for pixels in (64, 1 << 17):
                crosswalk = Crosswalk()
                made = gate(crosswalk)
                raw = encoded(dataset(nested=nested, pixels=pixels), syntax)
                made.clean(raw, syntax, frozenset())
                with monkeypatch.context() as patch:
                    patch.setattr(withdrawn, "_at_a_glance", lambda *_: None)
                    made.clean(raw, syntax, frozenset())
                assert len(crosswalk.entered) == 1, (syntax, nested, pixels)


def test_what_nobody_could_take_out_again_is_not_kept() -> None:
    crosswalk = Crosswalk()
    parts = (b"head", element(b"\x20\x00\x0e\x00", b"UI", b"2.25.8"))
    made = WithoutWithdrawn("chest", Given(parts), crosswalk, lambda: 7.0)
    assert made.clean(encoded(dataset()), EXPLICIT_LE, frozenset()) is UNREADABLE and crosswalk.entered == []


def test_what_is_not_kept_anyway_is_nobody_s_business() -> None:
    crosswalk = Crosswalk()
    done = gate(crosswalk).clean(b"no data set", EXPLICIT_LE, frozenset())
    assert isinstance(done, Dropped) and done.outcome is Outcome.REFUSED and crosswalk.entered == []


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(withdrawn, "REMEMBERED", 2)
    crosswalk = Crosswalk()
    made = gate(crosswalk)
    for series in ("1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.1"):
        made.clean(encoded(dataset(series=series)), EXPLICIT_LE, frozenset())
    assert len(crosswalk.entered) == 4

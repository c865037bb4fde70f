"""What came out: the archive held against what must be in it, and one instance before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from gateway.run.demo.hospital import Hospital
from gateway.run.demo.images import pixel_digest

ABSENT, REMOVED, EMPTY = "(none)", "(removed)", "(empty)"
WIDTH: Final = 48  # characters of a value
PRIVATE, PRIVATE_TAG = "private (0009,1001)", (0x0009, 0x1001)
COMPARED: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAddress", "PatientComments", "AccessionNumber",
    "RequestAttributesSequence.AccessionNumber", "StudyDate", "StudyDescription", "InstitutionName", "ReferringPhysicianName",
    "DeviceSerialNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "Modality", "Rows", "SliceThickness",
    "PatientIdentityRemoved", "DeidentificationMethodCodeSequence.CodeMeaning", PRIVATE,
)  # fmt: skip


@dataclass(frozen=True)
class Archive:
    """The archive's files by the digest of their pixels, and what differs from what was promised."""

    files: dict[str, Path]
    missing: int
    surplus: int

    @property
    def as_promised(self) -> bool:
        return not self.missing and not self.surplus


def files_in(root: Path) -> list[Path]:
    """Whole files only: a part being written is hidden."""
    return sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))


def examined(root: Path, hospital: Hospital) -> Archive:
    """Reads every file of the archive."""
    found = [(pixel_digest(dcmread(path)), path) for path in files_in(root)]
    held, wanted = Counter(digest for digest, _ in found), hospital.wanted()
    return Archive(dict(found), (wanted - held).total(), (held - wanted).total())


def before_and_after(hospital: Hospital, archive: Archive) -> Iterator[tuple[str, str, str]]:
    """Rows (element, before, after) of the first kept instance; none when it is not in the archive."""
    source = hospital.kept[0]
    if source.pixels not in archive.files:
        return
    before, after = dcmread(source.path), dcmread(archive.files[source.pixels])
    for path in COMPARED:
        was, now = _element(before, path), _element(after, path)
        yield path, _shown(was, ABSENT), _shown(now, REMOVED)
    same = before.PixelData == after.PixelData
    yield "PixelData", f"{len(before.PixelData)} bytes", "the same bytes" if same else "other bytes"


def _element(ds: Dataset, path: str) -> DataElement | None:
    """`path`: a keyword, or that of a sequence, a dot, and a keyword in its first item; or `PRIVATE`."""
    outer, _, inner = path.partition(".")
    if path == PRIVATE:
        return ds.get(PRIVATE_TAG)
    if outer not in ds:
        return None
    return _element(ds[outer][0], inner) if inner else ds[outer]


def _shown(element: DataElement | None, absent: str) -> str:
    if element is None:
        return absent
    text = "" if element.value is None else str(element.value)
    text = text or EMPTY
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."

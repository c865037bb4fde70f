"""Synthetic DICOM instances: a phantom with noise of its own, and a header with identifiers in all the usual places."""

from __future__ import annotations

import hashlib
import uuid
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRLittleEndian

SIDE: Final = 64  # pixels
SOP_CLASSES: Final = {
    "CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "US": "1.2.840.10008.5.1.4.1.1.6.1",
}  # fmt: skip


@dataclass(frozen=True)
class Exam:
    """One examination as the RIS knows it. Dates as DA (YYYYMMDD)."""

    accession: str
    patient_id: str
    name: str
    birth_date: str
    study_date: str


@dataclass(frozen=True)
class Shots:
    """One series to make. `burned_in`: its last so many instances say that text is burned into their pixels."""

    modality: str
    description: str
    instances: int
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    burned_in: int = 0


@dataclass(frozen=True)
class Made:
    """One instance that was made. `pixels`: SHA-256 of its pixel data."""

    path: Path
    shots: Shots
    burned_in: bool
    pixels: str


def make_study(folder: Path, exam: Exam, series: Sequence[Shots]) -> Iterator[Made]:
    """Writes one study below `folder`, a folder per series. The same arguments make the same files."""
    about = (exam.accession, series[0].modality)
    for number, shots in enumerate(series, start=1):
        home = folder / f"{number}-{shots.modality}"
        home.mkdir(parents=True)
        for instance in range(1, shots.instances + 1):
            ds = _dataset(exam, shots, about, (number, instance))
            path = home / f"{instance:03d}.dcm"
            ds.save_as(path, enforce_file_format=True)
            yield Made(path, shots, ds.BurnedInAnnotation == "YES", pixel_digest(ds))


def pixel_digest(ds: Dataset) -> str:
    return hashlib.sha256(ds.PixelData).hexdigest()


def _dataset(exam: Exam, shots: Shots, about: Sequence[str], place: tuple[int, int]) -> Dataset:
    """`about`: what tells this study from others; `place`: number of the series and of the instance."""
    number, instance = place
    ds = Dataset()
    ds.StudyInstanceUID, ds.FrameOfReferenceUID = _uid("study", *about), _uid("frame", *about)
    ds.SeriesInstanceUID = _uid("series", *about, number)
    ds.SOPClassUID, ds.SOPInstanceUID = UID(SOP_CLASSES[shots.modality]), _uid("instance", *about, number, instance)
    ds.SeriesNumber, ds.InstanceNumber = number, instance
    ds.BurnedInAnnotation = "YES" if instance > shots.instances - shots.burned_in else "NO"
    _add_patient(ds, exam)
    _add_examination(ds, exam, shots)
    _add_hidden(ds, exam)
    _add_image(ds)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _uid(*parts: object) -> UID:
    """A UUID-derived UID (PS3.5 B.2)."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, repr(parts)).int}")


def _add_patient(ds: Dataset, exam: Exam) -> None:
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = exam.name, exam.patient_id, exam.birth_date
    ds.PatientSex, ds.PatientAge, ds.PatientAddress = "O", "061Y", "1 Synthetic Street"
    ds.PatientComments = f"Call {exam.name} about {exam.accession}"


def _add_examination(ds: Dataset, exam: Exam, shots: Shots) -> None:
    ds.AccessionNumber, ds.StudyID, ds.Modality = exam.accession, f"ST{exam.patient_id}"[:16], shots.modality
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = exam.study_date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "101112"
    ds.StudyDescription, ds.SeriesDescription = f"{shots.modality} thorax", shots.description
    ds.ImageType, ds.Manufacturer, ds.ManufacturerModelName = list(shots.image_type), "Synthetic", "Phantom 64"
    ds.DeviceSerialNumber, ds.StationName, ds.InstitutionName = "SN-0001", "ROOM1", "Synthetic Hospital"
    ds.ReferringPhysicianName, ds.OperatorsName = "Refersynth^Ruth", "Operatorsynth^Olga"


def _add_hidden(ds: Dataset, exam: Exam) -> None:
    """Where identifiers are forgotten: nested, and in a private group."""
    item = Dataset()
    item.AccessionNumber, item.RequestedProcedureDescription = exam.accession, "Thorax"
    item.ReasonForTheRequestedProcedure = f"Follow-up of {exam.name}"
    ds.RequestAttributesSequence = Items([item])
    ds.private_block(0x0009, "SYNTHETIC VENDOR", create=True).add_new(0x01, "LO", exam.name)


def _add_image(ds: Dataset) -> None:
    ds.PixelSpacing, ds.SliceThickness, ds.ImageOrientationPatient = ["5", "5"], "1.5", ["1", "0", "0", "0", "1", "0"]
    ds.ImagePositionPatient = ["0", "0", f"{ds.InstanceNumber * 1.5:g}"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.Rows, ds.Columns = 1, "MONOCHROME2", SIDE, SIDE
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    noise = hashlib.shake_256(ds.SOPInstanceUID.encode()).digest(SIDE * SIDE)
    pixels = array("H", (body + speck // 2 for body, speck in zip(_phantom(), noise, strict=True)))
    ds.add_new("PixelData", "OW", pixels.tobytes())


@lru_cache(maxsize=1)
def _phantom() -> tuple[int, ...]:
    """A body with two lungs, row by row."""
    return tuple(_tissue(x / SIDE - 0.5, y / SIDE - 0.5) for y in range(SIDE) for x in range(SIDE))


def _tissue(x: float, y: float) -> int:
    if (x / 0.45) ** 2 + (y / 0.35) ** 2 > 1:
        return 0
    return 300 if ((abs(x) - 0.2) / 0.13) ** 2 + (y / 0.22) ** 2 < 1 else 1000

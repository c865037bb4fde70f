"""Synthetic DICOM studies as nasty as real ones: identifiers at top level, in nested sequences and in private elements.

    facts = make_study(tmp_path, patient_id="SYN-PID-1", name="Synthetic^Anna", birth_date="19500102",
                       accession="SYN-ACC-1", study_date="20240503", series=[SeriesSpec("CT", "Thorax", 20)])

Everything is derived from the arguments and `seed`: the same call makes the same bytes and the same UIDs; studies that
share an accession number need something else that differs. One data set per series is encoded by pydicom, every instance
is that template with its UID, number, position and pixels patched in, so a thousand take about a second.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final, NotRequired, TypedDict, Unpack

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, ExplicitVRLittleEndian

SOP_CLASSES: Final = {
    "CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "CR": "1.2.840.10008.5.1.4.1.1.1",
    "DX": "1.2.840.10008.5.1.4.1.1.1.1", "US": "1.2.840.10008.5.1.4.1.1.6.1", "PT": "1.2.840.10008.5.1.4.1.1.128",
    "OT": "1.2.840.10008.5.1.4.1.1.7", "SR": "1.2.840.10008.5.1.4.1.1.88.11",
}  # fmt: skip
ROOT: Final = "2.25."
# Placeholders have the length of what replaces them, so that no element length changes.
UID_MARK: Final = ROOT + "9" * 38
NUMBER_MARK: Final = "9990"
POSITION_MARK: Final = "9991.5"
PIXEL_MARK: Final = b"PIXELS-HERE-----"


class Patient(TypedDict):
    """Who was examined when. `birth_date` and `study_date` as DA (YYYYMMDD), `name` as PN."""

    patient_id: str
    name: str
    birth_date: str
    accession: str
    study_date: str
    description: NotRequired[str]


@dataclass(frozen=True)
class SeriesSpec:
    """One series to make. `instances` of `rows` x `columns` 16-bit pixels; an SR has none."""

    modality: str = "CT"
    description: str = "Thorax"
    instances: int = 3
    rows: int = 32
    columns: int = 32
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")
    burned_in: str = "NO"


@dataclass(frozen=True)
class SeriesFacts:
    """One series that was made; `SOPInstanceUIDs` and `files` in the order of InstanceNumber."""

    spec: SeriesSpec
    SeriesInstanceUID: str
    SOPInstanceUIDs: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class StudyFacts:
    """One study that was made. `identifiers`: every value in it that must not survive, original UIDs included."""

    patient: Patient
    StudyInstanceUID: str
    series: tuple[SeriesFacts, ...]
    identifiers: frozenset[str] = field(repr=False)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for series in self.series for file in series.files)

    @property
    def instances(self) -> int:
        return len(self.files)


def make_study(
    folder: Path, *, series: Sequence[SeriesSpec] = (SeriesSpec(),), seed: int = 0, **patient: Unpack[Patient]
) -> StudyFacts:
    """Writes the files of one study under `folder` (a sub-folder per study and series) and tells what is in them."""
    rng = random.Random(repr((sorted(patient.items()), list(series), seed)))
    study_uid, frame_uid = _uid(rng), _uid(rng)
    home = folder / f"study-{hashlib.sha256(study_uid.encode()).hexdigest()[:8]}"
    made, uids = [], {study_uid, frame_uid}
    for number, spec in enumerate(series, start=1):
        ds = _template(patient, spec, rng, study_uid)
        ds.SeriesNumber, ds.FrameOfReferenceUID = number, frame_uid
        made.append(_write_series(home / f"s{number:02d}", spec, ds, rng))
        uids |= {str(e.value) for e in ds.iterall() if e.VR == "UI" and str(e.value).startswith(ROOT)}
        uids |= set(made[-1].SOPInstanceUIDs)
    return StudyFacts(patient, study_uid, tuple(made), frozenset((uids - {UID_MARK}) | _identifiers(patient)))


def _uid(rng: random.Random) -> str:
    """A UUID-derived UID (PS3.5 B.2) of always 43 characters, in which no placeholder is."""
    uid = f"{ROOT}{rng.randrange(10**37, 9 * 10**37)}"
    return _uid(rng) if NUMBER_MARK in uid else uid


def _identifiers(patient: Patient) -> set[str]:
    """The values of `_template` that belong to a person; short name parts are left out, they would match by chance."""
    pid = patient["patient_id"]
    names = {part for part in patient["name"].replace("=", "^").split("^") if len(part) > 3}
    return names | {
        patient["name"], pid, patient["accession"], patient["birth_date"], f"OLD-{pid}", f"ALT-{pid}", f"RP-{pid}"[:16],
        f"ST-{pid}"[:16], "Refersynth", "Performsynth", "Operatorsynth", "Readersynth", "Requestsynth", "Maidensynth",
        "Synthetic Hospital", "1 Synthetic Street", "+00-555-0100", "Synthward",
    }  # fmt: skip


def _template(patient: Patient, spec: SeriesSpec, rng: random.Random, study_uid: str) -> Dataset:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(SOP_CLASSES[spec.modality])
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(UID_MARK)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, _uid(rng)
    _add_patient(ds, patient)
    _add_study(ds, patient, spec)
    _add_nested(ds, patient, rng)
    _add_private(ds, patient)
    if spec.modality != "SR":
        _add_image(ds, spec, rng)
    return ds


def _add_patient(ds: Dataset, patient: Patient) -> None:
    pid = patient["patient_id"]
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = patient["name"], pid, patient["birth_date"]
    ds.IssuerOfPatientID, ds.PatientSex, ds.PatientAge, ds.PatientWeight = "SYNTHRIS", "O", "054Y", "70.5"
    ds.OtherPatientNames, ds.PatientBirthName = "Maidensynth^Old", "Maidensynth"
    ds.PatientAddress, ds.PatientTelephoneNumbers = "1 Synthetic Street", "+00-555-0100"
    ds.PatientComments = f"Call {patient['name']} about {patient['accession']}"
    ds.OtherPatientIDsSequence = _items(PatientID=f"ALT-{pid}", TypeOfPatientID="TEXT")


def _add_study(ds: Dataset, patient: Patient, spec: SeriesSpec) -> None:
    day = patient["study_date"]
    ds.AccessionNumber, ds.StudyID = patient["accession"], f"ST-{patient['patient_id']}"[:16]
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = day
    ds.StudyTime, ds.SeriesTime, ds.ContentTime, ds.AcquisitionDateTime = "101112", "101213.5", "101314", f"{day}101415"
    ds.Modality, ds.SeriesDescription, ds.ImageType = spec.modality, spec.description, list(spec.image_type)
    ds.StudyDescription, ds.ProtocolName = patient.get("description", "Synthetic examination"), "Protocol 1"
    ds.Manufacturer, ds.ManufacturerModelName, ds.DeviceSerialNumber = "Synthetic", "Scanner 9", "SN-0001"
    ds.StationName, ds.InstitutionName, ds.InstitutionAddress = "ROOM1", "Synthetic Hospital", "1 Synthetic Street"
    ds.InstitutionalDepartmentName, ds.CurrentPatientLocation = "Synthward", "Synthward 3"
    ds.ReferringPhysicianName, ds.PerformingPhysicianName = "Refersynth^Ruth", "Performsynth^Paul"
    ds.OperatorsName, ds.NameOfPhysiciansReadingStudy = "Operatorsynth^Olga", "Readersynth^Rita"
    ds.InstanceNumber, ds.BurnedInAnnotation = NUMBER_MARK, spec.burned_in
    ds.ImageComments = f"{patient['name']} moved"


def _add_nested(ds: Dataset, patient: Patient, rng: random.Random) -> None:
    pid, name = patient["patient_id"], patient["name"]
    ds.RequestAttributesSequence = _items(
        AccessionNumber=patient["accession"], RequestedProcedureID=f"RP-{pid}"[:16], StudyInstanceUID=ds.StudyInstanceUID,
        RequestedProcedureDescription="Thorax", ScheduledProcedureStepID="SPS1", RequestingPhysician="Requestsynth^Rosa",
        ReasonForTheRequestedProcedure=f"Follow-up of {name}",
    )  # fmt: skip
    ds.ReferencedStudySequence = _items(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID=ds.StudyInstanceUID
    )
    ds.ReferencedImageSequence = _items(ReferencedSOPClassUID=ds.SOPClassUID, ReferencedSOPInstanceUID=_uid(rng))
    ds.OriginalAttributesSequence = _items(
        AttributeModificationDateTime=f"{patient['study_date']}120000", ModifyingSystem="SYNTHRIS", SourceOfPreviousValues="",
        ReasonForTheAttributeModification="CORRECT",
        ModifiedAttributesSequence=_items(PatientID=f"OLD-{pid}", PatientName=name, AccessionNumber=patient["accession"]),
    )  # fmt: skip
    ds.ProcedureCodeSequence = _items(CodeValue="77477000", CodingSchemeDesignator="SCT", CodeMeaning="CT of thorax")
    ds.IrradiationEventUID = _uid(rng)


def _add_private(ds: Dataset, patient: Patient) -> None:
    vendor = ds.private_block(0x0009, "SYNTHETIC VENDOR", create=True)
    vendor.add_new(0x01, "LO", patient["name"])
    vendor.add_new(0x02, "UN", f"raw:{patient['patient_id']};{patient['accession']} ".encode())
    vendor.add_new(0x03, "UI", ds.StudyInstanceUID)
    other = ds.private_block(0x0029, "SYNTHETIC NESTED", create=True)
    other.add_new(0x10, "SQ", _items(PatientID=patient["patient_id"], PatientBirthDate=patient["birth_date"]))


def _add_image(ds: Dataset, spec: SeriesSpec, rng: random.Random) -> None:
    ds.AcquisitionUID, ds.PixelSpacing, ds.SliceThickness = _uid(rng), ["0.7", "0.7"], "1.5"
    ds.ImagePositionPatient, ds.ImageOrientationPatient = ["0", "0", POSITION_MARK], ["1", "0", "0", "0", "1", "0"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.Rows, ds.Columns = 1, "MONOCHROME2", spec.rows, spec.columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.add_new("PixelData", "OW", PIXEL_MARK.ljust(spec.rows * spec.columns * 2, b"\0"))


def _items(**attributes: object) -> DicomSequence:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return DicomSequence([item])


def _write_series(folder: Path, spec: SeriesSpec, ds: Dataset, rng: random.Random) -> SeriesFacts:
    folder.mkdir(parents=True)
    uids = tuple(_uid(rng) for _ in range(spec.instances))
    files = tuple(folder / f"i{number:04d}.dcm" for number in range(1, spec.instances + 1))
    for file, content in zip(files, _instances(spec, ds, uids, rng), strict=True):
        file.write_bytes(content)
    return SeriesFacts(spec, str(ds.SeriesInstanceUID), uids, files)


def _instances(spec: SeriesSpec, ds: Dataset, uids: Sequence[str], rng: random.Random) -> Iterator[bytes]:
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    header, mark, _ = buffer.getvalue().partition(PIXEL_MARK)
    for number, uid in enumerate(uids, start=1):
        patched = header.replace(UID_MARK.encode(), uid.encode()).replace(
            NUMBER_MARK.encode(), f"{number:04d}".encode()
        )
        patched = patched.replace(POSITION_MARK.encode(), f"{number:04d}.5".encode())
        yield patched + (rng.randbytes(spec.rows * spec.columns * 2) if mark else b"")

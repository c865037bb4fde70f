"""What the de-identification bench works on: CT-like instances of 525 KB and one enhanced CT of 4,000 frames.

A CT instance has about 270 elements in 6 KB, a third of them private, as a scanner writes them, and 512 x 512 pixels; the
enhanced one 2.3 MB of per-frame items and small frames, so that its header is the work. All of it is made up.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

ROOT: Final = "1.2.826.0.1.3680043.10.9998"
CT: Final = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT: Final = "1.2.840.10008.5.1.4.1.1.2.1"
STUDIES: Final = 4
SEED: Final = 7

PERSON: Final = """\
PatientName Benchsynth{n}^Berta^Maria
PatientID SYNPID{n:06d}
IssuerOfPatientID SYNTHRIS
PatientBirthDate 19600102
PatientSex F
PatientAge 063Y
PatientSize 1.7
PatientWeight 70
PatientAddress {n} Synthallee
OtherPatientIDs SYNOLD{n:06d}
EthnicGroup none
Allergies none
AdditionalPatientHistory cough for three weeks, seen by Dr. Refersynth
PatientComments Benchsynth{n} is hard of hearing
ReferringPhysicianName Refersynth^Ring^^Dr
PerformingPhysicianName Performsynth^Paul
OperatorsName Operatorsynth^Olga
RequestingPhysician Requestsynth^Rosa
RequestingService PNEU
AccessionNumber SYNACC{n:07d}
StudyID SYNST{n}
PerformedProcedureStepID SYNPPS{n}
InstitutionName Synthhospital
InstitutionAddress Synthstreet 1, Synthtown
InstitutionalDepartmentName Synthradiology
StationName SYNCT0001
DeviceSerialNumber 66123987
"""
STUDY: Final = """\
SpecificCharacterSet ISO_IR 100
InstanceCreationDate 20230117
InstanceCreationTime 101112.123000
StudyDate 20230117
SeriesDate 20230117
AcquisitionDate 20230117
ContentDate 20230117
StudyTime 101112.123000
SeriesTime 101113.456000
AcquisitionTime 101114.789000
ContentTime 101115.012000
AcquisitionDateTime 20230117101114.789000
Modality CT
Manufacturer EXAMPLE
ManufacturerModelName Definition Sample
StudyDescription Thorax^ThoraxRoutine (Adult)
SeriesDescription Thorax 1.0 B30f
DerivationDescription none
BodyPartExamined CHEST
ProtocolName ThoraxRoutine
SoftwareVersions syngo CT 2012B
PatientPosition FFS
PositionReferenceIndicator SN
RequestedProcedureDescription CT Thorax
PerformedProcedureStepStartDate 20230117
PerformedProcedureStepStartTime 101000
PerformedProcedureStepDescription CT Thorax
SeriesNumber 2
AcquisitionNumber 1
ImageComments thin slices
"""
SCAN: Final = """\
ScanOptions SPI
SliceThickness 1
KVP 120
DataCollectionDiameter 500
ReconstructionDiameter 340
DistanceSourceToDetector 1085.6
DistanceSourceToPatient 595
GantryDetectorTilt 0
TableHeight 151
RotationDirection CW
ExposureTime 500
XRayTubeCurrent 180
Exposure 75
FilterType FLAT
GeneratorPower 21
DateOfLastCalibration 20230110
TimeOfLastCalibration 070000.000000
ConvolutionKernel B30f
ExposureModulationType XYZ_EC
PhotometricInterpretation MONOCHROME2
RescaleIntercept -1024
RescaleSlope 1
RescaleType HU
"""
LISTS: Final[dict[str, list[str]]] = {
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"],
    "FocalSpots": ["0.7", "1.2"],
    "WindowCenter": ["50", "-600"],
    "WindowWidth": ["350", "1200"],
    "WindowCenterWidthExplanation": ["WINDOW1", "WINDOW2"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "PixelSpacing": ["0.6640625", "0.6640625"],
}
NUMBERS: Final[dict[str, int | float]] = {
    "PregnancyStatus": 4, "EstimatedDoseSaving": 32.5, "CTDIvol": 5.12, "SingleCollimationWidth": 0.6,
    "TotalCollimationWidth": 38.4, "TableSpeed": 76.8, "TableFeedPerRotation": 38.4, "SpiralPitchFactor": 1.0,
    "SamplesPerPixel": 1, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0,
    "SmallestImagePixelValue": 0, "LargestImagePixelValue": 4095,
}  # fmt: skip
PRIVATE: Final = ((0x0009, 12), (0x0019, 38), (0x0021, 18), (0x0029, 12), (0x0043, 34))
"""Group and number of elements of each block."""


@dataclass(frozen=True)
class Corpus:
    """Folders with the files to de-identify. `identifiers`: what stands in them and must not stand in any output."""

    ct: Path
    enhanced: Path
    identifiers: frozenset[bytes]


def make_corpus(home: Path, *, instances: int, frames: int, rows: int = 512) -> Corpus:
    """`instances` CT files of `rows` x `rows` pixels in `STUDIES` studies, and one enhanced file of `frames` frames."""
    corpus = Corpus(home / "ct", home / "enhanced", _identifiers())
    corpus.ct.mkdir(parents=True)
    corpus.enhanced.mkdir()
    rng = random.Random(SEED)
    for number in range(instances):
        study, place = number % STUDIES, number // STUDIES + 1
        ds = _header(study, CT, rows)
        _put_slice(ds, study, place)
        ds.PixelData = rng.randbytes(rows * rows * 2)
        ds["PixelData"].VR = "OW"
        dcmwrite(corpus.ct / f"{number:05d}.dcm", ds, enforce_file_format=True)
    (corpus.enhanced / "00000.dcm").write_bytes(_enhanced(frames, rng))
    return corpus


def _identifiers() -> frozenset[bytes]:
    """The words of `PERSON` that would mean nobody else, for every study."""
    lines = (line for study in range(STUDIES) for line in PERSON.format(n=study + 1).splitlines())
    words = {word for line in lines for word in line.partition(" ")[2].replace("^", " ").replace(",", " ").split()}
    uids = {f"{ROOT}.{kind}.{study + 1}" for kind in (1, 2, 3) for study in range(STUDIES)}
    return frozenset(
        word.encode() for word in words | uids if word.upper().startswith(("SYN", ROOT)) or "synth" in word
    )


def _header(study: int, SOPClassUID: str, rows: int) -> Dataset:
    """All that the instances of a study have in common."""
    ds = Dataset()
    for line in (PERSON.format(n=study + 1) + STUDY + SCAN).splitlines():
        keyword, _, value = line.partition(" ")
        setattr(ds, keyword, value)
    for keyword, what in (LISTS | NUMBERS).items():
        setattr(ds, keyword, what)
    ds.Rows = ds.Columns = rows
    ds.SOPClassUID, ds.StudyInstanceUID = SOPClassUID, f"{ROOT}.1.{study + 1}"
    ds.SeriesInstanceUID, ds.FrameOfReferenceUID = f"{ROOT}.1.{study + 1}.2", f"{ROOT}.2.{study + 1}"
    _put_sequences(ds, study)
    _put_private(ds, study)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.SourceApplicationEntityTitle = "SYNCT0001"
    return ds


def _put_sequences(ds: Dataset, study: int) -> None:
    code = _item(CodeValue="CTTHX", CodingSchemeDesignator="99LOC", CodeMeaning="CT Thorax")
    dose = _item(CodeValue="113691", CodingSchemeDesignator="DCM", CodeMeaning="IEC Body Dosimetry Phantom")
    step = _item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.3", ReferencedSOPInstanceUID=f"{ROOT}.3.{study + 1}")
    ds.ProcedureCodeSequence = ds.RequestedProcedureCodeSequence = Sequence([code])
    ds.CTDIPhantomTypeCodeSequence = Sequence([dose])
    ds.ReferencedPerformedProcedureStepSequence = ds.ReferencedStudySequence = Sequence([step])
    ds.ReferencedImageSequence = Sequence(
        [_item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=f"{ROOT}.1.{study + 1}.1.{i}") for i in (1, 2)]
    )
    request = _item(
        ScheduledProcedureStepDescription="CT Thorax", ScheduledProcedureStepID=f"SYNSPS{study + 1}",
        RequestedProcedureID=f"SYNRP{study + 1}", AccessionNumber=ds.AccessionNumber,
        ReasonForTheRequestedProcedure=f"Follow-up of Benchsynth{study + 1}",
    )  # fmt: skip
    request.ScheduledProtocolCodeSequence = Sequence([code])
    ds.RequestAttributesSequence = Sequence([request])


def _put_private(ds: Dataset, study: int) -> None:
    """Numbers and text, as scanners have them, the patient's name once, and two larger blobs."""
    for group, elements in PRIVATE:
        block = ds.private_block(group, "EXAMPLE CT HEADER", create=True)
        for number in range(elements):
            vr, value = (("DS", f"{number}.5"), ("SL", number), ("LO", f"setting {number}"), ("FL", 0.25))[number % 4]
            block.add_new(number, vr, value)
    ds.private_block(0x0009, "EXAMPLE CT HEADER").add_new(0x80, "LO", f"Benchsynth{study + 1}^Berta")
    blob = random.Random(study)
    ds.private_block(0x0029, "EXAMPLE CT HEADER").add_new(0x80, "OB", blob.randbytes(1024))
    ds.private_block(0x0029, "EXAMPLE CT HEADER").add_new(0x81, "OB", blob.randbytes(512))


def _put_slice(ds: Dataset, study: int, place: int) -> None:
    ds.SOPInstanceUID = UID(f"{ROOT}.1.{study + 1}.2.{place}")
    ds.InstanceNumber, ds.SliceLocation = place, f"{-place}.5"
    ds.ImagePositionPatient = ["-170.0", "-170.0", f"{-place}.5"]
    ds.ContentTime = f"10{place // 60 % 60:02d}{place % 60:02d}.012000"


def _item(**elements: str) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item


def _enhanced(frames: int, rng: random.Random) -> bytes:
    """64 x 64 pixels a frame. The per-frame items are one item, encoded once, with its numbers patched in."""
    ds = _header(0, ENHANCED_CT, 64)
    for keyword in ("ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(ds, keyword)
    ds.SOPInstanceUID, ds.InstanceNumber, ds.NumberOfFrames = UID(f"{ROOT}.1.1.3.1"), 1, frames
    ds.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    file = BytesIO()
    dcmwrite(file, ds, enforce_file_format=True)
    items = b"".join(_patched(_encoded(_frame()), frames))
    pixels = rng.randbytes(64 * 64 * 2 * frames)
    tail = struct.pack("<HH2sHI", 0x5200, 0x9230, b"SQ", 0, len(items)) + items
    return file.getvalue() + tail + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(pixels)) + pixels


POSITION, TIME, IMAGE = "-1111.5", "20230117222222.222222", f"{ROOT}.1.1.9.333333"


def _frame() -> Dataset:
    """One per-frame item (PS3.3 C.7.6.16): position, orientation, spacing, content, a reference."""
    frame = Dataset()
    reference = _item(ReferencedSOPClassUID=CT, ReferencedSOPInstanceUID=IMAGE)
    frame.ReferencedImageSequence = Sequence([reference])
    content = _item(FrameAcquisitionDateTime=TIME, FrameReferenceDateTime=TIME, StackID="1")
    content.FrameAcquisitionNumber, content.InStackPositionNumber = 1, 1
    content.FrameAcquisitionDuration, content.DimensionIndexValues = 250.0, [1, 1]
    frame.FrameContentSequence = Sequence([content])
    position = Dataset()
    position.ImagePositionPatient = ["-170.0", "-170.0", POSITION]
    orientation = Dataset()
    orientation.ImageOrientationPatient = LISTS["ImageOrientationPatient"]
    measures = Dataset()
    measures.SliceThickness, measures.PixelSpacing = "1", LISTS["PixelSpacing"]
    window = _item(WindowCenterWidthExplanation="WINDOW1")
    window.WindowCenter, window.WindowWidth = "50", "350"
    frame.PlanePositionSequence, frame.PlaneOrientationSequence = Sequence([position]), Sequence([orientation])
    frame.PixelMeasuresSequence, frame.FrameVOILUTSequence = Sequence([measures]), Sequence([window])
    frame.CTImageFrameTypeSequence = Sequence(
        [_item(PixelPresentation="MONOCHROME", VolumetricProperties="VOLUME", VolumeBasedCalculationTechnique="NONE")]
    )
    frame.IrradiationEventIdentificationSequence = Sequence([_item(IrradiationEventUID=f"{ROOT}.1.1.8.1")])
    return frame


def _encoded(ds: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return buffer.getvalue()


def _patched(item: bytes, frames: int) -> Iterator[bytes]:
    """Values have the length of what they replace."""
    head = struct.pack("<HHI", 0xFFFE, 0xE000, len(item))
    for number in range(frames):
        one = item.replace(POSITION.encode(), b"-%04d.5" % number)
        one = one.replace(TIME.encode(), b"20230117%02d%02d%02d.%06d" % (10, number // 60 % 60, number % 60, number))
        yield head + one.replace(IMAGE.encode(), f"{ROOT}.1.1.9.{100000 + number}".encode())

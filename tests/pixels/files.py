"""Whole Part 10 files around given pixels, written by pydicom (and GDCM, Pillow), which are apart from what is tested."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import gdcm
import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.pixels.planted import Planted

Pixels: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_ROOT: Final = "1.2.840.10008.1.2."
NATIVE: Final = {
    "explicit": str(ExplicitVRLittleEndian),
    "implicit": str(ImplicitVRLittleEndian),
    "big": str(ExplicitVRBigEndian),
    "deflated": _ROOT + "1.99",
}
RLE, JPEG_LS, JPEG_2000, JPEG, JPEG_LOSSLESS = (_ROOT + end for end in ("5", "4.80", "4.90", "4.50", "4.70"))
CLASSES: Final = {
    kind: "1.2.840.10008.5.1.4.1.1." + end
    for kind, end in (
        ("US", "6.1"),
        ("USM", "3.1"),
        ("SC", "7"),
        ("CR", "1"),
        ("DX", "1.1"),
        ("MG", "1.2"),
        ("XA", "12.1"),
    )
}


@dataclass(frozen=True)
class Made:
    """How a file is made. `frames`: as stored, each (rows, columns) or (rows, columns, 3), in `photometric`."""

    frames: Sequence[Pixels]
    kind: str = "SC"
    syntax: str = NATIVE["explicit"]
    photometric: str = "MONOCHROME2"
    stored: int = 8
    planar: int = 0
    elements: Mapping[str, object] = field(default_factory=dict)


def part10(made: Made) -> bytes:
    """The file. Pixels are encoded frame by frame."""
    ds = _header(made)
    if made.syntax in NATIVE.values():
        ds.PixelData = _native(made)
        ds["PixelData"].VR = "OW" if ds.BitsAllocated > 8 else "OB"
    else:
        ds.PixelData = encapsulate([_encoded(made, frame, ds) for frame in made.frames])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
    for name, value in made.elements.items():
        setattr(ds, name, value)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _header(made: Made) -> Dataset:
    first, ds = made.frames[0], Dataset()
    ds.SOPClassUID = CLASSES[made.kind]
    ds.SOPInstanceUID = "2.25.7411"
    ds.Modality = {"SC": "OT", "USM": "US"}.get(made.kind, made.kind)
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.Manufacturer = "Nobody"
    ds.PatientIdentityRemoved = "YES"
    ds.SamplesPerPixel = 3 if first.ndim == 3 else 1
    ds.PhotometricInterpretation = made.photometric
    if first.ndim == 3:
        ds.PlanarConfiguration = made.planar
    ds.Rows, ds.Columns = first.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = first.dtype.itemsize * 8, made.stored, made.stored - 1
    ds.PixelRepresentation = int(first.dtype.kind == "i")
    ds.BurnedInAnnotation = "YES"
    if len(made.frames) > 1:
        ds.NumberOfFrames = len(made.frames)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(made.syntax)
    return ds


def _native(made: Made) -> bytes:
    big = made.syntax == NATIVE["big"]
    frames = [f.astype(f.dtype.newbyteorder(">" if big else "<")) for f in made.frames]
    if made.planar:
        frames = [np.moveaxis(f, 2, 0) for f in frames]
    data = b"".join(f.tobytes() for f in frames)
    return data + b"\0" * (len(data) & 1)


def _encoded(made: Made, frame: Pixels, ds: Dataset) -> bytes:
    if made.syntax == JPEG:
        return _jpeg(frame, made.photometric)
    if made.syntax == JPEG_LOSSLESS:
        return _jpeg_lossless(frame, made)
    plugin = {RLE: "pydicom", JPEG_LS: "pyjpegls", JPEG_2000: "pylibjpeg"}[made.syntax]
    told: dict[str, Any] = {
        "rows": ds.Rows, "columns": ds.Columns, "samples_per_pixel": ds.SamplesPerPixel, "number_of_frames": 1,
        "bits_allocated": ds.BitsAllocated, "bits_stored": ds.BitsStored, "pixel_representation": ds.PixelRepresentation,
        "photometric_interpretation": made.photometric,
    }  # fmt: skip
    if frame.ndim == 3:
        told["planar_configuration"] = 0
    encoded: bytes = get_encoder(UID(made.syntax)).encode(frame, encoding_plugin=plugin, **told)
    return encoded


def _jpeg(frame: Pixels, photometric: str) -> bytes:
    out = io.BytesIO()
    if frame.ndim == 2:
        Image.fromarray(frame).save(out, "JPEG", quality=92)
    elif photometric == "RGB":
        Image.fromarray(frame).save(out, "JPEG", quality=92, keep_rgb=True)
    else:
        Image.fromarray(frame, "YCbCr").save(out, "JPEG", quality=92, subsampling=1)
    return out.getvalue()


def _jpeg_lossless(frame: Pixels, made: Made) -> bytes:
    """By GDCM, through a file of its own: its Python objects do not outlive one another."""
    with TemporaryDirectory() as folder:
        source, target = f"{folder}/a.dcm", f"{folder}/b.dcm"
        plain = Made([frame], made.kind, NATIVE["explicit"], made.photometric, made.stored)
        with open(source, "wb") as file:
            file.write(part10(plain))
        reader = gdcm.ImageReader()
        reader.SetFileName(source)
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(target)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return bytes(get_frame(dcmread(target).PixelData, 0, number_of_frames=1))


def as_stored(planted: Planted, photometric: str = "", deep: bool = False) -> tuple[Pixels, str, int]:
    """A planted frame as its kind of machine stores it: pixels, photometric interpretation, bits stored."""
    grey = planted.grey
    if deep:
        twelve = np.round(grey * 16).clip(0, 4095).astype(np.uint16)
        return (4095 - twelve, "MONOCHROME1", 12) if photometric == "MONOCHROME1" else (twelve, "MONOCHROME2", 12)
    eight = np.round(grey).clip(0, 255).astype(np.uint8)
    if photometric == "RGB":
        return np.stack([eight, eight, np.round(grey * 0.8).astype(np.uint8)], axis=2), "RGB", 8
    if photometric.startswith("YBR"):
        return np.stack([eight, np.full_like(eight, 118), np.full_like(eight, 131)], axis=2), photometric, 8
    return (255 - eight, "MONOCHROME1", 8) if photometric == "MONOCHROME1" else (eight, "MONOCHROME2", 8)

"""One frame decoded, one frame encoded: pydicom's decoders on GDCM (JPEG), CharLS (JPEG-LS), OpenJPEG (JPEG 2000); RLE.

What a decoder gives is what is stored, sample by sample: no colour conversion of ours. Codecs are native code that reads what a
stranger sent: they run in the screening process only, never in a receiver.
"""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID

from gateway.deidentify.frames import Picture, Shape, Unscreenable
from gateway.model import Buffer

Pixels: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_ROOT: Final = "1.2.840.10008.1.2."
RLE, JPEG_LS, JPEG_2000 = _ROOT + "5", _ROOT + "4.80", _ROOT + "4.90"
VIDEO: Final = tuple(_ROOT + f"4.{number}" for number in range(100, 109)) + (_ROOT + "7.",)
"""MPEG-2, MPEG-4, HEVC; SMPTE ST 2110."""
PLUGIN: Final = {
    **dict.fromkeys((_ROOT + "4.50", _ROOT + "4.51", _ROOT + "4.57", _ROOT + "4.70"), "gdcm"),
    **dict.fromkeys((JPEG_LS, _ROOT + "4.81"), "pyjpegls"),
    **dict.fromkeys((JPEG_2000, _ROOT + "4.91", _ROOT + "4.201", _ROOT + "4.202", _ROOT + "4.203"), "pylibjpeg"),
    RLE: "pydicom",
}
"""What decodes which transfer syntax. What is not named is not decoded."""
ENCODER: Final = {RLE: "gdcm", JPEG_LS: "pyjpegls", JPEG_2000: "pylibjpeg"}
"""Written as they came, since lossless and an encoder is there; all else is stored uncompressed once it is masked."""
FAILURES: Final = (
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    KeyError,
    struct.error,
)
"""What decoders raise for bytes that they cannot read; of the last few they say nothing in their documentation."""


@dataclass(frozen=True)
class Frame:
    """`pixels`: (rows, columns) or (rows, columns, 3). `photometric`: of `pixels`, not of what was encoded."""

    pixels: Pixels
    photometric: str


def check_syntax(syntax: str) -> None:
    """Raises Unscreenable for what is not decoded: `pixels.video`, `pixels.syntax`."""
    if syntax.startswith(VIDEO):
        raise Unscreenable("pixels.video")
    if syntax not in PLUGIN:
        raise Unscreenable("pixels.syntax")


def native(picture: Picture, number: int) -> Frame:
    """A frame of native pixel data; a view where its samples lie as arrays have them."""
    shape = picture.shape
    if shape.bits == 1:
        return Frame(_unpacked(picture, number), shape.photometric)
    values = np.frombuffer(picture.frame(number), sample_type(shape, picture.codec.order))
    if shape.photometric.endswith("422"):
        pairs = values.reshape(shape.rows, shape.columns // 2, 4)
        whole = np.stack([pairs[..., [0, 2, 3]], pairs[..., [1, 2, 3]]], axis=2)
        return Frame(whole.reshape(shape.rows, shape.columns, 3), "YBR_FULL")
    if shape.samples == 1:
        return Frame(values.reshape(shape.rows, shape.columns), shape.photometric)
    if shape.planar:
        return Frame(np.moveaxis(values.reshape(3, shape.rows, shape.columns), 0, 2), shape.photometric)
    return Frame(values.reshape(shape.rows, shape.columns, 3), shape.photometric)


def sample_type(shape: Shape, order: str) -> np.dtype[Any]:
    return np.dtype(f"{order}{'i' if shape.signed else 'u'}{shape.bits // 8}")


def _unpacked(picture: Picture, number: int) -> Pixels:
    """Bits follow one another over the ends of frames, the first in the lowest (PS3.5 8.1.1)."""
    shape = picture.shape
    start = number * shape.pixels
    data = picture.data[picture.pixels.value + start // 8 : picture.pixels.value + (start + shape.pixels + 7) // 8]
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    return bits[start % 8 : start % 8 + shape.pixels].reshape(shape.rows, shape.columns)


def decode(fragment: memoryview, picture: Picture) -> Frame:
    """Raises Unscreenable: `pixels.undecodable`, or `.dimensions` when the frame is not as large as the header says."""
    shape = picture.shape
    options = _options(shape) | {"number_of_frames": 1, "pixel_keyword": "PixelData"}
    decoder = get_decoder(UID(picture.syntax))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels, told = decoder.as_array(
                _capsule(fragment), index=0, raw=True, decoding_plugin=PLUGIN[picture.syntax], **options
            )
        except FAILURES:
            raise Unscreenable("pixels.undecodable") from None
    if pixels.shape[:2] != (shape.rows, shape.columns) or pixels.dtype.itemsize * 8 != shape.bits:
        raise Unscreenable("pixels.dimensions")
    return Frame(pixels, str(told["photometric_interpretation"]).removesuffix("_422"))


def encode(frame: Frame, picture: Picture) -> bytes:
    """Losslessly, in the transfer syntax that the frame came in, of even length; proved by decoding it again.

    Raises Unscreenable: `pixels.unencodable`.
    """
    shape = replace(picture.shape, photometric=_encoded_as(frame, picture), planar=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            encoder = get_encoder(UID(picture.syntax))
            pixels = np.ascontiguousarray(frame.pixels)
            plugin = ENCODER[picture.syntax]
            done: bytes = encoder.encode(pixels, encoding_plugin=plugin, number_of_frames=1, **_options(shape))
        except FAILURES:
            raise Unscreenable("pixels.unencodable") from None
    done += b"\0" * (len(done) & 1)
    if not np.array_equal(decode(memoryview(done), replace(picture, shape=shape)).pixels, frame.pixels):
        raise Unscreenable("pixels.unencodable")
    return done


def _encoded_as(frame: Frame, picture: Picture) -> str:
    """JPEG 2000 keeps its colour transform, which is reversible; all else says what the samples are."""
    return picture.shape.photometric if picture.syntax == JPEG_2000 else frame.photometric


def _options(shape: Shape) -> dict[str, Any]:
    told: dict[str, Any] = {
        "rows": shape.rows,
        "columns": shape.columns,
        "samples_per_pixel": shape.samples,
        "bits_allocated": shape.bits,
        "bits_stored": shape.stored,
        "photometric_interpretation": shape.photometric,
        "pixel_representation": int(shape.signed),
    }
    return told | ({"planar_configuration": shape.planar} if shape.samples > 1 else {})


def item(data: Buffer) -> list[Buffer]:
    """A fragment with its item's header (PS3.5 A.4)."""
    return [struct.pack("<HHI", 0xFFFE, 0xE000, len(data)), data]


END: Final = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def _capsule(fragment: memoryview) -> bytes:
    """Encapsulated pixel data of one frame with an empty offset table."""
    return b"".join([*item(b""), *item(bytes(fragment) + b"\0" * (len(fragment) & 1)), END])

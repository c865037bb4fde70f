"""What hides in and around pixel data: overlay bits, bytes behind the image, words in compressed frames."""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable

import pydicom
import pytest

from gateway.deidentify import verify
from gateway.deidentify.cleaner import Cleaner
from gateway.deidentify.pixels import image_size
from gateway.deidentify.profile import compile_profile
from gateway.model import Buffer, Dropped, Kept
from gateway.settings import Deidentify
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write

WORDS = b"QZXWORDSXQJK"


def written(cleaner: Cleaner, elements: list[Element], syntax: str = "explicit") -> bytes:
    result = cleaner.clean(write(elements, syntax), SYNTAXES[syntax], frozenset())
    assert isinstance(result, Kept), result
    return b"".join(result.parts)


def grey(stored: int, *pixels: int) -> list[Element]:
    """8 x 8 pixels of 16 bits with an overlay in bit 15."""
    values = struct.pack("<64H", *(pixels * 64)[:64])
    return with_(
        base(),
        Element(0x00280100, "US", struct.pack("<H", 16)),
        Element(0x00280101, "US", struct.pack("<H", stored)),
        Element(0x00280102, "US", struct.pack("<H", stored - 1)),
        Element(0x60000010, "US", b"\x08\0"),
        Element(0x60000102, "US", struct.pack("<H", 15)),
        Element(0x7FE00010, "OW", values),
    )


def test_an_overlay_in_unused_bits_is_cleared_and_the_image_stays(cleaner: Cleaner) -> None:
    ds = pydicom.dcmread(io.BytesIO(written(cleaner, grey(12, 0x8ABC, 0xF123))))
    assert struct.unpack("<64H", ds.PixelData) == (0x0ABC, 0x0123) * 32
    assert not [e for e in ds if e.tag.group & 0xFF00 == 0x6000]


def test_bits_that_nobody_can_reach_are_refused(cleaner: Cleaner) -> None:
    result = cleaner.clean(write(grey(12, 1), "encapsulated"), SYNTAXES["encapsulated"], frozenset())
    assert isinstance(result, Dropped) and result.reason == "dataset.malformed"
    broken = with_(grey(12, 1), Element(0x00280102, "US", struct.pack("<H", 40)))
    result = cleaner.clean(write(broken, "explicit"), SYNTAXES["explicit"], frozenset())
    assert isinstance(result, Dropped) and result.reason == "dataset.malformed"


def test_bytes_behind_a_native_image_go(cleaner: Cleaner) -> None:
    image = struct.pack("<64H", *range(64))
    elements = with_(base(), Element(0x00280100, "US", struct.pack("<H", 16)), Element(0x7FE00010, "OW", image + WORDS))
    out = written(cleaner, elements)
    assert WORDS not in out and pydicom.dcmread(io.BytesIO(out)).PixelData == image


@pytest.mark.parametrize(
    ("rows", "bits", "photometric", "frames", "length", "expected"),
    [
        (8, 16, b"MONOCHROME2", b"", 200, 128),
        (8, 1, b"MONOCHROME2", b"3", 200, 24),
        (3, 8, b"MONOCHROME2", b"", 200, 24),  # an odd 3 x 8 would be padded
        (8, 16, b"MONOCHROME2", b"", 64, 0),  # tells of more than there is
        (8, 16, b"MONOCHROME2", b"x", 200, 0),
        (8, 16, b"YBR_FULL_422", b"", 100, 86),
    ],
)
def test_image_size(rows: int, bits: int, photometric: bytes, frames: bytes, length: int, expected: int) -> None:
    seen = {
        0x00280010: struct.pack("<H", rows),
        0x00280011: b"\x08\0",
        0x00280100: struct.pack("<H", bits),
        0x00280004: photometric,
        0x00280008: frames,
    }
    assert image_size(seen, length, compile_profile(Deidentify()).codecs.little_explicit) == expected


def image_of(rows: int, value: bytes) -> list[Element]:
    """8-bit pixels, 8 in a row; no geometry at all for 0 rows."""
    if not rows:
        gone = (0x00280010, 0x00280011, 0x00280100)
        return with_([each for each in base() if each.tag not in gone], Element(0x7FE00010, "OW", value))
    told = Element(0x00280010, "US", struct.pack("<H", rows)), Element(0x00280100, "US", b"\x08\0")
    return with_(base(), *told, Element(0x7FE00010, "OW", value))


@pytest.mark.parametrize("rows", [0, 4, 4000], ids=["no geometry", "a small image", "more is told of"])
def test_values_among_pixels_that_may_be_elements_are_found(cleaner: Cleaner, rows: int) -> None:
    """A broken file's pixel data may hold the elements that should stand behind it."""
    value = b"\0" * 8 + WORDS + b"\0" * (24 - len(WORDS))
    data = write(image_of(rows, value), "explicit")
    assert isinstance(cleaner.clean(data, SYNTAXES["explicit"], frozenset()), Kept)
    result = cleaner.clean(data, SYNTAXES["explicit"], frozenset({WORDS.decode()}))
    assert isinstance(result, Dropped) and result.reason == "verify.request@7FE00010"
    again = cleaner.clean(data.replace(WORDS, bytes(len(WORDS))), SYNTAXES["explicit"], frozenset({WORDS.decode()}))
    assert isinstance(again, Kept)
    result = cleaner.clean(data, SYNTAXES["explicit"], frozenset({WORDS.decode()}))
    assert isinstance(result, Dropped), "also where one without it came before"


def test_an_image_of_known_size_is_passed_through_unread(cleaner: Cleaner) -> None:
    elements = image_of(4096, bytes(8 * 4096))
    result = cleaner.clean(write(elements, "explicit"), SYNTAXES["explicit"], frozenset({WORDS.decode()}))
    assert isinstance(result, Kept) and isinstance(result.parts[-1], memoryview)


def test_what_is_no_image_is_searched_to_its_end(cleaner: Cleaner) -> None:
    for at in (verify.PIECE - 5, 2 * verify.PIECE + 1):
        value = bytes(at) + WORDS + bytes(2 * verify.PIECE)
        data = write(image_of(0, value + bytes(len(value) & 1)), "explicit")
        result = cleaner.clean(data, SYNTAXES["explicit"], frozenset({WORDS.decode()}))
        assert isinstance(result, Dropped) and result.reason == "verify.request@7FE00010"


@pytest.mark.parametrize("wrap", [bytes, bytearray])
def test_what_looks_like_pixel_data_again_and_again_takes_no_time(
    cleaner: Cleaner, wrap: Callable[[bytes], Buffer]
) -> None:
    head = bytes.fromhex("e07f10004f420000ffffffff")
    value = head + (struct.pack("<HHI", 0xFFFE, 0xE000, len(head)) + head) * 8000
    data = write(with_(base(), Element(0x00142210, "OB", value)), "explicit")
    began = time.process_time()
    result = cleaner.clean(wrap(data), SYNTAXES["explicit"], frozenset())
    assert time.process_time() - began < 5 and isinstance(result, Kept)  # it was 15 s
    assert b"".join(result.parts).count(value) == 1


# ---- words in compressed frames


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
PICTURE = segment(0xDA, b"\1\1\0\0?\0") + WORDS.lower() + b"\xff\xd9"
JPEG = b"\xff\xd8" + JFIF + segment(0xFE, WORDS) + segment(0xE1, b"Exif\0\0" + WORDS) + PICTURE
JPEG_2000 = b"\xff\x4f" + segment(0x51, b"\0" * 38) + segment(0x64, b"\0\1" + WORDS) + segment(0x90, b"\0" * 8)


@pytest.mark.parametrize("frame", [JPEG, JPEG_2000])
def test_comments_are_blanked_and_nothing_moves(cleaner: Cleaner, frame: bytes) -> None:
    frame += b"\0" * (len(frame) & 1)
    out = written(cleaner, with_(base(), Element(0x7FE00010, "OB", frame)), "encapsulated")
    assert WORDS not in out
    start = out.index(frame[:8])
    assert len(out) >= start + len(frame) and b"Exif" not in out
    if frame.startswith(b"\xff\xd8"):
        assert JFIF in out and PICTURE in out  # what follows the scan's header is picture, whatever it spells
    assert out[start : start + len(frame)].count(b"\0") >= len(WORDS)


ADOBE = b"Adobe\0d\0\0\0\0\0"
SCAN = segment(0xDA, b"\1\1\0\0?\0") + b"\x12\xff\0\x34"
MORE = b"\xff\xd8" + JFIF + SCAN
TABLES = b"\xff\x4f" + segment(0x51, b"\0" * 38)
LEFT = struct.pack(">H", 12 + 4 + len(WORDS) + 2 + 2 + 4)  # of a tile-part with a comment and four coded bytes
OPEN = segment(0x90, b"\0\0\0\0\0\0\0\1") + b"\xff\x93"
NOTED = segment(0x90, b"\0\0\0\0" + LEFT + b"\0\1") + segment(0x64, b"\0\1" + WORDS) + b"\xff\x93\1\2\3\4"


def box(kind: bytes, content: bytes, size: bytes = b"") -> bytes:
    return (size or struct.pack(">I", 8 + len(content))) + kind + content


@pytest.mark.parametrize(
    ("frame", "stays"),
    [
        (MORE + segment(0xFE, WORDS) + SCAN + b"\xff\xd9", SCAN),
        (MORE + segment(0xE1, b"Exif\0\0" + WORDS) + SCAN + b"\xff\xd9", SCAN),
        (MORE + b"\xff\xd9" + WORDS, MORE),
        (MORE + b"\xff\xd9\0\0" + MORE + WORDS + b"\xff\xd9", MORE),
        (b"\xff\xd8" + segment(0xE0, JFIF[4:16] + b"\4\4" + WORDS) + SCAN + b"\xff\xd9", JFIF[4:16]),
        (b"\xff\xd8" + segment(0xE0, b"JFXX\0\x10" + WORDS) + SCAN + b"\xff\xd9", SCAN),
        (b"\xff\xd8" + segment(0xED, b"Adobe_Photoshop2.5:\0" + WORDS) + SCAN + b"\xff\xd9", SCAN),
        (b"\xff\xd8" + segment(0xEE, ADOBE + WORDS) + SCAN + b"\xff\xd9", ADOBE),
        (b"\xff\xd8" + segment(0xFE, b"HDR " + WORDS) + SCAN + b"\xff\xd9", SCAN),
        (b"\xff\xd8" + segment(0xE8, b"mrfx\1" + WORDS) + SCAN + b"\xff\xd9", b"mrfx\1"),
        (TABLES + NOTED + NOTED + b"\xff\xd9", b"\xff\x93\1\2\3\4"),
        (TABLES + OPEN + b"\1\2\xff\x91\0\4\xff\xd9\xff\x91\0\4\0\xff\xd9\3\xff\xd9" + WORDS, b"\xff\xd9\3\xff\xd9"),
        (TABLES + segment(0x90, b"\0\0\0\0\0\x0e\0\1") + b"\xff\x93\xff\xd9" + WORDS, TABLES),
        (box(b"jP  ", b"\r\n\x87\n") + box(b"xml ", WORDS) + box(b"jp2c", TABLES + NOTED + b"\xff\xd9"), TABLES),
        (box(b"jP  ", b"\r\n\x87\n") + box(b"rreq", b"\1\xff") + box(b"xml ", WORDS) + box(b"jp2c", TABLES), b"rreq\1\xff"),
        (box(b"JXL ", b"\r\n\x87\n") + box(b"jxlc", b"\xff\x0a\1") + box(b"Exif", WORDS, bytes(4)), b"\xff\x0a\1"),
        (box(b"JXL ", b"\r\n\x87\n") + box(b"brob", bytes(7) + b"\x1c" + WORDS, b"\0\0\0\1") + box(b"jxlc", b"\xff\x0a"),
         b"jxlc\xff\x0a"),
    ],
)  # fmt: skip
def test_words_behind_or_around_a_picture_are_blanked(cleaner: Cleaner, frame: bytes, stays: bytes) -> None:
    frame += b"\0" * (len(frame) & 1)
    out = written(cleaner, with_(base(), Element(0x7FE00010, "OB", frame)), "encapsulated")
    start = out.index(frame[:6])
    assert WORDS not in out and stays in out and len(out) >= start + len(frame)


def fragmented(cleaner: Cleaner, *pieces: bytes) -> bytes:
    """Encapsulated in as many fragments, as it leaves: the pixel data element's value."""
    dummy = bytes(range(200, 240))
    items = [struct.pack("<HHI", 0xFFFE, 0xE000, len(piece)) + piece for piece in pieces]
    data = write(with_(base(), Element(0x7FE00010, "OB", dummy)), "encapsulated")
    data = data.replace(struct.pack("<HHI", 0xFFFE, 0xE000, len(dummy)) + dummy, b"".join(items))
    result = cleaner.clean(data, SYNTAXES["encapsulated"], frozenset())
    assert isinstance(result, Kept), result
    return bytes(pydicom.dcmread(io.BytesIO(b"".join(result.parts))).PixelData)


@pytest.mark.parametrize("cut", range(6, 120, 6))
def test_a_picture_in_several_fragments_is_one(cleaner: Cleaner, cut: int) -> None:
    frame = MORE + segment(0xFE, WORDS) + SCAN + segment(0xE1, b"Exif\0\0" + WORDS) + SCAN + b"\xff\xd9" + WORDS
    pieces = frame[:cut], frame[cut : cut + 40], frame[cut + 40 :] + b"\0" * (len(frame) & 1)
    whole = fragmented(cleaner, *pieces, MORE + b"\xff\xd9" + bytes(len(MORE) & 1))
    kept = frame.replace(WORDS, bytes(len(WORDS))).replace(b"Exif", bytes(4))
    for piece in (kept[:cut], kept[cut : cut + 40], kept[cut + 40 :], MORE + b"\xff\xd9"):
        assert piece in whole


def test_many_words_in_many_fragments_take_no_time_of_their_product(cleaner: Cleaner) -> None:
    frame = b"\xff\xd8" + segment(0xE0, b"ab") + segment(0xFE, b"xy") * 7000
    pieces = frame[:4], *(frame[at : at + 2] for at in range(4, len(frame), 2))
    began = time.process_time()
    whole = fragmented(cleaner, *pieces)
    assert time.process_time() - began < 10  # it was a minute and more
    assert b"xy" not in whole and whole.count(b"\xff\xfe") == 7000


def test_a_piece_of_jpeg_ls_is_no_jpeg_xl(cleaner: Cleaner) -> None:
    piece = b"\xff\x0a\x12" + segment(0xFE, WORDS) + SCAN + b"\xff\xd9"
    whole = fragmented(cleaner, MORE + bytes(len(MORE) & 1), piece + bytes(len(piece) & 1))
    assert WORDS not in whole and b"\xff\x0a\x12" in whole


def test_pieces_of_a_video_stay_whatever_they_begin_with(cleaner: Cleaner) -> None:
    piece = JPEG + b"\0" * (len(JPEG) & 1)
    assert fragmented(cleaner, b"\0\0\1\xb3" + WORDS, piece).count(WORDS) == 1 + piece.count(WORDS)


def test_boxes_within_boxes_are_no_way_down(cleaner: Cleaner) -> None:
    frame = b""
    for _ in range(3000):
        frame = box(b"jP  ", b"\r\n\x87\n") + box(b"jp2c", frame)
    assert frame in written(cleaner, with_(base(), Element(0x7FE00010, "OB", frame)), "encapsulated")


def test_frames_without_comments_are_passed_as_they_are(cleaner: Cleaner) -> None:
    frame = b"\xff\xd8" + JFIF + segment(0xEE, ADOBE) + PICTURE
    frame += b"\0" * (len(frame) & 1)
    assert frame in written(cleaner, with_(base(), Element(0x7FE00010, "OB", frame)), "encapsulated")


@pytest.mark.parametrize("cut", range(2, 60, 3))
def test_a_frame_that_ends_early_breaks_nothing(cleaner: Cleaner, cut: int) -> None:
    frame = JPEG[:cut] + b"\0" * (cut & 1)
    out = written(cleaner, with_(base(), Element(0x7FE00010, "OB", frame)), "encapsulated")
    assert WORDS not in out

"""C-FIND and C-MOVE identifiers: made without validation warnings, and answers read as raw text that never raises.

pydicom converts on access, and fails or warns (with the value) on what real PACS send: bad dates, bad numbers, unknown
character sets. Here a value that cannot be used is None. Standard: PS3.4 C.2.2, PS3.5 6.2, PS3.3 C.12.1.1.2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from typing import Final

from pydicom import config
from pydicom.charset import CODES_TO_ENCODINGS, python_encoding
from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException

UTF8: Final = "ISO_IR 192"
LATIN: Final = "latin_1"
READ_ANYTHING: Final = frozenset({"", "iso8859", LATIN})
ESCAPES: Final = re.compile(b"(" + b"|".join(map(re.escape, CODES_TO_ENCODINGS)) + b")")
STATEFUL: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
"""Codecs that want to see the escape sequence themselves."""
LARGEST: Final = 2**31 - 1
"""What an IS may be at most (PS3.5 6.2); the state has no room for more."""
UNREADABLE: Final = (
    ValueError, TypeError, LookupError, AttributeError, OSError, EOFError, RuntimeError, struct.error, BytesLengthException,
)  # fmt: skip
"""What pydicom raises on converting what is no data set; RuntimeError: an unknown VR, and items in items without end."""
_TEXT_NUMBERS: Final = frozenset({"DS", "IS"})
_BINARY_NUMBERS: Final = {
    "US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d", "US or SS": "H",
}  # fmt: skip


def identifier(level: str, matching: Mapping[str, str], returned: frozenset[str] = frozenset()) -> Dataset:
    """`level`: STUDY, SERIES or IMAGE; `matching`: keyword -> value; `returned`: further keywords to be answered.

    A character set is named only when a matching value needs one (F11: ASCII-only keys as far as possible).
    """
    ds = Dataset()
    _put(ds, "QueryRetrieveLevel", level)
    for keyword in returned:
        _put(ds, keyword, "")
    for keyword, value in matching.items():
        _put(ds, keyword, value)
    if not all(value.isascii() for value in matching.values()):
        _put(ds, "SpecificCharacterSet", UTF8)
    return ds


def narrowed(keys: Dataset, **matching: str) -> Dataset:
    """The same question with further matching keys."""
    ds = Dataset()
    ds.update(keys)
    for keyword, value in matching.items():
        _put(ds, keyword, value)
    return ds


def askable(keyword: str) -> bool:
    """Whether a plain, zero-length return key of that name can be made."""
    tag = tag_for_keyword(keyword)
    return tag is not None and dictionary_VR(tag) not in ("SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN")


def _put(ds: Dataset, keyword: str, value: str) -> None:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"no DICOM keyword {keyword!r}")
    vr = dictionary_VR(tag).split(" or ")[0]
    ds.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))


def with_sequence(keys: Dataset, sequence: str, *keywords: str) -> Dataset:
    """The same question, which also wants these of a sequence's items (PS3.4 C.2.2.2.6)."""
    item = Dataset()
    for keyword in keywords:
        _put(item, keyword, "")
    ds = narrowed(keys)
    setattr(ds, sequence, [item])
    return ds


def nested(row: Dataset, sequence: str, keyword: str) -> str:
    """`text` of the sequence's first item; "" when there is none, or none that can be read."""
    try:
        items = row.get(sequence)
        return text(items[0], keyword) if items else ""
    except UNREADABLE:
        return ""


def text(row: Dataset, keyword: str) -> str:
    """The element's text without padding; "" when it is absent, empty or of no use."""
    raw = _raw(row, keyword)
    if not isinstance(raw, bytes):
        return "" if raw is None else _joined(raw).strip("\0 ")
    return _decoded(raw, _charsets(row)).strip("\0 ")


def value(row: Dataset, keyword: str) -> object:
    """What a selection rule sees: str or float, a list of them where the dictionary allows several, None when unusable."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        return None
    vr = dictionary_VR(tag)
    if vr in _BINARY_NUMBERS:
        numbers = _unpacked(_raw(row, keyword), _BINARY_NUMBERS[vr])
        found: list[object] = [*numbers]
    else:
        parts = text(row, keyword).split("\\") if dictionary_VM(tag) != "1" else [text(row, keyword)]
        stripped = [p.strip("\0 ") for p in parts]
        found = [_number(p) for p in stripped] if vr in _TEXT_NUMBERS else [p or None for p in stripped]
    if dictionary_VM(tag) != "1":
        return [v for v in found if v is not None] or None
    return found[0] if found else None


def integer(row: Dataset, keyword: str) -> int | None:
    """A whole number from zero to LARGEST, else None."""
    found = value(row, keyword)
    return int(found) if isinstance(found, float) and 0 <= found <= LARGEST and found == int(found) else None


def _raw(row: Dataset, keyword: str) -> object:
    """The bytes as received, as long as nobody made pydicom convert them."""
    tag = tag_for_keyword(keyword)
    # deferred: else an empty element is converted, and one of an unknown VR raises
    element = row.get_item(tag, keep_deferred=True) if tag is not None and tag in row else None
    return None if element is None else element.value


def _joined(found: object) -> str:
    """A value that pydicom converted already: a list is put together again."""
    if isinstance(found, Iterable) and not isinstance(found, str):
        return "\\".join(str(part) for part in found)
    return str(found)


def _charsets(row: Dataset) -> list[str]:
    """Python's names of them; "" for one that is left out or unknown."""
    raw = _raw(row, "SpecificCharacterSet")
    terms = raw.decode("latin-1") if isinstance(raw, bytes) else _joined(raw or "")
    return [python_encoding.get(term, "") if term else "" for term in (t.strip("\0 ") for t in terms.split("\\"))]


def _decoded(raw: bytes, charsets: list[str]) -> str:
    """By the row's own character sets, else UTF-8, else Latin-1, which reads anything: also UTF-8 that is called so."""
    if b"\x1b" in raw:
        return _extended(raw, charsets[0] or LATIN)
    for encoding in [*(c for c in charsets if c not in READ_ANYTHING), "utf-8"]:
        try:
            return raw.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return raw.decode(LATIN)


def _extended(raw: bytes, first: str) -> str:
    """Code extensions: each piece by the escape sequence before it, up to a backslash (PS3.5 6.1.2.5.3)."""
    head, *rest = ESCAPES.split(raw)
    text = head.decode(first, "replace")
    for escape, piece in zip(rest[::2], rest[1::2], strict=True):
        codec = CODES_TO_ENCODINGS[escape]
        if codec in STATEFUL:
            text += (escape + piece).decode(codec, "replace")
        else:
            mine, backslash, others = piece.partition(b"\\")
            text += mine.decode(codec, "replace") + (backslash + others).decode(first, "replace")
    return text


def _number(text: str) -> float | None:
    try:
        found = float(text) if text.isascii() and "_" not in text else None
    except ValueError:
        return None
    return found if found is not None and abs(found) < 1e300 else None  # nan and inf are no numbers of DICOM


def _unpacked(raw: object, code: str) -> list[float]:
    """Little endian: the only byte order we propose."""
    if not isinstance(raw, bytes):
        return [float(v) for v in (raw if isinstance(raw, list) else [raw]) if isinstance(v, int | float)]
    size = struct.calcsize(code)
    return [float(n) for n in struct.unpack(f"<{len(raw) // size}{code}", raw[: len(raw) // size * size])]

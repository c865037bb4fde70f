"""Which instances a project wants: the `instance` rule of `[project.select]`, judged on original values of the top level."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VM, tag_for_keyword

from gateway.deidentify.encoding import Codec
from gateway.deidentify.harvest import CHARACTER_SET
from gateway.model import Dropped, Outcome
from gateway.rules import SelectionRule

SOP_CLASS = 0x00080016

NUMBERS = {b"US": "H", b"SS": "h", b"UL": "I", b"SL": "i", b"UV": "Q", b"SV": "q", b"FL": "f", b"FD": "d"}
WATCHED = frozenset({SOP_CLASS, CHARACTER_SET})

Value = str | float | list[str] | list[float] | None


def watched_by(rule: SelectionRule | None) -> frozenset[int]:
    """The tags whose original values `judge` needs."""
    keywords = rule.keywords if rule else frozenset()
    tags = (tag_for_keyword(keyword) for keyword in keywords)
    return WATCHED | {int(tag) for tag in tags if tag is not None}


def judge(seen: Mapping[int, bytes], codec: Codec, rule: SelectionRule | None) -> Dropped | None:
    """None: the instance is wanted. `seen`: tag -> raw original value."""
    if rule is None:
        return None
    verdict = rule.verdict(attributes(seen, codec, rule.keywords))
    return None if verdict.keep else Dropped(Outcome.EXCLUDED, verdict.reason)


def attributes(seen: Mapping[int, bytes], codec: Codec, keywords: Iterable[str]) -> dict[str, Value]:
    """DICOM keyword -> str or float, a list of them where the dictionary allows several, None when missing or empty."""
    declared = seen.get(CHARACTER_SET, b"").split(b"\\")[0].strip(b" \0").decode("latin-1")
    encoding = python_encoding.get(declared, "latin-1")
    found: dict[str, Value] = {}
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        if tag is not None:
            found[keyword] = _value(seen.get(int(tag), b""), int(tag), codec, encoding)
    return found


def _value(raw: bytes, tag: int, codec: Codec, encoding: str) -> Value:
    vr = codec.vrs[tag]
    numbers = _numbers(raw, vr, codec)
    values: list[str] | list[float] = numbers if numbers is not None else _texts(raw, encoding)
    if dictionary_VM(tag) != "1":
        return values or None
    return values[0] if values else None


def _numbers(raw: bytes, vr: bytes, codec: Codec) -> list[float] | None:
    """The values of a numeric VR; [] when they are no numbers. None: not a numeric VR."""
    if vr in (b"DS", b"IS"):
        try:
            return [float(part) for part in raw.split(b"\\") if part.strip(b" \0")]
        except ValueError:
            return []
    if vr not in NUMBERS:
        return None
    form = struct.Struct(codec.order + NUMBERS[vr])
    return [float(value) for (value,) in form.iter_unpack(raw[: len(raw) // form.size * form.size])]


def _texts(raw: bytes, encoding: str) -> list[str]:
    text = raw.decode(encoding, "replace").strip(" \0")
    return [part.strip() for part in text.split("\\")] if text else []

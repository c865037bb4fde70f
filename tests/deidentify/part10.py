"""Small whole Part 10 files for what is about pixels: written by hand, element by element."""

from __future__ import annotations

import struct
from typing import Any

from gateway.deidentify.meta import file_meta
from tests.deidentify.writer import SYNTAXES, Element, Layout

SC = b"1.2.840.10008.5.1.4.1.1.7"
Told = tuple[int, str, object]


def numbers(value: int, form: str = "H", order: str = "<") -> bytes:
    return struct.pack(order + form, value)


def file(*more: Told, syntax: str = "explicit", pixels: bytes | None = None, frames: int = 1, **told: Any) -> bytes:
    """`told`: sop_class, modality, manufacturer, model, rows, columns, samples, bits, stored, high, photometric, planar, signed.

    `pixels`: the raw value, or whole fragments where `syntax` is a UID; None: zeros of the right size. `more`: tag, VR, value.
    """
    has = {"rows": 8, "columns": 8, "samples": 1, "bits": 8, "photometric": b"MONOCHROME2", "signed": 0, **told}
    order = ">" if syntax == "big" else "<"

    def number(name: str, default: object = None) -> bytes:
        value = has.get(name, default)
        assert isinstance(value, int)
        return numbers(value, order=order)

    elements = [
        Element(0x00080016, "UI", _raw(has.get("sop_class", SC))),
        Element(0x00080018, "UI", b"2.25.7"),
        Element(0x00080060, "CS", _raw(has.get("modality", b"OT"))),
        Element(0x00080070, "LO", _raw(has.get("manufacturer", b"Nobody"))),
        Element(0x00081090, "LO", _raw(has.get("model", b"None"))),
        Element(0x00280002, "US", number("samples")),
        Element(0x00280004, "CS", _raw(has["photometric"])),
        Element(0x00280010, "US", number("rows")),
        Element(0x00280011, "US", number("columns")),
        Element(0x00280100, "US", number("bits")),
        Element(0x00280101, "US", number("stored", has["bits"])),
        Element(0x00280103, "US", number("signed")),
    ]
    if "planar" in has:
        elements.append(Element(0x00280006, "US", number("planar")))
    if "high" in has:
        elements.append(Element(0x00280102, "US", number("high")))
    if frames > 1:
        elements.append(Element(0x00280008, "IS", b"%d" % frames))
    elements += [_element(*one) for one in more]
    return _written(elements, syntax, _zeros(has, frames) if pixels is None else pixels)


def _zeros(has: dict[str, object], frames: int) -> bytes:
    rows, columns, samples, bits = (int(str(has[name])) for name in ("rows", "columns", "samples", "bits"))
    return bytes((rows * columns * samples * bits * frames + 7) // 8)


def _raw(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value


def _element(tag: int, vr: str, value: object) -> Element:
    if vr == "SQ":
        assert isinstance(value, tuple)
        return Element(tag, vr, tuple(tuple(_element(*one) for one in item) for item in value))
    return Element(tag, vr, _raw(value))


def _written(elements: list[Element], syntax: str, pixels: bytes) -> bytes:
    uid = SYNTAXES.get(syntax, syntax)
    layout = Layout(syntax != "implicit", ">" if syntax == "big" else "<")
    data = b"".join(layout.element(e) for e in sorted(elements, key=lambda e: e.tag) if e.tag < 0x7FE00010)
    if syntax in SYNTAXES:
        data += layout.element(Element(0x7FE00010, "OW", pixels))
    else:
        data += layout.head(0x7FE00010, "OB", 0xFFFFFFFF) + pixels + layout.delimiter(0xE0DD)
    data += b"".join(layout.element(e) for e in elements if e.tag > 0x7FE00010)
    return file_meta(SC, b"2.25.7", uid) + data

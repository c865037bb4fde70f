"""Bytes that hold words where no text is expected: documents, models, colour profiles, makers' headers, copies in other codes."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable


def make(form: str, text: str) -> bytes | None:
    """The bytes of `text` in that form; None where there is no such form."""
    maker = _FORMS.get(form)
    return maker(text) if maker else None


def _pdf(text: str) -> bytes:
    """A page that shows the text, and its author in the document information."""
    stream = b"BT /F1 12 Tf 72 720 Td (" + text.encode("utf-8") + b") Tj ET"
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>",
        b"<< /Length " + str(len(stream)).encode() + b" >> stream\n" + stream + b"\nendstream",
        b"<< /Author (" + text.encode("utf-8") + b") >>",
    )
    body = b"".join(str(n).encode() + b" 0 obj " + one + b" endobj\n" for n, one in enumerate(objects, start=1))
    return b"%PDF-1.4\n" + body + b"trailer << /Root 1 0 R /Info 5 0 R >>\n%%EOF\n"


def _cda(text: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ClinicalDocument xmlns="urn:hl7-org:v3"><recordTarget><patientRole>'
        f"<patient><name>{text}</name></patient></patientRole></recordTarget><title>{text}</title></ClinicalDocument>\n"
    ).encode()


def _stl(text: str) -> bytes:
    """One facet; the header is free text."""
    return text.encode("utf-8")[:80].ljust(80, b" ") + struct.pack("<I12fH", 1, *(0.0,) * 3, *range(9), 0)


def _icc(text: str) -> bytes:
    """A grey profile of version 2 with the words in its description and copyright (ICC.1:2001)."""
    words = text.encode("utf-8") + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(words)) + words + bytes(78),
        b"cprt": b"text" + bytes(4) + words,
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, 563) + bytes(2),
    }
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", at + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4xI4s4s4s", at + len(body), 0x02100000, b"mntr", b"GRAY", b"XYZ ").ljust(36, b"\0") + b"acsp"
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _csa(text: str) -> bytes:
    """As a Siemens CSA header looks: a mark, a number of tags, names of 64 bytes, values behind them."""
    out = b"SV10\4\3\2\1" + struct.pack("<II", len(text.split()), 77)
    for number, word in enumerate(text.split()):
        raw = word.encode("utf-8") + b"\0"
        out += b"Tag%d" % number + bytes(60) + struct.pack("<I4sIII", 1, b"LO\0\0", 22, 1, 77)
        out += struct.pack("<IIII", len(raw), len(raw), 77, len(raw)) + raw + bytes(-len(raw) % 4)
    return out


_FORMS: dict[str, Callable[[str], bytes]] = {
    "zeros": lambda text: bytes(int(text)),
    "hex": bytes.fromhex,
    "base64": lambda text: base64.b64encode(text.encode("utf-8")),
    "hexed": lambda text: text.encode("utf-8").hex().encode(),
    "utf16": lambda text: text.encode("utf-16-le"),
    "utf16be": lambda text: text.encode("utf-16-be"),
    "bitmap": lambda text: b"\xff\x81" + text.encode("utf-8") + b"\x81\xff",
    "csa": _csa,
    "icc": _icc,
    "pdf": _pdf,
    "cda": _cda,
    "stl": _stl,
}

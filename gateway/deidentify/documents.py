"""What takes the place of an encapsulated document (0042,0011), whose words nobody can clean: Table E.1-1 says D, a dummy.

A document of the same kind that holds nothing, so that the object stays readable: PDF, CDA or any XML, STL; else two zero bytes.
"""

from __future__ import annotations

import struct

_PDF_OBJECTS = (
    b"<< /Type /Catalog /Pages 2 0 R >>",
    b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>",
)
NOTHING = b"\0\0"
EMPTY_XML = b'<?xml version="1.0" encoding="UTF-8"?>\n<ClinicalDocument xmlns="urn:hl7-org:v3"/>\n'
EMPTY_STL = b"empty".ljust(80, b"\0") + struct.pack("<I", 0)


def empty_document(raw: bytes) -> bytes:
    """`raw`: the document as it came; only its first bytes are looked at."""
    start = raw[:64].lstrip(b"\xef\xbb\xbf\0 \t\r\n")
    if start.startswith(b"%PDF"):
        return _empty_pdf()
    if start.startswith(b"<"):
        return EMPTY_XML
    return EMPTY_STL if start.startswith(b"solid") or _is_stl(raw) else NOTHING


def _is_stl(raw: bytes) -> bool:
    """Binary STL: 80 bytes, the number of facets, 50 bytes each."""
    return len(raw) >= 84 and 0 <= len(raw) - 84 - 50 * struct.unpack_from("<I", raw, 80)[0] <= 1


def _empty_pdf() -> bytes:
    """One blank page (ISO 32000-1 7.5): header, objects, cross-reference table, trailer."""
    body, places = b"%PDF-1.4\n", []
    for number, content in enumerate(_PDF_OBJECTS, start=1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    entries = b"".join(b"%010d 00000 n \n" % place for place in places)
    table = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(places) + 1, entries)
    return (
        body + table + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, len(body))
    )

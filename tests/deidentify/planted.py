"""Data sets full of planted identifiers, one trap each, and the search for what is left of them in a whole output."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from tests.deidentify.writer import ROOT, Element, Names, base, big, with_, write

Trap = Callable[[Names], list[Element]]


def top_level(n: Names) -> list[Element]:
    return with_(
        base(),
        Element(0x00080054, "AE", n.token()),
        Element(0x00080081, "ST", n.token()),
        Element(0x00081030, "LO", n.token()),
        Element(0x00081048, "PN", n.token() + b"^" + n.token()),
        Element(0x00102155, "LT", n.token()),
        Element(0x00104000, "LT", n.token()),
        Element(0x001021A0, "CS", n.token()),
        Element(0x00189371, "UC", n.token()),
        Element(0x0040A160, "UT", n.token()),
        Element(0x00081190, "UR", b"urn:" + n.token()),
        Element(0x04000404, "OB", n.token() + b"\0"),
        Element(0x0072006D, "UN", n.token() + b"\0"),
        Element(0x00080014, "UI", n.uid()),
    )


def leaf(n: Names) -> tuple[Element, ...]:
    return (
        Element(0x00081155, "UI", n.uid()),
        Element(0x00100010, "PN", n.token() + b"^" + n.token()),
        Element(0x00100020, "LO", n.token()),
        Element(0x00104000, "LT", n.token()),
        Element(0x00291010, "LO", n.token()),
    )


def nest(n: Names, depth: int, *, undefined: bool, vr: str = "SQ") -> Element:
    """Sequences that Table E.1-1 does not name, `depth` deep."""
    items = (leaf(n), leaf(n)) if depth == 1 else ((nest(n, depth - 1, undefined=undefined), *leaf(n)), leaf(n))
    return Element((0x00082218, 0x00089215, 0x00189346, 0x00540016)[depth - 1], vr, _sorted(items), undefined)


def _sorted(items: tuple[tuple[Element, ...], ...]) -> tuple[tuple[Element, ...], ...]:
    return tuple(tuple(sorted(item, key=lambda e: e.tag)) for item in items)


def nested(n: Names) -> list[Element]:
    return with_(base(), nest(n, 4, undefined=False))


def nested_undefined(n: Names) -> list[Element]:
    return with_(base(), nest(n, 4, undefined=True))


def original_attributes(n: Names) -> list[Element]:
    return with_(base(), Element(0x04000561, "SQ", ((Element(0x04000550, "SQ", (leaf(n),)),),)))


def structured_report(n: Names) -> list[Element]:
    person = (
        Element(0x0040A123, "PN", n.token()),
        Element(0x0040A124, "UI", n.uid()),
        Element(0x0040A160, "UT", n.token()),
    )
    return with_(base(), Element(0x0040A730, "SQ", ((*person, Element(0x0040A730, "SQ", (person,))),)))


def person_codes(n: Names) -> list[Element]:
    code = (Element(0x00080100, "SH", n.token()), Element(0x00080104, "LO", n.token()))
    operator = (Element(0x00401101, "SQ", (code,)),)
    return with_(base(), Element(0x00080082, "SQ", (code,)), Element(0x00081072, "SQ", (operator,)))


def private(n: Names) -> list[Element]:
    return with_(
        base(),
        Element(0x00090010, "LO", n.token()),
        Element(0x00091001, "SH", n.token()),
        Element(0x00091002, "SQ", (leaf(n),), undefined=True),
        Element(0x00091003, "UN", (leaf(n),), undefined=True),
        Element(0x00091004, "OB", n.token() + b"\0"),
        Element(0x00291099, "LO", n.token()),  # an orphan: no creator
    )


def unknown(n: Names) -> list[Element]:
    return with_(
        base(),
        Element(0x00080002, "LO", n.token()),
        Element(0x00087FFE, "LO", n.token()),
        Element(0x00080000, "UL", b"\1\2\3\4"),
        Element(0x00020016, "AE", n.token()),
        Element(0x00020003, "UI", n.uid()),
    )


def un_sequences(n: Names) -> list[Element]:
    return with_(base(), nest(n, 3, undefined=False, vr="UN"), Element(0x00081140, "UN", (leaf(n),), undefined=True))


def un_elements(n: Names) -> list[Element]:
    return with_(
        base(),
        Element(0x00081070, "UN", n.token()),
        Element(0x00081155, "UN", n.uid()),
        Element(0x00140104, "UN", n.token()),
    )


def un_blob(n: Names) -> list[Element]:
    return with_(base(), Element(0x00089215, "UN", b"no sequence " + n.token()))


def wrong_vrs(n: Names) -> list[Element]:
    return with_(
        base(),
        Element(0x00081140, "LO", n.token()),  # a sequence as text
        Element(0x00180060, "PN", n.token()),  # KVP as a name
        Element(0x00180088, "OB", n.token() + b"\0"),  # a number as bytes
        Element(0x00200052, "LO", n.uid()),
        Element(0x00280030, "UT", n.token()),
        Element(0x00280106, "SQ", (leaf(n),)),
    )


def overlays(n: Names) -> list[Element]:
    return with_(
        base(),
        Element(0x50000005, "US", b"\1\0"),
        Element(0x50003000, "OW", n.token() + b"\0"),
        Element(0x60003000, "OW", n.token() + b"\0"),
        Element(0x60004000, "LT", n.token()),
        Element(0x601E0022, "LO", n.token()),
    )


def after_pixels(n: Names) -> list[Element]:
    return with_(
        base(),
        Element(0x7FE10010, "LO", n.token()),
        Element(0xFFFAFFFA, "SQ", (leaf(n),)),
        Element(0xFFFCFFFC, "OB", n.token() + b"\0"),
    )


def multi_valued(n: Names) -> list[Element]:
    return with_(
        base(),
        Element(0x00083010, "UI", n.uid() + b"\\" + n.uid()),
        Element(0x00101000, "LO", n.token() + b"\\" + n.token()),
    )


def duplicates(n: Names) -> list[Element]:
    return [*base(), Element(0x00100010, "PN", n.token()), Element(0x00180050, "DS", n.token())]


def group_lengths(n: Names) -> list[Element]:
    return with_(
        base(),
        *(Element(group << 16, "UL", b"\x10\0\0\0") for group in (8, 0x10, 0x28)),
        Element(0x00104000, "LT", n.token()),
    )


def odd_lengths(n: Names) -> list[Element]:
    return with_(base(), Element(0x00081030, "LO", n.token(), odd=True), Element(0x00180060, "DS", b"120", odd=True))


def no_patient_id(n: Names) -> list[Element]:
    return [e for e in with_(base(), Element(0x00104000, "LT", n.token())) if e.tag != 0x00100020]


def dates(n: Names) -> list[Element]:
    n.issued += [b"20011129", b"20021129", b"2003.11.29", b"20041129"]
    return with_(
        base(),
        Element(0x00080021, "DA", b"20011129"),
        Element(0x0008002A, "DT", b"20021129120000.123"),
        Element(0x00080022, "DA", b"2003.11.29"),
        Element(0x00140102, "DA", b"20041129"),
    )


def charset(declared: bytes, *names: bytes) -> Trap:
    def trap(n: Names) -> list[Element]:
        n.issued += names
        items = tuple((Element(0x00100010, "PN", name),) for name in names)
        more = Element(0x00100010, "PN", names[0]), Element(0x00081250, "SQ", items)
        return with_(base(), Element(0x00080005, "CS", declared), *more)

    return trap


TRAPS: dict[str, Trap] = {
    "top_level": top_level,
    "nested": nested,
    "nested_undefined": nested_undefined,
    "original_attributes": original_attributes,
    "structured_report": structured_report,
    "person_codes": person_codes,
    "private": private,
    "unknown": unknown,
    "un_sequences": un_sequences,
    "un_elements": un_elements,
    "un_blob": un_blob,
    "wrong_vrs": wrong_vrs,
    "overlays": overlays,
    "after_pixels": after_pixels,
    "multi_valued": multi_valued,
    "duplicates": duplicates,
    "group_lengths": group_lengths,
    "odd_lengths": odd_lengths,
    "no_patient_id": no_patient_id,
    "dates": dates,
    "iso2022_87": charset(b"\\ISO 2022 IR 87", "Yamada^Tarou=山田^太郎=やまだ^たろう".encode("iso2022_jp")),
    "iso2022_149": charset(b"\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7"),
    "gb18030": charset(b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030")),
    "utf8": charset(b"ISO_IR 192", "Zażółć^Gęślą=王小东".encode()),
    "cyrillic": charset(b"ISO_IR 144", "Люкceмбypг^Бopиcович".encode("iso8859_5")),
    "greek": charset(b"ISO_IR 126", "Διονυσιος^Παπαδοπουλος".encode("iso8859_7", "ignore")),
}


TOP_UIDS = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)
OWN = [
    b"Quastenberg",
    b"Leopoldine",
    b"PX-774411",
    b"19470822",
    b"ACC7744110",
    b"STU774411",
    b"Zwackelmann",
    b"Quellenhof",
    ROOT,
]
"""What `base` holds of the patient's; a trap may have put something else in the place of up to three."""


def build(trap: str, syntax: str) -> tuple[bytes, list[bytes]]:
    """The data set's bytes, and what the trap planted."""
    names = Names()
    elements = TRAPS[trap](names)
    if syntax == "big":
        elements = big(elements)
    return write(elements, syntax), names.issued


def leaks(output: bytes, planted: list[bytes]) -> list[int]:
    """Which of `planted` (by number) stand anywhere in the bytes: as they are, any case, or as UTF-16."""
    lower = output.lower()
    narrow = lower.replace(b"\0", b"")
    return [i for i, token in enumerate(planted) if token.lower() in lower or token.lower() in narrow]


def opened(parts: tuple[bytes | bytearray | memoryview, ...], syntax: str) -> bytes:
    """A whole file as bytes, what is deflated inflated."""
    if syntax != "deflated":
        return b"".join(parts)
    return bytes(parts[0]) + zlib.decompressobj(-15).decompress(b"".join(parts[1:]))

"""What no script can write: file meta and preamble, repeated and misplaced elements, padding, files without a head."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from tests.corpus.key import Answers
from tests.corpus.people import Mint, Minted
from tests.deidentify.writer import SYNTAXES, Element, Layout

PREAMBLE = 128
JPEG_BASELINE = SYNTAXES["encapsulated"]


@dataclass
class Draft:
    """A file in the making. `elements` in tag order. `tail`: behind the last one. `head`: "whole", "bare" (no preamble), "none"."""

    syntax: str
    mint: Mint
    answers: Answers
    elements: list[Element] = field(default_factory=list)
    tail: bytes = b""
    head: str = "whole"
    gossip: bool = False
    misplaced: list[Element] = field(default_factory=list)

    def plant(self, minted: Minted, trap: str) -> bytes:
        """`minted` as bytes; written down."""
        self.answers.trap = trap
        self.answers.plant(minted, trap)
        return minted.text.encode("ascii")


def file_meta(draft: Draft, class_uid: bytes, instance: bytes) -> bytes:
    """Preamble, mark and group 0002; with words in all of them where the draft is gossipy."""
    rows = [
        Element(0x00020001, "OB", b"\0\1"),
        Element(0x00020002, "UI", class_uid),
        Element(0x00020003, "UI", instance),
        Element(0x00020010, "UI", SYNTAXES[draft.syntax].encode()),
        Element(0x00020012, "UI", b"1.2.826.0.1.3680043.10.1338.1"),
    ]
    if draft.head == "none":
        return b""
    preamble = bytes(PREAMBLE)
    if draft.gossip:
        rows += [
            Element(0x00020013, "SH", draft.plant(draft.mint.ae(), "file-meta")),
            Element(0x00020016, "AE", draft.plant(draft.mint.ae(), "file-meta")),
            Element(0x00020017, "AE", draft.plant(draft.mint.ae(), "file-meta")),
            Element(0x00020018, "AE", draft.plant(draft.mint.ae(), "file-meta")),
            Element(0x00020100, "UI", b"1.2.826.0.1.3680043.10.1338.2"),
            Element(0x00020102, "OB", draft.plant(draft.mint.name(), "file-meta")),
        ]
    layout = Layout(True, "<")
    body = b"".join(map(layout.element, rows))
    length = layout.element(Element(0x00020000, "UL", struct.pack("<I", len(body))))
    if draft.head == "bare":
        return length + body
    if draft.gossip:
        preamble = (b"II*\0" + draft.plant(draft.mint.name(), "preamble")).ljust(PREAMBLE, b"\0")
    return preamble + b"DICM" + length + body


def duplicates(draft: Draft) -> None:
    """Elements twice, the second of them with a name (PS3.5 7.1: once)."""
    for tag, vr in ((0x00081030, "LO"), (0x00104000, "LT"), (0x00180015, "CS"), (0x00081070, "PN")):
        place = next((n for n, element in enumerate(draft.elements) if element.tag == tag), None)
        if place is None:
            continue
        text = draft.plant(draft.mint.name(), "duplicates")
        draft.elements.insert(place + 1, Element(tag, vr, text))


def disorder(draft: Draft) -> None:
    """Elements of the patient behind the pixel data (PS3.5 7.1: in ascending order)."""
    for tag, vr in ((0x00101005, "PN"), (0x00102154, "SH"), (0x0008009C, "PN")):
        if all(element.tag != tag for element in draft.elements):
            minted = draft.mint.phone() if vr == "SH" else draft.mint.name()
            draft.misplaced.append(Element(tag, vr, draft.plant(minted, "disorder")))


def nul_padding(draft: Draft) -> None:
    draft.tail = bytes(512)


def gossip(draft: Draft) -> None:
    draft.gossip = True


def no_preamble(draft: Draft) -> None:
    draft.head, draft.gossip = "bare", True


def no_head(draft: Draft) -> None:
    draft.head = "none"


ODDITIES = {
    "file-meta": gossip,
    "duplicates": duplicates,
    "disorder": disorder,
    "nul-padding": nul_padding,
    "no-preamble": no_preamble,
    "no-head": no_head,
}
"""Trap -> what does it."""

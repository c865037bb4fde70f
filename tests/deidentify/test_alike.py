"""Items that are done by one like them end as those that are not; and what keeps them apart is needed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gateway.deidentify import alike
from gateway.deidentify.alike import Items
from gateway.deidentify.cleaner import Cleaner
from tests.corpus.score import RECOMMENDED
from tests.deidentify.guards import constant
from tests.deidentify.test_twins import KERNEL, NAME, NOBODY, fresh, noted, outcome
from tests.deidentify.writer import ROOT, SYNTAXES, Element, base, with_, write

OPTIONS = {"basic": (), "recommended": RECOMMENDED, "uids": ("retain-uids", "retain-safe-private")}
FRAMES, CONTENT, POSITION, REFERENCE = 0x52009230, 0x00209111, 0x00209113, 0x00081140
Item = tuple[Element, ...]


def sequence(tag: int, *items: Item, undefined: bool = False) -> Element:
    return Element(tag, "SQ", items, undefined=undefined)


def frame(number: int, *more: Element, undefined: bool = False) -> Item:
    """A per-frame item of a stack: three sequences, one of them in another."""
    reference = sequence(0x0040A170, (Element(0x00080104, "LO", b"Localizer"),))
    elements = (
        sequence(REFERENCE, (Element(0x00081155, "UI", ROOT + b"7.%03d" % number), reference), undefined=undefined),
        sequence(
            CONTENT, (Element(0x00189074, "DT", b"20240317101%03d" % number), Element(0x00209157, "UL", b"\1\0\0\0"))
        ),
        sequence(POSITION, (Element(0x00200032, "DS", b"-10.5\\2\\%03d" % number),)),
        *more,
    )
    return tuple(sorted(elements, key=lambda e: e.tag))


def stack(*items: Item, undefined: bool = False) -> list[Element]:
    return with_(base(), sequence(FRAMES, *items, undefined=undefined))


def text(value: bytes) -> Element:
    return Element(KERNEL, "SH", value)


PLAIN = [frame(number) for number in range(4)]
STACKS: dict[str, list[Element]] = {
    "frames": stack(*map(frame, range(40))),
    "undefined": stack(*map(frame, range(8)), undefined=True),
    "undefined inside": stack(*(frame(number, undefined=True) for number in range(8))),
    "a name in one": stack(*(frame(n, text(NAME if n == 5 else NOBODY)) for n in range(8))),
    "a value that is none": stack(*(frame(n, Element(0x00180050, "DS", b"2.%d" % n if n != 5 else b"a.b")) for n in range(8))),
    "empty": stack(*PLAIN, (), (), ()),
    "none alike": stack(*(frame(n, text(b"x" * n * 2)) for n in range(20))),
    "a tag instead of another": stack(*PLAIN, *(frame(n, Element(0x00180060 + n, "DS", b"2.5")) for n in range(4))),
    "other character sets": stack(
        *(frame(n, Element(0x00080005, "CS", b"ISO_IR 14%d" % (n % 5)), text(b"\xc0\xd1\xe5")) for n in range(9))
    ),
    "private": stack(*(frame(n, Element(0x00190010, "LO", b"SIEMENS %s HEADER" % (b"MR" if n % 2 else b"XX")),
                             Element(0x0019100C, "IS", b"5%d" % n)) for n in range(9))),
    "sorted within": stack(*PLAIN, (*PLAIN[0][1:], PLAIN[0][0])),
    "empty and not": stack(*(frame(n, text(b"" if n % 3 else b"B30f")) for n in range(9))),
    "of no class": stack(*(frame(n, sequence(0x00081199, (Element(0x00081150, "UI", b"1.2.840.10008.5.1.4.1.1.%d" % (n + 1)),)))
                           for n in range(6))),
}  # fmt: skip


@pytest.fixture(scope="module")
def alone() -> dict[str, Cleaner]:
    """Cleaners for which no item is like another."""
    return {name: fresh(options) for name, options in OPTIONS.items()}


def without(patch: pytest.MonkeyPatch, cleaner: Cleaner, data: bytes, syntax: str) -> tuple[Any, ...]:
    with patch.context() as within:
        within.setattr(alike, "FEW", 0)
        return outcome(cleaner, data, syntax)


@pytest.mark.parametrize("options", OPTIONS)
def test_stacks(options: str, alone: dict[str, Cleaner], monkeypatch: pytest.MonkeyPatch) -> None:
    used, different = fresh(OPTIONS[options]), list[tuple[str, str]]()
    for name, elements in STACKS.items():
        for syntax in ("explicit", "implicit", "big", "deflated"):
            data = write(elements, syntax)
            if outcome(used, data, SYNTAXES[syntax]) != without(monkeypatch, alone[options], data, SYNTAXES[syntax]):
                different.append((name, syntax))
    assert different == []


def varied(chance: random.Random, data: bytes) -> bytes:
    """Bytes of the items changed: mostly characters of values, now and then whatever there is, or a stretch moved."""
    start = data.find(b"\x00\x52\x30\x92")
    out, end = bytearray(data), max(data.find(b"\xe0\x7f\x10\x00", start), start + 1)
    digits = [at for at in range(start, end) if 0x30 <= out[at] <= 0x39]
    for at in chance.sample(digits, min(len(digits), chance.choice((1, 2, 9)))):
        out[at] = chance.choice(b"0123456789")
    if chance.random() < 0.3:
        out[chance.randrange(start + 12, end)] ^= 1 << chance.randrange(8)
    if chance.random() < 0.3:
        size, (of, to) = chance.choice((4, 8, 40)), (chance.randrange(start + 12, end) for _ in range(2))
        out[to : to + size] = out[of : of + size]
    return bytes(out[: len(data)])


@pytest.mark.parametrize("options", OPTIONS)
def test_variations(options: str, alone: dict[str, Cleaner], monkeypatch: pytest.MonkeyPatch) -> None:
    chance, used, redone = random.Random(5), fresh(OPTIONS[options]), noted(monkeypatch, Items, "redo")
    different = list[str]()
    for name, elements in STACKS.items():
        for syntax in ("explicit", "implicit"):
            for _ in range(6):
                data = varied(chance, write(elements, syntax))
                if outcome(used, data, SYNTAXES[syntax]) != without(
                    monkeypatch, alone[options], data, SYNTAXES[syntax]
                ):
                    different.append(f"{name} {syntax}")
    assert different == []
    assert len(redone) > 500


def test_what_keeps_items_apart_is_missed(alone: dict[str, Cleaner], monkeypatch: pytest.MonkeyPatch) -> None:
    data, syntax = {name: write(elements, "explicit") for name, elements in STACKS.items()}, SYNTAXES["explicit"]
    expected = {name: without(monkeypatch, alone["recommended"], each, syntax) for name, each in data.items()}
    used = fresh(RECOMMENDED)
    assert {name: outcome(used, each, syntax) for name, each in data.items()} == expected
    monkeypatch.setattr(alike, "mask_of", constant(0))
    used = fresh(RECOMMENDED)
    assert {name: outcome(used, each, syntax) for name, each in data.items()} != expected

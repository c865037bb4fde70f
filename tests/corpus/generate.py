"""The corpus: which object gets which traps, characters and encoding, and all of it as bytes with an answer key.

`python -m tests.corpus.generate FOLDER [--seed N]` writes the files and, beside each, what was planted.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary

from tests.corpus.key import Entry
from tests.corpus.maker import Maker, Subject
from tests.corpus.oddities import ODDITIES, Draft, file_meta
from tests.corpus.people import Mint, Patient, patients
from tests.corpus.pixels import HIGH, PIXEL_DATA, WIDE, captioned, jpeg, native, shape_of
from tests.corpus.script import Line, lines, sections
from tests.corpus.tables import table_traps
from tests.deidentify.writer import Element, Layout, write

FILES = 340
TRAPS_A_FILE = 4
SOURCES = ("objects.txt", "documents.txt")
EXTRA = ("ct", "ct", "mr", "mr", "enhct", "enhmr", "sr1500", "sr", "pt", "seg", "pr", "ecg")
"""Kinds that come more than once a round."""
RISKY = frozenset(("us", "usmf", "sc", "scmf", "xc", "op", "opt", "sm"))
"""Kinds whose pixels only a look can clear."""
SYNTAXES = ("explicit", "implicit", "explicit", "big", "explicit", "deflated", "implicit", "explicit")
COMPRESSED = ("xa", "rf")
TWELVE_BITS = ("ct", "mr", "pt", "nm", "cr", "dx", "mg", "enhct", "enhmr")
BURNED = ("us", "sc", "cr", "dx", "usmf", "mg", "sc", "us")
NOT_IMPLICIT = ("un-elements", "un-sequences", "wrong-vr")
"""Traps that are none where no VR is written."""
SINGLE = {
    0x00280010: str(HIGH),
    0x00280011: str(WIDE),
    0x00280008: "1",
    0x00280100: "8",
    0x00280101: "8",
    0x00280102: "7",
}
GREY = {0x00280002: "1", 0x00280004: "MONOCHROME2", 0x00280006: ""}
OVERLAY_BITS = {
    0x60000010: "16",
    0x60000011: "16",
    0x60000040: "G",
    0x60000050: "1\\1",
    0x60000100: "16",
    0x60000102: "15",
}


@dataclass(frozen=True)
class Order:
    """One file to be made."""

    number: int
    kind: str
    syntax: str
    patient: Patient
    instance: int
    traps: tuple[str, ...]

    @property
    def burned(self) -> bool:
        """Text is burned into its pixels."""
        return any(trap.startswith("burned-in") for trap in self.traps)


@cache
def corpus(seed: int = 0, files: int = FILES) -> tuple[Entry, ...]:
    """All files of one seed, the same every time."""
    return tuple(_made(order, seed) for order in orders(seed, files))


def tamed(number: int, seed: int = 0) -> Entry:
    """The file at that place of the corpus as any reader can read it: explicit VR, no UN for what is known, all in order."""
    order = orders(seed, FILES)[number]
    calm = tuple(trap for trap in order.traps if trap not in ODDITIES and trap != "jpeg-comments")
    return _made(replace(order, syntax="explicit", traps=calm), seed, tame=True)


def kinds() -> dict[str, tuple[str, str, str]]:
    """Kind -> script, SOP class, modality."""
    found = {}
    for source in SOURCES:
        for name, section in sections(source).items():
            if section.argument:
                found[name] = (source, *section.argument.split())
    return found  # type: ignore[return-value]


@cache
def traps() -> dict[str, tuple[tuple[Line, ...], str]]:
    """Trap -> its lines and of which kinds it may be part."""
    written = {name: (lines("traps.txt", name), section.argument) for name, section in sections("traps.txt").items()}
    made = {name: (found, "") for name, found in table_traps().items()}
    return {name: trap for name, trap in (written | made).items() if trap[1] != "none"}


@cache
def orders(seed: int, files: int) -> tuple[Order, ...]:
    return tuple(_orders(seed, files))


def _orders(seed: int, files: int) -> Iterator[Order]:
    """Kinds, characters and encodings in turn; traps as they come from a shuffled heap that is filled up again when it is empty."""
    chance = random.Random(seed)
    everyone, names = patients(), [*kinds(), *EXTRA]
    heap: list[str] = []
    seen: dict[tuple[str, int], int] = {}
    for number in range(1, files + 1):
        kind = names[(number + seed) % len(names)]
        patient = everyone[(number * 5 + number // len(names) + seed) % len(everyone)]
        syntax = SYNTAXES[(number + number // len(SYNTAXES) + seed) % len(SYNTAXES)]
        chosen = _special(kind, number) or tuple(_drawn(heap, kind, syntax, chance))
        instance = seen[kind, patient.number] = seen.get((kind, patient.number), 0) + 1
        yield Order(number, kind, "encapsulated" if "jpeg-comments" in chosen else syntax, patient, instance, chosen)


def _special(kind: str, number: int) -> tuple[str, ...]:
    """Traps in the pixels, which come by themselves."""
    if kind in COMPRESSED and number % 4:
        return ("jpeg-comments",)
    if kind in TWELVE_BITS and number % 7 == 3:
        return ("overlay-bits",)
    return ("burned-in-flagged" if number % 2 else "burned-in",) if kind in BURNED and number % 5 == 1 else ()


def _drawn(heap: list[str], kind: str, syntax: str, chance: random.Random) -> Iterator[str]:
    """Traps that fit to the kind and do not write over one another."""
    taken: set[int] = set()
    passed: list[str] = []
    found = 0
    while found < TRAPS_A_FILE and len(passed) < 60:
        if not heap:
            heap += [*traps(), *ODDITIES, *ODDITIES]
            chance.shuffle(heap)
        name = heap.pop()
        tags = {line.tag for line in traps()[name][0]} if name in traps() else set()
        if _fits(name, kind, syntax) and not tags & taken:
            found += 1
            taken |= tags
            yield name
        else:
            passed.append(name)
    heap += passed


def _fits(name: str, kind: str, syntax: str) -> bool:
    if name in ODDITIES:
        return name != "no-head" or syntax in ("explicit", "implicit")
    if syntax == "implicit" and name in NOT_IMPLICIT:
        return False
    only = traps()[name][1]
    return (
        not only or kind in only.split(",") or (only == "image" and PIXELS in {line.tag for line in object_lines(kind)})
    )


PIXELS = 0x00280100
"""Bits Allocated: who has it, has pixels."""


def object_lines(kind: str) -> tuple[Line, ...]:
    return lines(kinds()[kind][0], kind)


def _made(order: Order, seed: int, *, tame: bool = False) -> Entry:
    _, class_uid, modality = kinds()[order.kind]
    series = list(kinds()).index(order.kind) + 1
    subject = Subject(order.patient, 1 + order.number % 3, series, order.instance)
    constants = {"class": class_uid, "modality": modality, "series": str(series), "instance": str(order.instance)}
    mint = Mint(order.number + seed * 1000)
    maker = Maker(subject, mint, ">" if order.syntax == "big" else "<", constants)
    script = tuple(map(_known, _merged(order))) if tame else _merged(order)
    draft = Draft(order.syntax, mint, maker.answers, maker.make(script))
    if order.patient.charset:
        draft.elements.insert(0, Element(0x00080005, "CS", order.patient.charset.encode("ascii")))
    draft.elements.sort(key=lambda element: element.tag)
    for trap in order.traps:
        if trap in ODDITIES:
            ODDITIES[trap](draft)
    values = {line.tag: line.value for line in script}
    pixels, expected = _pixels(order, values, draft)
    dataset = _encoded(draft, pixels)
    head = file_meta(draft, class_uid.encode(), maker.uid("this").encode())
    return Entry(
        name=f"{order.number:03d}-{order.kind}",
        raw=head + dataset,
        dataset=dataset,
        kind=order.kind,
        syntax=order.syntax,
        charset=order.patient.charset,
        patient=order.patient.number,
        traps=order.traps,
        facts=tuple(maker.answers.facts),
        planted=tuple(maker.answers.planted),
        risky=PIXELS in values and (order.kind in RISKY or values.get(0x00280301) == "YES"),
        burned=order.burned,
        pixels=expected,
    )


def _merged(order: Order) -> tuple[Line, ...]:
    """The object's elements and those of the traps in their place, in tag order at every level."""
    found = {line.tag: line for line in object_lines(order.kind)}
    for trap in order.traps:
        found |= {line.tag: replace(line, trap=trap) for line in traps().get(trap, ((), ""))[0]}
    changes: Mapping[int, str] = {}
    if order.burned:
        changes = SINGLE | GREY | {0x00280301: "YES" if "burned-in-flagged" in order.traps else "NO"}
    elif "overlay-bits" in order.traps:
        changes = OVERLAY_BITS
    vrs = {0x00280301: "CS", 0x00280008: "IS", 0x60000040: "CS", 0x60000050: "SS"}
    for tag, value in changes.items():
        if value and (tag in found or tag >> 16 == 0x6000 or tag == 0x00280301):
            found[tag] = replace(found.get(tag, Line(tag, vrs.get(tag, "US"))), value=value, note="free")
        elif not value:
            found.pop(tag, None)
    return _sorted(found.values())


def _known(line: Line) -> Line:
    """The line with the VR of the dictionary in place of UN."""
    items = line.items and tuple(tuple(map(_known, item)) for item in line.items)
    known = "SQ" if line.items else DicomDictionary[line.tag][0][:2] if line.tag in DicomDictionary else line.vr
    return replace(line, items=items, vr=known if line.vr == "UN" else line.vr)


def _sorted(script: Iterable[Line]) -> tuple[Line, ...]:
    ordered = sorted(script, key=lambda line: line.tag)
    return tuple(
        replace(line, items=tuple(_sorted(item) for item in line.items)) if line.items else line for line in ordered
    )


def _pixels(order: Order, values: Mapping[int, str], draft: Draft) -> tuple[Element | bytes | None, bytes | None]:
    """Pixel data as an element, or as the bytes of one, and how it should come out (None: not told)."""
    shape = shape_of(values)
    if shape is None:
        return None, None
    draft.answers.trap = order.traps[0] if order.traps else ""
    endian = ">" if order.syntax == "big" else "<"
    if order.syntax == "encapsulated":
        told = [draft.plant(made, "jpeg-comments").decode() for made in (draft.mint.name(), draft.mint.id())]
        fragments, clean = jpeg(shape.frames, told)
        return Layout().head(PIXEL_DATA, "OB", 0xFFFFFFFF) + fragments, clean
    if order.burned:
        return Element(PIXEL_DATA, "OB", captioned(draft.mint.name().text.replace("^", " "), 1)), None
    if "overlay-bits" in order.traps:
        return native(shape, endian, high=0x8000), native(shape, "<").value  # type: ignore[return-value]
    return native(shape, endian), native(shape, "<").value  # type: ignore[return-value]


def _encoded(draft: Draft, pixels: Element | bytes | None) -> bytes:
    """The data set: elements, pixel data, what follows it, padding."""
    before = [element for element in draft.elements if element.tag < PIXEL_DATA]
    after = [element for element in draft.elements if element.tag > PIXEL_DATA] + draft.misplaced
    if isinstance(pixels, bytes):
        return write(before, "explicit", sort=False) + pixels + write(after, "explicit", sort=False) + draft.tail
    whole = [*before, *([pixels] if pixels else []), *after]
    data = write(whole, draft.syntax, sort=False)
    return data if draft.syntax == "deflated" else data + draft.tail


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes the corpus, to look at it.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    told.folder.mkdir(parents=True, exist_ok=True)
    for entry in corpus(told.seed):
        (told.folder / f"{entry.name}.dcm").write_bytes(entry.raw)
        key = {"traps": entry.traps, "planted": [[one.text, one.kind, one.place] for one in entry.planted]}
        (told.folder / f"{entry.name}.json").write_text(json.dumps(key, ensure_ascii=False, indent=1), "utf-8")


if __name__ == "__main__":
    main()

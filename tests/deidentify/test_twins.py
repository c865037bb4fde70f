"""What was done to one instance changes nothing of the next, however alike they are; and every guard that says so is needed."""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from typing import Any

import pytest

from gateway.deidentify import cleaner as cleaner_module
from gateway.deidentify import pixels, twins, verify
from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.deidentify.options import MODIFIED_DATES
from gateway.deidentify.twins import Subset, Twins
from gateway.model import Dropped
from gateway.settings import Deidentify
from tests.corpus.generate import corpus
from tests.corpus.score import RECOMMENDED
from tests.deidentify.broken import flipped
from tests.deidentify.conftest import KEY
from tests.deidentify.guards import constant
from tests.deidentify.writer import CT, ROOT, SYNTAXES, Element, base, with_, write

OPTIONS = {
    "basic": (),
    "recommended": RECOMMENDED,
    "dates": (MODIFIED_DATES, "retain-patient-characteristics"),
    "device": ("retain-device-identity",),
}
SAMPLE = 19
NAME, NOBODY = b"Quastenberg", b"Nichtsdavon"
MODEL, KERNEL, REFERENCES = 0x00081090, 0x00181210, 0x00081140
BLOB = 0x00189810  # no element of the dictionary: removed


def fresh(options: tuple[str, ...] = ()) -> Cleaner:
    return make_cleaner(project="a", deidentify=Deidentify(options=options), instance_rule=None, key=KEY)


def outcome(cleaner: Cleaner, data: bytes, syntax: str, own: frozenset[str] = frozenset()) -> tuple[str | bytes, ...]:
    """All that is told of an instance."""
    done = cleaner.clean(data, syntax, own)
    if isinstance(done, Dropped):
        return (done.outcome.value, done.reason)
    return (type(done).__name__, done.SOPInstanceUID, b"".join(done.parts))


def model(value: bytes, **more: bytes) -> list[Element]:
    return with_(base(), Element(MODEL, "LO", value), *(Element(int(tag[1:], 16), "LO", v) for tag, v in more.items()))


def hidden(value: bytes) -> Element:
    """A private blob whose bytes are an element that is harvested, or are not."""
    return Element(0x00111010, "OB", b"\x10\x00\x10\x00" + b"PN\x0c\x00" + value + b" " if value else bytes(20))


def numbered(number: bytes, text: bytes) -> list[Element]:
    return with_(model(text), Element(0x00080018, "UI", number))


def creator(name: bytes) -> list[Element]:
    return [*base(), Element(0x00190010, "LO", name), Element(0x0019100C, "IS", b"50")]


def referring(item: Element) -> list[Element]:
    return with_(base(), Element(REFERENCES, "SQ", ((item,),)))


def swapped(tags: tuple[int, int]) -> list[Element]:
    return with_(base(), Element(REFERENCES, "SQ", (tuple(Element(tag, "SH", b"A1") for tag in tags),)))


def named(name: bytes) -> list[Element]:
    return with_(model(b"Model " + NOBODY), Element(0x00100010, "PN", name))


def thin(tag: int) -> list[Element]:
    return [*(e for e in base() if e.tag != 0x00180050), Element(tag, "DS", b"2.5")]


def reaching(text: bytes, more: bytes) -> list[Element]:
    """A UID that is spelt by the end of a value, the tag behind it and its length, before bytes that are a tag which is kept."""
    elements = [e for e in model(text) if e.tag != 0x7FE00010]
    last = (more + b"\x18\0\0\x10wxyz").rjust(50, b"x")
    return [*elements, Element(0x2E320002, "LO", b"abc\x001.2."), Element(0x2E322E34, "LO", last)]


def changed(tag: int, vr: str, value: bytes) -> list[Element]:
    return with_(base(), Element(tag, vr, value))


TOKEN = b"the code is " + b64encode(b"xx" + NAME)
Pair = tuple[list[Element], list[Element]]
PAIRS: dict[str, Pair] = {
    "a name in an element that stays": (model(b"Model " + NOBODY), model(b"Model " + NAME)),
    "another patient's name": (named(NAME), named(NOBODY)),
    "the next one's UID in both": (
        numbered(ROOT + b"1.1.1", ROOT + b"1.1.2"),
        numbered(ROOT + b"1.1.2", ROOT + b"1.1.2"),
    ),
    "a name that a blob tells": (
        [*model(b"Model " + NOBODY), hidden(b"")],
        [*model(b"Model " + NOBODY), hidden(NOBODY)],
    ),
    "half a name": (model(b"Quastenxxxx"), model(b"Quastenberg")),
    "encoded": (model(TOKEN[:-3] + b"AAA"), model(TOKEN)),
    "another class": (base(), changed(0x00080016, "UI", CT[:-1] + b"4")),
    "another character set": (base(), changed(0x00080005, "CS", b"ISO_IR 144")),
    "another patient": (base(), base(patient=b"PX-774412")),
    "another study date": (base(), changed(0x00080020, "DA", b"20240401")),
    "another birth date": (base(), changed(0x00100030, "DA", b"19300822")),
    "another instance": (base(1), base(2)),
    "a value that is none": (base(), changed(0x00180050, "DS", b"a.5")),
    "another private creator": (creator(b"SIEMENS MR HEADER"), creator(b"SIEMENS XX HEADER")),
    "a reference": (
        referring(Element(0x00081155, "UI", ROOT + b"1.7")),
        referring(Element(0x00081155, "UI", ROOT + b"1.8")),
    ),
    "a name in a sequence": (referring(Element(0x00080104, "LO", NOBODY)), referring(Element(0x00080104, "LO", NAME))),
    "a sequence out of order": (swapped((0x00080100, 0x00080104)), swapped((0x00080104, 0x00080100))),
    "other pixels": (base(), changed(0x7FE00010, "OW", bytes(128))),
    "a UID that a header spells": (reaching(b"1x2x2x4x2", b"a"), reaching(b"1.2.2.4.2", b"b")),
    "a tag instead of another": (thin(0x00180050), thin(0x00180060)),
}


@cache
def alone(options: tuple[str, ...]) -> Cleaner:
    """One that takes nothing over."""
    cleaner = fresh(options)
    cleaner._twins.redo = constant(None)  # type: ignore[method-assign]
    return cleaner


@cache
def expected(name: str, syntax: str, options: tuple[str, ...]) -> tuple[str | bytes, ...]:
    return outcome(alone(options), write(PAIRS[name][1], syntax), SYNTAXES[syntax])


def told_apart(syntaxes: Iterable[str], options: tuple[str, ...]) -> list[tuple[str, str]]:
    """The pairs whose second is another's after the first."""
    used, found = fresh(options), list[tuple[str, str]]()
    for name, syntax in product(PAIRS, syntaxes):
        first, second = (write(elements, syntax) for elements in PAIRS[name])
        used.clean(first, SYNTAXES[syntax], frozenset())
        if outcome(used, second, SYNTAXES[syntax]) != expected(name, syntax, options):
            found.append((name, syntax))
    return found


@pytest.fixture(autouse=True)
def as_many_as_we_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "FIRST", 1e9)
    monkeypatch.setattr(pixels, "SEARCHED", 0)  # what is searched has no twin; the images of these tests are small,
    monkeypatch.setattr(pixels, "image_size", lambda _, length, __: length)  # and many do not say how large they are


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_no_pair_is_told_apart(options: tuple[str, ...]) -> None:
    assert told_apart(SYNTAXES, options) == []


def test_padding_that_is_none_is_no_padding() -> None:
    whole, used = write([e for e in base() if e.tag != 0x7FE00010], "explicit"), fresh()
    used.clean(whole + bytes(64), SYNTAXES["explicit"], frozenset())
    assert outcome(used, whole + bytes(40) + b"B30f" + bytes(20), SYNTAXES["explicit"]) == (
        "refused",
        "dataset.malformed",
    )


def test_values_of_the_request_are_others() -> None:
    data, used = write(model(b"Model " + NOBODY), "explicit"), fresh()
    asked = data, SYNTAXES["explicit"], frozenset({NOBODY.decode()})
    used.clean(*asked[:2], frozenset())
    assert outcome(used, *asked) == outcome(fresh(), *asked) != outcome(fresh(), *asked[:2])


def varied(chance: random.Random, data: bytes) -> bytes:
    """As long, with a few characters changed, and now and then a stretch of it somewhere else."""
    out, end = bytearray(data), max(data.find(b"\xe0\x7f\x10\x00"), 0) or len(data)
    digits = [at for at in range(end) if 0x30 <= out[at] <= 0x39]
    for at in chance.sample(digits, min(len(digits), chance.choice((1, 2, 6)))):
        out[at] = chance.choice(b"0123456789")
    if chance.random() < 0.3:
        size, (of, to) = chance.choice((4, 12, 40)), (chance.randrange(end) for _ in range(2))
        out[to : to + size] = out[of : of + size]
    return bytes(out[: len(data)])


def noted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """What a method returns from here on."""
    of, told = getattr(owner, name), list[Any]()

    def telling(*arguments: Any) -> Any:
        told.append(of(*arguments))
        return told[-1]

    monkeypatch.setattr(owner, name, telling)
    return told


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_variations_of_the_corpus(options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each variation after its original, as a new cleaner does it; a good part of them by their twin."""
    chance, redone = random.Random(3), noted(monkeypatch, Twins, "passes")
    used, without, wrong = fresh(options), alone(options), list[str]()
    for entry in corpus()[::SAMPLE]:
        syntax = SYNTAXES[entry.syntax]
        used.clean(entry.dataset, syntax, frozenset())
        for data in [*(varied(chance, entry.dataset) for _ in range(12)), flipped(chance, entry.dataset)]:
            if outcome(used, data, syntax) != outcome(without, data, syntax):
                wrong.append(f"{entry.kind} {entry.syntax}")
    assert wrong == []
    assert redone.count(True) >= 40


GUARDS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "nothing is guarded but what is harvested": (
        twins,
        "_guarded",
        lambda _, image, size, **__: [(image.start, size)] if image else (),
    ),
    "nothing that is harvested is guarded": (twins, "footprint", constant(())),
    "the harvest is the same": (twins, "harvest_again", lambda before, *_: before),
    "all is clean": (twins, "passes_again", constant(True)),
    "nobody looks for UIDs": (verify, "_secret", constant(frozenset())),
    "only one view is looked at": (verify, "_views", lambda raw: (raw.lower(), b"", b"")),
    "what changes is read with the old value": (twins, "_piece", lambda _, data, field: data[field.start : field.end]),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_that_is_taken_out_is_missed(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    syntaxes, sets = ("explicit", "encapsulated"), [OPTIONS["basic"], RECOMMENDED]
    for name, syntax, options in product(PAIRS, syntaxes, sets):
        expected(name, syntax, options)
    monkeypatch.setattr(*GUARDS[guard])
    assert any(told_apart(syntaxes, options) for options in sets), guard


def test_the_request_is_part_of_what_twins_are_alike_in(monkeypatch: pytest.MonkeyPatch) -> None:
    alike = twins.subset_of
    monkeypatch.setattr(
        cleaner_module, "subset_of", lambda *a: (s := alike(*a)) and Subset(s.codec, s.size, frozenset())
    )
    with pytest.raises(AssertionError):
        test_values_of_the_request_are_others()


def test_making_twins_ends_where_none_is_ever_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "FIRST", 32.0)
    made, used = noted(monkeypatch, Twins, "_made"), fresh()
    for number in range(200):
        used.clean(
            write(with_(base(), Element(BLOB, "OB", bytes(2 * number))), "explicit"), SYNTAXES["explicit"], frozenset()
        )
    assert len(made) <= twins.FIRST + 200 * twins.SELDOM

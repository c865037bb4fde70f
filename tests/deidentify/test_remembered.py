"""What a cleaner remembers changes nothing: after other patients, classes, character sets, and in threads, the same bytes."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.model import Dropped
from gateway.settings import Deidentify
from tests.corpus.generate import corpus
from tests.corpus.score import RECOMMENDED
from tests.deidentify.broken import flipped
from tests.deidentify.conftest import KEY
from tests.deidentify.writer import ROOT, SYNTAXES, Element, base, with_, write

SETS = {"basic": (), "recommended": RECOMMENDED}
SAMPLE = 17


def fresh(options: tuple[str, ...]) -> Cleaner:
    return make_cleaner(project="a", deidentify=Deidentify(options=options), instance_rule=None, key=KEY)


def outcome(cleaner: Cleaner, data: bytes, syntax: str) -> str | bytes:
    done = cleaner.clean(data, syntax, frozenset())
    return done.reason if isinstance(done, Dropped) else b"".join(done.parts)


@pytest.mark.parametrize("options", SETS.values(), ids=SETS)
def test_a_cleaner_that_has_seen_much_does_as_a_new_one(options: tuple[str, ...]) -> None:
    chance = random.Random(1)
    sound = [(e.dataset, SYNTAXES[e.syntax]) for e in corpus()[::SAMPLE]]
    entries = [*sound, *((flipped(chance, data), syntax) for data, syntax in sound)]  # nearly the same elements, too
    alone = [outcome(fresh(options), *entry) for entry in entries]
    used, order = fresh(options), list(range(len(entries))) * 2
    chance.shuffle(order)
    assert [number for number in order if outcome(used, *entries[number]) != alone[number]] == []
    with ThreadPoolExecutor(4) as pool:
        told = pool.map(lambda number: outcome(used, *entries[number]) == alone[number], order)
        assert all(told)


IMAGE_TYPE, SOP_INSTANCE = 0x00080008, 0x00080018


def image_type(value: bytes, study: int) -> list[Element]:
    return with_(base(study), Element(IMAGE_TYPE, "CS", value))


def unpadded(study: int, number: bytes) -> list[Element]:
    return with_(base(study), Element(SOP_INSTANCE, "UI", ROOT + number, odd=True))


def deep(study: int, levels: int) -> list[Element]:
    inner = Element(0x00082228, "SQ", ((Element(0x00080104, "LO", b"Chest"),),))
    for _ in range(levels - 1):
        inner = Element(0x00082228, "SQ", ((inner,),))
    return with_(base(study), inner)


def without(tag: int, study: int) -> list[Element]:
    return [e for e in base(study) if e.tag != tag]


PAIRS = {
    "an illegal image type before a screen page": (
        (), image_type(b"original\\primary", 1), image_type(b"derived\\secondary\\SCREEN SAVE", 2)
    ),
    "a screen page before an image without a type": (
        (), image_type(b"derived\\secondary\\screen save", 1), without(IMAGE_TYPE, 2)
    ),
    "an odd UID before another": (("retain-uids",), unpadded(1, b"1.11"), unpadded(2, b"1.22")),
    "an odd UID before none": (("retain-uids",), unpadded(1, b"1.11"), without(SOP_INSTANCE, 2)),
    "deep before too deep": ((), deep(1, 28), deep(1, 55)),
}  # fmt: skip


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
@pytest.mark.parametrize("pair", PAIRS)
def test_one_instance_says_nothing_of_the_next(pair: str, syntax: str) -> None:
    options, first, second = PAIRS[pair]
    used, data = fresh(options), write(second, syntax)
    used.clean(write(first, syntax), SYNTAXES[syntax], frozenset())
    warm, alone = (c.clean(data, SYNTAXES[syntax], frozenset()) for c in (used, fresh(options)))
    assert type(warm) is type(alone)
    assert outcome(used, data, SYNTAXES[syntax]) == outcome(fresh(options), data, SYNTAXES[syntax])
    if not isinstance(warm, Dropped) and not isinstance(alone, Dropped):
        assert warm.SOPInstanceUID == alone.SOPInstanceUID

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
from tests.deidentify.writer import SYNTAXES

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

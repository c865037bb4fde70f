"""Burnt-in text through the screener: a file is held, or comes out without the letters that were drawn into it."""

from __future__ import annotations

from gateway.cstore.screener import make_screener
from gateway.cstore.screening import RELEASE
from gateway.deidentify.screen import PixelCleaner
from gateway.model import Held
from gateway.settings import Deidentify
from tests.corpus.generate import FILES, orders
from tests.corpus.key import Entry
from tests.corpus.reader import read
from tests.corpus.score import cleaner_of
from tests.deidentify.writer import SYNTAXES

OPTIONS = ("clean-pixel-data",)
INK = 255


def burned(seed: int = 0) -> list[int]:
    """Their places in the corpus; none of its files is made for it."""
    return [place for place, order in enumerate(orders(seed, FILES)) if order.burned]


def ink_left(entry: Entry) -> float | None:
    """Share of the letters' dots that are as bright as they were; None where the file is not released."""
    done = cleaner_of(OPTIONS).clean(entry.dataset, SYNTAXES[entry.syntax], frozenset())
    if not isinstance(done, Held):
        return 1.0
    told = make_screener(Deidentify(options=OPTIONS), PixelCleaner).screen(done.parts)
    if told.verdict != RELEASE:
        return None
    before = read(entry.raw, SYNTAXES[entry.syntax]).pixels or b""
    after = read(b"".join(bytes(part) for part in told.parts), SYNTAXES[entry.syntax]).pixels or b""
    both = sum(was == INK == now for was, now in zip(before, after, strict=False))
    return both / before.count(INK)

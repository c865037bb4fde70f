"""What a walk over a data set is made for, where it is, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.charset import Charset
from gateway.deidentify.encoding import Codec
from gateway.deidentify.output import Parts
from gateway.deidentify.pixels import Cut
from gateway.deidentify.private import Creators
from gateway.deidentify.subject import Subject
from gateway.model import Buffer

Mark = tuple[int, Buffer]
"""An element to put in: its tag, its bytes."""
NOTHING: Creators = MappingProxyType({})
UNTROUBLED: Mapping[int, bool] = MappingProxyType({})


class Disordered(Exception):
    """Elements are not in ascending tag order: walk again with `sort`."""


class Scope(NamedTuple):
    """Where the walk is. `here`: rules that the IOD changes in this place. `creators`: of private blocks, as far as known.

    `parent`: as of `place_of`, 0 at the top. `scrub`: text without a rule of its own becomes a dummy. `path`: for explain.
    """

    codec: Codec
    here: Mapping[int, Rule]
    charset: Charset
    depth: int = 0
    parent: int = 0
    scrub: bool = False
    path: str = ""
    creators: Creators = NOTHING


class Step(NamedTuple):
    """What was done to one element. `path`: tags and item numbers down to it: "0040A730[0].00080100"."""

    path: str
    tag: int
    action: Action
    source: str


@dataclass(frozen=True)
class Source:
    """One data set as it came. `pixels`: the pixel data where it was taken out of `data`. `own`: the request's values."""

    data: bytes = field(repr=False)
    pixels: Cut | None = field(repr=False)
    codec: Codec
    own: frozenset[str] = field(repr=False)


class Walk(NamedTuple):
    """What one walk is made for. `trouble`: tags in which a value of the patient's was found -> whether cleaning did not help.

    `cut`: the pixel data, where it was taken out of the bytes beforehand. `sort`: put elements in order.
    `trace`: a list in which every step is noted; without it the walk is faster.
    """

    subject: Subject
    sop_class: bytes
    charset: bytes
    trouble: Mapping[int, bool] = UNTROUBLED
    cut: Cut | None = None
    sort: bool = False
    trace: list[Step] | None = None


def later_duplicate(tag: int, last: int) -> Parts:
    """Nothing, for an element that repeats the one before it (PS3.5 7.1: a tag occurs once). Raises Disordered."""
    if tag < last:
        raise Disordered
    return []

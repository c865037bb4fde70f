"""What a walk over a data set is made for, where it is, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.charset import Charset
from gateway.deidentify.encoding import Codec
from gateway.deidentify.pixels import Cut
from gateway.deidentify.private import Creators
from gateway.deidentify.subject import Subject
from gateway.model import Buffer

Mark = tuple[int, Buffer]
"""An element to put in: its tag, its bytes."""
NOTHING: Creators = MappingProxyType({})
UNTROUBLED: Mapping[int, bool] = MappingProxyType({})


class Scope(NamedTuple):
    """Where the walk is. `here`: rules that the IOD changes in this place. `creators`: of private blocks, as far as known.

    `parent`: the sequence, 0 at the top. `scrub`: text without a rule of its own becomes a dummy. `path`: for explain.
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

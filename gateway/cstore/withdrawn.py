"""Withdrawn patients: known to the receiver by what is in the data set, and stopped there, before anything is written.

A cleaner for the receiver's use. What it lets through has its patient in the crosswalk already, or else is never kept: that is
one look into the state for each series and process; from then on the series' own state says whether it is withdrawn.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gateway.dicom.part10 import DEFLATED, EXPLICIT_BE, IMPLICIT_LE, peek
from gateway.dicom.toplevel import top_level
from gateway.model import Buffer, Dropped, Held, Kept, Outcome
from gateway.state import persons

WITHDRAWN: Final = Dropped(Outcome.EXCLUDED, "patient.withdrawn")
UNREADABLE: Final = Dropped(Outcome.REFUSED, "patient.unreadable")
PATIENT_ID, SERIES = 0x00100020, 0x0020000E
ELEMENTS: Final = ((b"\x10\x00\x20\x00", b"LO"), (b"\x20\x00\x0e\x00", b"UI"))  # as encoded, little endian
PIXEL_DATA: Final = b"\xe0\x7f\x10\x00"
READ_SLOWLY: Final = DEFLATED | {EXPLICIT_BE}
GLANCE, GLANCED = 8, 1 << 16  # parts, and bytes of each, that are searched
HEAD: Final = 1 << 20  # bytes of a clean file in which the pseudonym is looked for
NEVER: Final[frozenset[str]] = frozenset()
REMEMBERED: Final = 1 << 12  # series of a process; as many of the outbox are never under way

Whose: TypeAlias = tuple[bytes, bytes]
"""Pseudonym and new SeriesInstanceUID."""


class Cleaner(Protocol):
    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Kept | Held | Dropped: ...


class Crosswalk(Protocol):
    """What is used of `state.broker.Broker`."""

    def enter(self, kept: persons.Kept, *, now: float) -> bool: ...


@dataclass
class WithoutWithdrawn:
    """A project's cleaner that keeps nothing of who is withdrawn. Thread-safe. Raises Retry when the state is busy.

    `formerly`: of patient ID and study, the pseudonyms under keys that the project had before: by them, too, one may be withdrawn.
    """

    project: str
    cleaner: Cleaner
    crosswalk: Crosswalk
    clock: Callable[[], float]
    formerly: Callable[[str, str], frozenset[str]] = lambda _patient, _study: NEVER
    _entered: OrderedDict[Whose, None] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Kept | Held | Dropped:
        done = self.cleaner.clean(dataset, transfer_syntax, own)
        if isinstance(done, Dropped):
            return done
        whose = _at_a_glance(done.parts, transfer_syntax) or _looked_up(done.parts, transfer_syntax)
        if not all(whose):
            return UNREADABLE  # what nobody could take out again is not kept
        if self._knows(whose):
            return done
        if not self.crosswalk.enter(self._kept(whose[0], dataset, transfer_syntax), now=self.clock()):
            return WITHDRAWN
        self._remember(whose)
        return done

    def _kept(self, pseudonym: bytes, dataset: Buffer, transfer_syntax: str) -> persons.Kept:
        ids = peek(dataset, transfer_syntax)
        patient = _raw(top_level(dataset, transfer_syntax, frozenset({PATIENT_ID})), PATIENT_ID)
        named = pseudonym.decode("latin-1"), patient.decode("latin-1")
        before = self.formerly(named[1], ids.StudyInstanceUID)
        return persons.Kept(self.project, *named, ids.StudyInstanceUID, ids.SeriesInstanceUID, before)

    def _knows(self, whose: Whose) -> bool:
        with self._lock:
            return whose in self._entered

    def _remember(self, whose: Whose) -> None:
        with self._lock:
            self._entered[whose] = None
            if len(self._entered) > REMEMBERED:
                self._entered.popitem(last=False)


def _at_a_glance(parts: Sequence[Buffer], transfer_syntax: str) -> Whose | None:
    """Patient and series of a clean file, where no element of those tags in all of its header says anything else.

    Nearly all are like that, and a search of bytes costs a hundredth of reading the elements up to there.
    """
    header = _header(parts[1:])
    if header is None or transfer_syntax in READ_SLOWLY:
        return None
    implicit = transfer_syntax == IMPLICIT_LE
    patient, series = (_alone(header, tag + (b"" if implicit else vr), 4 if implicit else 2) for tag, vr in ELEMENTS)
    return (patient, series) if patient and series else None


def _header(parts: Sequence[Buffer]) -> bytes | None:
    """Everything before large pixel data; None where something else is large."""
    taken: list[Buffer] = []
    for part in parts[:GLANCE]:
        if len(part) > GLANCED:
            return b"".join(taken) if taken and bytes(taken[-1][:4]) == PIXEL_DATA else None
        taken.append(part)
    return b"".join(taken) if len(taken) == len(parts) else None


def _alone(header: bytes, begins: bytes, width: int) -> bytes:
    """The value of every element that begins so, before a length of `width` bytes; b"" where they differ."""
    start = header.find(begins) + len(begins)
    if start < len(begins):
        return b""
    length = int.from_bytes(header[start : start + width], "little")
    element = header[start - len(begins) : start + width + length]
    return element[len(begins) + width :].strip(b" \0") if header.count(begins) == header.count(element) else b""


def _looked_up(parts: Sequence[Buffer], transfer_syntax: str) -> Whose:
    """b"" for what is not there."""
    made = top_level(_head(parts[1:]), transfer_syntax, frozenset({PATIENT_ID, SERIES}))
    return _raw(made, PATIENT_ID), _raw(made, SERIES)


def _head(parts: Sequence[Buffer]) -> bytes:
    """As much of a clean data set as begins with its first element."""
    taken, left = [], HEAD
    for part in parts:
        taken.append(bytes(memoryview(part)[:left]))
        left -= len(taken[-1])
        if left <= 0:
            break
    return b"".join(taken)


def _raw(row: Dataset, tag: int) -> bytes:
    """The value as it came, without its padding; b"" when it is not there."""
    found = row.get_item(Tag(tag))
    value = found.value if found is not None else b""
    return value.strip(b" \0") if isinstance(value, bytes) else b""

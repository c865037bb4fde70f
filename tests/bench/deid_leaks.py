"""What of the planted identifiers stands in the files that a tool wrote, and whether the pictures are still there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread


@dataclass(frozen=True)
class Score:
    """Of the files that were written. `planted`: how often an identifier stands in an input, `leaked`: of these, in its output.

    `whole`: files that end with the pixels of their input.
    """

    files: int
    planted: int
    leaked: int
    whole: int


def score(source: Path, dest: Path, identifiers: frozenset[bytes]) -> Score:
    """Files belong together by name. All bytes are searched, upper or lower case."""
    wanted = {identifier.lower() for identifier in identifiers}
    pairs = [(path.read_bytes(), dest / path.name) for path in sorted(source.iterdir()) if (dest / path.name).exists()]
    planted = leaked = whole = 0
    for before, made in pairs:
        after = made.read_bytes()
        there = found(before.lower(), wanted)
        planted += len(there)
        leaked += len(found(after.lower(), there))
        whole += after.endswith(dcmread(source / made.name).PixelData)
    return Score(len(pairs), planted, leaked, whole)


def found(text: bytes, wanted: Iterable[bytes]) -> set[bytes]:
    return {identifier for identifier in wanted if identifier in text}

"""Pixels of one file: looked at, their text blanked, and the file released; or held for a person with the reason.

Held, never guessed: pixels.undecodable, .malformed, .fragments, .dimensions, .unsupported, .syntax, .video, .none, .too-large (what
cannot be looked at); .low-confidence, .mostly-text, .not-found (what was looked at and not understood); .too-slow (a deadline per
file); .unencodable. Which picture is released is argued in docs/adr/0008-pixels.md.

This module and what it imports (onnxruntime above all) is for a process that screens, and no other: native code decodes there what
a stranger sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.deidentify.frames import Unscreenable, open_picture
from gateway.deidentify.looking import look
from gateway.deidentify.recogniser import Recogniser
from gateway.deidentify.writing import MakeScratch, Reader, release
from gateway.model import Buffer


@dataclass(frozen=True)
class Screened:
    """`verdict`: "release" or "hold"; `parts`: the file to release; `reason`: why it is held."""

    verdict: str
    parts: tuple[Buffer, ...] = field(default=(), repr=False)
    reason: str = ""


class PixelCleaner:
    """Opened once a process: the recogniser's model stays in memory."""

    def __init__(self) -> None:
        self._recogniser = Recogniser()

    def clean(self, file: memoryview, *, late: Callable[[], bool], scratch: MakeScratch) -> Screened:
        """`file`: a whole Part 10 file whose header is clean. `late`: whether its time is over. Raises what `scratch` raises."""

        def tick() -> None:
            if late():
                raise Unscreenable("pixels.too-slow")

        try:
            reader = Reader(open_picture(file))
            return Screened("release", release(reader, look(reader, self._recogniser, tick), scratch))
        except Unscreenable as err:
            return Screened("hold", reason=err.reason)

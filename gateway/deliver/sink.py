"""What every archive offers: put a clean file, prove that it is there, try whether it would work.

One interface, many archives, one conformance suite that each passes (tests/deliver/test_sink_conformance.py). A sink
knows files, and nothing of rows, projects or the outbox.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from gateway.errors import Retry

WRITABLE: Final = "can be written"
UNTRIED: Final = "only a delivery shows whether it takes files"
"""What a probe says of an archive that nothing can be written to and removed from again."""


@dataclass(frozen=True)
class Receipt:
    """`place`: where it is, in the archive's own terms (pseudonymous). `new`: False when the same content was there."""

    place: str
    new: bool


class Sink(Protocol):
    """Raises `Retry(charge=False)` when the archive is in trouble, `Refused` when this file can never go in."""

    @property
    def name(self) -> str:
        """Our own name of it, for metrics, status and history."""
        ...

    @property
    def batch(self) -> int:
        """How many files one `confirm` is best asked for."""
        ...

    def put(self, file: Path) -> Receipt:
        """Returns when the file is on stable storage there. Twice is once. Other content in its place: Refused."""
        ...

    def confirm(self, *files: Path) -> bool:
        """True when the archive, read afresh, holds exactly these; False when they must be put (again)."""
        ...

    def probe(self) -> str:
        """Writes and removes something that nobody sees, where there is such a thing. What that shows, for `check --connect`."""
        ...

    def close(self) -> None:
        """Lets go of what it has open; the next call opens it again."""
        ...


def digest(file: Path) -> str:
    """SHA-256 (hex) of a file of the outbox. Raises Retry("outbox.unreadable")."""
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None

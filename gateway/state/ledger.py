"""The ledger of a series, `root/<series key>/ledger`: a line of JSON for each instance that arrived.

Each line begins with a newline, so that a line torn by a crash spoils nothing but itself. Who appends has the file in common with
others who append, who lets it go has it alone: a line that was written is in the file that is there, or its file is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.model import LedgerLine, Outcome

LEDGER = "ledger"
_encode = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps makes one for each line


def append(ledger: str, line: LedgerLine, mode: int, *, sync: bool) -> None:
    """Raises OSError, FileNotFoundError where there is no folder."""
    raw = ("\n" + _encode(vars(line))).encode()
    with _locked(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, fcntl.LOCK_SH, mode) as fd:
        if os.write(fd, raw) != len(raw):
            raise OSError(28, "short write to the ledger")
        if sync:
            os.fdatasync(fd)


def lines(ledger: str) -> Iterator[LedgerLine]:
    """In the order in which they were written."""
    with contextlib.suppress(FileNotFoundError):
        with open(ledger, encoding="utf-8", errors="replace") as file:
            text = file.read()
        yield from (line for raw in text.split("\n") if (line := _parsed(raw)))


def let_go(ledger: Path, is_over: Callable[[], bool]) -> None:
    """Removes it if `is_over`, which is asked while nobody appends."""
    with contextlib.suppress(FileNotFoundError), _locked(ledger, os.O_RDONLY, fcntl.LOCK_EX):
        if is_over():
            ledger.unlink()


@contextlib.contextmanager
def _locked(ledger: Path | str, flags: int, lock: int, mode: int = 0) -> Iterator[int]:
    """The file that is there: one that somebody let go while we waited for the lock is opened anew."""
    while True:
        fd = os.open(ledger, flags | os.O_CLOEXEC, mode)
        try:
            fcntl.flock(fd, lock)
            if os.fstat(fd).st_nlink:
                yield fd
                return
        finally:
            os.close(fd)


def _parsed(raw: str) -> LedgerLine | None:
    try:
        record = json.loads(raw)
        record.pop("sha256", None)  # of versions before the checksum
        return LedgerLine(**{**record, "outcome": Outcome(record["outcome"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # empty, or torn by a crash

"""The audit trail: one JSON line for each use of the honest broker, appended, synced, and chained to the line before.

Each line bears a keyed hash (BLAKE2b under a key of its own) over itself and the hash before it, so that nobody without the key
can change, remove or reorder lines unseen. Its last line is told to whoever keeps the `Head` elsewhere: without that, lines cut
off at the end would not be missed. Nothing in a line identifies a patient: pseudonyms, keyed hashes, our own keys, counts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.errors import Retry
from gateway.keys import Keys, keyed_hash, keys_from
from gateway.state.writing import sync_folder

MODE: Final = 0o640
TAIL: Final = 1 << 16  # bytes; no line is as long
BEGINNING: Final = ""
FIELDS: Final = frozenset({
    "node", "user", "project", "pseudonym", "patient", "withdrawal", "sink", "files", "series", "requests", "outcome", "lines",
    "patients",
})  # fmt: skip
"""What a line may say besides its number, time, event and chain. Add a name only for what identifies nobody."""


@dataclass(frozen=True)
class Head:
    """The last line of a trail: its number, 0 for none, and its hash."""

    number: int = 0
    mac: str = BEGINNING


NONE: Final = Head()


@dataclass(frozen=True)
class Fault:
    """What is wrong with a trail. `line` counts from 1 in the file; 0: at its end. `why`: changed, missing, reordered, cut-off."""

    line: int
    why: str
    detail: str = ""


class Trail:
    """`key`: the 32-byte master key, or all keys there are. Several processes append to the same file: each line under a lock."""

    def __init__(self, path: Path, key: bytes | Keys) -> None:
        self.path, self._key = path, keys_from(key).audit

    def append(self, event: str, *, at: float, after: Head = NONE, **facts: str | int) -> Head:
        """Returns when the line is on stable storage. Raises Retry("audit.unwritable"), ValueError for what no line may say.

        `after`: the last line as it was kept elsewhere. What is missing up to there stays missing, whatever is written behind it.
        """
        if not facts.keys() <= FIELDS:
            raise ValueError(f"the audit trail has no field {sorted(facts.keys() - FIELDS)}")
        try:
            with self._locked() as fd:
                return self._append(fd, after, {"at": _time(at), "event": event, **facts})
        except OSError as err:
            told = f"{self.path}: {err.strerror}; nothing is done without a line in it"
            raise Retry("audit.unwritable", told, charge=False) from None

    def verify(self, head: Head | None = None) -> tuple[int, list[Fault]]:
        """How many lines are well, and what is wrong. `head`: as it was kept elsewhere. A half line of a crash is no fault.

        Raises Retry("audit.unreadable").
        """
        raw = enumerate(self._read().split(b"\n"), start=1)
        lines = [(n, parsed, line) for n, line in raw if (parsed := _parsed(line)) is not None]
        faults = list(self._faults(lines))
        known = {Head(line["seq"], line["mac"]) for _, line, _ in lines}
        last = max((line["seq"] for _, line, _ in lines), default=0)
        if head is not None and head.number and head not in known:
            told = f"lines {last + 1} to {head.number}" if head.number > last else f"line {head.number}"
            faults.append(Fault(0, "cut-off" if head.number > last else "changed", told))
        return len(lines) - len({f.line for f in faults if f.line}), faults

    def lines(self, after: int = 0) -> Iterator[Mapping[str, Any]]:
        """Those with a number above `after`, as they are. Raises Retry("audit.unreadable")."""
        found = (_parsed(line) for line in self._read().split(b"\n"))
        return (line for line in found if line is not None and line["seq"] > after)

    def _read(self) -> bytes:
        try:
            return self.path.read_bytes() if self.path.exists() else b""
        except OSError as err:
            raise Retry("audit.unreadable", f"{self.path}: {err.strerror}", charge=False) from None

    def _faults(self, lines: list[tuple[int, dict[str, Any], bytes]]) -> Iterator[Fault]:
        """A line is what was written byte for byte: of a name that stands in it twice only the last is under the hash."""
        before = Head()
        for n, line, raw in lines:
            if line["mac"] != self._mac(line) or raw != _encoded(line):
                yield Fault(n, "changed")
            elif line["seq"] <= before.number:
                yield Fault(n, "reordered", f"number {line['seq']} after {before.number}")
            elif line["seq"] != before.number + 1:
                yield Fault(n, "missing", f"lines {before.number + 1} to {line['seq'] - 1}")
            elif line["prev"] != before.mac:
                yield Fault(n, "changed", "the line before is another one")
            before = Head(line["seq"], line["mac"])

    def _append(self, fd: int, after: Head, told: Mapping[str, str | int]) -> Head:
        before, begun = _last(fd)
        before = after if after.number >= before.number else before
        line = {"seq": before.number + 1, **told, "prev": before.mac}
        head = Head(before.number + 1, self._mac(line))
        raw = (b"\n" if begun else b"") + _encoded({**line, "mac": head.mac}) + b"\n"
        if os.write(fd, raw) != len(raw):
            raise OSError(28, "short write")
        os.fsync(fd)
        return head

    def _mac(self, line: Mapping[str, Any]) -> str:
        text = json.dumps({k: v for k, v in line.items() if k != "mac"}, sort_keys=True)
        return keyed_hash(self._key, text)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        new = not self.path.exists()
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if new:
                sync_folder(self.path.parent)
            yield fd
        finally:
            os.close(fd)


def _last(fd: int) -> tuple[Head, bool]:
    """The last whole line, and whether half a one stands behind it."""
    size = os.fstat(fd).st_size
    raw = os.pread(fd, TAIL, max(0, size - TAIL))
    for line in reversed(raw.split(b"\n")):
        found = _parsed(line)
        if found is not None:
            return Head(found["seq"], found["mac"]), not raw.endswith(b"\n")
    return Head(), bool(raw) and not raw.endswith(b"\n")


def _parsed(raw: bytes) -> dict[str, Any] | None:
    """None: no line, or half of one."""
    try:
        line = json.loads(raw)
        whole = isinstance(line, dict) and isinstance(line["seq"], int) and isinstance(line["mac"], str)
        return {**line, "prev": line.get("prev")} if whole else None
    except (ValueError, KeyError, RecursionError):  # the last: nested lists, which somebody else wrote
        return None


def _encoded(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""What is held: one entry per held instance, read from the ledgers and the held folder. Nothing in it identifies a patient."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.keys import keyed_hash, short_key
from gateway.model import Buffer, LedgerLine, Outcome
from gateway.state.checksum import of_parts
from gateway.state.outbox import TRIES, Outbox

RELEASED = "held.released"
DISCARDED = "held.discarded"
"""Reasons in the ledger of what a person decided."""
STRAY_SECONDS = 3600.0


@dataclass(frozen=True)
class Holding:
    """One held instance. `key`: H-..., our own. `judged`: the screening leaves it to a person; else it has not come to it.

    `reason`: why it is held, by the screening or, before that, by the cleaner. `since`: epoch seconds.
    """

    key: str
    series: str
    line: LedgerLine
    reason: str
    judged: bool
    path: Path
    size: int
    since: float


def holdings(outbox: Outbox, series: Iterable[str] | None = None) -> Iterator[Holding]:
    """What is held of these series, or of all, in the order of their keys and files."""
    held = outbox.held
    if held is None:
        return
    for key in held.series() if series is None else series:
        verdicts = held.ledger(key)
        lines = [line for line in outbox.ledger(key).values() if line.outcome is Outcome.HELD]
        for line in sorted(lines, key=lambda line: line.file):
            with contextlib.suppress(FileNotFoundError):  # decided while we look
                yield _holding(key, line, verdicts.get(line.instance), held.path(key, line.file))


def _holding(series: str, line: LedgerLine, verdict: LedgerLine | None, path: Path) -> Holding:
    facts = path.stat()
    return Holding(
        key=holding_key(series, line.instance),
        series=series,
        line=line,
        reason=(verdict or line).reason,
        judged=verdict is not None,
        path=path,
        size=facts.st_size,
        since=facts.st_mtime,
    )


def holding_key(series: str, instance: str) -> str:
    """H-...: made from what is a keyed hash already."""
    return short_key("H", keyed_hash(b"held", series, instance))


@contextlib.contextmanager
def locked(holding: Holding) -> Iterator[bool]:
    """Only one process decides about a held file; the lock ends with its process. False: another one has it, or it is gone."""
    try:
        file = holding.path.open("rb")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield holding.path.exists()  # whoever had it before may have let it go


def tried(holding: Holding) -> int:
    """Notes that a screening begins; how many before it never ended. Forgotten at the daemon's start (`Outbox.sweep`)."""
    with _tries(holding).open("ab") as file:
        before = file.tell()
        file.write(b".")
    return before


def ended(holding: Holding) -> None:
    _tries(holding).unlink(missing_ok=True)


def _tries(holding: Holding) -> Path:
    return holding.path.with_name(f".{holding.key}{TRIES}")


def leave(outbox: Outbox, holding: Holding, reason: str) -> None:
    """The screening leaves it to a person."""
    assert outbox.held is not None
    verdict = LedgerLine(holding.line.instance, Outcome.HELD, reason, holding.line.file)
    outbox.held.note(holding.series, verdict)


def release(outbox: Outbox, holding: Holding, parts: Sequence[Buffer], reason: str = "") -> None:
    """`parts` go to the outbox in its place. The held file goes last: killed before that, it is released again.

    What lies in the outbox without being acknowledged may be of a former screening, and give way.
    """
    name = Path(holding.line.file)
    stored = outbox.keep(holding.series, name.stem, parts)
    if not stored.new and stored.checksum != of_parts(parts).hex():
        outbox.drop(holding.series, name.name)
        stored = outbox.keep(holding.series, name.stem, parts)
    _let_go(outbox, holding, replace(
        holding.line, outcome=Outcome.KEPT, reason=reason, size=stored.size, checksum=stored.checksum,
    ))  # fmt: skip


def discard(outbox: Outbox, holding: Holding) -> None:
    """It is dropped, and stays out when it comes again."""
    _let_go(outbox, holding, replace(holding.line, outcome=Outcome.EXCLUDED, reason=DISCARDED, checksum=""))


def _let_go(outbox: Outbox, holding: Holding, decided: LedgerLine) -> None:
    assert outbox.held is not None
    outbox.note(holding.series, decided)
    outbox.held.drop(holding.series, holding.line.file)


def tidy(outbox: Outbox, series: str, *, now: float) -> None:
    """Takes away what is left of a series: files that were let go, the folder when nothing is in it.

    A file without a line may be arriving this moment, and stays for an hour.
    """
    assert outbox.held is not None
    lines = {line.file: line.outcome for line in outbox.ledger(series).values() if line.file}
    for file in outbox.held.files(series):
        outcome = lines.get(file.name)
        arriving = outcome is None and now - file.stat().st_mtime < STRAY_SECONDS
        if outcome is not Outcome.HELD and not arriving:
            outbox.held.drop(series, file.name)
    if not outbox.held.files(series):
        outbox.held.remove(series, ())

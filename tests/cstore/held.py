"""A held series on a real outbox and a real state, and screeners that say what the test wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.cstore.screening import ScreenStep
from gateway.model import Buffer, LedgerLine, Outcome
from gateway.state import holding
from gateway.state.holding import Holding
from gateway.state.outbox import OWN, Outbox
from gateway.state.rows import tally
from gateway.state.views import SeriesView
from tests.dicom.serving import Counts
from tests.state.conftest import PROJECT, Opened

PROFILE = "0123456789abcdef"


@dataclass(frozen=True)
class Screened:
    verdict: str = "release"
    parts: Sequence[Buffer] = (b"masked",)
    reason: str = ""


class Scripted:
    """Answers by the content of the file; an exception in the script is raised. `seen`: what it was shown."""

    def __init__(self, script: Mapping[bytes, Screened | BaseException] | None = None) -> None:
        self.script = dict(script or {})
        self.seen: list[bytes] = []

    def screen(self, parts: Sequence[Buffer]) -> Screened:
        whole = b"".join(bytes(part) for part in parts)
        self.seen.append(whole)
        answer = self.script.get(whole, Screened(parts=(b"masked ", whole)))
        if isinstance(answer, BaseException):
            raise answer
        return answer


class HeldRig:
    """`arrive` what the receiver would leave, `settle` as the retrieval does, and look at it."""

    def __init__(self, folder: Path, state: Opened) -> None:
        self.state, self.counts, self.now = state, Counts(), 1000.0
        self.outbox = Outbox(folder / "outbox", Outbox(folder / "held", modes=OWN))
        state.ask("A1")
        self.request = state.plan("1.1")
        (series,) = state.views.series(self.request)
        self.series = series.key

    def arrive(self, name: str, content: bytes, outcome: Outcome = Outcome.HELD) -> None:
        files = self.outbox.held if outcome is Outcome.HELD else self.outbox
        assert files is not None
        stored = files.keep(self.series, f"2.25.{name}", [content])
        reason = "pixels.at-risk" if outcome is Outcome.HELD else ""
        line = LedgerLine(f"hash-{name}", outcome, reason, stored.path.name, stored.size, stored.checksum, PROFILE)
        self.outbox.note(self.series, line)

    def settle(self) -> None:
        """As `cmove.retrieve` does when all of it came."""
        claim = self.state.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101)
        assert claim is not None
        self.state.store.settle_retrieved(claim.rows[0], tally(self.outbox.ledger(self.series)), now=102)

    def step(self, screener: Scripted | None, *, clock: Callable[[], float] | None = None) -> ScreenStep:
        """Of a life of its own."""
        return ScreenStep(
            store=self.state.store,
            views=self.state.views,
            outbox=self.outbox,
            screeners={PROJECT: screener} if screener else {},
            count=self.counts,
            clock=clock or (lambda: self.now),
        )

    def run(self, screener: Scripted | None) -> int:
        """Steps until nothing waits; how many did something."""
        step, done = self.step(screener), 0
        while step.step():
            done += 1
            assert done < 100
        return done

    @property
    def view(self) -> SeriesView:
        return self.state.views.series(self.request)[0]

    @property
    def holdings(self) -> list[Holding]:
        return list(holding.holdings(self.outbox))

    def out(self) -> dict[str, bytes]:
        """Name -> content of what may be delivered."""
        return {file.name: file.read_bytes() for file in self.outbox.files(self.series)}

    def outcomes(self) -> dict[str, tuple[str, str]]:
        return {key: (line.outcome.value, line.reason) for key, line in self.outbox.ledger(self.series).items()}

    def held_files(self) -> list[str]:
        assert self.outbox.held is not None
        return [file.name for file in self.outbox.held.files(self.series)]

    def screened(self, result: str) -> int:
        return self.counts.added["screened_total", PROJECT, result]

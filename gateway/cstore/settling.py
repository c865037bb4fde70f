"""The step of role `settle`: pushed studies that have been quiet for a while go the way of retrieved ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

import structlog

from gateway.cstore.push import PushProject
from gateway.errors import Retry
from gateway.model import LedgerLine
from gateway.state.ledger import LEDGER
from gateway.state.rows import SeriesRow, Tally, WaitingSeries, tally

LEASE: Final = 300.0


class Store(Protocol):
    """What this step uses of `state.store.Store`."""

    def pushed(self, projects: Sequence[str]) -> list[WaitingSeries]: ...
    def claim_pushed(self, keys: Sequence[str], *, lease: float, now: float) -> list[SeriesRow]: ...
    def settle_retrieved(self, row: SeriesRow, tally: Tally, *, now: float) -> bool: ...
    def settle_row(self, row: SeriesRow, event: str, *, reason: str = "", now: float) -> bool: ...


class Outbox(Protocol):
    def ledger(self, series: str) -> Mapping[str, LedgerLine]: ...
    def path(self, series: str, name: str) -> Path: ...
    def files(self, series: str) -> Sequence[Path]: ...
    def damaged(self, series: str) -> Sequence[str]: ...
    def clear(self, series: str) -> None: ...


@dataclass(frozen=True)
class Arrived:
    """A series and its ledger. `unnoted`: files without a line, which a power cut may have taken: the file is the fact.

    So are those that were set aside: they came, and the courier will not go without them.
    """

    series: WaitingSeries
    ledger: Mapping[str, LedgerLine]
    unnoted: int

    @property
    def instances(self) -> int:
        return len(self.ledger) + self.unnoted

    @property
    def tally(self) -> Tally:
        counts = tally(self.ledger, expected=self.instances)
        return replace(counts, kept=counts.kept + self.unnoted)


@dataclass(kw_only=True)
class SettleStep:
    """`clock`: epoch seconds."""

    store: Store
    outbox: Outbox
    projects: Mapping[str, PushProject]
    clock: Callable[[], float]
    ahead: dict[float, float] = field(default_factory=dict)  # times that are yet to come, and when they were first seen

    def step(self) -> bool:
        """Settles every study that is quiet. False: none is.

        Raises Retry when the state is busy, or, after all others, when a folder of one cannot be read.
        """
        studies: dict[tuple[str, str], list[WaitingSeries]] = {}
        for series in self.store.pushed(list(self.projects)):
            studies.setdefault((series.project, series.study), []).append(series)
        now, done, unreadable = self.clock(), False, 0
        self.ahead = {at: seen for at, seen in self.ahead.items() if at > now}
        for study in studies.values():
            try:
                done = (self._is_quiet(study) and self._settle(study)) or done
            except OSError:
                unreadable += 1
        if unreadable:
            told = f"folders of {unreadable} pushed studies cannot be read: look at the disk, and whose outbox/ is"
            raise Retry("outbox.unreadable", told, charge=False)
        return done

    def _is_quiet(self, study: Sequence[WaitingSeries]) -> bool:
        last = max(self._last(series) for series in study)
        return self.clock() - last >= self.projects[study[0].project].quiet

    def _last(self, series: WaitingSeries) -> float:
        """When something of it came."""
        since = self._past(series.since)
        try:
            return max(since, self._past(self.outbox.path(series.key, LEDGER).stat().st_mtime))
        except FileNotFoundError:
            return since

    def _past(self, at: float) -> float:
        """What came while the clock was ahead may have come just now, and is not waited for until the clock is there again."""
        now = self.clock()
        if at <= now:
            return at
        self.ahead[at] = min(self.ahead.get(at, now), now)
        return self.ahead[at]

    def _settle(self, study: Sequence[WaitingSeries]) -> bool:
        """Judged on all that came; whatever comes now is late, as it is for a retrieved series."""
        claims = self.store.claim_pushed([series.key for series in study], lease=LEASE, now=self.clock())
        arrived = {series.key: self._arrived(series) for series in study} if claims else {}
        for row in claims:
            self._settle_series(row, arrived[row.key], counted(arrived[row.key], list(arrived.values())))
        return bool(claims)

    def _arrived(self, series: WaitingSeries) -> Arrived:
        files = {file.name for file in self.outbox.files(series.key)}  # before the ledger: a line is behind its file
        ledger = self.outbox.ledger(series.key)
        unnoted = files - {line.file for line in ledger.values()}
        return Arrived(series, ledger, len(unnoted) + len(self.outbox.damaged(series.key)))

    def _settle_series(self, row: SeriesRow, arrived: Arrived, late: Mapping[str, object]) -> None:
        verdict = self.projects[row.project].last({**json.loads(arrived.series.seen), **late})
        counts = arrived.tally
        if verdict.keep:
            settled = self.store.settle_retrieved(row, counts, now=self.clock())
        else:
            settled = self.store.settle_row(row, "excluded", reason=verdict.reason, now=self.clock())
        # What has come since is taken up again.
        empty = not counts.kept + counts.held and not self.outbox.files(row.key)
        if settled and (not verdict.keep or counts.refused or empty):  # failed or excluded: nothing is delivered
            self.outbox.clear(row.key)
        log = structlog.get_logger().bind(series=row.key, instances=counts.expected, kept=counts.kept)
        if verdict.keep and counts.refused:
            log.error("series.failed", reason=counts.reason)
        else:
            log.info("series.pushed", reason=verdict.reason)


def counted(arrived: Arrived, study: Sequence[Arrived]) -> dict[str, object]:
    """What C-FIND would have said, of what came."""
    return {
        "NumberOfSeriesRelatedInstances": float(arrived.instances),
        "NumberOfStudyRelatedInstances": float(sum(a.instances for a in study)),
        "NumberOfStudyRelatedSeries": float(len(study)),
        "ModalitiesInStudy": sorted({a.series.modality for a in study if a.series.modality}) or None,
    }

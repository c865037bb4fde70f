"""The gauges that are read from the state whenever Prometheus asks: queue counts, bytes, who is up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from prometheus_client.core import GaugeMetricFamily

from gateway.errors import GatewayError
from gateway.ops.declared import PREFIX, TABLE
from gateway.ops.health import Board

Labels = TypeVar("Labels", bound=tuple[str, ...])


class Counts(Protocol):
    """What `state.views.Views.counts()` gives: numbers by (project, state), and epoch seconds by project."""

    @property
    def requests(self) -> Mapping[tuple[str, str], int]: ...

    @property
    def series(self) -> Mapping[tuple[str, str], int]: ...

    @property
    def oldest_pending(self) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Sample:
    """One value of a scraped gauge; `name` without prefix, as in `declared.TABLE`."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Watched:
    """Where the scraped gauges come from. A callable that raises GatewayError or OSError leaves its gauges out."""

    counts: Callable[[], Counts]
    board: Board
    outbox_bytes: Callable[[], int]
    disk_free_bytes: Callable[[], int]
    clock: Callable[[], float]
    held: Callable[[], Mapping[str, int]]  # by project, of those that have any
    others: Callable[[], Iterable[Sample]] = tuple  # gauges that come from elsewhere


class Scrape:
    """A prometheus_client collector: reads the state when Prometheus asks."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for read in (self._rows, self._bytes, self._peers, self._others):
            try:
                yield from list(read())
            except (GatewayError, OSError):  # a busy database: absent is honest, 0 would be a lie
                continue

    def _rows(self) -> Iterator[GaugeMetricFamily]:
        counts, now = self._watched.counts(), self._watched.clock()
        yield _family("requests", counts.requests)
        yield _family("series", counts.series)
        projects = {project for project, _ in counts.series} | {project for project, _ in counts.requests}
        yield _family("held", {(p,): 0.0 for p in projects} | {(p,): float(n) for p, n in self._watched.held().items()})
        ages = {(p,): max(0.0, now - since) for p, since in counts.oldest_pending.items()}
        yield _family("oldest_pending_request_age_seconds", ages)

    def _bytes(self) -> Iterator[GaugeMetricFamily]:
        yield _family("outbox_bytes", {(): self._watched.outbox_bytes()})
        yield _family("disk_free_bytes", {(): self._watched.disk_free_bytes()})

    def _peers(self) -> Iterator[GaugeMetricFamily]:
        yield _family("pacs_up", {(n,): float(up) for n, up in self._watched.board.states("pacs").items()})
        yield _family("sink_up", {(n,): float(up) for n, up in self._watched.board.states("sink").items()})
        yield _family("ris_up", {(n,): float(up) for n, up in self._watched.board.states("ris").items()})

    def _others(self) -> Iterator[GaugeMetricFamily]:
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for sample in self._watched.others():
            labels = tuple(sample.labels[label] for label in TABLE[sample.name].labels)
            found.setdefault(sample.name, {})[labels] = sample.value
        yield from (_family(name, values) for name, values in found.items())


def _family(name: str, values: Mapping[Labels, float]) -> GaugeMetricFamily:
    row = TABLE[name]
    family = GaugeMetricFamily(PREFIX + name, row.help, labels=row.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(list(labels), value)
    return family

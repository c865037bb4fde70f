"""What an alert needs from the first scrape on: counters that begin at 0, and bounds, certificates and stuck roles as gauges.

A counter that is born with 1 has not risen, for Prometheus: the first leak, the first refusal would go unnoticed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from gateway.model import Outcome
from gateway.ops.scrape import Sample
from gateway.run import delivering
from gateway.settings import Settings, Tls
from gateway.settings.certificates import expiry

if TYPE_CHECKING:
    from gateway.ops.metrics import Count
    from gateway.run.daemon import Life

T = TypeVar("T")
RESULTS: Final = {
    "find_total": ("found", "empty", "failed"),
    "move_total": ("complete", "incomplete", "stopped", "failed"),
    "ris_polls_total": ("ok", "failed"),
    "deliveries_total": ("delivered", "duplicate", "refused", "failed", "confirmed", "lost"),
    "instances_received_total": (*(outcome.value for outcome in Outcome), "deferred"),
}
REJECTED: Final = ("calling-ae", "unresolved", "called-ae", "limit", "connections", "plain", "tls", "disk", "outbox")
NOBODYS: Final = ""
"""The project of an instance whose study cannot be told, or that nobody asked for."""
AGAIN: Final = 3600.0
"""Seconds after which a certificate's file is read again: one that was renewed is in use after a reload."""


def begin_at_zero(count: Count, settings: Settings, sinks: Iterable[str]) -> None:
    """Every counter whose labels the configuration knows."""
    for name, label, value in _labelled(settings, sinks):
        for result in RESULTS[name]:
            count.add(name, 0, **{label: value, "result": result})
    for project in settings.project:
        count.add("leaks_blocked_total", 0, project=project.name)
        count.add("received_bytes_total", 0, project=project.name)
        for result in ("released", "held", "failed"):
            count.add("screened_total", 0, project=project.name, result=result)
    for pacs in settings.pacs:
        count.add("rate_delay_seconds_total", 0, pacs=pacs.name)
    for reason in REJECTED:
        count.add("associations_rejected_total", 0, reason=reason)


def _labelled(settings: Settings, sinks: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    for pacs in settings.pacs:
        yield from (("find_total", "pacs", pacs.name), ("move_total", "pacs", pacs.name))
    for project in settings.project:
        yield "instances_received_total", "project", project.name
        if project.source is not None:
            yield "ris_polls_total", "project", project.name
    yield "instances_received_total", "project", NOBODYS
    yield from (("deliveries_total", "sink", name) for name in sinks)


def seldom(seconds: float, read: Callable[[], T]) -> Callable[[], T]:
    """What `read` tells, asked again only when that is older than `seconds`."""
    known: list[tuple[float, T]] = []

    def latest() -> T:
        if not known or time.monotonic() - known[0][0] > seconds:
            found = read()
            known[:] = [(time.monotonic(), found)]
        return known[0][1]

    return latest


class Gauges:
    """The gauges beside the state: read at each scrape."""

    def __init__(self, life: Life) -> None:
        self._life = life
        certificates = tuple(certified(life.settings))
        self._certificates = seldom(AGAIN, lambda: dict(expiries(certificates)))

    def samples(self) -> Iterator[Sample]:
        receiver = self._life.settings.receiver
        yield Sample("disk_wanted_bytes", {}, receiver.min_free_disk)
        if receiver.max_outbox is not None:
            yield Sample("outbox_limit_bytes", {}, receiver.max_outbox)
        yield Sample("stuck_roles", {}, len(self._life.hearts.stale(time.monotonic())))
        for use, until in self._certificates().items():
            yield Sample("certificate_expiry_timestamp_seconds", {"use": use}, until)


def expiries(certified: Iterable[tuple[str, Tls | None]]) -> Iterator[tuple[str, float]]:
    """(use, epoch seconds) of each certificate of ours that can be read."""
    for use, tls in certified:
        until = expiry(tls.certificate) if tls is not None and tls.certificate is not None else None
        if until is not None:
            yield use, until.timestamp()


def certified(settings: Settings) -> Iterator[tuple[str, Tls | None]]:
    """`receiver`, `pacs NAME`, `archive NAME`, `audit`. Raises Fatal where one of an archive will not do: at the start."""
    yield "receiver", settings.receiver.tls
    yield from ((f"pacs {p.name}", p.tls) for p in settings.pacs)
    for project in settings.project:
        names = (sink.name for sink in delivering.make_sinks(settings, project))
        for one, name in zip(project.deliver, names, strict=True):
            yield f"archive {name}", getattr(one, "tls", None)
    yield "audit", settings.audit.tls if settings.audit else None

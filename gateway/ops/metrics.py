"""Every number the gateway shows: one registry, and a pipe for the processes that have no registry.

What is not declared in `ops/declared.py` is a mistake of the program, raised at once, in the receive processes too.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from typing import IO, Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from gateway import __version__
from gateway.ops.declared import PREFIX, UnknownMetric, declared, of
from gateway.ops.httpd import PLAIN, Answer, Server, listen_tcp
from gateway.ops.scrape import Scrape, Watched

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
PIPE_BUF: Final = 4096  # bytes that one write() to a pipe never tears (Linux, pipe(7))
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps makes one for each line


class Count(Protocol):
    """What the rooms know of metrics. Names without prefix: `add("find_total", pacs="main", result="found")`."""

    def add(self, name: str, value: float = 1, **labels: str) -> None: ...

    def observe(self, name: str, seconds: float, **labels: str) -> None: ...

    def set(self, name: str, value: float, **labels: str) -> None: ...


class Metrics:
    """The registry of the main process. Thread-safe."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` gauge beside every counter says nothing that anybody asks
        self.registry = CollectorRegistry()
        self._counters = {n: Counter(PREFIX + n, r.help, r.labels, registry=self.registry) for n, r in of("counter")}
        self._gauges = {n: Gauge(PREFIX + n, r.help, r.labels, registry=self.registry) for n, r in of("gauge")}
        self._histograms = {
            n: Histogram(PREFIX + n, r.help, r.labels, registry=self.registry, buckets=r.buckets)
            for n, r in of("histogram")
        }
        self._shares: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, float]] = {}
        self._lock = threading.Lock()
        ProcessCollector(registry=self.registry)
        self.set("build_info", 1, version=__version__)

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        """Counters; gauges too, up and down."""
        if declared(name, labels, "counter", "gauge").kind == "gauge":
            self.gauge(name, value, labels, source="", relative=True)
        else:
            counter = self._counters[name]
            (counter.labels(**labels) if labels else counter).inc(value)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        declared(name, labels, "histogram")
        histogram = self._histograms[name]
        (histogram.labels(**labels) if labels else histogram).observe(seconds)

    def set(self, name: str, value: float, **labels: str) -> None:
        declared(name, labels, "gauge")
        self.gauge(name, value, labels, source="", relative=False)

    def gauge(self, name: str, value: float, labels: Mapping[str, str], *, source: str, relative: bool) -> None:
        """A gauge is the sum of what each source says, so that two receive processes do not overwrite one another."""
        with self._lock:
            shares = self._shares.setdefault((name, tuple(sorted(labels.items()))), {})
            shares[source] = value + (shares.get(source, 0.0) if relative else 0.0)
            self._show(name, labels, shares)

    def forget(self, source: str) -> None:
        """Takes a source's share out of every gauge: its process has ended."""
        with self._lock:
            for (name, labels), shares in self._shares.items():
                if shares.pop(source, None) is not None:
                    self._show(name, dict(labels), shares)

    def _show(self, name: str, labels: Mapping[str, str], shares: Mapping[str, float]) -> None:
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(sum(shares.values()))

    def watch(self, watched: Watched) -> None:
        """Adds the gauges that are read at each scrape. Once."""
        self.registry.register(Scrape(watched))

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    def serve(self, bind: str, port: int) -> Server:
        """`GET /metrics` on exactly this address. Raises Fatal("metrics.address") when it cannot be had."""
        return Server(listen_tcp(bind, port), {"/metrics": self.answer, "/": _index}, name="metrics")

    def answer(self) -> Answer:
        return Answer(200, TEXT, self.exposition())


def _index() -> Answer:
    return Answer(200, PLAIN, b"pacs-gateway: see /metrics\n")


class RemoteCount:
    """The `Count` of a receive process: one JSON line per call, written to a pipe that the main process replays.

    Never blocks and never fails for what the pipe does: a C-STORE must not wait for a counter. A full or broken pipe
    loses the count, and the loss itself is counted with the next line that goes through. `write`: the pipe's write end.
    """

    def __init__(self, write: int | IO[bytes]) -> None:
        self._fd = write if isinstance(write, int) else write.fileno()
        self._lost = 0
        self._lock = threading.Lock()
        os.set_blocking(self._fd, False)

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        declared(name, labels, "counter", "gauge")
        self._send("add", name, value, labels)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        declared(name, labels, "histogram")
        self._send("observe", name, seconds, labels)

    def set(self, name: str, value: float, **labels: str) -> None:
        declared(name, labels, "gauge")
        self._send("set", name, value, labels)

    def _send(self, verb: str, name: str, value: float, labels: Mapping[str, str]) -> None:
        with self._lock:
            if not self._write([verb, name, value, labels]):
                self._lost += 1
            elif self._lost and self._write(["add", "counts_lost_total", self._lost, {}]):
                self._lost = 0

    def _write(self, what: list[object]) -> bool:
        line = _encode(what).encode() + b"\n"
        if len(line) > PIPE_BUF:
            return False
        try:
            return os.write(self._fd, line) == len(line)
        except OSError:  # full (EAGAIN), or the main process is gone
            return False


def replay(line: bytes | str, metrics: Metrics, source: str = "") -> bool:
    """Counts what a `RemoteCount` wrote. `source`: the process, whose gauges are summed with the others'.

    False, and counted as lost, when the line is not one of ours (a writer killed half-way).
    """
    try:
        verb, name, value, labels = json.loads(line)
        if verb == "observe":
            metrics.observe(name, value, **labels)
        elif declared(name, labels, "counter", "gauge").kind == "gauge":
            metrics.gauge(name, value, labels, source=source, relative=verb == "add")
        else:
            metrics.add(name, value, **labels)
    except (ValueError, TypeError, UnknownMetric):
        metrics.add("counts_lost_total")
        return False
    return True

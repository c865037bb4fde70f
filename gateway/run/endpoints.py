"""What the daemon shows: the health socket, the metrics port, and the one line that systemd prints."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.errors import GatewayError
from gateway.ops.health import HealthSocket, Vitals, iso
from gateway.ops.httpd import Server
from gateway.ops.scrape import Counts, Watched
from gateway.run import deciding, moving
from gateway.run.delivering import make_sinks
from gateway.run.watched import Gauges, begin_at_zero, seldom
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.run.daemon import Life

OUTBOX_SECONDS = 15.0
"""How old may be what is counted by walking folders: the outbox's size, and what is held."""
UNFINISHED = ("planned", "retrieved", "delivered")


def peers(settings: Settings) -> list[tuple[str, str]]:
    """Kind and name of each that `status` tells about."""
    sinks = [("sink", s.name) for p in settings.project for s in make_sinks(settings, p)]
    return [("pacs", p.name) for p in settings.pacs] + [("ris", r.name) for r in settings.ris] + sinks


class Endpoints:
    """Opened when everything has started, closed last."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._health: HealthSocket | None = None
        self._port: Server | None = None
        self._outbox_bytes = seldom(OUTBOX_SECONDS, life.state.outbox.size)
        self._held = seldom(OUTBOX_SECONDS, lambda: deciding.count(life.state))

    def open(self) -> None:
        life = self._life
        begin_at_zero(life.metrics, life.settings, life.board.names("sink"))
        life.metrics.watch(Watched(
            life.state.views.counts, life.board, self._outbox_bytes, self._disk_free, time.time, self._held,
            Gauges(life).samples,
        ))  # fmt: skip
        self._port = life.metrics.serve(life.settings.metrics.bind, life.settings.metrics.port)
        self._health = HealthSocket(
            life.settings.health.socket,
            Vitals(lambda: life.hearts.alive(time.monotonic()), self.readyz, self.status, life.metrics.answer),
        )

    def close(self) -> None:
        for part in (self._health, self._port):
            if part is not None:
                part.close()

    def readyz(self) -> dict[str, bool]:
        """Receiver listening, database answering."""
        return {"receiver": self._life.receivers.ready(), "database": self._database()}

    def status(self) -> dict[str, object]:
        """The JSON of GET /status (interface.md)."""
        life, now = self._life, time.time()
        started, began = life.current.began
        counts = life.state.views.counts()
        self._backlog(counts, now)
        planned = life.state.views.planned([p.name for p in life.settings.project])
        moves = moving.standing(life.gates, planned, now)
        return {
            "version": __version__,
            "node": life.settings.node,
            "started": iso(started),
            "uptime_s": round(time.monotonic() - began),
            "queues": {"requests": _nested(counts.requests), "series": _nested(counts.series)},
            "held": dict(self._held()),
            "outbox_bytes": self._outbox_bytes(),
            "disk_free_bytes": self._disk_free(),
            "paused": sorted(life.room.reasons),
            "window_open": {name: gate.is_open(now) for name, gate in life.gates.items()},
            "moves": moves,
            "throughput": life.meter.rates(now),
            "eta_s": moving.eta(moves) if planned else life.meter.eta(),
            **life.board.snapshot(),
        }

    def sentence(self) -> str:
        """What `systemctl status` shows."""
        try:
            counts = self._life.state.views.counts()
        except GatewayError as err:
            return f"state: {err.reason}"
        now = time.time()
        requests = sum(n for (_, s), n in counts.requests.items() if s in ("new", "planned"))
        rate = self._life.meter.rates(now)["instances_per_minute"]
        return f"{requests} requests and {self._backlog(counts, now)} series under way, {rate:g} instances a minute"

    def _backlog(self, counts: Counts, now: float) -> int:
        """Series still to do, of which the meter is told: it foretells from how they become fewer."""
        series = sum(n for (_, state), n in counts.series.items() if state in UNFINISHED)
        self._life.meter.backlog(series, now)
        return series

    def _database(self) -> bool:
        try:
            return self._life.state.store.answers()
        except GatewayError:
            return False

    def _disk_free(self) -> int:
        return shutil.disk_usage(self._life.settings.state_dir).free


def _nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (project, state), n in sorted(counts.items()):
        nested.setdefault(project, {})[state] = n
    return nested

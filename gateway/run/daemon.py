"""The daemon's life: lock, state, receivers, workers, READY; then watch until told to stop; then drain in order.

Stop order: poll, find -> move (ends or C-CANCELs) -> receive -> screen -> deliver, confirm -> state (architecture.md, Processes).
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway import __version__
from gateway.cstore.page import Page
from gateway.dicom.quiet import silence
from gateway.errors import Fatal, Retry
from gateway.ops import log as logs
from gateway.ops.core import forbid_core_dumps, one_heap
from gateway.ops.health import Board
from gateway.ops.metrics import Metrics
from gateway.ops.notify import Heartbeats, Systemd, Watchdog, watchdog_interval
from gateway.run import delivering, moving, receiving, rounds, upkeep, wiring
from gateway.run.children import Children, Hear
from gateway.run.current import Current
from gateway.run.endpoints import Endpoints, peers
from gateway.run.locking import lock_state
from gateway.run.meter import Meter
from gateway.run.nodes import Nodes
from gateway.run.opening import open_state
from gateway.run.receivers import listen, receive_kind
from gateway.run.schedule import Schedule
from gateway.run.screen import screen_kind
from gateway.run.signals import Signals
from gateway.run.worker import Role, Watch, attempt, work
from gateway.settings import Settings

BEAT_LIMIT = 120.0
"""Seconds without a sign of life after which a role counts as stuck (and the watchdog is no longer fed)."""
DRAIN_SECONDS = 55.0
"""For each of the seven parts that the unit knows of; more than receive processes may take, and their last counts."""
SWEEP_QUIET = 600.0
"""Seconds since its confirmation before left-over files of a series are looked at."""
TICK = 0.5
STATUS_SECONDS = 10.0


def run(settings: Settings, config_path: Path, *, level: str = "info") -> int:
    """Runs until SIGTERM (exit 0) or a fatal error (exit 1). SIGHUP: the configuration and certificates are read again."""
    forbid_core_dumps()
    one_heap()
    silence()
    logs.configure(level, sys.stderr)
    logs.install_hooks()
    signals, systemd = Signals(), Systemd()
    with lock_state(settings):
        current = Current(settings, listen(settings.receiver), config_path)
        life: Life | None = Life(current, systemd, signals, level=level)
        try:
            while life is not None:
                life = life.live()
        finally:
            systemd.close()
    return 0


class Life:
    """From start to drain with one configuration."""

    def __init__(self, current: Current, systemd: Systemd, signals: Signals, *, level: str) -> None:
        self.current, self.signals, self.systemd, self._level = current, signals, systemd, level
        self._receiving = False
        self._successor: Life | None = None
        settings = self.settings = current.settings
        self.metrics, self.meter = Metrics(), Meter()
        self.hearts = Heartbeats()
        interval = watchdog_interval(os.environ, os.getpid())
        self.watchdog = Watchdog(systemd, self.hearts, interval, time.monotonic)
        self.board, self.gates = Board(peers(settings)), moving.make_gates(settings, self.metrics)
        self.state, self.page = open_state(settings), Page(len(settings.pacs))
        self.room = receiving.make_room(settings, self.state.views, self.state.outbox, self.page)
        hear = Hear(self.metrics, self._beat, lambda line: self.meter.line(line, time.time()))
        self.receivers = Children(
            settings, receive_kind(settings.receiver, current.listener, self.page), hear, level=level
        )
        # That a screening process is replaced ever more slowly, or busy with one file for long, is no reason for the watchdog.
        deaf = Hear(self.metrics, lambda _: None, lambda _: None)
        self.screening = Children(settings, screen_kind(settings), deaf, level=level)
        self.schedule, self.nodes = Schedule(), Nodes(settings, self.state.store, self.state.outbox)
        self.endpoints = Endpoints(self)
        self.failed: Fatal | None = None
        self._over = False
        self._asking, self._moving, self._delivering = (threading.Event() for _ in range(3))
        self._threads: dict[str, threading.Thread] = {}

    def live(self) -> Life | None:
        """To its end: None when told to stop, else who lives next, and receives already. Raises what ended it early."""
        try:
            self._start()
            self._watch()
        finally:
            self._drain()
        if self._successor and (self.failed or self.signals.stop.is_set()):
            self._successor.give_up()
            self._successor = None
        if self.failed:
            raise self.failed
        if self._successor:
            log = structlog.get_logger()
            log.info("daemon.reloaded")
        return self._successor

    def receive(self, meanwhile: Callable[[], object] = tuple) -> None:
        """Starts the receive processes: on a reload while those of the life before still serve. Raises Fatal("receive.start")."""
        for name in self.receivers.kind.names:
            self._expect(name, BEAT_LIMIT)
        self._receiving = True
        self.receivers.start()
        self.receivers.wait_ready(meanwhile)

    # ---- start

    def _start(self) -> None:
        log = structlog.get_logger()
        freed, halves = self.nodes.begin(), 0
        if self._receiving:
            swept = self._sweep()
        else:  # nothing arrives yet, so halves are those of a crash
            halves = self.state.outbox.sweep()
            swept = upkeep.clear_outbox(self.state) + upkeep.resume_outbox(self.state, time.time())
        log.info(
            "daemon.starting", version=__version__, node=self.settings.node, count=freed, files=halves, series=swept
        )
        if not self._receiving:
            self.receive()
        self.screening.start()
        self._start_workers()
        self._start_schedule()
        self.endpoints.open()  # last: who is told that we are ready may rely on it
        self.systemd.ready(f"receiving on port {self.settings.receiver.port}")
        log.info("daemon.ready", node=self.settings.node, port=self.settings.receiver.port)

    def _start_workers(self) -> None:
        slowest = max(p.response_timeout for p in self.settings.pacs)
        for name, find in wiring.make_find_steps(self.settings, self.state, self._told):
            self._begin(name, find.step, self._asking, BEAT_LIMIT)
        around = moving.Around(self.gates, self._moving, self.room, self.metrics, self.meter, self.page)
        for name, move in moving.make_move_steps(self.settings, self.state, self._told, around):
            self._begin(name, move.step, self._moving, slowest + BEAT_LIMIT)
        for name, step in delivering.make_steps(self.settings, self.state, self._told, self._delivering):
            self._begin(name, step.step, self._delivering, delivering.LONGEST + BEAT_LIMIT)

    def _begin(self, name: str, step: Callable[[], bool], stop: threading.Event, limit: float) -> None:
        self._expect(name, limit)
        role = Role(name, step, lambda: self._beat(name), idle=0.5)
        thread = threading.Thread(target=work, args=(role, stop, self._watching()), name=name, daemon=True)
        self._threads[name] = thread
        thread.start()

    def _start_schedule(self) -> None:
        self._expect("schedule", BEAT_LIMIT)
        self.schedule.add("heart", "10s", lambda: self._beat("schedule"))
        self.schedule.add("room", "1s", self._guarded("room", self.room.measure))
        self.schedule.add("sweep", "1h", self._guarded("sweep", self._sweep))
        settle = receiving.make_settle_step(self.settings, self.state.store, self.state.outbox, time.time)
        if settle:
            self.schedule.add("settle", receiving.SETTLE_EVERY, self._guarded("settle", settle.step))
        told = wiring.Told(self.metrics, self.board)
        for name, schedule, job in rounds.jobs(self.settings, self.state, told, self._asking, self.nodes.in_turn):
            self.schedule.add(name, schedule, self._guarded(name, job))
        self.nodes.start(self.schedule, self._guarded)

    def _sweep(self) -> int:
        resumed = upkeep.resume_outbox(self.state, time.time(), quiet=SWEEP_QUIET)
        return upkeep.clear_outbox(self.state) + resumed

    def _guarded(self, name: str, job: Callable[[], object]) -> Callable[[], object]:
        role, watch = Role(name, lambda: bool(job()), lambda: None), self._watching()
        watch.begins(role)
        return lambda: attempt(role, watch)

    def _told(self, role: str) -> wiring.Told:
        def clock() -> float:
            self._beat(role)  # a step that reads the clock is getting on
            return time.time()

        return wiring.Told(self.metrics, self.board, clock)

    def _expect(self, role: str, limit: float) -> None:
        self.hearts.expect(role, limit, now=time.monotonic())

    def _beat(self, role: str) -> None:
        self.hearts.beat(role, now=time.monotonic())

    def _watching(self) -> Watch:
        return Watch(self.metrics, self._fatal)

    def _fatal(self, err: Fatal) -> None:
        if self._over:  # a thread that outlived the drain: it is not to end the life that came after
            return
        self.failed = err
        self.signals.stop.set()

    # ---- watch

    def _watch(self) -> None:
        """Until told to stop or to reload: children replaced, watchdog fed while every role progresses, STATUS said."""
        said = 0.0
        told: tuple[str, ...] = ()
        while not self.signals.stop.wait(TICK) and not self._renewed():
            self.receivers.replace_dead()
            self.screening.replace_dead()
            self.room.look(self.metrics)
            self.schedule.look()
            stuck = self.watchdog.tick()
            if stuck != told:
                structlog.get_logger().error("daemon.stuck", roles=stuck)
                told = stuck
            if time.monotonic() - said >= STATUS_SECONDS:
                said = time.monotonic()
                self.systemd.status(self.endpoints.sentence())

    def _renewed(self) -> bool:
        """Told to reload, and processes with the new configuration receive already: nothing is drained for a bad one."""
        if not self.signals.reload.is_set():
            return False
        self.signals.reload.clear()
        renewed = self.current.renewed()
        self._successor = self._succeeded(renewed) if renewed else None
        return self._successor is not None

    def _succeeded(self, renewed: Current) -> Life | None:
        successor = None
        try:
            successor = Life(renewed, self.systemd, self.signals, level=self._level)
            successor.page.pause(self.page.reason)
            successor.receive(self.watchdog.tick)
        except (Fatal, Retry) as err:
            structlog.get_logger().error("daemon.reload.refused", reason=err.reason, detail=err.detail)
            if renewed.listener is not self.current.listener:
                renewed.listener.close()
            if successor:
                successor.give_up()
            return None
        return successor

    def give_up(self) -> None:
        """Ends what never lived."""
        self._wait_while(self.receivers.stop)
        self.state.close()
        self.page.close()

    # ---- drain

    def _drain(self) -> None:
        log = structlog.get_logger()
        log.info("daemon.stopping")
        if self.signals.stop.is_set():
            self.systemd.stopping()
        else:
            self.systemd.reloading()
        self._asking.set()
        self._wait_while(self.schedule.stop)
        self._end(self._asking, "find-")
        self._end(self._moving, "move-")
        self._wait_while(self.receivers.stop)
        self._wait_while(self.screening.stop)
        self._end(self._delivering, "deliver", "confirm")
        self.endpoints.close()
        self.nodes.leave()
        self.state.close()
        self.page.close()
        if self._successor is None or self._successor.current.listener is not self.current.listener:
            self.current.listener.close()
        self._over = True
        log.info("daemon.stopped")

    def _end(self, stop: threading.Event, *prefixes: str) -> None:
        """Stops the roles of these names and waits for them."""
        stop.set()
        until = time.monotonic() + DRAIN_SECONDS
        for thread in [thread for name, thread in self._threads.items() if name.startswith(prefixes)]:
            self._wait_for(thread, until)

    def _wait_while(self, stop: Callable[[], None]) -> None:
        """Until it has stopped, or DRAIN_SECONDS pass."""
        thread = threading.Thread(target=stop, daemon=True)
        thread.start()
        self._wait_for(thread, time.monotonic() + DRAIN_SECONDS)

    def _wait_for(self, thread: threading.Thread, until: float) -> None:
        """Until it ends, or then, feeding the watchdog: draining is progress."""
        while thread.is_alive() and time.monotonic() < until:
            thread.join(TICK)
            self.systemd.watchdog()

"""The loop that every role runs: step, and wait when there is nothing to do. The error's class decides what happens next.

Here, and nowhere else, stands a broad `except`: whatever goes wrong in one step, the role goes on, later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from gateway.errors import Fatal, GatewayError, Retry
from gateway.ops.log import described
from gateway.ops.metrics import Count

ERRORS: Final = "worker_errors_total"
LONGEST_PAUSE: Final = 300.0
"""Seconds. A peer that is down is asked again at least this often."""


@dataclass(frozen=True)
class Role:
    """`step`: True when it did something. `idle`: seconds to wait when it did not. `beat`: a sign of life."""

    name: str
    step: Callable[[], bool]
    beat: Callable[[], None]
    idle: float = 1.0


@dataclass(frozen=True)
class Watch:
    """What a worker tells: the metrics, and whom to call when the daemon cannot go on."""

    count: Count
    fatal: Callable[[Fatal], None]

    def begins(self, role: Role) -> None:
        """Its errors are counted from 0: a counter that is born with 1 has not risen, for Prometheus."""
        self.count.add(ERRORS, 0, role=role.name)


def work(role: Role, stop: threading.Event, watch: Watch) -> None:
    """Runs `role` until `stop` is set."""
    watch.begins(role)
    failures = 0
    while not stop.is_set():
        role.beat()
        pause = attempt(role, watch, failures)
        failures = failures + 1 if pause is None else 0
        wait(role, stop, back_off(role.idle, failures) if pause is None else pause)


def wait(role: Role, stop: threading.Event, pause: float) -> None:
    """Waits in small pieces: a role that waits for a peer is alive."""
    while pause > 0 and not stop.wait(min(pause, 1.0)):
        role.beat()
        pause -= 1.0


def attempt(role: Role, watch: Watch, failures: int = 0) -> float | None:
    """One step: seconds to pause before the next one, or None when it failed and the back-off decides."""
    log = structlog.get_logger()
    try:
        return 0.0 if role.step() else role.idle
    except Retry as err:
        log.warning("worker.retry", role=role.name, reason=err.reason, detail=err.detail, attempt=failures + 1)
        watch.count.add(ERRORS, role=role.name)
        return err.after
    except Fatal as err:
        log.error("worker.fatal", role=role.name, reason=err.reason, detail=err.detail)
        watch.fatal(err)
    except GatewayError as err:
        log.error("worker.error", role=role.name, reason=err.reason, detail=err.detail)
        watch.count.add(ERRORS, role=role.name)
    except Exception as err:  # noqa: BLE001 - the one broad except: a mistake of ours must not end the role
        told = described(err)
        log.error("worker.bug", role=role.name, error=told["error"], where=told["where"])
        watch.count.add(ERRORS, role=role.name)
    return None


def back_off(idle: float, failures: int) -> float:
    """Doubles from one second, or the role's own idle time, to LONGEST_PAUSE."""
    return min(max(idle, 1.0) * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE)

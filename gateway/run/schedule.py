"""The clock of the daemon: APScheduler runs each project's RIS poll, and the hourly care of the outbox."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Final

from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from gateway.errors import Fatal
from gateway.settings import Cron, read_schedule

GRACE = 3600  # seconds a job may come late (the machine slept) and still run once
STEP = 2.0  # seconds by which the clock was set, not slewed
ZONE: Final = (
    "this machine's time zone has no name that is known here: set TZ of the environment, or else /etc/localtime, to one such as "
    "Europe/Berlin; a rule such as CET-1CEST is none"
)


def trigger(schedule: str) -> BaseTrigger:
    """`schedule`: five cron fields in local time, or an interval such as "30s" (checked when settings were read).

    Not CronTrigger.from_crontab: APScheduler 3 counts weekdays from Monday, cron from Sunday.
    """
    found = read_schedule(schedule)
    return CronTrigger(**asdict(found)) if isinstance(found, Cron) else IntervalTrigger(seconds=max(1, round(found)))


class Schedule:
    """Started and stopped with the daemon. Each job runs once at the start, then by its trigger, never twice at once.

    Raises Fatal("schedule.zone") where nobody can tell what local time is.
    """

    def __init__(self) -> None:
        try:
            self._scheduler = BackgroundScheduler(
                job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": GRACE}, daemon=True
            )
        except (LookupError, ValueError, OSError):  # zoneinfo's: unknown; no name of one; a folder of them
            raise Fatal("schedule.zone", ZONE) from None
        self._ahead = _ahead()

    def add(self, name: str, schedule: str, job: Callable[[], object]) -> None:
        # Due at once, then by its trigger. Not a second one-shot job: shutdown while one is being removed raises.
        self._scheduler.add_job(job, trigger(schedule), id=name, next_run_time=datetime.now().astimezone())

    def start(self) -> None:
        """A thread for each job: those that wait for a RIS must not be waited for by the daemon's heart."""
        self._scheduler.add_executor(_Threads(), "default")
        self._scheduler.start()

    def look(self) -> None:
        """Every job runs now when the clock was set: by one that was set back, what is due would wait for as long as it went."""
        ahead = _ahead()
        if abs(ahead - self._ahead) > STEP:
            self._ahead = ahead
            for job in self._scheduler.get_jobs():
                job.modify(next_run_time=datetime.now().astimezone())

    def stop(self) -> None:
        """No job starts any more; the ones under way end by their own deadlines."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)


class _Threads(BaseExecutor):  # type: ignore[misc]  # untyped
    """A thread for each run of a job. At its end Python does not wait for one that hangs, in a folder whose server does not answer,
    say; for one of `concurrent.futures` it does."""

    def __init__(self) -> None:
        super().__init__()
        self._under_way: list[threading.Thread] = []

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        def run() -> None:
            self._run_job_success(job.id, run_job(job, "default", run_times, self._logger.name))

        thread = threading.Thread(target=run, name=job.id, daemon=True)
        thread.start()
        self._under_way = [*(t for t in self._under_way if t.is_alive()), thread]

    def shutdown(self, wait: bool = True) -> None:
        for thread in self._under_way if wait else ():
            thread.join()


def _ahead() -> float:
    """Seconds between the two clocks; the same as long as none of them is set."""
    return time.time() - time.monotonic()

"""The clock of the daemon: APScheduler runs each project's RIS poll, and the hourly care of the outbox."""

from __future__ import annotations

import re
from collections.abc import Callable

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
GRACE = 3600  # seconds a job may come late (the machine slept) and still run once


def trigger(schedule: str) -> BaseTrigger:
    """`schedule`: five cron fields in local time, or an interval such as "30s" (checked when settings were read)."""
    interval = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", schedule)
    if interval:
        return IntervalTrigger(seconds=max(1, round(float(interval[1]) * UNITS[interval[2]])))
    return CronTrigger.from_crontab(schedule)


class Schedule:
    """Started and stopped with the daemon. Each job runs once at the start, then by its trigger, never twice at once."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": GRACE}, daemon=True
        )

    def add(self, name: str, schedule: str, job: Callable[[], object]) -> None:
        self._scheduler.add_job(job, trigger(schedule), id=name)
        self._scheduler.add_job(job, id=f"{name}:at-start")

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        """No job starts any more; the ones under way end by their own deadlines."""
        self._scheduler.shutdown(wait=True)

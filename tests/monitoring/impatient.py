"""The real daemon, less patient: what it waits for minutes, and what it does every ten seconds, takes a few seconds."""

import sys

from gateway.cmove import breaker as of_pacs
from gateway.deliver import breaker as of_sink
from gateway.run import daemon, endpoints
from gateway.run.cli import main
from gateway.run.schedule import Schedule

HEART = "2s"


class Quicker(Schedule):
    def add(self, name, schedule, job):  # type: ignore[no-untyped-def]
        super().add(name, HEART if name == "heart" else schedule, job)


daemon.BEAT_LIMIT = 8.0
daemon.Schedule = Quicker  # type: ignore[attr-defined]
endpoints.OUTBOX_SECONDS = 1.0
of_pacs.FIRST, of_pacs.LONGEST = 2.0, 4.0  # type: ignore[misc]
of_sink.FIRST_WAIT, of_sink.LONGEST_WAIT = 2.0, 4.0  # type: ignore[misc]
sys.exit(main())

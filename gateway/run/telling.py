"""The audit trail told on: each line as a DICOM audit message to the hospital's repository, in order, none left out.

What has been sent stands in the state; a repository that is away gets what it missed when it is back. Over TLS a line may come a
second time, when the connection broke before it was ended; over UDP it may not come at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from gateway.errors import Retry
from gateway.ops.audit import Trail
from gateway.ops.audit_message import message
from gateway.ops.syslog import Event, send
from gateway.settings import Audit
from gateway.state.broker import Broker

BATCH: Final = 100  # lines over one connection
EVERY: Final = "5s"
REST: Final = 60.0  # seconds, when the repository is away


@dataclass
class Telling:
    """`clock`: monotonic seconds."""

    settings: Audit
    node: str
    trail: Trail
    broker: Broker
    clock: Callable[[], float]
    _rest_until: float = 0.0

    def step(self) -> bool:
        """Sends up to BATCH lines. Raises Retry: "audit.unreachable", "audit.tls", at most once a minute."""
        if self.clock() < self._rest_until:
            return False
        sent = self.broker.sent(self.node)
        lines = list(islice(self.trail.lines(after=sent), BATCH))
        if not lines:
            return False
        try:
            send(self.settings, [Event(str(line["at"]), self.node, message(line)) for line in lines])
        except Retry:
            self._rest_until = self.clock() + REST
            raise
        self.broker.keep_sent(self.node, int(lines[-1]["seq"]))
        return True

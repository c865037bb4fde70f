"""The real daemon, less patient: a role counts as stuck after seconds, folders are measured every second, receivers are `leaky`."""

import socket
import sys
from dataclasses import replace

from gateway.cstore.page import Page
from gateway.run import daemon, endpoints, receivers
from gateway.run.children import Kind
from gateway.run.cli import main
from gateway.settings import Receiver


def receive_kind(receiver: Receiver, listener: socket.socket, page: Page) -> Kind:
    return replace(receivers.receive_kind(receiver, listener, page), module="tests.monitoring.leaky")


daemon.BEAT_LIMIT = 16.0  # the schedule's own heart beats every 10 s
endpoints.OUTBOX_SECONDS = 1.0
daemon.receive_kind = receive_kind  # type: ignore[attr-defined]
sys.exit(main())

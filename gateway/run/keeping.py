"""Who may be kept: the cleaners of the receive processes know who is withdrawn."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gateway.cstore.withdrawn import Cleaner, WithoutWithdrawn
from gateway.settings import Settings, read_key
from gateway.state.broker import Broker
from gateway.state.db import Database


def without_withdrawn(settings: Settings, database: Database, cleaners: Mapping[str, Cleaner]) -> dict[str, Cleaner]:
    """By project, as they were. Raises Fatal("key.file")."""
    broker = Broker(database, read_key(settings))
    return {name: WithoutWithdrawn(name, cleaner, broker, time.time) for name, cleaner in cleaners.items()}

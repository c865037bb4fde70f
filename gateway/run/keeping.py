"""Who may be kept: the cleaners of the receive processes know who is withdrawn."""

from __future__ import annotations

import time
from collections.abc import Mapping

from gateway.cstore.withdrawn import Cleaner, WithoutWithdrawn
from gateway.keys import Keys
from gateway.run.crosswalk import make_names
from gateway.settings import Settings
from gateway.state.broker import Broker
from gateway.state.db import Database


def without_withdrawn(
    settings: Settings, cleaners: Mapping[str, Cleaner], *, database: Database, keys: Keys
) -> dict[str, Cleaner]:
    """By project, as they were. Raises BadConfiguration for a crosswalk's file."""
    broker = Broker(database, keys)
    return {
        p.name: WithoutWithdrawn(p.name, cleaners[p.name], broker, time.time, make_names(p, keys).formerly)
        for p in settings.project
    }

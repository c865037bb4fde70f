"""The state of this node, opened: by the daemon, and by commands beside it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass

from gateway import settings as configuration
from gateway.errors import Fatal
from gateway.keys import Keys
from gateway.run.locking import Use, use_state
from gateway.run.nodes import open_database
from gateway.settings import Settings
from gateway.state.db import Database
from gateway.state.outbox import OWN, Outbox
from gateway.state.store import Store
from gateway.state.views import Views


@dataclass(frozen=True)
class State:
    """The opened state of this node."""

    store: Store
    views: Views
    outbox: Outbox
    database: Database
    in_use: Use | None = None  # see locking.use_state

    @property
    def keys(self) -> Keys:
        return self.store.keys

    def close(self) -> None:
        self.outbox.close()
        self.database.close()
        if self.in_use is not None:
            self.in_use.close()


def open_state(settings: Settings) -> State:
    """Opens the database and the outbox under `state_dir`. Raises Fatal when that is not possible."""
    try:
        settings.state_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
        outbox = Outbox(settings.state_dir / "outbox", Outbox(settings.state_dir / "held", modes=OWN))
    except OSError as err:
        raise Fatal("state.folder", f"{settings.state_dir}: {err.strerror}; it must be writable") from None
    with ExitStack() as opened:
        in_use = opened.enter_context(closing(use_state(settings)))
        key = configuration.read_key(settings)
        database = opened.enter_context(closing(open_database(settings)))
        store = Store(database, key, node=settings.node)
        store.keep_to_key()
        opened.pop_all()  # it stays open
    return State(store, Views(database, store.keys), outbox, database, in_use)

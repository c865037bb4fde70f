"""`migrate --from-sqlite`: the state of one node goes to the PostgreSQL that the configuration names."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Final

from gateway.errors import Fatal
from gateway.run import console
from gateway.run.locking import lock_state, use_alone
from gateway.run.nodes import FILE, SQLITE, open_database
from gateway.settings import Settings, read_key
from gateway.state import moving
from gateway.state.db import Database
from gateway.state.store import Store

MOVED: Final = "state.sqlite.moved"
TOLD_EVERY: Final = 100_000


def from_sqlite(settings: Settings) -> int:
    """Returns how many rows were moved. The daemon must not run, nor another command. Raises Fatal; then nothing is changed."""
    if settings.database == SQLITE:
        raise Fatal("project.database", 'set database = "postgresql+psycopg://..." first: that is where the state goes')
    file = settings.state_dir / FILE
    if not file.is_file():
        raise Fatal("state.missing", f"there is no {file} to move")
    with lock_state(settings), closing(use_alone(settings)):
        source, target = Database(file), open_database(settings)
        try:
            _same_key(settings, source)
            moved = moving.move(source, target, node=settings.node, told=_told)
        finally:
            source.close()
            target.close()
        _set_aside(file)
    return sum(moved.values())


def _same_key(settings: Settings, source: Database) -> None:
    """Before anything is moved: Fatal("state.key") when that state was made with another key."""
    Store(source, read_key(settings), node=settings.node).keep_to_key()


def _told(table: str, rows: int) -> None:
    if rows % TOLD_EVERY == 0:
        console.say(f"{table}: {rows} rows")


def _set_aside(file: Path) -> None:
    """So that nobody goes on with it by mistake. What SQLite keeps beside it is empty once it is closed."""
    file.rename(file.with_name(MOVED))

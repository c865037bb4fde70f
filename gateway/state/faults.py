"""What a database's errors mean: which pass, which end the daemon, what mends them. No statement and no value is repeated."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import exc

from gateway.errors import Fatal, Retry

PASSING: Final = ("25006", "25P03", "53", "57", "58", "40")
"""Beginnings of SQLSTATEs that pass: a standby not yet promoted, time-outs, a full disk, a shutdown, a deadlock."""
TOLD: Final = {
    "53100": "the disk of the database server is full: make room on it",
    "25006": "the state database can only be read: a standby? Then let `database` name the server that can be written",
    **dict.fromkeys(
        ("55P03", "40P01"),
        "the state database is held by somebody else, such as another node, or a back-up: a new schema wants all nodes stopped",
    ),
}
"""By SQLSTATE, what passes once somebody has mended it."""
SILENT: Final = "the state database does not answer"
NO_MORE: Final = ("too many", "connection slots")
"""In what a server says, in English, that has no connection to give. There is no SQLSTATE then."""
FORBIDDEN: Final = "42501"
"""The SQLSTATE of a privilege that is missing."""
OWN: Final = "the user that `database` names may not make tables there, or use them: let that user own the database"
DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
DISK: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
RIGHTS: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
"""Low bytes of SQLite's codes."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Database errors without statement or values: busy, lost and I/O trouble are passing, the rest ends the daemon."""
    try:
        yield
    except (exc.OperationalError, exc.InterfaceError, exc.TimeoutError) as err:
        raise _busy(err) from None
    except exc.DBAPIError as err:
        if err.connection_invalidated or _sqlstate(err).startswith(PASSING):
            raise _busy(err) from None
        raise Fatal("state.database", _mend(err)) from None


def _sqlstate(err: exc.SQLAlchemyError) -> str:
    return str(getattr(getattr(err, "orig", None), "sqlstate", None) or "")


def _sqlite(err: exc.SQLAlchemyError) -> int:
    return int(getattr(getattr(err, "orig", None), "sqlite_errorcode", 0)) & 0xFF


def _mend(err: exc.DBAPIError) -> str:
    if _sqlite(err) in DAMAGED:
        return "state.sqlite is damaged, or no database: put the last back-up in its place"
    if _sqlstate(err) == FORBIDDEN:
        return OWN
    if "invalid connection option" in str(err.orig):  # libpq's
        return "the driver does not know what `database` has behind the ?"
    return f"{type(err.orig).__name__} in the state database"


def _busy(err: exc.SQLAlchemyError) -> Retry:
    told = TOLD.get(_sqlstate(err), SILENT)
    if any(words in str(getattr(err, "orig", "")) for words in NO_MORE):
        told = "the database server gives no more connections: raise its max_connections, or the user's limit"
    elif _sqlite(err) in DISK:
        told = "the disk of state_dir is full, or fails: make room on it, else see the kernel's log"
    elif _sqlite(err) in RIGHTS:
        told = "state.sqlite cannot be written: give all of state_dir to the daemon's account, as root: chown -R"
    return Retry("state.busy", told, charge=False)

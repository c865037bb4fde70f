"""How a connection to the state is opened, on SQLite and on PostgreSQL.

Every wait has an end: on SQLite the busy handler, on PostgreSQL its own time-outs, those of TCP, and for a server that lives and
does not answer a look at each transaction from outside (`Patience`).
"""

from __future__ import annotations

import contextlib
import math
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event, exc, make_url
from sqlalchemy.engine import URL, Connection
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.errors import Fatal, Retry

BUSY_SECONDS: Final = 20.0
CONNECT_SECONDS: Final = 5
TRANSACTION_SECONDS: Final = 60.0
"""The longest that a transaction may take; a report and a migration alone take longer, and have none of this."""
REPORT_SECONDS: Final = 600
"""The longest that a question of a report may take."""
REPORTS_SECONDS: Final = 3600.0
"""And all questions of one."""
POOL: Final = {
    "pool_size": 4,
    "max_overflow": 12,
    "pool_timeout": BUSY_SECONDS,
    "pool_use_lifo": True,
}
KEPT: Final = {"pool_size": 2, "max_overflow": 14, "pool_timeout": BUSY_SECONDS, "pool_use_lifo": True}
"""SQLite: two stay, from the start (`open_kept`), since each has descriptors and a cache; a third costs its opening, 1 ms."""
ROW, REST = 1.0, 0.2  # seconds
AT_ONCE: Final = 10  # connections; a day of the soak has up to 8
PAGES_KIB: Final = 512
"""Of that cache. The kernel has the pages too, and every process of ours has connections."""
WAITS: Final = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "pacs-gateway",
    "keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000,
}  # fmt: skip
SERVER_WAITS: Final = "-c statement_timeout=20s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
WRITABLE: Final = "SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'"
FRESH, WATCH = "fresh", "watch"
"""What is noted beside a connection."""

Password = Callable[[], str]


def sqlite(path: Path, *, begin: str) -> Engine:
    """`begin`: how a transaction begins, "BEGIN" or "BEGIN IMMEDIATE". Raises Fatal("state.database") for an empty file."""
    _not_emptied(path)
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        hide_parameters=True,
        **KEPT,
    )

    @event.listens_for(engine, "connect")
    def _settings(dbapi: sqlite3.Connection, _record: object) -> None:
        dbapi.isolation_level = None  # the driver begins nothing by itself; "begin" below does
        dbapi.execute("PRAGMA journal_mode=WAL")
        dbapi.execute("PRAGMA synchronous=FULL")  # a settled row survives a power cut
        dbapi.execute("PRAGMA foreign_keys=ON")
        dbapi.execute("PRAGMA secure_delete=ON")  # dropped values leave no bytes behind
        dbapi.execute(f"PRAGMA cache_size=-{PAGES_KIB}")

    @event.listens_for(engine, "begin")
    def _begin(c: Connection) -> None:
        c.exec_driver_sql(begin)

    return engine


def _not_emptied(path: Path) -> None:
    """SQLite takes an empty file for a new state: who was withdrawn would come back. Somebody who just makes it has a second."""
    with contextlib.suppress(OSError):  # there is none
        for _ in range(20):
            if path.stat().st_size:
                return
            threading.Event().wait(0.05)
        raise Fatal("state.database", f"{path} is empty: put the last back-up in its place, or remove it to begin anew")


def open_kept(engine: Engine) -> None:
    """Opens now what stays open of SQLite's, so that a process does not grow when several first ask at once.

    SQLite closes no descriptor of a database while another connection has it open, for all locks would go with it (POSIX), but
    keeps it for the next connection: there are as many as there ever were connections at once (sqlite.org/howtocorrupt, 2.2).
    """
    if engine.dialect.name == "sqlite":
        with contextlib.ExitStack() as at_once:
            for _ in range(AT_ONCE):
                at_once.enter_context(engine.connect())


def rests() -> Callable[[], None]:
    """To be called between the pieces of a long work: it rests for REST seconds where the last time was ROW ago.

    SQLite's other writers ask for their turn every tenth of a second: of pieces back to back nobody else had one, for minutes.
    """
    last = time.monotonic()

    def rest() -> None:
        nonlocal last
        if time.monotonic() - last >= ROW:
            threading.Event().wait(REST)
            last = time.monotonic()

    return rest


def postgresql(url: str, password: Password | None) -> Engine:
    """`url` as SQLAlchemy has it, without a password; `password` is asked at each connection. Raises Fatal("state.driver")."""
    try:
        engine = create_engine(
            _with_waits(make_url(url)),
            connect_args=dict(WAITS),
            hide_parameters=True,
            **POOL,
        )
    except (ModuleNotFoundError, exc.NoSuchModuleError):
        raise Fatal(
            "state.driver", "PostgreSQL needs the Python package psycopg: is all of requirements/run.txt installed?"
        ) from None
    if password is not None:
        _give_password(engine, password)
    return engine


def _with_waits(url: URL) -> URL:
    """What somebody says in the URL himself is left."""
    return url if "options" in url.query else url.update_query_dict({"options": SERVER_WAITS})


def _give_password(engine: Engine, password: Password) -> None:
    @event.listens_for(engine, "do_connect")
    def _password(_dialect: object, _record: object, _args: object, parameters: dict[str, object]) -> None:
        try:
            parameters["password"] = password()
        except Fatal as err:  # good at the start; a password that is being changed is no reason to end the daemon
            raise Retry("state.busy", f"database_password_file: {err.detail}", charge=False) from None


def is_well(c: Connection) -> bool:
    """Whether what can be read can be written, as far as that is told. A standby cannot."""
    return bool(c.exec_driver_sql(WRITABLE if c.dialect.name == "postgresql" else "SELECT 1").scalar_one())


def scrub(writer: Engine, reader: Engine, tables: Iterable[str]) -> None:
    """What was overwritten goes: from SQLite's log (`secure_delete` has seen to the rest), from PostgreSQL's tables."""
    for engine in (writer, reader):
        engine.dispose()  # the log goes with the last connection
    if writer.dialect.name == "postgresql":
        _vacuum(writer, tables)


def _vacuum(engine: Engine, tables: Iterable[str]) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as c:
        allow(c, math.inf)
        c.exec_driver_sql("SET statement_timeout = 0")
        for table in tables:
            c.exec_driver_sql(f"VACUUM (FULL) {table}")
        c.invalidate()  # what was set for it goes with it


@dataclass
class _Watch:
    """A connection that somebody has from the pool: until when, and its descriptor, duplicated: none of another one is ever hit."""

    until: float
    ours: socket.socket


class Patience:
    """Cuts a connection that somebody has for too long: libpq waits for ever for a server that hangs.

    From before it is asked whether it is still there until it is back in the pool: so a COMMIT is in it, too.
    """

    def __init__(self, engine: Engine, seconds: float = TRANSACTION_SECONDS) -> None:
        self.seconds = seconds
        self._dialect: Any = engine.dialect
        self._lock = threading.Lock()
        self._under_way: dict[int, _Watch] = {}
        self._end = threading.Event()
        for name, heard in (("connect", self._made), ("checkout", self._taken), ("checkin", self._back)):
            event.listen(engine, name, heard)
        threading.Thread(target=self._watch, name="state-patience", daemon=True).start()

    def end(self) -> None:
        self._end.set()

    @staticmethod
    def _made(_driver: object, record: ConnectionPoolEntry) -> None:
        record.info[FRESH] = True

    def _taken(self, driver: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        try:
            ours = socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM)
            watch = record.info[WATCH] = _Watch(time.monotonic() + self.seconds, ours)
            with self._lock:
                self._under_way[id(record)] = watch
            if not record.info.pop(FRESH, False):
                self._dialect.do_ping(driver)
        except self._dialect.loaded_dbapi.Error:
            self._back(driver, record)
            raise exc.InvalidatePoolError from None  # the pool makes a new one

    def _back(self, _driver: object, record: ConnectionPoolEntry) -> None:
        with self._lock:
            watch = self._under_way.pop(id(record), None)
            if watch is not None:
                watch.ours.close()

    def _watch(self) -> None:
        while not self._end.wait(min(1.0, self.seconds / 4)):
            with self._lock:
                for watch in self._under_way.values():
                    if watch.until < time.monotonic():
                        with contextlib.suppress(OSError):  # it has ended by itself
                            watch.ours.shutdown(socket.SHUT_RDWR)


def allow(c: Connection, seconds: float) -> None:
    """This connection, and only this time, may be had so long."""
    watch = c.info.get(WATCH)
    if watch is not None:
        watch.until = time.monotonic() + seconds

"""A RIS behind a SQLAlchemy URL. The only module that opens a connection to it (law 3).

Each poll has a connection of its own, closed at its end. The session is read-only, rows are streamed in pages, every
wait has a deadline. The password is read from its file when the connection is made and stands nowhere else. Nothing
that a database says is passed on: errors are told in our own words.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, CursorResult
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from gateway.accession import drivers
from gateway.accession.patience import Limits, Patience, cutting
from gateway.accession.rows import COLUMN
from gateway.accession.source import CursorValue, Row
from gateway.errors import Fatal, Retry
from gateway.settings import Ris, Source, read_password

PAGE: Final = 500
LIMITS: Final = Limits()
EARLIEST_DAY: Final = datetime(1900, 1, 1)  # SQL Server's smalldatetime knows none before
SINCE: Final = "since"
NULL: Final = "NULL"
NO_ROWS: Final = "no rows"
"""For a column of which one row does not show the type."""


class SqlSource:
    """The rows of one project's query. Raises Fatal at once when the URL or the query's parameters make no sense."""

    def __init__(self, ris: Ris, source: Source, *, limits: Limits = LIMITS, column: str = COLUMN) -> None:
        """`column`: what the query's result must have, besides the cursor."""
        self._ris = ris
        self._limits = limits
        self._query = sa.text(source.query)
        self._cursor = source.cursor.lower() if source.cursor else None
        self._asks_since = _asks_since(ris.name, self._query, self._cursor)
        self._engine = _engine(ris, limits)
        self._needed = tuple(name for name in (column, self._cursor) if name)

    @property
    def fingerprint(self) -> str:
        """12 hex digits of the query, white space aside, and its cursor column."""
        words = f"{' '.join(self._query.text.split())}|{self._cursor}"
        return hashlib.sha256(words.encode()).hexdigest()[:12]

    def rows(self, since: CursorValue | None) -> Iterator[Row]:
        """See `RowSource.rows`."""
        with self._session() as session:
            keys, pages = session.ask(self._from(session, since))
            self._check(keys)
            for page in pages:
                for row in page:
                    yield dict(zip(keys, row, strict=True))

    def columns(self) -> list[tuple[str, str]]:
        """(column, type) as one row shows them, for `check --connect`; no value. NULL or NO_ROWS where it shows none."""
        with self._session() as session:
            keys, pages = session.ask(self._from(session, None))
            self._check(keys)
            first = next((page[0] for page in pages), None)
        if first is None:
            return [(key, NO_ROWS) for key in keys]
        kinds = (NULL if value is None else type(value).__name__ for value in first)
        return list(zip(keys, kinds, strict=True))

    def _from(self, session: _Session, since: CursorValue | None) -> dict[str, object]:
        """The query's parameters."""
        if not self._asks_since:
            return {}
        return {SINCE: session.earliest(self._cursor or "") if since is None else since}

    def _check(self, keys: Sequence[str]) -> None:
        for name in self._needed:
            if name not in keys:
                raise self._retry("ris.schema", f"the query's result has no column {name}")

    @contextmanager
    def _session(self) -> Iterator[_Session]:
        """A connection with its deadlines; thrown away, not politely closed, when anything went wrong."""
        patience = Patience(self._limits.answer)
        try:
            connection = self._connect()
            with cutting(_fileno(connection), patience, self._limits.grace), connection:
                session = _Session(connection, self._query, patience, time.monotonic() + self._limits.total)
                try:
                    session.prepare(self._limits)
                    yield session
                except BaseException:  # also when the caller stops half-way: nobody is asked to send the rest
                    session.abandon()
                    raise
        except SQLAlchemyError as err:
            raise self._explain(err, patience) from None
        except _RanOut:
            raise self._retry("ris.slow", f"the poll took longer than {self._limits.total:g} s") from None
        except UnicodeDecodeError:
            raise self._retry("ris.schema", "a column holds text in another encoding than declared") from None
        except ValueError:  # of a driver: a date that is none
            raise self._retry(
                "ris.schema", "a column holds what cannot be read: cast it to text in the query"
            ) from None

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except (DBAPIError, AttributeError, TypeError, OSError) as err:
            raise self._retry(*drivers.why_not(getattr(err, "orig", None) or err)) from None

    def _explain(self, err: SQLAlchemyError, patience: Patience) -> Retry:
        cause = err.orig if isinstance(err, DBAPIError) and err.orig is not None else err
        kind = type(cause).__name__
        if patience.ran_out:
            return self._retry("ris.slow", f"no answer within {self._limits.answer:g} s ({kind})")
        if drivers.is_contract(self._engine.dialect.name, cause):
            words = drivers.named(cause, self._query.text) or "a table or column"
            needs = ", ".join(self._needed)
            return self._retry("ris.schema", f"the query fails on {words} ({kind}); its result must have {needs}")
        return self._retry("ris.down", f"the connection broke off ({kind})")

    def _retry(self, reason: str, detail: str) -> Retry:
        return Retry(reason, f"ris {self._ris.name!r}: {detail}", charge=False)


class _RanOut(Exception):
    """The poll as a whole took too long."""


class _Session:
    """One connection: every execute and fetch is a wait with a deadline."""

    def __init__(self, connection: Connection, query: sa.TextClause, patience: Patience, until: float) -> None:
        self._connection = connection
        self._query = query
        self._patience = patience
        self._until = until
        self._result: CursorResult[Any] | None = None

    def prepare(self, limits: Limits) -> None:
        """Read-only, with the server's own time-outs. PostgreSQL streams in transactions only."""
        dialect = self._connection.dialect
        if dialect.name == "postgresql":
            self._connection.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=True)
        else:
            self._connection.execution_options(isolation_level="AUTOCOMMIT")
        driver = self._connection.connection.driver_connection
        if isinstance(driver, sqlite3.Connection):
            driver.text_factory = _lenient
            driver.set_progress_handler(self._patience.over, 10_000)
        if dialect.driver == "psycopg":
            drivers.forgive_times(driver.adapters, dialect.loaded_dbapi.DataError)  # type: ignore[union-attr]
        if dialect.driver == "oracledb":
            driver.call_timeout = round(limits.answer * 1000)  # type: ignore[union-attr]
        name = "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name
        for statement in drivers.session_statements(name, limits):
            with self._patience.waiting():
                self._connection.exec_driver_sql(statement)

    def ask(self, parameters: dict[str, object]) -> tuple[list[str], Iterator[Sequence[sa.Row[Any]]]]:
        """Column names in lower case, and the rows in pages.

        MySQL's answer is taken whole: an unbuffered one cannot be left before its end, nor survive a lost connection.
        """
        stream = self._connection.dialect.name not in ("mysql", "mariadb")
        self._result = result = self._execute(parameters, stream=stream)
        return [key.lower() for key in tuple(result.keys())], self._pages(result)

    def abandon(self) -> None:
        """Throws the connection away, whatever state it is in, without a word to a server that may hang."""
        self._connection.invalidate()
        if self._result is not None and self._connection.dialect.driver == "psycopg":
            self._result.close()  # its server-side cursor complains when it is left open, and says nothing now

    def earliest(self, column: str) -> CursorValue:
        """A value of the cursor column's type before which there is none. Asking with NULL gives types and no rows."""
        if self._connection.dialect.name == "sqlite":
            return -(2**63)  # sorts before every number and text, whatever the column was declared to be
        with self._execute({SINCE: None}, stream=False) as result:
            described = result.cursor.description if result.cursor else ()
            codes = {str(name).lower(): code for name, code, *_ in described}
        return _earliest(self._connection.dialect.loaded_dbapi, codes.get(column))

    def _execute(self, parameters: dict[str, object], *, stream: bool) -> CursorResult[Any]:
        binds = [sa.bindparam(name, value, type_=_type_of(value)) for name, value in parameters.items()]
        options = {"stream_results": stream, "max_row_buffer": PAGE}
        with self._patience.waiting():
            return self._connection.execute(self._query.bindparams(*binds), execution_options=options)

    def _pages(self, result: CursorResult[Any]) -> Iterator[Sequence[sa.Row[Any]]]:
        while True:
            if time.monotonic() > self._until:
                raise _RanOut
            with self._patience.waiting():
                page = result.fetchmany(PAGE)
            if not page:
                return
            yield page


def _asks_since(ris: str, query: sa.TextClause, cursor: str | None) -> bool:
    names = set(query.compile().params)
    if names - {SINCE}:
        raise Fatal("ris.query", f"the query on ris {ris!r} may have no parameter but :since (a literal colon: \\:)")
    if names and cursor is None:
        raise Fatal("ris.query", f"the query on ris {ris!r} has :since, so the project's source needs `cursor`")
    return bool(names)


def _engine(ris: Ris, limits: Limits) -> sa.Engine:
    try:
        url = sa.make_url(ris.url)
        engine = sa.create_engine(
            _no_new_file(url),
            poolclass=NullPool,
            hide_parameters=True,
            connect_args=drivers.connect_arguments(url.get_dialect().driver, limits),
        )
    except (ArgumentError, NoSuchModuleError):
        known = "postgresql+psycopg://, mysql+pymysql://, mssql+pymssql://, oracle+oracledb://"
        raise Fatal("ris.url", f"the url of ris {ris.name!r} is of no known database; it begins with {known}") from None
    except ValueError:
        raise Fatal("ris.url", f"the url of ris {ris.name!r} has a port, or behind the ?, what is no number") from None
    except ModuleNotFoundError as err:
        raise Fatal("ris.driver", f"ris {ris.name!r} needs the Python package {err.name}") from None
    sa.event.listen(engine, "handle_error", _close_dead_cursor)
    if ris.password_file is not None:
        _give_password(engine, ris.name, ris.password_file)
    return engine


def _no_new_file(url: URL) -> URL:
    """SQLite makes an empty database where there is none; `mode=rw` does not (and opens a read-only file, too)."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith((":", "file:")):
        return url
    return url.set(database=f"file:{quote(url.database)}").update_query_dict({"mode": "rw", "uri": "true"})


def _give_password(engine: sa.Engine, ris: str, file: Path) -> None:
    @sa.event.listens_for(engine, "do_connect")
    def _password(_dialect: object, _record: object, _args: object, parameters: dict[str, object]) -> None:
        try:
            parameters["password"] = read_password(file)
        except Fatal as err:  # good at the start; a password that is being changed is no reason to end the daemon
            raise Retry("ris.down", f"ris {ris!r}: password_file: {err.detail}", charge=False) from None


def _close_dead_cursor(context: sa.engine.ExceptionContext) -> None:
    """SQLAlchemy leaves the cursor of a lost connection open; psycopg's server-side one complains about that."""
    running = context.execution_context
    if context.is_disconnect and context.dialect.driver == "psycopg" and running is not None:
        running.cursor.close()


def _fileno(connection: Connection) -> Any:
    """The socket of a driver that has no time-out of its own for reading (psycopg)."""
    driver = connection.connection.driver_connection
    return getattr(driver, "fileno", None) if connection.dialect.name == "postgresql" else None


def _earliest(dbapi: Any, code: object) -> CursorValue:
    """By the DB-API's type objects (PEP 249), which compare equal to the codes of a result's description."""
    if code in (int, float, Decimal) or code == dbapi.NUMBER:
        return -(2**31)
    days = (getattr(dbapi, name, None) for name in ("DATETIME", "DATE", "TIMESTAMP"))
    if code in (datetime, date) or (code is not None and any(day == code for day in days)):
        return EARLIEST_DAY
    return b"\0" if code == dbapi.BINARY else " "  # not "", which is NULL to Oracle


def _type_of(value: object) -> sa.types.TypeEngine[Any]:
    """The SQL type that :since is bound as, so that no server compares a time with a text."""
    if isinstance(value, datetime):
        return sa.DateTime(timezone=value.tzinfo is not None)
    table: tuple[tuple[type, sa.types.TypeEngine[Any]], ...] = (
        (date, sa.Date()), (int, sa.BigInteger()), (float, sa.Float()), (Decimal, sa.Numeric()), (str, sa.String()),
        (bytes, sa.LargeBinary()),
    )  # fmt: skip
    return next((kind for python, kind in table if isinstance(value, python)), sa.types.NullType())


def _lenient(raw: bytes) -> str:
    """Text of a SQLite column: what is not UTF-8 becomes U+FFFD, so one row is set aside and the poll goes on."""
    return raw.decode("utf-8", "replace")

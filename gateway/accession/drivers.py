"""What differs from database to database: time-outs, read-only sessions, and how each says that a column is gone.

Tables only; nothing here imports a driver, so that SQL Server's and Oracle's may be absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.accession.patience import Limits

UNKNOWN: Final = (
    "its driver does not know what url has behind the ?, or is too old to have deadlines: "
    "mend url, or install a newer one"
)


def connect_arguments(driver: str, limits: Limits) -> dict[str, object]:
    """Arguments of the driver's `connect` that bound connecting and, where the driver can, each answer."""
    connect, read = max(1, round(limits.connect)), limits.answer + limits.grace
    table: Mapping[str, dict[str, object]] = {
        "psycopg": {"connect_timeout": connect, "application_name": "pacs-gateway"},
        "psycopg2": {"connect_timeout": connect, "application_name": "pacs-gateway"},
        "pg8000": {"timeout": read, "application_name": "pacs-gateway"},
        "pymysql": {"connect_timeout": connect, "read_timeout": read, "write_timeout": read},
        "mysqldb": {"connect_timeout": connect, "read_timeout": round(read), "write_timeout": round(read)},
        "mysqlconnector": {"connection_timeout": connect, "read_timeout": round(read), "write_timeout": round(read)},
        "pymssql": {"login_timeout": connect, "timeout": round(limits.answer), "appname": "pacs-gateway"},
        "pyodbc": {"timeout": connect},
        "oracledb": {"tcp_connect_timeout": limits.connect},
        "pysqlite": {"timeout": limits.answer},
    }
    return table.get(driver, {})


def session_statements(dialect: str, limits: Limits) -> tuple[str, ...]:
    """What is said first on a new connection: how long a statement may take, and that nothing will be written."""
    answer, total = round(limits.answer * 1000), round(limits.total * 1000)
    mysql = f"set session lock_wait_timeout = {max(1, round(limits.answer))}", "set session transaction read only"
    table: Mapping[str, tuple[str, ...]] = {
        "postgresql": (f"set statement_timeout = {answer}",),
        "mysql": (*mysql, f"set session max_execution_time = {total}"),
        "mariadb": (*mysql, f"set session max_statement_time = {total / 1000}"),
        "mssql": (f"set lock_timeout {answer}",),
        "sqlite": ("pragma query_only = on",),
    }
    return table.get(dialect, ())


def forgive_times(adapters: Any, error: type[Exception]) -> None:
    """psycopg's: a time that Python cannot have (infinity, BC, the year 20260) is none, and costs no other row anything."""
    for oid in (1082, 1114, 1184):  # date, timestamp, timestamptz
        for form in (0, 1):  # as text and binary
            adapters.register_loader(oid, _forgiving(adapters.get_loader(oid, form), error))


def _forgiving(loader: type[Any], error: type[Exception]) -> type[Any]:
    class Forgiving:
        format = loader.format

        def __init__(self, oid: int, context: object = None) -> None:
            self._strict = loader(oid, context)

        def load(self, data: Any) -> object:
            try:
                return self._strict.load(data)
            except error:
                return None

    return Forgiving


def is_contract(dialect: str, error: BaseException) -> bool:
    """True when the database says that a table or column is missing, not allowed, or of a type that does not fit."""
    known = _CONTRACT.get(dialect)
    if known is not None and known(error):
        return True
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"ProgrammingError", "DataError", "NotSupportedError"}) and "InterfaceError" not in names


def is_login(error: BaseException) -> bool:
    """True when the server answered and refused the user or the password."""
    return (
        re.search(r"password|authenticat|access denied|login failed|ORA-01017|no role|role .* not", _said(error), re.I)
        is not None
    )


def why_not(error: BaseException) -> tuple[str, str]:
    """Reason and words of a connection that could not be made."""
    kind = type(error).__name__
    if isinstance(error, (AttributeError, TypeError)) or "invalid connection option" in _said(error):  # libpq's
        return "ris.driver", UNKNOWN
    if isinstance(error, OSError):  # pymysql's, of a certificate
        return "ris.down", f"what its url names cannot be read ({kind})"
    return "ris.down", f"it {'refuses the log-in' if is_login(error) else 'cannot be reached'} ({kind})"


def named(error: BaseException, query: str) -> str:
    """The words of our own query that the message quotes as missing: `patient_id`. Never a word from elsewhere."""
    first = _said(error).split("\n")[0]
    quoted = {word.lower() for group in re.findall(_QUOTED, first) for word in re.findall(r"\w+", "".join(group))}
    ours = dict.fromkeys(re.findall(r"\w+", re.sub(r"'[^']*'", "", query).lower()))
    return ", ".join(word for word in ours if word in quoted and word not in _CLAUSES)


_CLAUSES: Final = frozenset({"select", "from", "where", "on", "order", "group", "having"})  # MariaDB: in 'SELECT'
_QUOTED: Final = re.compile(r"['\"`]([\w.$]+)['\"`]|no such (?:column|table): ([\w.]+)|column ([\w.]+) does")


def _said(error: BaseException) -> str:
    return " ".join(str(part) for part in error.args)


def _number(error: BaseException) -> int:
    """The vendor's error number, 0 when there is none."""
    first = error.args[0] if error.args else 0
    if isinstance(first, int):
        return first
    code = getattr(first, "code", 0)  # oracledb's error object
    return code if isinstance(code, int) else 0


_MYSQL: Final = frozenset({1049, 1054, 1064, 1142, 1143, 1146, 1292, 1356, 1370})
_CONTRACT: Final[Mapping[str, Callable[[BaseException], bool]]] = {
    "mysql": lambda error: _number(error) in _MYSQL,
    "mariadb": lambda error: _number(error) in _MYSQL,
    "mssql": lambda error: _number(error) in {207, 208, 229, 230, 4413},
    "oracle": lambda error: _number(error) in {904, 942, 980, 1031, 1722, 1843, 1858, 1861, 4063},
    "sqlite": lambda error: _said(error).startswith("no such "),
}

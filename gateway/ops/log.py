"""The log: one event a line, JSON for the journal, coloured text for a terminal, nothing that identifies anyone.

Three fences, each enough by itself for the mistakes it stands for. An event is a slug (`series.retrieved`), not a
sentence. Fields are those of `FIELDS`; another one is withheld and only its name is shown. An exception is its class
and the lines of code it came through, never its message, which may quote what a peer sent; our own errors
(`GatewayError`) add their reason. What libraries log is reduced to logger, level and place in their code; the DICOM and
database libraries say nothing at all.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import MutableMapping
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TextIO

import structlog

from gateway.errors import GatewayError

if TYPE_CHECKING:
    from structlog.typing import Processor

FIELDS: Final = frozenset({
    "timestamp", "level", "event", "logger", "role", "process", "node", "version", "exit_code", "project", "request",
    "series", "pacs", "sink", "reason", "detail", "error", "errno", "where", "trace", "roles", "requests", "rows",
    "new", "known", "aside", "studies", "instances", "kept", "excluded", "held", "refused", "files", "count", "times",
    "final", "arrived", "charged", "attempt", "attempts", "bytes", "free_bytes", "port", "form", "limit",
})  # fmt: skip
"""What an event may carry: our own keys, configured names, slugs, numbers. Add a name here only for such a value."""

MUTED: Final = ("pynetdicom", "pydicom", "sqlalchemy", "py.warnings")
SILENT: Final = logging.CRITICAL + 1
LIBRARIES: Final = logging.WARNING  # what apscheduler and unknown libraries must reach to be noted
FRAMES: Final = 12
_SLUG: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_UID: Final = re.compile(r"[0-2](?:\.\d+){5,}")
_STACK: Final = re.compile(
    r'(Current thread|Thread) 0x[0-9a-f]+[^"]{0,80}|  File "[\w./<>-]+", line \d+ in \S{1,80}|Fatal Python error: \w+'
)
Event = MutableMapping[str, Any]


def configure(level: str, stream: TextIO) -> None:
    """`level`: debug, info, warning or error. May be called again (reload). Raises ValueError for another level."""
    number = logging.getLevelNamesMapping()[level.upper()] if level in ("debug", "info", "warning", "error") else None
    if number is None:
        raise ValueError(f"no log level {level!r}")
    render: Processor = (
        structlog.dev.ConsoleRenderer(colors=True)
        if stream.isatty()
        else structlog.processors.JSONRenderer(default=_kind)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _exceptions,
            _fence,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )
    _tame_libraries()


def install_hooks() -> None:
    """Uncaught exceptions of the process, of threads and of finalisers become events instead of tracebacks."""
    sys.excepthook = _uncaught
    threading.excepthook = thread_crashed
    sys.unraisablehook = _unraisable


def again(line: str) -> str | None:
    """A line of the log as it would be written now; None for what no log of ours can have written, which may hold anything.

    Stacks that Python writes when the watchdog ends it (faulthandler) are file, line and function, and stay.
    """
    if _STACK.fullmatch(line):
        return line
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not _SLUG.fullmatch(str(event.get("event"))):
        return None
    return json.dumps(_fence(None, "", event))


def described(error: BaseException) -> dict[str, str]:
    """`error` (class), `where` (innermost file:line), `trace` (outer to inner); `reason`, `detail` if it is our own."""
    frames = traceback.walk_tb(error.__traceback__)
    steps = [f"{PurePath(frame.f_code.co_filename).name}:{line}" for frame, line in frames]
    said = {"error": type(error).__name__, "where": steps[-1] if steps else "?", "trace": " > ".join(steps[-FRAMES:])}
    if isinstance(error, GatewayError):
        said |= {"reason": error.reason, "detail": error.detail}
    return {key: value for key, value in said.items() if value}


class _Lines:
    """What structlog writes to: one whole line, one flush. A log that cannot be written must not stop the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the journal restarts; the stream is closed at exit
            self._stream.write(line + "\n")
            self._stream.flush()

    debug = info = warning = error = critical = log = msg


def _exceptions(_: object, __: str, event: Event) -> Event:
    """`exc_info` (True, an exception, or a triple) becomes `described`; explicit fields win."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given is True else given
    return {**described(error), **event} if isinstance(error, BaseException) else event


def _fence(_: object, __: str, event: Event) -> Event:
    kept: Event = {key: _shown(value) for key, value in event.items() if key in FIELDS}
    withheld = sorted(str(key) for key in event if key not in FIELDS)
    if withheld:
        kept["withheld"] = withheld
    if not _SLUG.fullmatch(str(event.get("event"))):
        kept["event"] = "event.withheld"
    return kept


def _shown(value: object) -> object:
    """Numbers and text; of anything else only the type. Text loses what looks like a UID or would steer a terminal."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | PurePath):
        return _UID.sub("<uid>", "".join(c if c.isprintable() else " " for c in str(value)))
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown(v) for v in value]
    if isinstance(value, dict):
        return {str(_shown(k)): _shown(v) for k, v in value.items()}
    return _kind(value)


def _kind(value: object) -> str:
    return f"<{type(value).__name__}>"


class _Libraries(logging.Handler):
    """A library's record as an event: which logger, which line of its code, which exception class. Never its words."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        told: dict[str, Any] = described(error) if error is not None else {}
        told |= {"logger": record.name, "where": f"{record.filename}:{record.lineno}"}
        structlog.get_logger().log(min(max(record.levelno, LIBRARIES), logging.CRITICAL), "library.said", **told)


def _tame_libraries() -> None:
    logging.raiseExceptions = False  # "--- Logging error ---" prints the arguments
    logging.captureWarnings(True)  # warnings quote values; they end in py.warnings, which is muted
    for name in MUTED:
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.setLevel(SILENT)
        logger.propagate = False
    root = logging.getLogger()
    root.setLevel(LIBRARIES)
    if not any(isinstance(h, _Libraries) for h in root.handlers):
        root.handlers = [_Libraries(LIBRARIES)]


def _uncaught(_: type[BaseException], error: BaseException, tb: TracebackType | None) -> None:
    structlog.get_logger().critical("process.crashed", exc_info=error.with_traceback(tb))


def thread_crashed(args: threading.ExceptHookArgs) -> None:
    """A hook of `threading`: which thread, class and place, never the words."""
    if args.exc_type is SystemExit:
        return
    told = described(args.exc_value) if args.exc_value is not None else {"error": args.exc_type.__name__}
    structlog.get_logger().error("thread.crashed", role=args.thread.name if args.thread else "?", **told)


def _unraisable(args: Any) -> None:
    told = described(args.exc_value) if args.exc_value is not None else {}
    structlog.get_logger().error("object.unraisable", **told)

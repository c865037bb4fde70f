"""The log: events in two shapes, and no way in for what identifies a patient."""

from __future__ import annotations

import ast
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.dicom.quiet import silence
from gateway.errors import Retry
from gateway.ops import log
from tests.architecture.source import modules

SECRET = "SYN-ACC-99"
UID = "1.2.826.0.1.3680043.8.498.12345"
LEVELS = ("debug", "info", "warning", "error", "critical")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


LIBRARIES = ("pynetdicom", "pynetdicom.acse", "pydicom", "pydicom.filereader", "sqlalchemy.engine")


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """The process's own logging and hooks are as before afterwards."""
    root = logging.getLogger()
    names = [n for n in logging.root.manager.loggerDict if n.startswith(log.MUTED)]
    muted = [logging.getLogger(n) for n in {*names, *log.MUTED, *LIBRARIES}]
    saved = (root.handlers[:], root.level, logging.raiseExceptions, [(m.handlers, m.level, m.propagate) for m in muted])
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield
    root.handlers, root.level, logging.raiseExceptions = saved[:3]
    for logger, (handlers, level, propagate) in zip(muted, saved[3], strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    log.configure("debug", stream)
    return stream


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def only(stream: io.StringIO) -> dict[str, Any]:
    (event,) = events(stream)
    assert SECRET not in stream.getvalue()
    return event


def test_an_event_is_one_json_line(stream: io.StringIO) -> None:
    structlog.get_logger().info("series.retrieved", series="S-ABC", instances=212)
    event = only(stream)
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "series.retrieved", "level": "info", "series": "S-ABC", "instances": 212}


def test_a_terminal_gets_coloured_text() -> None:
    terminal = Terminal()
    log.configure("info", terminal)
    structlog.get_logger().info("series.retrieved", series="S-ABC", where="x\x1b[2Jy")
    assert "\x1b[" in terminal.getvalue()
    assert "S-ABC" in terminal.getvalue()
    assert "\x1b[2J" not in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_the_level_counts_and_can_change() -> None:
    stream = io.StringIO()
    log.configure("warning", stream)
    logger = structlog.get_logger()
    logger.info("quiet")
    log.configure("debug", stream)
    logger.debug("heard")
    assert [e["event"] for e in events(stream)] == ["heard"]
    with pytest.raises(ValueError, match="level"):
        log.configure("loud", stream)


def test_unknown_fields_are_withheld_by_name(stream: io.StringIO) -> None:
    structlog.get_logger().info("request.found", request="R-1", accession=SECRET, patient_id=SECRET)
    event = only(stream)
    assert event["request"] == "R-1"
    assert event["withheld"] == ["accession", "patient_id"]


def test_the_fields_of_all_events_are_those_that_an_event_may_carry() -> None:
    """Others are withheld, as was why a receive process could not be started; what no event carries is a gap in the fence."""
    calls = (
        n
        for path in modules("gateway")
        for n in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(n, ast.Call)
    )
    said = [
        c
        for c in calls
        if isinstance(c.func, ast.Attribute) and c.func.attr in LEVELS and "log" in ast.unparse(c.func.value)
    ]
    named = {k.arg for c in said for k in c.keywords} - {None, "exc_info"}
    assert named | {"timestamp", "level", "event", "logger", "trace"} == log.FIELDS


@pytest.mark.parametrize("text", [f"found {SECRET}", SECRET, "", "x" * 65])
def test_a_sentence_is_no_event(stream: io.StringIO, text: str) -> None:
    structlog.get_logger().info(text)
    assert only(stream)["event"] == "event.withheld"


def test_values_are_numbers_text_and_types(stream: io.StringIO) -> None:
    odd = {"reason": RuntimeError(SECRET), "detail": b"SYN-ACC-99", "sink": Path("/srv/x"), "roles": ("a", object())}
    structlog.get_logger().info("odd", count=None, final=True, bytes=0.5, where=f"see {UID}.", **odd)
    event = only(stream)
    assert event["reason"] == "<RuntimeError>"
    assert event["detail"] == "<bytes>"
    assert event["sink"] == "/srv/x"
    assert event["roles"] == ["a", "<object>"]
    assert (event["count"], event["final"], event["bytes"]) == (None, True, 0.5)
    assert event["where"] == "see <uid>."


def fail_with(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize("how", ["exception", "exc_info", "triple"])
def test_an_exception_is_class_and_place_never_message(stream: io.StringIO, how: str) -> None:
    logger, error = structlog.get_logger(), fail_with(ValueError(SECRET))
    if how == "exception":
        try:
            raise error
        except ValueError:
            logger.exception("step.failed")
    else:
        triple = (type(error), error, error.__traceback__)
        logger.error("step.failed", exc_info=error if how == "exc_info" else triple)
    event = only(stream)
    assert event["error"] == "ValueError"
    assert event["where"].startswith("test_log.py:")
    assert "test_log.py" in event["trace"]


def test_our_own_errors_say_their_reason(stream: io.StringIO) -> None:
    structlog.get_logger().warning("sink.down", exc_info=Retry("sink.full", "directory:/srv cannot be written"))
    event = only(stream)
    assert (event["error"], event["reason"]) == ("Retry", "sink.full")
    assert event["detail"] == "directory:/srv cannot be written"


def test_no_exception_no_fields(stream: io.StringIO) -> None:
    structlog.get_logger().error("odd", exc_info=True)
    assert "error" not in only(stream)


@pytest.mark.parametrize("name", LIBRARIES)
def test_libraries_that_quote_say_nothing(stream: io.StringIO, name: str) -> None:
    logging.getLogger(name).critical("identifier %s", SECRET)
    logging.getLogger(name).setLevel(logging.DEBUG)
    logging.getLogger(name).error("identifier %s", SECRET)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", ["apscheduler.executors.default", "somebody.else"])
def test_other_libraries_are_reduced_to_place(
    stream: io.StringIO, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger(name).info("unheard")
    words = f"Job {SECRET} raised %s"
    logging.getLogger(name).error(words, SECRET, exc_info=fail_with(KeyError(SECRET)))
    event = only(stream)
    assert (event["event"], event["level"], event["logger"]) == ("library.said", "error", name)
    assert event["error"] == "KeyError"
    assert event["where"].startswith("test_log.py:")
    assert capsys.readouterr() == ("", "")


def test_a_library_that_logs_badly_shows_no_arguments(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("somebody").error("%d", SECRET)
    assert only(stream)["event"] == "library.said"
    assert capsys.readouterr().err == ""


def test_warnings_quote_nothing(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn(f"invalid value {SECRET}", UserWarning, stacklevel=1)
    logging.captureWarnings(False)
    assert stream.getvalue() == ""
    assert capsys.readouterr().err == ""


def test_twice_configured_is_said_once(stream: io.StringIO) -> None:
    log.configure("info", stream)
    logging.getLogger("apscheduler").warning("missed")
    assert only(stream)["event"] == "library.said"


class Finalised:
    def __del__(self) -> None:
        raise ValueError(SECRET)


def _die() -> None:
    raise ValueError(SECRET)


def _uncaught() -> None:
    error = fail_with(ValueError(SECRET))
    sys.excepthook(type(error), error, error.__traceback__)


def _in_thread() -> None:
    thread = threading.Thread(target=_die, name="move-1")
    thread.start()
    thread.join()


def _unraisable() -> None:
    Finalised()


@pytest.mark.parametrize(
    ("crash", "event"),
    [(_uncaught, "process.crashed"), (_in_thread, "thread.crashed"), (_unraisable, "object.unraisable")],
)
def test_what_nobody_caught(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str], crash: Callable[[], None], event: str
) -> None:
    log.install_hooks()
    crash()
    told = only(stream)
    assert (told["event"], told["error"]) == (event, "ValueError")
    assert told["where"].startswith("test_log.py:")
    assert capsys.readouterr().err == ""


def test_a_thread_that_dies_is_told_by_its_name_after_an_association_was_opened_too(stream: io.StringIO) -> None:
    log.install_hooks()
    silence()
    _in_thread()
    told = only(stream)
    assert (told["event"], told["role"], told["error"]) == ("thread.crashed", "move-1", "ValueError")


def test_a_thread_may_end_itself(stream: io.StringIO) -> None:
    log.install_hooks()
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    assert stream.getvalue() == ""


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    stream = io.StringIO()
    log.configure("info", stream)
    stream.close()
    structlog.get_logger().info("unheard")

"""Makes pynetdicom and pydicom say nothing: their log lines and warnings quote identifiers.

At INFO pynetdicom prints whole identifiers, at ERROR bad UIDs and tracebacks, pydicom warns with the offending value. What
the gateway has to say about an association it says itself, in its own words, so both libraries are switched off entirely,
whatever level the root logger has. Called explicitly by whoever opens or serves associations; calling it twice is harmless.
"""

from __future__ import annotations

import logging
import threading
import warnings
from types import TracebackType

import structlog
from pydicom import config
from pynetdicom import _config

LIBRARIES = ("pynetdicom", "pydicom")
SILENT = logging.CRITICAL + 1


def silence() -> None:
    """No identifier leaves by a library's logger, warning or dying thread, even with the root logger at DEBUG."""
    _config.LOG_HANDLER_LEVEL = "none"  # read when an AE or a server is made: so call this first
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    # else each UID of a proposal is matched, for a warning that nobody sees
    config.settings.reading_validation_mode = config.IGNORE
    for name in LIBRARIES:
        _switch_off(name)
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
    if threading.excepthook is threading.__excepthook__:  # the log's own tells the role as well
        threading.excepthook = _tell


def _switch_off(name: str) -> None:
    """The library's own tree is cut from the root logger; children that were given a level of their own lose it."""
    logger = logging.getLogger(name)
    logger.setLevel(SILENT)
    logger.propagate = False
    if not logger.handlers:  # without one, Python's handler of last resort writes to stderr
        logger.addHandler(logging.NullHandler())
    for child in [c for c in logging.root.manager.loggerDict if c.startswith(f"{name}.")]:
        logging.getLogger(child).setLevel(logging.NOTSET)


def _tell(end: threading.ExceptHookArgs) -> None:
    """What ended a thread, without its words: Python's own hook prints them, and pynetdicom's threads die of what peers send."""
    structlog.get_logger().error("thread.ended", error=end.exc_type.__name__, at=where(end.exc_traceback))


def where(traceback: TracebackType | None) -> str:
    """`file.py:line` of the innermost frame; "?" without a traceback."""
    if traceback is None:
        return "?"
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename.rpartition('/')[2]}:{traceback.tb_lineno}"

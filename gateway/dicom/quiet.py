"""Makes pynetdicom and pydicom say nothing: their log lines and warnings quote identifiers.

At INFO pynetdicom prints whole identifiers, at ERROR bad UIDs and tracebacks, pydicom warns with the offending value. What
the gateway has to say about an association it says itself, in its own words, so both libraries are switched off entirely,
whatever level the root logger has. Called explicitly by whoever opens or serves associations; calling it twice is harmless.
"""

from __future__ import annotations

import logging
import threading
import warnings

from pydicom import config
from pynetdicom import _config

from gateway.ops.log import thread_crashed

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
    # pynetdicom's threads die of what peers send, and Python's own hook prints it
    threading.excepthook = thread_crashed


def _switch_off(name: str) -> None:
    """The library's own tree is cut from the root logger; children that were given a level of their own lose it."""
    logger = logging.getLogger(name)
    logger.setLevel(SILENT)
    logger.propagate = False
    if not logger.handlers:  # without one, Python's handler of last resort writes to stderr
        logger.addHandler(logging.NullHandler())
    for child in [c for c in logging.root.manager.loggerDict if c.startswith(f"{name}.")]:
        logging.getLogger(child).setLevel(logging.NOTSET)

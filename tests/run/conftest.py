"""A place for commands, and the process as it was before: a command line owns its process, a test does not."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.run.command_line import Place, furnish


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], own_process: None) -> Place:
    furnish(tmp_path)
    return Place(tmp_path, capsys)


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `main` changes in its process is put back."""
    for owner, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    monkeypatch.delenv("PACS_GATEWAY_CONFIG", raising=False)
    root = logging.getLogger()
    handlers, level, loud = root.handlers[:], root.level, logging.raiseExceptions
    with warnings.catch_warnings():
        yield
    logging.captureWarnings(False)
    root.handlers, logging.raiseExceptions = handlers, loud
    root.setLevel(level)
    structlog.reset_defaults()

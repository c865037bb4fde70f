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

from gateway.run import broker
from tests.run.broker_site import BERT, Site, study
from tests.run.command_line import Place, furnish
from tests.support.dicomfiles import StudyFacts


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], own_process: None) -> Place:
    furnish(tmp_path)
    return Place(tmp_path, capsys)


@pytest.fixture
def site(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(broker, "SETTLES", 0.0)
    made = Site(place)
    yield made
    made.close()


@pytest.fixture
def anna(tmp_path: Path) -> StudyFacts:
    return study(tmp_path)


@pytest.fixture
def bert(tmp_path: Path) -> StudyFacts:
    return study(tmp_path, BERT, 2)


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

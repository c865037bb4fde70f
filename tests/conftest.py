"""Settings of every test run; fixtures live beside the rooms they serve."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from socketserver import BaseServer

import pytest
import structlog
from hypothesis import HealthCheck, settings

# CI: the same examples every time, and no deadline on a machine that is busy with several files of tests at once.
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")

# A server in the tests' own process looks this often whether it shall end; else every half second, which is waited for at the end
# of each test that has one.
BaseServer.serve_forever.__defaults__ = (0.02,)

LONG = {"real", "slow", "packaging", "systemd"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In which order several processes take the files: first what may take long, as the last one keeps all others waiting."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        long = {item.path for item in items if LONG & {mark.name for mark in item.iter_markers()}}
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (item.path not in long and item.path.parent.name != "flow", -tests[item.path]))


@pytest.fixture(autouse=True)
def _fresh_log() -> Iterator[None]:
    """A test that configured the log (every command does) must not decide what the next one can see of it."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True, scope="module")
def _what_was_left_open() -> Iterator[None]:
    """A socket or file that a module left open in a cycle is told in that module, not in whichever runs when it is found."""
    yield
    gc.collect()

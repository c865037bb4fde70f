"""Fixtures of the de-identification tests: one cleaner, and one whose verification is switched off to test the walk alone."""

from __future__ import annotations

import pytest

from gateway.deidentify import cleaner as cleaner_module
from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.settings import Deidentify

KEY = bytes(range(32))


@pytest.fixture(scope="session")
def cleaner() -> Cleaner:
    return make_cleaner(project="alpha", deidentify=Deidentify(), instance_rule=None, key=KEY)


@pytest.fixture
def unverified(monkeypatch: pytest.MonkeyPatch, cleaner: Cleaner) -> Cleaner:
    """What the walk alone does: a leak must show in the output, not be stopped behind it."""
    monkeypatch.setattr(cleaner_module, "verify", lambda *_: "")
    return cleaner

"""Parts of a support bundle: which versions run here, and the configuration without what it compares with or puts in place."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from importlib.metadata import distributions
from typing import Any, Final

from gateway import __version__
from gateway.settings import Settings

WITHHELD: Final = "<withheld>"
LITERAL: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"")
UNSURE: Final = re.compile(r"\\|--|/\*|#|\$|\bq'", re.IGNORECASE)
"""Escapes, comments, and other quotes than the plain ones, each database's own: where a literal ends is not certain then."""
FIRST: Final = re.compile(r"(['\"#$\\]|--|/\*).*", re.DOTALL)
NUMBER: Final = re.compile(r"\b\d{4,}\b")
FREE: Final = frozenset({"query", "opt_out", "study", "series", "instance"})
"""Settings in which anything may be compared with: their literals go."""
MADE_UP: Final = frozenset({"replace"})
"""Settings whose values are whatever the site puts in place of what was there."""


def versions() -> dict[str, Any]:
    """Ours, Python's, the machine's, and every installed package's."""
    installed = {d.metadata["Name"]: d.version for d in distributions()}
    return {
        "pacs-gateway": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "packages": dict(sorted(installed.items())),
    }


def configuration(settings: Settings) -> Any:
    """The settings as they are in force, defaults too. Secrets are never in them, only the names of their files."""
    return _cleaned("", settings.model_dump(mode="json"))


def _cleaned(name: str, value: Any) -> Any:
    if name in MADE_UP:
        return dict.fromkeys(value, WITHHELD)
    if isinstance(value, Mapping):
        return {key: _cleaned(str(key), one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(name, one) for one in value]
    if name in FREE and isinstance(value, str):
        compared = FIRST if UNSURE.search(value) else LITERAL
        return NUMBER.sub(WITHHELD, compared.sub(WITHHELD, value))
    return value

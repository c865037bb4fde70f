"""The data files that decide what a profile does, as digests: two profiles of one version read the same words and rectangles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from gateway.deidentify.options import Options

DATA = (".csv", ".txt")
NEEDED_BY: Mapping[str, str] = dict.fromkeys(("safe_private.csv", "safe_private_more.csv"), "retain-safe-private")
"""File -> the option that reads it. What is not listed counts for every profile; `words` is read by every one."""


@lru_cache(64)
def digests(options: Options) -> tuple[bytes, ...]:
    """SHA-256 of each data file that a profile with these options reads, in the order of their names."""
    folder = sorted(files("gateway.deidentify").iterdir(), key=lambda entry: entry.name)
    used = [file for entry in folder if _is_needed(entry.name, options) for file in _files(entry)]
    return tuple(hashlib.sha256(file.name.encode() + b"\0" + file.read_bytes()).digest() for file in used)


def _is_needed(name: str, options: Options) -> bool:
    return name not in NEEDED_BY or NEEDED_BY[name] in options.names


def _files(entry: Traversable) -> Iterator[Traversable]:
    """A data file itself, or those in a folder of them."""
    if entry.is_dir():
        for inner in sorted(entry.iterdir(), key=lambda inner: inner.name):
            yield from _files(inner)
    elif entry.name.endswith(DATA):
        yield entry

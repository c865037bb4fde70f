"""Placeholder."""

from __future__ import annotations


def load_vocabulary() -> frozenset[str]:
    return frozenset()

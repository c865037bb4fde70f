"""What this version cannot do yet. The schema knows it, so that it is refused with a clear word and never silently ignored.

This table is the whole of that knowledge: a later version deletes a row, or adds the value that now works.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from gateway.settings.finding import Finding, Raw, entries, shown
from gateway.settings.kinds import OPTIONS

WORKS: Final[Mapping[str, tuple[object, ...]]] = MappingProxyType({
    "project.*.deidentify.options.*": tuple(o for o in OPTIONS if o != "clean-recognizable-visual-features"),
})  # fmt: skip
"""Setting -> the values of it that work in this version; every other value is refused."""


def not_available(raw: Raw) -> Iterator[Finding]:
    """One finding for each setting that a later version has to bring."""
    for pattern, works in WORKS.items():
        for place, value in entries(raw, pattern):
            if value not in works:
                yield Finding(place, "not available in this version", "allowed now: " + ", ".join(map(shown, works)))

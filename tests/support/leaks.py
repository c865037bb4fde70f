"""A search of raw bytes for values that must not be there, in the encodings in which they could hide."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path


def forms(value: str) -> set[bytes]:
    """UTF-8, UTF-16, base64 and, for dates, the forms that people write (10.11.1950, 1950-11-10)."""
    texts = {value, value.lower(), value.upper()}
    if len(value) == 8 and value.isdigit():
        year, month, day = value[:4], value[4:6], value[6:]
        texts |= {f"{year}-{month}-{day}", f"{day}.{month}.{year}"}
    found = {t.encode(code) for t in texts for code in ("utf-8", "utf-16-le", "utf-16-be")}
    return found | {base64.b64encode(value.encode()).rstrip(b"=")[:-1]}


def leaks(values: Iterable[str], places: Iterable[tuple[str, bytes]]) -> list[str]:
    """`place: kind of value` of every hit; the value itself is not told, so that a failing test leaks nothing either."""
    wanted = [(i, form) for i, value in enumerate(sorted(values)) for form in forms(value)]
    return [f"{name}: value {i}" for name, raw in places for i, form in wanted if form in raw]


def files_below(*folders: Path) -> list[tuple[str, bytes]]:
    """Name and content of every file; the names are searched too."""
    found = [p for folder in folders for p in sorted(folder.rglob("*"))]
    contents = [(p.name, p.read_bytes()) for p in found if p.is_file()]
    return [*contents, ("file names", "\n".join(str(p) for p in found).encode())]

"""What a check says about one place of the configuration, and the ways to look at values that may be of any type."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pydantic_core import PydanticCustomError

Place: TypeAlias = tuple[str | int, ...]
"""Where a value stands: `("project", 0, "source", "schedule")`."""

Raw: TypeAlias = Mapping[str, object]
"""The TOML as it came, lists as tuples; any value may be of the wrong type."""

SECRET_KEY = re.compile(r"pass|pwd|secret|token|credential|url|endpoint|database|key|query|opt_out", re.IGNORECASE)
"""Settings whose value is never repeated in a message: it is a secret, may hold one, or stands where one was put by mistake."""

SHOWN = 60  # characters of a value that a message repeats


@dataclass(frozen=True)
class Finding:
    """One mistake, before it has a file and a line."""

    place: Place
    found: str
    allowed: str


def wrong(found: str, allowed: str) -> PydanticCustomError:
    """What a validator raises; `found` = "" for the value itself, which `explain` shows where it may be shown."""
    return PydanticCustomError("setting", "{allowed}", {"found": found, "allowed": allowed})


def shown(value: object) -> str:
    """`value` for a message: one line, printable, not too long. Tables, lists and dates by their kind only."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value if len(value) <= SHOWN else value[:SHOWN] + "..."
        return '"' + "".join(c if c.isprintable() else "?" for c in text) + '"'
    if isinstance(value, int | float):
        return str(value) if abs(value) < 10**SHOWN else "a very large number"
    return _kind(value)


def hidden(value: object) -> str:
    """The kind of a value that must not be repeated."""
    if isinstance(value, str):
        return "text"
    return "a number" if isinstance(value, int | float) else _kind(value)


def shown_at(place: Place, value: object) -> str:
    """`value` for a message about `place`: hidden when the place is one for secrets."""
    secret = any(isinstance(step, str) and SECRET_KEY.search(step) for step in place)
    return f"found {hidden(value) if secret else shown(value)}"


def nearest(word: object, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """The known word that is most like `word`, None when none is."""
    if not isinstance(word, str):
        return None
    lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(word.lower()[:SHOWN], lower, n=1, cutoff=likeness)
    return lower[close[0]] if close else None


def entries(raw: object, pattern: str) -> Iterator[tuple[Place, object]]:
    """Every (place, value) that fits `pattern`: keys and `*` (each item of a list), joined by dots. What is absent is left out."""
    found: list[tuple[Place, object]] = [((), raw)]
    for step in pattern.split("."):
        found = [(place + (key,), value) for place, holder in found for key, value in _children(holder, step)]
    yield from found


def texts(raw: object, pattern: str) -> Iterator[tuple[Place, str]]:
    """Like `entries`, but only what is text: another type is the schema's to report."""
    for place, value in entries(raw, pattern):
        if isinstance(value, str):
            yield place, value


def _children(holder: object, step: str) -> Iterator[tuple[str | int, object]]:
    if step == "*" and isinstance(holder, tuple):
        yield from enumerate(holder)
    elif isinstance(holder, Mapping) and step in holder:
        yield step, holder[step]


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, tuple) else "a date or time"

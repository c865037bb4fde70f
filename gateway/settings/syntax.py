"""What tomllib says of a file that is no TOML, in words for who wrote it: line, what was found, what is allowed.

A value is never repeated, for it may be a secret; a key is, where its line is one that can be read alone.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final, NamedTuple

from gateway.settings.finding import shown

VALID: Final = "valid TOML 1.0"
QUOTES: Final = 'text stands in straight quotes: "..."'
CLOSED: Final = 'text begins and ends with the same straight quote: "..."; over several lines with three of them'
ONCE: Final = "each key once in its table"
TABLE_ONCE: Final = "each [table] once, with all of its settings below it"

_CURLED: Final = frozenset("\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb\u2039\u203a")
_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_OPEN: Final = re.compile(r"""Illegal character '\\n'|Unterminated string|Expected "'+"$""")
_BARE: Final = re.compile(r"""[^=]*=\s*[^\s"'\[{#=]""")
_HEADER: Final = re.compile(r"\s*\[+([^\[\]]+)\]+\s*(?:#.*)?")


class Told(NamedTuple):
    """A mistake of syntax."""

    line: int
    found: str
    allowed: str


def told(error: tomllib.TOMLDecodeError, text: str) -> Told:
    """`text`: the whole file."""
    at = _PLACE.search(str(error))
    said = str(error)[: at.start()] if at else str(error)
    number = int(at[1]) if at and at[1] else text.rstrip("\n").count("\n") + 1
    if _OPEN.match(said):
        number = number if at and at[1] else _opened(said, text)
    lines = text.replace("\r\n", "\n").split("\n")
    return Told(number, *_explained(said, lines[number - 1] if number <= len(lines) else ""))


def _explained(said: str, line: str) -> tuple[str, str]:
    """What was found, and what is allowed."""
    if _OPEN.match(said):
        return (
            ("a quote of a word processor", QUOTES) if _CURLED & set(line) else ("a quote that is not closed", CLOSED)
        )
    if said.startswith(("Cannot overwrite", "Cannot declare")):
        return _twice(line)
    if said.startswith("Duplicate"):
        return shown(said).strip('"'), ONCE
    if said.startswith(("Invalid value", "Invalid statement", "Expected newline")) and _CURLED & set(line):
        return "a quote of a word processor", QUOTES
    if said.startswith(("Invalid value", "Expected newline")) and _BARE.match(line):
        return f"{said}: text without quotes?", QUOTES
    return shown(said).strip('"'), VALID


def _twice(line: str) -> tuple[str, str]:
    header = _HEADER.fullmatch(line)
    if header:
        return f"the table {shown(header[1].strip())} a second time", TABLE_ONCE
    name = _key(line)
    return f"the key {shown(name)} a second time" if name else "a key a second time", ONCE


def _key(line: str) -> str:
    """The key of a line that is whole by itself, "" for any other: the last line of a text of several may look like one."""
    try:
        read = tomllib.loads(line)
    except (ValueError, RecursionError):  # the first: TOMLDecodeError, and Python's on endless numbers
        return ""
    return line.partition("=")[0].strip() if len(read) == 1 else ""


def _opened(said: str, text: str) -> int:
    """The line of the quote that nothing closes: the last of its kind."""
    quote = '"""' if said.startswith("Unterminated") else said.partition('"')[2].rstrip('"')
    return text.count("\n", 0, max(0, text.rfind(quote))) + 1

"""What may be asked of a RIS: one statement that reads. The check is a guard against slips; the account's rights are the wall."""

from __future__ import annotations

import re
from typing import Final

BIND: Final = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")
"""A bound value, where SQLAlchemy's text() sees one: also inside a comment or a literal; `\\:` and `::` are none."""

READS: Final = "one statement that reads: it begins with SELECT or WITH, and no ; is followed by another"
_ASIDE: Final = re.compile(r"--[^\n]*|/\*.*?\*/|'[^']*'", re.DOTALL)
_QUOTED: Final = re.compile(r'"[^"]*"|`[^`]*`|\[[^\]]*\]')
_WRITES: Final = re.compile(r"\b(into|delete\s+from|update\s+\S+\s+set|merge\s+into)\b", re.IGNORECASE)


def query_fault(query: str) -> str | None:
    """What is allowed instead, None when the query is one that reads."""
    bare = _QUOTED.sub(" q ", _ASIDE.sub(" ", query)).strip().removesuffix(";")
    if not re.match(r"[(\s]*(select|with)\b", bare, re.IGNORECASE) or ";" in bare:
        return READS
    if _WRITES.search(bare):
        return "a statement that only reads: INTO, INSERT, UPDATE, DELETE and MERGE are refused"
    return None


def binds(query: str) -> frozenset[str]:
    """The names of the values bound in the query: `frozenset({"since"})`."""
    return frozenset(BIND.findall(query))


def selects(query: str, column: str) -> bool:
    """Whether the query can answer with that column: it names it, or asks for everything with *."""
    bare = _ASIDE.sub(" ", query)
    return "*" in bare or re.search(rf"\b{re.escape(column)}\b", bare, re.IGNORECASE) is not None

#!/usr/bin/env python3
"""Makes docs/pacs-behaviour.md: what PACS and RIS do, what the gateway answers, and the tests that prove it.

    python packaging/make_catalogue.py > docs/pacs-behaviour.md
    python packaging/make_catalogue.py --check

The entries stand in docs/catalogue.toml; their tests are found by their marks `@pytest.mark.catalogue("F1", "M3")`, read from the
source, or are named by the entry. `--check` fails, in sentences, when an entry has no test, a test names no entry, a named
test is not there, or the page is not what would be written now. No part of the product.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = "docs/catalogue.toml"
PAGE: Final = "docs/pacs-behaviour.md"
MARK: Final = "pytest.mark.catalogue"
GROUPS: Final = {
    "A": "Associations", "F": "C-FIND", "M": "C-MOVE", "S": "Incoming C-STORE", "D": "Content", "R": "The RIS", "O": "Operation",
    "B": "pynetdicom in a daemon",
}  # fmt: skip
NUMBERS: Final = {"A": 12, "F": 18, "M": 20, "S": 17, "D": 9, "R": 14, "O": 7, "B": 24}
HEAD: Final = """\
# What PACS and RIS do, and what the gateway answers

Made from catalogue.toml and the marks of the tests by packaging/make_catalogue.py; `make check` compares. The numbers are those
that the names of tests and comments use.
"""


@dataclass(frozen=True)
class Entry:
    """`tests`: named by the entry itself. `open`: what is missing. `void`: why it does not concern us."""

    title: str
    answer: str = ""
    tests: tuple[str, ...] = ()
    open: str = ""
    void: str = ""


@dataclass(frozen=True)
class Proofs:
    """`marked`: entry -> tests (`tests/x/test_y.py::test_z`) that carry its mark. `existing`: every test function there is."""

    marked: Mapping[str, Sequence[str]]
    existing: frozenset[str]


def read_entries(text: str) -> dict[str, Entry]:
    """By number, in the order of the file. Raises TypeError for a key that no entry has."""
    found = tomllib.loads(text)
    return {key: Entry(**{**entry, "tests": tuple(entry.get("tests", ()))}) for key, entry in found.items()}


def read_proofs(modules: Iterable[tuple[str, str]]) -> Proofs:
    """`modules`: path and text of each."""
    marked: dict[str, list[str]] = {}
    existing = []
    for path, text in modules:
        for function in (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)):
            if function.name.startswith("test_"):
                existing.append(f"{path}::{function.name}")
                for key in _marks(function):
                    marked.setdefault(key, []).append(existing[-1])
    return Proofs(marked, frozenset(existing))


def _marks(function: ast.FunctionDef) -> Iterator[str]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == MARK:
            yield from (str(ast.literal_eval(argument)) for argument in decorator.args)


def tests_of(key: str, entry: Entry, proofs: Proofs) -> list[str]:
    return sorted({*proofs.marked.get(key, ()), *entry.tests})


def faults(entries: Mapping[str, Entry], proofs: Proofs) -> Iterator[str]:
    """One sentence for everything that does not fit."""
    wanted = [f"{group}{n}" for group, number in NUMBERS.items() for n in range(1, number + 1)]
    if sorted(entries) != sorted(wanted):
        yield f"entries missing or unknown: {' '.join(sorted(set(entries) ^ set(wanted)))}"
    for key, named in proofs.marked.items():
        if key not in entries:
            yield f"{named[0]} is marked with {key}, which is no entry"
    for key, entry in entries.items():
        yield from (f"{key} names {test}, which is not there" for test in entry.tests if test not in proofs.existing)
        yield from _faults_of(key, entry, tests_of(key, entry, proofs))


def _faults_of(key: str, entry: Entry, tests: Sequence[str]) -> Iterator[str]:
    if entry.void and (tests or entry.open or entry.answer):
        yield f"{key} does not concern us, and yet has an answer or a test"
    if not entry.void and not entry.answer:
        yield f"{key} has no answer"
    if not (tests or entry.open or entry.void):
        yield f"{key} has no test"


def page(entries: Mapping[str, Entry], proofs: Proofs) -> str:
    """The text of docs/pacs-behaviour.md."""
    unfinished = {key: entry.open for key, entry in entries.items() if entry.open}
    proven = sum(not entry.open and not entry.void for entry in entries.values())
    void = sum(bool(entry.void) for entry in entries.values())
    said = (
        f"{len(entries)} entries: {proven} answered and proven, {len(unfinished)} open, {void} that do not concern us."
    )
    parts = [HEAD, f"{said}\n\n## Open\n", "\n".join(f"- {key}: {why}" for key, why in unfinished.items()) + "\n"]
    for group, title in GROUPS.items():
        parts.append(f"## {title}\n")
        mine = ((key, entry) for key, entry in entries.items() if key.startswith(group))
        parts.extend(_shown(key, entry, tests_of(key, entry, proofs)) for key, entry in mine)
    return "\n".join(parts)


def _shown(key: str, entry: Entry, tests: Sequence[str]) -> str:
    lines = [f"**{key}. {entry.title}.** " + (f"Does not concern us: {entry.void}." if entry.void else entry.answer)]
    if entry.open:
        lines[0] += f" *Open: {entry.open}.*"
    if tests:
        lines.append("")
    for test in tests:
        path, name = test.split("::")
        lines.append(f"- [{name}](../{path})")
    return "\n".join(lines) + "\n"


def modules() -> Iterator[tuple[str, str]]:
    """The test modules of the repository."""
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        text = path.read_text("utf-8")
        if re.search(r"^def test_", text, flags=re.MULTILINE):
            yield str(path.relative_to(REPOSITORY)), text


def main(arguments: Sequence[str]) -> int:
    entries, proofs = read_entries((REPOSITORY / SOURCE).read_text("utf-8")), read_proofs(modules())
    text = page(entries, proofs)
    if arguments != ["--check"]:
        sys.stdout.write(text)
        return 0
    told = list(faults(entries, proofs))
    written = REPOSITORY / PAGE
    if not written.exists() or written.read_text("utf-8") != text:
        told.append(f"{PAGE} is not what it would be now: python packaging/make_catalogue.py > {PAGE}")
    print("\n".join(told), file=sys.stderr)
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

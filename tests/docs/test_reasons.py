"""Who reads a reason in `balance`, `trace` or `explain` finds it on one page with its mend; the page names none that is gone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.daemon import REPOSITORY

PAGE = (REPOSITORY / "docs" / "reasons.md").read_text("utf-8")
CODE = [p for p in sorted((REPOSITORY / "gateway").rglob("*.py")) if "demo" not in p.parts]
REASON = re.compile(
    r"(accession|csv|crosswalk|dataset|deliver|evidence|find|get|held|instances|move|outbox|patient|pixels|screening|select"
    r"|verify)\.[a-z]+(-[a-z]+)*(\.[a-z]+)?"
)
NO_END = frozenset({
    "csv.changed", "csv.empty", "csv.encoding", "csv.header", "csv.quoting",  # of the file, said with the mend
    "deliver.busy", "deliver.layout", "deliver.missing",  # of a command or the configuration
    "deliver.lease-lost",
    "find.key-ignored", "find.limit-noticed", "find.postponed",  # of the PACS: nobody is charged
    "held.busy", "held.gone", "held.released", "held.series-over", "held.unknown", "instances.late",
    "move.lease-lost", "move.paused", "move.stopped", "move.unknown-destination", "move.window-closed",
    "outbox.any-again", "outbox.name", "outbox.no-held-folder", "outbox.only-begun", "outbox.unknown", "outbox.unwritable",
    "screening.unavailable",
})  # fmt: skip
"""What nothing ends with."""


def literals() -> Iterator[str]:
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and REASON.fullmatch(node.value):
                yield node.value


def on_page() -> list[str]:
    return [word for word in re.findall(r"`([a-z.-]+)`", PAGE) if "." in word and not word.endswith((".", ".toml"))]


def test_every_reason_of_the_code_is_on_the_page() -> None:
    found = set(literals())
    assert len(found) > 60 and found >= NO_END
    assert sorted(found - NO_END - set(on_page())) == []


@pytest.mark.parametrize("reason", sorted(set(on_page())))
def test_the_page_names_none_that_is_gone(reason: str) -> None:
    """Some are put together: the last word has to be there."""
    code = "".join(path.read_text("utf-8") for path in CODE)
    assert reason in code or re.search(rf'[".]{reason.rpartition(".")[2]}"', code)

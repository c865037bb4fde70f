"""The privacy dossier and the other pages: every test they name exists, every table of the database is in the dossier."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary

from gateway.state.db import metadata
from tests.support.daemon import REPOSITORY

DOCS = REPOSITORY / "docs"
DOSSIER = (DOCS / "privacy.md").read_text("utf-8")
NAMED = sorted({
    (page.name, test)
    for page in DOCS.rglob("*.md")
    for test in re.findall(r"tests/[\w/]+\.py::\w+", page.read_text("utf-8"))
})  # fmt: skip


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_the_dossier_names_many_tests() -> None:
    assert len([test for page, test in NAMED if page == "privacy.md"]) > 15


@pytest.mark.parametrize(("page", "test"), NAMED)
def test_a_test_that_a_page_names_exists(page: str, test: str) -> None:
    path, _, name = test.partition("::")
    assert name in functions_of(REPOSITORY / path), f"{page}: {test}"


def test_every_table_and_every_column_of_a_person_is_in_the_dossier() -> None:
    rows = {name: line for line in DOSSIER.splitlines() for name in re.findall(r"`(\w+)`", line.partition(" | ")[0])}
    for name, table in metadata.tables.items():
        personal = [c.name for c in table.columns if isinstance(c.type, LargeBinary) or c.name.endswith("hash")]
        assert not personal or name in rows, f"docs/privacy.md does not have the table {name}"
        assert [c for c in personal if f"`{c}`" not in rows[name]] == [], name

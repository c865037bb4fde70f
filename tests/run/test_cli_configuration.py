"""Every mistake of the table in tests/settings, as the person at the terminal meets it: message, line, exit code 2."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.run.cli import main
from tests.settings.configurations import changed, line_of, written
from tests.settings.test_mistakes import TABLE, told_line


@pytest.fixture(autouse=True)
def _hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`main` replaces it for good; a test gives it back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def test_there_are_enough_of_them() -> None:
    assert len(TABLE) >= 25


@pytest.mark.parametrize(("old", "new", "where", "fragment"), TABLE)
def test_a_mistake_is_exit_code_2_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, where: str, fragment: str
) -> None:
    text = changed(old, new)
    config = written(tmp_path, text)
    assert main(["check", "--config", str(config)]) == 2
    told = capsys.readouterr()
    line = line_of(text, "cursor =") if where.endswith("source.cursor") else told_line(text, new, where)
    mine = [sentence for sentence in told.err.splitlines() if sentence.startswith(f"{config}:{line}: {where}: ")]
    assert len(mine) == 1, told.err
    assert fragment in mine[0]
    assert told.out == ""

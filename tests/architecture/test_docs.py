"""README and docs: what they show works, and what they point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.errors import BadConfiguration
from gateway.settings import load
from tests.architecture.source import REPOSITORY

README = REPOSITORY / "README.md"
PAGES = [README, *sorted((REPOSITORY / "docs").rglob("*.md"))]
RECORDS = sorted((REPOSITORY / "docs" / "adr").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def first_configuration() -> str:
    (found,) = blocks(README, "toml")
    return found


def test_the_first_configuration_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(first_configuration())
    settings = load(path, files=False)
    assert settings.receiver.ae_title == "RESEARCH"
    assert [p.name for p in settings.project] == ["chest-ct"]


def test_a_mistake_in_it_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(first_configuration().replace("schedule", "shedule"))
    with pytest.raises(BadConfiguration, match="shedule"):
        load(path, files=False)


def test_the_example_says_the_same_as_the_readme(tmp_path: Path) -> None:
    """Every section of the README's configuration is in etc/gateway.toml too."""
    sections = re.findall(r"^\[+[a-z.]+\]+", first_configuration(), flags=re.MULTILINE)
    example = (REPOSITORY / "etc" / "gateway.toml").read_text()
    assert len(sections) > 5
    assert [s for s in sections if f"\n{s}" not in example] == []


def test_the_commands_to_begin_with_are_targets() -> None:
    (begin,) = blocks(README, "sh")
    makefile = (REPOSITORY / "Makefile").read_text()
    assert begin.split("\n")[:2] == ["make demo", "make test"]
    for target in re.findall(r"`?make ([a-z]+)", README.read_text()):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_ci_runs_what_the_readme_says() -> None:
    script = REPOSITORY / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    assert {"make demo", "make check"} <= set(script.read_text().splitlines())
    assert re.search(r"^make test\b", script.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_named_files_exist(page: Path) -> None:
    """`gateway/...`, `tests/...` and the like in running text."""
    named = re.findall(
        r"(?<![\w/.<-])((?:gateway|tests|docs|packaging|requirements|etc)/[\w./-]*\w)", page.read_text("utf-8")
    )
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_decision_records_are_numbered_and_one_page() -> None:
    assert [int(p.name[:4]) for p in RECORDS] == list(range(1, len(RECORDS) + 1))
    for record in RECORDS:
        text = record.read_text("utf-8")
        assert text.startswith(f"# {int(record.name[:4])}. ")
        assert len(text.splitlines()) <= 60
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences")), record.name

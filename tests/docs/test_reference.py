"""What docs/ says of the code is what the code says; every setting has its sentence, and every sentence its setting."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from types import ModuleType

import pytest

from gateway.ops.declared import TABLE
from gateway.run.commands.group import MODULES
from gateway.state import machine
from tests.support.daemon import REPOSITORY

REFERENCE = REPOSITORY / "packaging" / "reference"
MAKE = REFERENCE / "make_reference.py"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REFERENCE))
    return __import__("configuration_page")


def test_every_made_page_is_what_would_be_made_now() -> None:
    done = subprocess.run(
        [sys.executable, str(MAKE), "--check"], capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), "run: python packaging/reference/make_reference.py"


def test_every_setting_has_its_sentence_and_every_sentence_its_setting(modules: ModuleType) -> None:
    sentences = tomllib.loads((REFERENCE / "settings.toml").read_text("utf-8"))
    assert set(sentences) - modules.places() == set()
    assert modules.places() - set(sentences) == set()


def test_what_tells_the_archives_apart_has_no_default(modules: ModuleType) -> None:
    """A [[project.deliver]] without `type` is refused, whatever default its class has."""
    told = {s.place: s.default for place, model in modules.sections() for s in modules.settings_of(place, model)}
    kinds = ("directory", "dicom", "dicomweb", "s3")
    assert [told[f"project.deliver:{kind}.type"] for kind in kinds] == ["required"] * len(kinds)


def test_a_page_names_every_setting_metric_and_command(modules: ModuleType) -> None:
    pages = {p.stem: p.read_text("utf-8") for p in (REPOSITORY / "docs" / "reference").glob("*.md")}
    names = {place.rpartition(".")[2] for place in modules.places() if not place.endswith(".")}
    assert [n for n in names if f"`{n}`" not in pages["configuration"]] == []
    assert [n for n in TABLE if f"`{n}`" not in pages["metrics"]] == []
    assert [n for n in MODULES if f"\n## {n}" not in pages["commands"]] == []
    manual = (REFERENCE / "pacs-gateway.1").read_text("utf-8")
    assert [n for n in MODULES if n.replace("-", "\\-") not in manual] == []


@pytest.mark.parametrize(("name", "table"), [("request", machine.REQUEST), ("series", machine.SERIES)])
def test_the_pictures_show_every_state_and_event(name: str, table: dict[str, dict[str, str]]) -> None:
    tree = ET.parse(REPOSITORY / "docs" / "pictures" / f"{name}.svg")
    words = [e.text or "" for e in tree.iter() if e.tag.endswith("text")]
    events = {event for told in words for event in told.split(", ")}
    assert set(table) <= set(words)
    assert {event for row in table.values() for event in row} <= events


def test_bash_takes_the_completion() -> None:
    script = REFERENCE / "completion" / "pacs-gateway.bash"
    assert subprocess.run(["bash", "-n", str(script)], check=False, timeout=20).returncode == 0
    assert "_PACS_GATEWAY_COMPLETE=bash_complete" in script.read_text()


def test_the_command_completes() -> None:
    asked = {"_PACS_GATEWAY_COMPLETE": "bash_complete", "COMP_WORDS": "pacs-gateway s", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.run.cli"], env={**os.environ, **asked}, cwd=REPOSITORY, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["plain,status", "plain,support-bundle"]


def test_the_manual_page_is_clean() -> None:
    page = REFERENCE / "pacs-gateway.1"
    assert page.read_text().startswith(".TH PACS-GATEWAY 1")
    assert all(line.isprintable() for line in page.read_text().splitlines())

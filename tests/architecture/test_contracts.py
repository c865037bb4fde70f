"""The import contracts hold, and each of them breaks when somebody crosses its line."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import REPOSITORY

PLANTED = {
    "layers": ("gateway/deliver/sink.py", "import gateway.cfind.select"),
    "acyclic": ("gateway/rules.py", "import gateway.settings.schema"),
    "pure": ("gateway/deidentify/table.py", "import threading"),
    "door-dicom": ("gateway/cstore/receive.py", "import pynetdicom"),
    "door-database": ("gateway/accession/rows.py", "import sqlalchemy"),
    "door-watchers": ("gateway/state/store.py", "from prometheus_client import Counter"),
    "door-schedule": ("gateway/run/worker.py", "import apscheduler"),
    "door-terminal": ("gateway/accession/csvfile.py", "import click"),
    "door-configuration": ("gateway/model.py", "import pydantic"),
    "door-archives": ("gateway/deliver/courier.py", "import urllib3"),
    "door-tables": ("gateway/deliver/manifest.py", "import arro3.core"),
    "door-rules": ("gateway/cfind/select.py", "import rule_engine"),
    "door-pixels": ("gateway/deidentify/walker.py", "import numpy"),
}
"""Contract -> a module and the line that breaks it."""
MORE = {
    "a room imports run": ("layers", "gateway/cstore/receive.py", "import gateway.run.worker"),
    "a layer imports a room": ("layers", "gateway/state/rows.py", "import gateway.deliver.sink"),
    "an unknown module": ("layers", "gateway/extra.py", ""),
    "a clock behind a pure module": ("pure", "gateway/model.py", "import time"),
}


def lint(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).with_name("lint-imports")
    argv = [str(tool), "--no-logo", "--no-cache", *options]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(REPOSITORY / "gateway", tmp_path / "gateway", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def plant(folder: Path, module: str, line: str) -> None:
    path = folder / module
    text = path.read_text() if path.exists() else ""
    path.write_text(f"{text}\n\n{line}\n")


def test_contracts_are_kept() -> None:
    done = lint(REPOSITORY)
    assert done.returncode == 0, done.stdout
    assert f"{len(PLANTED)} kept, 0 broken" in done.stdout


def test_every_contract_has_a_planted_import() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert [c["id"] for c in contracts] == list(PLANTED)


@pytest.mark.parametrize("contract", PLANTED)
def test_a_forbidden_import_breaks_the_contract(contract: str, copy: Path) -> None:
    plant(copy, *PLANTED[contract])
    done = lint(copy, "--contract", contract)
    assert done.returncode == 1, done.stdout
    assert "0 kept, 1 broken" in done.stdout


@pytest.mark.parametrize("case", MORE)
def test_other_ways_round_are_closed_too(case: str, copy: Path) -> None:
    contract, module, line = MORE[case]
    plant(copy, module, line)
    assert lint(copy, "--contract", contract).returncode == 1

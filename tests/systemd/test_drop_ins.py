"""The drop-ins that docs/install.md shows: the same as the files that are installed as examples, and none opens the sandbox."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.run.receivers import BACKLOG
from tests.architecture.test_unit import COMMAND, UNIT, analyze, exposure
from tests.support.booted import REPOSITORY

FILES = sorted((REPOSITORY / "etc/pacs-gateway.service.d").glob("*.conf"))
SOCKET = UNIT.with_suffix(".socket")


def lines(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))


def test_the_document_shows_every_file() -> None:
    document = (REPOSITORY / "docs/install.md").read_text()
    shown = {lines(block) for block in re.findall(r"```ini\n(.*?)```", document, flags=re.DOTALL)}
    assert FILES and shown == {lines(path.read_text()) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_systemd_understands_it_and_the_sandbox_stays_as_tight(path: Path, tmp_path: Path) -> None:
    joined = tmp_path / UNIT.name
    joined.write_text(UNIT.read_text() + path.read_text())
    assert exposure(joined) == 0
    joined.write_text(joined.read_text().replace(COMMAND, "/usr/bin/env"))
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(joined))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_socket_unit_is_understood_and_waits_for_as_many_as_the_daemon_does(tmp_path: Path) -> None:
    for unit in (UNIT, SOCKET):
        (tmp_path / unit.name).write_text(unit.read_text().replace(COMMAND, "/usr/bin/env"))
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(tmp_path / SOCKET.name))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Backlog={BACKLOG}\n" in SOCKET.read_text()

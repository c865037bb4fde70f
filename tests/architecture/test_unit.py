"""The systemd unit and its user: what systemd itself says about them, without one running."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.architecture.source import REPOSITORY
from tests.support.process import program

UNIT = REPOSITORY / "systemd" / "pacs-gateway.service"
COMMAND = "/usr/lib/pacs-gateway/bin/pacs-gateway"
EXPOSURE = 12  # tenths, of 100; measured: 11


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [program("systemd-analyze"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def exposure(unit: Path) -> int:
    return analyze("security", "--offline=true", f"--threshold={EXPOSURE}", str(unit)).returncode


def test_the_sandbox_stays_tight(tmp_path: Path) -> None:
    assert exposure(UNIT) == 0
    loose = tmp_path / UNIT.name
    loose.write_text(UNIT.read_text().replace("ProtectSystem=strict\n", "").replace("PrivateUsers=yes\n", ""))
    assert exposure(loose) != 0


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """`verify` wants the command to exist; the copy names one that does."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(COMMAND, "/usr/bin/env"))
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(copy))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_user_and_the_folders_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for tool, name in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")):
        create = ["--create"] if name == "tmpfiles" else []
        argv = [program(tool), *create, f"--root={tmp_path}", str(UNIT.with_suffix(f".{name}"))]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
    assert "pacs-gateway:" in (tmp_path / "etc/passwd").read_text()
    assert oct((tmp_path / "etc/pacs-gateway").stat().st_mode)[-3:] == "750"


def test_it_is_started_again_for_as_long_as_it_takes() -> None:
    """A database that is away for an hour while the machine boots: systemd must not have given up by then."""
    told = dict(
        line.split("=", 1) for line in UNIT.read_text().splitlines() if line.startswith(("StartLimit", "RestartSec"))
    )
    assert (told["StartLimitIntervalSec"], told["RestartSec"]) == ("1min", "10s")
    assert int(told["StartLimitBurst"]) > 60 / 10, "whoever fails at once is below the limit"


def test_a_process_for_which_there_is_no_memory_takes_no_other_with_it() -> None:
    """How often a picture was too much for the screening is forgotten at a start (`Outbox.sweep`): it would be tried for ever."""
    assert "OOMPolicy=continue" in UNIT.read_text().splitlines()


def test_names_are_those_that_hospital_scripts_rely_on() -> None:
    lines = UNIT.read_text().splitlines()
    for wanted in (
        "User=pacs-gateway", "Type=notify", "StateDirectory=pacs-gateway", "RuntimeDirectory=pacs-gateway", "LimitCORE=0",
        f"ExecStart={COMMAND} run",
    ):  # fmt: skip
        assert wanted in lines

"""The unit's life under a real systemd: start, hang, death, reload, the port of the socket unit, stop."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.architecture.test_unit import EXPOSURE
from tests.support.booted import REPOSITORY, Booted
from tests.support.installed import CONFIG, RIS, UNIT, asked, build, configure, echo, journal, processes, show

pytestmark = [pytest.mark.systemd, pytest.mark.real, pytest.mark.timeout(300)]

DROP_IN = f"/run/systemd/system/{UNIT}.d/test.conf"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """Files where the package puts them, the daemon running and ready."""
    root = build(tmp_path_factory).root
    booted = Booted("unit", binds={root / "usr/lib/pacs-gateway": "/usr/lib/pacs-gateway"})
    for name in ("service", "socket"):
        booted.write(
            f"/usr/lib/systemd/system/pacs-gateway.{name}", (REPOSITORY / f"systemd/pacs-gateway.{name}").read_text()
        )
    for name in ("sysusers", "tmpfiles"):
        booted.write(f"/usr/lib/{name}.d/pacs-gateway.conf", (REPOSITORY / f"systemd/pacs-gateway.{name}").read_text())
    booted.run("systemd-sysusers")
    booted.run("systemd-tmpfiles", "--create", "pacs-gateway.conf")
    configure(booted, key="/etc/pacs-gateway/pseudonym.key")
    booted.run("/usr/lib/pacs-gateway/bin/pacs-gateway", "key", "init")
    booted.run("install", "-d", "-o", "pacs-gateway", "/srv/research/chest-ct")
    booted.run("/usr/bin/python3", "-c", RIS, stdin="SYN1,P1")
    booted.run("chown", "pacs-gateway:", "/etc/pacs-gateway/pseudonym.key")
    booted.write(DROP_IN, "[Service]\nWatchdogSec=5s\nRestartSec=100ms\n")
    booted.run("systemctl", "daemon-reload")
    yield booted
    booted.down()


def main_pid(machine: Booted) -> int:
    return int(show(machine, "MainPID"))


def replaced(machine: Booted, before: int) -> bool:
    """Another process is the main one, and it has said READY."""
    return main_pid(machine) not in (0, before) and show(machine, "ActiveState") == "active"


def start(machine: Booted) -> None:
    machine.run("systemctl", "reset-failed", UNIT, check=False)
    machine.run("systemctl", "start", UNIT)


@contextlib.contextmanager
def beside(machine: Booted, program: str) -> Iterator[None]:
    """A little program in that network, from when it says that it is there until the block ends."""
    argv = [
        *machine.entered("--net"),
        sys.executable,
        "-c",
        f"import socket, sys; {program}; print('here', flush=True); sys.stdin.read()",
    ]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdin and running.stdout and running.stdout.readline() == "here\n"
        yield
        running.stdin.close()


def test_start_fails_while_the_port_is_taken_and_means_receiving_when_it_returns(machine: Booted) -> None:
    with beside(machine, "taken = socket.create_server(('', 11112))"):
        assert machine.run("systemctl", "start", UNIT, check=False).returncode != 0
    assert "receiver.address" in journal(machine)
    machine.run("systemctl", "stop", UNIT)
    start(machine)
    assert echo(machine, 11112)
    asked(machine, "/readyz")
    assert show(machine, "Type") == "notify"


def test_it_has_no_privilege(machine: Booted) -> None:
    """What systemd made of the unit, and what the kernel says of the process."""
    exposed = machine.run("systemd-analyze", "security", "--no-pager", f"--threshold={EXPOSURE}", UNIT, check=False)
    assert exposed.returncode == 0, exposed.stdout[-500:]
    status = dict(
        line.split(":\t", 1)
        for line in machine.say("cat", f"/proc/{main_pid(machine)}/status").splitlines()
        if ":\t" in line
    )
    user = machine.say("id", "-u", "pacs-gateway")
    assert status["Uid"].split() == [user] * 4 and user != "0"
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_a_hung_daemon_is_killed_and_comes_back(machine: Booted) -> None:
    before = main_pid(machine)
    machine.run("kill", "-STOP", str(before))
    machine.wait_until(lambda: replaced(machine, before), "restarted", 60)
    assert echo(machine, 11112)
    told = journal(machine)
    assert "Watchdog timeout" in told
    assert "most recent call first" in told, "the stacks of all threads"
    machine.run("rm", DROP_IN)
    machine.run("systemctl", "daemon-reload")  # the watchdog's time of a running service follows


def test_a_reload_with_mistakes_fails_and_changes_nothing(machine: Booted) -> None:
    before, good = main_pid(machine), machine.run("cat", CONFIG).stdout
    machine.write(CONFIG, good + "\nnonsense = 1\n")
    assert machine.run("systemctl", "reload", UNIT, check=False).returncode != 0
    assert "nonsense" in journal(machine)
    assert (main_pid(machine), show(machine, "ActiveState")) == (before, "active")
    machine.write(CONFIG, good + "# changed\n")
    machine.run("systemctl", "reload", UNIT)
    machine.wait_until(lambda: "daemon.reloaded" in journal(machine), "reloaded", 60)
    assert main_pid(machine) == before and echo(machine, 11112)


def test_the_socket_unit_keeps_the_port_over_a_restart(machine: Booted) -> None:
    """Port 104, for a user without any capability; whoever connects meanwhile waits."""
    machine.run("systemctl", "stop", UNIT)
    configure(machine, port=104, key="credential:pseudonym-key")
    machine.run("systemctl", "start", "pacs-gateway.socket")
    start(machine)
    argv = [*machine.entered("--net"), sys.executable, "-m", "tests.systemd.hammer", "104"]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as hammer:
        assert hammer.stdout and hammer.stdout.readline() == "served\n"
        before = main_pid(machine)
        machine.run("systemctl", "restart", UNIT)
        assert echo(machine, 104)
        served, refused, failed = map(int, hammer.communicate(timeout=100)[0].split())
    assert main_pid(machine) != before
    assert served > 1 and (refused, failed) == (0, 0)


def test_it_drains_and_stops_by_itself(machine: Booted) -> None:
    """With a peer that has connected and says nothing: systemd need not kill anything."""
    with beside(machine, "silent = socket.create_connection(('127.0.0.1', 104))"):
        machine.run("systemctl", "stop", "pacs-gateway.socket", UNIT)
    assert (show(machine, "Result"), show(machine, "ExecMainStatus"), show(machine, "ActiveState")) == (
        "success",
        "0",
        "inactive",
    )
    assert processes(machine) == ""


def test_a_key_may_lie_elsewhere_and_one_that_is_missing_is_told_by_the_daemon(machine: Booted) -> None:
    """Not by systemd's words for a credential that it cannot load: Protocol error."""
    usual, elsewhere = "/etc/pacs-gateway/pseudonym.key", "/etc/pacs-gateway/elsewhere.key"
    machine.run("mv", usual, elsewhere)
    for key in (usual, "credential:pseudonym-key"):
        configure(machine, key=key)
        machine.run("systemctl", "start", UNIT, check=False)
        assert show(machine, "ExecMainStatus") == "2"
    told = journal(machine)
    assert "there is no such file" in told and "the file does not hold 32 bytes" in told
    configure(machine, key=elsewhere)
    start(machine)
    assert echo(machine, 11112)
    machine.run("systemctl", "stop", UNIT)
    machine.run("mv", elsewhere, usual)


def test_a_mistake_in_the_configuration_is_no_reason_to_try_again(machine: Booted) -> None:
    machine.write(CONFIG, "nonsense = 1\n")
    machine.run("systemctl", "reset-failed", UNIT, check=False)
    assert machine.run("systemctl", "start", UNIT, check=False).returncode != 0
    assert (show(machine, "ActiveState"), show(machine, "ExecMainStatus"), show(machine, "NRestarts")) == (
        "failed",
        "2",
        "0",
    )

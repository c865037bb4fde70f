"""The daemon's life: start, what systemd is told, a killed receive process, reload, drain, and the ways it refuses to start."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.daemon import REPOSITORY, Daemon
from tests.support.process import free_port

pytestmark = pytest.mark.timeout(120)

CONFIG = """\
state_dir = "{folder}/state"
node = "gw1"
key_file = "{folder}/pseudonym.key"

[receiver]
bind = "127.0.0.1"
port = {receiver}
processes = 2
min_free_disk = "100 MB"

[health]
socket = "{folder}/health.sock"

[metrics]
port = {metrics}

[[pacs]]
name = "main"
ae_title = "NOBODY"
host = "127.0.0.1"
port = {pacs}

[[ris]]
name = "ris"
url = "sqlite:///{folder}/ris.sqlite"

[[project]]
name = "chest"
pacs = ["main"]

[project.source]
ris = "ris"
schedule = "1s"
query = "select accession_number, patient_id from research_view"

[[project.deliver]]
type = "directory"
path = "{folder}/archive"
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    key = tmp_path / "pseudonym.key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    (tmp_path / "archive").mkdir()
    (tmp_path / "gateway.toml").write_text(
        CONFIG.format(folder=tmp_path, receiver=free_port(), metrics=free_port(), pacs=free_port())
    )
    with closing(sqlite3.connect(tmp_path / "ris.sqlite")) as ris, ris:
        ris.execute("create table research_view (accession_number text, patient_id text)")
        ris.execute("insert into research_view values ('SYN1', 'P1')")
    made = Daemon(tmp_path)
    yield made
    made.kill_group()


def started(daemon: Daemon) -> Daemon:
    daemon.start()
    daemon.wait_ready()
    return daemon


def receivers(daemon: Daemon, module: str = "gateway.run.receive") -> list[int]:
    told = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(daemon.pid)], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in told.stdout.splitlines() if module in line]


def screening(daemon: Daemon) -> list[int]:
    return receivers(daemon, "gateway.run.screen")


def test_sigterm_drains_and_ends_with_0_leaving_nobody_behind(daemon: Daemon) -> None:
    started(daemon)
    pids = receivers(daemon)
    assert len(pids) == 2
    assert daemon.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not daemon.health.exists()


def test_a_pacs_that_is_down_is_shown_and_the_daemon_lives(daemon: Daemon) -> None:
    started(daemon)
    daemon.wait_until(lambda: daemon.status()["pacs"]["main"]["up"] is False, 30)
    assert daemon.status()["pacs"]["main"]["error"].startswith("pacs.")
    assert daemon.get("/healthz")[0] == daemon.get("/readyz")[0] == 200
    assert daemon.requests() == {"new": 1}


def test_a_ris_that_breaks_is_shown_and_comes_back(daemon: Daemon) -> None:
    started(daemon)
    daemon.wait_until(lambda: daemon.status()["ris"]["ris"]["up"] is True, 30)
    with closing(sqlite3.connect(daemon.config.parent / "ris.sqlite")) as ris, ris:
        ris.execute("alter table research_view rename to gone")
    daemon.wait_until(lambda: daemon.status()["ris"]["ris"]["up"] is False, 30)
    assert daemon.status()["ris"]["ris"]["error"] == "ris.schema"
    assert b'ris_polls_total{project="chest",result="failed"}' in daemon.get("/metrics")[1]
    with closing(sqlite3.connect(daemon.config.parent / "ris.sqlite")) as ris, ris:
        ris.execute("alter table gone rename to research_view")
        ris.execute("insert into research_view values ('SYN2', 'P2')")
    daemon.wait_until(lambda: daemon.requests() == {"new": 2}, 30)


def test_a_list_of_opt_outs_that_cannot_be_read_is_a_poll_that_failed(daemon: Daemon) -> None:
    """Nobody is asked for without it: whoever watches has to see that nothing comes."""
    text = daemon.config.read_text()
    daemon.config.write_text(
        text.replace('schedule = "1s"', 'schedule = "1s"\nopt_out = "select patient_id from gone"')
    )
    started(daemon)
    daemon.wait_until(lambda: daemon.status()["ris"]["ris"]["up"] is False, 30)
    assert daemon.status()["ris"]["ris"]["error"] == "ris.schema" and daemon.requests() == {}
    assert b'ris_polls_total{project="chest",result="failed"} 0.0' not in daemon.get("/metrics")[1]


def test_a_killed_receive_process_is_replaced(daemon: Daemon) -> None:
    started(daemon)
    before = receivers(daemon)
    os.kill(before[0], signal.SIGKILL)
    daemon.wait_until(lambda: daemon.get("/readyz")[0] == 200 and len(set(receivers(daemon)) - set(before)) == 1, 30)
    assert before[1] in receivers(daemon)


def test_the_screening_begins_and_ends_with_the_daemon_and_only_it_knows_how(daemon: Daemon) -> None:
    text = daemon.config.read_text()
    daemon.config.write_text(
        text.replace(
            "[[project.deliver]]", '[project.deidentify]\noptions = ["clean-pixel-data"]\n\n[[project.deliver]]'
        )
    )
    started(daemon)
    daemon.wait_until(lambda: len(screening(daemon)) == 1, 30)
    for pid in receivers(daemon):
        libraries = Path(f"/proc/{pid}/maps").read_text()
        assert "python" in libraries and not re.search(r"numpy|onnx|openjp", libraries)
    (pid,) = screening(daemon)
    daemon.wait_until(lambda: os.getpriority(os.PRIO_PROCESS, pid) >= 10, 30)
    assert daemon.stop() == 0
    assert not Path(f"/proc/{pid}").exists()


def test_nothing_is_screened_where_no_project_asks_for_it(daemon: Daemon) -> None:
    started(daemon)
    assert screening(daemon) == []
    assert daemon.status()["held"] == {}


def test_receive_processes_do_not_outlive_a_killed_supervisor(daemon: Daemon) -> None:
    started(daemon)
    pids = receivers(daemon)
    os.kill(daemon.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids):
        assert time.monotonic() < until, "a receive process lives on"
        time.sleep(0.05)


def test_reload_takes_a_good_configuration_and_keeps_the_old_one_before_a_bad_one(daemon: Daemon) -> None:
    started(daemon)
    good = daemon.config.read_text()
    daemon.config.write_text(good.replace("processes = 2", "processes = 1"))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_until(lambda: len(receivers(daemon)) == 1 and daemon.get("/readyz")[0] == 200, 40)
    daemon.config.write_text(good.replace("processes = 2", "processes = 'many'"))
    os.kill(daemon.pid, signal.SIGHUP)
    daemon.wait_until(lambda: "daemon.reload.refused" in daemon.tail(), 40)
    assert daemon.get("/readyz")[0] == 200
    assert daemon.tail().count("daemon.stopping") == 1, "nothing is drained for a bad configuration"
    assert daemon.stop() == 0


def test_a_reload_to_a_taken_port_is_refused(daemon: Daemon) -> None:
    started(daemon)
    good = daemon.config.read_text()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        daemon.config.write_text(re.sub(r"\nport = \d+", f"\nport = {other.getsockname()[1]}", good, count=1))
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_until(lambda: "daemon.reload.refused" in daemon.tail(), 40)
    assert daemon.get("/readyz")[0] == 200
    assert daemon.stop() == 0


def test_another_key_is_refused_before_anything_is_polled(daemon: Daemon) -> None:
    started(daemon)
    daemon.wait_until(lambda: daemon.requests() == {"new": 1}, 30)
    assert daemon.stop() == 0
    (daemon.config.parent / "pseudonym.key").write_bytes(bytes(range(1, 33)))
    told = subprocess.run(
        [sys.executable, "-m", "gateway.run.cli", "run", "--config", str(daemon.config)],
        capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    assert told.returncode == 1
    assert "written with another key" in told.stderr


def test_a_trail_that_cannot_be_written_defers_what_needs_a_line_and_nothing_else(daemon: Daemon) -> None:
    """A full disk, or a file that root left: who is on the opt-out list is not polled past, and the daemon lives."""
    folder = daemon.config.parent
    text = daemon.config.read_text()
    daemon.config.write_text(
        text.replace('schedule = "1s"', 'schedule = "1s"\nopt_out = "select patient_id from opt_out"')
    )
    with closing(sqlite3.connect(folder / "ris.sqlite")) as ris, ris:
        ris.execute("create table opt_out (patient_id text)")
        ris.execute("insert into opt_out values ('P1')")
    in_the_way = folder / "state" / "audit.jsonl"
    in_the_way.mkdir(parents=True)
    started(daemon)
    daemon.wait_until(lambda: daemon.log.read_text().count("audit.unwritable") > 2, 30)
    assert daemon.get("/readyz")[0] == 200 and daemon.requests() == {}
    in_the_way.rmdir()
    daemon.wait_until(lambda: "optout.withdrawn" in daemon.log.read_text(), 30)
    assert daemon.stop() == 0
    told = [json.loads(line) for line in in_the_way.read_text().splitlines()]
    assert [(one["event"], one["patients"]) for one in told] == [("withdraw-ordered", 1), ("withdrawn", 1)]


def test_only_one_daemon_per_state_directory(daemon: Daemon) -> None:
    started(daemon)
    second = subprocess.run(
        [sys.executable, "-m", "gateway.run.cli", "run", "--config", str(daemon.config)],
        capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    assert second.returncode == 1
    assert "another pacs-gateway runs" in second.stderr
    assert "Traceback" not in second.stderr


def test_systemd_is_told_ready_status_watchdog_and_stopping(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    path = daemon.config.parent / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        daemon.start()
        told = [listener.recv(4096).decode() for _ in range(4)]
        assert daemon.stop() == 0
        listener.settimeout(0.2)
        while not told[-1].startswith("STOPPING=1"):
            told.append(listener.recv(4096).decode())
    assert told[0].startswith("READY=1")
    assert any("WATCHDOG=1" in t for t in told)
    assert any(re.search(r"STATUS=\d+ requests and \d+ series", t) for t in told)


@pytest.mark.parametrize("which", [0, 1], ids=["receiver", "metrics"])
def test_a_taken_port_is_a_sentence_not_a_traceback(daemon: Daemon, which: int) -> None:
    port = int(re.findall(r"\nport = (\d+)", daemon.config.read_text())[which])
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        told = subprocess.run(
            [sys.executable, "-m", "gateway.run.cli", "run", "--config", str(daemon.config)],
            capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY,
        )  # fmt: skip
    assert told.returncode == 1
    assert str(port) in told.stderr
    assert "Traceback" not in told.stderr

"""Child processes of one kind: replaced when they die, ever more slowly when they keep dying, and bounded in what they may take."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.errors import Fatal
from gateway.ops.declared import PREFIX
from gateway.ops.metrics import Metrics
from gateway.ops.notify import Systemd
from gateway.run import children, daemon, screen
from gateway.run.children import Children, Hear, Kind
from gateway.run.daemon import DRAIN_SECONDS, Life
from gateway.settings import Settings, load
from tests.settings.configurations import VALID, written
from tests.support.daemon import REPOSITORY


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(written(tmp_path, VALID), files=False)


Run = Callable[..., Children]


def test_the_daemon_closes_nothing_before_the_last_receive_process_had_its_time() -> None:
    assert Kind("receive", "module", 1).drain + 5 < DRAIN_SECONDS


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("systemd/pacs-gateway.service", r"^TimeoutStopSec=(\d+)s$"),
        ("packaging/Containerfile", r"--stop-timeout=(\d+) "),
    ],
)
def test_who_starts_the_daemon_lets_a_drain_end(place: str, told: str) -> None:
    """Schedule, finds, moves, receive processes, screening, archives, a reload's: it was killed in the midst of the last."""
    (seconds,) = re.findall(told, (REPOSITORY / place).read_text(), flags=re.MULTILINE)
    assert int(seconds) > 7 * DRAIN_SECONDS


def test_systemd_lets_a_start_end_that_brings_millions_of_rows_to_a_new_schema() -> None:
    """It is one transaction: cut short after 90 s it was begun anew at each start, without end."""
    unit = (REPOSITORY / "systemd" / "pacs-gateway.service").read_text()
    (minutes,) = re.findall(r"^TimeoutStartSec=(\d+)min$", unit, flags=re.MULTILINE)
    assert int(minutes) >= 30


def test_roles_that_do_not_end_are_waited_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each archive that is slow just then took as long once more."""
    monkeypatch.setattr(daemon, "DRAIN_SECONDS", 1.0)
    over, life = threading.Event(), Life.__new__(Life)
    life.systemd = Systemd()
    life._threads = {f"deliver-{n}": threading.Thread(target=over.wait, daemon=True) for n in range(4)}
    for thread in life._threads.values():
        thread.start()
    began = time.monotonic()
    life._end(threading.Event(), "deliver")
    assert time.monotonic() - began < 2.5
    over.set()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def run(settings: Settings, metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Starts children of a kind whose program is one of `tests.run.programs`."""
    made: list[Children] = []
    monkeypatch.setattr(children, "SHORTEST_LIFE", 0.2)

    def start(program: str, **more: float) -> Children:
        kind = Kind("odd", f"tests.run.programs.{program}", 1, **more)  # type: ignore[arg-type]
        found = Children(settings, kind, Hear(metrics, lambda _: None, lambda _: None), level="error")
        made.append(found)
        found.start()
        return found

    yield start
    for found in made:
        found.stop()


def until(reached: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_pause_doubles_up_to_the_longest() -> None:
    kind = Kind("odd", "x", 1, longest_pause=300.0)
    assert [kind.pause(n) for n in (0, 1, 2, 3, 7, 99)] == [5, 5, 10, 20, 300, 300]
    assert Kind("odd", "x", 2).pause(9) == 5 and Kind("odd", "x", 2).names == ["odd-1", "odd-2"]


def test_ready_and_drained(run: Run) -> None:
    found = run("willing")
    found.wait_ready()
    assert found.ready()
    (child,) = found._children
    found.stop()
    assert child.process.returncode == 0
    found._children.clear()


def test_one_that_cannot_start_is_told(run: Run) -> None:
    with pytest.raises(Fatal) as caught:
        run("dying").wait_ready()
    assert caught.value.reason == "odd.start" and "did not start (exit code 3)" in caught.value.detail


def test_one_that_hangs_at_its_start_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither it nor one that the kernel has killed leaves a line in the log: nothing said which it was."""
    monkeypatch.setattr(children, "START_SECONDS", 0.0)
    with pytest.raises(Fatal, match="did not start within 0 s"):
        run("dying").wait_ready()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_a_terminal_sends_to_all_does_not_end_one_that_only_begins(run: Run, number: signal.Signals) -> None:
    """Ctrl-C in the first seconds of `pacs-gateway run`: the supervisor decides, nothing dies with a traceback."""
    found = run("willing")
    (child,) = found._children
    child.process.send_signal(number)  # Python has not even started there
    found.wait_ready()
    assert found.ready()


def test_a_line_that_is_none_of_ours_is_counted_as_lost_and_reaches_no_meter(
    settings: Settings, metrics: Metrics
) -> None:
    """The thread that reads the lines of all processes would end by it, and with it their signs of life."""
    tapped: list[bytes] = []
    found = Children(settings, Kind("odd", "x", 1), Hear(metrics, lambda _: None, tapped.append), level="error")
    child, ours = SimpleNamespace(name="odd-1"), b'["add","received_bytes_total",7,{"project":"chest"}]\n'
    for line in (b"5\n", b'["add"\n', b'["add","received_bytes_total",1,3]\n', ours):
        found._line(child, line)  # type: ignore[arg-type]
    assert tapped == [ours]
    assert metrics.registry.get_sample_value(PREFIX + "counts_lost_total") == 3.0


def test_no_room_for_a_process_is_a_refusal_that_leaves_none_behind(
    settings: Settings, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload is refused for it; anything else than Fatal would end the daemon."""
    kind = Kind("odd", "tests.run.programs.willing", 2)
    found = Children(settings, kind, Hear(metrics, lambda _: None, lambda _: None), level="error")
    started: list[Any] = []
    real: Any = subprocess.Popen

    def full(*words: object, **more: object) -> object:
        if started:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(real(*words, **more))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", full)
    with pytest.raises(Fatal) as caught:
        found.start()
    assert caught.value.reason == "odd.start" and "temporarily unavailable" in caught.value.detail
    found.stop()
    assert started[0].returncode is not None


def test_one_that_keeps_dying_is_replaced_ever_more_slowly(run: Run) -> None:
    found = run("dying", longest_pause=60.0)
    seen: dict[int, int] = {}

    def replaced() -> bool:
        found.replace_dead()
        (child,) = found._children
        seen[child.process.pid] = child.deaths
        return len(seen) == 3

    until(replaced, 40)
    assert list(seen.values())[-1] == 2 and found.kind.pause(2) == 2 * found.kind.pause(1)


def test_one_that_was_killed_is_replaced(run: Run) -> None:
    found = run("willing")
    found.wait_ready()
    (child,) = found._children
    child.process.kill()

    def again() -> bool:
        found.replace_dead()
        return found._children[0].process.pid != child.process.pid and found.ready()

    until(again)


def test_one_that_was_replaced_just_now_leaves_nothing_open(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Children, "_read", lambda self: None)  # it has not come to see that the pipe is closed
    found = run("willing")
    (child,) = found._children
    child.process.kill()

    def replaced() -> bool:
        found.replace_dead()
        return found._children[0] is not child

    until(replaced)
    found.stop()
    assert child.process.stdin is not None and child.process.stdin.closed
    assert child.pipe == -1


def test_the_screening_steps_back(run: Run) -> None:
    found = run("screening")
    found.wait_ready()
    if os.geteuid():
        pytest.skip("only root may look into a process that nobody may inspect")
    pid = found._children[0].process.pid
    assert os.getpriority(os.PRIO_PROCESS, pid) == screen.NICE
    assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == screen.OOM_SCORE
    assert resource.prlimit(pid, resource.RLIMIT_DATA) == (screen.MEMORY, screen.MEMORY)
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)


def test_a_step_that_never_ends_ends_its_process(run: Run) -> None:
    found = run("stuck")
    found.wait_ready()
    until(lambda: found._children[0].process.poll() is not None)
    assert found._children[0].process.returncode == -14  # SIGALRM


@pytest.mark.parametrize(("options", "number"), [("[]", 0), ('["clean-pixel-data"]', 1), ('["clean-graphics"]', 0)])
def test_there_is_one_only_where_some_project_has_its_pixels_cleaned(tmp_path: Path, options: str, number: int) -> None:
    text = VALID.replace("[project.deidentify]", f"[project.deidentify]\noptions = {options}", 1)
    assert screen.screen_kind(load(written(tmp_path, text), files=False)).number == number


def test_what_is_counted_while_it_drains_is_counted(run: Run, metrics: Metrics) -> None:
    found = run("busy")
    found.wait_ready()
    found.stop()
    assert b'pacs_gateway_received_bytes_total{project="chest"} 2000.0' in metrics.exposition()


def test_a_process_that_cannot_be_started_now_is_started_later(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run("willing")
    found.wait_ready()
    (child,) = found._children
    child.process.kill()
    until(lambda: child.process.poll() is not None)
    started, refusals = subprocess.Popen, []

    def refused(*_: object, **__: object) -> None:
        refusals.append(1)
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(subprocess, "Popen", refused)

    def replaced(fact: Callable[[], bool]) -> bool:
        found.replace_dead()
        return fact()

    until(lambda: replaced(lambda: len(refusals) == 2))
    assert len(os.listdir("/proc/self/fd")) <= before
    monkeypatch.setattr(subprocess, "Popen", started)
    until(lambda: replaced(found.ready))

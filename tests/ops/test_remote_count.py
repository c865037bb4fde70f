"""Counting in the receive processes: whole lines, never waiting, losses counted."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ops.declared import PREFIX, UnknownMetric
from gateway.ops.metrics import PIPE_BUF, Metrics, RemoteCount, replay
from tests.ops.test_metrics import samples

IN = PREFIX + 'associations{direction="in"}'
LOST = PREFIX + "counts_lost_total"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def lines(read_end: int) -> list[bytes]:
    os.set_blocking(read_end, False)
    raw = b""
    while True:
        try:
            raw += os.read(read_end, 1 << 20)
        except BlockingIOError:
            return raw.splitlines()


def test_what_is_counted_there_is_shown_here(pipe: tuple[int, int]) -> None:
    remote, metrics = RemoteCount(pipe[1]), Metrics()
    remote.add("instances_received_total", project="chest", result="kept")
    remote.add("received_bytes_total", 524_288.0, project="chest")
    remote.observe("store_seconds", 0.02)
    remote.set("associations", 3, direction="in")
    remote.add("associations", -1, direction="in")
    assert [replay(line, metrics) for line in lines(pipe[0])] == [True] * 5
    shown = samples(metrics)
    assert shown[PREFIX + 'instances_received_total{project="chest",result="kept"}'] == 1
    assert shown[PREFIX + 'received_bytes_total{project="chest"}'] == 524_288
    assert shown[PREFIX + "store_seconds_count"] == 1
    assert shown[IN] == 2


def test_gauges_of_several_processes_add_up_and_die_with_them() -> None:
    metrics = Metrics()
    for source, number in (("receive-1", 3), ("receive-2", 4), ("receive-1", 2)):
        assert replay(f'["set","associations",{number},{{"direction":"in"}}]', metrics, source=source)
    assert samples(metrics)[IN] == 6
    metrics.forget("receive-1")
    assert samples(metrics)[IN] == 4
    metrics.forget("receive-1")
    metrics.forget("receive-2")
    assert samples(metrics)[IN] == 0


@pytest.mark.parametrize("verb", ["add", "set", "observe"])
def test_mistakes_are_raised_in_the_process_that_makes_them(pipe: tuple[int, int], verb: str) -> None:
    with pytest.raises(UnknownMetric):
        getattr(RemoteCount(pipe[1]), verb)("no_such_metric", 1.0)
    assert lines(pipe[0]) == []


def test_a_full_pipe_loses_and_counts_but_never_waits(pipe: tuple[int, int]) -> None:
    remote, metrics = RemoteCount(pipe[1]), Metrics()
    for _ in range(20_000):  # far more than a pipe holds
        remote.observe("deidentify_seconds", 0.001)
    first = lines(pipe[0])
    assert 0 < len(first) < 20_000
    remote.observe("deidentify_seconds", 0.001)
    for line in [*first, *lines(pipe[0])]:
        assert replay(line, metrics)
    shown = samples(metrics)
    assert shown[PREFIX + "deidentify_seconds_count"] + shown[LOST] == 20_001


def test_a_broken_pipe_is_no_trouble(pipe: tuple[int, int]) -> None:
    remote = RemoteCount(pipe[1])
    os.close(pipe[0])
    remote.add("leaks_blocked_total", project="chest")


def test_lines_of_many_threads_are_never_torn(pipe: tuple[int, int]) -> None:
    seen: list[bytes] = []

    def read() -> None:
        with os.fdopen(os.dup(pipe[0]), "rb") as opened:
            seen.extend(opened.read().splitlines())

    reader = threading.Thread(target=read)
    reader.start()
    project = "p" * 3000
    remotes = [RemoteCount(pipe[1]) for _ in range(4)]

    def count(remote: RemoteCount) -> None:
        for _ in range(200):
            remote.add("leaks_blocked_total", project=project)

    writers = [threading.Thread(target=count, args=(r,)) for r in remotes]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    os.close(pipe[1])
    reader.join(10)
    metrics = Metrics()
    assert seen
    assert all(replay(line, metrics) for line in seen)


def test_a_line_longer_than_a_pipe_takes_whole_is_lost(pipe: tuple[int, int]) -> None:
    remote = RemoteCount(pipe[1])
    remote.add("leaks_blocked_total", project="p" * PIPE_BUF)
    remote.add("leaks_blocked_total", project="chest")
    assert lines(pipe[0]) == [
        b'["add","leaks_blocked_total",1,{"project":"chest"}]',
        b'["add","counts_lost_total",1,{}]',
    ]


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"7", b'["add","find_total",1]', b'["add","nope",1,{}]', b'["observe","store_seconds","x",{}]',
     b'["add","leaks_blocked_total",-1,{"project":"x"}]', b'["add","find_total",1,[]]', b"\xff\xfe"],
)  # fmt: skip
def test_a_line_that_is_not_ours_is_counted_as_lost(line: bytes) -> None:
    metrics = Metrics()
    assert not replay(line, metrics)
    assert samples(metrics)[LOST] == 1


def test_a_file_will_do_too(tmp_path: Path) -> None:
    with (tmp_path / "lines").open("wb") as opened:
        RemoteCount(opened).add("leaks_blocked_total", project="chest")
    assert replay((tmp_path / "lines").read_bytes(), Metrics())

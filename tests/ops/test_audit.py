"""The audit trail: what a person with an editor does to it is found, what a crash does is not held against it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import Retry
from gateway.ops.audit import Fault, Head, Trail
from tests.deliver.clean import forked

KEY = bytes(range(32))
LINES = 6


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Once: each line is synced."""
    made = Trail(tmp_path_factory.mktemp("trail") / "audit.jsonl", KEY)
    for n in range(LINES):
        made.append("reidentified", at=1000.0 + n, user="root", project="chest", pseudonym=f"CHEST-{n}")
    return made.path


@pytest.fixture
def trail(tmp_path: Path, written: Path) -> Trail:
    return Trail(Path(shutil.copy(written, tmp_path)), KEY)


def head(trail: Trail) -> Head:
    *_, last = trail.lines()
    return Head(last["seq"], last["mac"])


def test_what_is_written_is_there_and_well(trail: Trail) -> None:
    assert trail.verify(head(trail)) == (LINES, [])
    assert [line["pseudonym"] for line in trail.lines(after=4)] == ["CHEST-4", "CHEST-5"]
    assert trail.path.stat().st_mode & 0o777 == 0o640
    first = next(iter(trail.lines()))
    assert (first["seq"], first["at"], first["event"], first["prev"]) == (
        1,
        "1970-01-01T00:16:40.000Z",
        "reidentified",
        "",
    )


def edited(trail: Trail, edit: Callable[[list[str]], list[str]]) -> list[Fault]:
    """What is found after the lines were changed so; the head was kept elsewhere."""
    last = head(trail)
    lines = trail.path.read_text().splitlines()
    trail.path.write_text("".join(f"{line}\n" for line in edit(lines)))
    return trail.verify(last)[1]


@pytest.mark.parametrize("n", range(LINES))
def test_a_changed_line_is_found(trail: Trail, n: int) -> None:
    faults = edited(trail, lambda ls: [*ls[:n], ls[n].replace("CHEST-", "CHESS-"), *ls[n + 1 :]])
    assert [(f.line, f.why) for f in faults] == [(n + 1, "changed")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"user":"root"', '"user":"anna","user":"root"'),
        ('"chest"', '"chest","\\u0075ser":"anna","user":"root"'),
        ('"user":', '"user": '),
    ],
)
def test_a_line_with_a_name_twice_is_found(trail: Trail, old: str, new: str) -> None:
    """Who reads it sees the first one, and it is somebody else."""
    faults = edited(trail, lambda ls: [ls[0], ls[1].replace(old, new, 1), *ls[2:]])
    assert [(f.line, f.why) for f in faults] == [(2, "changed")]


@pytest.mark.parametrize("n", range(LINES))
def test_a_removed_line_is_found(trail: Trail, n: int) -> None:
    faults = edited(trail, lambda ls: [*ls[:n], *ls[n + 1 :]])
    assert [f.why for f in faults] == (["cut-off"] if n == LINES - 1 else ["missing"])
    assert str(n + 1) in faults[0].detail


@pytest.mark.parametrize("n", range(LINES - 1))
def test_lines_in_another_order_are_found(trail: Trail, n: int) -> None:
    faults = edited(trail, lambda ls: [*ls[:n], ls[n + 1], ls[n], *ls[n + 2 :]])
    assert {"missing", "reordered"} <= {f.why for f in faults}


def test_a_line_written_twice_is_found(trail: Trail) -> None:
    assert [f.why for f in edited(trail, lambda ls: [*ls[:3], *ls[2:]])] == ["reordered"]


def test_a_line_that_is_made_unreadable_is_missed(trail: Trail) -> None:
    assert [f.why for f in edited(trail, lambda ls: [*ls[:2], "#", *ls[3:]])] == ["missing"]
    assert edited(trail, lambda ls: [*ls[:-1], "#"])[-1].why == "cut-off"


def test_an_emptied_trail_is_found(trail: Trail) -> None:
    assert edited(trail, lambda ls: []) == [Fault(0, "cut-off", f"lines 1 to {LINES}")]


def test_without_the_key_no_line_can_be_made(trail: Trail) -> None:
    """Somebody writes the whole of it anew, chain and all, under another key."""
    last, told = head(trail), [dict(line) for line in trail.lines()]
    trail.path.unlink()
    forged = Trail(trail.path, bytes(32))
    for n, line in enumerate(told):
        forged.append(line["event"], at=1000.0 + n, user="nobody", project="chest", pseudonym=line["pseudonym"])
    assert {f.why for f in trail.verify(last)[1]} == {"changed"} and len(trail.verify(last)[1]) == LINES + 1


def test_a_hash_made_up_for_a_changed_line_does_not_help(trail: Trail) -> None:
    def redo(lines: list[str]) -> list[str]:
        line = json.loads(lines[2])
        line["user"], line["mac"] = "nobody", "0" * 32
        return [*lines[:2], json.dumps(line, separators=(",", ":")), *lines[3:]]

    assert [(f.line, f.why) for f in edited(trail, redo)] == [(3, "changed"), (4, "changed")]


def test_half_a_line_of_a_crash_is_passed_over_and_the_chain_goes_on(trail: Trail) -> None:
    whole = trail.path.read_bytes()
    trail.path.write_bytes(whole + whole.splitlines()[0][:70])
    trail.append("withdrawn", at=2000.0, project="chest", withdrawal="W-1")
    assert trail.verify(head(trail)) == (LINES + 1, [])
    assert [line["seq"] for line in trail.lines()] == list(range(1, LINES + 2))


def test_many_processes_write_whole_lines_in_one_chain(trail: Trail) -> None:
    def write() -> None:
        for n in range(5):
            trail.append("removed", at=3000.0, project="chest", files=n)

    for child in [forked(write) for _ in range(4)]:
        assert os.waitpid(child, 0)[1] == 0
    assert trail.verify(head(trail)) == (LINES + 20, [])


def test_no_field_that_nobody_thought_of(trail: Trail) -> None:
    with pytest.raises(ValueError, match="name"):
        trail.append("reidentified", at=1.0, name="somebody")
    assert trail.verify(head(trail)) == (LINES, [])


def test_a_trail_that_cannot_be_written_stops_what_it_is_about(tmp_path: Path) -> None:
    with pytest.raises(Retry, match=r"audit\.unwritable"):
        Trail(tmp_path / "missing" / "audit.jsonl", KEY).append("reidentified", at=1.0)


def test_no_trail_yet_is_well_unless_somebody_knows_better(tmp_path: Path) -> None:
    none = Trail(tmp_path / "audit.jsonl", KEY)
    assert none.verify() == (0, []) and none.verify(Head()) == (0, [])
    assert [f.why for f in none.verify(Head(2, "00"))[1]] == ["cut-off"]


def test_another_last_line_than_is_known_is_found_for_good(trail: Trail) -> None:
    """A copy of the trail, written on by itself, is put in the place of the right one: one line of the same number."""
    before = trail.path.read_bytes()
    right = trail.append("reidentified", at=2000.0, user="root")
    trail.path.write_bytes(before)
    trail.append("reidentified", at=2001.0, user="nobody")
    last = trail.append("reidentified", at=2002.0, after=right, user="root")
    assert [(f.line, f.why) for f in trail.verify(last)[1]] == [(LINES + 2, "changed")]


def test_a_line_that_is_nothing_but_brackets_is_passed_over(trail: Trail) -> None:
    assert edited(trail, lambda ls: [*ls, "[" * 100_000]) == []

"""Whatever goes wrong at once: in the end a site has what a quiet one has (`compositions`). COMPOSITIONS=100 for a hundred."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from gateway.run import deciding
from gateway.run.deciding import Decision
from gateway.state.balance import Balance
from gateway.state.db import asked, progress, request, series, withdrawal
from tests.flow.compositions import Site
from tests.flow.strange_pacs import Exam, exams
from tests.support.leaks import files_below, leaks
from tests.support.world import archive_files, pixel_digest

pytestmark = pytest.mark.timeout(300)
SEEDS: Final = range(int(os.environ.get("COMPOSITIONS", "2")))
EXAMS, EVENTS = 7, 500
ENDS: Final = {"excluded": "done", "empty": "empty", "wrong": "held"}
"""Of what is not delivered. Whose header differs waits for a person, or is as a person said."""


@dataclass(frozen=True)
class End:
    """What a site has come to. `rows`: by table."""

    site: Site
    rows: Mapping[str, Sequence[dict[str, Any]]]
    balance: Balance


def quiet_site(folder: Path, wanted: Sequence[Exam]) -> dict[str, str]:
    """What the archive holds in the end, when nothing goes wrong and what is held is released."""
    site = Site(folder, wanted, 0, quiet=True)
    with site.open():
        site.settle()
        for one in site.rows(series):
            if one["state"] == "held":
                deciding.decide(site.life.state, [one["key"]], Decision("release", "somebody", ""))
        site.settle()
    assert site.wrong == []
    return archive_files(folder)


def lived(folder: Path, wanted: Sequence[Exam], seed: int) -> End:
    site = Site(folder, wanted, seed)
    with site.open():
        site.chaos(EVENTS)
        site.peace()
        rows = {table.name: site.rows(table) for table in (request, series, asked, progress, withdrawal)}
        return End(site, rows, site.life.state.views.balances()[0])


def wrong(end: End, whole: Mapping[str, str], pixels: Mapping[str, Exam]) -> Iterator[str]:
    site = end.site
    yield from site.wrong
    archive = archive_files(site.folder)
    for path, _ in archive.items() - whole.items():
        yield f"the archive holds what a quiet one does not: {path}, {'other bytes' if path in whole else 'another file'}"
    if not end.balance.adds_up or end.balance.asked != len(site.exams):
        yield f"the balance does not add up: {end.balance}"
    by_id = {one["id"]: one for one in end.rows["series"]}
    for one in end.rows["request"]:
        exam = site.keys[one["key"]]
        mine = [path for path in whole if pixels[path] is exam]
        there = [path for path in mine if path in archive]
        states = {by_id[a["series_id"]]["state"] for a in end.rows["asked"] if a["request_id"] == one["id"]}
        if not fits(exam, one["state"], states, (len(there), len(mine)), withdrawn=exam.patient in site.withdrawn):
            yield f"{one['key']} {exam.kind}: {one['state']} ({one['reason']}), {states}, {len(there)} of {len(mine)} files"
    yield from left_behind(end)


def fits(exam: Exam, state: str, states: set[str], files: tuple[int, int], *, withdrawn: bool) -> bool:
    there, whole = files
    if exam.kind == "differs":  # what is released in a header's name is the patient's whom that names
        return states <= {"held", "confirmed", "excluded", "withdrawn"}
    if exam.kind == "wrong" and states == {"held"}:  # the PACS told no patient, the headers did
        return there == 0
    if withdrawn:
        return there == 0 and states <= {"withdrawn", "excluded"}
    return there == whole and state in (ENDS.get(exam.kind, "done"), "cancelled" if there else "")


def left_behind(end: End) -> Iterator[str]:
    held = {one["key"] for one in end.rows["series"] if one["state"] == "held"}
    for place in ("outbox", "held"):
        folders = {one.name for one in (end.site.folder / "state" / place).iterdir() if not one.name.startswith(".")}
        if folders - held:
            yield f"{len(folders - held)} series are left in {place}"
    if any(one["claimed_by"] for one in [*end.rows["request"], *end.rows["series"]]) or end.rows["progress"]:
        yield "somebody still works on something"
    if any(one["done"] is None for one in end.rows["withdrawal"]):
        yield "a withdrawal is not done"
    if list((end.site.folder / "archive").rglob(".*")):
        yield "half a file is left in the archive"


@pytest.mark.catalogue("A9", "F4", "F5", "F15", "M3", "M5", "M7", "M8", "S5", "S7", "O4", "O5")
@pytest.mark.parametrize("seed", SEEDS)
def test_in_the_end_it_is_as_if_nothing_had_gone_wrong(tmp_path: Path, seed: int) -> None:
    wanted = exams(tmp_path / "hospital", EXAMS, random.Random(seed))
    with structlog.testing.capture_logs() as logs:
        whole = quiet_site(tmp_path / "quiet", wanted)
        end = lived(tmp_path / "run", wanted, seed)
    assert len(whole) == sum(len(study.files) for e in wanted if e.kind not in ENDS for study in e.studies)
    digests = {pixel_digest(file): e for e in wanted for study in e.studies for file in study.files}
    pixels = {path: digests[pixel_digest(tmp_path / "quiet" / "archive" / path)] for path in whole}
    assert list(wrong(end, whole, pixels)) == [], end.site.trace
    names = {value for e in wanted for study in e.studies for value in study.identifiers}
    names |= {value for e in wanted for value in (e.accession, e.patient, *e.patients)}
    places: list[tuple[str, Any]] = [("log", repr(logs).encode()), *files_below(tmp_path / "run" / "state")]
    assert leaks({name for name in names if len(name) > 5}, places) == []

"""A PACS that matches as a PACS should, and requests as a RIS writes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from gateway.cfind.evidence import NOBODY_MERGED
from gateway.cfind.findscu import Finder
from gateway.cfind.plan import FindProject, FindStep
from gateway.cfind.select import CompiledSelect
from gateway.model import AccessionNumber, Wanted
from gateway.ops.health import Board
from gateway.settings import Pacs
from tests.dicom.serving import Counts
from tests.state.conftest import PROJECT, Opened
from tests.support import scripted_pacs as script
from tests.support.peers import PacsPeer
from tests.support.scripted_pacs import ScriptedPacs, row

DAY = "20240503"


def study(uid: str, accession: str, patient: str, day: str = DAY, *, modality: str = "CT") -> Dataset:
    return row(
        StudyInstanceUID=uid, AccessionNumber=accession, PatientID=patient, StudyDate=day, StudyTime="101500",
        ModalitiesInStudy=modality,
    )  # fmt: skip


def strictly(answers: script.Script) -> script.Script:
    """Patient Root as PS3.4 C.4.1.2.1 has it: no answer without the unique key of the level above."""

    def find(reply: script.Reply) -> None:
        if str(reply.keys.get("PatientID") or ""):
            answers(reply)
        else:
            reply.send(0xA900)

    return find


def archive(*studies: Dataset) -> script.Script:
    """Each study has one series of three instances."""

    def find(reply: script.Reply) -> None:
        for answer in _answers(reply, studies):
            reply.send(0xFF00, answer)
        reply.send(0x0000)

    return find


def _answers(reply: script.Reply, studies: Sequence[Dataset]) -> list[Dataset]:
    if reply.level == "STUDY":
        return [one for one in studies if matches(one, reply.keys)]
    parent = str(reply.keys.StudyInstanceUID)
    known = [one for one in studies if one.StudyInstanceUID == parent]
    return [
        row(SeriesInstanceUID=f"{parent}.1", Modality=s.ModalitiesInStudy, NumberOfSeriesRelatedInstances=3)
        for s in known
    ]


def matches(one: Dataset, keys: Dataset) -> bool:
    """PS3.4 C.2.2.2: universal, single value, range of dates."""
    for keyword in ("AccessionNumber", "PatientID", "StudyInstanceUID"):
        wanted = str(keys.get(keyword) or "")
        if wanted and wanted != str(one.get(keyword, "")):
            return False
    first, _, last = str(keys.get("StudyDate") or "").partition("-")
    day = str(one.get("StudyDate") or "")
    return not first or (bool(day) and first <= day <= (last or first))


def ask(state: Opened, accession: str, patient: str = "", day: str = "", modality: str = "") -> None:
    wanted = Wanted(PROJECT, AccessionNumber(accession), patient, day, modality)
    state.store.add_requests([wanted], (), project=PROJECT, cursor=None, now=100.0)


@dataclass(frozen=True)
class Clocked:
    """A step, at the time that it is asked."""

    step: Callable[[float], bool]


def searching(
    state: Opened,
    *peers: PacsPeer | ScriptedPacs,
    by_day: bool = False,
    recheck: Sequence[float] = (60.0, 600.0),
    aliases: Mapping[str, str] = NOBODY_MERGED,
    **more: Any,
) -> Clocked:
    """A find step over real connections; PACS are called main, second ... `more`: of their settings."""
    names = ("main", "second")[: len(peers)]
    told = [
        Pacs(name=n, ae_title=p.ae_title, host=p.host, port=p.port, **more) for n, p in zip(names, peers, strict=True)
    ]
    finders = {pacs.name: Finder(pacs, "RESEARCH", Counts()) for pacs in told}
    project = FindProject(PROJECT, tuple(names), CompiledSelect(), tuple(recheck), by_day=by_day, aliases=aliases)
    now = [1000.0]

    def step(at: float) -> bool:
        now[0] = at
        return looks.step()

    looks = FindStep(store=state.store, finders=finders, projects=[project], board=Board(), clock=lambda: now[0])
    return Clocked(step)

"""C-MOVE by Scu: what it may ask, what keeps it alive, how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from pydicom.dataset import Dataset

from gateway.dicom.association import Scu
from gateway.dicom.identifier import identifier
from gateway.dicom.moving import MoveWatch
from gateway.errors import Refused, Retry
from tests.dicom.asking import AN, KEYS, QUESTION, QUICK, SERIES, STUDY, failing
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import ScriptedPacs, row


def watch(
    *, progress: Callable[[], float] = lambda: 0.0, silence: float = 0.6, total: float = 5.0, stop: threading.Event | None = None
) -> MoveWatch:  # fmt: skip
    return MoveWatch(progress, silence, total, (stop or threading.Event()).is_set)


@pytest.mark.catalogue("A10")
def test_a10_service_not_offered() -> None:
    pacs = ScriptedPacs()
    pacs.ae.remove_supported_context("1.2.840.10008.5.1.4.1.2.2.2")
    with pacs, Scu(pacs, "RESEARCH") as scu:
        with failing(Retry, "pacs.context-refused"):
            scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch())
        assert scu.find(QUESTION, row_cap=1) == []


@pytest.mark.catalogue("M7", "M5")
def test_m7_counters_and_lists_decide_nothing() -> None:
    listed = row(FailedSOPInstanceUIDList=["1.2.9"])
    answer = script.finals(0xB000, listed, NumberOfCompletedSuboperations=3, NumberOfFailedSuboperations=1)
    with ScriptedPacs(move=answer) as pacs, Scu(pacs, "RESEARCH") as scu:
        assert scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch()) == 0xB000


@pytest.mark.catalogue("M9")
def test_m9_silence_ends_a_move() -> None:
    with ScriptedPacs(move=script.silent) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        with failing(Retry, "move.stalled"):
            scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch(silence=0.5))
        assert not scu.is_open


@pytest.mark.catalogue("M9")
def test_m9_arriving_instances_are_a_sign_of_life() -> None:
    start = time.monotonic()

    def slow(reply: script.Reply) -> None:
        reply.wait(1.2)
        reply.send(0x0000)

    with ScriptedPacs(move=slow) as pacs, Scu(pacs, "RESEARCH") as scu:
        grown = watch(silence=0.4, progress=lambda: time.monotonic() - start)
        assert scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=grown) == 0


@pytest.mark.catalogue("M9", "B6")
def test_pending_for_ever_ends_a_move_at_its_total_deadline() -> None:
    with (
        ScriptedPacs(move=script.pending_for_ever()) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
        failing(Retry, "move.too-long"),
    ):
        scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch(total=0.8))


@pytest.mark.catalogue("M11")
def test_m11_stop_cancels_and_the_answer_is_awaited() -> None:
    stop = threading.Event()
    with ScriptedPacs(move=script.until_cancelled()) as pacs, Scu(pacs, "RESEARCH") as scu:
        threading.Timer(0.3, stop.set).start()
        assert scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch(stop=stop)) == 0xFE00
        assert scu.is_open


@pytest.mark.catalogue("M11")
def test_m11_cancel_that_is_not_heard_ends_in_an_abort() -> None:
    stop = threading.Event()
    stop.set()
    with (
        ScriptedPacs(move=script.silent) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
        failing(Retry, "move.stopped"),
    ):
        scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch(stop=stop, silence=60))


@pytest.mark.catalogue("A9", "M6")
@pytest.mark.parametrize("breaks", [script.aborts, script.hangs_up])
def test_a9_a_move_that_breaks_is_the_peers_failure(breaks: script.Script) -> None:
    with (
        ScriptedPacs(move=breaks) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
        failing(Retry, "pacs.aborted"),
    ):
        scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch())


def unsafe() -> Iterator[Dataset]:
    yield Dataset()
    yield identifier("SERIES", {"StudyInstanceUID": STUDY})
    yield identifier("SERIES", {"SeriesInstanceUID": SERIES})
    yield identifier("STUDY", KEYS)
    yield identifier("STUDY", {"AccessionNumber": AN})
    yield identifier("IMAGE", KEYS)
    yield identifier("IMAGE", {"SOPInstanceUID": "1.2.3"})
    yield identifier("SERIES", {**KEYS, "SOPInstanceUID": "1.2.3"})
    yield identifier("IMAGE", {**KEYS, "SOPInstanceUID": "1.2.3\\1.2.4"})
    yield identifier("SERIES", {**KEYS, "AccessionNumber": AN})
    for bad in ("", " ", "*", "1.2.*", "1.2?", f"{STUDY}\\1.2.4", "1.2\n.3", "1 2", "1" * 200):
        yield identifier("SERIES", {**KEYS, "StudyInstanceUID": bad})
        yield identifier("SERIES", {**KEYS, "SeriesInstanceUID": bad})


@pytest.mark.catalogue("M12", "M13")
@pytest.mark.parametrize("keys", list(unsafe()))
def test_m12_a_move_names_one_study_and_one_series_or_is_not_sent(keys: Dataset) -> None:
    with failing(Refused, "move.unsafe-keys"):
        Scu(ScriptedPacs(), "RESEARCH").move(keys, "RESEARCH", watch=watch())

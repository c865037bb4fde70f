"""Scu against a PACS that misbehaves: every wait ends, every failure has its class, nothing is left behind."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset

from gateway.dicom.association import Deadlines, Scu
from gateway.dicom.identifier import identifier, text
from gateway.dicom.listing import list_images
from gateway.dicom.moving import MoveWatch
from gateway.errors import GatewayError, Refused, Retry
from tests.dicom.serving import Counts
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import ScriptedPacs, row

AN, STUDY, SERIES = "SYN-SECRET-ACC", "1.2.826.77.1", "1.2.826.77.2"
QUICK = Deadlines(connect=1.0, negotiate=1.0, answer=0.5, question=1.0, release=0.5, cancel=0.4, pdu=0.5)
QUESTION = identifier("STUDY", {"AccessionNumber": AN}, frozenset({"StudyInstanceUID"}))
KEYS = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES}
A_ROW = row(StudyInstanceUID=STUDY, AccessionNumber=AN)


def watch(
    *, progress: Callable[[], float] = lambda: 0.0, silence: float = 0.6, total: float = 5.0, stop: threading.Event | None = None
) -> MoveWatch:  # fmt: skip
    return MoveWatch(progress, silence, total, stop or threading.Event())


@contextmanager
def failing(kind: type[GatewayError], reason: str, *, within: float = 3.0) -> Iterator[None]:
    """That error, in time, without an identifier anywhere in it, and no thread of an association left."""
    start = time.monotonic()
    with pytest.raises(kind) as caught:
        yield
    assert time.monotonic() - start < within
    assert caught.value.reason == reason
    assert caught.value.__cause__ is None
    said = f"{caught.value!s} {caught.value!r} {caught.value.detail} {caught.value.args}"
    assert not any(secret in said for secret in (AN, STUDY, SERIES))


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 3.0
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.02)
    assert not set(threading.enumerate()) - before


def test_rows_of_a_complete_answer() -> None:
    counts = Counts()
    with ScriptedPacs(find=script.rows(A_ROW, A_ROW)) as pacs, Scu(pacs, "RESEARCH", count=counts) as scu:
        found = scu.find(QUESTION, row_cap=5)
        assert [text(r, "StudyInstanceUID") for r in found] == [STUDY, STUDY]
        assert counts.added["associations", "out"] == 1
        scu.echo()
    assert counts.added["associations", "out"] == 0
    assert pacs.associations == 1


@pytest.mark.parametrize("final", [0x0001, 0xB001, 0x1234, 0xFE00, 0xC001])
def test_f6_f15_any_final_but_success_is_no_answer(final: int) -> None:
    with ScriptedPacs(find=script.rows(A_ROW, final=final)) as pacs, Scu(pacs, "RESEARCH") as scu:
        with pytest.raises(Retry) as caught:
            scu.find(QUESTION, row_cap=5)
        assert caught.value.charge
        assert scu.is_open, "the PACS did answer: the association is fit for the next question"


def test_f14_pending_for_ever_ends_at_the_total_deadline() -> None:
    with (
        ScriptedPacs(find=script.pending_for_ever(answer=A_ROW)) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
    ):
        with failing(Retry, "find.timeout"):
            scu.find(QUESTION, row_cap=1000)
        assert not scu.is_open


def test_a5_silence_ends_at_the_answer_deadline() -> None:
    with (
        ScriptedPacs(find=script.silent) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
        failing(Retry, "find.timeout", within=1.5),
    ):
        scu.find(QUESTION, row_cap=5)


def test_f7_row_cap_aborts() -> None:
    with ScriptedPacs(find=script.rows(*[A_ROW] * 30)) as pacs, Scu(pacs, "RESEARCH") as scu:
        with failing(Retry, "find.too-many"):
            scu.find(QUESTION, row_cap=20)
        assert not scu.is_open


def test_f16_rows_of_an_abandoned_question_never_reach_the_next() -> None:
    stale, fresh = row(StudyInstanceUID="1.9"), row(StudyInstanceUID=STUDY)
    scripts = script.in_turn(script.rows(*[stale] * 30), script.rows(fresh))
    with ScriptedPacs(find=scripts) as pacs, Scu(pacs, "RESEARCH") as scu:
        with failing(Retry, "find.too-many"):
            scu.find(QUESTION, row_cap=3)
        assert [text(r, "StudyInstanceUID") for r in scu.find(QUESTION, row_cap=3)] == [STUDY]


@pytest.mark.parametrize("breaks", [script.aborts, script.hangs_up])
def test_a9_a_link_that_breaks_in_the_middle_is_the_peers_failure(breaks: script.Script) -> None:
    with (
        ScriptedPacs(find=breaks) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
        failing(Retry, "pacs.aborted"),
    ):
        scu.find(QUESTION, row_cap=5)


def test_a6_a_link_found_dead_is_opened_again_once() -> None:
    scripts = script.in_turn(script.rows(A_ROW), script.hangs_up, script.rows(A_ROW))
    with ScriptedPacs(find=scripts) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        assert len(scu.find(QUESTION, row_cap=5)) == 1
        assert len(scu.find(QUESTION, row_cap=5)) == 1
        assert pacs.associations == 2


def test_a_row_without_data_set_is_an_empty_row() -> None:
    def odd(reply: script.Reply) -> None:
        reply.send(0xFF00)
        reply.send(0xFF01, A_ROW)
        reply.send(0x0000)

    with ScriptedPacs(find=odd) as pacs, Scu(pacs, "RESEARCH") as scu:
        rows = scu.find(QUESTION, row_cap=5)
    assert [text(r, "StudyInstanceUID") for r in rows][-1] == STUDY
    assert {text(r, "StudyInstanceUID") for r in rows} == {"", STUDY}


def test_a4_closed_port_and_unknown_host() -> None:
    pacs = ScriptedPacs()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        pacs.port = taken.getsockname()[1]
        with failing(Retry, "pacs.unreachable"):
            Scu(pacs, "RESEARCH", deadlines=QUICK).echo()
    pacs.host = "no-such-host.invalid"
    with failing(Retry, "pacs.unreachable", within=15.0):
        Scu(pacs, "RESEARCH", deadlines=QUICK).echo()


def test_a5_connected_but_no_answer_to_the_association_request() -> None:
    pacs = ScriptedPacs()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        pacs.port = mute.getsockname()[1]
        with failing(Retry, "pacs.no-answer"):
            Scu(pacs, "RESEARCH", deadlines=QUICK).echo()


def test_a1_permanent_rejection_waits_longer() -> None:
    with ScriptedPacs() as pacs:
        pacs.ae.require_called_aet = True
        pacs.ae_title = "ANOTHER"
        with pytest.raises(Retry) as caught:
            Scu(pacs, "RESEARCH").echo()
    assert caught.value.reason == "pacs.rejected"
    assert not caught.value.charge
    assert (caught.value.after or 0) >= 60


def test_a2_transient_rejection_is_the_peers() -> None:
    with ScriptedPacs(find=script.rows()) as pacs:
        pacs.ae.maximum_associations = 1
        with Scu(pacs, "RESEARCH") as first, failing(Retry, "pacs.busy"):
            first.echo()
            Scu(pacs, "RESEARCH").echo()


def test_a10_service_not_offered() -> None:
    pacs = ScriptedPacs()
    pacs.ae.remove_supported_context("1.2.840.10008.5.1.4.1.2.2.2")
    with pacs, Scu(pacs, "RESEARCH") as scu:
        with failing(Retry, "pacs.context-refused"):
            scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch())
        assert scu.find(QUESTION, row_cap=1) == []


def test_release_is_not_waited_for_long() -> None:
    """The peer answers the question and never the release."""

    def stuck(reply: script.Reply) -> None:
        reply.send(0x0000)
        reply.wait(2.0)

    with ScriptedPacs(find=stuck) as pacs:
        with Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
            assert scu.find(QUESTION, row_cap=5) == []
            start = time.monotonic()
        assert time.monotonic() - start < 1.5


# ---- C-MOVE


def test_m7_counters_are_reported_and_decide_nothing() -> None:
    listed = row(FailedSOPInstanceUIDList=["1.2.9"])
    answer = script.finals(0xB000, listed, NumberOfCompletedSuboperations=3, NumberOfFailedSuboperations=1)
    with ScriptedPacs(move=answer) as pacs, Scu(pacs, "RESEARCH") as scu:
        moved = scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch())
    assert (moved.status, moved.completed, moved.failed, moved.warning) == (0xB000, 3, 1, None)
    assert moved.failed_instances == ("1.2.9",), "M5: one UID is a list of one"
    assert "1.2.9" not in repr(moved)


def test_m9_silence_ends_a_move() -> None:
    with ScriptedPacs(move=script.silent) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        with failing(Retry, "move.stalled"):
            scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch(silence=0.5))
        assert not scu.is_open


def test_m9_arriving_instances_are_a_sign_of_life() -> None:
    start = time.monotonic()

    def slow(reply: script.Reply) -> None:
        reply.wait(1.2)
        reply.send(0x0000)

    with ScriptedPacs(move=slow) as pacs, Scu(pacs, "RESEARCH") as scu:
        grown = watch(silence=0.4, progress=lambda: time.monotonic() - start)
        assert scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=grown).status == 0


def test_pending_for_ever_ends_a_move_at_its_total_deadline() -> None:
    with (
        ScriptedPacs(move=script.pending_for_ever()) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
        failing(Retry, "move.too-long"),
    ):
        scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch(total=0.8))


def test_m11_stop_cancels_and_the_answer_is_awaited() -> None:
    stop = threading.Event()
    with ScriptedPacs(move=script.until_cancelled()) as pacs, Scu(pacs, "RESEARCH") as scu:
        threading.Timer(0.3, stop.set).start()
        assert scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch(stop=stop)).status == 0xFE00
        assert scu.is_open


def test_m11_cancel_that_is_not_heard_ends_in_an_abort() -> None:
    stop = threading.Event()
    stop.set()
    with (
        ScriptedPacs(move=script.silent) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
        failing(Retry, "move.stopped"),
    ):
        scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=watch(stop=stop, silence=60))


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
    yield identifier("SERIES", {**KEYS, "AccessionNumber": AN})
    for bad in ("", " ", "*", "1.2.*", "1.2?", f"{STUDY}\\1.2.4", "1.2\n.3", "1 2", "1" * 200):
        yield identifier("SERIES", {**KEYS, "StudyInstanceUID": bad})
        yield identifier("SERIES", {**KEYS, "SeriesInstanceUID": bad})


@pytest.mark.parametrize("keys", list(unsafe()))
def test_m12_a_move_names_one_study_and_one_series_or_is_not_sent(keys: Dataset) -> None:
    with failing(Refused, "move.unsafe-keys"):
        Scu(ScriptedPacs(), "RESEARCH").move(keys, "RESEARCH", watch=watch())


def test_listing_believes_only_rows_of_its_series() -> None:
    listed = script.rows(
        row(SOPInstanceUID="1.1", **KEYS), row(SOPInstanceUID="1.1"), row(SOPInstanceUID="1.2"), row(**KEYS),
        row(SOPInstanceUID="1.3", SeriesInstanceUID="9.9"), row(SOPInstanceUID="1.4", StudyInstanceUID="9.9"),
    )  # fmt: skip
    with ScriptedPacs(find=listed) as pacs, Scu(pacs, "RESEARCH") as scu:
        assert list_images(scu, STUDY, SERIES) == ["1.1", "1.2"]
        assert [k.QueryRetrieveLevel for k in pacs.questions("IMAGE")] == ["IMAGE"]

"""Scu against a PACS that misbehaves: every wait ends, every failure has its class, nothing is left behind."""

from __future__ import annotations

import gc
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from gateway.dicom.association import VERIFICATION, Scu
from gateway.dicom.identifier import text
from gateway.dicom.listing import list_images
from gateway.dicom.storing import opened
from gateway.errors import Retry
from tests.dicom import wire
from tests.dicom.asking import A_ROW, KEYS, QUESTION, QUICK, SERIES, STUDY, failing
from tests.dicom.serving import Counts
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import ScriptedPacs, row


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


@pytest.mark.catalogue("F6", "F15")
@pytest.mark.parametrize("final", [0x0001, 0xB001, 0x1234, 0xFE00, 0xC001])
def test_f6_f15_any_final_but_success_is_no_answer(final: int) -> None:
    with ScriptedPacs(find=script.rows(A_ROW, final=final)) as pacs, Scu(pacs, "RESEARCH") as scu:
        with pytest.raises(Retry) as caught:
            scu.find(QUESTION, row_cap=5)
        assert caught.value.charge
        assert scu.is_open, "the PACS did answer: the association is fit for the next question"


@pytest.mark.catalogue("F14", "B6", "B11")
def test_f14_pending_for_ever_ends_at_the_total_deadline() -> None:
    with (
        ScriptedPacs(find=script.pending_for_ever(answer=A_ROW)) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
    ):
        with failing(Retry, "find.unfinished"):
            scu.find(QUESTION, row_cap=1000)
        assert not scu.is_open


@pytest.mark.catalogue("A5")
def test_a5_silence_ends_at_the_answer_deadline() -> None:
    with (
        ScriptedPacs(find=script.silent) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
        failing(Retry, "find.timeout", within=1.5),
    ):
        scu.find(QUESTION, row_cap=5)


@pytest.mark.catalogue("F7", "F14")
def test_f7_row_cap_aborts() -> None:
    with ScriptedPacs(find=script.rows(*[A_ROW] * 30)) as pacs, Scu(pacs, "RESEARCH") as scu:
        with failing(Retry, "find.too-many"):
            scu.find(QUESTION, row_cap=20)
        assert not scu.is_open


@pytest.mark.catalogue("F16", "B9")
def test_f16_rows_of_an_abandoned_question_never_reach_the_next() -> None:
    stale, fresh = row(StudyInstanceUID="1.9"), row(StudyInstanceUID=STUDY)
    scripts = script.in_turn(script.rows(*[stale] * 30), script.rows(fresh))
    with ScriptedPacs(find=scripts) as pacs, Scu(pacs, "RESEARCH") as scu:
        with failing(Retry, "find.too-many"):
            scu.find(QUESTION, row_cap=3)
        assert [text(r, "StudyInstanceUID") for r in scu.find(QUESTION, row_cap=3)] == [STUDY]


@pytest.mark.catalogue("A9", "B11", "B3")
@pytest.mark.parametrize("breaks", [script.aborts, script.hangs_up])
def test_a9_a_link_that_breaks_in_the_middle_is_the_peers_failure(breaks: script.Script) -> None:
    with (
        ScriptedPacs(find=breaks) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
        failing(Retry, "pacs.aborted"),
    ):
        scu.find(QUESTION, row_cap=5)


@pytest.mark.catalogue("A6")
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


@pytest.mark.catalogue("A4")
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


@pytest.mark.catalogue("A4", "O1")
def test_a4_one_of_the_two_addresses_of_a_host_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = socket.getaddrinfo

    def resolved(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        hosts = ["127.0.0.9", "127.0.0.1"] if host == "pacs.example" else [host]
        return [found for one in hosts for found in plain(one, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    with ScriptedPacs() as pacs:
        pacs.host = "pacs.example"
        with Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
            scu.echo()


def test_a_name_server_that_is_away_is_told_from_a_name_that_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    pacs = ScriptedPacs()
    pacs.host = "pacs.example"
    with pytest.raises(Retry, match=r"^pacs\.unreachable: no name server answers"):
        Scu(pacs, "RESEARCH", deadlines=QUICK).echo()


@pytest.mark.catalogue("A5")
def test_a5_connected_but_no_answer_to_the_association_request() -> None:
    pacs = ScriptedPacs()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        pacs.port = mute.getsockname()[1]
        with failing(Retry, "pacs.no-answer"):
            Scu(pacs, "RESEARCH", deadlines=QUICK).echo()


def test_a_port_that_speaks_something_else_costs_no_descriptor() -> None:
    """pynetdicom's thread dies of it, and leaves the socket, and our bell, to the garbage collector."""

    def speak(listener: socket.socket) -> None:
        for _ in range(5):
            sock, _address = listener.accept()
            with sock:
                wire.read_pdu(sock)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                sock.recv(1)

    pacs = ScriptedPacs()
    with socket.create_server(("127.0.0.1", 0)) as web:
        pacs.port = web.getsockname()[1]
        speaking = threading.Thread(target=speak, args=(web,), daemon=True)
        speaking.start()
        gc.collect()
        gc.disable()
        try:
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                with failing(Retry, "pacs.no-answer"):
                    Scu(pacs, "RESEARCH", deadlines=QUICK).echo()
            speaking.join(5)
            assert len(os.listdir("/proc/self/fd")) == before
        finally:
            gc.enable()


@pytest.mark.catalogue("A1")
def test_a1_permanent_rejection_waits_longer() -> None:
    with ScriptedPacs() as pacs:
        pacs.ae.require_called_aet = True
        pacs.ae_title = "ANOTHER"
        with pytest.raises(Retry) as caught:
            Scu(pacs, "RESEARCH").echo()
    assert caught.value.reason == "pacs.rejected"
    assert not caught.value.charge
    assert (caught.value.after or 0) >= 60


@pytest.mark.catalogue("A1")
def test_a1_a_rejection_that_comes_before_anybody_looks_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, the connection is shut again before pynetdicom's other thread has looked whether there is one."""
    trigger = evt.trigger

    def late(assoc: Association, event: evt.EventType, attrs: dict[str, Any]) -> Any:
        done = trigger(assoc, event, attrs)
        if event is evt.EVT_REQUESTED and assoc.is_requestor:
            time.sleep(0.5)
        return done

    monkeypatch.setattr(evt, "trigger", late)
    with ScriptedPacs() as pacs:
        pacs.ae.require_called_aet = True
        pacs.ae_title = "ANOTHER"
        with failing(Retry, "pacs.rejected"):
            Scu(pacs, "RESEARCH").echo()
        with failing(Retry, "sink.rejected"):
            opened(pacs, "RESEARCH", [build_context(VERIFICATION)], deadlines=QUICK)


@pytest.mark.catalogue("A2")
def test_a2_transient_rejection_is_the_peers() -> None:
    with ScriptedPacs(find=script.rows()) as pacs:
        pacs.ae.maximum_associations = 1
        with Scu(pacs, "RESEARCH") as first, failing(Retry, "pacs.busy"):
            first.echo()
            Scu(pacs, "RESEARCH").echo()


@pytest.mark.catalogue("B7")
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


def test_listing_believes_only_rows_of_its_series() -> None:
    listed = script.rows(
        row(SOPInstanceUID="1.1", **KEYS), row(SOPInstanceUID="1.1"), row(SOPInstanceUID="1.2"), row(**KEYS),
        row(SOPInstanceUID="1.3", SeriesInstanceUID="9.9"), row(SOPInstanceUID="1.4", StudyInstanceUID="9.9"),
    )  # fmt: skip
    with ScriptedPacs(find=listed) as pacs, Scu(pacs, "RESEARCH") as scu:
        assert list_images(scu, STUDY, SERIES) == ["1.1", "1.2"]
        assert [k.QueryRetrieveLevel for k in pacs.questions("IMAGE")] == ["IMAGE"]

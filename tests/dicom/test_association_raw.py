"""Scu against a PACS on bare sockets: what breaks the protocol ends an operation by abort or deadline, and decides nothing."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from gateway.dicom.association import Deadlines, Scu
from gateway.dicom.identifier import identifier, text
from gateway.dicom.moving import MoveWatch
from gateway.errors import Retry
from tests.dicom import wire
from tests.dicom.asking import A_ROW, KEYS, QUESTION, QUICK, STUDY
from tests.dicom.serving import eventually
from tests.support.raw_pacs import Answer, Asked, RawPacs, first_syntaxes, user_items, word

MOVE = identifier("SERIES", KEYS)
NO_ANSWER = ("pacs.aborted", "find.timeout", "move.stalled")
ODD_SOCKET = "ignore::pytest.PytestUnraisableExceptionWarning"  # and leaves its socket to the garbage collector
ODD_THREAD = "ignore::pytest.PytestUnhandledThreadExceptionWarning"  # pynetdicom's own dies (B10)


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 3.0
    while set(threading.enumerate()) - before and time.monotonic() < until:
        time.sleep(0.02)
    assert not set(threading.enumerate()) - before


def watch(silence: float = 0.6) -> MoveWatch:
    return MoveWatch(lambda: 0.0, silence, 5.0, lambda: False)


def found(pacs: RawPacs) -> list[str]:
    with Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        return [text(row, "StudyInstanceUID") for row in scu.find(QUESTION, row_cap=9)]


def why_no_answer(pacs: RawPacs, *, move: bool) -> str:
    """The reason of the failure, which is uncharged for a C-FIND; neither takes long."""
    start = time.monotonic()
    scu = Scu(pacs, "RESEARCH", deadlines=QUICK)
    ask = partial(scu.move, MOVE, "RESEARCH", watch=watch()) if move else partial(scu.find, QUESTION, row_cap=9)
    with pytest.raises(Retry) as caught:
        ask()
    assert time.monotonic() - start < 4.0
    assert not scu.is_open, "never used again"
    assert caught.value.charge == (caught.value.reason == "move.stalled")
    return caught.value.reason


def test_it_answers_as_any_other() -> None:
    with RawPacs(lambda asked: asked.says(0xFF00, A_ROW) + asked.says(0x0000)) as pacs:
        assert found(pacs) == [STUDY]


@pytest.mark.catalogue("F16")
def test_f16_a_final_answer_that_comes_again_is_none_to_the_next_question() -> None:
    def twice(asked: Asked) -> bytes:
        first = asked.says(0x0000, e0120=word(1)) if asked.command[0x0110] == word(2) else b""
        return first + asked.says(0xFF00, A_ROW) + asked.says(0x0000)

    with RawPacs(twice) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        assert [len(scu.find(QUESTION, row_cap=9)) for _ in range(2)] == [1, 1]
        assert len(pacs.proposals) == 2, "asked again on another association"


@pytest.mark.parametrize("number", [word(1), word(0), None])
def test_a_pacs_that_numbers_its_answers_as_it_likes_is_understood(number: bytes | None) -> None:
    def odd(asked: Asked) -> bytes:
        e0120 = number or word(struct.unpack("<H", asked.command[0x0110])[0] ^ 1)
        return asked.says(0xFF00, A_ROW, e0120=e0120) + asked.says(0x0000, e0120=e0120)

    with RawPacs(odd) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        assert [len(scu.find(QUESTION, row_cap=9)) for _ in range(4)] == [1, 1, 1, 1]


@pytest.mark.catalogue("A10")
def test_a10_the_first_transfer_syntax_of_each_context_is_explicit_little_endian() -> None:
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs:
        assert found(pacs) == []
        assert list(first_syntaxes(pacs.proposals[0]).values()) == [b"1.2.840.10008.1.2.1"] * 3


@pytest.mark.catalogue("A11")
def test_a11_the_asynchronous_window_is_not_negotiated() -> None:
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs:
        assert found(pacs) == []
        assert 0x51 in user_items(pacs.proposals[0])
        assert 0x53 not in user_items(pacs.proposals[0])


@pytest.mark.catalogue("A8", "B2")
@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("cut", [3, 20])
def test_a8_half_a_pdu_and_silence(move: bool, cut: int) -> None:
    with RawPacs(lambda asked: asked.says(0xFF00, A_ROW)[:cut]) as pacs:
        assert why_no_answer(pacs, move=move) in NO_ANSWER


@pytest.mark.catalogue("A7", "B2")
def test_a7_a_link_that_is_half_open_is_noticed_by_the_kernel() -> None:
    deadlines = Deadlines(pdu=7.0)
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs, Scu(pacs, "RESEARCH", deadlines=deadlines) as scu:
        wrapper = scu.open().dul.socket
        assert wrapper is not None and wrapper.socket is not None
        sock = wrapper.socket
        assert sock.gettimeout() == 7.0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        probes = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
        idle, every, times = (sock.getsockopt(socket.IPPROTO_TCP, option) for option in probes)
        assert idle + every * times <= 60, "a vanished peer is noticed in a minute"


@pytest.mark.catalogue("B5", "B8", "O3")
def test_o3_no_association_is_timed_by_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour forward ends idle associations of pynetdicom, an hour back keeps them waiting for an hour."""
    with (
        RawPacs(lambda asked: asked.says(0x0000)) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
    ):
        scu.echo()
        real = time.time
        for step in (3600.0, -3600.0):
            monkeypatch.setattr("pynetdicom.timer.time.time", lambda step=step: real() + step)
            time.sleep(0.05)
            assert scu.find(QUESTION, row_cap=5) == []
        assert len(pacs.proposals) == 1, "the same association all along"


@pytest.mark.catalogue("F15", "B11")
def test_f15_rows_and_no_final() -> None:
    with RawPacs(lambda asked: asked.says(0xFF00, A_ROW)) as pacs:
        assert why_no_answer(pacs, move=False) == "find.timeout"


@pytest.mark.catalogue("F1")
def test_rows_that_are_too_large_all_together_end_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PACS that tells more than it was asked for: pictures, the whole header."""
    monkeypatch.setattr("gateway.dicom.association.MOST_ANSWERED", 1 << 20, raising=False)
    raw = struct.pack("<HH2sxxI", 0x0088, 0x0200, b"UN", 300_000) + bytes(300_000)

    def answer(asked: Asked) -> bytes:
        return (asked.says(0xFF00, e0800=word(1)) + asked.data(raw)) * 5 + asked.says(0x0000)

    with RawPacs(answer) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        with pytest.raises(Retry, match=r"^find\.too-many") as caught:
            scu.find(QUESTION, row_cap=9)
        assert caught.value.charge and not scu.is_open


@pytest.mark.catalogue("F12", "F8")
def test_f12_a_row_that_cannot_be_decoded_spoils_no_other() -> None:
    def answer(asked: Asked) -> bytes:
        broken = asked.says(0xFF00, e0800=word(1)) + asked.data(b"\x20\x00\x0d\x00UI\xff\xff1.2")
        return broken + asked.says(0xFF00, A_ROW) + asked.says(0x0000)

    with RawPacs(answer) as pacs:
        rows = found(pacs)
    assert rows[-1] == STUDY
    assert set(rows) <= {STUDY, "", "1.2"}


ODD: dict[str, Answer] = {
    "no message ID": lambda asked: asked.says(0x0000, e0120=None),
    "a status of no length": lambda asked: asked.says(0x0000, e0900=b""),
    "no status": lambda asked: asked.says(0x0000, e0900=None),
    "a command nobody knows": lambda asked: asked.says(0x0000, e0100=word(0x7777)),
    "a request": lambda asked: asked.says(0x0000, e0100=word(0x0030), e0110=word(9), e0900=None, e0120=None),
    "no PDU at all": lambda asked: struct.pack(">BxI", 9, 4) + b"\0" * 4,
    "a PDU without end": lambda asked: struct.pack(">BxI", 4, 0xFFFFFFF0),
}


@pytest.mark.filterwarnings(ODD_THREAD)
@pytest.mark.catalogue("B3", "B10")
@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("odd", ODD)
def test_b10_what_is_no_answer_ends_the_operation(odd: str, move: bool) -> None:
    with RawPacs(ODD[odd]) as pacs:
        assert why_no_answer(pacs, move=move) in NO_ANSWER
        assert eventually(lambda: pacs.open == 0), "our socket is closed, whatever became of pynetdicom's thread"


@pytest.mark.catalogue("M7")
@pytest.mark.parametrize(
    "counters",
    [
        {},
        {"e1020": b"", "e1021": b"", "e1022": b"", "e1023": b""},
        {"e1021": b"12  "},
        {"e1021": word(65535), "e1020": word(7)},
    ],
)
def test_m7_counters_of_every_kind_are_taken_as_they_are(counters: dict[str, bytes | None]) -> None:
    with (
        RawPacs(lambda asked: asked.says(0x0000, None, **counters)) as pacs,
        Scu(pacs, "RESEARCH", deadlines=QUICK) as scu,
    ):
        assert scu.move(MOVE, "RESEARCH", watch=watch()) == 0x0000


@pytest.mark.catalogue("M19")
def test_m19_a_data_set_behind_a_pending_response() -> None:
    with RawPacs(lambda asked: asked.says(0xFF00) + asked.data(b"\0" * 8) + asked.says(0x0000)) as pacs:
        assert why_no_answer(pacs, move=True) in NO_ANSWER


@pytest.mark.catalogue("A6")
@pytest.mark.filterwarnings(ODD_THREAD, ODD_SOCKET)
@pytest.mark.parametrize("ending", [wire.RELEASE, wire.pdu(7, bytes(4))], ids=["release", "abort"])
def test_a6_a_pacs_may_end_the_association_behind_each_answer(ending: bytes) -> None:
    with RawPacs(lambda asked: asked.says(0x0000) + ending) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        for _ in range(5):
            assert scu.find(QUESTION, row_cap=9) == []
            assert scu.move(MOVE, "RESEARCH", watch=watch()) == 0x0000


@pytest.mark.catalogue("A6")
@pytest.mark.filterwarnings(ODD_THREAD, ODD_SOCKET)
def test_a_move_of_which_something_came_is_not_asked_for_again_at_once() -> None:
    arrived = itertools.count()
    with RawPacs(lambda asked: asked.says(0x0000) if asked.number == 0 else wire.pdu(7, bytes(4))) as pacs:
        scu = Scu(pacs, "RESEARCH", deadlines=QUICK)
        assert scu.find(QUESTION, row_cap=9) == []
        with pytest.raises(Retry, match=r"^pacs\.aborted"):
            scu.move(MOVE, "RESEARCH", watch=MoveWatch(lambda: next(arrived), 0.6, 5.0, lambda: False))
        assert len(pacs.asked) == 2 and len(pacs.proposals) == 1


@pytest.mark.catalogue("A6")
@pytest.mark.filterwarnings(ODD_THREAD, ODD_SOCKET)
def test_a_move_that_has_to_end_is_not_asked_for_again() -> None:
    """The window closes, or the daemon stops: a PACS that aborts for the C-CANCEL does not get the same C-MOVE once more."""
    answers = (0x0000, 0xFF00)
    with RawPacs(
        lambda asked: asked.says(answers[asked.number]) if asked.number < 2 else wire.pdu(7, bytes(4))
    ) as pacs:
        scu = Scu(pacs, "RESEARCH", deadlines=QUICK)
        assert scu.find(QUESTION, row_cap=9) == []
        with pytest.raises(Retry, match=r"^pacs\.aborted"):
            scu.move(MOVE, "RESEARCH", watch=MoveWatch(lambda: 0.0, 0.6, 5.0, lambda: True))
        assert len(pacs.asked) == 3 and len(pacs.proposals) == 1

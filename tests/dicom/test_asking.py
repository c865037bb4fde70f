"""A question as bytes: on the wire what pynetdicom would send, and an association that is whole afterwards or ended."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom import dimse_primitives
from pynetdicom.dimse_messages import C_CANCEL_RQ, C_FIND_RQ, C_MOVE_RQ

from gateway.dicom import answers, asking
from gateway.dicom.answers import C_FIND, C_MOVE, Arriving
from gateway.dicom.association import Scu
from gateway.dicom.dimse import elements
from gateway.dicom.identifier import identifier, text
from gateway.dicom.models import STUDY_ROOT
from gateway.dicom.moving import MoveWatch
from gateway.dicom.pdu import Fragment, Violation
from gateway.dicom.sockets import QuickSocket
from gateway.dicom.status import CONFIG_PAUSE
from gateway.errors import Retry
from tests.dicom import wire
from tests.dicom.asking import A_ROW, KEYS, QUESTION, QUICK, STUDY
from tests.dicom.serving import eventually
from tests.support.raw_pacs import Asked, RawPacs

RELEASE_RQ, ABORT = wire.pdu(5, bytes(4)), wire.pdu(7, bytes(4))
Says = Callable[[Asked], bytes]


def no_deadline() -> MoveWatch:
    return MoveWatch(lambda: 0.0, 5.0, 5.0, lambda: False)


def theirs(
    primitive: dimse_primitives.DimsePrimitiveType, message: C_CANCEL_RQ | C_FIND_RQ | C_MOVE_RQ
) -> dict[int, bytes]:
    """The command set that pynetdicom makes of it."""
    message.primitive_to_message(primitive)
    fragments = list(message.encode_msg(1, 0))
    raw = b"".join(pdv[1:] for f in fragments for _, pdv in f.presentation_data_value_list if pdv[0] & 1)
    return elements(raw)


def test_a_c_find_is_the_one_that_pynetdicom_sends() -> None:
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        scu.find(QUESTION, row_cap=9)
    primitive = dimse_primitives.C_FIND()
    primitive.MessageID, primitive.AffectedSOPClassUID, primitive.Priority = 1, STUDY_ROOT.find, 2
    primitive.Identifier = BytesIO(b"xx")
    assert dict(pacs.asked[0].command) == theirs(primitive, C_FIND_RQ())


@pytest.mark.parametrize("destination", ["RESEARCH", "ODD"])
def test_a_c_move_is_the_one_that_pynetdicom_sends(destination: str) -> None:
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        scu.move(identifier("SERIES", KEYS), destination, watch=no_deadline())
    primitive = dimse_primitives.C_MOVE()
    primitive.MessageID, primitive.AffectedSOPClassUID, primitive.Priority = 1, STUDY_ROOT.move, 2
    primitive.MoveDestination, primitive.Identifier = destination, BytesIO(b"xx")
    assert dict(pacs.asked[0].command) == theirs(primitive, C_MOVE_RQ())


@pytest.mark.parametrize("ending", [RELEASE_RQ, ABORT], ids=["release", "abort"])
def test_an_association_that_ends_amid_the_answers_ends_the_question_at_once(ending: bytes) -> None:
    """pynetdicom would have waited for the next answer until its deadline."""
    with RawPacs(lambda asked: asked.says(0xFF00, A_ROW) + ending) as pacs:
        scu = Scu(pacs, "RESEARCH", deadlines=QUICK)
        start = time.monotonic()
        with pytest.raises(Retry) as caught:
            scu.find(QUESTION, row_cap=9)
    assert (caught.value.reason, caught.value.charge) == ("pacs.aborted", False)
    assert time.monotonic() - start < 3.0
    assert not scu.is_open


@pytest.mark.parametrize("more", [0, 1], ids=["nothing more", "an answer more"])
def test_what_comes_behind_the_last_answer_never_turns_up_in_the_next_question(more: int) -> None:
    other = Dataset()
    other.StudyInstanceUID = "1.2.999"

    def says(asked: Asked) -> bytes:
        return asked.says(0xFF00, A_ROW) + asked.says(0x0000) + more * asked.says(0xFF00, other)

    with RawPacs(says) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        for _ in range(3):
            assert [text(row, "StudyInstanceUID") for row in scu.find(QUESTION, row_cap=9)] == [STUDY]
            assert scu.is_open != bool(more)
    assert len(pacs.proposals) == (3 if more else 1)


SEQUENCE = b"\x08\0\x15\x11SQ\0\0\xff\xff\xff\xff"


@pytest.mark.parametrize("rest", [b"", b"\xfe\xff\0\xe0\xff\xff\xff\xff", b"garbage!" * 3, b"\xfe\xff\0\xe0\x10\0\0\0"])
def test_a_row_that_cannot_be_decoded_is_an_empty_one(rest: bytes) -> None:
    def says(asked: Asked) -> bytes:
        odd = asked.says(0xFF00, e0800=b"\1\0") + asked.data(SEQUENCE + rest)
        return odd + asked.says(0xFF00, A_ROW) + asked.says(0x0000)

    with RawPacs(says) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        assert [text(row, "StudyInstanceUID") for row in scu.find(QUESTION, row_cap=9)] == ["", STUDY]


def test_a_context_accepted_with_what_was_not_proposed_is_a_matter_of_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(asking, "SYNTAXES", frozenset())
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        with pytest.raises(Retry) as caught:
            scu.find(QUESTION, row_cap=9)
        assert (caught.value.reason, caught.value.charge, caught.value.after) == (
            "pacs.context-refused",
            False,
            CONFIG_PAUSE,
        )


def test_an_answer_that_is_there_before_the_question_is_none_to_it() -> None:
    """The association is opened anew for it."""
    with RawPacs(lambda asked: asked.says(0xFF00, A_ROW) + asked.says(0x0000)) as pacs:
        with Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
            wrapper = scu.open().dul.socket
            assert isinstance(wrapper, QuickSocket) and wrapper.stand_aside(5.0)
            pacs.hang_up()
            assert eventually(lambda: wrapper.socket is not None and wrapper.socket.recv(1, socket.MSG_PEEK) == b"")
            assert [text(row, "StudyInstanceUID") for row in scu.find(QUESTION, row_cap=9)] == [STUDY]
        assert len(pacs.asked) == 1
        assert len(pacs.proposals) == 2


def test_a_c_cancel_is_the_one_that_pynetdicom_sends() -> None:
    ended: list[bool] = []

    def watch_ends() -> bool:
        ended.append(True)
        return True

    with RawPacs(lambda asked: b"", lambda asked: b"") as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        with pytest.raises(Retry):
            scu.move(identifier("SERIES", KEYS), "RESEARCH", watch=MoveWatch(lambda: 0.0, 5.0, 5.0, watch_ends))
        command = dict(pacs.asked[1].command)
    primitive = dimse_primitives.C_CANCEL()
    primitive.MessageIDBeingRespondedTo = 1
    assert command == theirs(primitive, C_CANCEL_RQ())


def fragments(context: int, command: bool, raw: bytes, cuts: list[int]) -> list[Fragment]:
    edges = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    pieces = [raw[a:b] for a, b in pairwise(edges)] or [b""]
    return [Fragment(context, command, memoryview(p), n == len(pieces) - 1) for n, p in enumerate(pieces)]


ANSWERED = {0x0002: b"1.2\0", 0x0100: struct.pack("<H", 0x8020), 0x0120: b"\1\0"}


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=6), st.sampled_from([0xFF00, 0xFF01, 0xA700]))
def test_an_answer_is_the_same_however_it_is_cut(data: bytes, cuts: list[int], status: int) -> None:
    raw = wire.command({**ANSWERED, 0x0800: b"\1\0", 0x0900: struct.pack("<H", status)})
    arriving = Arriving(C_FIND)
    parts = (*fragments(1, True, raw, cuts), *fragments(1, False, data, cuts))
    (answer,) = [answer for part in parts for answer in arriving.take(part)]
    assert (answer.status, answer.data) == (status, data)
    assert arriving.between


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({0x0100: struct.pack("<H", 0x8021)}, "answer.unexpected"), ({0x0100: struct.pack("<H", C_MOVE)}, "answer.unexpected"),
        ({0x0900: b""}, "answer.unexpected"), ({0x0120: None}, "answer.unexpected"), ({0x0900: None}, "answer.unexpected"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_violation(changed: dict[int, bytes | None], why: str) -> None:
    told: dict[int, bytes | None] = {**ANSWERED, 0x0800: b"\1\1", 0x0900: b"\0\0", **changed}
    raw = wire.command({element: value for element, value in told.items() if value is not None})
    with pytest.raises(Violation, match=why):
        Arriving(C_FIND).take(Fragment(1, True, memoryview(raw), True))


def test_no_answer_is_longer_than_any_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LONGEST_ROW", 1000)
    arriving = Arriving(C_FIND)
    raw = wire.command({**ANSWERED, 0x0800: b"\1\0", 0x0900: b"\0\xff"})
    assert arriving.take(Fragment(1, True, memoryview(raw), True)) == []
    assert arriving.take(Fragment(1, False, memoryview(b"begun"), False)) == []
    with pytest.raises(Violation, match=r"message\.interleaved"):
        arriving.take(Fragment(1, True, memoryview(raw), True))
    with pytest.raises(Violation, match=r"answer\.too-long"):
        arriving.take(Fragment(1, False, memoryview(bytes(1001)), False))
    with pytest.raises(Violation, match=r"data-set\.without-command"):
        Arriving(C_FIND).take(Fragment(1, False, memoryview(b"x"), True))


def test_a_data_set_that_is_announced_and_does_not_come_is_none() -> None:
    first, last = (wire.command({**ANSWERED, 0x0800: kind, 0x0900: b"\0\xff"}) for kind in (b"\1\0", b"\1\1"))
    arriving = Arriving(C_FIND)
    assert arriving.take(Fragment(1, True, memoryview(first), True)) == []
    assert [one.data for one in arriving.take(Fragment(1, True, memoryview(last), True))] == [b"", b""]

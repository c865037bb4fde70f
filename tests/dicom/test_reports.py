"""Reports of commitment on one association, one after the other."""

from __future__ import annotations

import queue
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from gateway.dicom import commitment
from gateway.dicom.commitment import PUSH_MODEL, Asked, Line, Reference

ONE = Reference("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4")
ASKED = Asked("MODALITY", "127.0.0.1", "1.2.3", (ONE,))


def answer(line: Any, number: int) -> None:
    reply = N_EVENT_REPORT()
    reply.MessageIDBeingRespondedTo, reply.Status = number, 0x0000
    line._assoc.dimse.msg_queue.put((1, reply))


def test_the_late_answer_to_one_report_is_none_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both had the number 1: the second was taken for heard, and PS3.7 9.1 wants numbers that are unique while they wait."""
    monkeypatch.setattr(commitment, "REPLY", 0.4)
    sent: list[N_EVENT_REPORT] = []
    context = SimpleNamespace(abstract_syntax=PUSH_MODEL, context_id=1, transfer_syntax=[ExplicitVRLittleEndian])
    dimse = SimpleNamespace(send_msg=lambda message, _: sent.append(message), msg_queue=queue.Queue())
    line: Any = Line(SimpleNamespace(dimse=dimse, accepted_contexts=[context], is_established=True))  # type: ignore[arg-type]
    assert not line.send(ASKED, {ONE: 0})
    answer(line, 1)
    assert not line.send(ASKED, {ONE: 0}), "that was the first one's"
    answer(line, 3)
    assert line.send(ASKED, {ONE: 0})
    assert [message.MessageID for message in sent] == [1, 2, 3]

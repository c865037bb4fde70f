"""What the tests of Scu share: a question, short deadlines, and the check that a failure gives nothing away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.dicom.association import Deadlines
from gateway.dicom.identifier import identifier
from gateway.errors import GatewayError
from tests.support.scripted_pacs import row

AN, STUDY, SERIES = "SYN-SECRET-ACC", "1.2.826.77.1", "1.2.826.77.2"
QUICK = Deadlines(connect=1.0, negotiate=1.0, answer=0.5, question=1.0, release=0.5, cancel=0.4, pdu=0.5)
QUESTION = identifier("STUDY", {"AccessionNumber": AN}, frozenset({"StudyInstanceUID"}))
KEYS = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES}
A_ROW = row(StudyInstanceUID=STUDY, AccessionNumber=AN)


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

"""Why an association did not come about, why a request could not be sent, and whether that is worth a word."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from gateway.dicom.status import CONFIG_PAUSE
from gateway.errors import Refused, Retry

T = TypeVar("T")
FOUND_DEAD: Final = 5.0  # seconds; a link that breaks later was alive when it was used


def rejection(assoc: Association) -> A_ASSOCIATE | None:
    """The answer that rejected it (PS3.8 9.3.4); None where there was none.

    pynetdicom 3.0.4 calls an association aborted whose rejection came before its other thread had looked whether there is a
    connection, which is shut by then; the answer waits in its queue all the same.
    """
    answer = assoc.acceptor.primitive if assoc.is_rejected else assoc.dul.peek_next_pdu()
    return answer if isinstance(answer, A_ASSOCIATE) and answer.result else None


def why_closed(assoc: Association, *, connected: bool) -> Retry:
    """PS3.8 9.3.4: a permanent rejection is a matter of configuration."""
    answer = rejection(assoc)
    if answer is None:
        if connected:
            return Retry("pacs.no-answer", "connected, but no answer to the association request", charge=False)
        return Retry("pacs.unreachable", "no connection", charge=False)
    codes = (answer.result, answer.result_source, answer.diagnostic)
    result, source, diagnostic = (int(code) if isinstance(code, int) else 0 for code in codes)
    detail = f"association rejected {result}/{source}/{diagnostic} (PS3.8 table 9-21)"
    if result == 1:
        return Retry("pacs.rejected", detail, after=CONFIG_PAUSE, charge=False)
    return Retry("pacs.busy", detail, charge=False)


def sent(send: Callable[[], T]) -> T:
    """pynetdicom raises RuntimeError when the association has ended, ValueError when the identifier cannot be encoded."""
    try:
        return send()
    except RuntimeError:
        raise Retry("pacs.aborted", "the association had ended", charge=False) from None
    except ValueError:
        raise Refused("dicom.unencodable", "the question cannot be encoded") from None


def on_a_live_link(operation: Callable[[], T], *, reused: bool, served: Callable[[], bool] = lambda: False) -> T:
    """A PACS may close a link between two questions (A6): only asking shows it, and the first time is no error.

    `reused`: the link was there before; `served`: something came of it, or it has to end: it is not to be asked for twice.
    """
    start = time.monotonic()
    try:
        return operation()
    except Retry as err:
        if not reused or err.reason != "pacs.aborted" or time.monotonic() - start > FOUND_DEAD or served():
            raise
    return operation()

"""One association to a PACS as a resource: opened on demand, every wait with a deadline, released or aborted for certain.

Every failure comes out as `Retry` or `Refused` with a slug of ours; texts never hold what was asked or answered. Rules that
stand here and nowhere else: only 0x0000 completes a C-FIND; answers are drained or the association is aborted, so that no
row of one question can turn up in the next; a C-MOVE names exactly one study and one series. Standard: PS3.4 C.4, PS3.7 9.1.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Protocol, Self

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association

from gateway.dicom.answers import C_FIND, C_MOVE, Answer
from gateway.dicom.asking import LOW, Question, question
from gateway.dicom.getting import Storing
from gateway.dicom.models import STUDY_ROOT, SYNTAXES, Address, Model, unique_keys
from gateway.dicom.moving import MoveWatch, Vigil, refuse_unsafe
from gateway.dicom.rejected import on_a_live_link, sent, why_closed
from gateway.dicom.requesting import associate
from gateway.dicom.sockets import shut
from gateway.dicom.status import CONFIG_PAUSE, PENDING, SUCCESS, find_failure
from gateway.errors import Retry

VERIFICATION: Final = UID("1.2.840.10008.1.1")
LOOK: Final = 0.25  # seconds between looks at the stop event while a move is silent
LAST_ID: Final = 0xFFFF
MOST_ANSWERED: Final = 1 << 27  # bytes of all rows of one question: they are in memory together


class Gauge(Protocol):
    """The part of ops.metrics.Count that an association tells."""

    def add(self, name: str, value: float = 1, **labels: str) -> None: ...


@dataclass(frozen=True)
class Deadlines:
    """Seconds. `answer`: between two answers of a C-FIND; `question`: for the whole of it; `pdu`: for one PDU once begun."""

    connect: float = 8.0
    negotiate: float = 20.0
    answer: float = 60.0
    question: float = 80.0
    release: float = 5.0
    cancel: float = 10.0
    pdu: float = 30.0


class Scu:
    """A Service Class User at one PACS. Not for two threads at once (B12)."""

    def __init__(  # noqa: PLR0913  what an association is made of
        self,
        pacs: Address,
        calling_ae: str,
        *,
        count: Gauge | None = None,
        deadlines: Deadlines | None = None,
        model: Model = STUDY_ROOT,
        storing: Storing | None = None,
    ) -> None:
        """`storing`: for C-GET, which is offered in place of C-MOVE."""
        self._pacs = pacs
        self._model, self._storing = model, storing
        self._calling_ae = calling_ae
        self._count = count
        self._deadlines = deadlines or Deadlines()
        self._assoc: Association | None = None
        self._message_id = 0
        self._answered: int | None = None  # the number of the last question, if its answers bore it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        return self._assoc is not None and self._assoc.is_established

    def keys(self, PatientID: str, **uids: str) -> dict[str, str]:
        """See `models.unique_keys`."""
        return unique_keys(self._model, PatientID, **uids)

    def open(self) -> Association:
        """The association, opened when there is none. Raises Retry(charge=False): pacs.unreachable, .tls, .no-answer ..."""
        if self._assoc is not None and self._assoc.is_established:
            return self._assoc
        self._forget()
        ext_neg = self._storing.roles() if self._storing else ()
        tried = associate(self._ae(), self._pacs, "pacs", pdu=self._deadlines.pdu, ext_neg=ext_neg)
        assoc = tried.assoc
        if not assoc.is_established:
            raise why_closed(assoc, connected=tried.connected)
        self._assoc = assoc
        self._tell(1)
        return assoc

    def _ae(self) -> AE:
        ae = AE(ae_title=self._calling_ae)
        for model in (self._model.find, self._model.get if self._storing else self._model.move, VERIFICATION):
            ae.add_requested_context(model, SYNTAXES)
        for sop_class, syntaxes in self._storing.contexts() if self._storing else ():
            ae.add_requested_context(sop_class, list(syntaxes))
        ae.connection_timeout = self._deadlines.connect
        ae.acse_timeout = self._deadlines.negotiate
        ae.dimse_timeout = self._deadlines.answer
        ae.network_timeout = None  # would abort an idle link by the wall clock (B5, B8); whoever holds it closes it
        return ae

    def echo(self) -> None:
        """C-ECHO. Raises Retry."""
        assoc = self._ready(VERIFICATION)
        with self._whole():
            assoc.dimse_timeout = self._deadlines.answer
            status = sent(lambda: assoc.send_c_echo(self._next_id()))
            if "Status" not in status:
                raise Retry("pacs.aborted", "no answer to C-ECHO", charge=False)
        if status.Status != SUCCESS:
            raise Retry("pacs.echo-refused", f"status 0x{status.Status:04X}", after=CONFIG_PAUSE, charge=False)

    def find(self, identifier: Dataset, *, row_cap: int) -> list[Dataset]:
        """All rows of one question, unconverted; a row that cannot be decoded is an empty Dataset.

        Raises Retry when the list is not complete for certain: find.timeout, find.unfinished, find.too-many ...
        """
        return on_a_live_link(lambda: self._find(identifier, row_cap), reused=self.is_open)

    def _find(self, identifier: Dataset, row_cap: int) -> list[Dataset]:
        until = time.monotonic() + self._deadlines.question
        rows, size = list[Dataset](), 0
        with self._asking(self._model.find, C_FIND) as asked:
            asked.ask(self._next_id(), identifier)
            answer = self._answer(asked, until)
            while answer.status in PENDING:
                rows.append(asked.row(answer))
                size += len(answer.data)
                if len(rows) > row_cap or size > MOST_ANSWERED:
                    much = f"{row_cap} rows" if len(rows) > row_cap else f"{MOST_ANSWERED >> 20} MiB"
                    raise Retry("find.too-many", f"more than {much}: the PACS may ignore a matching key")
                answer = self._answer(asked, until, begun=True)
        if answer.status != SUCCESS:
            raise find_failure(answer.status).error(f"status 0x{answer.status:04X}")
        return rows

    def _answer(self, asked: Question, until: float, *, begun: bool = False) -> Answer:
        """The next response. Its time limit counts anew for each, the question's does not (F14)."""
        wait = min(self._deadlines.answer, until - time.monotonic())
        answer = asked.answer(wait) if wait > 0 else None
        if answer is None:
            why = "find.unfinished" if begun and time.monotonic() >= until else "find.timeout"
            raise Retry(why, f"no complete answer in {self._deadlines.question:.0f} s", charge=False)
        return answer

    @contextlib.contextmanager
    def _asking(self, model: UID, kind: int) -> Iterator[Question]:
        assoc = self._ready(model)
        stale = self._answered if kind == C_FIND else None  # how a move ended the ledger tells
        with self._whole(), question(assoc, model, kind, pdu=self._deadlines.pdu, stale=stale) as asked:
            yield asked
            self._answered = asked.answered

    def move(self, identifier: Dataset, destination: str, *, watch: MoveWatch) -> int:
        """C-MOVE of one series to `destination` (an AE title). Returns whatever final status came.

        Raises Refused("move.unsafe-keys") for anything but one study and one series; Retry: move.stalled, move.too-long
        (charged), move.stopped, pacs.aborted. After each of these what came is unknown: the ledger tells.
        """
        refuse_unsafe(identifier)
        ask, before = partial(self._move, identifier, destination, watch), watch.progress()
        return on_a_live_link(
            ask, reused=self.is_open, served=lambda: bool(watch.ended()) or watch.progress() != before
        )

    def _move(self, identifier: Dataset, destination: str, watch: MoveWatch) -> int:
        with self._asking(self._model.move, C_MOVE) as asked:
            message_id = self._next_id()
            asked.ask(message_id, identifier, destination=destination)

            def answer(seconds: float) -> int | None:
                found = asked.answer(seconds)
                return found.status if found else None

            return self._follow(answer, lambda: asked.cancel(message_id), watch)

    def get(self, identifier: Dataset, *, watch: MoveWatch) -> int:
        """C-GET of one series: its instances come on this association, to `storing`. Returns and raises as `move`.

        Also Retry("pacs.role-refused") when the PACS can send nothing so.
        """
        refuse_unsafe(identifier)
        assoc = self._ready(self._model.get)
        assert self._storing is not None  # else C-GET was not offered, and _ready has raised
        with self._whole():
            self._storing.refuse_useless(assoc)
            message_id, model = self._next_id(), self._model.get
            sent(lambda: assoc.send_c_get(identifier, model, message_id, LOW))
            answer = partial(self._storing.answer, assoc)
            cancel = partial(assoc.send_c_cancel, message_id, query_model=model)
            status = self._follow(answer, lambda: sent(cancel), watch)
            assoc._reactor_checkpoint.set()  # noqa: SLF001  it was cleared when the C-GET was sent
            return status

    def _follow(self, answer: Callable[[float], int | None], cancel: Callable[[], None], watch: MoveWatch) -> int:
        """To the final status. `answer`: the next one, or None after so many seconds."""
        vigil = Vigil(watch)
        cancelled: float | None = None
        while True:
            status = answer(min(LOOK, watch.silence / 4))
            if status is not None:
                if status not in PENDING:
                    return status
                vigil.sign()
            vigil.check()
            if cancelled is None and watch.ended():
                cancelled = time.monotonic()
                cancel()
            if cancelled is not None and time.monotonic() - cancelled > self._deadlines.cancel:
                raise Retry("move.stopped", "C-CANCEL was not answered", charge=False)

    # ---- life

    def close(self) -> None:
        """Releases the association; aborts it when the PACS does not answer the release. Never raises."""
        if self._assoc is not None and self._assoc.is_established:
            self._assoc.acse_timeout = self._deadlines.release
            self._assoc.release()
        self._forget()

    def abort(self) -> None:
        """Ends the association at once."""
        if self._assoc is not None:
            self._assoc.abort()
            shut(self._assoc)
        self._forget()

    @contextlib.contextmanager
    def _whole(self) -> Iterator[None]:
        """Whatever ends an operation early, its outstanding answers must not reach the next one (B9, F16)."""
        try:
            yield
        except BaseException:
            self.abort()
            raise

    def _ready(self, model: str) -> Association:
        assoc = self.open()
        if model not in {c.abstract_syntax for c in assoc.accepted_contexts}:
            self.close()
            raise Retry(
                "pacs.context-refused", "the PACS does not offer this service", after=CONFIG_PAUSE, charge=False
            )
        return assoc

    def _next_id(self) -> int:
        self._message_id = self._message_id % LAST_ID + 1
        return self._message_id

    def _forget(self) -> None:
        self._answered = None
        if self._assoc is not None:
            self._assoc = None
            self._tell(-1)

    def _tell(self, change: int) -> None:
        if self._count is not None:
            self._count.add("associations", change, direction="out")

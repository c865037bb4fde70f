"""A RIS that is polled into a real store, and what is known of its rows there."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.accession.poll import Poll
from gateway.accession.vanished import Vanished
from gateway.model import AccessionNumber, Wanted
from gateway.ops.health import Board
from gateway.state.db import Database
from gateway.state.listed import Listed
from gateway.state.store import Store
from gateway.state.views import RequestView, Views
from tests.dicom.serving import Counts

if TYPE_CHECKING:
    from tests.accession.conftest import Hospital

KEY, P = bytes(32), "chest"


class Ris:
    """A real RIS on SQLite, polled into a real store."""

    def __init__(self, hospital: Hospital, folder: Path, now: float) -> None:
        self.hospital, self.now = hospital, now
        self.database = Database(folder / "state.sqlite")
        self.store, self.views = Store(self.database, KEY, node="gw1"), Views(self.database, KEY)
        self.listed = Listed(self.database, KEY)
        hospital.build()

    def made(self) -> Poll:
        return Poll(
            project=P, ris="ris", source=self.hospital.source(), cursor="changed_at", overlap=7200.0, store=self.store,
            count=Counts(), board=Board(), clock=lambda: self.now, listed=self.listed,
        )  # fmt: skip

    def poll(self) -> None:
        self.made().run()
        self.now += 1

    def reconcile(self, stop: threading.Event | None = None) -> int:
        self.now += 1
        return Vanished(P, self.hospital.source(), self.listed, lambda: self.now, stop or threading.Event()).run()

    def forget(self, *accessions: str) -> None:
        for accession in accessions:
            self.hospital.do(f"delete from exam where accession_number = '{accession}'")

    def request(self, accession: str) -> RequestView:
        (found,) = self.views.by_accession(accession)
        return found

    def events(self, accession: str) -> list[tuple[str, str]]:
        return [(e.event, e.reason) for e in self.views.history(self.request(accession).key)]


def lines(*accessions: str, patient: str = "", day: str = "") -> list[Wanted]:
    return [Wanted(P, AccessionNumber(a), patient_id=patient, study_date=day) for a in accessions]

"""Taking a patient out of a DICOMweb archive. Deleting is no part of PS3.18, so servers differ: `delete` says how ours does it.

"dicomweb": DELETE on a study, as dcm4chee and the large clouds have it. "orthanc": Orthanc's own interface, beside its DICOMweb
root. What is found by QIDO-RS is deleted, and asked for again until nothing is found: each study is deleted once.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from gateway.deliver.web import Web, rows_of, unexpected
from gateway.errors import Refused, Retry

JSON: Final = {"Accept": "application/dicom+json"}
PLAIN: Final = {"Accept": "application/json", "Content-Type": "text/plain"}
PAGE: Final = 100
COUNT: Final = re.compile(r"\d{1,9}", re.ASCII)
ROUNDS: Final = 1000  # pages
LOOKS: Final = 20  # times; an archive that finds for ever what it deleted is strange
LOOK: Final = 1.0  # seconds
NO_DELETE: Final = frozenset({404, 405, 501})
PATIENT, STUDY, INSTANCES = "00100020", "0020000D", "00201208"


@dataclass(frozen=True)
class Found:
    """A study of the patient, and how many instances the archive counts in it."""

    uid: str
    instances: int


@dataclass(frozen=True)
class Unstow:
    """`orthanc`: its own interface is used."""

    web: Web
    name: str
    orthanc: bool = False

    def remove(self, PatientID: str) -> int:
        """As `remove.Removes`; Refused("sink.no-delete") where the archive cannot delete."""
        gone: dict[str, int] = {}
        looks = 0
        for _ in range(ROUNDS):
            studies = {study.uid: study.instances for study in self._studies(PatientID)}
            if not studies:
                return sum(gone.values())
            new = studies.keys() - gone.keys()
            for uid in sorted(new):
                self._delete(uid)
            gone |= {uid: studies[uid] for uid in new}
            if not new:  # it deletes behind its answer, or what it finds by follows later
                looks += 1
                if looks == LOOKS:
                    break
                threading.Event().wait(LOOK)
        raise Retry("sink.strange", f"{self.name} still finds what it has deleted", charge=False)

    def _studies(self, PatientID: str) -> Iterator[Found]:
        asked = f"/studies?PatientID={quote(PatientID, safe='')}&includefield={PATIENT}&includefield={INSTANCES}&limit={PAGE}"
        answer = self.web.call("GET", asked, headers=JSON)
        if answer.status == 204:
            return
        # A 404 too: that is the archive somewhere else, and not a patient of whom nothing is there.
        if answer.status != 200:
            raise unexpected(answer.status, self.name)
        rows = rows_of(answer, self.name)
        mine = [row for row in rows if _value(row, PATIENT) == PatientID]  # it may match more loosely than we asked
        if not mine and (len(rows) >= PAGE or not all(_value(row, PATIENT) for row in rows)):
            raise Retry("sink.strange", f"{self.name} does not say whose the studies are that it found", charge=False)
        for row in mine:
            count = _value(row, INSTANCES)
            yield Found(_value(row, STUDY), int(count) if COUNT.fullmatch(count) else 0)

    def _delete(self, uid: str) -> None:
        if not uid or set(uid) - set("0123456789."):
            raise Retry("sink.strange", f"{self.name} found a study without a UID", charge=False)
        for path in self._paths(uid):
            answer = self.web.call("DELETE", path, headers={})
            if answer.status in NO_DELETE:
                raise Refused("sink.no-delete", f"{self.name} does not delete")
            if answer.status not in (200, 202, 204):
                raise unexpected(answer.status, self.name)

    def _paths(self, uid: str) -> list[str]:
        if not self.orthanc:
            return [f"/studies/{uid}"]
        answer = self.web.call("POST", "/../tools/lookup", headers=PLAIN, body=uid.encode())
        if answer.status in NO_DELETE:
            raise Refused(
                "sink.no-delete", f"{self.name} is no Orthanc, or its own interface is not beside its DICOMweb root"
            )
        if answer.status != 200:
            raise unexpected(answer.status, self.name)
        found = [row for row in rows_of(answer, self.name) if isinstance(row, dict) and row.get("Type") == "Study"]
        return [f"/..{row['Path']}" for row in found if str(row.get("Path", "")).startswith("/studies/")]


def _value(row: object, tag: str) -> str:
    element = row.get(tag) if isinstance(row, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]).strip(" \0") if isinstance(values, list) and values else ""

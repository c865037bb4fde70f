"""A DICOMweb archive: STOW-RS to put, QIDO-RS to see that it is there, WADO-RS to see that it is the same.

put: is it there already? Then it must be the same. Else one POST with one instance, whose answer must name it as
stored. confirm: found by its three UIDs, and, unless `read_back` is off, fetched and compared.
Standard: PS3.18 10.4 (WADO-RS), 10.5 (STOW-RS), 10.6 (QIDO-RS); PS3.18 F.2 (DICOM JSON).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.deliver import header
from gateway.deliver.multipart import Envelope, boundary_of, same_data_set
from gateway.deliver.sink import UNTRIED, Receipt
from gateway.deliver.unstow import Unstow
from gateway.deliver.verdict import DUPLICATE, failure
from gateway.deliver.web import Web, rows_of, unexpected
from gateway.errors import Refused, Retry
from gateway.settings import DicomWebSink as Settings

JSON: Final = {"Accept": "application/dicom+json"}
FILE: Final = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
CODE: Final = re.compile(r"\d{1,5}", re.ASCII)
REFERENCED, FAILED, REASON, INSTANCE = "00081199", "00081198", "00081197", "00081155"


@dataclass(frozen=True)
class Outcome:
    """What a STOW-RS answer says of each instance it names: `stored`, and `failed` with its Failure Reason."""

    stored: frozenset[str]
    failed: Mapping[str, int]


class StowSink:
    """One thread puts; any confirms. `alive` is called with each piece that leaves or comes, and may raise."""

    def __init__(self, settings: Settings, alive: Callable[[], None] = lambda: None) -> None:
        self._name, self._alive = f"dicomweb:{settings.url}", alive
        self._web = Web(settings, self._name, alive)
        self._read_back = settings.read_back
        self._unstow = Unstow(self._web, self._name, orthanc=settings.delete == "orthanc")

    @property
    def name(self) -> str:
        return self._name

    @property
    def batch(self) -> int:
        return 1

    def put(self, file: Path) -> Receipt:
        """Raises Retry sink.* (uncharged), deliver.failed; Refused deliver.conflict, .refused, .unsupported, .too-large."""
        place = _place(file)
        if self._holds(place):
            return self._already(place, file)
        outcome = self._store(file)
        if place.instance in outcome.stored:
            return Receipt(place.path, new=True)
        reason = outcome.failed.get(place.instance)
        if reason == DUPLICATE or (reason is None and self._holds(place)):
            return self._already(place, file)
        if reason is None:
            raise Retry(
                "sink.strange", f"{self._name} took an instance and does not say what became of it", charge=False
            )
        raise failure(reason, self._name)

    def confirm(self, *files: Path) -> bool:
        """Raises Retry sink.* (uncharged)."""
        return all(self._has(_place(file), file) for file in files)

    def probe(self) -> str:
        """One question: DICOMweb has nothing that could be written and removed."""
        answer = self._web.call("GET", "/studies?limit=1", headers=JSON)
        if answer.status not in (200, 204):
            raise unexpected(answer.status, self._name)
        return f"answers QIDO-RS: {UNTRIED}"

    def remove(self, PatientID: str) -> int:
        """As `remove.Removes`. Raises Refused("sink.no-delete") where it cannot."""
        return self._unstow.remove(PatientID)

    def close(self) -> None:
        self._web.close()

    def _store(self, file: Path) -> Outcome:
        with closing(Envelope(file, self._alive)) as envelope:
            headers = {**JSON, "Content-Type": envelope.type, "Content-Length": str(envelope.size)}
            answer = self._web.call("POST", "/studies", headers=headers, body=envelope)
        if answer.status not in (200, 202, 400, 409):
            raise unexpected(answer.status, self._name)
        return read_outcome(answer.body)

    def _already(self, place: _Place, file: Path) -> Receipt:
        if not self._has(place, file):
            raise Refused("deliver.conflict", f"{self._name} holds another instance under this UID")
        return Receipt(place.path, new=False)

    def _has(self, place: _Place, file: Path) -> bool:
        return self._holds(place) and (not self._read_back or self._same(place, file))

    def _holds(self, place: _Place) -> bool:
        """QIDO-RS, by all three UIDs."""
        answer = self._web.call("GET", place.query, headers=JSON)
        if answer.status in (204, 404):  # some say 404 when the study is not there
            return False
        if answer.status != 200:
            raise unexpected(answer.status, self._name)
        return place.instance in {
            uid for row in rows_of(answer, self._name) for uid in _values(row, INSTANCE, "00080018")
        }

    def _same(self, place: _Place, file: Path) -> bool:
        with self._web.stream("GET", place.path, headers=FILE) as (response, pieces):
            if response.status == 404:
                return False
            if response.status != 200:
                raise unexpected(response.status, self._name)
            return same_data_set(pieces, boundary_of(response.headers.get("Content-Type", "")), file)


@dataclass(frozen=True)
class _Place:
    """An instance by its (new) UIDs."""

    study: str
    series: str
    instance: str

    @property
    def path(self) -> str:
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"

    @property
    def query(self) -> str:
        return f"/studies/{self.study}/series/{self.series}/instances?SOPInstanceUID={self.instance}&limit=1"


def _place(file: Path) -> _Place:
    values = header.read(file, UIDS)
    if not all(values[k] and set(values[k]) <= set("0123456789.") for k in UIDS):
        raise Refused("deliver.path", "a clean file lacks one of its UIDs")
    return _Place(*(values[k] for k in UIDS))


def read_outcome(body: bytes) -> Outcome:
    """Every instance that the answer of a STOW-RS names (PS3.18 10.5.3, table I.2-1); nothing for what cannot be read."""
    try:
        answer = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return Outcome(frozenset(), {})
    answer = answer[0] if isinstance(answer, list) and answer else answer  # some wrap it
    stored = frozenset(uid for item in _items(answer, REFERENCED) for uid in _values(item, INSTANCE))
    failed = {
        uid: next((int(r) for r in _values(item, REASON) if CODE.fullmatch(r)), 0x0110)
        for item in _items(answer, FAILED)
        for uid in _values(item, INSTANCE)
    }
    return Outcome(stored - failed.keys(), failed)


def _items(document: object, tag: str) -> Iterator[object]:
    element = document.get(tag) if isinstance(document, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    yield from values if isinstance(values, list) else ()


def _values(document: object, *tags: str) -> list[str]:
    return [str(value).strip(" \0") for tag in tags for value in _items(document, tag)]

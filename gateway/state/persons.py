"""The crosswalk: whose pseudonym it is. Sealed with the key; beside it keyed hashes, by which alone a patient is found.

A row is made when the first instance of a patient is about to be kept in a project, in the same transaction that asks whether
the patient was withdrawn; it goes when the patient is. A patient ID is text of the bytes that stood in the data set, as Latin-1.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Row, select
from sqlalchemy.engine import Connection

from gateway.state.db import insert_new, person, person_series, series
from gateway.state.sealed import Seal

PADDING: Final = " \0"
CODES: Final = (
    "latin-1", "iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8", "iso8859-9", "iso8859-11",
    "iso8859-15", "shift_jis", "gb18030", "gbk",
)  # fmt: skip
"""PS3.3 C.12.1.1.2 without code extensions, besides UTF-8: what a patient ID in letters of the country may be encoded in."""


@dataclass(frozen=True)
class Kept:
    """An instance that is about to be kept. `patient`: "" when the data set names none. Original UIDs.

    `formerly`: the pseudonyms that the patient had under keys that the project had before.
    """

    project: str
    pseudonym: str
    patient: str = field(repr=False)
    StudyInstanceUID: str = field(repr=False)
    SeriesInstanceUID: str = field(repr=False)
    formerly: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Known:
    """A person of the crosswalk. `series`: (original Study, original SeriesInstanceUID)."""

    id: int
    pseudonym: str
    patient: str = field(repr=False)
    series: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def of_patient(seal: Seal, project: str, patient: str) -> frozenset[str]:
    """The keyed hashes of a patient ID that came as text: as it may stand in a data set, in whichever character set."""
    text = patient.strip(PADDING)
    return frozenset(seal.hash("patient", project, form) for form in (_forms(text) if text else ()))


def _forms(text: str) -> set[str]:
    forms = {text, text.encode("utf-8", "replace").decode("latin-1")}
    for code in () if text.isascii() else CODES:
        with contextlib.suppress(UnicodeEncodeError):
            forms.add(text.encode(code).decode("latin-1"))
    return forms


def of_pseudonym(seal: Seal, project: str, pseudonym: str) -> str:
    return seal.hash("person", project, pseudonym)


def marks_of(seal: Seal, kept: Kept) -> frozenset[str]:
    """The hashes by which its patient may be withdrawn."""
    patient = {seal.hash("patient", kept.project, kept.patient)} if kept.patient else set()
    return frozenset({of_pseudonym(seal, kept.project, p) for p in (kept.pseudonym, *kept.formerly)} | patient)


def enter(c: Connection, seal: Seal, kept: Kept) -> None:
    """The person and the link to the series, each once. A series that nobody expects is nobody's."""
    mine = (series.c.project == kept.project, series.c.series_hash == seal.hash("series", kept.SeriesInstanceUID))
    series_id = c.execute(select(series.c.id).where(*mine)).scalar()
    if series_id is None:
        return
    person_id = _person(c, seal, kept)
    link = {"person_id": person_id, "series_id": series_id}
    there = select(person_series).where(person_series.c.person_id == person_id, person_series.c.series_id == series_id)
    if c.execute(there).first() is None:
        uids = {"study": kept.StudyInstanceUID, "series": kept.SeriesInstanceUID}
        sealed = seal.close_up(uids, owner=link_owner(person_id, series_id))
        c.execute(insert_new(c, person_series).values(**link, sealed=sealed))


def _person(c: Connection, seal: Seal, kept: Kept) -> int:
    hashes = {
        "project": kept.project,
        "pseudonym_hash": of_pseudonym(seal, kept.project, kept.pseudonym),
        "patient_hash": seal.hash("patient", kept.project, kept.patient) if kept.patient else "",
    }
    same = select(person.c.id).where(*(person.c[name] == value for name, value in hashes.items()))
    found = c.execute(same).scalar()
    if found is None:
        told = {"pseudonym": kept.pseudonym, "patient": kept.patient}
        sealed = seal.close_up(told, owner=hashes["pseudonym_hash"])
        c.execute(insert_new(c, person).values(**hashes, sealed=sealed))
        found = c.execute(same).scalar_one()
    return int(found)


def known(c: Connection, seal: Seal, project: str, marks: Iterable[str]) -> list[Known]:
    """Those of one of these hashes, with their series."""
    wanted = list(marks)
    mine = person.c.pseudonym_hash.in_(wanted) | person.c.patient_hash.in_(wanted)
    rows = c.execute(select(person).where(person.c.project == project, mine).order_by(person.c.id)).all()
    return [_known(c, seal, row) for row in rows]


def everybody(c: Connection, seal: Seal, project: str) -> list[Known]:
    rows = c.execute(select(person).where(person.c.project == project).order_by(person.c.id)).all()
    return [_known(c, seal, row) for row in rows]


def _known(c: Connection, seal: Seal, row: Row[tuple[object, ...]]) -> Known:
    opened = seal.open_up(row.sealed, owner=row.pseudonym_hash)
    links = c.execute(select(person_series).where(person_series.c.person_id == row.id)).all()
    uids = [seal.open_up(link.sealed, owner=link_owner(row.id, link.series_id)) for link in links]
    return Known(row.id, opened["pseudonym"], opened["patient"], tuple((u["study"], u["series"]) for u in uids))


def link_owner(person_id: int, series_id: int) -> str:
    return f"person-series:{person_id}:{series_id}"

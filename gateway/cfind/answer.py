"""Rows into facts: checked against what was asked, merged by UID, gaps filled from what else is known. Pure.

A row that is about something else, or has no UID, is dropped and counted; an illegal value is None and harms no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from pydicom.dataset import Dataset

from gateway.cfind.question import ISSUED_BY, ISSUER
from gateway.dicom.identifier import integer, nested, text, value
from gateway.model import AccessionNumber, FoundSeries, FoundStudy


def studies(
    rows: Iterable[Dataset], accession: AccessionNumber, keywords: frozenset[str]
) -> tuple[list[FoundStudy], int]:
    """The studies whose accession number is the one asked for (F1: a PACS that ignores the key returns everything).

    Also how many rows were dropped; a row that repeats a study is neither.
    """
    wanted = accession.value.strip()
    return _studies(rows, lambda row: text(row, "AccessionNumber") == wanted, keywords)


def studies_of_patient(
    rows: Iterable[Dataset], patient_id: str, days: tuple[str, str], keywords: frozenset[str]
) -> tuple[list[FoundStudy], int]:
    """The same for a patient's studies from the first to the last of `days` (DA)."""

    def is_about(row: Dataset) -> bool:
        return text(row, "PatientID") == patient_id and days[0] <= text(row, "StudyDate") <= days[1]

    return _studies(rows, is_about, keywords)


def _studies(
    rows: Iterable[Dataset], is_about: Callable[[Dataset], bool], keywords: frozenset[str]
) -> tuple[list[FoundStudy], int]:
    found: dict[str, FoundStudy] = {}
    dropped = 0
    for row in rows:
        uid = text(row, "StudyInstanceUID")
        if not uid or not is_about(row):
            dropped += 1
            continue
        issuers = [issuer for keyword in ISSUED_BY if (issuer := nested(row, ISSUER, keyword))]
        told = _attributes(row, keywords) | ({ISSUER: issuers} if issuers else {})
        found[uid] = FoundStudy(uid, _merged(told, found[uid].attributes if uid in found else {}))
    return list(found.values()), dropped


def series(rows: Iterable[Dataset], StudyInstanceUID: str, keywords: frozenset[str]) -> tuple[list[FoundSeries], int]:
    """The series of that study, and how many rows were dropped. Some PACS leave the parent's UID out (F8)."""
    found: dict[str, FoundSeries] = {}
    dropped = 0
    for row in rows:
        uid = text(row, "SeriesInstanceUID")
        if not uid or text(row, "StudyInstanceUID") not in ("", StudyInstanceUID):
            dropped += 1
            continue
        known = found.get(uid)
        attributes = _merged(_attributes(row, keywords), known.attributes if known else {})
        instances = integer(row, "NumberOfSeriesRelatedInstances")
        if instances is None and known:
            instances = known.instances
        found[uid] = FoundSeries(StudyInstanceUID, uid, attributes, instances)
    return list(found.values()), dropped


def counted(one: FoundSeries, instances: int | None) -> FoundSeries:
    """The series with the number of its instances, as counted in the PACS's own list."""
    number = None if instances is None else float(instances)
    return replace(one, instances=instances, attributes={**one.attributes, "NumberOfSeriesRelatedInstances": number})


def completed(study: FoundStudy, of: Iterable[FoundSeries]) -> FoundStudy:
    """The study with its series; what the PACS left out of the study row follows from them (F8)."""
    parts = tuple(replace(one, PatientID=str(study.attributes.get("PatientID") or "")) for one in of)
    numbers = [one.instances for one in parts]
    derived = {
        "ModalitiesInStudy": sorted({str(m) for one in parts if (m := one.attributes.get("Modality"))}) or None,
        "NumberOfStudyRelatedSeries": float(len(parts)),
        "NumberOfStudyRelatedInstances": None if None in numbers else float(sum(n for n in numbers if n is not None)),
    }
    return replace(study, series=parts, attributes=_merged(study.attributes, derived))


def _attributes(row: Dataset, keywords: frozenset[str]) -> dict[str, object]:
    return {keyword: value(row, keyword) for keyword in sorted(keywords)}


def _merged(first: Mapping[str, object], second: Mapping[str, object]) -> dict[str, object]:
    """`first`, its gaps filled from `second`."""
    return {k: second.get(k) if first.get(k) is None else first[k] for k in {**first, **second}}

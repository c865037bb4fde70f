"""The questions: which return keys are asked at which level. Pure.

Asked is what the gateway itself needs and what the project's rules look at, at the level where the standard has it
(PS3.4 tables C.6-1 to C.6-3): a key at the wrong level is what strict PACS refuse (F9).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom.dataset import Dataset

from gateway.dicom.identifier import askable, identifier, with_sequence
from gateway.model import AccessionNumber

NO_PARENTS: Final[Mapping[str, str]] = MappingProxyType({})
STUDY_KEYS: Final = frozenset({
    "StudyInstanceUID", "AccessionNumber", "PatientID", "StudyDate", "StudyTime", "StudyDescription",
    "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
})  # fmt: skip
ISSUER: Final = "IssuerOfAccessionNumberSequence"
ISSUED_BY: Final = ("LocalNamespaceEntityID", "UniversalEntityID")
SERIES_KEYS: Final = frozenset({
    "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined",
    "NumberOfSeriesRelatedInstances",
})  # fmt: skip

STUDY_LEVEL: Final = STUDY_KEYS | {
    # PS3.4 table C.6-2, with the Patient and Patient Study modules of PS3.3 C.7.1.1, C.7.2.2
    "AdditionalPatientHistory", "AdmittingDiagnosesDescription", "EthnicGroup", "InstitutionName",
    "IssuerOfAccessionNumber", "IssuerOfPatientID", "MedicalAlerts", "NameOfPhysiciansReadingStudy",
    "NumberOfPatientRelatedInstances", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedStudies", "Occupation",
    "OtherPatientIDs", "OtherPatientNames", "PatientAge", "PatientBirthDate", "PatientBirthTime", "PatientComments",
    "PatientName", "PatientSex", "PatientSize", "PatientState", "PatientWeight", "ReferringPhysicianName",
    "RequestingService", "SOPClassesInStudy", "StudyID", "StudyStatusID", "StudyPriorityID", "ReasonForStudy",
    "AdmissionID", "PregnancyStatus", "SmokingStatus",
}  # fmt: skip


@dataclass(frozen=True)
class Keys:
    """The return keys of each level."""

    study: frozenset[str]
    series: frozenset[str]


def keys_for(keywords: frozenset[str]) -> Keys:
    """What to ask so that rules over `keywords` can be evaluated."""
    wanted = frozenset(k for k in keywords if askable(k))
    return Keys(STUDY_KEYS | (wanted & STUDY_LEVEL), SERIES_KEYS | (wanted - STUDY_LEVEL))


def studies(accession: AccessionNumber, keys: Keys, parents: Mapping[str, str] = NO_PARENTS) -> Dataset:
    """`parents`, here and below: unique keys of the levels above, where the model has them."""
    return identifier("STUDY", {**parents, "AccessionNumber": accession.value}, keys.study)


def with_issuer(asked: Dataset) -> Dataset:
    """The same question, which also wants to know whose the accession number is (PS3.3 C.7.2.1)."""
    return with_sequence(asked, ISSUER, *ISSUED_BY)


def searchable(patient_id: str) -> bool:
    """Whether it may be sent as a key: not blank, no wildcard, no list (PS3.4 C.2.2.2.4)."""
    return bool(patient_id.strip()) and re.fullmatch(r"[^*?\\\x00-\x1f\x7f]{1,64}", patient_id) is not None


def studies_of_patient(patient_id: str, days: tuple[str, str], keys: Keys) -> Dataset:
    """`days`: the first and the last, DA (range matching, PS3.4 C.2.2.2.5)."""
    return identifier("STUDY", {"PatientID": patient_id, "StudyDate": "-".join(days)}, keys.study)


def series(parents: Mapping[str, str], keys: Keys) -> Dataset:
    return identifier("SERIES", parents, keys.series)

"""The facts that rooms hand to each other: frozen, without behaviour beyond their own validity.

What identifies a patient is kept out of `repr` (`field(repr=False)`), so that no log or traceback can show it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from gateway.errors import Refused

Buffer: TypeAlias = bytes | bytearray | memoryview

MAX_ACCESSION_LENGTH = 64
"""Characters. SH allows 16 (PS3.5 6.2), real PACS hold longer ones; a longer one than this is a mistake of the view."""


@dataclass(frozen=True)
class AccessionNumber:
    """An accession number that may be sent to a PACS: never blank, never a wildcard (PS3.4 C.2.2.2.4).

    Raises `Refused` with reason `accession.blank`, `.too-long`, `.wildcard` or `.control-character`.
    Make it from foreign text with `AccessionNumber.from_text`, which strips padding first.
    """

    value: str = field(repr=False)

    def __post_init__(self) -> None:
        reason = _why_not(self.value)
        if reason:
            raise Refused(f"accession.{reason}", "this accession number cannot be asked for")

    @classmethod
    def from_text(cls, text: str) -> AccessionNumber:
        """Strips what is invisible at both ends (spaces, NBSP, zero-width, CHAR padding), then checks."""
        return cls(strip_invisible(text))

    def __str__(self) -> str:
        return "<accession number>"


def strip_invisible(text: str) -> str:
    """`text` without Unicode format characters anywhere and without separators and NULs at its ends."""
    seen = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return seen.strip(
        " \0\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
    )


def _why_not(value: str) -> str:
    if not strip_invisible(value):
        return "blank"
    if len(value) > MAX_ACCESSION_LENGTH:
        return "too-long"
    if any(c in "*?\\" for c in value):
        return "wildcard"
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in value):
        return "control-character"
    return ""


MODALITIES = frozenset({
    "ANN", "AR", "ASMT", "AU", "BDUS", "BI", "BMD", "CFM", "CR", "CT", "CTPROTOCOL", "DG", "DMS", "DOC", "DX", "ECG",
    "EEG", "EMG", "EOG", "EPS", "ES", "FID", "GM", "HC", "HD", "IO", "IOL", "IVOCT", "IVUS", "KER", "KO", "LEN", "LS",
    "M3D", "MG", "MR", "NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPTBSV", "OPTENF", "OPV", "OSS", "OT", "PA", "PLAN",
    "POS", "PR", "PT", "PX", "REG", "RESP", "RF", "RG", "RTDOSE", "RTIMAGE", "RTINTENT", "RTPLAN", "RTRAD",
    "RTRECORD", "RTSEGANN", "RTSTRUCT", "RWV", "SEG", "SM", "SMR", "SR", "SRF", "STAIN", "TEXTUREMAP", "TG", "US",
    "VA", "XA", "XAPROTOCOL", "XC",
})  # fmt: skip
"""PS3.3 C.7.3.1.1.1: the only words a Modality may be shown or stored as. Anything else could be anything."""


def known_modality(text: str) -> str:
    """`text` when it is a term of the standard, else ""."""
    return text if text in MODALITIES else ""


@dataclass(frozen=True)
class Wanted:
    """One examination the RIS wants for one project: what becomes a request."""

    project: str
    accession: AccessionNumber
    patient_id: str = field(default="", repr=False)
    study_date: str = field(default="", repr=False)  # DA, YYYYMMDD, or ""
    modality: str = ""
    issuer: str = field(default="", repr=False)  # of the accession number: the same at two sites is two examinations


BAD_DATE: Final = "csv.study-date"
CONTRADICTED: Final = "csv.contradicted"
NOT_TEXT: Final = "accession.not-text"
MENDABLE: Final = frozenset({BAD_DATE, CONTRADICTED, NOT_TEXT})
"""Why a line with a good accession number is set aside: only these can be mended for the same number."""


@dataclass(frozen=True)
class SetAside:
    """A RIS row that cannot become a request. `text`: the accession number as it came, for look-up by hash only."""

    project: str
    text: str = field(repr=False)
    reason: str  # accession.blank, accession.null, accession.too-long, accession.wildcard, ...


@dataclass(frozen=True)
class Verdict:
    """What a selection rule says. `reason` is "" when kept, else names the rule: `select.series`, `select.study.error`."""

    keep: bool
    reason: str = ""


@dataclass(frozen=True)
class FoundSeries:
    """One series in the PACS's answer. `attributes`: DICOM keyword -> str, float, list of str, or None, for rules."""

    StudyInstanceUID: str = field(repr=False)
    SeriesInstanceUID: str = field(repr=False)
    attributes: Mapping[str, object] = field(default_factory=dict, repr=False)
    instances: int | None = None  # NumberOfSeriesRelatedInstances as counted, None = unknown
    PatientID: str = field(default="", repr=False)  # of its study


@dataclass(frozen=True)
class FoundStudy:
    """One study in the PACS's answer, with all its series."""

    StudyInstanceUID: str = field(repr=False)
    attributes: Mapping[str, object] = field(default_factory=dict, repr=False)
    series: tuple[FoundSeries, ...] = ()


@dataclass(frozen=True)
class PlannedSeries:
    """One series of a plan: retrieved when `verdict.keep`, else recorded as excluded with the reason.

    `named`: the patient of the RIS row. Where the PACS tells none, what comes has to be of that one (F5, D6).
    """

    pacs: str
    found: FoundSeries
    verdict: Verdict
    named: str = field(default="", repr=False)


class Agreement(StrEnum):
    """How one fact of a study compares with the RIS row."""

    AGREES = "agrees"
    DIFFERS = "differs"
    UNKNOWN = "unknown"  # the RIS or the PACS does not say


@dataclass(frozen=True)
class Evidence:
    """Which facts of a study are those of the RIS row. No values: it may be shown and logged."""

    accession: Agreement
    patient: Agreement
    date: Agreement
    modality: Agreement


@dataclass(frozen=True)
class Candidate:
    """A study that may be the examination. `standing`: `taken`, `left` (it is another one) or `held` (a person decides)."""

    StudyInstanceUID: str = field(repr=False)
    form: str  # the accession form that found it, or "patient-date"
    evidence: Evidence
    standing: str
    reason: str = ""  # of what is not taken: evidence.patient, evidence.date, ...
    pacs: str = ""


@dataclass(frozen=True)
class Plan:
    """What C-FIND and the selection rules made of one request. No series at all = an empty answer."""

    series: tuple[PlannedSeries, ...] = ()
    form: str = "{an}"  # the accession form that hit
    studies: int = 0
    dropped_rows: int = 0  # answers for another accession number
    candidates: tuple[Candidate, ...] = ()
    doubt: str = ""  # why a person has to decide: then there is no series
    study_date: str = field(default="", repr=False)  # DA of the newest study; "" when the PACS does not tell
    again: float | None = None  # epoch second at which it is asked once more, for it may still grow


class Outcome(StrEnum):
    """What became of one arriving instance (label `result` of instances_received_total, and the ledger's word)."""

    KEPT = "kept"
    EXCLUDED = "excluded"
    REFUSED = "refused"  # could not be cleaned or verified: dropped, its series says why
    DUPLICATE = "duplicate"
    UNSOLICITED = "unsolicited"
    HELD = "held"  # header clean and verified, pixels not yet proven clean: waits for the screening worker or a person


@dataclass(frozen=True)
class Kept:
    """A clean instance: `parts` joined are a whole Part 10 file (PS3.10). All UIDs are the new ones."""

    parts: tuple[Buffer, ...] = field(repr=False)
    SOPInstanceUID: str
    profile: str  # version hash of the de-identification profile


@dataclass(frozen=True)
class Held:
    """As `Kept`, but its pixels are not proven clean: it may wait in `held/`, never go to the outbox as it is. `reason` a slug."""

    parts: tuple[Buffer, ...] = field(repr=False)
    SOPInstanceUID: str
    profile: str
    reason: str


@dataclass(frozen=True)
class Dropped:
    """An instance that is not kept. `outcome` EXCLUDED (a rule) or REFUSED (not proven clean); `reason` a slug."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class LedgerLine:
    """One arrived instance in its series' ledger. `instance`: keyed hash of the original SOPInstanceUID (hex)."""

    instance: str
    outcome: Outcome
    reason: str = ""
    file: str = ""
    size: int = 0
    checksum: str = ""  # of the file (`state.checksum`), hex
    profile: str = ""  # version hash of the de-identification profile that made the file

"""How a study that may be the examination of a request is shown: what agrees with the RIS row and what does not, no values."""

from __future__ import annotations

from typing import Any, Final

from gateway.run import console
from gateway.state.evidence import CandidateView

STUDY: Final = {
    "Key": "key", "Request": "request", "PACS": "pacs", "Found by": "form", "Accession": "accession", "Patient": "patient",
    "Date": "date", "Modality": "modality", "Standing": "standing", "Reason": "reason", "Decision": "decision", "Since": "at",
}  # fmt: skip
STUDY_COLUMNS: Final = tuple(STUDY)


def study(one: CandidateView) -> dict[str, Any]:
    """JSON-able; times are ISO."""
    return {**vars(one), "at": console.when(one.at)}


def study_row(told: dict[str, Any]) -> tuple[object, ...]:
    return tuple(told[name] for name in STUDY.values())

"""How a study that may be the examination of a request is shown: what agrees with the RIS row and what does not, no values."""

from __future__ import annotations

from typing import Any, Final

from gateway.run import console
from gateway.state.evidence import CandidateView

STUDY_COLUMNS: Final = (
    "Key", "Request", "PACS", "Found by", "Accession", "Patient", "Date", "Modality", "Standing", "Reason", "Decision", "Since",
)  # fmt: skip


def study(one: CandidateView) -> dict[str, Any]:
    """JSON-able; times are ISO."""
    return {**vars(one), "at": console.when(one.at)}


def study_row(told: dict[str, Any]) -> tuple[object, ...]:
    return (
        told["key"], told["request"], told["pacs"], told["form"], told["accession"], told["patient"], told["date"],
        told["modality"], told["standing"], told["reason"], told["decision"], told["at"],
    )  # fmt: skip

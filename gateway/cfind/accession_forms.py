"""The ways in which a PACS may write an accession number, from `pacs.accession_forms`. Pure.

A template is text with one `{an}` in it, whose format may fill up (`{an:0>10}`: zeros to ten characters) or cut off (`{an:.16}`:
what fits into SH). They are asked in their order, the later ones only when nothing is found (F2, F3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.errors import Refused
from gateway.model import AccessionNumber, FoundStudy, Wanted


@dataclass(frozen=True)
class Form:
    """`cut`: characters are lost, so that other accession numbers look the same; a study needs more evidence than that."""

    template: str
    accession: AccessionNumber
    cut: bool


def forms(accession: AccessionNumber, templates: Sequence[str]) -> Iterator[Form]:
    """Each value once; one that may not be sent is left out."""
    seen = set()
    for template in templates:
        try:
            made = AccessionNumber.from_text(template.format(an=accession.value))
        except Refused:
            continue
        if made.value not in seen:
            seen.add(made.value)
            yield Form(template, made, cut=accession.value not in made.value)


def agrees(study: FoundStudy, wanted: Wanted | None) -> bool:
    """Patient or day are those that the RIS names."""
    pairs = (("PatientID", wanted.patient_id), ("StudyDate", wanted.study_date)) if wanted else ()
    return any(told and study.attributes.get(keyword) == told for keyword, told in pairs)

"""The ways in which a PACS may write an accession number, from `pacs.accession_forms`. Pure.

A template is text with one `{an}` in it, whose format may fill up (`{an:0>10}`: zeros to ten characters) or cut off (`{an:.16}`:
what fits into SH). They are asked in their order, the later ones only when nothing is found (F2, F3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.errors import Refused
from gateway.model import AccessionNumber


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


def alike(told: str, wanted: str) -> bool:
    """Whether two accession numbers are one, written in two ways: case, zeros in front, words and signs around the digits."""
    one, other = sorted((_core(told), _core(wanted)), key=len)
    return bool(one) and re.fullmatch(rf"[A-Z_0]*{re.escape(one)}[A-Z_]*", other) is not None


def _core(text: str) -> str:
    """Letters and digits; what else there is as `_`, which no zero in front is cut across."""
    return re.sub(r"[^A-Z0-9]+", "_", text.upper()).strip("_").lstrip("0")

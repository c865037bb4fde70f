"""`find`: what the PACS has under an accession number, and what of it the project would keep. Retrieves and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from gateway.cfind.findscu import Finder
from gateway.cfind.select import CompiledSelect, Found, plan
from gateway.errors import Refused, Retry
from gateway.model import AccessionNumber, Plan, known_modality
from gateway.run import console, wiring
from gateway.run.commands.options import config_option, json_option, project_option, sensitive, settings_for
from gateway.settings import Project, Settings, project_named

COLUMNS: Final = ("Accession", "PACS", "Study", "Series", "Modality", "Instances", "Verdict", "Reason")

Document = dict[str, Any]


class Uncounted:
    """Metrics of a command that has nobody to show them to."""

    def add(self, name: str, value: float = 1, **labels: str) -> None:
        """Counts nothing."""

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Measures nothing."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Shows nothing."""


@dataclass(frozen=True)
class Asking:
    """A project's PACS, in the order in which they are asked, and its rules."""

    finders: Sequence[tuple[str, Finder]]
    select: CompiledSelect


@click.command()
@project_option
@click.argument("accessions", nargs=-1, required=True, metavar="ACCESSION...", type=sensitive)
@config_option
@json_option
def find(project: str, accessions: tuple[str, ...], config: Path, as_json: bool) -> int:
    """Ask the PACS, and show what would be kept or excluded and why. Retrieves nothing, writes nothing.

    1 when a question could not be answered; 3 when a PACS cannot be reached. Each ACCESSION may be -: a line of standard input.
    """
    settings = settings_for(config)
    asked = project_named(settings, project)
    numbers = [_number(i, text) for i, text in enumerate(accessions, start=1)]
    with ExitStack() as stack:
        asking = _asking(settings, asked, stack)
        answers = [_answer(text, number, asking) for text, number in zip(accessions, numbers, strict=True)]
    if as_json:
        console.emit({"project": project, "answers": answers})
    else:
        console.table(f"Found for {project}", COLUMNS, [row for answer in answers for row in _rows(answer)])
    return 1 if any(answer["error"] for answer in answers) else 0


def _number(ordinal: int, text: str) -> AccessionNumber:
    try:
        return AccessionNumber.from_text(text)
    except Refused as err:
        raise click.UsageError(f"ACCESSION {ordinal} cannot be asked for: {err.reason}") from None


def _asking(settings: Settings, project: Project, stack: ExitStack) -> Asking:
    finders = [(name, wiring.make_finder(settings, name, [project], Uncounted())) for name in project.pacs]
    for _, finder in finders:
        stack.callback(finder.close)
    return Asking(finders, wiring.make_select(project.select))


def _answer(text: str, number: AccessionNumber, asking: Asking) -> Document:
    """What the first PACS that has it says. A question that only this number makes fail is told and the others go on."""
    try:
        pacs, found = _found(number, asking)
    except Retry as err:
        if not err.charge:
            raise
        return {**_document(text, None, Plan()), "error": err.reason}
    return _document(text, pacs, plan(found, asking.select, pacs or ""))


def _found(number: AccessionNumber, asking: Asking) -> tuple[str | None, Found]:
    """Nothing is known of a RIS row here: a study is held only where several patients have the number."""
    doubtful: tuple[str | None, Found] = (None, Found())
    for name, finder in asking.finders:
        found = _asked(name, finder, number)
        if found.series:
            return name, found
        doubtful = (name, found) if found.doubt and not doubtful[0] else doubtful
    return doubtful


def _asked(name: str, finder: Finder, number: AccessionNumber) -> Found:
    try:
        return finder.find(number)
    except Retry as err:
        raise Retry(err.reason, f"pacs {name!r}: {err.detail or 'no answer'}", charge=err.charge) from None


def _document(text: str, pacs: str | None, answer: Plan) -> Document:
    """Studies and series by ordinal: their UIDs are not shown."""
    studies: dict[str, int] = {}
    series = [
        {
            "study": studies.setdefault(s.found.StudyInstanceUID, len(studies) + 1), "series": i,
            "modality": _modality(s.found.attributes), "instances": s.found.instances,
            "keep": s.verdict.keep, "reason": s.verdict.reason,
        }
        for i, s in enumerate(answer.series, start=1)
    ]  # fmt: skip
    head = {"accession": text, "pacs": pacs, "studies": answer.studies, "dropped_rows": answer.dropped_rows}
    return {**head, "error": "", "held": answer.doubt, "series": series}


def _modality(attributes: Mapping[str, object]) -> str:
    return known_modality(str(attributes.get("Modality") or ""))


def _rows(answer: Document) -> Iterator[tuple[object, ...]]:
    if not answer["series"]:
        reason = answer["error"] or answer["held"]
        verdict = "failed" if answer["error"] else "held" if reason else "not found"
        yield answer["accession"], answer["pacs"] or "", "", "", "", "", verdict, reason
    for s in answer["series"]:
        verdict = "keep" if s["keep"] else "exclude"
        where = (answer["accession"], answer["pacs"], s["study"], s["series"])
        yield *where, s["modality"], s["instances"], verdict, s["reason"]

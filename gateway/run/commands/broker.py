"""`reidentify`, `withdraw`: the honest broker. Each use is written to the audit trail with the operating-system user, first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from gateway.errors import Fatal
from gateway.run import broker, caller, console
from gateway.run.broker import LATER, LISTED, REMOVED, Desk, Removal
from gateway.run.commands.options import config_option, json_option, one_sensitive, project_option, settings_for
from gateway.run.commands.state import opened
from gateway.state.persons import Known
from gateway.state.withdrawn import Order, Withdrawal

PATIENCE: Final = 15.0
"""Seconds that a courier gets to let go of what it is putting into an archive; then the daemon does the rest."""
COLUMNS: Final = ("Archive", "What was done", "Instances")
DONE: Final = {
    REMOVED: "removed",
    LISTED: "cannot delete: a person must, by the patient IDs above",
    LATER: "not reached; the daemon goes on",
}
NOTHING: Final = (
    "nothing of this patient was known or found in the project: is the ID written as the PACS writes it? "
    "what was given is barred"
)


@click.command()
@project_option
@click.argument("pseudonym")
@config_option
@json_option
def reidentify(project: str, pseudonym: str, config: Path, as_json: bool) -> int:
    """Whose PSEUDONYM it is: the patient ID, and the original UIDs of what was kept. 1 when nobody is known by it."""
    settings = settings_for(config, project)
    with opened(settings) as here:
        caller.only_owner(settings.state_dir)
        desk = broker.make_desk(settings, here)
        found = desk.look_up(project, pseudonym, user=caller.user())
        withdrawn = desk.broker.withdrawn_at(project, pseudonym)
    if as_json:
        console.emit({"found": [_document(one) for one in found], "withdrawn": withdrawn and console.when(withdrawn)})
    else:
        _show(found, withdrawn)
    return int(not found)


@click.command()
@project_option
@click.option(
    "--patient-id",
    metavar="ID",
    type=one_sensitive,
    help="Of the patient, as the PACS writes it; -: from standard input.",
)
@click.option("--pseudonym", metavar="P", help="Of the patient, in this project.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; kept sealed, and never in the audit trail.")
@config_option
@json_option
def withdraw(  # noqa: PLR0913  the options of the interface
    project: str, patient_id: str | None, pseudonym: str | None, reason: str, config: Path, as_json: bool
) -> int:
    """Take a patient out of a project, for good: what is under way is stopped, what was delivered is deleted.

    Nothing of the patient comes into the project again. 1 when an archive still has something: it cannot delete, or could
    not be reached, which the daemon goes on with.
    """
    if bool(patient_id and patient_id.strip()) == bool(pseudonym):
        raise click.UsageError("either --patient-id or --pseudonym")
    # Such as bytes in another encoding than the terminal's: nobody is called so.
    if patient_id and not patient_id.isprintable():
        raise click.UsageError("--patient-id: not text that a patient ID may be")
    if not reason.strip():
        raise click.UsageError("--reason: it is kept for good, and is empty")
    settings = settings_for(config, project)
    with opened(settings, create=True) as here:
        caller.only_owner(settings.state_dir)
        desk = broker.make_desk(settings, here)
        order = _order(desk, project, patient_id, pseudonym, reason)
        done = desk.withdraw(order, user=caller.user())
        outcomes = _carried_on(desk, done.key)
    _tell(order, done, outcomes, as_json=as_json)
    return int(any(o.result != REMOVED for o in outcomes))


def _order(desk: Desk, project: str, patient_id: str | None, pseudonym: str | None, reason: str) -> Order:
    if pseudonym and not desk.knows(project, pseudonym):
        raise Fatal("withdraw.unknown", "this is no pseudonym of the project, and nobody is known by it")
    patients = frozenset({patient_id} if patient_id else ())
    return desk.order(project, patients=patients, pseudonyms=frozenset({pseudonym} if pseudonym else ()), reason=reason)


def _carried_on(desk: Desk, key: str) -> list[Removal]:
    """Until every archive was asked once, or the patience is over: somebody is just putting something there."""
    until = time.monotonic() + PATIENCE
    desk.clear_what_was_coming()
    told: dict[str, Removal] = {}
    while True:
        told |= {o.sink: o for o in desk.carry_on() if o.withdrawal == key}
        left = [name for one in desk.unfinished() if one.key == key for name in one.sinks if name not in told]
        if not left or time.monotonic() > until:
            return [*told.values(), *(Removal(key, "", name, LATER, reason="deliver.busy") for name in left)]
        desk.clear_what_was_coming()


def _tell(order: Order, done: Withdrawal, outcomes: Sequence[Removal], *, as_json: bool) -> None:
    for one in outcomes:
        if one.detail:
            console.warn(f"{one.detail} ({one.reason})")
    if order.patients and not (done.series or done.requests or any(o.files for o in outcomes)):
        console.warn(NOTHING)
    if as_json:
        console.emit({
            "withdrawal": done.key, "pseudonyms": done.pseudonyms, "series": len(done.series), "requests": done.requests,
            "archives": [{"name": o.sink, "result": o.result, "files": o.files, "reason": o.reason} for o in outcomes],
        })  # fmt: skip
        return
    console.say(
        f"{done.key}: withdrawn from {order.project}: {len(done.series)} series, {done.requests} requests stopped"
    )
    for pseudonym in done.pseudonyms:
        console.say(f"patient ID in the archives: {pseudonym}")
    console.table("Archives", COLUMNS, [(o.sink, DONE[o.result], o.files) for o in outcomes])


def _show(found: Sequence[Known], withdrawn: float | None) -> None:
    if withdrawn is not None:
        console.say(f"withdrawn at {console.when(withdrawn)}; nothing is known of the patient any more")
    elif not found:
        console.warn("nobody is known by this pseudonym")
    for one in found:
        console.say(f"patient ID: {_written(one.patient) or '(none: known by the study alone)'}")
        console.table("Series", ("Study", "Series"), one.series)


def _document(one: Known) -> dict[str, object]:
    return {
        "patient_id": _written(one.patient),
        "series": [{"StudyInstanceUID": study, "SeriesInstanceUID": series} for study, series in one.series],
    }


def _written(patient: str) -> str:
    """As it is written: the crosswalk has it as Latin-1 of the bytes that stood in the data set, and most of those were UTF-8."""
    try:
        return patient.encode("latin-1").decode()
    except UnicodeError:
        return patient

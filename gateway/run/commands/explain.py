"""`explain`: everything that happened to one accession number, and why. The number itself is not repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from gateway.run import console
from gateway.run.commands.evidence import STUDY_COLUMNS, study, study_row
from gateway.run.commands.options import config_option, json_option, one_sensitive, settings_for
from gateway.run.commands.state import opened
from gateway.state.views import RequestView, Views

Document = dict[str, Any]

SERIES: Final = (
    "Series", "State", "Reason", "Next attempt", "PACS", "Modality", "Instances", "Kept", "Excluded", "Refused", "Held",
    "Why not kept",
)  # fmt: skip
HISTORY: Final = ("Time", "Of", "Event", "Before", "After", "Reason")
ASIDE: Final = ("Project", "Reason", "First seen", "Times")


@click.command()
@click.argument("accession", type=one_sensitive)
@config_option
@json_option
def explain(accession: str, config: Path, as_json: bool) -> int:
    """Tell everything that happened to an accession number and why.

    Each transition, each series with its state, each rule that excluded something. 1 when nothing is known about it, when
    it failed, or when it could only be set aside. ACCESSION may be -: it is then read from standard input, one line of one number.
    """
    with opened(settings_for(config)) as here:
        requests = [found_request(here.views, r) for r in here.views.by_accession(accession)]
        aside = [
            {"project": a.project, "reason": a.reason, "first_seen": console.when(a.first_seen), "times": a.times}
            for a in here.views.set_aside(accession)
        ]
    if as_json:
        console.emit({"requests": requests, "set_aside": aside})
    else:
        _show(requests, aside)
    return 1 if not requests or any(map(not_well, requests)) else 0


def found_request(views: Views, request: RequestView) -> Document:
    """A request with its `history` and its `series`, JSON-able; times are ISO."""
    history = [
        {"at": console.when(e.at), "subject": e.subject, "event": e.event, "before": e.before, "after": e.after, "reason": e.reason}
        for e in views.history(request.key)
    ]  # fmt: skip
    series = [
        {**vars(s), "reasons": dict(s.reasons), "next_attempt": console.when(s.next_attempt) or None}
        for s in views.series(request.key)
    ]
    counts = {"series_by_state": dict(request.series)}
    evidence = [study(one) for one in views.candidates(request.key)]
    return {**request_facts(request), **counts, "history": history, "series": series, "evidence": evidence}


def request_facts(request: RequestView) -> Document:
    """The view itself, JSON-able."""
    times = {name: console.when(getattr(request, name)) or None for name in ("not_before", "created", "updated")}
    return {**vars(request), **times, "series": dict(request.series)}


def not_well(request: Document) -> bool:
    return bool(request["state"] == "failed")


def show_request(request: Document) -> None:
    """The tables of what `found_request` gave."""
    shown = {name: request[name] for name in ("project", "state", "reason", "attempts", "empties")}
    times = {
        "begun": request["created"],
        "updated": request["updated"],
    }  # for the last time: retried, grown, files that came late
    waits = request["state"] == "empty" or (request["state"] == "new" and request["reason"])
    again = {"asked again": request["not_before"] or "never"} if waits else {}
    console.facts(request["key"], shown | times | again)
    if request["evidence"]:
        console.table("Studies found", STUDY_COLUMNS, map(study_row, request["evidence"]))
    rows = [_series(s) for s in request["series"]]
    console.table("Series", SERIES, rows)
    console.table("History", HISTORY, [tuple(event.values()) for event in request["history"]])


def _series(s: Document) -> tuple[object, ...]:
    return (
        s["key"], s["state"], s["reason"], s["next_attempt"] or "", s["pacs"], s["modality"], s["expected"], s["kept"],
        s["excluded"], s["refused"], s["held"], console.counted(s["reasons"]),
    )  # fmt: skip


def _show(requests: list[Document], aside: list[Document]) -> None:
    if not requests and not aside:
        console.say("nothing is known about this number")
    for request in requests:
        show_request(request)
    if aside:
        console.table("Set aside", ASIDE, [tuple(a.values()) for a in aside])

"""`requests ...`: the work, seen and changed in the state itself, with the daemon running or not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import click

from gateway.accession import csvfile
from gateway.accession.rows import DATES
from gateway.model import BAD_DATE, CONTRADICTED, SetAside, Wanted
from gateway.run import console
from gateway.run.commands.explain import found_request, not_well, request_facts, show_request
from gateway.run.commands.options import (
    config_option,
    json_option,
    our_key,
    project_option,
    settings_for,
    some_project_option,
)
from gateway.run.commands.state import opened
from gateway.run.commands.trace import trace
from gateway.run.opening import State
from gateway.state import machine
from gateway.state.change import CANCELLABLE, RETRIABLE
from gateway.state.listed import Listed
from gateway.state.views import RequestView

BATCH: Final = 500  # requests in one transaction: for one at a time the daemon waits
COLUMNS: Final = ("Key", "Project", "State", "Reason", "Attempts", "Asked again", "Series", "Changed")


@click.group()
def requests() -> None:
    """The work: accession numbers on their way into an archive."""


requests.add_command(trace)


@requests.command("list")
@click.option("--state", type=click.Choice(list(machine.REQUEST)), help="In this state only.")
@some_project_option
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=200, show_default=True, help="At most so many.")
@config_option
@json_option
def list_(state: str | None, project: str | None, limit: int, config: Path, as_json: bool) -> int:
    """List requests, the one that changed last first."""
    with opened(settings_for(config), project=project) as here:
        found = here.views.requests(state=state, project=project, limit=limit + 1)
    shown = found[:limit]
    if as_json:
        console.emit([request_facts(request) for request in shown])
    else:
        console.table("Requests", COLUMNS, map(_row, shown))
    if len(found) > limit:
        console.warn(f"the first {limit} only; --limit shows more")
    return 0


@requests.command()
@click.argument("key", type=our_key)
@config_option
@json_option
def show(key: str, config: Path, as_json: bool) -> int:
    """Show one request: its series, and everything that happened. 1 when it is unknown or failed."""
    with opened(settings_for(config)) as here:
        request = here.views.request(key)
        if request is None:
            console.warn("no request has this key")
            return 1
        found = found_request(here.views, request)
    if as_json:
        console.emit(found)
    else:
        show_request(found)
    return int(not_well(found))


@requests.command()
@click.argument("keys", nargs=-1, type=our_key, metavar="[KEY]...")
@click.option("--all", "every", is_flag=True, help="Every one in the given --state.")
@click.option("--state", type=click.Choice(list(RETRIABLE)), help="With --all: in this state.")
@click.option("--project", metavar="P", help="With --all: of this project only.")
@config_option
def retry(keys: tuple[str, ...], every: bool, state: str | None, project: str | None, config: Path) -> int:
    """Ask again for requests that failed, came back empty, are held or were cancelled.

    1 when one of the KEYs is in no such state, or unknown.
    """
    names, settings = _chosen(keys, state, project, every=every), settings_for(config, project)
    with opened(settings) as here:
        changed = here.store.retry(keys=names, state=state, project=project, now=time.time())
    return _changed(changed, names, "asked for again", "failed, empty, held or cancelled")


@requests.command()
@click.argument("keys", nargs=-1, type=our_key, metavar="[KEY]...")
@click.option("--all", "every", is_flag=True, help="Every one in the given --state.")
@click.option("--state", type=click.Choice(list(CANCELLABLE)), help="With --all: in this state.")
@click.option("--project", metavar="P", help="With --all: of this project only.")
@config_option
def cancel(keys: tuple[str, ...], every: bool, state: str | None, project: str | None, config: Path) -> int:
    """Cancel requests that are not over. 1 when one of the KEYs is over, or unknown."""
    names = _chosen(keys, state, project, every=every)
    with opened(settings_for(config), project=project) as here:
        cancelled = here.store.cancel(keys=names, now=time.time()) if names else _cancel_all(here, state, project)
    return _changed(cancelled, names, "cancelled", "new, empty, held or planned")


@requests.command()
@project_option
@click.argument("file", type=click.File("rb"), default="-", metavar="[FILE.csv|-]")
@click.option("--again", is_flag=True, help="Ask once more for those that are done: the project's rules have changed.")
@config_option
@json_option
def add(project: str, file: IO[bytes], again: bool, config: Path, as_json: bool) -> int:
    """Add accession numbers from a CSV file or standard input: the back-fill.

    The first line names the columns. Read are accession_number, and patient_id, study_date, modality, accession_issuer if
    there are any; others are told by their place. A study_date is understood as 20260503, 2026-05-03, 2026/05/03 or 3.5.2026.
    A number that is known already takes from its line what that says of patient, date and modality.

    A line that cannot become a request, or whose date is not understood, is set aside and told by its number, never by its
    content; lines of withdrawn patients are counted. The exit code is 1 when there are any of these.
    """
    settings = settings_for(config, project)
    listed = csvfile.read(project, file)
    with opened(settings, create=True) as here:
        told = _added(here, project, listed)
        if again:
            told["again"] = _asked_again(here, listed)
    lines = [{"line": bad.line, "reason": bad.row.reason} for bad in listed.bad]
    if as_json:
        console.emit({**told, "lines": lines, "columns_not_read": listed.unread})
    else:
        _show_added(told, lines)
    _warn_of_lost(listed)
    return 1 if lines or told["withdrawn"] else 0


def _cancel_all(here: State, state: str | None, project: str | None) -> int:
    """In pieces, as they were added: the daemon waits for none of them."""
    cancelled = 0
    while keys := [found.key for found in here.views.requests(state=state, project=project, limit=BATCH)]:
        some = here.store.cancel(keys=keys, now=time.time())
        if not some:  # all of them have gone on by themselves meanwhile
            break
        cancelled += some
        here.database.rest()
    return cancelled


def _added(here: State, project: str, listed: csvfile.Listed) -> dict[str, int]:
    """How many lines became what: all of the file's, but `changed`, which counts requests, beside the others."""
    new = known = changed = 0
    amend = Listed(here.database, here.keys).amend
    for wanted, aside in _batches(listed):
        now = time.time()
        added = here.store.add_requests(wanted, aside, project=project, cursor=None, now=now)
        changed += amend(wanted, now=now)
        new, known = new + added.new, known + added.known
    withdrawn = len(listed.wanted) - new - known  # the store takes in no others
    return {
        "new": new, "known": known, "changed": changed,
        "repeated": listed.repeated, "withdrawn": withdrawn, "set_aside": len(listed.bad),
    }  # fmt: skip


def _asked_again(here: State, listed: csvfile.Listed) -> int:
    ask_again = Listed(here.database, here.keys).ask_again
    return sum(ask_again(wanted, now=time.time()) for wanted, _ in _batches(listed))


def _show_added(told: Mapping[str, int], lines: Sequence[Mapping[str, object]]) -> None:
    console.say(
        f"{told['new']} new, {told['known']} known already, {told['repeated']} repeated, "
        f"{told['withdrawn']} of withdrawn patients, {told['set_aside']} set aside"
    )
    if told["changed"]:
        console.say(f"requests changed by what the file says: {told['changed']}")
    if "again" in told:
        console.say(f"requests that were done and are asked for again: {told['again']}")
    if lines:
        console.table("Set aside", ("Line", "Reason"), [tuple(line.values()) for line in lines])


def _warn_of_lost(listed: csvfile.Listed) -> None:
    """What the file holds and was not understood, by place."""
    if listed.unread:
        count = "1 column is" if len(listed.unread) == 1 else f"{len(listed.unread)} columns are"
        console.warn(f"{count} not read: {', '.join(map(str, listed.unread))}; known are {', '.join(csvfile.KNOWN)}")
    reasons = {bad.row.reason for bad in listed.bad}
    if BAD_DATE in reasons:
        console.warn(f"{BAD_DATE}: a study_date is understood as: {DATES}")
    if CONTRADICTED in reasons:
        console.warn(f"{CONTRADICTED}: lines of one number name two patients or two days; leave the right one")


def _batches(listed: csvfile.Listed) -> Iterator[tuple[Sequence[Wanted], Sequence[SetAside]]]:
    for at in range(0, len(listed.wanted), BATCH):
        yield listed.wanted[at : at + BATCH], ()
    for at in range(0, len(listed.aside), BATCH):
        yield (), listed.aside[at : at + BATCH]


def _chosen(keys: Sequence[str], state: str | None, project: str | None, *, every: bool) -> tuple[str, ...]:
    """The keys, each once. Raises UsageError unless there are some, or else `every` one of a state."""
    if every == bool(keys) or every != bool(state) or (project and not every):
        raise click.UsageError("either KEY..., or --all --state S [--project P]")
    return tuple(dict.fromkeys(keys))


def _changed(changed: int, names: Sequence[str], done: str, needed: str) -> int:
    console.say(f"{changed} {done}")
    left = len(names) - changed
    if names and left:
        console.warn(f"{left} of {len(names)} not: no such request, or not in state {needed}")
    return 1 if names and left else 0


def _row(request: RequestView) -> tuple[object, ...]:
    again = console.when(request.not_before) if request.state == "empty" else ""
    return (
        request.key, request.project, request.state, request.why, request.attempts, again,
        console.counted(request.series), console.when(request.updated),
    )  # fmt: skip

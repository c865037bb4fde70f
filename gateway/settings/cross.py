"""What one part of the configuration says about another. Works on the raw values, so that a mistake elsewhere hides none here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from pydicom.datadict import dictionary_VR

from gateway.settings.element import parse_element, replace_fault
from gateway.settings.finding import Finding, Place, Raw, entries, nearest, shown, texts
from gateway.settings.query import binds, selects
from gateway.settings.schema import Settings
from gateway.settings.units import duration

ANY_ADDRESS: Final = ("0.0.0.0", "::")  # no set: what is looked for may be unhashable
FULL_DATES: Final = "retain-longitudinal-full-dates"
MODIFIED_DATES: Final = "retain-longitudinal-modified-dates"


def contradictions(raw: Raw) -> Iterator[Finding]:
    """Every finding about settings that do not fit together."""
    checks: tuple[Callable[[Raw], Iterator[Finding]], ...] = (
        _names_twice, _unknown_names, _cursors, _opt_outs, _plain_audit, _rechecks, _dates, _kept_dates, _crosswalks, _elements,
        _replacements, _no_delivery, _delivery_paths, _no_server, _same_port,
    )  # fmt: skip
    for check in checks:
        yield from check(raw)


def _names_twice(raw: Raw) -> Iterator[Finding]:
    for pattern in ("pacs.*.name", "ris.*.name", "project.*.name"):
        yield from _twice(texts(raw, pattern), "a name of its own")
    for place, pacs in entries(raw, "project.*.pacs"):
        yield from _twice(((place + inner, name) for inner, name in texts(pacs, "*")), "each PACS once")


def _twice(named: Iterator[tuple[Place, str]], allowed: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for place, name in named:
        if name in seen:
            yield Finding(place, f"found {shown(name)} a second time", allowed)
        seen.add(name)


def _unknown_names(raw: Raw) -> Iterator[Finding]:
    yield from _unknown(raw, "project.*.pacs.*", "pacs")
    yield from _unknown(raw, "project.*.source.ris", "ris")


def _unknown(raw: Raw, pattern: str, kind: str) -> Iterator[Finding]:
    known = [name for _, name in texts(raw, f"{kind}.*.name")]
    for place, name in texts(raw, pattern):
        if name not in known:
            meant = nearest(name, known)
            listed = f"one of: {', '.join(map(shown, known))}" if known else f"add a [[{kind}]] of that name"
            yield Finding(
                place, f"no [[{kind}]] is called {shown(name)}", f"did you mean {shown(meant)}?" if meant else listed
            )


def _cursors(raw: Raw) -> Iterator[Finding]:
    for place, query in texts(raw, "project.*.source.query"):
        names, (_, index, _, _) = binds(query), place
        cursor = next((v for p, v in entries(raw, "project.*.source.cursor") if p[1] == index), None)
        if names - {"since"}:
            allowed = r"the only bound value is :since; write \: where a colon is meant"
            yield Finding(place, f"the query binds {', '.join(':' + n for n in sorted(names - {'since'}))}", allowed)
        if "since" in names and cursor is None:
            yield Finding(
                place, "the query has :since but there is no cursor", "name the column that :since follows: cursor"
            )
        if isinstance(cursor, str):
            yield from _cursor(place[:-1] + ("cursor",), cursor, query, bound="since" in names)


def _cursor(place: Place, cursor: str, query: str, *, bound: bool) -> Iterator[Finding]:
    if not bound:
        yield Finding(place, "the query has no :since", "a query with :since, such as: where changed_at >= :since")
    if not cursor.isidentifier() or not selects(query, cursor):
        yield Finding(place, f"found {shown(cursor)}", "the name of a column that the query selects")


def _opt_outs(raw: Raw) -> Iterator[Finding]:
    """A list is read whole: nothing is bound in its query."""
    for place, query in texts(raw, "project.*.source.opt_out"):
        for name in sorted(binds(query)):
            yield Finding(
                place, f"the query binds :{name}", r"a query for the whole list; write \: where a colon is meant"
            )
        if not selects(query, "patient_id"):
            yield Finding(place, "the query has no column patient_id", "such as: select patient_id from opt_out")


def _plain_audit(raw: Raw) -> Iterator[Finding]:
    for place, audit in entries(raw, "audit"):
        if isinstance(audit, Mapping) and audit.get("protocol") == "udp" and "tls" in audit:
            yield Finding((*place, "tls"), 'tls together with protocol = "udp"', "one of the two")


def _rechecks(raw: Raw) -> Iterator[Finding]:
    for place, _ in entries(raw, "project.*.source.recheck"):
        waits = [(p, _seconds(v)) for p, v in texts(raw, "project.*.source.recheck.*") if p[: len(place)] == place]
        for (_, before), (later, after) in pairwise(waits):
            if before is not None and after is not None and after <= before:
                yield Finding(later, "not longer than the one before", 'waits that widen, such as ["1h", "1d", "7d"]')


def _seconds(text: str) -> float | None:
    try:
        return duration(text)
    except ValueError:
        return None


def _dates(raw: Raw) -> Iterator[Finding]:
    for place, options in entries(raw, "project.*.deidentify.options"):
        if isinstance(options, tuple) and FULL_DATES in options and MODIFIED_DATES in options:
            yield Finding(place, f"{FULL_DATES} together with {MODIFIED_DATES}", "one of the two (PS3.15 E.3.6)")


def _kept_dates(raw: Raw) -> Iterator[Finding]:
    """A date that stays, beside the same day shifted elsewhere, tells by how much all dates of the patient were shifted."""
    for place, section in entries(raw, "project.*.deidentify"):
        if MODIFIED_DATES not in (name for _, name in texts(section, "options.*")):
            continue
        for inner, name in texts(section, "keep.*"):
            tag = parse_element(name)
            if tag is not None and dictionary_VR(tag) in ("DA", "DT"):
                yield Finding(
                    place + inner, f"{shown(name)} together with {MODIFIED_DATES}", "no date: it tells the shift"
                )


def _crosswalks(raw: Raw) -> Iterator[Finding]:
    named = {place[1] for place, _ in entries(raw, "project.*.deidentify.patient_id")}
    for place, _ in entries(raw, "project.*.deidentify.crosswalk"):
        if place[1] in named:
            yield Finding(place, "crosswalk together with patient_id", "one of the two")


def _elements(raw: Raw) -> Iterator[Finding]:
    """An element has one fate: it stands in one of keep, remove and replace, once."""
    for place, section in entries(raw, "project.*.deidentify"):
        named = [(p, name) for kind in ("keep", "remove") for p, name in texts(section, f"{kind}.*")]
        named += [(("replace", name), name) for name, _ in _items(section, "replace")]
        seen: set[int] = set()
        for inner, name in named:
            tag = parse_element(name)
            if tag in seen:
                yield Finding(place + inner, f"found {shown(name)} a second time", "one of keep, remove, replace, once")
            seen |= {tag} if tag is not None else set()


def _replacements(raw: Raw) -> Iterator[Finding]:
    for place, section in entries(raw, "project.*.deidentify"):
        for name, value in _items(section, "replace"):
            allowed = replace_fault(name, value) if isinstance(value, str) else None
            if allowed:
                yield Finding((*place, "replace", name), f"found {shown(name)} = {shown(value)}", allowed)


def _items(section: object, key: str) -> Iterator[tuple[str, object]]:
    for _, table in entries(section, key):
        if isinstance(table, Mapping):
            yield from table.items()


def _no_delivery(raw: Raw) -> Iterator[Finding]:
    for place, project in entries(raw, "project.*"):
        if isinstance(project, Mapping) and project.get("deliver", ()) == ():
            yield Finding((*place, "deliver"), "missing", "at least one [[project.deliver]]")


def _delivery_paths(raw: Raw) -> Iterator[Finding]:
    """A delivered archive holds nothing of ours, and no two projects share one."""
    state = next((v for _, v in texts(raw, "state_dir")), str(Settings.model_fields["state_dir"].default))
    seen: set[str] = set()
    for place, text in texts(raw, "project.*.deliver.*.path"):
        path = os.path.normpath(text)
        if path in seen:
            yield Finding(place, "another delivery has this path", "a folder of its own for each [[project.deliver]]")
        if _inside(path, state) or _inside(state, path):
            yield Finding(
                place, "this path and state_dir lie in one another", "a folder outside of state_dir, and not above it"
            )
        seen.add(path)


def _inside(path: str, folder: str) -> bool:
    return PurePosixPath(os.path.normpath(path)).is_relative_to(os.path.normpath(folder))


def _no_server(raw: Raw) -> Iterator[Finding]:
    """SQLite is a file: it has no password."""
    name = next((v for _, v in texts(raw, "database")), "sqlite")
    for place, _ in entries(raw, "database_password_file") if name == "sqlite" else ():
        yield Finding(place, 'database_password_file with database = "sqlite"', "leave it out")


def _same_port(raw: Raw) -> Iterator[Finding]:
    metrics, receiver = _endpoint(raw, "metrics"), _endpoint(raw, "receiver")
    meet = metrics[0] == receiver[0] or metrics[0] in ANY_ADDRESS or receiver[0] in ANY_ADDRESS
    if meet and metrics[1] == receiver[1]:
        place = ("metrics", "port") if list(entries(raw, "metrics.port")) else ("receiver", "port")
        yield Finding(place, f"{shown(metrics[1])} is the port of receiver and of metrics", "two different ports")


def _endpoint(raw: Raw, section: str) -> tuple[object, object]:
    """(bind, port) as set, or their defaults."""
    given = dict(entries(raw, f"{section}.bind")) | dict(entries(raw, f"{section}.port"))
    default = Settings.model_fields[section].default
    return given.get((section, "bind"), default.bind), given.get((section, "port"), default.port)

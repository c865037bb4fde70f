"""The schema's verdict on the raw configuration: pydantic's errors in words for the person who wrote the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.settings.finding import Finding, Place, Raw, nearest, shown, shown_at
from gateway.settings.kinds import FROM_FILE
from gateway.settings.schema import SINKS, Part, Settings

ALLOWED: Final[Mapping[str, str]] = MappingProxyType({
    "string_type": "text in quotes",
    "int_type": "a whole number, without quotes",
    "float_type": "a number, without quotes",
    "bool_type": "true or false, without quotes",
    "tuple_type": 'a list in brackets, such as ["..."]',
    "dict_type": "a table { key = value }",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "too_short": "at least one entry",
    "is_instance_of": "a path in quotes",
    "missing": "this setting is required",
})  # fmt: skip
"""What is allowed, by pydantic's type of error; what is not here brings its own words."""

INLINE: Final = re.compile(
    r"pass(word|wd|phrase)|^pwd$|secret|token|api_?key|access_?key|credential|^key$", re.IGNORECASE
)


def validated(raw: Raw) -> tuple[Settings | None, list[Finding]]:
    """The settings, or every finding of the schema."""
    try:
        return Settings.model_validate(raw, context=FROM_FILE), []
    except ValidationError as err:
        details = err.errors(include_url=False)
    return None, [_finding(detail) for detail in details if not _follows(detail)]


def _follows(error: ErrorDetails) -> bool:
    """pydantic counts a list's valid entries: "too short" then only follows from what it says about the others."""
    return error["type"] == "too_short" and bool(error["input"])


def _finding(error: ErrorDetails) -> Finding:
    loc, kind, value = error["loc"], error["type"], error["input"]
    place = _untagged(loc)
    context: Mapping[str, Any] = error.get("ctx", {})
    match kind:
        case "setting":
            return Finding(place, context["found"] or shown_at(place, value), context["allowed"])
        case "extra_forbidden":
            return _unknown(place, _section(loc))
        case "union_tag_invalid" | "union_tag_not_found":
            return _sink_type(place, value)
        case "missing" | "too_short" if place in (("pacs",), ("project",)):
            return Finding(place, "missing", f"at least one [[{place[0]}]]")
        case "missing":
            return Finding(place, "missing", ALLOWED[kind])
        case "literal_error":
            return Finding(place, shown_at(place, value), str(context["expected"]).replace("'", '"'))
        case "tuple_type" if _holds_sections(loc):
            return Finding(place, shown_at(place, value), f"a list of tables: [[{_dotted(place)}]]")
    return Finding(place, shown_at(place, value), ALLOWED.get(kind, error["msg"]))


def _unknown(place: Place, section: type[Part]) -> Finding:
    """A key that is not in the schema; its value may be anything, a secret too, and is not shown."""
    key, known = str(place[-1]), sorted(section.model_fields)
    spelt = nearest(key, known, likeness=0.85)
    ours = key in _plain(Settings)
    if INLINE.search(key) and not spelt and not ours:
        return Finding(place, "a secret written inline", _secret_mend(key, known))
    meant = spelt or nearest(key, known)
    listed = "known here: " + ", ".join(known)
    if ours:  # perhaps only slipped down; but a RIS has a database, and TLS a key, too
        listed += f"; the gateway's own {shown(key)} belongs above the first [table] of gateway.toml"
    return Finding(place, f"unknown key {shown(key)}", f'did you mean "{meant}"?' if meant else listed)


def _secret_mend(key: str, known: list[str]) -> str:
    files = [k for k in known if k.endswith("_file")]
    meant = nearest(f"{key}_file", files, likeness=0.0)
    return f'put it in a file of mode 0600 and name that file: {meant} = "..."' if meant else "no secret belongs here"


def _sink_type(place: Place, value: object) -> Finding:
    allowed = ", ".join(f'"{name}"' for name in SINKS)
    given = value.get("type") if isinstance(value, Mapping) else None
    return Finding((*place, "type"), "missing" if given is None else f"found {shown(given)}", f"one of {allowed}")


def _section(loc: Place) -> type[Part]:
    """The section of the schema in which the last key of `loc` stands."""
    section: type[Part] = Settings
    for step in loc[:-1]:
        if step in SINKS:
            section = SINKS[str(step)]
        elif isinstance(step, str):
            section = next(_parts(section.model_fields[step].annotation))
    return section


def _parts(annotation: object) -> Iterator[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)


def _plain(section: type[Part]) -> set[str]:
    """Its settings that are no tables themselves."""
    return {name for name, field in section.model_fields.items() if next(_parts(field.annotation), None) is None}


def _holds_sections(loc: Place) -> bool:
    annotation = _section(loc).model_fields[str(loc[-1])].annotation
    return next(_parts(annotation), None) is not None


def _untagged(loc: Place) -> Place:
    """pydantic puts the tag of a union into the path: project.0.deliver.0.directory.path."""
    return loc[:4] + loc[5:] if loc[0] == "project" and "deliver" in loc[2:3] and len(loc) > 4 else loc


def _dotted(place: Place) -> str:
    return ".".join(step for step in place if isinstance(step, str))

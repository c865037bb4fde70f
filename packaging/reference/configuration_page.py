"""docs/reference/configuration.md: every setting of gateway.toml, read from gateway/settings; sentences stand in settings.toml."""

from __future__ import annotations

import ast
import inspect
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final, get_args

from gateway.settings import schema
from gateway.settings.available import WORKS
from gateway.settings.schema import Part, Settings

SENTENCES: Final = Path(__file__).resolve().parent / "settings.toml"
HEAD: Final = """\
# Configuration reference

Made from [gateway/settings](../../gateway/settings/schema.py) by
packaging/reference/make_reference.py; a test compares. A commented example is [etc/gateway.toml](../../etc/gateway.toml).

Durations are `"30s"`, `"5m"`, `"2h"`, `"1d"`, at most `"3650d"`; sizes `"5 GiB"`, `"100 MB"`; rates `"40 MiB/s"`. Secrets never
stand in the file: settings that end in `_file`, and `key` of a `tls`, name a file that others cannot read (`key_file` of mode 0600,
the rest of 0640 or stricter), or `credential:NAME`, a systemd credential. Files in `projects.d/` beside gateway.toml each add one
`[[project]]`. A setting that is not listed here is refused, with its line.
"""
KINDS: Final[Mapping[str, str]] = {
    "Name": "name", "Node": "name", "AeTitle": "AE title", "Host": "host name or address", "Address": "IP address",
    "Network": "IP address or network", "Port": "1 to 65535", "Processes": 'number or "auto"', "Few": "1 to 64",
    "Many": "1 to 1000", "Rows": "0 to 1000000", "Duration": "duration", "Wait": "duration above 0", "Size": "size",
    "Lease": "duration", "Room": "size", "Rate": "rate", "AnyPath": "path", "AbsolutePath": "absolute path",
    "SocketPath": "absolute path", "SecretFile": "path or credential", "SecretName": "path or credential",
    "SqlUrl": "SQLAlchemy URL",
    "WebUrl": "URL", "BucketUrl": "s3 URL", "Database": "\"sqlite\" or URL", "Schedule": "cron or interval", "Window": "window",
    "Zone": "time zone", "Query": "SQL", "Layout": "template",
    "PatientId": "template", "AccessionForm": "template", "Element": "keyword or tag",
}  # fmt: skip
"""What a kind of gateway/settings/kinds.py is called here."""


@dataclass(frozen=True)
class Setting:
    """`place`: dotted, such as `pacs.port`."""

    place: str
    kind: str
    default: str


def sections() -> list[tuple[str, type[Part]]]:
    """(place, model) of every section, in the order in which they are written in the file."""
    found: list[tuple[str, type[Part]]] = []
    _walk("", Settings, found)
    return found


def _walk(place: str, model: type[Part], found: list[tuple[str, type[Part]]]) -> None:
    found.append((place, model))
    for name, field in model.model_fields.items():
        for part in dict.fromkeys(_parts(field.annotation)):
            special = f":{_sink(part)}" if name == "deliver" else ""
            _walk(f"{place}.{name}{special}".lstrip("."), part, found)


def _sink(part: type[Part]) -> str:
    return str(part.model_fields["type"].default)


def _parts(annotation: object) -> Iterator[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)


def settings_of(place: str, model: type[Part]) -> Iterator[Setting]:
    """Those of one section; a setting that is a section of its own is left to it."""
    kinds = written_kinds()[model.__name__]
    for name, field in model.model_fields.items():
        if not any(_parts(field.annotation)):
            # the default of `type` is only the word for its class: without the setting a delivery is refused
            default = (
                "required"
                if field.is_required() or name == "type"
                else _shown(field.get_default(call_default_factory=True))
            )
            yield Setting(f"{place}.{name}".lstrip("."), _kind(kinds[name]), default)


def written_kinds() -> dict[str, dict[str, ast.expr]]:
    """Class -> setting -> annotation, as schema.py has them."""
    tree = ast.parse(inspect.getsource(schema))
    return {
        node.name: {s.target.id: s.annotation for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)}
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }  # fmt: skip


def _kind(node: ast.expr) -> str:
    match node:
        case ast.BinOp(left=left):  # X | None
            return _kind(left)
        case ast.Attribute(attr=name):
            return KINDS.get(name, name.lower())
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[first, *_])):
            return f"list of {_kind(first)}"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=words):
            return " or ".join(
                f'"{w.value!s}"'
                for w in (words.elts if isinstance(words, ast.Tuple) else [words])
                if isinstance(w, ast.Constant)
            )
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[first, *rest])):
            return (
                "rule"
                if "rule_of" in ast.unparse(node)
                else "option"
                if "_option" in ast.unparse(rest[0])
                else _kind(first)
            )
        case ast.Subscript(value=ast.Name(id="dict")):
            return "table of keyword = text"
        case ast.Name(id=name):
            return {"str": "text", "bool": "true or false", "int": "number", "Element": KINDS["Element"]}[name]
    raise ValueError(ast.unparse(node))


def _shown(value: Any) -> str:
    match value:
        case None:
            return "absent"
        case bool():
            return str(value).lower()
        case tuple():
            return "[" + ", ".join(_shown(v) for v in value) + "]"
        case dict():
            return "{}"
        case float():
            return _duration(value)
        case int() if value >= 2**20:
            return f"{value / 2**30:g} GiB"
        case str() | PurePath():
            return f'"{value}"' if str(value) else "the host name"
    return str(value)


def _duration(seconds: float) -> str:
    """The largest unit that is whole."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def page() -> str:
    sentences = tomllib.loads(SENTENCES.read_text("utf-8"))
    return HEAD + "".join(_section(place, model, sentences) for place, model in sections())


def _section(place: str, model: type[Part], sentences: Mapping[str, str]) -> str:
    rows = [
        f"| `{s.place.rpartition('.')[2]}` | {s.kind} | {_default(s)} | {sentences.get(s.place, '')}{_works(s.place)} |"
        for s in settings_of(place, model)
    ]
    about = sentences.get(f"{place}." if place else ".", "")
    return (
        f"\n## {_title(place)}\n\n{about}\n\n| setting | value | default | |\n|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def _default(setting: Setting) -> str:
    return setting.default if setting.default in ("required", "absent") else f"`{setting.default}`"


def _title(place: str) -> str:
    return f"`{place}`" if place else "At the top of the file"


def _works(place: str) -> str:
    """What of it works in this version only, where not all of it does."""
    plain = place.partition(":")[0] if ":" in place else place
    for pattern, works in WORKS.items():
        if pattern.replace(".*", "").rstrip(".") == plain:
            allowed = ", ".join(f"`{w}`" for w in works if w) or "nothing yet"
            return f" In this version: {allowed}."
    return ""


def places() -> set[str]:
    """Every setting and, with a dot at its end, every section: what settings.toml must have sentences for."""
    found = {s.place for place, model in sections() for s in settings_of(place, model)}
    return found | {f"{place}." if place else "." for place, _ in sections()}

"""The files of a configuration as one: values in a single tree, and for every place the file and line it came from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.errors import BadConfiguration, Mistake
from gateway.settings.finding import Finding, Place, Raw, entries, shown
from gateway.settings.lines import key_lines, nearest_line
from gateway.settings.syntax import VALID, told

MAX_SIZE: Final = 1 << 20  # bytes; what is larger is no configuration
PROJECTS: Final = "projects.d"


@dataclass(frozen=True)
class File:
    """One file read: its values (lists as tuples) and the line of every key."""

    name: str
    raw: Raw
    lines: dict[Place, int]


@dataclass(frozen=True)
class Document:
    """`raw`: everything merged. `owners`: the file of each project, in their order in `raw`."""

    main: File
    raw: Raw
    owners: tuple[tuple[File, int], ...]
    strays: tuple[Mistake, ...] = ()
    files: tuple[str, ...] = field(default=())

    def mistake(self, finding: Finding) -> Mistake:
        """The finding with its file, line and a name for its place."""
        file, place = self._origin(finding.place)
        line = nearest_line(file.lines, place)
        return Mistake(file.name, line, self._name(finding.place), finding.found, finding.allowed)

    def order(self, mistake: Mistake) -> tuple[int, int]:
        """For sorting: by file, the main one first, then by line."""
        return self.files.index(mistake.file), mistake.line

    def _origin(self, place: Place) -> tuple[File, Place]:
        if len(place) > 1 and place[0] == "project" and isinstance(place[1], int) and place[1] < len(self.owners):
            file, index = self.owners[place[1]]
            return file, ("project", index, *place[2:])
        return self.main, place

    def _name(self, place: Place) -> str:
        """`project "chest-ct": source.schedule`, `receiver.peers[0].address`."""
        if len(place) > 1 and isinstance(place[1], int):
            name = dict(entries(self.raw, f"{place[0]}.*.name")).get((*place[:2], "name"))
            if isinstance(name, str):
                return f"{place[0]} {shown(name)}" + (f": {dotted(place[2:])}" if place[2:] else "")
        return dotted(place)


def dotted(place: Place) -> str:
    """`project[0].source.schedule`."""
    steps = (f"[{s}]" if isinstance(s, int) else "." + (s if s.isidentifier() else shown(s)) for s in place)
    return "".join(steps).removeprefix(".")


def read(path: Path) -> Document:
    """Raises BadConfiguration when a file cannot be read as TOML, with one mistake for each such file."""
    read_files = [_read(path), *_read_projects(path.parent / PROJECTS)]
    unreadable = tuple(f for f in read_files if isinstance(f, Mistake))
    if unreadable:
        raise BadConfiguration(unreadable)
    return _merge([f for f in read_files if isinstance(f, File)])


def _merge(files: list[File]) -> Document:
    main, *extras = files
    own = main.raw.get("project", ())
    names = tuple(f.name for f in files)
    strays = tuple(stray for f in extras for stray in _strays(f))
    if not isinstance(own, tuple):  # the schema says so
        return Document(main, main.raw, (), strays, names)
    owners = [(main, index) for index in range(len(own))]
    merged = list(own)
    for extra in extras:
        found = [value for _, value in entries(extra.raw, "project.*")]
        owners += [(extra, index) for index in range(len(found))]
        merged += found
    raw = {**main.raw, "project": tuple(merged)} if merged else main.raw
    return Document(main, raw, tuple(owners), strays, names)


def _strays(extra: File) -> list[Mistake]:
    """What may not stand in a file of projects.d."""
    allowed = "exactly one [[project]] in a file of projects.d, and nothing else"
    found = [
        Mistake(extra.name, nearest_line(extra.lines, (key,)), dotted((key,)), f"unknown key {shown(key)}", allowed)
        for key in extra.raw
        if key != "project"
    ]
    projects = extra.raw.get("project", ())
    if not isinstance(projects, tuple) or len(projects) != 1:
        line = nearest_line(extra.lines, ("project", 1))
        found.append(Mistake(extra.name, line, "project", "not one [[project]]", allowed))
    return found


def _read_projects(folder: Path) -> list[File | Mistake]:
    """The files of projects.d by name; editors' hidden files are none. A folder that cannot be listed is a mistake."""
    try:
        names = sorted(p.name for p in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as err:
        return [_unreadable(folder, err)]
    return [_read(folder / name) for name in names if name.endswith(".toml") and not name.startswith(".")]


def _read(path: Path) -> File | Mistake:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except OSError as err:
        return _unreadable(path, err)
    if len(content) > MAX_SIZE:
        return Mistake(str(path), 0, "file", "too large for a configuration", f"at most {MAX_SIZE} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = content.count(b"\n", 0, err.start) + 1
        return Mistake(str(path), line, "file", "not UTF-8 text", "a TOML file saved as UTF-8")
    return _parse(str(path), text)


def _unreadable(path: Path, err: OSError) -> Mistake:
    found = "there is no such file" if isinstance(err, FileNotFoundError) else f"cannot be read ({err.strerror})"
    allowed = "a readable TOML file; name another one with --config PATH or PACS_GATEWAY_CONFIG"
    return Mistake(str(path), 0, "configuration", found, allowed)


def _parse(name: str, text: str) -> File | Mistake:
    try:
        raw = {key: _frozen(value) for key, value in tomllib.loads(text).items()}
        return File(name, raw, key_lines(text))
    except tomllib.TOMLDecodeError as err:
        line, found, allowed = told(err, text)
        return Mistake(name, line, "TOML", found, allowed)
    except (
        ValueError,
        RecursionError,
    ):  # tomllib's own, on numbers of thousands of digits and on hundreds of nested lists
        return Mistake(name, 0, "TOML", "a number or nesting beyond all measure", VALID)


def _frozen(value: object) -> object:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return {key: _frozen(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value

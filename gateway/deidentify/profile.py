"""The effective de-identification profile of one project: Table E.1-1, the defaults, and the project's own overrides.

Precedence: `remove` over `replace` over `keep` over the table over the defaults. What an instance is known by (its UIDs, its
patient's pseudonym) and what says that it was de-identified is not open to overrides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pydicom._dicom_dict import DicomDictionary

from gateway.deidentify.actions import DUMMIES, PATIENT_ID, TEXT_VRS, Action, resolve
from gateway.deidentify.defaults import default_for, unnamed
from gateway.deidentify.encoding import PIXEL_TAGS, Codecs, make_codecs
from gateway.deidentify.override import BadProfile, check_patient_id, check_value, parse_tag
from gateway.deidentify.table import Row, Table, load_table
from gateway.settings import Deidentify

REVISION = "2"
"""Raised when the engine does something else with the same rules, so that the version hash tells."""

FIXED = frozenset({0x00080016, 0x00080018, 0x0020000D, 0x0020000E, PATIENT_ID, 0x00080005}) | PIXEL_TAGS
DELIMITERS = 0xFFFE
DATA_SET = 0x0008  # the first group of a data set (PS3.5 7.1)
MARKS = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280303})


@dataclass(frozen=True)
class Rule:
    """What is done to an element and which rule says so. `value`: of Action.VALUE."""

    action: Action
    source: str
    value: bytes = b""


PRIVATE = Rule(Action.REMOVE, "default: private")


class ProfileRow(NamedTuple):
    """One line of the `profile` command. `tag`: "(gggg,eeee)"."""

    tag: str
    keyword: str
    action: str
    rule: str


@dataclass(frozen=True)
class Profile:
    """`rules`: every tag of table and dictionary. `kept`: what the project keeps, which `verify` must not take for a leak."""

    version: str
    edition: str
    patient_id: str
    rules: Mapping[int, Rule] = field(repr=False)
    codecs: Codecs = field(repr=False)
    vrs: Mapping[int, bytes] = field(repr=False)
    groups: tuple[ProfileRow, ...] = field(repr=False)
    kept: frozenset[int] = frozenset()

    @staticmethod
    def unnamed(tag: int) -> Rule:
        """The rule for a tag that is not in `rules`."""
        return PRIVATE if tag >> 16 & 1 else Rule(Action.REMOVE, unnamed(tag))

    def rows(self) -> Iterator[ProfileRow]:
        """Every rule, in tag order; then those for groups of tags."""
        for tag in sorted(self.rules):
            rule = self.rules[tag]
            keyword = DicomDictionary[tag][4] if tag in DicomDictionary else ""
            yield ProfileRow(f"({tag >> 16:04X},{tag & 0xFFFF:04X})", keyword, rule.action.value, rule.source)
        yield from self.groups


def compile_profile(settings: Deidentify) -> Profile:
    """Raises BadProfile for an option, crosswalk or override that cannot be applied."""
    if settings.options or settings.crosswalk:
        raise BadProfile("de-identification options and the crosswalk are not available in this version")
    check_patient_id(settings.patient_id)
    table = load_table()
    vrs = {tag: _one_vr(entry[0]) for tag, entry in DicomDictionary.items() if tag >> 16 != DELIMITERS}
    vrs |= {int(row.tag, 16): row.vr.encode() for row in table.rows if row.vr}
    rules = _standard(table, vrs)
    kept = _override(rules, settings, vrs)
    groups = tuple(_group_rows(table))
    version = _version(table.edition, settings.patient_id, rules)
    return Profile(version, table.edition, settings.patient_id, rules, make_codecs(vrs), vrs, groups, kept)


def _one_vr(vr: str) -> bytes:
    """One VR where the dictionary has a choice: OW if it is one, which implicit encodings use (PS3.5 A.1), else the first."""
    return b"OW" if vr in ("OB or OW", "US or OW") else vr[:2].encode()


def _standard(table: Table, vrs: Mapping[int, bytes]) -> dict[int, Rule]:
    rules = {
        tag: _default(tag, vr, retired=bool(DicomDictionary[tag][3]))
        for tag, vr in vrs.items()
        if tag in DicomDictionary
    }
    for row in table.rows:
        if row.vr:  # a single tag; groups of tags fall under `unnamed`, which removes them
            rules[int(row.tag, 16)] = _of_row(row, table.edition, vrs)
    for tag in MARKS:
        rules[tag] = Rule(Action.REMOVE, "PS3.15 E.1.1: written anew")
    for tag in PIXEL_TAGS:
        rules[tag] = Rule(Action.REMOVE, "default: pixel data, kept at the top level only")
    return rules


def _of_row(row: Row, edition: str, vrs: Mapping[int, bytes]) -> Rule:
    tag, source = int(row.tag, 16), f"PS3.15 Table E.1-1 {edition} basic {row.basic}"
    if tag >> 16 < DATA_SET:  # of a command or of the file meta information
        return Rule(Action.REMOVE, f"{source}; no part of a data set")
    return Rule(resolve(row.basic, tag, vrs[tag]), source)


def _default(tag: int, vr: bytes, *, retired: bool) -> Rule:
    if retired:
        return Rule(Action.REMOVE, "default: retired")
    return Rule(*default_for(tag, vr))


def _override(rules: dict[int, Rule], settings: Deidentify, vrs: Mapping[int, bytes]) -> frozenset[int]:
    kept = _tags(settings.keep, rules)
    for tag in kept:
        rules[tag] = Rule(Action.ITEMS if vrs[tag] == b"SQ" else Action.KEEP, "project: keep")
    for name, text in settings.replace.items():
        (tag,) = _tags((name,), rules)
        if vrs[tag] not in TEXT_VRS or vrs[tag] not in DUMMIES:
            raise BadProfile(f"{name}: only text can be replaced by a fixed value")
        rules[tag] = Rule(Action.VALUE, "project: replace", check_value(name, text, vrs[tag]))
    for tag in _tags(settings.remove, rules):
        rules[tag] = Rule(Action.REMOVE, "project: remove")
    return frozenset(tag for tag in kept if rules[tag].source == "project: keep")


def _tags(names: Iterable[str], rules: Mapping[int, Rule]) -> frozenset[int]:
    tags = {parse_tag(name): name for name in names}
    for tag, name in tags.items():
        if tag in FIXED or tag in MARKS:
            raise BadProfile(f"{name}: decided by the gateway, not open to keep, remove or replace")
        if tag not in rules:
            raise BadProfile(f"{name}: no element of the standard; private elements are removed in this version")
    return frozenset(tags)


def _group_rows(table: Table) -> Iterator[ProfileRow]:
    for row in table.rows:
        if not row.vr:
            yield ProfileRow(
                row.tag, row.name, Action.REMOVE.value, f"PS3.15 Table E.1-1 {table.edition} basic {row.basic}"
            )
    for tag, what in (
        ("60xxxxxx", "rest of the overlay group"),
        ("ggggeeee", "any other"),
        ("gggg0000", "group length"),
    ):
        yield ProfileRow(tag, what, Action.REMOVE.value, "default")


def _version(edition: str, patient_id: str, rules: Mapping[int, Rule]) -> str:
    lines = [REVISION, edition, patient_id, *(f"{t:08X} {r.action} {r.value.hex()}" for t, r in sorted(rules.items()))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

"""The effective de-identification profile of one project: Table E.1-1, the defaults, and the project's own overrides.

Precedence: `remove` over `replace` over `keep` over the table's options over its Basic column over the defaults (see `options`
for options among themselves). What an instance is known by (its UIDs, its patient's pseudonym) and what says that it was
de-identified is not open to overrides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pydicom._dicom_dict import DicomDictionary

from gateway.deidentify.actions import DUMMIES, PATIENT_ID, TEXT_VRS, Action
from gateway.deidentify.actions import Rule as Rule
from gateway.deidentify.defaults import unnamed
from gateway.deidentify.encoding import PIXEL_TAGS, Codecs, make_codecs
from gateway.deidentify.options import Options, applied
from gateway.deidentify.override import BadProfile, check_patient_id, check_value, parse_tag
from gateway.deidentify.places import Special, make_special
from gateway.deidentify.sources import digests
from gateway.deidentify.standard import MARKS, Standard, make_standard
from gateway.deidentify.table import Table, load_table
from gateway.deidentify.types import load_types
from gateway.settings import Deidentify

REVISION = "9"
"""Raised when the engine does something else with the same rules, so that the version hash tells."""

FIXED = frozenset({0x00080016, 0x00080018, 0x0020000D, 0x0020000E, PATIENT_ID, 0x00080005}) | PIXEL_TAGS
DEPENDENT = {0x00120081: 0x00120082}
"""Ethics committee's name: Type 1C, there only beside the approval number (PS3.3 C.7.1.3)."""
PRIVATE = Rule(Action.REMOVE, "default: private")


class ProfileRow(NamedTuple):
    """One line of the `profile` command. `tag`: "(gggg,eeee)"."""

    tag: str
    keyword: str
    action: str
    rule: str


@dataclass(frozen=True)
class Profile:
    """`rules`: every tag of table and dictionary, as in an unknown IOD. `special`: what a known one changes.

    `kept`: tags whose original value is let through on purpose, which `verify` must not take for a leak.
    `version`: a hash of all that decides, the data files that are read included.
    """

    version: str
    edition: str
    patient_id: str
    options: Options
    rules: Mapping[int, Rule] = field(repr=False)
    special: Special = field(repr=False)
    codecs: Codecs = field(repr=False)
    vrs: Mapping[int, bytes] = field(repr=False)
    groups: tuple[ProfileRow, ...] = field(repr=False)
    kept: frozenset[int] = frozenset()

    @property
    def safe(self) -> bool:
        """Whether private elements that are known to be safe stay."""
        return self.options.safe_private

    @staticmethod
    def unnamed(tag: int) -> Rule:
        """The rule for a tag that is not in `rules`."""
        return PRIVATE if tag >> 16 & 1 else Rule(Action.REMOVE, unnamed(tag))

    def rules_at(self, sop_class: bytes, parent: int) -> Mapping[int, Rule]:
        """The rules that differ from `rules` in instances of `sop_class`, inside the sequence `parent` (0: at the top level)."""
        return self.special.rules_at(sop_class, parent)

    def rows(self) -> Iterator[ProfileRow]:
        """Every rule, in tag order; then those for groups of tags."""
        varying = self.special.varying()
        for tag in sorted(self.rules):
            rule = self.rules[tag]
            keyword = DicomDictionary[tag][4] if tag in DicomDictionary else ""
            told = rule.source + (BY_TYPE if tag in varying else "")
            yield ProfileRow(f"({tag >> 16:04X},{tag & 0xFFFF:04X})", keyword, rule.action.value, told)
        yield from self.groups


BY_TYPE = "; by the type in the IOD, this where it is unknown"


def compile_profile(settings: Deidentify) -> Profile:
    """Raises BadProfile for an option or override that cannot be applied."""
    check_patient_id(settings.patient_id)
    options, table = applied(settings.options), load_table()
    standard = make_standard(table, options)
    _drop_dependent(standard)
    overridden = _override(standard, settings)
    return Profile(
        version=_version(settings, options, standard.rules, digests(options)),
        edition=table.edition,
        patient_id=settings.patient_id,
        options=options,
        rules=standard.rules,
        special=make_special(standard, overridden, load_types()),
        codecs=make_codecs(standard.vrs),
        vrs=standard.vrs,
        groups=tuple(_group_rows(table, options)),
        kept=frozenset(tag for tag, rule in standard.rules.items() if rule.spared),
    )


def _drop_dependent(standard: Standard) -> None:
    """What the table replaces by a dummy, and PS3.3 forbids without another attribute that the table removes, goes with that."""
    for tag, needed in DEPENDENT.items():
        rule = standard.rules[tag]
        if rule.action is Action.DUMMY and standard.rules[needed].action is Action.REMOVE:
            told = f"{rule.source}; made stricter: goes with ({needed >> 16:04X},{needed & 0xFFFF:04X})"
            standard.rules[tag] = Rule(Action.REMOVE, told)


def _override(standard: Standard, settings: Deidentify) -> frozenset[int]:
    """Puts the project's own rules in place of the standard's. -> their tags."""
    rules, vrs = standard.rules, standard.vrs
    kept, removed = _tags(settings.keep, rules), _tags(settings.remove, rules)
    for tag in kept:
        rules[tag] = Rule(Action.ITEMS if vrs[tag] == b"SQ" else Action.KEEP, "project: keep", spared=True)
    for name, text in settings.replace.items():
        (tag,) = replaced = _tags((name,), rules)
        if vrs[tag] not in TEXT_VRS or vrs[tag] not in DUMMIES:
            raise BadProfile(f"{name}: only text can be replaced by a fixed value")
        rules[tag] = Rule(Action.VALUE, "project: replace", check_value(name, text, vrs[tag]))
        kept |= replaced
    for tag in removed:
        rules[tag] = Rule(Action.REMOVE, "project: remove")
    return kept | removed


def _tags(names: Iterable[str], rules: Mapping[int, Rule]) -> frozenset[int]:
    tags = {parse_tag(name): name for name in names}
    for tag, name in tags.items():
        if tag in FIXED or tag in MARKS:
            raise BadProfile(f"{name}: decided by the gateway, not open to keep, remove or replace")
        if tag not in rules:
            raise BadProfile(
                f"{name}: no element of the standard; private ones are kept by retain-safe-private or removed"
            )
    return frozenset(tags)


def _group_rows(table: Table, options: Options) -> Iterator[ProfileRow]:
    for row in table.rows:
        if not row.vr:
            source = f"PS3.15 Table E.1-1 {table.edition} basic {row.basic}"
            action = Action.REMOVE.value
            if row.tag == "private" and options.safe_private:
                action, source = (
                    "X; K if safe",
                    f"PS3.15 Table E.1-1 {table.edition} retain-safe-private C, Table E.3.10-1 and safe_private_more.csv",
                )
            yield ProfileRow(row.tag, row.name, action, source)
    for tag, what in (
        ("60xxxxxx", "rest of the overlay group"),
        ("ggggeeee", "any other"),
        ("gggg0000", "group length"),
    ):
        yield ProfileRow(tag, what, Action.REMOVE.value, "default")


def _version(settings: Deidentify, options: Options, rules: Mapping[int, Rule], sources: tuple[bytes, ...]) -> str:
    """The same for settings that do the same: neither the order of options nor of overrides matters."""
    lines = [REVISION, settings.patient_id, *options.names, str(settings.crosswalk is not None)]
    lines += [f"{tag:08X} {rule.action} {rule.value.hex()}" for tag, rule in sorted(rules.items())]
    return hashlib.sha256("\n".join((*lines, *(source.hex() for source in sources))).encode()).hexdigest()[:16]

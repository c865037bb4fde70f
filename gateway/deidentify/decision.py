"""What is done to one element, and its new value: the rule, made stricter where the element is not what it was made for."""

from __future__ import annotations

import re

from gateway.deidentify.actions import DUMMIES, TEXT_VRS, Action, Rule
from gateway.deidentify.charset import Charset
from gateway.deidentify.dates import age, birth, shift, years, zone
from gateway.deidentify.defaults import CODE_MEANING, mismatched
from gateway.deidentify.documents import empty_document
from gateway.deidentify.forms import is_legal
from gateway.deidentify.icc import clean_icc
from gateway.deidentify.meanings import is_standard
from gateway.deidentify.options import DATES, FREE_TEXT
from gateway.deidentify.pseudonym import PADDING
from gateway.deidentify.subject import Subject

WITH_ITEMS = (Action.ITEMS, Action.SCRUB)
CLEANED = (Action.TEXT, Action.SHIFT)
"""Of which nothing may be left, even where the object needs a value."""
NEVER_EMPTY = frozenset({0x00080070, 0x00080100, 0x00080104, 0x00080119, 0x0040A160, 0x00700006})
"""Text that is Type 1 or 1C nearly wherever it occurs: manufacturer, code, its meaning, text values."""
_NUMBERS = {
    0x00080119: re.compile(rb"[1-9][0-9]{6,7}1000[0-9]{3}10[0-9]").fullmatch,
    0x300A007B: re.compile(rb"[01]+").fullmatch,
}
"""Technical text that is a number: a long code of SNOMED CT, by its extension's namespace (100...) and partition (10), as citizens
have 18 digits, too; the days of fractions."""
Value = tuple[bytes, bytes, Charset]
"""VR, raw value, character set."""
NATURE: dict[Action, frozenset[bytes]] = {
    Action.SHIFT: DATES,
    Action.ZONE: frozenset((b"SH",)),
    Action.BIRTH: frozenset((b"DA", b"DT")),
    Action.AGE: frozenset((b"AS", b"DS")),
    Action.TEXT: FREE_TEXT,
    Action.ICC: frozenset((b"OB",)),
    Action.DOCUMENT: frozenset((b"OB",)),
}
"""What an action was made for; an element of any other VR is removed."""


def decide(rule: Rule, vr: bytes, known: bytes, *, scrub: bool) -> Action:
    """`vr`: as the element came. `known`: the dictionary's, b"" for none. `scrub`: in a sequence whose text all becomes dummies."""
    action = rule.action
    if vr == b"SQ":
        return action if action in (*WITH_ITEMS, Action.EMPTY) else Action.REMOVE
    if action in WITH_ITEMS:
        return Action.REMOVE
    if action in NATURE and vr not in NATURE[action]:
        return Action.EMPTY if known in NATURE[action] else Action.REMOVE
    if scrub and action in (Action.KEEP, Action.TEXT, Action.AGE) and vr in TEXT_VRS - DATES:
        return Action.UID if vr == b"UI" else Action.DUMMY
    if action is Action.KEEP and vr != known:
        instead = mismatched(vr, known) or action
        return Action.EMPTY if known and (instead is Action.REMOVE or known == b"UI") else instead
    return action


def distrusted(action: Action, vr: bytes, *, again: bool) -> Action:
    """The action for an element in which `verify` found a value of the patient's. `again`: cleaning it did not help."""
    if again or action in (Action.REMOVE, Action.EMPTY):
        return Action.REMOVE
    if vr == b"UI" and action is Action.KEEP:
        return Action.UID
    return Action.TEXT if vr in FREE_TEXT and action is Action.KEEP else Action.REMOVE


def fitting(action: Action, vr: bytes, known: bytes, raw: bytes) -> Action:
    """What is kept as it is must be able to be a value of its VR, as it came and as it leaves.

    A name in a code's place is cleaned, in a number's or a date's the element becomes empty, which Type 2 allows.
    """
    if action is not Action.KEEP or (is_legal(vr, raw) and (vr == known or is_legal(known, raw))):
        return action
    if b"CS" in (vr, known):
        return Action.TEXT
    return Action.EMPTY if known else Action.REMOVE


def written_as(action: Action, vr: bytes, known: bytes) -> bytes:
    """The VR to write. What a number is, US or SS, and how bytes are swapped, OB or OW, only the sender's says."""
    return vr if action is Action.KEEP and vr not in TEXT_VRS else known or vr


def new_value(action: Action, tag: int, value: Value, subject: Subject) -> bytes:
    """The value to write for any action but REMOVE, VALUE and those on items. Empty stays empty."""
    vr, raw, charset = value
    if action is Action.KEEP:
        return raw
    if action is Action.EMPTY or not (raw.strip(PADDING) if vr in TEXT_VRS else raw):
        return b""
    if action is Action.UID:
        return subject.pseudonyms.uids(raw)
    if action is Action.TEXT:
        if _is_formal(tag, raw) and not subject.is_named_in(raw, charset):
            return raw.strip(PADDING)
        clean = subject.text.clean(vr, raw, charset, subject.own)
        return clean or (DUMMIES[vr] if tag in NEVER_EMPTY else b"")
    if action is Action.SHIFT:
        return shift(vr, raw, subject.days, subject.bygone)
    return _rarer(action, tag, vr, raw, subject)


def _is_formal(tag: int, raw: bytes) -> bool:
    """Whether a text is one that the standard, not a person, has worded."""
    number = _NUMBERS.get(tag)
    return bool(number(raw.strip(PADDING))) if number else tag == CODE_MEANING and is_standard(raw)


def _rarer(action: Action, tag: int, vr: bytes, raw: bytes, subject: Subject) -> bytes:
    if action is Action.IDENTIFIER:
        return subject.pseudonyms.identifier(b"%08X" % tag, raw)
    if action is Action.PATIENT_ID:
        return subject.pseudonyms.patient_id(raw, b"")
    if action is Action.AGE:
        return age(raw) if vr == b"AS" else years(raw)
    if action is Action.BIRTH:
        return b"" if subject.aged else birth(raw, subject.study_date, subject.days)
    if action is Action.ZONE:
        return zone(raw)
    if action is Action.ICC:
        return clean_icc(raw)
    return empty_document(raw) if action is Action.DOCUMENT else DUMMIES[vr]

"""What is done to one element, and its new value: the rule, made stricter where the element is not what it was made for."""

from __future__ import annotations

from gateway.deidentify.actions import DUMMIES, TEXT_VRS, Action
from gateway.deidentify.defaults import mismatched
from gateway.deidentify.profile import Rule
from gateway.deidentify.pseudonym import PADDING, Pseudonyms

WITH_ITEMS = (Action.ITEMS, Action.SCRUB)


def decide(rule: Rule, vr: bytes, known: bytes, *, scrub: bool) -> Action:
    """`vr`: as the element came. `known`: the dictionary's, b"" for none. `scrub`: in a sequence whose text all becomes dummies."""
    action = rule.action
    if vr == b"SQ":
        return action if action in (*WITH_ITEMS, Action.EMPTY) else Action.REMOVE
    if action in WITH_ITEMS:
        return Action.REMOVE
    if action is not Action.KEEP:
        return action
    if vr != known:
        action = mismatched(vr, known) or action
    if scrub and action is Action.KEEP and vr in TEXT_VRS:
        return Action.UID if vr == b"UI" else Action.DUMMY
    return action


def new_value(action: Action, tag: int, vr: bytes, raw: bytes, pseudonyms: Pseudonyms) -> bytes:
    """The value to write for any action but REMOVE, VALUE and those on items. Empty stays empty."""
    if action is Action.KEEP:
        return raw
    if action is Action.EMPTY or not raw.strip(PADDING):
        return b""
    if action is Action.UID:
        return pseudonyms.uids(raw)
    if action is Action.IDENTIFIER:
        return pseudonyms.identifier(b"%08X" % tag, raw)
    if action is Action.PATIENT_ID:
        return pseudonyms.patient_id(raw, b"")
    return DUMMIES[vr]

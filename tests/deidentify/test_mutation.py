"""Each rule of the profile switched off, in turn: a planted value then survives, or one that must stay is lost, and we notice."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files

import pytest

from gateway.deidentify import cleaner as cleaner_module
from gateway.deidentify.actions import Action, Rule
from gateway.deidentify.cleaner import Cleaner
from gateway.deidentify.harvest import KINDS
from gateway.deidentify.options import CODES
from gateway.deidentify.places import ELSEWHERE, ByParent, Special
from gateway.deidentify.private import Safe, SafePrivate, load_safe_private
from gateway.deidentify.pseudonym import Pseudonyms
from gateway.deidentify.route import make_route
from gateway.deidentify.types import Types
from gateway.model import Dropped
from tests.deidentify.mutants import KEY, LAYOUT, Bench, element_of, survivors, walked
from tests.deidentify.nested import rows, safe_rows
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write

pytestmark = pytest.mark.timeout(600)  # of a machine that has much else to do
ENOUGH = 0.98
SAMPLED = {
    "2": "CT",
    "6.1": "US",
    "88.33": "SR",
    "481.3": "RT structures",
    "104.1": "PDF",
    "4.1": "enhanced MR",
    "9.1.1": "ECG",
}


def told(what: str, number: int, unnoticed: list[str]) -> None:
    """Prints the figure (`pytest -s`), asserts that it is enough."""
    print(f"{what}: mutants caught {number - len(unnoticed)}/{number}", *unnoticed, sep="\n  ")
    assert number - len(unnoticed) >= ENOUGH * number, unnoticed


@pytest.fixture(scope="module")
def basic() -> Bench:
    return Bench(())


def judged(bench: Bench, basic: Bench | None) -> None:
    mutants = list(bench.mutants(other_than=basic))
    unnoticed, wrong = survivors(bench, mutants)
    assert not wrong, wrong
    told(" ".join(bench.options) or "basic", len(mutants), unnoticed)


def test_every_rule_of_the_basic_profile(basic: Bench) -> None:
    judged(basic, None)


@pytest.mark.parametrize("option", CODES)
def test_every_rule_that_an_option_changes(basic: Bench, option: str) -> None:
    judged(Bench((option,)), basic)


@lru_cache(1)
def types() -> Mapping[str, Mapping[int, str]]:
    """types.csv as text: SOP class, as it is written there -> tag at the top level -> type."""
    lines = files("gateway.deidentify").joinpath("types.csv").read_text(encoding="utf-8").splitlines()[1:]
    found: dict[str, dict[int, str]] = {}
    for row in csv.DictReader(lines):
        if row["parent"] == "00000000":
            for name in row["classes"].split():
                found.setdefault(name, {})[int(row["tag"], 16)] = row["type"]
    return found


def presence(code: str, kind: str) -> str:
    """What an attribute of a Type must be after its Basic code: "value", "empty" or "absent" (PS3.15 Table E.1-1a)."""
    if kind in ("2", "2C"):
        return "empty"
    if kind in ("1", "1C"):
        return "absent" if kind == "1C" and code == "X" else "value"
    return "empty" if code in ("Z", "Z/D") else "absent"


@pytest.mark.parametrize("name", SAMPLED)
def test_every_rule_that_an_iod_changes(basic: Bench, name: str) -> None:
    """Each rule of an IOD left away (the rule for an unknown one then holds), and each turned into K."""
    sop_class, kinds = b"1.2.840.10008.5.1.4.1.1." + name.encode(), types()[name]
    profile, unnoticed, number = basic.profile, [], 0
    for tag, right in profile.rules_at(sop_class, 0).items():
        row, vr = rows().get(tag), profile.vrs[tag]
        if row is None or tag in (0x00100020, 0x00080050, 0x00200010):  # mapped whatever their type
            continue
        expected = presence(row["basic"], kinds.get(tag, "3"))
        data, nothing = (write([e], "explicit") for e in (element_of(tag, vr.decode()), Element(tag, vr.decode())))
        for rule in (right, None, Rule(Action.ITEMS if vr == b"SQ" else Action.KEEP, "mutant")):
            rules = {tag: profile.rules[tag]}
            made: dict[bytes, ByParent] = {sop_class: {ELSEWHERE: {tag: rule} if rule else {}}}
            forks, own = (
                {tag: profile.special.forks[tag]},
                {sop_class: {0: {t: k for t, k in kinds.items() if t == tag}}},
            )
            special = Special(rules, forks, profile.vrs, Types("", own), made)
            route = make_route(replace(profile, rules=rules, special=special), ())
            output = walked(route, basic.subject, data, sop_class)
            found = "absent" if not output else "empty" if output == nothing else "kept" if output == data else "value"
            found = "value" if vr == b"SQ" and found == "kept" and rule is right else found  # its items stay
            if rule is right:
                assert found == expected, f"{tag:08X} {row['basic']} {kinds.get(tag, '3')}: {found}"
            else:
                number += 1
                if found == expected:
                    unnoticed.append(f"{tag:08X} {row['basic']} {kinds.get(tag, '3')}: {found}")
    assert number > 10
    told(f"types in {SAMPLED[name]}", number, unnoticed)


def test_every_safe_private_element(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row of the table left away, and each whose rule is not K turned into K."""
    bench, table, unnoticed, number = Bench(("retain-safe-private",)), load_safe_private(), [], 0
    route = make_route(bench.profile, ())  # the same for all: the table is asked in the walk
    for row in safe_rows():
        creator, group = row["creator"].encode(), int(row["group"], 16)
        place, vr = int(row["group"] + "00" + row["element"], 16), row["vr"]
        tag = place | 0x1100
        planted = replace(element_of(place & 0xFFFF00FF, vr), tag=tag)
        data = write([Element(group << 16 | 0x11, "LO", creator), planted], "explicit")
        right = table.rows[creator][place]
        others = {key: rows for key, rows in table.rows.items() if key != creator}
        rest = {key: safe for key, safe in table.rows[creator].items() if key != place}
        for safe in (right, None, Safe(right.vr, Rule(Action.KEEP, "mutant"))):
            rows_now = {**others, creator: {**rest, **({place: safe} if safe else {})}}
            monkeypatch.setattr(
                "gateway.deidentify.private.load_safe_private", lambda now=rows_now: SafePrivate("", now)
            )
            output = walked(route, bench.subject, data, b"1.2.3")
            whole = LAYOUT.element(planted)
            found = "kept" if whole in output else "there" if whole[:6] in output else "gone"
            expected = "kept" if right.rule.action in (Action.KEEP, Action.ITEMS) else "there"
            if safe is right:
                assert found == expected, f"{row['creator']} {row['name']}: {found}"
            elif safe is None or right.rule.action is not Action.KEEP:
                number += 1
                if found == expected:
                    unnoticed.append(f"{row['creator']} {row['name']}: {found}")
    assert number > 90
    told("safe private", number, unnoticed)


def test_own_values_are_stopped_by_verify_too(basic: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rule of a patient's own value off, the walk lets it through, and `verify` alone stops it."""
    profile, stopped, asked = basic.profile, [], []
    for tag in KINDS:
        vr = profile.vrs[tag].decode()
        if tag not in profile.rules or vr == "SQ":
            continue
        secret = b"19310302" if vr == "DA" else b"QZXWBCDXQJK"
        small = {t: profile.rules[t] for t in (*(e.tag for e in base()), tag)} | {tag: Rule(Action.KEEP, "mutant")}
        mutant = replace(profile, rules=small, special=Special(small, {}, profile.vrs, Types("", {})))
        data = write(with_(base(), Element(tag, vr, secret)), "explicit")
        results = []
        for verifying in (False, True):
            with monkeypatch.context() as patch:
                if not verifying:
                    patch.setattr(cleaner_module, "verify", lambda *_: "")
                results.append(
                    Cleaner(mutant, None, Pseudonyms(KEY, "{pseudonym}")).clean(data, SYNTAXES["explicit"], frozenset())
                )
        loose, tight = results
        assert not isinstance(loose, Dropped) and secret in b"".join(loose.parts), f"{tag:08X}"
        asked.append(tag)
        if isinstance(tight, Dropped) or secret not in b"".join(tight.parts):
            stopped.append(tag)
    print(f"stopped by verify as well: {len(stopped)}/{len(asked)}")
    assert len(asked) > 30 and [f"{tag:08X}" for tag in asked if tag not in stopped] == []

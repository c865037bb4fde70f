"""What the IOD of an instance changes in the rules: conditional codes by the attribute's type, where it stands.

Made once per SOP class, when its first instance comes; bounded, as only the classes of `types.csv` are told apart.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from gateway.deidentify.actions import Rule, resolve
from gateway.deidentify.ages import IN_YEARS, MEASURED_VALUE, OTHERWISE
from gateway.deidentify.standard import Fork, Standard
from gateway.deidentify.types import Places, Types

ELSEWHERE = -1
"""In place of a parent: any sequence in which no attribute has a type that matters."""

ABSENT = "3"
NOTHING: Mapping[int, Rule] = {}

ByParent = Mapping[int, Mapping[int, Rule]]


@dataclass(frozen=True)
class Special:
    """`forks`: what depends on the type. `made`: SOP class -> parent -> tag -> rule, filled as instances come.

    `in_years`: rules of a measured value whose unit is years.
    """

    rules: Mapping[int, Rule] = field(repr=False)
    forks: Mapping[int, Fork] = field(repr=False)
    vrs: Mapping[int, bytes] = field(repr=False)
    types: Types = field(repr=False)
    made: dict[bytes, ByParent] = field(default_factory=dict, repr=False, compare=False)
    in_years: Mapping[int, Rule] = field(default_factory=lambda: OTHERWISE, repr=False)

    def rules_at(self, sop_class: bytes, parent: int) -> Mapping[int, Rule]:
        """As `Profile.rules_at`. Always the same mapping, whose identity `route` relies on."""
        places = self.made.get(sop_class)
        if places is None:
            types = self.types.classes.get(sop_class)
            if types is None:
                return self.in_years if parent == IN_YEARS else NOTHING
            places = self.made.setdefault(sop_class, dict(self._by_parent(types)))
        return places.get(parent, places[ELSEWHERE])

    def varying(self) -> frozenset[int]:
        """Tags whose action is not the same in every known IOD as in an unknown one."""
        kinds: dict[int, set[str]] = {tag: {ABSENT} for tag in self.forks}
        for places in self.types.classes.values():
            for here in places.values():
                for tag in here.keys() & kinds.keys():
                    kinds[tag].add(here[tag])
        return frozenset(tag for tag, told in kinds.items() if any(self._differs(tag, kind) for kind in told))

    def _by_parent(self, types: Places) -> Iterator[tuple[int, Mapping[int, Rule]]]:
        yield ELSEWHERE, self.absent
        for parent, kinds in types.items():
            yield parent, self._at(kinds)
        yield IN_YEARS, {**self._at(types.get(MEASURED_VALUE, {})), **self.in_years}

    @cached_property
    def absent(self) -> Mapping[int, Rule]:
        """The rules where no attribute has a type, as far as they differ from those for an unknown IOD."""
        return {tag: self._rule(tag, ABSENT) for tag in self.forks if self._differs(tag, ABSENT)}

    def _at(self, kinds: Mapping[int, str]) -> dict[int, Rule]:
        return {tag: rule for tag, rule in self.absent.items() if tag not in kinds} | self._told(kinds)

    def _told(self, kinds: Mapping[int, str]) -> dict[int, Rule]:
        """The rules of attributes that have a type, as far as they differ."""
        told = {tag: kind for tag, kind in kinds.items() if tag in self.forks}
        return {tag: self._rule(tag, kind) for tag, kind in told.items() if self._differs(tag, kind)}

    def _differs(self, tag: int, kind: str) -> bool:
        return resolve(self.forks[tag].code, tag, self.vrs[tag], kind) is not self.rules[tag].action

    def _rule(self, tag: int, kind: str) -> Rule:
        where = "Type 3 or absent" if kind == ABSENT else f"Type {kind}"
        code, source = self.forks[tag]
        return Rule(resolve(code, tag, self.vrs[tag], kind), f"{source}; {where} in this IOD")


def make_special(standard: Standard, overridden: Container[int], types: Types) -> Special:
    """`overridden`: tags on which the project, not the standard, decides."""
    forks = {tag: fork for tag, fork in standard.forks.items() if tag not in overridden}
    in_years = {tag: rule for tag, rule in OTHERWISE.items() if tag not in overridden}
    return Special(standard.rules, forks, standard.vrs, types, in_years=in_years)

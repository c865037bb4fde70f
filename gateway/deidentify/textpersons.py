"""Where a text names people with words of the vocabulary: "signed: White", "ref by Black/Stone", "his wife May Hill".

Told by the words before: a title, a role, "by" behind what somebody does, a relation, a name at birth. What follows goes as long
as it can be a name: unknown words, namesakes (`words/namesakes.txt`) and, where nothing but a person can follow, any word with a
large initial. Names in a list go with the first. A text that was cleaned has nothing left to go: the word after is no name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from gateway.deidentify.peoplewords import (
    AND,
    ASKED,
    BORN,
    BY,
    DEGREES,
    DONE,
    HEADINGS,
    HERE,
    PARTICLES,
    RELATIONS,
    ROLES,
    SHORT,
    SHORTENED,
    SIGNED,
    SIZES,
    SKIPPED,
    SUBJECTS,
    TO,
    TOLD,
)
from gateway.deidentify.wordlike import Kind, Words

PERSON = "\ue001"
"""Stands for a title and the name behind it; otherwise a hole like others (`textforms.HOLE`)."""


class Rule(IntEnum):
    """How sure it is that a name follows. WEAK: everyday namesakes written large go. NAMED: so do clinical
    ones with a large initial. SAID: all namesakes, everyday ones also written small. SURE: whatever has a large initial.
    """

    NONE = 0
    WEAK = 1
    NAMED = 2
    SAID = 3
    SURE = 4


LIST = frozenset(",/&+;")
PROPER = frozenset(" .'’-^_")
OPENING = frozenset(("", ":", "=", ".:", ",", "(", ":=", "/", "&", "'", "-", "^", "_", "*"))
"""Between what tells of a person and the name; a full stop only behind what is `SHORT`."""
WINDOW = 3
"""Words between what somebody does and the "by"."""
MISTERS = frozenset(("of", "by", "for", "from", "to", "with", "and"))
"""Before "mr", where it is no modality."""
BETWEEN = 6
"""Words between what tells of a person and the name: "by the attending consultant Dr"."""
TELLING = frozenset((*ASKED, *BY, *SIGNED, *ROLES, *SUBJECTS, *RELATIONS, *BORN, *DONE, *TO, "of", "mr", "mrs"))


@dataclass(frozen=True)
class Text:
    """Words, the separators behind each, and what is thought of each, which changes."""

    words: list[str]
    gaps: list[str]
    kinds: list[Kind]
    folded: list[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folded", [word.casefold() for word in self.words])


def name_people(words: list[str], gaps: list[str], kinds: list[Kind], known: Words) -> None:
    """Marks as unknown what can be the name of somebody."""
    text = Text(words, gaps, kinds)
    if Kind.NAMESAKE in kinds:
        _unannounced(text)
    if TELLING.isdisjoint(text.folded) and not any(PERSON in word for word in words):
        return
    at = 0
    while at < len(words):
        rule = _rule(text, at)
        at = _names(text, at, rule, known) if rule else at + 1


def _rule(text: Text, at: int) -> Rule:
    """What word `at` says of those behind it."""
    word = text.folded[at]
    if PERSON in word:
        return Rule.SAID
    if word not in TELLING or at >= len(text.gaps):
        return Rule.NONE
    labelled = text.gaps[at].lstrip(" ")[:1] in (":", "=")
    if word in BORN or (word in SIGNED and text.gaps[at][:1] != "-"):
        return Rule.SURE
    if word in BY:
        return _by(text, at)
    if labelled and word in HEADINGS:  # one word alone may be who wrote it
        return Rule.NONE if text.gaps[at + 1 : at + 2] == [" "] else Rule.WEAK
    if labelled and (word in DONE or word in ROLES):
        return Rule.SURE
    if labelled and word in SUBJECTS:
        return Rule.SAID
    if word in ROLES or word in RELATIONS or word in ASKED:
        return Rule.NAMED
    if word in SUBJECTS or word in SHORTENED:
        return Rule.WEAK
    return _to(text, at)


def _by(text: Text, at: int) -> Rule:
    before = text.folded[max(0, at - WINDOW) : at]
    if before and (before[-1] in DONE or not HEADINGS.issuperset(DONE.intersection(before))):
        return Rule.SURE
    return Rule.NONE if text.words[at].isupper() else Rule.WEAK


def _to(text: Text, at: int) -> Rule:
    """Discussed with, letter to, patient of; mr between small words, where it is no modality."""
    word, before = text.folded[at], text.folded[max(0, at - WINDOW) : at]
    if word in TO:
        return Rule.NONE if TOLD.isdisjoint(before) else Rule.SAID
    if word == "of":
        return Rule.NONE if not before or before[-1] not in SUBJECTS | RELATIONS | ROLES else Rule.SAID
    if word in ("mr", "mrs"):
        told = (before and before[-1] in MISTERS) or _is_couple(text, at)
        return Rule.NONE if not told else Rule.WEAK if text.words[at].isupper() else Rule.SAID
    return Rule.NONE


def _is_couple(text: Text, at: int) -> bool:
    """Mr somebody and another: it is followed by one word, a small one and a title."""
    return (
        text.folded[at + 2 : at + 3] != []
        and text.folded[at + 2] in AND
        and PERSON in "".join(text.words[at + 3 : at + 4])
    )


def _names(text: Text, at: int, rule: Rule, known: Words) -> int:
    """Marks the names behind word `at`. -> the word that is none."""
    first = at + 1
    while first < min(len(text.words), at + BETWEEN) and _leads(text, first, at):
        first += 1
    gap = text.gaps[first - 1] if first < len(text.words) else "."
    if text.folded[first - 1] in SHORT:
        gap = gap.replace(".", "", 1)
    if not _opens(gap, rule):
        return at + 1
    rule = Rule.WEAK if "\n" in gap or ("," in gap and PERSON not in text.words[at]) else rule
    at, listed = first, not LIST.isdisjoint(gap)
    while at < len(text.words):
        end = _name_end(text, at, rule if not listed else min(rule, Rule.SAID), known)
        if end == at:
            break
        text.kinds[at:end] = [Kind.UNKNOWN] * (end - at)
        at = end
        if at >= len(text.words) or not _goes_on(text, at):
            break
        listed = not LIST.isdisjoint(text.gaps[at - 1]) or text.folded[at] in AND
    return max(at, first)


def _leads(text: Text, at: int, anchor: int) -> bool:
    """Roles and small words before the name: "by the consultant White", "mother is called Rose"."""
    gap = text.gaps[at - 1].strip(" ")
    return (
        gap in ("", ":", ",", ".", "'", "’")
        and PERSON not in text.words[anchor]
        and (text.folded[at] in ROLES or text.words[at] in SKIPPED or text.folded[at] in RELATIONS)
    )


def _opens(gap: str, rule: Rule) -> bool:
    """Whether a name can follow behind it."""
    rest = gap.replace(" ", "").replace("\t", "")
    return rest in OPENING or (rest.strip("\r\n:") == "" and rule is Rule.SURE)


def _goes_on(text: Text, at: int) -> bool:
    """Whether word `at` can be of the same names as the one before: no end of a sentence or line between them."""
    gap, before = text.gaps[at - 1], text.folded[at - 1]
    if gap == ". ":
        return len(before) == 1 or before in SHORT
    return all(c in PROPER or c in LIST for c in gap)


def _name_end(text: Text, at: int, rule: Rule, known: Words) -> int:
    """Where the name that begins at `at`, with what joins and with particles, ends; `at` if there is none."""
    end = at
    while end < len(text.words) - 1 and end - at < 3 and (text.folded[end] in PARTICLES or text.folded[end] in AND):
        if not _goes_on(text, end + 1):
            return at
        end += 1
    if _is_name(text, end, rule, known):
        return end + 1
    return at + 1 if end > at and _is_name(text, at, rule, known) else at


def _is_name(text: Text, at: int, rule: Rule, known: Words) -> bool:
    word, folded, kind = text.words[at], text.folded[at], text.kinds[at]
    if not word or folded in HERE or folded in ROLES or folded in BORN:
        return False
    if kind is Kind.UNKNOWN:
        return True
    if len(word) == 1:
        return word.isupper() and rule > Rule.WEAK
    if kind is Kind.SHY:
        return rule > Rule.NAMED or word.isupper()
    large = word[0].isupper()
    if folded in known.namesakes:
        return large or rule > Rule.NAMED
    if folded in known.bodily:
        return large and rule > (Rule.NAMED if word.isupper() else Rule.WEAK)
    return rule is Rule.SURE and large and not word.isupper()


def _unannounced(text: Text) -> None:
    """Namesakes that have the form of a name by themselves: "J. White", "White, J.", "White^Stone", "Stone & Field", "Day MD"."""
    at = 0
    while at < len(text.words):
        end = at
        while end < len(text.words) and _is_member(text, end) and (end == at or _chained(text, end)):
            end += 1 if end + 1 >= len(text.words) or text.folded[end + 1] not in AND else 2
        end = min(end, len(text.words))
        if Kind.NAMESAKE in text.kinds[at:end] and (_is_row(text, at, end) or _is_marked(text, at, end)):
            end += end < len(text.words) and len(text.words[end]) == 1 and text.gaps[end - 1] != " "
            text.kinds[at:end] = [Kind.UNKNOWN] * (end - at)
        at = max(end, at + 1)


def _is_member(text: Text, at: int) -> bool:
    """Whether a word can be one of a row of names: a namesake, or an unknown word written like a name."""
    word, kind = text.words[at], text.kinds[at]
    return kind is Kind.NAMESAKE or (kind is Kind.UNKNOWN and word.isalpha() and word[0].isupper())


def _chained(text: Text, at: int) -> bool:
    """Whether a namesake belongs to those before it: a list, or a name of two words that is not all large letters."""
    gap = text.gaps[at - 1]
    if gap == " ":
        return not text.words[at].isupper()
    return gap.strip(" ") in ("^", ",", "/", "&", "-") and text.words[at].isupper() == text.words[at - 1].isupper()


def _is_row(text: Text, at: int, end: int) -> bool:
    """Two or more that are not all of sizes: "White, Stone and Field", but not "Short and Long"."""
    row = [word for word in text.folded[at:end] if word not in AND]
    return len(row) > 1 and not SIZES.issuperset(row)


def _is_marked(text: Text, at: int, end: int) -> bool:
    """An initial before or behind, a degree behind, or an owner's s."""
    before, behind = text.words[at - 1] if at else "", text.words[end] if end < len(text.words) else ""
    gap = text.gaps[end - 1] if end <= len(text.gaps) else ""
    after = text.gaps[end][:1] if end < len(text.gaps) else ""
    if behind.casefold() in DEGREES and gap in (" ", ", ", ","):
        return True
    if behind == "s" and gap in ("'", "’"):
        return True
    if len(behind) == 1 and behind.isupper() and gap in (" ", ", ", ",", "^"):
        return after == "." or (gap != " " and after in ("", ",", ";"))
    return len(before) == 1 and before.isupper() and text.gaps[at - 1] in (". ", ".")

"""Sentences that name people who are nobody's patient, many of whom are called by words of the vocabulary.

    python -m tests.deidentify.strangers --count 2000

Prints, by template, how many names survive the text cleaner and how many clinical words do not. Knows nothing of the
engine's lists: the names are written here, by hand, most of them everyday words.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from gateway.deidentify.charset import Charset
from gateway.deidentify.text import TextCleaner
from gateway.deidentify.vocabulary import load_vocabulary

EVERYDAY = (
    "White Stone Day Gray Black Brown Green Field Wood Hill Long Short Small Young Rose May June Grace Hope Page Law Wall "
    "Street West North Marsh Bush Lake Rivers Poole Cross Hand Head Foot Heart Bone Marrow Horn Bird Fish Swan Crane Drake "
    "Fox Wolf Lamb Bell Ball Cook Baker Carter Miller Mason Cooper Fisher Hunter Walker Taylor King Knight Bishop Pope "
    "Price Rich Wise Sharp Strong Sweet Klein Gross Kurz Lang Kopf Stark Jung Schwarz Weiss Braun Stein Bauch Hals Bein "
    "Finger Petit Grand Court Blanc Roux Rouge Costa Rossi Bianchi Moreno Blanco Rico Mai Winter Sommer Snow Frost Rain "
    "Storm Bond Book Cash Chance Dean Drew Grant Reed Ring "
)
RARE = (
    "Quastenberg Wuppelheim Obergfell Szczepanski Fitzwarren Okonkwo Abernathy Zubrowka Haverkamp Lindqvist Delacroix "
    "Etxeberria Vandermolen Castiglione Papadakis Thistlewood Brockhurst Eisengruber Montalbano Kjeldsen "
)
TEMPLATES = (
    "Dr {A} reviewed the chest CT",
    "Dr {A}, {B} and {C}",
    "Drs. {A} & {B}, no acute finding",
    "Dr. med. {A} {B}, lung nodule",
    "Prof {A} / Dr {B}: normal heart",
    "signed: {A}",
    "Signed {A} {B}. Chest clear",
    "electronically signed by {A} {B}",
    "reported by {A}, normal study",
    "REPORTED BY {AA}",
    "Reported by: {I}. {A}",
    "ref by {A}/{B}",
    "ordered by {I} {A}",
    "requested by {A} {B} for chest pain",
    "discussed with {A}",
    "Findings phoned to {A} at the clinic",
    "patient of mr {a}",
    "patient of {A}",
    "mr {a} and mrs {b}",
    "Hr {A}, CT Thorax",
    "Herr {A} und Frau {B}",
    "Frau {A} geb. {B}",
    "{A} {B}, née {C}",
    "Mother {A} {B}, chest pain",
    "his wife {A} {B}",
    "husband {A} present, left knee",
    "son: {A}",
    "Mutter {A} {B}",
    "Ehefrau {A}",
    "befundet von {A}",
    "überwiesen durch {A} {B}",
    "signé par {A}",
    "informado por {A} {B}",
    "refertato da {A}",
    "beoordeeld door {A}",
    "Radiologist: {A}",
    "technologist {A}, two views",
    "Referrer: {AA} {BB}",
    "OPERATOR: {AA}",
    "cc: {A}",
    "letter to {A} and {B}",
    "{A}, {I}.",
    "{I}. {A}, left hip",
    "{A}^{B}",
    "{A} MD, chest",
    "{A}, {B} and {C} present",
    "chest CT {A} {B}",
    "CHEST {AA} {BB}",
    "{a} {b} chest",
)
"""`{A}` as a name is written, `{AA}` all large, `{a}` all small, `{I}` an initial. The last three tell of nobody in any way."""
WORD = re.compile(r"[^\W_]+")
UTF8 = Charset(("utf-8",))


@dataclass(frozen=True)
class Said:
    """`names`: casefolded; `around`: the template's other words, casefolded."""

    template: str
    text: str
    names: frozenset[str]
    around: tuple[str, ...]


@dataclass(frozen=True)
class Count:
    """Of one template: names said and left, other words said and left."""

    names: int = 0
    left: int = 0
    words: int = 0
    kept: int = 0


def sentences(count: int, seed: int = 5309) -> Iterator[Said]:
    """Templates in turn, so that each is drawn as often; names at random, three of four everyday words."""
    rnd = Random(seed)
    for number in range(count):
        template = TEMPLATES[number % len(TEMPLATES)]
        drawn = {key: rnd.choice((EVERYDAY if rnd.random() < 0.75 else RARE).split()) for key in "ABC"}
        told = {key: name for key, name in drawn.items() if re.search(rf"\{{{key}+\}}", template, re.IGNORECASE)}
        forms = {
            **drawn,
            **{k * 2: n.upper() for k, n in drawn.items()},
            **{k.lower(): n.lower() for k, n in drawn.items()},
        }
        text = template.format(**forms, I=rnd.choice("BDEFGHKMNPSW"))
        names = frozenset(name.casefold() for name in told.values())
        around = tuple(word.casefold() for word in WORD.findall(re.sub(r"\{\w+\}", " ", template)))
        yield Said(template, text, names, around)


def measured(count: int, seed: int = 5309, vocabulary: frozenset[str] | None = None) -> dict[str, Count]:
    """By template. `vocabulary`: another one than the cleaner's own."""
    cleaner = TextCleaner(load_vocabulary() if vocabulary is None else vocabulary)
    found = dict.fromkeys(TEMPLATES, Count())
    for said in sentences(count, seed):
        clean = UTF8.decode(cleaner.clean(b"UT", UTF8.encode(said.text), UTF8, frozenset()))
        left = {word.casefold() for word in WORD.findall(clean)}
        known = [word for word in said.around if word not in said.names]
        so_far = found[said.template]
        found[said.template] = Count(
            so_far.names + len(said.names),
            so_far.left + len(said.names & left),
            so_far.words + len(known),
            so_far.kept + sum(word in left for word in known),
        )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="names of other people that the text cleaner leaves")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=5309)
    told = parser.parse_args()
    found = measured(told.count, told.seed)
    for template, of in sorted(found.items(), key=lambda pair: -pair[1].left / max(1, pair[1].names)):
        sys.stdout.write(f"{of.left:5}/{of.names:<5} {of.kept:5}/{of.words:<5} {template}\n")
    whole = [sum(getattr(of, name) for of in found.values()) for name in ("left", "names", "kept", "words")]
    sys.stdout.write(f"names left {whole[0]} of {whole[1]}, other words kept {whole[2]} of {whole[3]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

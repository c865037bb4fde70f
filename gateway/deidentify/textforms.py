"""Forms of text that name a day, a person, a place or a number, whatever words they are made of. Each becomes one `HOLE`.

Written for what cannot be told word by word: "Dr. Gray", "5 May", "12 Long Street", "+49 221 55". Every repetition is bounded, so that
no text takes more than linear time.
"""

from __future__ import annotations

import re

HOLE = "\ue000"
"""Stands for what was found. Of the private use area, so in no vocabulary; where it touches a word, the word goes with it."""

_MONTH = (
    r"(?:jan(?:uar[yi]?|vier)?|ene(?:ro)?|gennaio|feb(?:ruar[yi]?|brero|braio)?|f[ée]v(?:rier)?|mar(?:ch|s|zo|et)?|maart|"
    r"m[äa]e?rz|apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|ma[iyj]|mayo|mei|maggio|june?|juni[o]?|juin|giugno|jul[yi]?|julio|"
    r"juillet|luglio|aug(?:ust|ustus)?|ao[uû]t|agosto|sep(?:t|tember|tembre|tiembre)?|settembre|o[ck]t(?:ober|obre|ubre)?|"
    r"ottobre|nov(?:ember|embre|iembre)?|de[cz](?:ember|embre)?|d[ée]c(?:embre)?|dic(?:iembre|embre)?)"
)
_START, _END = r"(?<![^\W_])", r"(?![^\W_])"
_YEARS = r"(?:years?|yrs?|y\.?o|y/o|y|jahren?|jahre|j[äa]e?hrige?[rnsm]?|ans|años|anni|jaar|[mf])"
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?(?: ?[ap]\.?m\b\.?)?"
_LABEL = (
    r"(?:room|rm|ward|bed|raum|zimmer|station|bett|suite|chambre|phone|telephone|tel|telefon|fax|mobile|ext|pager|mrn|pid|dob|"
    r"born|geb|acc|accession|ssn|id|no[.:]|nr|num[ée]ro|number|nummer|fallnummer|pat|visit|case|extension)"
)

NUMERIC = re.compile(
    rf"{_START}\d{{1,2}}(?:st|nd|rd|th|\.)?[ ._/-]?(?:of )?{_MONTH}{_END}\.?(?:[ ,._/-]{{0,2}}'?\d{{2,4}})?"
    rf"|{_START}{_MONTH}[ ,._/-]{{0,2}}'?\d{{1,4}}(?:st|nd|rd|th)?{_END}(?:[ ,._/-]{{1,2}}'?\d{{2,4}}{_END})?"
    rf"|(?<![\d.]){_TIME}"
    r"|(?<![\d.])\d{1,2}h\d{2}(?!\d)"
    r"|\b(?:am|vom|seit|bis|ab|zum|den|le|du|on|since) \d{1,2}[./]\d{1,2}(?:\.|\b(?!\.?\d))"
    r"|(?<![\d.])0\d[/]\d{2}(?![\d/])"
    rf"|(?<![\d.])0?(?:9\d|1[0-4]\d)[ -]?{_YEARS}{_END}(?:[ -]olds?)?"
    r"|\b(?:aged?|alter)[ :]{1,2}(?:9\d|1[0-4]\d)\b"
    rf"|{_START}{_LABEL}[ .:#=_-]{{0,3}}[a-z]{{0,3}}-?\d[\w/-]{{0,60}}"
    rf"|{_START}[a-z]{{1,6}}[-_/.#]?(?=(?:[-/]?\d){{5}})\d+(?:[-/]\d+){{1,20}}[a-z]{{0,2}}"
    r"|(?<!\w)\d{1,5}[a-z]? (?:[^\W\d_][\w'.-]{0,30} ){1,3}"
    r"(?:street|st|avenue|ave|road|rd|lane|ln|drive|boulevard|blvd|court|terrace|crescent|parkway|highway|close|place)\b\.?"
    r"|\b(?:[\w-]{0,30} )?\w{0,30}(?:stra(?:ß|ss)e|str\.|gasse|allee) ?\d{1,4}[a-z]?",
    re.IGNORECASE,
)
"""What begins with a digit or needs one."""

CHAIN = re.compile(r"(?<![^\W_])[+(]{0,2}\d[\d()]{0,40}(?:(?:[.,/:-]| ?[(/-] ?| )[\d()]{1,40}){1,40}")
"""Numbers in a row: a date, a UID, a phone number, or measurements."""
_MEASURES = re.compile(r"\d{1,3}(?:[.,]\d{1,3})?(?:[/:-]\d{1,3}(?:[.,]\d{1,3})?)?")

_TITLE = (
    r"(?:(?i:dr|prof|dres|herrn?|frau|mrs|mme|mlle|dott|dra|drs|signora?|señora?|monsieur|madame)(?![^\W_])\.?|"
    r"(?:Mr|Ms|Miss|Sir|Lady|Sister|Nurse|Schwester|Doctor|Professor)(?![^\W_])\.?|MR\.(?= ?[A-Z]{2})|M\.(?= ?[A-Z])|"
    r"(?:Hr|Fr|Sr|Sra|Dhr|Mevr)\.)"
)
_NAME = r"[^\W\d_](?:[^\W_]|['’-]){0,40}"
_HOUSE = (
    r"(?:(?i:hospital|klinik|klinikum|krankenhaus|spital|clinic|clinica|praxis|hospice|university|universit[äa]t|"
    r"medical cent(?:er|re)|institute?|foundation|h[ôo]pital|polyclinique|clinique|ospedale|ziekenhuis))"
)
PERSONS = re.compile(
    rf"(?<![^\W_]){_TITLE}(?:[\s.:^_]{{0,4}}{_TITLE}){{0,3}}[\s.:^_]{{0,4}}(?:[A-Z]\. ?){{0,3}}"
    rf"(?:(?i:von|van|de|der|den|zu|del|la|le|di) ){{0,2}}(?:{_NAME}(?:\^{_NAME}){{0,4}})?"
    rf"|(?<![^\W_]){_NAME}, ?(?:M\.?D|Ph\.?D|FRC[RSP]|RN)(?![^\W_])\.?"
    rf"|(?<![^\W_])(?:St\.? )?(?:[A-Z][\w'’-]{{0,40}})[ _-]{_HOUSE}(?![^\W_])(?: (?:of|de|in|at) [A-Z][\w'’-]{{0,40}})?"
    rf"|(?<![^\W_]){_HOUSE} (?:(?:of|de|in|am|at|der|St\.?) ){{0,2}}[A-Z][\w'’-]{{0,40}}"
    r"|(?<![^\W_])[A-Z][\w'’-]{1,40} (?:Street|Road|Avenue|Lane|Boulevard|Drive|Court)(?![^\W_])"
    r"|(?<![^\W_])(?:[Rr]ue|[Cc]alle|[Pp]iazza) (?:d[eu]s? |la |del )?[^\W\d_][\w'’-]{0,40}"
    r"|(?<![^\W_])(?i:name|nom|nombre|nome|naam)[ ]?[:=][ ]?[^\W_]{1,40}(?:[\^, ]{1,2}[^\W_]{1,40})?"
    r"|(?<![^\W_])[^\W\d_](?:[ ._-][^\W\d_]){3,60}(?![^\W_])"
    r"|[^\s@]{0,64}@\S{0,255}"
    r"|(?i:(?:https?|ftp|urn|file|mailto|www)[:.]\S{1,2000})"
    r"|[\w-]{1,63}\.(?i:com|org|net|edu|gov|de|uk|info|ch|nl|example|local|invalid)(?![^\W_])\S{0,255}"
)
"""Titles with the word behind them, houses, streets, addresses of the network, letters set apart."""


def pierced(text: str) -> str:
    """`text` with a hole in the place of each identifying form."""
    if any(c.isdigit() for c in text):
        text = CHAIN.sub(_chain, NUMERIC.sub(HOLE, text))
    return PERSONS.sub(HOLE, text)


def _chain(match: re.Match[str]) -> str:
    """What is no more than measurements stays: "1.5-2.0", "3/4", "120 80"."""
    text = match[0]
    groups = text.split(" ")
    if all(_MEASURES.fullmatch(group) for group in groups) and not _is_phone(groups):
        return text
    return HOLE if len(groups) == 1 or _is_phone(groups) else " ".join(map(_measure, groups))


def _measure(group: str) -> str:
    return group if not group.strip("()+-/") or _MEASURES.fullmatch(group.strip("()")) or group.isdigit() else HOLE


def _is_phone(groups: list[str]) -> bool:
    """Seven digits or more in groups that look dialled; ten in any groups without a decimal point."""
    text = " ".join(groups)
    digits = sum(c.isdigit() for c in text)
    if digits < 7 or "." in text.strip(".") and len(groups) > 1:
        return False
    return digits >= 10 or text[0] in "+(0" or "-" in text or "/" in text or any(len(g) > 3 for g in groups)

"""Forms of text that name a day, a person, a place or a number, whatever words they are made of. Each becomes one `HOLE`.

Written for what cannot be told word by word: "Dr. Gray", "5 May", "12 Long Street", "+49 221 55". Every repetition is bounded,
so that no text takes more than linear time. A form is looked for only where one of the words stands that it cannot do without.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gateway.deidentify.numberwords import PATTERNS
from gateway.deidentify.textpersons import PERSON

HOLE = "\ue000"
"""Stands for what was found. Of the private use area, so in no vocabulary; where it touches a word, the word goes with it."""

MONTHS = (
    "jan januar january januari janvier enero ene gennaio feb februar february februari febrero febbraio fev fév "
    "février fevrier mar march mars marzo maart märz maerz mrz apr april aprile avr avril abr abril may mai maj "
    "mayo mei maggio jun june juni junio juin giugno jul july juli julio juillet luglio aug august augustus août "
    "aout agosto sep sept september septembre septiembre settembre oct okt october oktober octobre octubre ottobre "
    "nov november novembre noviembre dec dez december dezember décembre dicembre dic diciembre déc"
)
LABELS = (
    "room rm ward bed raum zimmer station bett suite chambre phone telephone tel telefon fax mobile ext pager mrn "
    "pid dob born geb acc accession ssn id nr numéro numero number nummer fallnummer pat visit case extension no"
)
YEARS = (
    "year years yr yrs y yo o jahr jahre jahren jährige jähriger jährigen jähriges jaehrige jaehriger ans años anni "
    "jaar m f w j male female weiblich männlich maennlich jährig jaehrig lj lebensjahr lebensjahres old alter aged age"
)
SEXES = "male female weiblich männlich maennlich"
PHONES = (
    "phone telephone tel telefon fax mobile mob handy pager bleep ext extension durchwahl téléphone teléfono "
    "telefono móvil cellulare telefoon gsm nhs ssn mrn"
)
WEEKS = "week wk kw woche kalenderwoche semaine sem semana settimana"
HOMES = "flat apt apartment wohnung whg appartement piso apartamento maisonette"
ROWS = "hill green gardens grove mews square heights meadow meadows villas cottages wharf quay parade park crescent"
UNITS = (
    "mm cm m t kv kvp ma mas ms s sec ml l cc mg g kg mgy gy cgy msv mbq hz khz mhz hu hz min keV kev mev px deg x "
    "h ng µg ug mmol points percent degrees"
)
MEASURED = (
    "suv suvmax suvmean max min mean psa ratio ctdi ctdivol dlp te tr ti value v ver version vb va ve thickness "
    "slice score factor pitch sw release rel t b z adc diameter length width size area volume index level crea "
    "creatinine inr ca tsh bmi dap kerma"
)
BEFORE_DAYS = "am vom seit bis ab zum den le du on since"
STREETS = "street st avenue ave road rd lane ln drive boulevard blvd court terrace crescent parkway highway close place"
TITLES = (
    "dr prof dres herr herrn frau mme mlle dott dra drs signora signor señora monsieur madame dhr mevr dottssa "
    "dottoressa profa mevrouw meneer mijnheer sra señor frl fräulein sig"
)
CAPITAL = "Mr Mrs mrs Ms Miss Sir Lady Sister Nurse Schwester Doctor Professor Rev Reverend Captain Capt Sgt Lord Dame"
DOTTED = "Hr Fr Sr Sra Dhr Mevr Doc OA OÄ CA PD"
DEGREES = "med univ dent vet habil hc rer nat phil dipl ing priv doz mult pd mag psych jur ssa"
HOUSES = (
    "hospital klinik klinikum krankenhaus spital clinic clinica praxis hospice university universität universitat "
    "center centre institut institute foundation hôpital hopital polyclinique clinique ospedale ziekenhuis"
)
NETS = "com org net edu gov de uk info ch nl example local invalid"
SCHEMES = "http https ftp urn file mailto www"

LETTERS = re.compile(r"[^\W\d_]+")
_START, _END = r"(?<![^\W_])", r"(?![^\W_])"
_NAME = r"[^\W\d_](?:[^\W_]|['’-]){0,40}"


def _any(words: str) -> str:
    """The longest first, so that a part of one is not taken for another."""
    return "(?:" + "|".join(sorted(words.split(), key=len, reverse=True)) + ")"


@dataclass(frozen=True)
class Form:
    """`words`: one of them must be in the text, casefolded; none: always looked for. `hole`: what takes its place."""

    words: frozenset[str] = field(repr=False)
    pattern: re.Pattern[str]
    hole: str = HOLE


def _form(words: str, pattern: str, flags: int = 0, hole: str = HOLE) -> Form:
    return Form(frozenset(words.casefold().split()), re.compile(pattern, flags), hole)


_TITLE = (
    rf"(?:(?i:{_any(TITLES)}){_END}(?:['’]s{_END})?\.?|{_any(CAPITAL)}{_END}\.?|MR\.(?= ?[A-Z]{{2}})|M\.(?= ?[A-Z])"
    rf"|{_any(DOTTED)}\.|(?<!\d )(?:Hr|Fr|Sr|Sra|Dhr|Mevr)(?= [A-Z][^\W\d_]))"
)
_DEGREES = rf"(?:[\s.-]{{1,3}}(?i:{_any(DEGREES)}|h\.c){_END}){{0,5}}"
_HOUSE = rf"(?i:medical cent(?:er|re)|{_any(HOUSES.replace('center centre ', ''))})"
_WOMAN = r"|w(?!/(?:(?:w/?)?o(?:ut)?\b|\s|con|iv\b))|"
_YEARS = _any(YEARS.replace(" old alter aged age", "")).replace("yo", r"y\.?o|y/o").replace("|w|", _WOMAN)

NUMERIC = (
    _form(
        MONTHS,
        rf"(?<!\d)\d{{1,2}}(?:st|nd|rd|th|\.)?[ ._/-]?(?:of )?{_any(MONTHS)}(?![^\W\d_])\.?(?:[ ,._/-]{{0,2}}'?\d{{2,4}})?"
        rf"|(?<![^\W\d_]){_any(MONTHS)}[ ,._/-]{{0,2}}'?\d{{1,4}}(?:st|nd|rd|th)?{_END}(?:[ ,._/-]{{1,2}}'?\d{{2,4}}{_END})?",
        re.IGNORECASE,
    ),
    _form(
        "",
        r"(?<![\d.])\d{1,2}(?::\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?(?: ?[ap]\.?m\b\.?)?|h\d{2}(?!\d)|(?<=0\d)/\d{2}(?![\d/]))",
    ),
    _form(BEFORE_DAYS, rf"{_START}(?i:{_any(BEFORE_DAYS)}) \d\d?(?:[./]|\. )(?!00?(?!\d))\d\d?(?:\.|{_END}(?!\.?\d))"),
    _form(
        f"{YEARS} a",  # technetium: no man of 99
        rf"(?<!\d)(?<!\d[.,])(?:(?<!{_START}[Tt][Cc])(?<!{_START}[Tt][Cc][ _^-])|(?!99[Mm]{_END}))(?!99m[ _^-]Tc{_END})"
        rf"0?(?:9\d|1[0-4]\d)(?:[.,]\d)?(?:[ -]?(?i:{_YEARS})|a|\. ?(?i:lebensjahre?s?|lj)){_END}(?:[ -]olds?)?"
        rf"|{_START}(?<!\d[/.,])0?(?:9\d|1[01]\d) ?[/,] ?[MFWmfw]{_END}|{_START}[MFWmfw] ?[/,] ?0?(?:9\d|1[01]\d){_END}"
        rf"|{_START}(?i:{_any(SEXES)})[ /,]{{1,2}}0?(?:9\d|1[01]\d){_END}(?!/\d)"
        rf"|{_START}(?i:aged?|alter)[ :=]{{1,3}}0?(?:9\d|1[0-4]\d){_END}",
    ),
    _form(
        PHONES,
        rf"{_START}(?i:{_any(PHONES)})[ .:#=]{{0,3}}(?:no|nr|number)?[ .:#=]{{0,3}}[+(]?\d[\d/()-]{{0,20}}"
        r"(?:[ .]{1,2}[\d/()-]{2,20}){0,8}",
    ),
    _form(
        WEEKS,
        rf"{_START}(?i:{_any(WEEKS)}) ?\d{{1,2}}(?: ?[/.,-] ?|,? )(?:19|20)\d{{2}}(?!\d)|{_START}(?:KW|kw) ?\d{{1,2}}(?![\d.,])",
    ),
    _form(
        ROWS,
        rf"(?<![\w.])\d{{1,4}}[a-z]?,? (?:[A-Z][\w'’-]{{1,30}} ){{1,3}}{_any(ROWS.title())}{_END}"
        rf"|(?<![\w.])\d{{1,4}}[A-Z]?,? (?:[A-Z]{{2,30}} ){{1,3}}{_any(ROWS.upper())}{_END}",
    ),
    _form(
        f"{STREETS} rue via viale corso calle avenida plaza piazza rua",
        rf"{_START}(?:[A-Z][\w'’-]{{1,40}} )(?i:{_any(STREETS)})\.? \d{{1,4}}[A-Za-z]?{_END}"
        rf"|{_START}(?i:rue|calle|avenida|plaza|piazza|rua|viale|corso|via) (?:(?:d[aeiou]s?|de la|la|del|della|dei) )?"
        rf"[A-Z][\w'’-]{{1,40}}(?: [A-Z][\w'’-]{{1,40}})?,? \d{{1,4}}[A-Za-z]?{_END}",
    ),
    _form(
        LABELS,
        rf"{_START}(?i:{_any(LABELS.replace(' no', ''))}|no[.:])[ .:#=_-]{{0,3}}[A-Za-z]{{0,3}}-?\d[\w/-]{{0,60}}",
    ),
    _form(STREETS, rf"(?<!\w)\d{{1,5}}[a-z]? (?:[^\W\d_][\w'.-]{{0,30}} ){{1,3}}(?i:{_any(STREETS)})\b\.?"),
    _form(
        HOMES,
        rf"{_START}(?i:{_any(HOMES)})[ .]{{1,2}}(?:no\.? ?)?\d{{1,4}}[A-Za-z]?{_END}"
        rf"(?:,? {{0,2}}\d{{1,4}}[a-z]?{_END})?(?:,? [A-Z][a-z]{{1,30}}){{0,3}}",
    ),
)
"""What has a digit."""

PERSONS = (
    _form(
        f"{TITLES} {CAPITAL} {DOTTED} mr m",
        rf"{_START}{_TITLE}(?:{_DEGREES}[\s.:^_]{{0,4}}{_TITLE}){{0,3}}{_DEGREES}[\s.:^_]{{0,4}}(?:[A-Z](?:\. ?| (?=[A-Z]))){{0,3}}"
        rf"(?:(?i:von|van|de|der|den|zu|del|la|le|di) ){{0,2}}(?:{_NAME}(?:\^{_NAME}){{0,4}})?",
        hole=PERSON,
    ),
    _form("md d rn frcr frcs frcp phd", rf"{_START}{_NAME}, ?(?:M\.?D|Ph\.?D|FRC[RSP]|RN){_END}\.?"),
    _form(
        HOUSES,
        rf"{_START}(?:St\.? )?(?:[A-Z][\w'’-]{{0,40}})[ _-]{_HOUSE}{_END}(?: (?:of|de|in|at) [A-Z][\w'’-]{{0,40}})?"
        rf"|{_START}{_HOUSE} (?:(?:of|de|in|am|at|der|St\.?) ){{0,2}}[A-Z][\w'’-]{{0,40}}",
    ),
    _form(STREETS, rf"{_START}[A-Z][\w'’-]{{1,40}} (?:Street|Road|Avenue|Lane|Boulevard|Drive|Court){_END}"),
    _form("rue calle piazza", rf"{_START}(?i:rue|calle|piazza) (?:d[eu]s? |la |del )?{_NAME}"),
    _form(
        "name nom nombre nome naam",
        rf"{_START}(?i:name|nom|nombre|nome|naam) {{0,4}}[:=] {{0,4}}[^\W_]{{1,40}}(?:[\^, ]{{1,2}}[^\W_]{{1,40}})?",
    ),
    _form(SCHEMES, rf"(?i:{_any(SCHEMES)}[:.]\S{{1,2000}})"),
    _form(NETS, rf"[\w-]{{1,63}}\.(?i:{_any(NETS)}){_END}\S{{0,255}}"),
)
NUMBERED = re.compile(
    rf"{_START}[A-Za-z]{{1,6}}[-_/.#]?(?=(?:[-/]?\d){{5}})\d{{1,20}}(?:[-/]\d{{1,20}}){{1,20}}[A-Za-z]{{0,2}}"
)
"""An ID in groups: SYN-99-123, but no C6-7."""
ROAD = re.compile("str[.aß]|gasse|allee|laan|gracht|weg|platz|ring|ufer|damm|plein", re.IGNORECASE)
_ROADS = r"stra(?:ß|ss)e|str\.|gasse|allee|straat|laan|gracht"
ROADS = re.compile(
    rf"(?i:(?<![^\W_])[^\W\d_]{{0,30}}(?:{_ROADS}) ?\d{{1,4}}[a-z]?)"
    r"|(?<![^\W_])(?:[A-Z][^\W\d_]{2,30}(?:weg|platz|ring|ufer|damm|plein)"
    r"|[A-Z][^\W\d_]{2,30}(?:er|e) (?:Gasse|Weg|Platz|Ring|Ufer|Damm))"
    r" \d{1,4}[a-z]?(?![^\W_])"
)
_AREAS = (
    "AB AL B BA BB BD BH BL BN BR BS BT CA CB CF CH CM CO CR CT CV CW DA DD DE DG DH DL DN DT DY E EC EH EN EX FK "
    "FY G GL GU GY HA HD HG HP HR HS HU HX IG IM IP IV JE KA KT KW KY L LA LD LE LL LN LS LU M ME MK ML N NE NG NN "
    "NP NR NW OL OX PA PE PH PL PO PR RG RH RM S SA SE SG SK SL SM SN SO SP SR SS ST SW SY TA TD TF TN TQ TR TS TW "
    "UB W WA WC WD WF WN WR WS WV YO ZE"
)
POSTCODES = re.compile(
    rf"{_START}(?:(?i:{_any(_AREAS)}\d[\dA-Z]?[ -]{{0,2}}\d[ABD-HJLNP-UW-Z]{{2}})"
    r"|[ABCEGHJ-NPR-TVXY]\d[A-Z] ?\d[A-Z]\d)(?![^\W_])"
)
"""Of the United Kingdom and Canada; others are five digits, which go anyway, or four with two letters."""
_DAY, _MONTH = r"(?:0[1-9]|[12]\d|3[01])", r"(?:0[1-9]|1[0-2])"
MONTHDAYS = re.compile(
    rf"(?<![\w.,/+-])(?:({_DAY}\.{_MONTH}(?: ?[-–] ?{_DAY}\.{_MONTH})?)"
    rf"|{_DAY}\. 0[1-9]\.|{_DAY}[/-]0[1-9]|0[1-9][/-](?:1[3-9]|2\d|3[01]))(?![\w/]|[.,:-]\d)"
)
"""A day and a month without a year, both with two digits: 17.03, but no 5.03."""
_DASH = "[–—−‐‑]"
_BETWEEN, _BAR = r"[\s.,;/_|·^–—−‐‑-]{1,3}", r" ?(?:[./_|·^~'#–—−‐‑-]{1,2} ?)"
_D, _M, _CENTURY = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:19|20)\d\d"
SPREAD = re.compile(
    rf"{_START}(?<!\d[.,])(?:{_D}{_BETWEEN}{_D}{_BETWEEN}{_CENTURY}|{_CENTURY}{_BETWEEN}{_MONTH}{_BETWEEN}{_DAY}"
    rf"|{_D}\. ?{_M}\. ?\d\d|{_D} ?/ ?{_D} ?/ ?\d\d|{_D}{_DASH}(?:{_M}{_DASH}\d\d|{_D}{_DASH}\d\d)|\d\d{_DASH}{_M}{_DASH}{_D}"
    rf"|{_DAY}{_BAR}(?:{_MONTH}{_BAR}\d\d|{_DAY}{_BAR}\d\d)|\d\d{_BAR}{_MONTH}{_BAR}{_DAY}"
    rf"|(?=\d?\d?\s?\d?\d?\s?0\d)(?:{_DAY}\s(?:{_MONTH}\s\d\d|{_DAY}\s\d\d)|\d\d\s{_MONTH}\s{_DAY}))"
    r"(?![^\W_]|[.,]\d)"
)
"""Whole dates with blanks, dashes or other marks between their numbers: 17. 03. 24, 17_03_24, 17 – 03 – 2024. Where the year
has two digits all must have, but between dots, strokes and dashes; with blanks alone one begins with a zero, too."""
_UNIT = re.compile(rf"[ -]?(?:{_any(UNITS)}(?![^\W_])|[%°²³x×*]|\+/-|±)", re.IGNORECASE)
_LENGTH = re.compile(r" ?[cm]m(?![^\W_])")
_MEASURED = re.compile(rf"(?:(?<![^\W_]){_any(MEASURED)}|[=<>~±])[ :=.]{{0,3}}$", re.IGNORECASE)
MAIL = re.compile(r"[^\s@]{0,64}@\S{0,255}")
SPELT = re.compile(rf"{_START}[^\W\d_](?:[ ._-][^\W\d_]){{3,60}}{_END}")
"""Letters set apart: G r u b e r."""

CHAIN = re.compile(r"(?<![^\W_])[+(]{0,2}\d[\d()]{0,40}(?:(?:[.,/:-]| ?[(/-] ?| )[\d()]{1,40}){1,40}")
"""Numbers in a row: a date, a UID, a phone number, or measurements."""
_MEASURES = re.compile(r"\d{1,3}(?:[.,]\d{1,3})?(?:[/:-]\d{1,3}(?:[.,]\d{1,3})?)?")


def pierced(text: str) -> str:
    """`text` with a hole in the place of each identifying form."""
    heads = LETTERS.findall(text.casefold())
    words = frozenset(heads)
    for told, pattern in PATTERNS:
        if not told.isdisjoint(words):
            text = pattern.sub(HOLE, text)
    if not text.isascii() or any(map(text.__contains__, "0123456789")):
        for form in NUMERIC:
            if not form.words or not form.words.isdisjoint(words):
                text = form.pattern.sub(HOLE, text)
        text = _grouped(text)
    for form in PERSONS:
        if not form.words.isdisjoint(words):
            text = form.pattern.sub(form.hole, text)
    if "@" in text:
        text = MAIL.sub(HOLE, text)
    return SPELT.sub(HOLE, text) if sum(len(head) == 1 for head in heads) > 3 else text


def _grouped(text: str) -> str:
    if "-" in text or "/" in text:
        text = NUMBERED.sub(HOLE, text)
    if ROAD.search(text):
        text = ROADS.sub(HOLE, text)
    text = CHAIN.sub(_dialled, POSTCODES.sub(HOLE, text))
    text = MONTHDAYS.sub(_monthday, SPREAD.sub(_day, text))
    return CHAIN.sub(_chain, text)


def _dialled(match: re.Match[str]) -> str:
    """A phone number is one before a part of it is a date: 06 12 24 45 78."""
    return HOLE if _is_phone(match[0].split(" ")) else match[0]


def _day(match: re.Match[str]) -> str:
    """With a length behind it is three; what else is a unit may be a sex (m) or a disease (MS)."""
    return match[0] if _LENGTH.match(match.string, match.end()) else HOLE


def _monthday(match: re.Match[str]) -> str:
    """With a unit behind or the name of a measure before it is a decimal fraction."""
    text, start = match.string, match.start()
    if match[1] and (_UNIT.match(text, match.end()) or _MEASURED.search(text[max(0, start - 16) : start])):
        return match[0]
    return HOLE


def _chain(match: re.Match[str]) -> str:
    """What is no more than measurements stays: "1.5-2.0", "3/4", "120 80"."""
    text = match[0]
    groups = text.split(" ")
    if _is_phone(groups):
        return HOLE
    if all(_MEASURES.fullmatch(group) for group in groups):
        return text
    return HOLE if len(groups) == 1 else " ".join(map(_measure, groups))


def _measure(group: str) -> str:
    return group if not group.strip("()+-/") or _MEASURES.fullmatch(group.strip("()")) or group.isdigit() else HOLE


def _is_phone(groups: list[str]) -> bool:
    """Seven digits or more in groups that look dialled, or of three each; ten, or six single ones, however they are grouped."""
    text = " ".join(groups)
    digits = sum(c.isdigit() for c in text)
    if len(groups) > 5 and digits == len(groups):
        return True
    if digits < 7 or ("." in text.strip(".") and len(groups) > 1):
        return False
    if len(groups) > 2 and digits == 3 * len(groups) and "." not in text and all(map(str.isdigit, groups)):
        return True
    return digits >= 10 or text[0] in "+(0" or "-" in text or "/" in text or any(len(g) > 3 for g in groups)

"""Days, years, telephone numbers and ages over 89 in words: "fifth of May nineteen sixty", "oh seven double seven", "aged ninety".

English, German, French, Spanish, Italian. Each is a pattern with the words of which one must be there; repetitions are bounded.
Of the other languages the vocabulary has hardly a number, so that only what stands between them is told here.
"""

from __future__ import annotations

import re

UNITS = "one two three four five six seven eight nine"
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fourty fifty sixty seventy eighty ninety"
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth"
)
GERMAN = (
    "eins ein eine zwei zwo drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn "
    "sechzehn siebzehn achtzehn neunzehn zwanzig dreißig dreissig vierzig fünfzig sechzig siebzig achtzig neunzig "
    "hundert tausend"
)
FRENCH = (
    "un une deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize vingt trente "
    "quarante cinquante soixante quatre-vingt cent cents mille mil premier et"
)
SPANISH = (
    "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis dieciseis "
    "diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis "
    "veintisiete veintiocho veintinueve treinta cuarenta cincuenta sesenta setenta ochenta noventa cien ciento mil "
    "novecientos primero y"
)
ITALIAN = (
    "uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici venti "
    "trenta primo"
)
MONTHS = (
    "january february april june july august september october november december januar jänner februar märz maerz "
    "mai juni juli oktober dezember janvier février fevrier mars avril juin juillet août aout septembre octobre "
    "novembre décembre decembre enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre gennaio febbraio aprile maggio giugno luglio settembre ottobre dicembre"
)
DIGITS = (
    "oh o zero nought naught null double triple one two three four five six seven eight nine eins zwo zwei drei "
    "vier fünf sechs sieben acht neun zéro un deux trois quatre cinq sept huit neuf cero uno dos tres cuatro cinco "
    "seis siete ocho nueve due tre quattro cinque sei sette otto nove"
)


def _any(words: str) -> str:
    return "(?:" + "|".join(sorted(set(words.split()), key=len, reverse=True)) + ")"


_START, _END = r"(?<![^\W_])", r"(?![^\W_])"
_UNIT, _TEEN = _any(UNITS), _any(f"{TEENS} {TENS}")
_NINETY = rf"(?:ninety|(?:(?:a|one)[ _-])?hundred){_END}(?:[ _-]{{1,2}}(?:and[ _-])?{_UNIT}{_END})?"
_GLUED = r"(?=[^\W\d_]{0,24}?(?:hundert|tausend|zig|cento|mila|mille|ant[aei]|enti))[^\W\d_]{1,60}+"
"""Numbers written as one word in German and Italian."""
_CARDINAL = (
    rf"(?:{_any(f'{UNITS} {TEENS} {TENS} oh o hundred thousand {GERMAN} {FRENCH} {SPANISH} {ITALIAN}')}|{_GLUED}){_END}"
)
_ORDINAL = (
    rf"(?:(?:(?:twenty|thirty)[ -])?{_any(ORDINALS)}|\d{{1,2}}(?:st|nd|rd|th|\.|er|º)?"
    r"|(?:(?:ein|zwei|drei|vier|fünf|sechs|sieben|acht|neun)und)?"
    r"(?:erst|zweit|dritt|viert|fünft|sechst|siebe?n?t|acht|neunt|(?:drei|vier|fünf|sech|sieb|acht|neun)?zehnt|elft|zwölft|zwanzigst|"
    r"drei(?:ß|ss)igst)e[nrs]?|premier|1er|primero|primo)(?![^\W_])"
)
_MONTH = rf"(?:(?i:{_any(MONTHS)})|May|MAY|March|MARCH){_END}"
_GAP = r"(?:[\s_,^-]{1,3}|\.)"
"""Between words; a full stop and a blank end a sentence."""
_YEAR = rf"(?:{_GAP}(?:(?:de|del|of|and|in|the){_GAP})?(?:{_CARDINAL}|{_ORDINAL}|\d{{2,4}}(?!\d))){{0,9}}"
_DAY = rf"(?:{_ORDINAL}|{_CARDINAL}(?:{_GAP}{_CARDINAL}){{0,2}})"
_OF = rf"(?i:(?:day{_GAP})?(?:of|de|di|del|im){_GAP}(?:the{_GAP})?)"
_SINCE = rf"{_GAP}(?i:nineteen|twenty|two{_GAP}thousand|\d{{2,4}}(?!\d))"

DAYS = re.compile(
    rf"{_START}(?:(?i:the|le|el|il|am|den|der){_GAP})?(?:(?i:{_DAY}){_GAP}{_OF}?{_MONTH}"
    rf"|(?i:{_DAY}){_GAP}{_OF}?(?i:may|march){_END}(?={_SINCE})|(?i:{_DAY}){_GAP}{_OF}(?i:may|march){_END})(?i:{_YEAR})"
    rf"|{_START}(?i:nineteen|twenty|two{_GAP}thousand|(?:19|20)\d\d)(?i:{_GAP}(?:and{_GAP})?{_CARDINAL}){{0,4}}{_GAP}(?i:may|march){_GAP}(?i:{_DAY})"
    rf"|{_START}{_MONTH}{_GAP}(?i:(?:the|le|den){_GAP})?(?i:{_DAY})(?i:{_YEAR})"
    rf"|{_START}(?i:may|march){_GAP}(?i:the{_GAP})?(?i:{_any(ORDINALS)}|\d{{1,2}}(?:st|nd|rd|th))"
    rf"(?:(?<=\d[a-z][a-z])|(?={_SINCE})){_END}(?i:{_YEAR})"
)
NUMBERED_MONTHS = re.compile(
    rf"{_START}(?:the{_GAP})?(?:{_any(ORDINALS)}|\d{{1,2}}(?:st|nd|rd|th)){_GAP}of{_GAP}the{_GAP}{_any(ORDINALS)}(?={_SINCE}){_YEAR}",
    re.IGNORECASE,
)
YEARS = re.compile(
    rf"{_START}(?:(?:eighteen|nineteen){_GAP}(?:hundred|oh|o|{_TEEN}){_END}|twenty{_GAP}(?:oh|{_TEEN}){_END}"
    rf"|two{_GAP}thousand{_END})(?:{_GAP}(?:and{_GAP})?{_any(f'{UNITS} {TEENS} {TENS}')}{_END}){{0,3}}"
    rf"|{_START}(?:mille|mil){_END}(?:{_GAP}(?:{_CARDINAL})){{1,6}}",
    re.IGNORECASE,
)
DIALLED = re.compile(
    rf"{_START}(?:{_any(DIGITS)}{_END}{_GAP}){{3,20}}{_any(DIGITS)}{_END}(?:{_GAP}{_CARDINAL}){{0,9}}",
    re.IGNORECASE,
)
AGES = re.compile(
    rf"{_START}(?:aged?{_GAP}(?:(?:of|about){_GAP})?{_NINETY}|{_NINETY}{_GAP}(?:years?|yrs?|y|yo){_END}(?:{_GAP}olds?{_END})?"
    rf"|in{_GAP}(?:her|his|their|the){_GAP}(?:(?:early|mid|late){_GAP})?(?:nineties|(?:9|10|11)0['’]?s)){_END}",
    re.IGNORECASE,
)
PATTERNS: tuple[tuple[frozenset[str], re.Pattern[str]], ...] = (
    (frozenset(f"{MONTHS} may march".split()), DAYS),
    (frozenset(ORDINALS.split()), NUMBERED_MONTHS),
    (frozenset(["eighteen", "nineteen", "twenty", "two", "mille", "mil"]), YEARS),
    (frozenset(DIGITS.split()), DIALLED),
    (frozenset(["ninety", "hundred", "nineties", "s"]), AGES),
)
"""The words of which one must be in the text, casefolded, and what is looked for then."""

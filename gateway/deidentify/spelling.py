"""How one value may be spelt elsewhere: its words, other orders, transliterations, character sets; days and months of a date."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from gateway.deidentify.charset import read_charset

NOT_WORDS = re.compile(r"[\s,.;:/\\()\[\]\"'´`’\-_^=&+\x00\x1b]+")
SEPARATORS = ("", " ", ", ", ",", "^", "_", "-", ".")
REPLACED = "\N{REPLACEMENT CHARACTER}"
ESCAPE_END = re.compile(rb"\x1b\([BJ]$")

_GERMAN = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "oe", "å": "aa", "þ": "th"}
)
_PLAIN = str.maketrans(
    {"ß": "s", "æ": "a", "œ": "o", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "þ": "t"}
)
_BACK = {"ae": "ä", "oe": "ö", "ue": "ü"}
_KANA = re.compile("[ぁ-ゖァ-ヶｦ-ﾟ]")
_KATAKANA = {code: code + 0x60 for code in range(ord("ぁ"), ord("ゖ") + 1)}
_HIRAGANA = {katakana: hiragana for hiragana, katakana in _KATAKANA.items()}
_HALVES = {ord(unicodedata.normalize("NFKC", chr(half))): chr(half) for half in range(ord("ｦ"), ord("ﾟ") + 1)}
"""Katakana and the marks of voice (U+3099, U+309A) of full width -> of half width."""
_UMLAUTS = re.compile(r"(?<![aeiouq])[aou]e")
_MONTHS = (
    "jan|janv|ocak|oca|ene|gen|styczeń",
    "feb|fév|fev|şubat|luty",
    "mar|mär|mae|mrz|maa",
    "apr|avr|abr|nisan|kwiecień",
    "may|mai|mei|mag|mayıs|maj",
    "jun|juin|giu|haziran|czerwiec",
    "jul|juil|lug|temmuz|lipiec",
    "aug|aoû|aou|ago|ağustos|sierpień",
    "sep|set|eylül|wrzesień",
    "oct|okt|ott|ekim|październik",
    "nov|kasım|listopad",
    "dec|dez|déc|dic|aralık|grudzień",
)


def decoded(raw: bytes, character_set: str) -> str:
    """Text as declared; as UTF-8 where it is that, whatever is declared. What cannot be read is left out."""
    in_utf8 = raw.decode("utf-8", "replace")
    if not raw.isascii() and REPLACED not in in_utf8:
        return in_utf8
    return read_charset(character_set.encode("latin-1", "replace")).decode(raw).replace(REPLACED, "")


def words(text: str) -> list[str]:
    return [word for word in NOT_WORDS.split(text) if word]


def components(name: str) -> Iterator[list[str]]:
    """Family, given and middle name of each component group (PS3.5 6.2.1); titles are nobody's."""
    for group in name.split("="):
        parts = [part.strip() for part in group.split("^")[:3]]
        yield [part for part in parts if part] if "^" in group else words(group)[:4]


def orders(family: str, given: str) -> Iterator[str]:
    """Both together, either first, with what may stand between."""
    for separator in SEPARATORS:
        yield family + separator + given
        yield given + separator + family


def spellings(word: str) -> set[str]:
    """Lower case: as it is, transliterated, without its marks; kana in either form and width."""
    lower = word.lower()
    if lower.isascii():
        return {lower}
    composed = unicodedata.normalize("NFC", lower)
    found = {composed, bare(composed.translate(_GERMAN)), bare(composed.translate(_PLAIN)), *_kana(composed)}
    return {spelt for spelt in found if spelt}


def _kana(word: str) -> Iterator[str]:
    """Hiragana, katakana, katakana of half width: what one of them is in a name is another in a description."""
    if _KANA.search(word):
        katakana = unicodedata.normalize("NFKC", word).translate(_KATAKANA)
        yield from (katakana, katakana.translate(_HIRAGANA), unicodedata.normalize("NFD", katakana).translate(_HALVES))


def as_german(word: str) -> set[str]:
    """Others of an ASCII word where its ae, oe, ue can only be an umlaut's, and its ss may be an ß."""
    if len(word) < 5 or not word.isascii():
        return set()
    umlaut = _UMLAUTS.sub(lambda match: _BACK[match[0]], word)
    return {umlaut, umlaut.replace("ss", "ß"), word.replace("ss", "ß")} - {word}


def bare(text: str) -> str:
    """Without accents and other marks."""
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


@lru_cache(128)
def encoded(text: str, character_set: str) -> frozenset[bytes]:
    """Lower-case bytes of a word in every character set that it may stand in; of letters outside ASCII in either case."""
    if text.isascii():
        return frozenset({text.lower().encode()})
    western = _tried(text, "latin-1")  # as UTF-16 it is found as Latin-1, in the wide view
    codecs = (
        {"utf-8", "latin-1"} if western else {"utf-8", "iso8859_2", "iso8859_9", "gb18030", "utf-16-le", "utf-16-be"}
    )
    codecs.update(read_charset(character_set.encode("latin-1", "replace")).names)
    cases = {text, text.lower(), text.upper(), text.title(), unicodedata.normalize("NFD", text.lower())}
    found = (_tried(case, codec) for case in cases for codec in codecs)
    return frozenset(ESCAPE_END.sub(b"", form).lower() for form in found if form)


def _tried(text: str, codec: str) -> bytes:
    try:
        return text.encode(codec)
    except (UnicodeEncodeError, LookupError):
        return b""


def is_ideographic(word: str) -> bool:
    """Whether a word is of a script whose single characters are syllables or words: Han, Kana, Hangul."""
    return any("⺀" <= c <= "鿿" or "가" <= c <= "힣" or "ｦ" <= c <= "ﾟ" for c in word)


def is_unspaced(word: str) -> bool:
    """Whether a word is of a script of letters that has no blanks between words: Thai, Lao, Burmese, Khmer."""
    return any("\u0e00" <= c <= "\u0eff" or "\u1000" <= c <= "\u109f" or "\u1780" <= c <= "\u17ff" for c in word)


def date_forms(year: str, month: str, day: str) -> str:
    """A regular expression for all spellings of one date, of text in lower case; numbers must not go on at either end."""
    d, m = f"0?{int(day)}" if int(day) < 10 else day, f"0?{int(month)}" if int(month) < 10 else month
    named = f"(?:{_MONTHS[int(month) - 1]})[^\\W\\d_]{{0,9}}"
    gap, some = r"[-./_ ,]{1,2}", r"(?:[-./_ ,]|st|nd|rd|th|de|of){0,6}"
    full = (
        f"{year}{month}{day}|{day}{month}{year}|{month}{day}{year}",
        f"{year}{gap}{m}{gap}{d}|{d}{gap}{m}{gap}{year}|{m}{gap}{d}{gap}{year}",
        f"{d}{some}{named}{some}{year}|{named}{some}{d}{some}{year}|{year}{some}{named}{some}{d}",
    )
    return "|".join(full)


def short_date_forms(year: str, month: str, day: str) -> Iterable[str]:
    """With two digits of the year: only in orders and with separators that nothing else has."""
    return (f"{day}.{month}.{year[2:]}", f"{month}/{day}/{year[2:]}", f"{day}/{month}/{year[2:]}")

"""Free text with everything removed that is not provably harmless (PS3.15 E.3.4 and E.3.5, Clean Descriptors and Content).

A word stays when the vocabulary has it, or its form shows that it can name nobody ("5 mm", "T2", "L4/5"); all else goes, in any
language and script. Before that go the forms that name somebody or some day with harmless words (`textforms`), and always the
patient's own words, whatever the vocabulary says. What is joined to something that went goes with it when it could be a part of
it: the 99 of "SYN-99-123", the J. of "J. Smith", the Long of "Long, Hermenegild".

A text is cleaned again until nothing changes, so cleaning twice does what cleaning once does.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache

from gateway.deidentify.charset import Charset
from gateway.deidentify.ownwords import FEW, SURE, any_of, bare, squeezed
from gateway.deidentify.textforms import HOLE, pierced
from gateway.deidentify.textpersons import name_people
from gateway.deidentify.wordlike import Kind, Words, is_setting, kind_of, parts_of, sort_words

LIMITS: dict[bytes, int] = {b"CS": 16, b"SH": 16, b"LO": 64, b"ST": 1024, b"LT": 10240, b"UC": 0, b"UT": 0}
"""Characters of one value (PS3.5 6.2); 0: any. Text of another VR goes as a whole."""
SEVERAL = frozenset((b"CS", b"SH", b"LO", b"UC"))
LAYOUT = frozenset((b"ST", b"LT", b"UT"))
CODE = re.compile(r"[A-Z0-9_ ]*")

SEPARATORS = re.compile(r"([\s!-/:-@\[-`{-~°–—…«»„“”‘’×±·§]+)")
"""Between words. Every other character is part of one, so that what is odd makes the word unknown."""
JOINS = frozenset((" ", ", ", ",", "^", "-", "."))
"""Between the parts of a name."""
PASSES = 8
CACHED = 2048
"""Bytes; longer texts do not repeat."""


@dataclass(frozen=True)
class Own:
    """`sure`: words of `SURE` characters and more in one pattern, None for none."""

    words: frozenset[str] = field(repr=False)
    sure: re.Pattern[str] | None = field(repr=False)


class TextCleaner:
    """`vocabulary`: as `load_vocabulary` gives it. Thread-safe: nothing changes but bounded caches."""

    def __init__(self, vocabulary: frozenset[str]) -> None:
        self._words: Words = sort_words(vocabulary)
        self._kind = lru_cache(8192)(self._kind_of)
        self._cleaned = lru_cache(4096)(self._named)

    def clean(self, vr: bytes, raw: bytes, charset: Charset, own: frozenset[str]) -> bytes:
        """`raw`: the element's value as it came. `own`: of `own_words`. -> never longer, legal, not padded."""
        if len(raw) > CACHED or len(own) > FEW:
            return self._clean(vr, raw, charset, own)
        return self._cleaned(vr, raw, charset.names, own)

    def _named(self, vr: bytes, raw: bytes, names: tuple[str, ...], own: frozenset[str]) -> bytes:
        """Keyed on the names alone, whose hash is the cheaper one."""
        return self._clean(vr, raw, Charset(names), own)

    def _clean(self, vr: bytes, raw: bytes, charset: Charset, own: frozenset[str]) -> bytes:
        if vr not in LIMITS:
            return b""
        text = charset.decode(raw).rstrip(" \0")
        mine = known_own(own)
        values = text.split("\\") if vr in SEVERAL else [text]
        clean = [self._legal(vr, value, charset, mine) for value in values]
        done = charset.encode("\\".join(clean)) if any(clean) else b""
        return done if len(done) <= len(raw) else b""

    def _legal(self, vr: bytes, value: str, charset: Charset, own: Own) -> str:
        """One value: cleaned until nothing changes, short enough, of characters that its set has."""
        text = unicodedata.normalize("NFC", value)
        for _ in range(PASSES):
            before = text
            text = _cut(self._pass(text, own, layout=vr in LAYOUT), LIMITS[vr])
            if not text.isascii():
                text = _encodable(text, charset)
            if text == before:
                break
        else:
            return ""
        if vr == b"CS" and not CODE.fullmatch(text) and text != value.strip(" "):
            return ""  # no code any more; what came as none, like "C-SPINE", stays where all of it is harmless
        return "" if own.sure is not None and own.sure.search(squeezed(text)) else text

    def _pass(self, text: str, own: Own, *, layout: bool) -> str:
        pieces = SEPARATORS.split(pierced(text))
        words, gaps = pieces[::2], pieces[1::2]
        kinds = [self._kind(word) if word else Kind.LISTED for word in words]
        if Kind.UNKNOWN in kinds:
            self._phrases(words, gaps, kinds)
        name_people(words, gaps, kinds, self._words)
        if own.words:
            inside = own.sure is not None and bool(own.sure.search(squeezed(text)) or not text.isascii())
            for at, word in enumerate(words):
                if kinds[at] and word and _is_own(word, own, inside=inside):
                    kinds[at] = Kind.UNKNOWN
        if Kind.UNKNOWN in kinds or Kind.SHY in kinds:
            _spread(words, gaps, kinds)
        return _assemble(words, gaps, kinds, layout=layout)

    def _kind_of(self, word: str) -> Kind:
        return kind_of(word, self._words)

    def _phrases(self, words: list[str], gaps: list[str], kinds: list[Kind]) -> None:
        """Gray matter: names by themselves, harmless together. PTV_6000: a number of nobody's beside a setting."""
        for at in range(len(words) - 1):
            if not (kinds[at] and kinds[at + 1]) and f"{words[at]} {words[at + 1]}".casefold() in self._words.phrases:
                named = words[at + 1].isdigit() and words[at].casefold() in self._words.namesakes  # Gleason 4
                kinds[at], kinds[at + 1] = Kind.NAMESAKE if named else Kind.LISTED, Kind.LISTED
            elif is_setting(words[at + 1], words[at], gaps[at]):
                kinds[at + 1] = Kind.LOOSE


@lru_cache(64)
def known_own(own: frozenset[str]) -> Own:
    """`own` as it is searched for."""
    long = [squeezed(word) for word in own if len(word) >= SURE]
    return Own(own, any_of(long) if long else None)


def _is_own(word: str, own: Own, *, inside: bool) -> bool:
    """`inside`: whether the text holds a word of the patient's at all when its separators are left out."""
    folded = word.casefold()
    if folded in own.words or (not folded.isascii() and bare(folded) in own.words):
        return True
    if inside and own.sure is not None and (own.sure.search(folded) or own.sure.search(bare(folded))):
        return True
    return not own.words.isdisjoint(parts_of(word))


def _spread(words: list[str], gaps: list[str], kinds: list[Kind]) -> None:
    """What stands beside a word that goes, and could be a part of it, goes too: forwards, backwards, forwards."""
    ahead, back = range(1, len(words)), range(len(words) - 2, -1, -1)
    for places, step in ((ahead, -1), (back, 1), (ahead, -1)):
        for at in places:
            gap = gaps[at - 1] if step < 0 else gaps[at]
            if kinds[at] >= Kind.LOOSE and _goes_too(at, at + step, gap, (words, kinds)):
                kinds[at] = Kind.UNKNOWN


def _goes_too(at: int, beside: int, gap: str, text: tuple[list[str], list[Kind]]) -> bool:
    """Whether word `at`, loose or shy, goes because of the one beside it."""
    words, kinds = text
    if kinds[beside] is not Kind.UNKNOWN:
        return False
    if kinds[at] is Kind.SHY:
        return len(gap) < 3 and not words[beside].isdigit()
    if kinds[at] is Kind.NAMESAKE:
        return gap in JOINS and len(words[beside]) > 2 and words[beside].isalpha() and _alike(words[at], words[beside])
    if not any(c.isspace() or c in ",;()" for c in gap):
        return True
    return len(words[at]) == 1 and words[at].isupper() and gap in (" ", ", ", ". ") and not words[beside].isdigit()


def _alike(one: str, other: str) -> bool:
    """Both with a large initial, or both all large."""
    return other[0].isupper() and one.isupper() == other.isupper()


def _assemble(words: list[str], gaps: list[str], kinds: list[Kind], *, layout: bool) -> str:
    """The words that stay, with their separators; where some went, what separated them is one separator."""
    out: list[str] = []
    gap = ""
    broken = False
    for at, word in enumerate(words):
        if not word and at:  # the text ends with separators
            break
        if kinds[at] is not Kind.UNKNOWN:
            out += [_mended(gap, first=not out) if broken else _plain(gap, layout=layout), word]
            gap, broken = "", False
        else:
            broken = True
            gap += HOLE
        gap += gaps[at] if at < len(gaps) else ""
    if not any(word for word, kind in zip(words, kinds, strict=True) if kind):
        return ""
    out.append(_mended(gap, first=False, last=True) if broken else _plain(gap, layout=layout))
    return "".join(out)


def _plain(gap: str, *, layout: bool) -> str:
    """Control characters are legal where lines are; elsewhere they are blanks."""
    if gap.isprintable():
        return gap
    allowed = "\r\n\t\f" if layout else ""
    return "".join(c if c in allowed or c.isprintable() else " " for c in gap)


def _mended(gap: str, *, first: bool, last: bool = False) -> str:
    """One separator for a gap with holes in it. Whether lines may be is known from its having been there."""
    before, *_, after = gap.split(HOLE)
    closing = ")" if ")" in after and "(" not in before and not first else ""
    opening = "(" if "(" in before and ")" not in after and not last else ""
    if first:
        return opening
    if last:
        return closing
    for line in ("\r\n", "\n"):
        if line in gap:
            return closing + line + opening
    if before == after and before in ("_", "^", "-", "/"):
        return before
    ends = before[:1] + (after[:1] if not opening else "")
    mark = "." if after[:1] == "." else next((c for c in ends if c in ".,;:"), "")
    return f"{closing}{mark} {opening}"


def _cut(text: str, limit: int) -> str:
    """Trimmed, and no longer than `limit` characters; what is cut ends with a whole word."""
    text = text.strip(" ") if limit != 1 else text
    if not limit or len(text) <= limit:
        return text
    ends = [match.start() for match in SEPARATORS.finditer(text, 0, limit + 1)]
    return text[: ends[-1]].rstrip(" ") if ends else ""


def _encodable(text: str, charset: Charset) -> str:
    """Words with a character that the set does not have become holes."""
    return "".join(
        piece if piece.isascii() or charset.decode(charset.encode(piece)) == piece else "" if at % 2 == 0 else " "
        for at, piece in enumerate(SEPARATORS.split(text))
    )

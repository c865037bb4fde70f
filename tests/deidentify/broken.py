"""Data sets broken in every way that comes to mind. Case `n` of a seed is always the same one.

What is planted and searched are the values of the request (`OWN`), which the cleaner is told; what a broken tag makes of a
stranger's name nobody can know.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from tests.deidentify.nested import OPTION_SETS, Options, make_planted
from tests.deidentify.planted import TRAPS, build
from tests.deidentify.writer import SYNTAXES, base, write

OWN = ("Quastenberg", "PX-774411", "ACC7744110")
POOL = 600
"""Sound data sets that are made once and broken again and again."""
WORDS = (0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF, 0x80000000, 0x10000, 0xFFFF, 0xFFFE, 13, 7, 1, 0)
DELIMITERS = (b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xfe\xe0\x00", b"\xff\xfe\xe0\xdd")
BOMB = 1 << 23


@dataclass(frozen=True)
class Sound:
    data: bytes = field(repr=False)
    syntax: str
    options: Options


@dataclass(frozen=True)
class Case:
    """`file`: a whole Part 10 file, else `data` alone."""

    kind: str
    data: bytes = field(repr=False)
    syntax: str
    options: Options
    file: bool = False


@lru_cache(POOL)
def sound(number: int) -> Sound:
    rnd = Random(number)
    options = rnd.choice(OPTION_SETS)
    if number % 3 == 0:
        syntax = rnd.choice(sorted(SYNTAXES))
        return Sound(build(rnd.choice(sorted(TRAPS)), syntax)[0], SYNTAXES[syntax], options)
    planted = make_planted(rnd, options)
    return Sound(planted.data(), planted.syntax, options)


Breaking = Callable[[Random, bytes], bytes]


def flipped(rnd: Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rnd.choice((1, 1, 2, 8, 64))):
        out[rnd.randrange(len(out))] ^= 1 << rnd.randrange(8)
    return bytes(out)


def truncated(rnd: Random, data: bytes) -> bytes:
    return data[: rnd.randrange(len(data))]


def lengths(rnd: Random, data: bytes) -> bytes:
    """Somewhere a length that is huge, odd, or undefined."""
    out = bytearray(data.ljust(4, b"\0"))
    for _ in range(rnd.choice((1, 1, 3))):
        at = rnd.randrange(0, max(1, len(out) - 4), 2)
        word = rnd.choice(WORDS)
        form = rnd.choice(("<I", ">I") if word > 0xFFFF else ("<I", "<H", ">H"))
        struct.pack_into(form, out, at, word)
    return bytes(out)


def swapped(rnd: Random, data: bytes) -> bytes:
    """Two tags, or whatever stands in two places, exchanged."""
    out = bytearray(data)
    one, two = (rnd.randrange(0, max(1, len(out) - 4), 2) for _ in range(2))
    out[one : one + 4], out[two : two + 4] = out[two : two + 4], out[one : one + 4]
    return bytes(out)


def undelimited(rnd: Random, data: bytes) -> bytes:
    """Delimiters and item headers taken out, or turned into one another."""
    mark = rnd.choice(DELIMITERS)
    places = [at for at in range(len(data) - 8) if data.startswith(mark, at)] if mark in data else []
    if not places:
        return delimited(rnd, data)
    at = rnd.choice(places)
    return data[:at] + rnd.choice((b"", rnd.choice(DELIMITERS) + data[at + 4 : at + 8])) + data[at + 8 :]


def delimited(rnd: Random, data: bytes) -> bytes:
    at = rnd.randrange(0, len(data), 2)
    length = struct.pack("<I", rnd.choice((0, 0, 0xFFFFFFFF, 8, rnd.randrange(1 << 16))))
    return data[:at] + rnd.choice(DELIMITERS) + length + data[at:]


def garbled(rnd: Random, data: bytes) -> bytes:
    """VRs that are none, or another one's."""
    out = bytearray(data)
    for _ in range(rnd.choice((1, 2, 5))):
        at = rnd.randrange(len(out))
        pair = rnd.choice((b"??", b"\0\0", b"SQ", b"UN", b"OB", b"UT", b"PN", b"US", b"zz", rnd.randbytes(2)))
        out[at : at + 2] = pair
    return bytes(out[: len(data)])


def repeated(rnd: Random, data: bytes) -> bytes:
    """A stretch put in again, there or elsewhere; now and then a hundred times."""
    start = rnd.randrange(len(data))
    stretch = data[start : start + rnd.choice((8, 20, 64, 400, len(data)))]
    at = rnd.choice((start, rnd.randrange(len(data))))
    return data[:at] + stretch * rnd.choice((1, 1, 2, 100)) + data[at:]


def cut_out(rnd: Random, data: bytes) -> bytes:
    at = rnd.randrange(len(data))
    return data[:at] + data[at + rnd.choice((1, 2, 4, 8, 30, 200)) :]


def noise(rnd: Random, data: bytes) -> bytes:
    return rnd.randbytes(rnd.choice((0, 1, 7, 8, 12, 64, 600)))


def headed(rnd: Random, data: bytes) -> bytes:
    """Little but a beginning: the first element, its header, or noise behind both."""
    return data[: rnd.choice((2, 4, 6, 8, 12, 18, 20))] + rnd.choice((b"", rnd.randbytes(40), b"\0" * 40))


def deep(rnd: Random, data: bytes) -> bytes:
    """Sequences in one another, thousands deep: open ones, closed ones, or with lengths; explicit, or as UN holds them."""
    depth, kind = rnd.choice((40, 60, 1000, 10000)), rnd.randrange(4)
    at = data.find(b"\x10\x00\x10\x00")
    head = b"\x08\x00\x18\x22" + (b"SQ\0\0" if kind < 2 else b"UN\0\0" if kind == 2 else b"") + b"\xff" * 4
    tower = (head + b"\xfe\xff\x00\xe0" + b"\xff" * 4) * depth
    if kind != 1:
        tower += (b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0") * depth
    return data[: max(at, 0)] + tower + data[max(at, 0) :]


def many(rnd: Random, data: bytes) -> bytes:
    """Items or elements without number."""
    item, count = rnd.choice((b"\xfe\xff\x00\xe0\0\0\0\0", b"\x18\x00\x22\x00CS\0\0", b"\x09\x00\x10\x00LO\0\0")), 5000
    at = data.find(b"\x10\x00\x10\x00")
    if item.startswith(b"\xfe"):
        item = b"\x08\x00\x18\x22SQ\0\0" + struct.pack("<I", 8 * count) + item * count
        count = 1
    return data[: max(at, 0)] + item * count + data[max(at, 0) :]


BREAKINGS: dict[str, Breaking] = {
    made.__name__: made
    for made in (
        flipped,
        truncated,
        lengths,
        swapped,
        undelimited,
        delimited,
        garbled,
        repeated,
        cut_out,
        noise,
        headed,
    )
}
GENTLE = ("flipped", "garbled", "swapped")
"""What often leaves a data set whole: more of it, as a refusal proves little."""
RARE: dict[str, Breaking] = {"deep": deep, "many": many}
DEFLATED = SYNTAXES["deflated"]


def deflated(data: bytes) -> bytes:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflater.compress(data) + deflater.flush()


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data)


def bomb(rnd: Random) -> bytes:
    """A few kilobytes that become megabytes: NULs, empty elements, or an item of NULs."""
    data, kind = write(base(), "explicit"), rnd.randrange(3)
    filler = (
        b"\0" * BOMB,
        b"\x09\x00\x10\x00LO\0\0" * (BOMB // 128),
        b"\x08\x00\x18\x22SQ\0\0\xff\xff\xff\xff" + b"\0" * BOMB,
    )
    return deflated(data + filler[kind] if kind < 2 else filler[kind] + data)


def make_case(seed: int, number: int) -> Case:
    """Case `number` of `seed`."""
    rnd = Random(f"{seed}-{number}")
    of = sound(rnd.randrange(POOL))
    if number % 4999 == 0:
        return Case("bomb", bomb(rnd), DEFLATED, of.options)
    if number % 101 == 0:
        kind = rnd.choice(sorted(RARE))
        inner = inflated(of.data) if of.syntax == DEFLATED else of.data
        broken = RARE[kind](rnd, inner)
        return Case(kind, deflated(broken) if of.syntax == DEFLATED else broken, of.syntax, of.options)
    if number % 23 == 0:
        return meta_case(rnd, of)
    return plain_case(rnd, of)


def plain_case(rnd: Random, of: Sound) -> Case:
    """One breaking, now and then two. Of deflated ones mostly what is inside is broken."""
    kinds = rnd.choices((*sorted(BREAKINGS), *GENTLE * 3), k=rnd.choice((1, 1, 1, 2)))
    inside = of.syntax == DEFLATED and rnd.random() < 0.7
    data = inflated(of.data) if inside else of.data
    for kind in kinds:
        data = BREAKINGS[kind](rnd, data) if data else data
    other = rnd.random() < 0.03  # not encoded as it says
    syntax = rnd.choice((*SYNTAXES.values(), "1.2.3", "")) if other else of.syntax
    return Case("+".join(kinds), deflated(data) if inside else data, syntax, of.options)


def meta_case(rnd: Random, of: Sound) -> Case:
    """A file whose head is broken, or not quite."""
    syntax = of.syntax.encode() + b"\0" * (len(of.syntax) & 1)
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    meta += struct.pack("<HH2sH", 2, 0x16, b"AE", 12) + b"Quastenberg "
    head = b"Quastenberg".ljust(128, b"\0") + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta
    if rnd.random() < 0.8:
        head = BREAKINGS[rnd.choice(sorted(BREAKINGS))](rnd, head)
    return Case("meta", head + of.data, of.syntax, of.options, file=True)

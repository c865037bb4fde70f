"""Every key of a TOML file has the line on which it stands, however it is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest

from gateway.settings.finding import Place
from gateway.settings.lines import key_lines, nearest_line

TEXT = '''\
# a comment
a = 1
b.c."d e" = { x = 1, 'y' = { z = [1, 2] } }
[[p]]
n = "m"   # a comment
l = [ { a = 1 },  # one
  # between
  { b = 2 },
]
[p.s]
q = """
k = 1
x"""
after = 2
[[p.d]]
t = 1
[[p.d]]
t = 2
[[p]]
[[p.d]]
t = 3
["quoted . key".b]
"\\u0041" = 1
'''

LINES = {
    ("a",): 2,
    ("b", "c", "d e", "x"): 3,
    ("b", "c", "d e", "y", "z", 1): 3,
    ("p", 0): 4,
    ("p", 0, "l"): 6,
    ("p", 0, "l", 1): 8,
    ("p", 0, "l", 1, "b"): 8,
    ("p", 0, "s", "q"): 11,
    ("p", 0, "s", "after"): 14,
    ("p", 0, "d", 1): 17,
    ("p", 0, "d", 1, "t"): 18,
    ("p", 1): 19,
    ("p", 1, "d", 0, "t"): 21,
    ("quoted . key", "b"): 22,
    ("quoted . key", "b", "A"): 23,
}


@pytest.mark.parametrize(("place", "line"), LINES.items())
def test_line(place: Place, line: int) -> None:
    assert key_lines(TEXT)[place] == line


def places(value: object, place: Place = ()) -> Iterator[Place]:
    yield place
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in children:
        yield from places(inner, (*place, key))


def test_every_value_has_a_line() -> None:
    assert set(places(tomllib.loads(TEXT))) == {(), *key_lines(TEXT)}


def test_what_is_missing_is_told_where_it_would_stand() -> None:
    lines = key_lines(TEXT)
    assert nearest_line(lines, ("p", 0, "s", "missing")) == 10
    assert nearest_line(lines, ("p", 5, "missing", 3)) == 4
    assert nearest_line(lines, ("missing",)) == 0

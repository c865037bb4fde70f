"""The mistakes of who writes TOML by hand are told in words, with their line and without a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.settings.configurations import mistakes, written

CURLED = "a quote of a word processor; text stands in straight quotes"
BARE = 'text without quotes?; text stands in straight quotes: "..."'
OPEN = "a quote that is not closed; text begins and ends with the same straight quote"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("x = 1\na = \u201chunter2\u201d\n", 2, CURLED),
        ("a = \u2019hunter2\u2019\n", 1, CURLED),
        ('a = "hunter2\u201d\nb = 1\n', 1, CURLED),
        ("a = \u201ehunter2\u201c\n", 1, CURLED),
        ("\u201ca\u201d = 1\n", 1, CURLED),
        ("a = hunter2\n", 1, BARE),
        ("a = /etc/hunter2\n", 1, BARE),
        ("a = True\n", 1, BARE),
        ("a = 10.1.2.3\n", 1, BARE),
        ("a = 5m\n", 1, BARE),
        ("a = 5 GiB\r\nb = 1\r\n", 1, BARE),
        ('a = "hunter2\nb = 1\n', 1, OPEN),
        ("a = 'hunter2\nb = 1\n", 1, OPEN),
        ("a = 'hunter2", 1, OPEN),
        ("a = 1\nb = '''hunter2\nc = 1\nd = 1\n", 2, OPEN),
        ('a = 1\nb = """hunter2\nc = 1\nd = 1\n', 2, OPEN),
        ("a = 1\n\na = 2 # hunter2\n", 3, 'the key "a" a second time; each key once'),
        ("[x]\na.b = 1\na.b = 2\n", 3, 'the key "a.b" a second time'),
        ('a = 1\na = """\nhunter2 = 1"""\n', 3, "TOML: a key a second time"),
        ("a = 1\na = [\n1]\n", 3, "TOML: a key a second time"),
        ("x = {a = 1, a = 2}\n", 1, "Duplicate inline table key 'a'; each key once"),
        ("[x]\na = 1\n[y]\n[x] # twice\n", 4, 'the table "x" a second time; each [table] once'),
        ("[[p]]\n[p.s]\n[ p.s ]\n", 3, 'the table "p.s" a second time'),
        ("[x]\n[[x]]\n", 2, 'the table "x" a second time'),
        ('a = "x" y\n', 1, "Expected newline or end of document after a statement; valid TOML 1.0"),
        ("a\n", 1, "Expected '=' after a key"),
        ("a =\n", 1, "Invalid value; valid TOML 1.0"),
        ("a = [1\n", 1, "valid TOML 1.0"),
    ],
)
def test_a_mistake_of_syntax(tmp_path: Path, text: str, line: int, told: str) -> None:
    (found,) = mistakes(written(tmp_path, text.encode()))
    assert (found.where, found.line) == ("TOML", line)
    assert told in str(found)
    assert "hunter2" not in str(found)

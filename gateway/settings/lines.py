"""On which line each key of a TOML file stands: tomllib gives values without places, tree-sitter gives the places."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from gateway.settings.finding import Place

KEYS = frozenset({"bare_key", "quoted_key", "dotted_key"})


def key_lines(text: str) -> dict[Place, int]:
    """Place -> line (from 1) of every table, key and list item of `text`, which tomllib has accepted."""
    root = Parser(Language(tree_sitter_toml.language())).parse(text.encode()).root_node
    lines: dict[Place, int] = {}
    counts: dict[Place, int] = {}  # entries so far of each [[list of tables]]
    for node in root.named_children:
        if node.type == "pair":
            _note_pair(node, (), lines)
        elif node.type in ("table", "table_array_element"):
            place = _header(node, counts, lines)
            for pair in node.named_children:
                if pair.type == "pair":
                    _note_pair(pair, place, lines)
    return lines


def nearest_line(lines: dict[Place, int], place: Place) -> int:
    """The line of `place`, or of what it would stand in; 0 for the file as a whole."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 0)


def _header(node: Node, counts: dict[Place, int], lines: dict[Place, int]) -> Place:
    """The place of `[a.b]` or `[[a.b]]`; a list of tables on the way means its latest entry."""
    place: Place = ()
    keys = _keys(node)
    for depth, key in enumerate(keys, start=1):
        place = (*place, key)
        lines.setdefault(place, _line(node))
        if depth == len(keys) and node.type == "table_array_element":
            counts[place] = counts.get(place, 0) + 1
        if place in counts:
            place = (*place, counts[place] - 1)
            lines.setdefault(place, _line(node))
    return place


def _note_pair(node: Node, place: Place, lines: dict[Place, int]) -> None:
    for key in _keys(node):
        place = (*place, key)
        lines.setdefault(place, _line(node))
    _note_value(node.named_children[-1], place, lines)


def _note_value(node: Node, place: Place, lines: dict[Place, int]) -> None:
    if node.type == "inline_table":
        for pair in node.named_children:
            if pair.type == "pair":
                _note_pair(pair, place, lines)
    elif node.type == "array":
        items = [child for child in node.named_children if child.type != "comment"]
        for index, item in enumerate(items):
            lines[(*place, index)] = _line(item)
            _note_value(item, (*place, index), lines)


def _keys(node: Node) -> list[str]:
    key = next((child for child in node.named_children if child.type in KEYS), None)
    return list(_names(key)) if key else []


def _names(key: Node) -> Iterator[str]:
    text = (key.text or b"").decode()
    if key.type == "dotted_key":
        for child in key.named_children:
            yield from _names(child)
    elif key.type == "quoted_key":
        yield next(iter(tomllib.loads(f"{text} = 0")))
    else:
        yield text


def _line(node: Node) -> int:
    return node.start_point[0] + 1

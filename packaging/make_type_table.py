#!/usr/bin/env python3
"""Makes gateway/deidentify/types.csv: the type an attribute has in the IOD of each SOP class, from highdicom's tables.

    python packaging/make_type_table.py > gateway/deidentify/types.csv

highdicom (MIT) carries PS3.3 as JSON: which modules an IOD has, which attributes a module, macros and functional groups
included, and which IOD belongs to a SOP class. The wheel is fetched with `pip download` and read as data, nothing is installed.

Kept is what an action depends on: attributes of Type 1, 1C, 2 or 2C that the profile removes, empties or cleans, at
the top level (parent 00000000) and in each sequence. Where several modules have an attribute in one place, the strictest type
counts, whatever the module's usage: a dummy value in an optional module is legal, a missing one may not be.
Needs network, pip, pydicom and the gateway itself (for its rules); no part of the product.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from make_deid_table import read_from_wheel
from pydicom.datadict import tag_for_keyword

from gateway.deidentify.actions import Action
from gateway.deidentify.decision import NEVER_EMPTY
from gateway.deidentify.options import CODES, FULL_DATES, applied
from gateway.deidentify.standard import make_standard
from gateway.deidentify.table import load_table
from gateway.deidentify.types import STORAGE

SOURCE = ("highdicom", "0.28.2")
FOLDER = "highdicom/_standard/"
STRICTEST = ("1", "1C", "2", "2C")

Place = tuple[int, int]  # tag of the enclosing sequence, tag


def wanted_tags() -> dict[int, tuple[str, ...]]:
    """Tags whose action depends on the type (without any option most is removed), or whose cleaned value may be empty.

    -> tag -> the types that matter.
    """
    table = load_table()
    most = make_standard(table, applied([name for name in CODES if name != FULL_DATES])).rules
    cleaned = {tag for tag, rule in most.items() if rule.action in (Action.TEXT, Action.SHIFT)}
    forked = make_standard(table, applied(())).forks
    return dict.fromkeys(cleaned - NEVER_EMPTY, ("1", "1C")) | dict.fromkeys(forked, STRICTEST)


def module_types(attributes: Sequence[Mapping[str, Any]], wanted: Mapping[int, tuple[str, ...]]) -> dict[Place, str]:
    """What one module says, the strictest where it says it twice (a macro included in several places)."""
    types: dict[Place, str] = {}
    for attribute in attributes:
        tag, kind = tag_for_keyword(attribute["keyword"]), attribute["type"]
        if tag is not None and kind in wanted.get(tag, ()):
            path = attribute["path"]
            put_strictest(types, ((tag_for_keyword(path[-1]) or 0) if path else 0, int(tag)), kind)
    return types


def put_strictest(types: dict[Place, str], place: Place, kind: str) -> None:
    types[place] = min(kind, types.get(place, kind), key=STRICTEST.index)


def rows() -> Iterator[tuple[Place, str, list[str]]]:
    """(parent, tag), type, the SOP classes of which it is true."""
    iods, modules, classes = (
        json.loads(read_from_wheel(*SOURCE, FOLDER + name))
        for name in ("iod_module_map.json", "module_attribute_map.json", "sop_class_iod_map.json")
    )
    wanted = wanted_tags()
    told = {name: module_types(attributes, wanted) for name, attributes in modules.items()}
    found: dict[tuple[Place, str], list[str]] = defaultdict(list)
    for uid, iod in classes.items():
        types: dict[Place, str] = {}
        for module in iods[iod]:
            for place, kind in told.get(module["key"], {}).items():
                put_strictest(types, place, kind)
        for place, kind in types.items():
            found[place, kind].append(uid.removeprefix(STORAGE))
    for (place, kind), uids in sorted(found.items()):
        yield place, kind, sorted(uids)


def main() -> int:
    print(f"# PS3.3 types by SOP class; made by packaging/make_type_table.py from {'='.join(SOURCE)}")
    print("parent,tag,type,classes")
    for (parent, tag), kind, uids in rows():
        print(f"{parent:08X},{tag:08X},{kind},{' '.join(uids)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

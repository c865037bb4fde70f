#!/usr/bin/env python3
"""Makes gateway/deidentify/region_rules/devices.csv: where which device writes names into its pictures.

    python packaging/make_regions.py CTP_SCRIPT DEID_RECIPE DRE_CATALOG > gateway/deidentify/region_rules/devices.csv
    python packaging/make_regions.py --check gateway/deidentify/region_rules/devices.csv

Facts, read from local copies of three collections, none of whose text is taken over: CTP's DicomPixelAnonymizer.script (RSNA),
deid's deid.dicom (MIT), dicom-dre's default_catalog.py (Apache-2.0; parsed, never run). A rule here matches more widely than
there: beginnings and exact names become "contains", software versions are left out; what it blanks is the same. Conditions
that a clean header cannot show (radiation dose comments, overlays) leave the rule out. No part of the product.
"""

from __future__ import annotations

import ast
import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

WIDEST: Final = 1100
"""Pixels: a strip from the left edge that was given as this wide or wider, or as wide as the frame, is one of the whole width."""
FIELDS: Final = {
    "0008,0070": "manufacturer", "manufacturer": "manufacturer", "manfacturer": "manufacturer", "manufacture": "manufacturer",
    "0008,1090": "model", "manufacturermodelname": "model", "0008,0008": "image_type", "imagetype": "image_type",
    "0008,103e": "description", "seriesdescription": "description", "0028,0010": "rows", "rows": "rows", "0028,0011": "columns",
    "columns": "columns", "0028,0301": "burned_in", "burnedinannotation": "burned_in", "modality": "modality",
}  # fmt: skip


class Rule(NamedTuple):
    """Words are in upper case, alternatives with | between; "" is anything. `blank`: `x0 y0 x1 y1`, with ; between, * the edge."""

    modality: str = ""
    manufacturer: str = ""
    model: str = ""
    image_type: str = ""
    description: str = ""
    burned_in: str = ""
    rows: str = ""
    columns: str = ""
    blank: str = ""
    source: str = ""


def blank(areas: Iterable[Sequence[int]], columns: str) -> str:
    """`areas`: x, y, width, height."""
    told = []
    for x, y, width, height in areas:
        whole = x == 0 and (width >= WIDEST or (columns and width >= int(columns)) or (not columns and width >= 500))
        told.append(f"{x} {y} {'*' if whole else x + width} {y + height}")
    return ";".join(told)


def make(conditions: Mapping[str, str], areas: Sequence[Sequence[int]], source: str) -> Rule | None:
    """None: it blanks nothing, or would match any device at all."""
    told = {key: value.upper().strip() for key, value in conditions.items()}
    device = ("manufacturer", "model", "description", "rows", "image_type")
    if not areas or not any(told.get(key) for key in device):
        return None
    return Rule(**told)._replace(blank=blank(areas, told.get("columns", "")), source=source)


def from_ctp(text: str) -> Iterator[Rule]:
    """`{ [gggg,eeee].contains("...") * ... }` and then `(x,y,width,height) ...`; an alternative stands in brackets of its own."""
    for condition, areas in re.findall(r"\{(.*?)\}\s*((?:\([\d, ]+\)\s*)+)", text, flags=re.DOTALL):
        found: dict[str, str] = {}
        known = True
        for name, value in re.findall(r"\[?([\w,]+)\]?\.\w+\(\"(.*?)\"\)", condition):
            field = FIELDS.get(name.lower())
            known = known and field is not None
            if field:
                found[field] = f"{found[field]}|{value}" if field in found else value
        boxes = [[int(v) for v in box.split(",")] for box in re.findall(r"\(([\d, ]+)\)", areas)]
        rule = make(found, boxes, "ctp") if known else None
        if rule:
            yield rule


def from_deid(text: str) -> Iterator[Rule]:
    """Labels with `contains FIELD words` lines; `ctpcoordinates` are x,y,width,height, `coordinates` are corners."""
    for label in text.split("%filter graylist")[1].split("%filter blacklist")[0].split("LABEL ")[1:]:
        found: dict[str, str] = {}
        boxes: list[list[int]] = []
        known = "||" not in label
        for line in label.splitlines()[1:]:
            words = line.strip().removeprefix("+ ").split(maxsplit=2)
            if len(words) == 2 and words[0] == "ctpcoordinates":
                boxes.append([int(v) for v in words[1].split(",")])
            elif words and words[0] == "coordinates":
                x0, y0, x1, y1 = (int(v) for v in "".join(words[1:]).replace(" ", "").split(","))
                boxes.append([x0, y0, x1 - x0, y1 - y0])
            elif len(words) == 3 and words[0] in ("contains", "equals"):
                field = FIELDS.get(words[1].lower())
                known = known and field is not None
                found |= {field: words[2].split("+")[-1]} if field else {}
        if found.get("modality", "").upper() in ("OTHER", "MRI", "PET/CT"):  # no such modality: any
            del found["modality"]
        rule = make(found, boxes, "deid") if known else None
        if rule:
            yield rule


DRE = {
    "modality": "modality", "manufacturer": "manufacturer", "manufacturer_model_name": "model", "image_type": "image_type",
    "image_type_any": "image_type", "series_description": "description", "rows": "rows", "cols": "columns",
}  # fmt: skip
HIDDEN = ("code_meaning", "comments_on_radiation_dose", "study_description")


def from_dre(text: str) -> Iterator[Rule]:
    """Calls of `device(...)`, with `variant(...)` inside."""
    for call in ast.walk(ast.parse(text)):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "device":
            common = _literals(call)
            if any(name in common for name in HIDDEN):
                continue
            variants = [_literals(v) for k in call.keywords if k.arg == "variants" for v in _calls(k.value)]
            for variant in variants or [{}]:
                yield from _of_dre(common | variant)


def _calls(node: ast.expr) -> list[ast.Call]:
    return [v for v in node.elts if isinstance(v, ast.Call)] if isinstance(node, ast.List) else []


def _literals(call: ast.Call) -> dict[str, object]:
    found = {}
    for keyword in call.keywords:
        try:
            found[keyword.arg or ""] = ast.literal_eval(keyword.value)
        except ValueError:
            continue  # variants, which are calls themselves
    return found


def _of_dre(told: Mapping[str, object]) -> Iterator[Rule]:
    conditions: dict[str, str] = {}
    for name, field in DRE.items():
        value = told.get(name)
        words = [str(v).lstrip("^=") for v in (value if isinstance(value, list) else [value]) if v is not None]
        words = [word for word in words if word and not word.startswith("/")]
        if words:
            conditions[field] = "|".join(filter(None, (conditions.get(field), *words)))
    areas = told.get("scrub")
    rule = make(conditions, areas, "dre") if isinstance(areas, list) else None
    if rule:
        yield rule


def checked(rules: Iterable[Rule]) -> list[Rule]:
    """In order, each once, with the sources that tell it. Raises SystemExit for what is no rectangle."""
    sources: dict[Rule, set[str]] = {}
    for rule in rules:
        sources.setdefault(rule._replace(source=""), set()).update(rule.source.split("+"))
        for part in rule.blank.split(";"):
            x0, y0, x1, y1 = (int(v) if v != "*" else 1 << 16 for v in part.split())
            if not (0 <= x0 < x1 and 0 <= y0 < y1):
                raise SystemExit(f"no rectangle: {rule}")
    return sorted(rule._replace(source="+".join(sorted(told))) for rule, told in sources.items())


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--check"]:
        lines = [line for line in Path(arguments[1]).read_text().splitlines() if not line.startswith("#")]
        rules = [Rule(**row) for row in csv.DictReader(lines)]
        return int(checked(rules) != rules)
    ctp, deid, dre = (Path(name).read_text("utf-8", "replace") for name in arguments)
    found = checked([*from_ctp(ctp), *from_deid(deid), *from_dre(dre)])
    print("# Where devices write names; facts from CTP, deid and dicom-dre, made by packaging/make_regions.py")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(Rule._fields)
    writer.writerows(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

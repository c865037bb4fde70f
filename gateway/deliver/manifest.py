"""Manifests: what lies in a directory, as tables beside the data, so that a cohort is loaded without opening DICOM.

`manifests/series/DAY/SeriesInstanceUID.csv`: one line for each instance. `manifests/days/DAY.csv`: one line for each series whose
first instance came to the archive on that day (UTC); what comes later is counted there too, so that no series is on two days.
Beside each `.csv`, where it is asked for, the same as `.parquet`. Every value is pseudonymous: it stands in the clean file as it
stands here, or is a count, a size, a digest. Each file is whole at any moment: written aside, synced, renamed.

The lines of a day are made anew from those of its series, when a series' manifest is newer: nothing is remembered between lives.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.deliver import copy, header
from gateway.deliver.layout import Layout, safe
from gateway.deliver.sink import digest
from gateway.dicom.bulk import find_pixels
from gateway.dicom.part10 import read_file
from gateway.errors import Fatal
from gateway.state.writing import sync_folder

FOLDER: Final = "manifests"
READ: Final = (
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality", "StudyDate", "SeriesDate",
    "InstanceNumber",
)  # fmt: skip
INSTANCE: Final = (*READ, "File", "Size", "SHA256", "PixelsSHA256", "Profile", "Day")
SERIES: Final = (
    "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "StudyDate", "SeriesDate", "Instances", "Size", "SHA256",
    "Profile", "Day",
)  # fmt: skip
NUMBERS: Final = frozenset({"InstanceNumber", "Size", "Instances"})
DATES: Final = frozenset({"StudyDate", "SeriesDate", "Day"})  # as in a data set: YYYYMMDD; ISO in the tables

TICK, TICKS = 20_000_000, 10  # ns, two of the longest there are; and how often it is waited for
READ_BACK: Final = frozenset({"PatientID", "SOPInstanceUID", "Size", "SHA256", "Profile"})
WHOLE: Final = re.compile(r"[+-]?\d{1,18}", re.ASCII)  # and no more than 64 bits hold
PARQUET: Final = "csv+parquet"
SUFFIXES: Final = frozenset({".csv", ".parquet"})

Row = Mapping[str, str]
Encode = Callable[[Sequence[str], Sequence[Row]], bytes]
"""Columns and rows -> the content of a file."""


@dataclass(frozen=True)
class Delivered:
    """One file of the outbox that the archive has confirmed. `profile`: of the de-identification."""

    file: Path
    profile: str


def encoders(kind: str | None) -> Mapping[str, Encode]:
    """Of the setting `manifests`, besides CSV. Raises Fatal("deliver.missing")."""
    if kind != PARQUET:
        return {}
    try:
        from gateway.deliver.parquet import as_parquet
    except ImportError:
        told = f'manifests = "{PARQUET}" needs arro3-io: is all of requirements/run.txt installed?'
        raise Fatal("deliver.missing", told) from None
    return {".parquet": as_parquet}


def as_csv(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    """RFC 4180, but for lines that end as everywhere on Unix."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return text.getvalue().encode()


def pixels_digest(file: Path) -> str:
    """SHA-256 (hex) of the pixel data's value; "" where there is none, or it is deflated. Twins under two UIDs have the same.

    Raises Refused("file.not-dicom"), OSError.
    """
    data, syntax = read_file(file)
    found = find_pixels(data, syntax)
    if found is None:
        return ""
    start, run = found
    return sha256(data[start : start + run.take(data[start:])]).hexdigest()


class Manifests:
    """Of one archive. `encoders`: suffix -> how; `.csv` is always among them, and what is read back. Raises OSError."""

    def __init__(self, root: Path, layout: Layout, encoders: Mapping[str, Encode]) -> None:
        self._archive, self._root, self._layout = root, root / FOLDER, layout
        self._encoders = {".csv": as_csv, **encoders}

    def add(self, files: Sequence[Delivered], *, day: str) -> frozenset[str]:
        """The instances of one series, on top of those that are there. `day`: YYYYMMDD. Returns the patient IDs.

        Raises Refused, Retry as `header.read` does.
        """
        if not files:
            return frozenset()
        if not self._archive.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the archive's root is missing")
        found = [(one, header.read(one.file, self._layout.keywords.union(READ))) for one in files]
        uid = found[0][1]["SeriesInstanceUID"]
        path = self._series(uid, _shown("Day", day))
        rows = {row["SOPInstanceUID"]: row for row in _read(path)}
        for one, values in found:
            rows[values["SOPInstanceUID"]] = {
                **{column: _shown(column, values[column]) for column in READ}, "File": self._layout.place(values),
                "Size": str(one.file.stat().st_size), "SHA256": digest(one.file), "PixelsSHA256": pixels_digest(one.file),
                "Profile": one.profile, "Day": path.parent.name,
            }  # fmt: skip
        self._write(path, INSTANCE, sorted(rows.values(), key=lambda row: row["SOPInstanceUID"]))
        return frozenset(values["PatientID"] for _, values in found)

    def bring_up(self) -> int:
        """The days whose series have changed since. Returns how many."""
        return each(self._folders(), self._day)

    def forget(self, PatientID: str) -> None:
        """Nothing is left of that patient's lines, nor of halves of files that a killed process left: they may hold some."""
        with contextlib.ExitStack() as also:  # whatever of it fails
            also.callback(self.bring_up)
            also.callback(each, list(self._root.glob("**/.*.part")), _sweep)
            each(self._folders(), lambda folder: each(_tables(folder), lambda path: self._forget_in(path, PatientID)))

    def _folders(self) -> list[Path]:
        """Of days."""
        series = self._root / "series"
        return sorted(p for p in series.iterdir() if p.is_dir()) if series.is_dir() else []

    def _forget_in(self, path: Path, PatientID: str) -> bool:
        rows = _read(path)
        left = [row for row in rows if row["PatientID"] != PatientID]
        if len(left) < len(rows):
            self._write(path, INSTANCE, left)
        return len(left) < len(rows)

    def _series(self, uid: str, day: str) -> Path:
        """Where its manifest is, on whichever day it began; else where it will be."""
        name = f"{safe(uid)}.csv"
        there = next(iter(self._root.glob(f"series/*/{name}")), None)
        return there or self._root / "series" / day / name

    def _day(self, folder: Path) -> bool:
        path = self._root / "days" / f"{folder.name}.csv"
        changed = _settled(folder)
        if path.exists() and path.stat().st_mtime_ns >= changed:
            return False
        rows = [_summed(instances) for file in _tables(folder) if (instances := _read(file))]
        self._write(path, SERIES, rows)
        for file in self._files(path):  # as old as what it was made from: what came meanwhile is newer
            if file.exists():
                os.utime(file, ns=(changed, changed))
        if not rows:
            with contextlib.suppress(OSError):  # a series is just coming
                folder.rmdir()
        return True

    def _files(self, path: Path) -> list[Path]:
        return [path.with_name(path.stem + suffix) for suffix in self._encoders]

    def _write(self, path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """The CSV last: it says that the others are there. No rows: no file."""
        if rows:
            path.parent.mkdir(parents=True, exist_ok=True)
        for file in reversed(self._files(path)):
            if rows:
                _replace(file, self._encoders[file.suffix](columns, rows))
            else:
                file.unlink(missing_ok=True)
        for suffix in SUFFIXES - self._encoders.keys():  # of another configuration, and no longer true
            path.with_suffix(suffix).unlink(missing_ok=True)
        if path.parent.is_dir():
            sync_folder(path.parent)


def _tables(folder: Path) -> list[Path]:
    """Of a day's series. Not by Path.glob, for which a folder that may not be read is an empty one."""
    return sorted(path for path in folder.iterdir() if path.suffix == ".csv")


def _sweep(part: Path) -> bool:
    if gone := copy.abandoned(part):
        part.unlink(missing_ok=True)
    return gone


def _settled(folder: Path) -> int:
    """When it last changed (ns), so long ago that the next change bears another time: file systems go by the kernel's tick."""
    changed = folder.stat().st_mtime_ns
    for _ in range(TICKS):
        if time.time_ns() - changed >= TICK:
            break
        threading.Event().wait(TICK / 1e9)
        changed = folder.stat().st_mtime_ns
    return changed


def _summed(instances: Sequence[Row]) -> Row:
    """A series in one line. Its digest is that of its instances' digests in the order of their UIDs, one a line."""
    digests = "".join(f"{row['SHA256']}\n" for row in instances)
    profiles = sorted({row["Profile"] for row in instances})
    return {
        **{column: instances[0].get(column, "") for column in SERIES},
        "Instances": str(len(instances)),
        "Size": str(sum(int(row["Size"]) for row in instances)),
        "SHA256": sha256(digests.encode()).hexdigest(),
        "Profile": " ".join(profiles),
    }


def _shown(column: str, value: str) -> str:
    """Dates as ISO 8601, whole numbers as such; what is none is left out of its column."""
    text = value.strip()
    if column in DATES:
        return _iso(text)
    if column in NUMBERS:
        return text if WHOLE.fullmatch(text) else ""
    return text


def _iso(day: str) -> str:
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        return ""


def each(paths: Sequence[Path], do: Callable[[Path], int]) -> int:
    """How much it did, or how many times it did something. What fails for one keeps no other from it, and is raised in the end."""
    done, failed = 0, None
    for path in paths:
        try:
            done += do(path)
        except OSError as err:
            failed = failed or err
    if failed is not None:
        raise failed
    return done


def _read(path: Path) -> list[Row]:
    """[] when there is none. Raises OSError for what is not as it was written: a spreadsheet has saved it, say."""
    with contextlib.suppress(UnicodeDecodeError, csv.Error):
        try:
            rows: list[Row] = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
        except FileNotFoundError:
            return []
        if all(map(_is_ours, rows)):
            return rows
    told = f"a table in {FOLDER}/series/{path.parent.name} was changed by hand: move it out of the archive"
    raise OSError(errno.EBADMSG, told)


def _is_ours(row: Row) -> bool:
    there = {column for column, value in row.items() if value is not None}
    typed = {column: row[column] for column in there & (NUMBERS | DATES)}
    return there >= READ_BACK and bool(row["Size"]) and all(_shown(c, value) == value for c, value in typed.items())


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with copy.locked(part) as fd, os.fdopen(fd, "wb", closefd=False) as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)

"""Manifests: what a data manager reads is what lies there, on the day it came, whole at any moment, and without the withdrawn."""

from __future__ import annotations

import csv
import hashlib
import os
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from arro3.io import read_parquet
from pydicom import dcmread

from gateway.deliver.directory import DirectorySink
from gateway.deliver.layout import Layout
from gateway.deliver.manifest import INSTANCE, SERIES, TICK, Delivered, Manifests, _settled, _shown, pixels_digest
from gateway.deliver.parquet import as_parquet
from gateway.errors import Retry
from gateway.settings import DirectorySink as Settings
from tests.deliver.clean import LAYOUT, clean_file

TODAY, TOMORROW = "20261126", "20261127"


class Site:
    """An archive with manifests, filled series by series."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "archive"
        self.root.mkdir()
        self.sink = DirectorySink(Settings(path=self.root, manifests="csv+parquet"))
        self.manifests = Manifests(self.root, Layout(LAYOUT), {".parquet": as_parquet})

    def deliver(self, *numbers: int, series: int = 1, patient: str = "CHEST-A", day: str = TODAY) -> list[Path]:
        study, own = f"2.25.7{series}", f"2.25.8{series}"
        files = [
            clean_file(
                self.folder / "outbox",
                n,
                PatientID=patient,
                StudyInstanceUID=study,
                SeriesInstanceUID=own,
                StudyDate="20240503",
            )
            for n in numbers
        ]
        for file in files:
            self.sink.put(file)
        self.manifests.add([delivered(file) for file in files], day=day)
        return files

    def table(self, name: str) -> list[dict[str, str]]:
        with (self.root / "manifests" / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def names(self) -> list[str]:
        folder = self.root / "manifests"
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def delivered(file: Path) -> Delivered:
    return Delivered(file, "profile-1")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.catalogue("D5")
def test_one_instance_under_two_uids_is_told_by_its_pixels(site: Site) -> None:
    site.deliver(1)
    site.deliver(2, series=2)
    (one,), (twin,) = (site.table(f"series/2026-11-26/2.25.8{number}.csv") for number in (1, 2))
    assert one["SOPInstanceUID"] != twin["SOPInstanceUID"] and one["SHA256"] != twin["SHA256"]
    pixels = bytes(dcmread(site.root / one["File"]).PixelData)
    assert one["PixelsSHA256"] == twin["PixelsSHA256"] == hashlib.sha256(pixels).hexdigest()
    assert pixels_digest(clean_file(site.folder / "other", 3, fill=9)) != one["PixelsSHA256"]


def test_each_line_of_a_series_says_what_its_file_says(site: Site) -> None:
    site.deliver(2, 1, 3)
    rows = site.table("series/2026-11-26/2.25.81.csv")
    assert [row["InstanceNumber"] for row in rows] == ["1", "2", "3"] and tuple(rows[0]) == INSTANCE
    for row in rows:
        path = site.root / row["File"]
        ds = dcmread(path)
        for keyword in (
            "PatientID",
            "StudyInstanceUID",
            "SeriesInstanceUID",
            "SOPInstanceUID",
            "SOPClassUID",
            "Modality",
        ):
            assert row[keyword] == str(ds[keyword].value)
        assert (row["StudyDate"], row["SeriesDate"], row["Day"], row["Profile"]) == (
            "2024-05-03",
            "",
            "2026-11-26",
            "profile-1",
        )
        assert (int(row["Size"]), row["SHA256"]) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_day_has_a_line_for_each_series(site: Site) -> None:
    site.deliver(1, 2)
    site.deliver(3, series=2, patient="CHEST-B")
    assert site.manifests.bring_up() == 1
    rows = site.table("days/2026-11-26.csv")
    assert tuple(rows[0]) == SERIES
    assert [(r["PatientID"], r["SeriesInstanceUID"], r["Instances"]) for r in rows] == [
        ("CHEST-A", "2.25.81", "2"), ("CHEST-B", "2.25.82", "1"),
    ]  # fmt: skip
    digests = "".join(f"{r['SHA256']}\n" for r in site.table("series/2026-11-26/2.25.81.csv"))
    assert rows[0]["SHA256"] == hashlib.sha256(digests.encode()).hexdigest()
    assert int(rows[0]["Size"]) == sum(int(r["Size"]) for r in site.table("series/2026-11-26/2.25.81.csv"))


def test_what_comes_later_is_counted_on_the_first_day_and_nothing_is_there_twice(site: Site) -> None:
    site.deliver(1)
    site.manifests.bring_up()
    site.deliver(1, 2, day=TOMORROW)
    assert site.manifests.bring_up() == 1
    assert [r["Instances"] for r in site.table("days/2026-11-26.csv")] == ["2"]
    assert not any("2026-11-27" in name for name in site.names())


def test_a_day_is_made_anew_only_when_something_came(site: Site) -> None:
    site.deliver(1)
    assert [site.manifests.bring_up() for _ in range(3)] == [1, 0, 0]
    site.deliver(2, series=2)
    again = Manifests(site.root, Layout(LAYOUT), {".parquet": as_parquet})  # in another life
    assert [again.bring_up() for _ in range(2)] == [1, 0]


def test_parquet_says_the_same_with_types(site: Site) -> None:
    site.deliver(1, 2)
    site.manifests.bring_up()
    for name in ("series/2026-11-26/2.25.81", "days/2026-11-26"):
        table = read_parquet(site.root / "manifests" / f"{name}.parquet").read_all()
        columns = {str(key): table[str(key)].to_pylist() for key in table.column_names}
        plain = site.table(f"{name}.csv")
        assert {type(v) for v in columns["Size"]} == {int} and {type(v) for v in columns["StudyDate"]} == {date}
        shown = [{k: "" if columns[k][n] is None else str(columns[k][n]) for k in columns} for n in range(len(plain))]
        assert shown == plain


def test_without_parquet_none_is_left_of_another_time(site: Site) -> None:
    site.deliver(1)
    Manifests(site.root, Layout(LAYOUT), {}).add([delivered(f) for f in site.deliver(2)], day=TODAY)
    assert site.names() == ["series/2026-11-26/2.25.81.csv"]


def test_a_withdrawn_patient_is_in_no_manifest(site: Site) -> None:
    site.deliver(1, 2)
    site.deliver(3, series=2, patient="CHEST-B")
    site.deliver(4, series=3, day=TOMORROW)
    site.manifests.bring_up()
    site.sink.remove("CHEST-A")
    assert [r["PatientID"] for r in site.table("days/2026-11-26.csv")] == ["CHEST-B"]
    found = [p for p in (site.root / "manifests").rglob("*") if p.is_file() and b"CHEST-A" in p.read_bytes()]
    assert found == [] and not any("2026-11-27" in name or "2.25.83" in name for name in site.names())
    assert len(site.names()) == 2 + 2 and site.manifests.bring_up() == 0


def test_killed_while_writing_the_former_one_is_whole(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.deliver(1)
    before = (site.root / "manifests" / "series" / "2026-11-26" / "2.25.81.csv").read_bytes()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    more = [delivered(f) for f in site_files(site)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="space"):
            site.manifests.add(more, day=TODAY)
    assert (site.root / "manifests" / "series" / "2026-11-26" / "2.25.81.csv").read_bytes() == before
    assert not list(site.root.rglob(".*.part"))


def site_files(site: Site) -> list[Path]:
    return [clean_file(site.folder / "outbox", n, PatientID="CHEST-A", SeriesInstanceUID="2.25.81") for n in (5, 6)]


def test_no_folder_is_made_where_no_archive_is(tmp_path: Path) -> None:
    none = Manifests(tmp_path / "gone", Layout(LAYOUT), {})
    with pytest.raises(FileNotFoundError):
        none.add([delivered(clean_file(tmp_path / "outbox"))], day=TODAY)
    assert none.bring_up() == 0 and not (tmp_path / "gone").exists()


@pytest.mark.parametrize("number", ["--5", "+-5", "9" * 20, "٥"])
def test_what_is_no_whole_number_is_left_out(number: str) -> None:
    """What a sender wrote into InstanceNumber must not keep a series from its manifest."""
    assert _shown("InstanceNumber", number) == ""
    assert as_parquet(("InstanceNumber",), [{"InstanceNumber": _shown("InstanceNumber", "-5")}])


def test_two_changes_of_a_day_never_bear_one_time(tmp_path: Path) -> None:
    """Else a series that came while the day was summed up would wait for the next one."""
    changed = _settled(tmp_path)
    assert time.time_ns() - changed >= TICK


def test_halves_of_a_killed_process_go_with_the_withdrawn(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.deliver(1, 2)
    day = next((site.root / "manifests" / "series").iterdir())
    part = day / ".0123456789abcdef.part"
    part.write_text("PatientID\nCHEST-A\n")
    site.manifests.forget("CHEST-A")
    assert not part.exists() and not day.exists()


def test_a_half_that_cannot_be_removed_keeps_no_line_of_the_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path)
    site.deliver(1, day=TODAY)
    part, plain = site.root / "manifests" / ".0123456789abcdef.part", Path.unlink
    part.write_text("PatientID\nCHEST-A\n")

    def read_only(path: Path, **how: bool) -> None:
        if path == part:
            raise OSError(30, "Read-only file system")
        plain(path, **how)

    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(OSError, match="Read-only"):
        site.manifests.forget("CHEST-A")
    assert not list(site.root.rglob("*.csv")) and part.exists()


BY_HAND = {
    "semicolons": b"PatientID;SOPInstanceUID;Size;SHA256;Profile\nCHEST-A;2.25.1;5;ab;p\n",
    "another encoding": "PatientID,M\u00fcller\nCHEST-A,1\n".encode("latin-1"),
    "a column less": b"SOPInstanceUID,Size\n2.25.1,5\n",
    "a line cut off": b"PatientID,SOPInstanceUID,Size,SHA256,Profile\nCHEST-A,2.25.1\n",
    "dates as they are written here": b"PatientID,SOPInstanceUID,Size,SHA256,Profile,Day\nCHEST-A,2.25.1,5,ab,p,26.11.2026\n",
    "no size": b"PatientID,SOPInstanceUID,Size,SHA256,Profile\nCHEST-A,2.25.1,,ab,p\n",
}


@pytest.mark.parametrize("content", BY_HAND.values(), ids=BY_HAND)
def test_one_that_was_changed_by_hand_is_told_and_keeps_nobody_else_in(site: Site, content: bytes) -> None:
    """A data manager opened it in a spreadsheet and saved it: whose lines are in it cannot be told."""
    site.deliver(1)
    site.deliver(2, series=2)
    site.deliver(3, series=3, day=TOMORROW)
    site.manifests.bring_up()
    changed = site.root / "manifests" / "series" / "2026-11-26" / "2.25.81.csv"
    changed.write_bytes(content)
    with pytest.raises(Retry, match=r"a table in manifests/series/2026-11-26 was changed by hand"):
        site.sink.remove("CHEST-A")
    left = {p.relative_to(site.root) for p in site.root.rglob("*.csv")}
    assert {p.parts[1] for p in left} == {"series", "days"} and not any("2026-11-27" in str(p) for p in left)
    assert [p for p in left if p.parts[1] == "series"] == [changed.relative_to(site.root)]
    with pytest.raises(OSError, match="by hand"):
        site.manifests.add([delivered(f) for f in site_files(site)], day=TODAY)
    changed.rename(site.folder / "kept.csv")
    assert site.sink.remove("CHEST-A") == 0
    assert [p for p in (site.root / "manifests").rglob("*.csv") if b"CHEST-A" in p.read_bytes()] == []


def test_a_folder_that_may_not_be_read_is_no_empty_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The withdrawal was told as done, and its lines stayed."""
    site.deliver(1)
    site.deliver(2, series=2, day=TOMORROW)
    site.manifests.bring_up()
    locked, listed, scanned = site.root / "manifests/series/2026-11-26", os.listdir, os.scandir

    def closed(plain: Callable[[Path], Any], folder: Path) -> Any:
        if Path(folder) == locked:
            raise PermissionError(13, "Permission denied")
        return plain(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", partial(closed, listed))
        patch.setattr(os, "scandir", partial(closed, scanned))
        with pytest.raises(Retry, match=r"sink\.unwritable.*denied"):
            site.sink.remove("CHEST-A")
    assert [name for name in site.names() if name.endswith(".csv")] == [
        "days/2026-11-26.csv",
        "series/2026-11-26/2.25.81.csv",
    ]
    assert site.sink.remove("CHEST-A") == 0 and site.names() == []

"""A withdrawn patient's files leave a directory, whatever its layout; nobody else's do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.deliver import header
from gateway.deliver.directory import DirectorySink
from gateway.deliver.manifest import Manifests
from gateway.deliver.remove import Removes
from gateway.errors import Retry
from gateway.settings import DirectorySink as Settings
from tests.deliver.clean import LAYOUT, clean_file, forked

LAYOUTS = (
    LAYOUT,
    "{SOPInstanceUID}.dcm",
    "{Modality}/{SOPInstanceUID}.dcm",
    "by-study/{StudyInstanceUID}/{PatientID}_{SOPInstanceUID}.dcm",
    "{Modality}/{PatientID}/{SOPInstanceUID}",
)
THEIRS, OTHERS = "CHEST-ABC", "CHEST-ABD"


def filled(folder: Path, layout: str) -> DirectorySink:
    """Three files of the patient in two series, two of somebody else's, one of whom is named like the patient with more behind."""
    (folder / "archive").mkdir()
    sink = DirectorySink(Settings(path=folder / "archive", layout=layout))
    for number, patient, series in (
        (1, THEIRS, 1),
        (2, THEIRS, 1),
        (3, THEIRS, 2),
        (4, OTHERS, 3),
        (5, f"{THEIRS}X", 4),
    ):
        study, own = f"2.25.7{series}", f"2.25.8{series}"
        sink.put(
            clean_file(folder / "outbox", number, PatientID=patient, StudyInstanceUID=study, SeriesInstanceUID=own)
        )
    return sink


def files(folder: Path) -> list[Path]:
    return [p for p in (folder / "archive").rglob("*") if p.is_file()]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_of_theirs_goes_and_nothing_else(tmp_path: Path, layout: str) -> None:
    sink = filled(tmp_path, layout)
    assert isinstance(sink, Removes)
    assert sink.remove(THEIRS) == 3
    left = {p.read_bytes() for p in files(tmp_path)}
    assert left == {(tmp_path / "outbox" / f"2.25.1000{n}.dcm").read_bytes() for n in (4, 5)}
    assert sink.remove(THEIRS) == 0
    assert not any(THEIRS in p.name.split("_") for p in (tmp_path / "archive").rglob("*"))


def test_folders_of_theirs_go_too_and_others_stay(tmp_path: Path) -> None:
    sink = filled(tmp_path, LAYOUT)
    sink.remove(THEIRS)
    assert sorted(p.name for p in (tmp_path / "archive").iterdir()) == [f"{THEIRS}X", OTHERS]


def test_a_shared_folder_stays_for_who_is_about_to_write_there(tmp_path: Path) -> None:
    sink = filled(tmp_path, "{Modality}/{SOPInstanceUID}.dcm")
    for patient in (THEIRS, OTHERS, f"{THEIRS}X"):
        sink.remove(patient)
    assert [p.name for p in (tmp_path / "archive").iterdir()] == ["CT"]
    assert sink.put(tmp_path / "outbox" / "2.25.10004.dcm").new


def test_the_half_of_a_killed_put_goes(tmp_path: Path) -> None:
    sink = filled(tmp_path, LAYOUT)
    folder = next(p.parent for p in files(tmp_path) if THEIRS in p.parts)
    part = folder / ".0123456789abcdef.part"
    os.waitpid(forked(lambda: part.write_bytes(b"half")), 0)
    sink.remove(THEIRS)
    assert not folder.exists()


def test_what_somebody_put_under_a_file_s_name_stays(tmp_path: Path) -> None:
    """A link is not followed, and what is no DICOM file is none of ours."""
    sink = filled(tmp_path, "{PatientID}/{SOPInstanceUID}.dcm")
    folder = tmp_path / "archive" / THEIRS
    (folder / "notes.dcm").write_text("a data manager's own")
    (folder / "link.dcm").symlink_to(tmp_path / "outbox" / "2.25.10001.dcm")
    assert sink.remove(THEIRS) == 3
    assert sorted(p.name for p in folder.iterdir()) == ["link.dcm", "notes.dcm"]


def test_what_lies_on_another_disk_behind_a_link_goes_too(tmp_path: Path) -> None:
    """What comes for that patient goes there, and was left there by a withdrawal that said it had removed all."""
    sink = filled(tmp_path, LAYOUT)
    ours, elsewhere = tmp_path / "archive" / THEIRS, tmp_path / "disk"
    ours.rename(elsewhere)
    ours.symlink_to(elsewhere)
    (tmp_path / "archive" / "all").symlink_to(".")
    assert not sink.put(tmp_path / "outbox" / "2.25.10001.dcm").new
    assert sink.remove(THEIRS) == 3 and not [p for p in elsewhere.rglob("*") if p.is_file()]
    assert len(files(tmp_path)) == 2


def test_a_disk_behind_a_link_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    """The withdrawal said that it had removed all; with the disk the files were back."""
    sink = filled(tmp_path, LAYOUT)
    ours, elsewhere = tmp_path / "archive" / THEIRS, tmp_path / "disk"
    ours.rename(tmp_path / "unmounted")
    ours.symlink_to(elsewhere)
    with pytest.raises(Retry, match=r"sink\.unreadable"):
        sink.remove(THEIRS)
    (tmp_path / "unmounted").rename(elsewhere)
    assert sink.remove(THEIRS) == 3 and not [p for p in elsewhere.rglob("*") if p.is_file()]


def test_an_archive_that_is_not_there_is_asked_again_later(tmp_path: Path) -> None:
    sink = DirectorySink(Settings(path=tmp_path / "gone"))
    with pytest.raises(Retry, match=r"sink\.unwritable"):
        sink.remove(THEIRS)


def test_what_cannot_be_read_is_not_taken_for_somebody_else_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file or folder that a data manager has locked: the others go, and the archive is asked again."""
    sink = filled(tmp_path, "{Modality}/{PatientID}/{SOPInstanceUID}.dcm")
    locked = tmp_path / "archive" / "CT" / THEIRS / "2.25.10001.dcm"
    read = header.read

    def refused(file: Path, keywords: Sequence[str]) -> dict[str, str]:
        if file == locked:
            raise Retry("outbox.unreadable", "")
        return read(file, keywords)

    monkeypatch.setattr(header, "read", refused)
    with pytest.raises(Retry, match=r"sink\.unreadable"):
        sink.remove(THEIRS)
    monkeypatch.undo()
    assert [p.name for p in locked.parent.iterdir()] == [locked.name]
    assert sink.remove(THEIRS) == 1


def test_a_folder_that_may_not_be_read_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system's own lost+found, which only root may read, holds nothing of ours."""
    sink = filled(tmp_path, "{Modality}/{PatientID}/{SOPInstanceUID}.dcm")
    for name in ("MR", "lost+found"):
        (tmp_path / "archive" / name).mkdir()
    listed = os.listdir

    def locked(folder: str | Path) -> list[str]:
        if Path(folder).name in ("MR", "lost+found"):
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(os, "listdir", locked)
    with pytest.raises(Retry, match=r"sink\.unreadable"):
        sink.remove(THEIRS)
    assert len(files(tmp_path)) == 2
    (tmp_path / "archive" / "MR").rmdir()
    assert sink.remove(THEIRS) == 0


def test_where_a_link_leads_that_nobody_can_follow_holds_up_no_other(tmp_path: Path) -> None:
    """Told as an archive that cannot be changed, before anything was removed from it."""
    sink = filled(tmp_path, "{Modality}/{PatientID}/{SOPInstanceUID}.dcm")
    odd = tmp_path / "archive" / "MR"
    odd.symlink_to("x" * 300)  # as a place that is closed to us, which nothing is to root
    with pytest.raises(Retry, match=r"sink\.unreadable"):
        sink.remove(THEIRS)
    odd.unlink()
    assert len(files(tmp_path)) == 2 and sink.remove(THEIRS) == 0


def test_a_folder_of_which_only_the_names_may_be_read_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mode r--: its files can be listed, and no more be told of them."""
    sink = filled(tmp_path, LAYOUT)
    locked = next(p.parent for p in sorted(files(tmp_path)) if THEIRS in p.parts)
    plain = os.stat

    def closed(path: Path, **how: bool) -> os.stat_result:
        if isinstance(path, Path) and path.parent == locked:
            raise PermissionError(13, "Permission denied")
        return plain(path, **how)

    monkeypatch.setattr(os, "stat", closed)
    with pytest.raises(Retry, match=r"sink\.unreadable"):
        sink.remove(THEIRS)
    monkeypatch.undo()
    assert {p.parent for p in files(tmp_path) if THEIRS in p.parts} == {locked}
    sink.remove(THEIRS)
    assert len(files(tmp_path)) == 2


def test_a_disk_that_is_for_reading_only_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind one of the links: what lies elsewhere goes, and so do the lines in the tables."""
    sink = filled(tmp_path, LAYOUT)
    locked = next(p.parent for p in sorted(files(tmp_path)) if THEIRS in p.parts)
    plain = Path.unlink

    def read_only(path: Path, **how: bool) -> None:
        if path.parent == locked:
            raise OSError(30, "Read-only file system")
        plain(path, **how)

    forgotten: list[str] = []
    monkeypatch.setattr(Path, "unlink", read_only)
    monkeypatch.setattr(Manifests, "forget", lambda _, patient: forgotten.append(patient))
    with pytest.raises(Retry, match=r"sink\.unwritable.*Read-only"):
        sink.remove(THEIRS)
    monkeypatch.undo()
    assert {p.parent for p in files(tmp_path) if THEIRS in p.parts} == {locked} and forgotten == [THEIRS]
    sink.remove(THEIRS)
    assert len(files(tmp_path)) == 2


def test_a_folder_that_its_disk_cannot_list_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handle that a file server has forgotten, or a bad sector."""
    sink = filled(tmp_path, "{Modality}/{PatientID}/{SOPInstanceUID}.dcm")
    broken, plain = tmp_path / "archive" / "AA", os.listdir
    broken.mkdir()

    def stale(path: Path) -> list[str]:
        if path == broken:
            raise OSError(116, "Stale file handle")
        return plain(path)

    monkeypatch.setattr(os, "listdir", stale)
    with pytest.raises(Retry, match=r"sink\.unreadable"):
        sink.remove(THEIRS)
    assert len(files(tmp_path)) == 2

"""What every sink promises, whatever it is made of: against a real folder, and real archives."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from gateway.deliver.sink import UNTRIED, WRITABLE
from gateway.deliver.storescu import StoreSink
from gateway.deliver.stowrs import StowSink
from gateway.errors import Refused
from tests.deliver.clean import Archive, Putting, clean_bytes, clean_file, directory_archive
from tests.deliver.peers import dicom_archive, dicomweb_archive, s3_archive

KILLS = 4
ARCHIVES: dict[str, Callable[[Path], Archive]] = {
    "directory": directory_archive, "dicom": dicom_archive, "dicomweb": dicomweb_archive, "s3": s3_archive,
}  # fmt: skip
"""A new kind of sink adds a line here."""


WITHOUT_READING = {"dicom"}
"""An archive that only says that it holds an instance, and not what is in it."""


def kinds(*without: str) -> list[ParameterSet]:
    return [pytest.param(k, marks=() if k == "directory" else pytest.mark.real) for k in ARCHIVES if k not in without]


def opened(kind: str, folder: Path) -> Iterator[Archive]:
    """Hangs up at the end: each association that Orthanc still waits on delays its every answer to others."""
    archive = ARCHIVES[kind](folder)
    with closing(archive.sink):
        yield archive


@pytest.fixture(params=kinds())
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    yield from opened(request.param, tmp_path)


@pytest.fixture(params=kinds(*WITHOUT_READING))
def reading(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    yield from opened(request.param, tmp_path)


def test_put_delivers_the_very_bytes(archive: Archive, tmp_path: Path) -> None:
    file = clean_file(tmp_path / "outbox")
    receipt = archive.sink.put(file)
    assert receipt.new
    assert archive.visible() == {receipt.place: archive.form(file.read_bytes())}
    assert archive.hidden() == 0


@pytest.mark.parametrize("reopened", [False, True])
def test_twice_is_once(archive: Archive, tmp_path: Path, reopened: bool) -> None:
    file = clean_file(tmp_path / "outbox")
    first = archive.sink.put(file)
    with closing(archive.reopen() if reopened else archive.sink) as sink:
        second = sink.put(file)
    assert (first.place, first.new, second.new) == (second.place, True, False)
    assert list(archive.visible()) == [first.place]


def test_instances_do_not_share_a_place(archive: Archive, tmp_path: Path) -> None:
    places = {archive.sink.put(clean_file(tmp_path / "outbox", n)).place for n in range(1, 6)}
    assert len(places) == 5 == len(archive.visible())


@pytest.mark.catalogue("D5")
def test_other_content_is_refused_and_nothing_changes(reading: Archive, tmp_path: Path) -> None:
    archive = reading
    place = archive.sink.put(clean_file(tmp_path / "outbox", fill=1)).place
    for other in (clean_bytes(fill=2), clean_bytes(fill=1, pixels=1024)):
        (tmp_path / "outbox" / "2.25.10001.dcm").write_bytes(other)
        with pytest.raises(Refused, match=r"^deliver\.conflict"):
            archive.sink.put(tmp_path / "outbox" / "2.25.10001.dcm")
    assert archive.visible() == {place: archive.form(clean_bytes(fill=1))}
    assert archive.hidden() == 0


def test_confirm_sees_what_is_there(archive: Archive, tmp_path: Path) -> None:
    file = clean_file(tmp_path / "outbox")
    assert not archive.sink.confirm(file)
    place = archive.sink.put(file).place
    assert archive.sink.confirm(file)
    with closing(archive.reopen()) as other:
        assert other.confirm(file)
    archive.lose(place)
    assert not archive.sink.confirm(file)


@pytest.mark.parametrize("where", [0, 132, -1])
def test_confirm_detects_a_flipped_byte(reading: Archive, tmp_path: Path, where: int) -> None:
    archive = reading
    file = clean_file(tmp_path / "outbox")
    place = archive.sink.put(file).place
    content = bytearray(file.read_bytes())
    content[where] ^= 1
    archive.change(place, bytes(content))
    assert archive.sink.confirm(file) is (where in archive.careless)


@pytest.mark.parametrize("cut", [1, 200])
def test_confirm_detects_truncation(reading: Archive, tmp_path: Path, cut: int) -> None:
    archive = reading
    file = clean_file(tmp_path / "outbox")
    archive.change(archive.sink.put(file).place, file.read_bytes()[:-cut])
    assert not archive.sink.confirm(file)


def test_what_is_no_dicom_file_is_refused(archive: Archive, tmp_path: Path) -> None:
    file = tmp_path / "2.25.1.dcm"
    file.write_bytes(b"not DICOM, SYN-SECRET-1")
    with pytest.raises(Refused, match=r"^deliver\.unreadable") as caught:
        archive.sink.put(file)
    assert "SYN-SECRET" not in repr(caught.value)
    assert archive.visible() == {}


def test_probe_leaves_nothing_and_claims_no_more_than_it_tried(archive: Archive) -> None:
    """`check --connect` said "can be written" of an archive that had answered a question."""
    told = archive.sink.probe()
    assert told.endswith(UNTRIED if isinstance(archive.sink, StoreSink | StowSink) else WRITABLE)
    assert archive.visible() == {}
    assert archive.hidden() == 0


def test_killed_at_random_moments_nothing_half_is_visible(archive: Archive, tmp_path: Path) -> None:
    """The same archive through KILLS lives; then one undisturbed life completes it."""
    files = [clean_file(tmp_path / "outbox", n, pixels=1_000_000) for n in range(1, 21)]
    whole = {archive.form(file.read_bytes()) for file in files}
    rng, seen = random.Random(7), set[int]()
    for _ in range(KILLS):
        Putting(archive.reopen, files).kill_after(rng.randrange(len(files)), rng.uniform(0.0, 0.005))
        visible = archive.visible()
        assert all(content in whole for content in visible.values())
        seen.add(len(visible))
    assert seen - {0, len(files)}, "no kill hit anything under way: the test shows nothing"
    with closing(archive.reopen()) as last:
        for file in files:
            last.put(file)
    assert len(archive.visible()) == len(files)
    assert archive.hidden() == 0

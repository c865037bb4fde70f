"""What a folder as an archive has to cope with: killed at any call, full, read-only, in the way, without links."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import settings
from gateway.deliver import copy
from gateway.deliver.directory import DirectorySink
from gateway.errors import GatewayError, Refused, Retry
from tests.deliver.clean import clean_file, forked

SYSTEM_CALLS = ("open", "write", "copy_file_range", "fsync", "link", "unlink", "mkdir", "close")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


def sink_at(root: Path, layout: str = settings.DirectorySink(path=Path("/srv/any")).layout) -> DirectorySink:
    return DirectorySink(settings.DirectorySink(path=root, layout=layout))


def trouble(act: Callable[[], object]) -> GatewayError:
    with pytest.raises((Retry, Refused)) as caught:
        act()
    return caught.value


def failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, name, fail)


def put_and_die_at(sink: DirectorySink, file: Path, call: int) -> bool:
    """Puts in a forked child that kills itself before its n-th system call. False: it came through alive."""

    def put() -> None:
        count = iter(range(1_000_000))
        for name in SYSTEM_CALLS:
            setattr(os, name, _deadly(getattr(os, name), count, call))
        sink.put(file)

    return os.waitstatus_to_exitcode(os.waitpid(forked(put), 0)[1]) == -signal.SIGKILL


def _deadly(real: Callable[..., object], count: Iterator[int], call: int) -> Callable[..., object]:
    def counted(*args: object, **kwargs: object) -> object:
        if next(count) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    return counted


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_before_every_system_call(tmp_path: Path) -> None:
    file = clean_file(tmp_path / "outbox")
    deaths = 0
    for call in range(200):
        root = tmp_path / f"archive-{call}"
        root.mkdir()
        died = put_and_die_at(sink_at(root), file, call)
        visible = [p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")]
        assert [p.read_bytes() for p in visible] in ([], [file.read_bytes()])
        sink_at(root).put(file)
        left = [p for p in root.rglob("*") if p.is_file()]
        assert [p.read_bytes() for p in left] == [file.read_bytes()], f"after a kill before call {call}"
        deaths += died
        if not died:
            break
    assert deaths > 10


def test_a_living_writers_part_is_left_alone(root: Path, tmp_path: Path) -> None:
    with copy.locked(root / ".0123.part"):
        sink_at(root, "{SOPInstanceUID}.dcm").put(clean_file(tmp_path / "outbox", 1))
        assert (root / ".0123.part").exists()
    sink_at(root, "{SOPInstanceUID}.dcm").put(clean_file(tmp_path / "outbox", 2))
    assert not (root / ".0123.part").exists()


@pytest.mark.parametrize(
    ("call", "code", "reason"),
    [
        ("copy_file_range", errno.ENOSPC, "sink.full"),
        ("fsync", errno.EDQUOT, "sink.full"),
        ("link", errno.ENOSPC, "sink.full"),
        ("copy_file_range", errno.EIO, "sink.unwritable"),
        ("fsync", errno.EIO, "sink.unwritable"),
        ("link", errno.EACCES, "sink.unwritable"),
        ("mkdir", errno.EROFS, "sink.unwritable"),
    ],
)
def test_trouble_is_the_sinks_not_the_items(
    root: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, reason: str
) -> None:
    file, sink = clean_file(root.parent / "outbox"), sink_at(root)
    with monkeypatch.context() as patched:
        failing(patched, call, code)
        err = trouble(lambda: sink.put(file))
    assert isinstance(err, Retry)
    assert (err.reason, err.charge) == (reason, False)
    assert [p for p in root.rglob("*") if p.is_file()] == []
    assert sink.put(file).new  # and once it is mended, it works


def test_a_full_disk(root: Path, tmp_path: Path) -> None:
    """A real one: a tmpfs of 256 KiB in a mount namespace of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare to mount a small tmpfs")
    files = [str(clean_file(tmp_path / "outbox", n, pixels=60_000)) for n in range(1, 9)]
    script = (
        "import sys; from pathlib import Path; from tests.deliver.test_directory import fill; "
        "fill(Path(sys.argv[1]), [Path(f) for f in sys.argv[2:]])"
    )
    mounted = f'mount -t tmpfs -o size=256k none "{root}" && exec "$0" -c "$@"'
    command = ["unshare", "-m", "sh", "-c", mounted, sys.executable, script, str(root), *files]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, timeout=30, check=False)
    if b"permission denied" in done.stderr.lower():
        pytest.skip("this container may not mount")
    assert done.stdout.splitlines()[-1:] == [b"sink.full sink.full"], done.stderr.decode()


def fill(root: Path, files: list[Path]) -> None:
    """Runs in the small tmpfs: puts until it is full; nothing half is left, and the probe says so too when it is."""
    sink, put = sink_at(root), 0
    try:
        for file in files:
            sink.put(file)
            put += 1
    except Retry as err:
        reason = err.reason
    held = sorted(p.name for p in root.rglob("*") if p.is_file())
    assert held == [f.name for f in files[:put]], held
    free = os.statvfs(root).f_bavail * os.statvfs(root).f_frsize
    (root / "rest").write_bytes(b"x" * free)
    try:
        sink.probe()
    except Retry as err:
        print(reason, err.reason)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_limit_on_file_size_says_nothing_of_smaller_ones(root: Path, tmp_path: Path) -> None:
    big, said = clean_file(tmp_path / "outbox", pixels=100_000), os.pipe()

    def put() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        os.write(said[1], trouble(lambda: sink_at(root).put(big)).reason.encode())

    os.waitpid(forked(put), 0)
    os.close(said[1])
    with os.fdopen(said[0]) as heard:
        assert heard.read() == "sink.unwritable"


def test_a_missing_root_is_never_made(tmp_path: Path) -> None:
    """It may be a volume that is not mounted."""
    sink, file = sink_at(tmp_path / "absent"), clean_file(tmp_path / "outbox")
    assert {trouble(lambda: sink.put(file)).reason, trouble(sink.probe).reason} == {"sink.unwritable"}
    assert not (tmp_path / "absent").exists()
    assert not sink.confirm(file)


@pytest.mark.parametrize("shape", ["folder", "pipe", "dangling link", "link to the same content", "file for a folder"])
def test_what_stands_in_the_way_is_a_conflict(root: Path, tmp_path: Path, shape: str) -> None:
    file, target = clean_file(tmp_path / "outbox"), root / "CT" / "2.25.10001.dcm"
    if shape == "file for a folder":
        (root / "CT").write_bytes(b"in the way")
    else:
        target.parent.mkdir()
    if shape == "folder":
        target.mkdir()
    if shape == "pipe":
        os.mkfifo(target)
    if "link" in shape:
        target.symlink_to(file if "same" in shape else tmp_path / "nowhere")
    before = sorted(root.rglob("*"))
    sink = sink_at(root, "{Modality}/{SOPInstanceUID}.dcm")
    err = trouble(lambda: sink.put(file))
    assert (type(err), err.reason) == (Refused, "deliver.conflict")
    assert sorted(root.rglob("*")) == before
    assert not sink.confirm(file)


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_without_hard_links(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    failing(monkeypatch, "link", code)
    file, sink = clean_file(tmp_path / "outbox"), sink_at(root)
    assert sink.put(file).new
    assert not sink.put(file).new
    assert sink.confirm(file)
    assert sum(p.is_file() for p in root.rglob("*")) == 1


@pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS])
def test_without_copying_in_the_kernel(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    failing(monkeypatch, "copy_file_range", code)
    file, sink = clean_file(tmp_path / "outbox", pixels=3_000_000), sink_at(root)
    sink.put(file)
    assert sink.confirm(file)


def test_a_race_for_the_name_is_settled_by_content(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody puts a file there between our look and our link."""
    file, real = clean_file(tmp_path / "outbox"), os.link
    for content, same in ((file.read_bytes(), True), (b"other", False)):
        shutil.rmtree(root)
        root.mkdir()

        def late(part: str, target: str, *, other: bytes = content, **_: object) -> None:
            Path(target).write_bytes(other)
            real(part, target)

        monkeypatch.setattr(os, "link", late)
        if same:
            assert not sink_at(root).put(file).new
        else:
            assert trouble(lambda: sink_at(root).put(file)).reason == "deliver.conflict"
        assert [p.read_bytes() for p in root.rglob("*") if p.is_file()] == [content]


def test_a_folder_that_somebody_removed_is_made_again(root: Path, tmp_path: Path) -> None:
    sink = sink_at(root)
    sink.put(clean_file(tmp_path / "outbox", 1))
    shutil.rmtree(root / "CHEST-ABC")
    assert trouble(lambda: sink.put(clean_file(tmp_path / "outbox", 2))).reason == "sink.unwritable"
    assert sink.put(clean_file(tmp_path / "outbox", 2)).new


def test_every_new_folder_and_the_file_are_synced(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, real = list[str](), os.fsync

    def note(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        real(fd)

    monkeypatch.setattr(os, "fsync", note)
    sink_at(root, "{PatientID}/{Modality}/{SOPInstanceUID}.dcm").put(clean_file(tmp_path / "outbox"))
    patient, folder = root / "CHEST-ABC", root / "CHEST-ABC" / "CT"
    part = synced[3]
    assert synced == [str(folder), str(patient), str(root), part, str(folder)]
    assert part.endswith(".part")


def test_an_unreadable_archive_is_trouble_not_loss(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, sink = clean_file(tmp_path / "outbox"), sink_at(root)
    sink.put(file)
    failing(monkeypatch, "posix_fadvise", errno.EIO)
    err = trouble(lambda: sink.confirm(file))
    assert isinstance(err, Retry)
    assert (err.reason, err.charge) == ("sink.unreadable", False)


def test_a_missing_outbox_file_is_not_the_sinks_fault(root: Path, tmp_path: Path) -> None:
    err = trouble(lambda: sink_at(root).put(tmp_path / "gone.dcm"))
    assert isinstance(err, Retry)
    assert (err.reason, err.charge) == ("outbox.unreadable", True)

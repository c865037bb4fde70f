"""The demo: the whole way in one command, on its own hospital; and the ways it refuses, fails and is interrupted."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from rich.console import Console

from gateway.errors import BadConfiguration
from gateway.run.demo import demo
from gateway.run.demo.archive import examined
from gateway.run.demo.hospital import MALFORMED, SPECIAL, UNKNOWN, accession, build_hospital
from gateway.run.demo.progress import Seen, shown
from gateway.run.demo.site import MARKER, claimed, furnish
from gateway.settings import load
from tests.support.daemon import REPOSITORY, command
from tests.support.leaks import files_below, leaks
from tests.support.world import pixel_digest

pytestmark = pytest.mark.timeout(150)

BRAND = "PACS_GATEWAY_DEMO_TEST"
IDENTIFYING = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID", "PatientAddress")
KEPT, BURNED_IN, CAPTURES, SCOUTS, OTHERS = 79, 1, 5, 20, 10


@dataclass(frozen=True)
class Played:
    """One demo that ran to its end."""

    folder: Path
    code: int
    told: str
    left: list[int]
    threads: set[str]


def branded(brand: str) -> list[int]:
    """The processes that were started with this mark in their environment, however deep."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"{BRAND}={brand}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:  # it has just ended, or is somebody else's
            continue
    return found


def console() -> Console:
    return Console(file=StringIO(), width=200, markup=False, emoji=False, highlight=False)


def told(on: Console) -> str:
    assert isinstance(on.file, StringIO)
    return on.file.getvalue()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder, on = tmp_path_factory.mktemp("my demo") / "here", console()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(BRAND, str(folder))
        before = {t.name for t in threading.enumerate()}
        code = demo(folder, console=on)
    threads = {t.name for t in threading.enumerate() if not t.daemon} - before
    return Played(folder, code, told(on), branded(str(folder)), threads)


def sources(folder: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted((folder / "hospital").rglob("*.dcm"))]


def identifiers(folder: Path) -> set[str]:
    """Read from the files that the demo made, knowing nothing of how it made them."""
    found = {UNKNOWN, MALFORMED, "DEMOPID9001", "DEMOPID9002"}
    for ds in sources(folder):
        found |= {str(ds[keyword].value) for keyword in IDENTIFYING}
        found |= set(str(ds.PatientName).split("^"))
        found |= {str(e.value) for e in ds.iterall() if e.VR == "UI" and str(e.value).startswith("2.25.")}
    return {value for value in found if len(value) > 4}


# ---- the whole way


@pytest.mark.real
def test_it_ends_well_and_leaves_nobody_behind(played: Played) -> None:
    assert played.code == 0, played.told
    assert played.left == [] and played.threads == set()
    assert not (played.folder / "health.sock").exists()


@pytest.mark.real
def test_the_archive_holds_what_the_rules_keep(played: Played) -> None:
    """Counted and compared here once more, from the source files alone."""
    wanted = Counter(
        pixel_digest(Path(str(ds.filename))) for ds in sources(played.folder)
        if ds.Modality == "CT" and "Thorax" in ds.SeriesDescription and "SECONDARY" not in ds.ImageType
        and ds.BurnedInAnnotation == "NO"
    )  # fmt: skip
    held = Counter(pixel_digest(path) for path in (played.folder / "archive").rglob("*.dcm"))
    assert held == wanted and held.total() == KEPT
    assert len(sources(played.folder)) == KEPT + BURNED_IN + CAPTURES + SCOUTS + OTHERS


@pytest.mark.real
@pytest.mark.parametrize(
    "row",
    [
        "done 11", "empty 1", "set aside 1 accession.wildcard", "confirmed CT 10", "excluded select.study US 1",
        f"{KEPT} kept", f"{BURNED_IN} held, then discarded held.discarded", f"{CAPTURES} excluded on arrival select.instance",
        f"{SCOUTS} never retrieved select.series", f"{OTHERS} never retrieved select.study",
        "PatientName Demoperson00^Synthia (empty)", "PatientIdentityRemoved (none) YES", "PixelData 8192 bytes the same bytes",
        "private (0009,1001) Demoperson00^Synthia (removed)",
    ],
)  # fmt: skip
def test_the_summary_says_it(played: Played, row: str) -> None:
    assert row in re.sub(r"[ │]+", " ", played.told)


@pytest.mark.real
def test_the_summary_says_where_and_how_far(played: Played) -> None:
    assert f"The archive: {played.folder / 'archive'} ({KEPT} files)" in played.told
    assert f"requests settled: 12/12; series confirmed: 10/10; instances in the archive: {KEPT}/{KEPT}" in played.told


@pytest.mark.real
def test_who_decided_about_the_held_instance_stands_in_the_history(played: Played) -> None:
    done = command(played.folder / "gateway.toml", "explain", accession(SPECIAL))
    assert re.search(r"held .*pixels\.burned-in", done.stdout)
    assert re.search(r"discard-ordered .*profile=[0-9a-f]{16} by=demo reason=text-burned-in", done.stdout)


@pytest.mark.real
def test_what_it_proposes_next_works(played: Played) -> None:
    proposed = [shlex.split(line, comments=True) for line in played.told.splitlines() if " --config " in line]
    working = [words[1:] for words in proposed if words[1] not in ("run", "status")]
    assert len(working) >= 5
    for words in working:
        argv = [sys.executable, "-m", "gateway.run.cli", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY)
        assert done.returncode == 0, (words[0], done.stderr)


@pytest.mark.real
def test_nothing_that_identifies_its_patients_is_written(played: Played) -> None:
    places = [*files_below(played.folder / "archive", played.folder / "state")]
    places.append(("log", (played.folder / "daemon.log").read_bytes()))
    values = identifiers(played.folder)
    assert len(values) > 150 and len(places) > KEPT
    assert leaks(values, places) == []
    assert leaks(values, files_below(played.folder / "hospital")), "the search finds nothing even where they are"


# ---- what can go wrong


@pytest.mark.real
def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    env = {**os.environ, BRAND: str(tmp_path)}
    argv = [sys.executable, "-m", "gateway.run.cli", "demo", "--keep-dir", str(tmp_path / "demo")]
    child = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPOSITORY)
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "demo" / "health.sock").exists():
            assert child.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        assert len(branded(str(tmp_path))) > 1
        child.send_signal(signal.SIGINT)
        said, _ = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 1, said
    assert "interrupted" in said and "Traceback" not in said
    assert branded(str(tmp_path)) == []


def test_a_daemon_that_ends_fails_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'the last words'\nexit 4\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    on = console()
    assert demo(tmp_path / "demo", console=on) == 1
    assert "the daemon ended by itself, with exit code 4" in told(on) and "the last words" in told(on)


def test_a_daemon_that_does_nothing_meets_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = tmp_path / "python"
    idle.write_text("#!/bin/sh\nexec sleep 100\n")
    idle.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(idle))
    monkeypatch.setattr("gateway.run.demo.play.DEADLINE", 0.5)
    monkeypatch.setenv(BRAND, str(tmp_path))
    on = console()
    assert demo(tmp_path / "demo", console=on) == 1
    assert "not every request was settled" in told(on)
    assert branded(str(tmp_path)) == []


def test_an_archive_that_is_not_as_promised_is_seen(tmp_path: Path) -> None:
    hospital, root = build_hospital(tmp_path / "hospital"), tmp_path / "archive"
    root.mkdir()
    for number, made in enumerate(hospital.kept):
        shutil.copy(made.path, root / f"{number}.dcm")
    assert examined(root, hospital).as_promised
    (root / "0.dcm").unlink()
    assert (examined(root, hospital).missing, examined(root, hospital).surplus) == (1, 0)
    shutil.copy(root / "1.dcm", root / "twice.dcm")
    assert (examined(root, hospital).missing, examined(root, hospital).surplus) == (1, 1)
    assert not examined(root, hospital).as_promised


# ---- its folder


def test_a_folder_of_others_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadConfiguration, match="--keep-dir: no demo has made this folder"):
        demo(tmp_path, console=console())
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadConfiguration, match="--keep-dir: cannot be used"):
        demo(tmp_path / "file" / "demo", console=console())


def test_a_path_that_no_url_can_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"--keep-dir: .* a path without \?"):
        demo(tmp_path / "what?", console=console())
    assert not any(tmp_path.iterdir())


def test_a_former_demo_is_cleared_away_but_not_what_it_links_to(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kept").write_text("")
    with claimed(tmp_path / "demo") as site:
        (site.folder / "state").mkdir()
        (site.folder / "archive").symlink_to(mine)
    with claimed(tmp_path / "demo") as site:
        assert [p.name for p in site.folder.iterdir()] == [MARKER]
    assert (mine / "kept").exists()


def test_two_demos_do_not_share_a_folder(tmp_path: Path) -> None:
    with claimed(tmp_path / "demo") as site:
        (site.folder / "gateway.toml").write_text("")
        with pytest.raises(BadConfiguration, match="another demo runs"), claimed(tmp_path / "demo"):
            pass
        assert (site.folder / "gateway.toml").exists()


def test_a_long_path_puts_the_socket_elsewhere(tmp_path: Path) -> None:
    with claimed(tmp_path / ("long" * 30) / 'and "odd" \\ name') as site:
        furnish(site, pacs=11113, receiver=11114, metrics=11115)
        assert load(site.config).health.socket == site.health
        assert len(os.fsencode(site.health)) < 108
        assert load(site.config).state_dir == site.folder / "state"
        assert (site.folder / "pseudonym.key").stat().st_mode & 0o777 == 0o600
    assert not site.sockets.exists()


# ---- progress


def test_progress_is_lines_where_there_is_no_terminal() -> None:
    on, goal = console(), Seen(2, 1, 9)
    with shown(on, goal) as show:
        for seen in (Seen(), Seen(1, 0, 3), Seen(1, 0, 3), Seen(1, 0, 4), goal, goal):
            show(seen)
    lines = told(on).splitlines()
    assert len(lines) == 2
    assert lines[-1] == "requests settled: 2/2; series confirmed: 1/1; instances in the archive: 9/9"


def test_progress_is_bars_on_a_terminal() -> None:
    on = Console(file=StringIO(), width=100, force_terminal=True, color_system=None)
    with shown(on, Seen(2, 1, 9)) as show:
        show(Seen(2, 1, 9))
    assert all(word in told(on) for word in ("requests settled", "1/1", "9/9", "━━━"))

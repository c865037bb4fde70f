"""Back-up and restore as docs/backup.md says: its own commands, with the folders of a test in place of the machine's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from gateway.ops.health import Board
from gateway.run.commands.options import settings_for
from gateway.run.delivering import make_steps
from gateway.run.opening import open_state
from gateway.run.wiring import Told
from gateway.state.rows import Tally
from tests.dicom.serving import Counts
from tests.run.command_line import Place, furnish
from tests.state.conftest import plan
from tests.support.daemon import REPOSITORY

PAGE = (REPOSITORY / "docs" / "backup.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
FILE = "accession_number,patient_id\nSYNACC1,SYNPID1\nSYNACC2,SYNPID2\n"


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], own_process: None) -> Place:
    """A place with two requests in its state, in a folder that is called as the machine's."""
    furnish(tmp_path)
    place = Place(tmp_path, capsys)
    place.change(f'state_dir = "{tmp_path}/state"', f'state_dir = "{tmp_path}/lib/pacs-gateway"')
    (tmp_path / "lib").mkdir()
    (tmp_path / "list.csv").write_text(FILE)
    assert place.say("requests", "add", "--project", "chest", str(tmp_path / "list.csv")).code == 0
    return place


def run(place: Place, block: str) -> None:
    """A block of the page; what concerns systemd and accounts is left out, `pacs-gateway` is run in this process."""
    for line in block.splitlines():
        here = line.replace("/var/lib", f"{place.folder}/lib").replace("/root", str(place.folder))
        here = here.replace("-o pacs-gateway -g pacs-gateway", "")
        if "pacs-gateway migrate" in here:
            assert place.say("migrate").code == 0
        elif not here.startswith(("systemctl", "chown")):
            subprocess.run(["bash", "-euc", here], check=True, timeout=30, capture_output=True)


def requests(place: Place) -> list[str]:
    return sorted(one["key"] for one in place.say("requests", "list", "--json").json)


def test_stopped_and_restored_it_is_as_it_was(site: Place) -> None:
    stopped, _, restore, _ = BLOCKS
    before = requests(site)
    run(site, stopped)
    shutil.rmtree(site.folder / "lib" / "pacs-gateway")
    (site.folder / "lib" / "pacs-gateway").mkdir()
    run(site, restore)
    assert len(before) == 2 and requests(site) == before
    assert site.say("explain", "SYNACC1").code == 0


def test_a_backup_is_looked_at_by_the_commands_that_the_page_names(site: Place) -> None:
    """It named `status`, which asks the daemon that runs, and nothing of the folder."""
    run(site, BLOCKS[0])
    shutil.unpack_archive(site.folder / "pacs-gateway-state.tar.gz", site.folder / "unpacked")
    copy = site.folder / "copy.toml"
    copy.write_text(site.config.read_text().replace(f"{site.folder}/lib/", f"{site.folder}/unpacked/"))
    before = (site.folder / "lib" / "pacs-gateway" / "state.sqlite").read_bytes()
    (sentence,) = re.findall(r"^To see that a back-up is one:.*?\.\s", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"`pacs-gateway ([^`]*)`", sentence.replace("`gateway.toml`", ""))
    assert named
    for words in named:
        assert site.raw(*words.split(), "--config", str(copy)).code == 0, words
    state = site.folder / "lib" / "pacs-gateway"
    assert (state / "state.sqlite").read_bytes() == before and not (state / "audit.jsonl").exists()


def test_a_copy_of_the_database_made_while_it_runs_is_enough(site: Place) -> None:
    before = requests(site)
    run(site, BLOCKS[1])
    shutil.rmtree(site.folder / "lib" / "pacs-gateway")
    run(site, BLOCKS[3])
    assert site.say("migrate").code == 0
    assert requests(site) == before


def test_what_was_in_the_outbox_is_not_and_is_asked_for_again(site: Place) -> None:
    settings = settings_for(site.config)
    with closing(open_state(settings)) as state:
        now = time.time() + 1
        for claim in state.store.claim_requests(projects=["chest"], limit=2, lease=60, now=now):
            assert state.store.settle_found(claim, plan(f"1.2.{claim.id}", study=f"1.{claim.id}"), now=now)
            assert (move := state.store.claim_series(pacs="main", projects=["chest"], lease=60, now=now))
            counts = Tally(1, 1, 0, 0, {}) if claim.id == 1 else Tally(1, 0, 0, 0, {"pixels.burned-in": 1}, held=1)
            assert state.store.settle_retrieved(move.rows[0], counts, now=now)
    run(site, BLOCKS[1])
    shutil.rmtree(site.folder / "lib" / "pacs-gateway")
    run(site, BLOCKS[3])
    with closing(open_state(settings)) as state:
        told = Told(Counts(), Board(), time.time)
        deliver, _ = (step for _, step in make_steps(settings, state, lambda _: told, threading.Event()))
        assert deliver.step()
        for key in state.store.held_series():
            state.store.settle_held(key, Tally(0, 0, 0, 0, {}), now=time.time())
        assert sorted(reason for one in state.views.balances() for reason in one.parts["failed"]) == [
            "held.lost", "outbox.empty",
        ]  # fmt: skip
    command = re.search(r"`pacs-gateway (requests retry [^`]*)` has it retrieved again", PAGE)
    assert command and site.say(*command[1].split()).code == 0
    assert {one["state"] for one in site.say("requests", "list", "--json").json} == {"new"}


# ---- the trail


def verify(place: Place) -> list[tuple[int, str, str]]:
    """What `audit verify` finds; it writes a line itself."""
    told = place.say("audit", "verify", "--json")
    faults = [(one["line"], one["why"], one["detail"]) for one in told.json["faults"]]
    assert told.code == int(bool(faults))
    return faults


def numbers(place: Place) -> list[int]:
    return [json.loads(line)["seq"] for line in trail(place).read_text().splitlines()]


def trail(place: Place) -> Path:
    return place.folder / "lib" / "pacs-gateway" / "audit.jsonl"


@pytest.mark.parametrize(("backup", "restore"), [(0, 2), (1, 3)])
def test_the_newer_trail_is_put_back_beside_the_older_database(site: Place, backup: int, restore: int) -> None:
    assert verify(site) == []
    run(site, BLOCKS[backup])
    assert verify(site) == verify(site) == []
    if restore == 3:
        shutil.copy(trail(site), site.folder)
        shutil.rmtree(site.folder / "lib" / "pacs-gateway")
    run(site, BLOCKS[restore])
    assert numbers(site) == [1, 2, 3]
    assert verify(site) == verify(site) == []


@pytest.mark.parametrize(("backup", "restore"), [(0, 2), (1, 3)])
def test_the_trail_that_a_restore_saved_is_not_put_back_at_the_next_one(site: Place, backup: int, restore: int) -> None:
    """It lay where the first restore had left it, and took the place of the back-up's when the disk itself was lost."""
    assert verify(site) == []
    run(site, BLOCKS[backup])
    shutil.copy(trail(site), site.folder)
    shutil.rmtree(site.folder / "lib" / "pacs-gateway")
    run(site, BLOCKS[restore])
    assert verify(site) == []
    run(site, BLOCKS[0])
    shutil.rmtree(site.folder / "lib" / "pacs-gateway")
    run(site, BLOCKS[2])
    assert numbers(site) == [1, 2] and verify(site) == []


def test_an_older_trail_beside_a_newer_database(site: Place) -> None:
    assert verify(site) == []
    older = trail(site).read_bytes()
    assert verify(site) == verify(site) == []
    trail(site).write_bytes(older)
    assert verify(site) == [(0, "cut-off", "lines 2 to 3")]
    assert verify(site) == verify(site) == [(2, "missing", "lines 2 to 3")]


def test_a_trail_exchanged_for_the_one_from_before(site: Place) -> None:
    assert verify(site) == []
    run(site, BLOCKS[0])
    assert verify(site) == []
    before = trail(site).read_bytes()
    run(site, BLOCKS[2].replace("test ! -e", "true ||"))
    assert verify(site) == []
    trail(site).write_bytes(before)
    assert verify(site) == [(0, "changed", "line 2")]


def test_with_another_key_it_is_refused(site: Place) -> None:
    (site.folder / "pseudonym.key").write_bytes(bytes(32 * [7]))
    told = site.say("requests", "list")
    assert told.code != 0 and "key" in told.err

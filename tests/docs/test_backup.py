"""Back-up and restore as docs/backup.md says: its own commands, with the folders of a test in place of the machine's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.run.command_line import Place, furnish
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


def test_a_copy_of_the_database_made_while_it_runs_is_enough(site: Place) -> None:
    before = requests(site)
    run(site, BLOCKS[1])
    shutil.rmtree(site.folder / "lib" / "pacs-gateway")
    run(site, BLOCKS[3])
    assert site.say("migrate").code == 0
    assert requests(site) == before


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

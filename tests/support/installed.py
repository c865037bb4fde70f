"""The gateway as it is installed: its tree and packages built once in a run of the tests, a configuration with the places of the
interface, and how to look at its unit in a booted machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.support.booted import REPOSITORY, Booted
from tests.support.process import program

UNIT: Final = "pacs-gateway.service"
HEALTH: Final = "/run/pacs-gateway/health.sock"
CONFIG: Final = "/etc/pacs-gateway/gateway.toml"
ARCHIVE: Final = "/srv/research/chest-ct"
QUICK: Final = ("--compression", "zstd:fastest")
KEPT: Final = "PACS_GATEWAY_PACKAGES"
"""Names a folder in which what was built is left, and found again: for whoever works on these tests."""

CONFIGURATION: Final = """\
state_dir = "/var/lib/pacs-gateway"
node = "gw1"
key_file = "{key}"

[receiver]
ae_title = "RESEARCH"
bind = "0.0.0.0"
port = {port}
processes = {processes}
min_free_disk = "100 MB"

[[pacs]]
name = "main"
ae_title = "HOSPITALPACS"
host = "127.0.0.1"
port = {pacs}
response_timeout = "60s"

[[ris]]
name = "ris"
url = "sqlite:////srv/ris.sqlite"

[[project]]
name = "chest-ct"
pacs = ["main"]

[project.source]
ris = "ris"
schedule = "2s"
query = "select accession_number, patient_id, study_date, modality, changed_at from research_view where changed_at >= :since"
cursor = "changed_at"

[project.select]
study = "'CT' in ModalitiesInStudy"
series = "Modality in ['CT', 'US']"

[project.deidentify]
options = ["clean-pixel-data"]
patient_id = "CHEST-{{pseudonym}}"

[[project.deliver]]
type = "directory"
path = "/srv/research/chest-ct"
"""
RIS: Final = """
import sqlite3, sys
with sqlite3.connect("/srv/ris.sqlite") as ris:
    ris.execute("create table research_view (accession_number, patient_id, study_date, modality, changed_at)")
    for i, line in enumerate(sys.stdin.read().split()):
        accession, patient = line.split(",")
        row = (accession, patient, "20240503", "CT", f"2024-06-03 08:00:{i:02d}")
        ris.execute("insert into research_view values (?, ?, ?, ?, ?)", row)
"""


ASK: Final = """
import http.client, socket, sys
asked = http.client.HTTPConnection("localhost", timeout=20)
asked.sock = socket.socket(socket.AF_UNIX)
asked.sock.connect(sys.argv[1])
asked.request("GET", sys.argv[2])
answer = asked.getresponse()
print(answer.read().decode())
sys.exit(answer.status != 200)
"""


@dataclass(frozen=True)
class Built:
    """`root`: the tree of the packages; `dist`: Debian package, wheel, sdist."""

    work: Path
    dist: Path

    @property
    def root(self) -> Path:
        return self.work / "root"

    @property
    def deb(self) -> Path:
        return next(self.dist.glob("*.deb"))


def build(factory: pytest.TempPathFactory) -> Built:
    """Once, whichever of the test processes comes first."""
    program("dpkg-deb")
    inside_xdist = "PYTEST_XDIST_WORKER" in os.environ
    shared = factory.getbasetemp().parent if inside_xdist else factory.getbasetemp()
    place = Path(os.environ.get(KEPT) or shared / "packages")
    place.mkdir(exist_ok=True)
    built = Built(place / "work", place / "dist")
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        whole = place / "whole"  # a build that was interrupted is not
        if not whole.exists():
            shutil.rmtree(built.work, ignore_errors=True)
            make(built, "--only", "deb", *QUICK)
            whole.touch()
    return built


def make(built: Built, *words: str) -> None:
    """`words`: more options; a later one counts. By somebody whose umask lets nobody else read: no package may show it."""
    argv = [sys.executable, "packaging/make_packages.py", "--work", str(built.work), "--dist", str(built.dist), *words]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False, umask=0o077)
    assert done.returncode == 0, done.stderr[-4000:]


def configure(machine: Booted, *, port: int = 11112, pacs: int = 4242, processes: int = 1, key: str) -> None:
    text = CONFIGURATION.format(port=port, pacs=pacs, processes=processes, key=key)
    machine.write(CONFIG, text)


def show(machine: Booted, name: str, unit: str = UNIT) -> str:
    """One property of a unit."""
    return machine.say("systemctl", "show", "-P", name, unit)


def journal(machine: Booted) -> str:
    return machine.say("journalctl", "-u", UNIT, "--no-pager", "-o", "cat")


def processes(machine: Booted) -> str:
    """Of the daemon's user."""
    return machine.run("find", "/proc", "-maxdepth", "1", "-user", "pacs-gateway").stdout.strip()


def echo(machine: Booted, port: int) -> bool:
    """A C-ECHO by DCMTK, a program of this machine in the network of that one."""
    argv = [program("echoscu"), "-aet", "HOSPITALPACS", "-aec", "RESEARCH", "-to", "20", "127.0.0.1", str(port)]
    done = subprocess.run([*machine.entered("--net"), *argv], capture_output=True, timeout=60, check=False)
    return done.returncode == 0


def asked(machine: Booted, path: str) -> str:
    """What the health socket answers; fails unless it is 200. A tool of the distribution: not every machine has curl."""
    return machine.run("/usr/bin/python3", "-c", ASK, HEALTH, path).stdout

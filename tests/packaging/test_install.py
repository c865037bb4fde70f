"""From a machine without it to a filled archive, by docs/install.md alone; then upgrade, removal and purge.

The machine is a copy of this one with a network of its own and without the checkout (`tests/support/booted.py`); for the long form
another tree, PACS_GATEWAY_BARE=DIR, as mmdebstrap makes it. The PACS is an Orthanc of this machine in that network.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.booted import REPOSITORY, Booted
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.installed import (
    ARCHIVE,
    CONFIG,
    QUICK,
    RIS,
    Built,
    asked,
    build,
    configure,
    echo,
    journal,
    make,
    processes,
    show,
)
from tests.support.process import Process, new_folder, program

pytestmark = [pytest.mark.packaging, pytest.mark.real, pytest.mark.timeout(300)]

PACS_PORT = 4242
NEXT = "0.1.99"
KEY = "/etc/pacs-gateway/pseudonym.key"
CT, US = SeriesSpec("CT", "Thorax", 4), SeriesSpec("US", "Thorax sono", 1, rows=64, columns=64)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory)


@pytest.fixture(scope="module")
def machine(built: Built) -> Iterator[Booted]:
    booted = Booted("install", binds={built.dist: "/mnt"}, tree=Path(os.environ.get("PACS_GATEWAY_BARE", "/")))
    yield booted
    booted.down()


@pytest.fixture(scope="module")
def studies(machine: Booted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[StudyFacts]]:
    """In the PACS, and their rows in the RIS."""
    made = [
        make_study(
            tmp_path_factory.mktemp("hospital"), patient_id=f"SYNPID{i}", name=f"Testperson{i}^Synthia", birth_date="19500102",
            accession=f"SYNACC{i}", study_date="20240503", series=(CT, US) if i == 1 else (CT,), seed=i,
        )
        for i in range(3)
    ]  # fmt: skip
    folder = new_folder("orthanc")
    (folder / "orthanc.json").write_text(json.dumps({
        "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "Plugins": [], "DicomAet": "HOSPITALPACS",
        "DicomPort": PACS_PORT, "HttpPort": 8042, "DicomCheckCalledAet": False, "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True, "AuthenticationEnabled": False,
        "DicomModalities": {"RESEARCH": ["RESEARCH", "127.0.0.1", 11112]},
    }))  # fmt: skip
    pacs = Process(
        [*machine.entered("--net"), program("Orthanc"), str(folder / "orthanc.json")], folder=folder,
        ready=lambda: echo(machine, PACS_PORT), stop_signal=signal.SIGKILL,
    )  # fmt: skip
    pacs.start()
    files = [str(path) for study in made for path in study.files]
    store = [program("storescu"), "-R", "-aec", "HOSPITALPACS", "127.0.0.1", str(PACS_PORT), *files]
    subprocess.run([*machine.entered("--net"), *store], check=True, timeout=60, capture_output=True)
    machine.run("/usr/bin/python3", "-c", RIS, stdin="\n".join(f"SYNACC{i},SYNPID{i}" for i in range(3)))
    yield made
    pacs.kill()


def told() -> list[list[str]]:
    """The commands of docs/install.md, section "The package": to install, and after the configuration."""
    section = (REPOSITORY / "docs/install.md").read_text().split("\n## ")[1]
    assert section.startswith("The package\n")
    return [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)]


def obey(machine: Booted, line: str) -> None:
    machine.run("sh", "-ec", f"cd /mnt && {line}")


def archive(machine: Booted) -> list[str]:
    return sorted(
        machine.say("find", ARCHIVE, "-type", "f", "-name", "*.dcm", "-exec", "sha256sum", "{}", "+").splitlines()
    )


def requests(machine: Booted) -> dict[str, int]:
    """By state."""
    by_project: dict[str, dict[str, int]] = json.loads(asked(machine, "/status"))["queues"]["requests"]
    return by_project.get("chest-ct", {})


def test_the_document_leads_from_nothing_to_a_filled_archive(machine: Booted, studies: list[StudyFacts]) -> None:
    install, begin = told()
    assert machine.say("sh", "-c", "command -v pacs-gateway; getent passwd pacs-gateway") == ""
    for line in install:
        obey(machine, line)
    assert show(machine, "ActiveState") == "inactive", "it was told of no PACS yet"
    assert machine.say("stat", "-c", "%U:%G %a", "/etc/pacs-gateway", CONFIG, "/var/lib/pacs-gateway").splitlines() == [
        "root:pacs-gateway 750", "root:pacs-gateway 640", "pacs-gateway:pacs-gateway 750",
    ]  # fmt: skip
    configure(machine, pacs=PACS_PORT, key=KEY)
    for line in begin:
        obey(machine, line)
    assert machine.say("stat", "-c", "%U %a", KEY) == "pacs-gateway 600"
    machine.wait_until(lambda: requests(machine) == {"done": 3}, "done", 120)
    ct = sum(len(series.files) for study in studies for series in study.series if series.spec is CT)
    assert len(archive(machine)) >= ct
    machine.run("sh", "-c", f"! grep -raF -e Testperson -e SYNPID -e SYNACC {ARCHIVE} /var/lib/pacs-gateway")
    log = journal(machine)
    assert "died" not in log and "internal error" not in log


def test_an_upgrade_keeps_configuration_key_and_data(machine: Booted, built: Built, studies: list[StudyFacts]) -> None:
    before = (machine.say("sha256sum", CONFIG, KEY), archive(machine), requests(machine))
    running = show(machine, "MainPID")
    with (built.work / "etc/gateway.toml").open("a") as shipped:
        shipped.write("# of the next version\n")
    make(built, "--only", "deb", "--version", NEXT, "--dist", str(built.dist / "next"), *QUICK)
    machine.run("sh", "-c", "dpkg --force-confold --install /mnt/next/*.deb")
    assert machine.say("dpkg-query", "-W", "-f", "${Version}", "pacs-gateway") == f"{NEXT}-1"
    assert show(machine, "ActiveState") == "active" and show(machine, "MainPID") != running
    asked(machine, "/readyz")
    assert (machine.say("sha256sum", CONFIG, KEY), archive(machine), requests(machine)) == before
    assert machine.say("dpkg", "--verify", "pacs-gateway").splitlines() == [f"??5?????? c {CONFIG}"], (
        "changed by us alone"
    )


def test_removal_keeps_everything_and_purge_never_takes_the_key(machine: Booted) -> None:
    key, images = machine.run("sha256sum", KEY).stdout, archive(machine)
    machine.write("/var/lib/pacs-gateway/notes", "written by hand")
    machine.run("apt-get", "remove", "-y", "pacs-gateway")
    assert processes(machine) == ""
    assert machine.say("ls", CONFIG, "/var/lib/pacs-gateway/state.sqlite").splitlines() == [
        CONFIG,
        "/var/lib/pacs-gateway/state.sqlite",
    ]
    told = machine.run("apt-get", "purge", "-y", "pacs-gateway").stdout
    assert "/etc/pacs-gateway stays" in told
    assert machine.say("find", "/etc/pacs-gateway", "/var/lib/pacs-gateway", "-type", "f").splitlines() == [
        KEY,
        "/var/lib/pacs-gateway/notes",
    ]
    assert (machine.run("sha256sum", KEY).stdout, archive(machine)) == (key, images)
    left = machine.say(
        "sh",
        "-c",
        "ls -d /usr/lib/pacs-gateway /usr/bin/pacs-gateway /usr/share/doc/pacs-gateway /run/pacs-gateway 2>/dev/null",
    )
    assert left == "" and machine.say("systemctl", "list-unit-files", "--no-legend", "pacs-gateway*") == ""
    assert machine.say("systemctl", "--failed", "--no-legend") == ""

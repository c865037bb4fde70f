"""Retrieval over a network that fails, from a PACS that stops: `python -m tests.faults.network [--seconds 60]`.

The real daemon in a network of its own asks a real PACS for a few studies, and in the middle of a move something happens. The
archive ends complete, every time; told is how long it took, and how often a series was tried again. Pauses between tries are cut
short in the state, as if hours went by; what waits for a network or a PACS waits as it does.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import func, select

from gateway.state.db import history
from tests.faults.netns import Inside, Network, Proxy, network
from tests.flow.day import KEY, Running
from tests.support.daemon import command
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import Dcmqrscp, Orthanc
from tests.support.process import free_port
from tests.support.world import pixel_digest

DIRECT, PROXIED = "RESEARCH", "PROXIED"
"""Our AE title: the PACS reaches the one over the link, the other through a proxy."""
DELAY: Final = 0.2
LOSS: Final = 2
HALF: Final = 100_000
"""Bytes of an association after which a connection falls silent: in the middle of a PDU of an instance of 128 KB."""
LONGEST: Final = 400.0
CONFIG: Final = """\
state_dir = "{folder}/state"
node = "gw1"
key_file = "{folder}/pseudonym.key"

[receiver]
ae_title = "{ours}"
bind = "0.0.0.0"
port = {receiver}
processes = 2
min_free_disk = "100 MB"

[health]
socket = "{folder}/health.sock"

[metrics]
bind = "127.0.0.1"
port = 9110

[[pacs]]
name = "main"
ae_title = "{ae}"
host = "{host}"
port = {port}
max_moves = 1
response_timeout = "20s"

[[project]]
name = "chest-ct"
pacs = ["main"]

[[project.deliver]]
type = "directory"
path = "{folder}/archive"
"""
Pacs = Orthanc | Dcmqrscp
PEERS: Final[Mapping[str, type[Orthanc] | type[Dcmqrscp]]] = {"orthanc": Orthanc, "dcmqrscp": Dcmqrscp}


@dataclass(frozen=True)
class Site:
    """A PACS, the network it is reached by, and two proxies before it and before us."""

    pacs: Pacs
    net: Network
    asking: Proxy
    storing: Proxy
    receiver: int


Fault = Callable[[Site, float], None]


def partition(site: Site, seconds: float) -> None:
    site.net.lose(100)
    time.sleep(seconds)
    site.net.lose(0)


def stopped(site: Site, seconds: float) -> None:
    site.pacs.freeze()
    time.sleep(seconds)
    site.pacs.thaw()


def killed(site: Site, seconds: float) -> None:
    site.pacs.kill()
    time.sleep(min(seconds, 5.0))
    site.pacs.start()


def half_a_pdu(site: Site, seconds: float) -> None:
    """The next association with instances falls silent; whoever waits has to give up by himself."""
    site.storing.silent_after = HALF
    until = time.monotonic() + LONGEST
    while not site.storing.silenced:
        assert time.monotonic() < until, "no association came"
        time.sleep(0.05)


def lossy(site: Site, seconds: float) -> None:
    site.net.lose(LOSS)


def nothing(site: Site, seconds: float) -> None: ...


SCENARIOS: Final[Mapping[str, tuple[Fault, str]]] = {
    "nothing": (nothing, DIRECT), "2 % loss": (lossy, DIRECT), "200 ms delay": (nothing, PROXIED), "partition": (partition, DIRECT),
    "half a PDU and silence": (half_a_pdu, PROXIED), "PACS stopped": (stopped, DIRECT), "PACS killed": (killed, DIRECT),
}  # fmt: skip


@dataclass(frozen=True)
class Endured:
    """How it ended. `tried_again`: how often a series was given back with a charge."""

    seconds: float
    tried_again: int
    files: int
    wrong: Sequence[str]


def corpus(folder: Path, studies: int, instances: int) -> list[StudyFacts]:
    return [
        make_study(
            folder, patient_id=f"SYNPID{n}", name=f"Netsynth{n:02d}^Nora", birth_date="19500102", accession=f"SYNNET{n:04d}",
            study_date="20240503", series=[SeriesSpec("CT", "Thorax", instances, rows=256, columns=256)],
        )
        for n in range(studies)
    ]  # fmt: skip


@contextmanager
def site(peer: str, corpus_of: Sequence[StudyFacts]) -> Iterator[Site]:
    with ExitStack() as stack:
        net, receiver = stack.enter_context(network()), free_port()
        storing = stack.enter_context(Proxy((net.there, receiver), delay=DELAY))
        to = {DIRECT: (net.there, receiver), PROXIED: ("127.0.0.1", storing.port)}
        pacs: Pacs = PEERS[peer](destinations=to)
        stack.callback(pacs.stop)
        pacs.upload([file for study in corpus_of for file in study.files])
        asking = stack.enter_context(Proxy(("127.0.0.1", pacs.port), delay=DELAY))
        yield Site(pacs, net, asking, storing, receiver)


def endure(
    folder: Path, at: Site, studies: Sequence[StudyFacts], ours: str, faults: Sequence[Callable[[], None]]
) -> Endured:
    """Retrieves everything; each of `faults` comes once a further part of it is here."""
    began = time.monotonic()
    running = furnished(folder, at, studies, ours)
    whole = sum(study.instances for study in studies)
    try:
        running.daemon.start()
        for n, fault in enumerate(faults, start=1):
            goal = whole * n // (len(faults) + 2)
            running.daemon.wait_until(partial(_reached, running, goal), LONGEST)
            fault()
        running.daemon.wait_until(lambda: running.left() == 0, LONGEST)
        again, wrong = tried_again(running), list(_wrong(folder, running, studies))
        assert running.daemon.stop() == 0
    finally:
        running.close()
    files = sum(1 for _ in (folder / "archive").rglob("*.dcm"))
    return Endured(time.monotonic() - began, again, files, wrong)


def furnished(folder: Path, at: Site, studies: Sequence[StudyFacts], ours: str) -> Running:
    (folder / "archive").mkdir(parents=True)
    key = folder / "pseudonym.key"
    key.touch(mode=0o600)
    key.write_bytes(KEY)
    (folder / "gateway.toml").write_text(CONFIG.format(
        folder=folder, receiver=at.receiver, ours=ours, ae=at.pacs.ae_title, host=at.net.here,
        port=at.pacs.port if ours == DIRECT else at.asking.port,
    ))  # fmt: skip
    lines = [f"{s.patient['accession']},{s.patient['patient_id']},{s.patient['study_date']},CT" for s in studies]
    text = "\n".join(["accession_number,patient_id,study_date,modality", *lines, ""])
    told = command(folder / "gateway.toml", "requests", "add", "--project", "chest-ct", stdin=text)
    assert told.returncode == 0, told.stderr
    running = Running(folder)
    inside = Inside(folder, level="info")
    inside.network = at.net
    running.daemon = inside
    return running


def arrived(folder: Path) -> int:
    """Instances that are clean and safe, delivered or not."""
    return sum(1 for room in (folder / "state" / "outbox", folder / "archive") for _ in room.rglob("*.dcm"))


def _reached(running: Running, goal: int) -> bool:
    return arrived(running.folder) >= goal or running.left() == 0


def tried_again(running: Running) -> int:
    with running.database.read() as c:
        return int(c.execute(select(func.count()).where(history.c.event == "retry")).scalar_one())


def _wrong(folder: Path, running: Running, studies: Sequence[StudyFacts]) -> Iterator[str]:
    balance = running.balance()
    if not balance.adds_up or balance.total("delivered") != len(studies):
        yield f"{balance.total('delivered')} of {len(studies)} delivered, failed {dict(balance.parts['failed'])}"
    there = sorted(pixel_digest(p) for p in (folder / "archive").rglob("*.dcm"))
    if there != sorted(pixels(file) for study in studies for file in study.files):
        yield f"{len(there)} files, and not exactly those that there should be"


def pixels(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()[-256 * 256 * 2 :]).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", choices=list(PEERS), nargs="+", default=list(PEERS))
    parser.add_argument("--scenario", choices=list(SCENARIOS), nargs="+", default=list(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=60.0, help="how long a partition lasts, and a PACS is stopped")
    words, bad = parser.parse_args(), False
    with tempfile.TemporaryDirectory(prefix="network-") as name:
        studies = corpus(Path(name) / "source", 6, 20)
        for peer in words.peer:
            with site(peer, studies) as at:
                for scenario in words.scenario:
                    ended = play(
                        Path(name) / f"{peer}-{scenario.replace(' ', '-')}", at, studies, scenario, words.seconds
                    )
                    bad = bad or bool(ended.wrong)
    return 1 if bad else 0


def play(folder: Path, at: Site, studies: Sequence[StudyFacts], scenario: str, seconds: float) -> Endured:
    """One scenario, told. Packets are lost from the beginning on, everything else happens in the middle."""
    fault, ours = SCENARIOS[scenario]
    if fault is lossy:
        lossy(at, seconds)
    ended = endure(folder, at, studies, ours, [partial(fault, at, seconds)] if fault is not lossy else [])
    lost = at.net.dropped() if fault is lossy else 0
    at.net.lose(0)
    told = f"tried again {ended.tried_again}, {lost} packets lost, {ended.files} files, wrong: {ended.wrong}"
    print(f"{type(at.pacs).__name__:9} {scenario:23} {ended.seconds:6.1f} s, {told}", flush=True)
    return ended


if __name__ == "__main__":
    sys.exit(main())

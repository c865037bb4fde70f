"""Several nodes on one PostgreSQL and one Orthanc, disturbed: one killed, one partitioned, the database restarted.

    python -m tests.faults.several --count 300

The long form of `test_several.py`. Prints a digest of the archive of a single node on SQLite and of each other part (the same where
the archive is the same), the throughput of one, two and three nodes, and a rolling restart of two.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from gateway.state.db import Database
from gateway.state.views import Counts, Views
from tests.support.daemon import Daemon
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.network import Island, island
from tests.support.peers import HOST, PASSWORD, Orthanc, Postgres, free_port
from tests.support.process import new_folder
from tests.support.world import archive_files, fill_ris, write_config

KEY: Final = bytes(range(1, 33))
SERIES: Final = 3  # in a study
INSTANCES: Final = 5
LEASE: Final = 8  # seconds
PATIENCE: Final = 600.0
HBA: Final = "host all all 0.0.0.0/0 scram-sha-256\n"
ISLAND: Final = 77  # of our own
STATE: Final = "gateway_{n}"
PARTS: Final = ("0", "1", "2", "3", "disturbed", "rolling")


@dataclass
class Site:
    """The hospital, shared by all runs: its RIS and our states in one PostgreSQL, its PACS, and where three nodes listen."""

    folder: Path
    studies: tuple[StudyFacts, ...]
    database: Postgres
    pacs: Orthanc
    island: Island
    ports: tuple[int, ...]
    runs: int = field(default=0)

    def new_state(self) -> str:
        self.runs += 1
        name = STATE.format(n=self.runs)
        self._admin(f"create database {name}")
        return name

    def _admin(self, statement: str) -> None:
        engine = sa.create_engine(self.database.open_url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as c:
            c.exec_driver_sql(statement)
        engine.dispose()


@contextlib.contextmanager
def site(folder: Path, count: int) -> Iterator[Site]:
    """`count`: series."""
    studies = tuple(_studies(folder / "hospital", -(-count // SERIES)))
    hba = new_folder("hba", "postgres") / "pg_hba.conf"
    hba.write_text(HBA)
    hba.chmod(0o644)
    ports = (free_port(), free_port(), free_port())
    with island(ISLAND) as away, Postgres(["listen_addresses=*", f"hba_file={hba}"]) as database:
        fill_ris(database, tuple(_rows(studies)))
        hosts = (HOST, away.theirs, HOST)
        nodes = {f"GW{n + 1}": (hosts[n], ports[n]) for n in range(3)}
        with Orthanc(destinations={**nodes, "RESEARCH": (HOST, ports[0])}) as pacs:
            pacs.upload([folder / "hospital"])
            yield Site(folder, studies, database, pacs, away, ports)


def _studies(folder: Path, number: int) -> Iterator[StudyFacts]:
    for n in range(number):
        specs = tuple(SeriesSpec("CT", f"Thorax {s}", INSTANCES, rows=64, columns=64) for s in range(SERIES))
        yield make_study(
            folder, series=specs, seed=n, patient_id=f"SYNPID{n:05d}", name=f"Testperson{n:04d}^Synthia",
            birth_date="19500102", accession=f"SYNACC{n:05d}", study_date="20240503",
        )  # fmt: skip


def _rows(studies: Sequence[StudyFacts]) -> Iterator[dict[str, object]]:
    for study in studies:
        yield {
            "accession_number": study.patient["accession"], "patient_id": study.patient["patient_id"],
            "study_date": study.patient["study_date"], "modality": "CT", "changed_at": "2024-06-01T08:00:00Z",
        }  # fmt: skip


class Cluster:
    """Some nodes on one state, and an archive that all of them see. `nodes` 0: a single one, on SQLite."""

    def __init__(self, here: Site, name: str, nodes: int) -> None:
        self.folder = here.folder / name
        self.state = here.new_state() if nodes else ""
        self._site = here
        (self.folder / "archive").mkdir(parents=True)
        self.daemons = [self._node(n) for n in range(max(1, nodes))]

    def _node(self, n: int) -> Daemon:
        here, folder = self._site, self.folder / f"gw{n + 1}"
        write_config(folder, pacs=here.pacs, ris=here.database, key=KEY, receiver=here.ports[n])
        away = n == 1
        text = (folder / "gateway.toml").read_text()
        for old, new in self._changes(n, folder):
            assert text.count(old) >= 1, old
            text = text.replace(old, new)
        (folder / "gateway.toml").write_text(text.replace(f"{HOST}:", f"{here.island.ours}:") if away else text)
        return Daemon(folder, level="info", before=here.island.before if away else ())

    def _changes(self, n: int, folder: Path) -> list[tuple[str, str]]:
        host = self._site.island.ours if n == 1 else HOST
        changes = [
            (f'path = "{folder}/archive"', f'path = "{self.folder}/archive"'),
            ("NumberOfSeriesRelatedInstances >= 5", f"NumberOfSeriesRelatedInstances >= {INSTANCES}"),
            (f'host = "{HOST}"', f'host = "{host}"'),
        ]
        if self.state:
            url = f"postgresql+psycopg://ris@{HOST}:{self._site.database.port}/{self.state}"
            lines = f'database = "{url}"\ndatabase_password_file = "{folder}/ris.password"\nnode_lease = "{LEASE}s"\n'
            changes += [
                ('node = "gw1"\n', f'node = "gw{n + 1}"\n{lines}'),
                ('"RESEARCH"\nbind = "127.0.0.1"', f'"GW{n + 1}"\nbind = "0.0.0.0"'),
            ]
        return changes

    def start(self) -> None:
        for daemon in self.daemons:
            daemon.start()
        for daemon in self.daemons:
            daemon.wait_ready(120)

    def counts(self) -> Counts:
        """What the state says; from the outside, as any node would."""
        if not self.state:
            database = Database(self.folder / "gw1" / "state" / "state.sqlite")
        else:
            url = f"postgresql+psycopg://ris@{HOST}:{self._site.database.port}/{self.state}"
            database = Database(url, lambda: PASSWORD)
        try:
            return Views(database, KEY).counts()
        finally:
            database.close()

    def confirmed(self) -> int:
        return sum(n for (_, state), n in self.counts().series.items() if state == "confirmed")

    def is_settled(self) -> bool:
        counts = self.counts().requests
        return sum(counts.values()) == len(self._site.studies) == sum(n for (_, s), n in counts.items() if s == "done")

    def wait(self, reached: int | None = None) -> float:
        """Until so many series are confirmed, or all is settled. Seconds. Fails when any node ends by itself."""
        started = time.monotonic()
        while not (self.is_settled() if reached is None else self.confirmed() >= reached or self.is_settled()):
            assert time.monotonic() - started < PATIENCE, f"not reached: {self.counts()}\n{self.tails()}"
            time.sleep(0.2)
        return time.monotonic() - started

    def tails(self) -> str:
        return "\n".join(f"---- {d.log.parent.name}\n{d.tail()}" for d in self.daemons if d.log.exists())

    def logs(self) -> str:
        return "".join(d.log.read_text(errors="replace") for d in self.daemons)

    def archive(self) -> dict[str, str]:
        return archive_files(self.folder)

    def left(self) -> list[str]:
        """What lies in the outboxes."""
        return [
            str(p.relative_to(self.folder))
            for d in self.daemons
            for p in (d.log.parent / "state" / "outbox").glob("*/*")
        ]

    def end(self) -> None:
        for daemon in self.daemons:
            daemon.kill_group()


@contextlib.contextmanager
def cluster(here: Site, name: str, nodes: int) -> Iterator[Cluster]:
    made = Cluster(here, name, nodes)
    try:
        yield made
    finally:
        made.end()


def undisturbed(here: Site, nodes: int) -> tuple[dict[str, str], float]:
    """The archive, and how long it took from the first moment that all were ready."""
    with cluster(here, f"undisturbed-{nodes}", nodes) as all_of_them:
        all_of_them.start()
        seconds = all_of_them.wait()
        for daemon in all_of_them.daemons:
            assert daemon.stop() == 0
        return all_of_them.archive(), seconds


def disturbed(here: Site) -> dict[str, str]:
    """Three nodes: the first is killed, the second partitioned, PostgreSQL killed and started. Then the first comes back."""
    wanted = len(here.studies) * SERIES
    with cluster(here, "disturbed", 3) as three:
        three.start()
        three.wait(wanted // 6)
        three.daemons[0].kill_group()
        here.island.pull()
        three.wait(wanted // 3)
        here.database.kill()
        time.sleep(2)
        here.database.start()
        time.sleep(LEASE)
        here.island.plug()
        three.wait()
        three.daemons[0].start()  # what it has left goes the way of late instances
        three.daemons[0].wait_ready(120)
        three.wait()
        for daemon in three.daemons:
            assert daemon.stop() == 0, daemon.tail()
        assert "Traceback" not in three.logs()
        assert '"worker.bug"' not in three.logs()
        return three.archive()


def rolling(here: Site) -> dict[str, str]:
    """Two nodes, restarted one after the other while they work."""
    with cluster(here, "rolling", 2) as two:
        two.start()
        for n, daemon in enumerate(two.daemons, start=1):
            two.wait(n * len(here.studies) * SERIES // 4)
            assert daemon.stop() == 0, daemon.tail()
            daemon.start()
            daemon.wait_ready(120)
        two.wait()
        for daemon in two.daemons:
            assert daemon.stop() == 0, daemon.tail()
        return two.archive()


def digest(archive: Mapping[str, str]) -> str:
    """Of names and contents: the same for the same archive, in another run too, as key and images are the same."""
    return hashlib.sha256(json.dumps(sorted(archive.items())).encode()).hexdigest()[:16]


def _part(here: Site, name: str, count: int) -> str:
    if name == "disturbed":
        return f"killed, partitioned, database restarted: archive {digest(disturbed(here))}"
    if name == "rolling":
        return f"rolling restart of two: archive {digest(rolling(here))}"
    archive, seconds = undisturbed(here, int(name))
    on = f"{name} on PostgreSQL" if int(name) else "one node on SQLite"
    return f"{on}: {len(archive)} files, archive {digest(archive)}, {count / seconds:.2f} series/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="series")
    parser.add_argument(
        "--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)} (numbers: of nodes; 0: SQLite)"
    )
    told = parser.parse_args()
    with site(new_folder("several"), told.count) as here:
        for name in told.parts.split(","):
            load = f"load {os.getloadavg()[0]:.0f}"
            print(f"{_part(here, name, told.count)}, {load}", flush=True)


if __name__ == "__main__":
    main()

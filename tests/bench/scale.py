"""What a poll, a claim, `status` and `explain` cost with ten thousand requests in the state, and with many more.

    python -m tests.bench.scale --count 1000000 [--database sqlite|postgresql]

`--count`: requests; each has three series, nine in ten are confirmed, and the rest is at every step of the way. Every figure is the
fastest of `ROUNDS` calls in milliseconds, each on rows of its own: what else the machine does makes it slower, never faster. The
ratio to the small state is what is promised (2 at most). On a busy disk, TMPDIR on a tmpfs measures the search and not the disk.

The balance sheet reads every row, by design; it is measured once, last.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from gateway.keys import short_key
from gateway.model import AccessionNumber, Wanted
from gateway.state import db, population
from gateway.state.db import Database
from gateway.state.moving import go_on_numbering
from gateway.state.outbox import Outbox
from gateway.state.progress import Progress, Route, Stage
from gateway.state.sealed import Seal
from gateway.state.store import Store
from gateway.state.views import Views
from tests.support.peers import PASSWORD, Postgres
from tests.support.process import new_folder

KEY: Final = bytes(range(32))
SMALL: Final = 10_000
ROUNDS: Final = 21
PROJECTS: Final = ("chest", "knee", "brain")
NOW: Final = 1e9
REQUESTS: Final = ("done",) * 16 + ("empty", "empty", "new", "planned")
"""The states of twenty requests in a row."""
SERIES: Final = {
    "done": ("confirmed", "confirmed", "excluded"), "planned": ("planned", "retrieved", "delivered"), "new": (), "empty": (),
}  # fmt: skip


MANY: Final = Path(__file__).with_suffix(".sql")
OF_ALL: Final = Path(__file__).with_name("scale_of_all.sql")
ROUTE: Final = Route("chest", "archive", ("archive",))


class Crowd:
    """A state full of rows, numbered from 0."""

    def __init__(self, database: Database, count: int) -> None:
        self.store, self.views = Store(database, KEY, node="gw1"), Views(database, KEY)
        self._seal, self._next = Seal(KEY), count
        self._fill(database, range(min(SMALL, count)))
        self._progress = Progress(database, self.store, Outbox(new_folder("scale-outbox")), node="gw1")
        with database.long_write() as c:
            if count > SMALL:
                _without_indexes(c, lambda: self._run(c, MANY, count))
            self._run(c, OF_ALL, count)

    def _run(self, c: sa.Connection, script: Path, count: int) -> None:
        for statement in script.read_text().split(";\n")[:-1]:
            c.execute(sa.text(statement), {"first": SMALL, "last": count - 1, "now": NOW})

    def _fill(self, database: Database, numbers: range) -> None:
        requests = [self._request(n) for n in numbers]
        series = [s for n in numbers for s in self._series(n)]
        asked = [{"request_id": s["id"] // 3 + 1, "series_id": s["id"]} for s in series]
        lines = [{"request_id": r["id"], "at": NOW, "event": "asked", "before": "", "after": "new"} for r in requests]
        lines += [{"series_id": s["id"], "at": NOW, "event": "found", "before": "", "after": "planned"} for s in series]
        with database.long_write() as c:
            for table, rows in ((db.request, requests), (db.series, series), (db.asked, asked)):
                c.execute(sa.insert(table), rows)
            for some in ([x for x in lines if "request_id" in x], [x for x in lines if "series_id" in x]):
                c.execute(sa.insert(db.history), some)

    def _request(self, n: int) -> dict[str, Any]:
        project, state, key = PROJECTS[n % 3], REQUESTS[n // 3 % 20], short_key("R", self._seal.hash("request", str(n)))
        return {
            "id": n + 1, "key": key, "project": project, "accession_hash": self._seal.hash("accession", accession(n)),
            "sealed": self._seal.close_up({"accession": accession(n)}, owner=key), "modality": "CT", "state": state,
            "reason": "", "not_before": NOW - 100 - n % 1000, "created": NOW - 100 - n % 1000, "updated": NOW,
        }  # fmt: skip

    def _series(self, n: int) -> Iterator[dict[str, Any]]:
        for k, state in enumerate(SERIES[REQUESTS[n // 3 % 20]]):
            number = 3 * n + k
            key = short_key("S", self._seal.hash("key", str(number)))
            yield {
                "id": number, "key": key, "project": PROJECTS[n % 3], "series_hash": f"{number:032x}", "study_hash": f"{n:032x}",
                "sealed": self._seal.close_up({"study": "1.2", "series": f"1.2.{number}"}, owner=key), "pacs": "main",
                "modality": "CT", "state": state, "not_before": NOW - 100 - n % 1000, "created": NOW, "updated": NOW, "node": "gw1",
            }  # fmt: skip

    # ---- what is measured

    def poll(self) -> None:
        """A batch of 500 rows of a RIS, one in ten of them new."""
        first = self._next
        self._next += 50
        known = (i * 7919 % SMALL for i in range(first, first + 450))
        numbers = [*range(first, first + 50), *known]
        wanted = [Wanted("chest", AccessionNumber(accession(n))) for n in numbers]
        self.store.add_requests(wanted, (), project="chest", cursor=f"{first}", now=NOW)

    def claim_requests(self) -> None:
        assert len(self.store.claim_requests(projects=PROJECTS, limit=50, lease=1e6, now=NOW + 1)) == 50

    def claim_series(self) -> None:
        assert self.store.claim_series(pacs="main", projects=PROJECTS, lease=1e6, now=NOW + 1)

    def claim_delivery(self) -> None:
        assert self._progress.claim(Stage.WAITING, ROUTE, lease=1e6, now=NOW + 1)

    def claim_confirmation(self) -> None:
        assert self._progress.claim(Stage.DELIVERED, ROUTE, lease=1e6, now=NOW + 1)

    def status(self) -> None:
        assert self.views.counts().oldest_pending
        assert self.views.planned(PROJECTS)

    def explain(self) -> None:
        """What the command asks for."""
        (found,) = self.views.by_accession(accession(self._next * 7919 % SMALL // 60 * 60))
        self._next += 1
        assert self.views.history(found.key)
        assert self.views.series(found.key)
        assert not self.views.set_aside("no such row")

    def listing(self) -> None:
        """`requests list`, as it asks."""
        assert len(self.views.requests()) == 200
        assert self.views.requests(state="failed") == []

    def balance(self) -> None:
        assert all(sheet.adds_up for sheet in self.views.balances())

    def start(self) -> None:
        """What a daemon asks when it begins."""
        self.store.free_node()
        self.store.held_series()


MEASURED: Final = (
    "poll", "claim_requests", "claim_series", "claim_delivery", "claim_confirmation", "status", "explain", "listing", "start",
)  # fmt: skip


def _without_indexes(c: sa.Connection, fill: Callable[[], None]) -> None:
    """To make millions of rows takes a third of the time; afterwards all is as the gateway would have it."""
    tables = (db.request, db.series, db.asked, db.history)
    for index in [i for t in tables for i in t.indexes]:
        index.drop(c)
    if c.dialect.name == "sqlite":
        for table in ("request", "series"):
            c.exec_driver_sql(f"DROP TRIGGER {table}_counted_insert")
        fill()
    else:
        c.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no triggers, so no foreign keys
        fill()
        c.exec_driver_sql("SET LOCAL session_replication_role = origin")
    for index in [i for t in tables for i in t.indexes]:
        index.create(c)
    population.begin(c)


def accession(n: int) -> str:
    return f"SYN{n:09d}"


@contextmanager
def fresh(kind: str) -> Iterator[Callable[[], Database]]:
    """Makes empty states."""
    if kind == "sqlite":
        folder = new_folder("scale")
        names = (Path(folder) / f"{n}.sqlite" for n in range(10))
        yield lambda: Database(next(names))
        return
    with Postgres(["shared_buffers=512MB", "maintenance_work_mem=256MB", "max_wal_size=4GB"]) as server:
        admin = sa.create_engine(server.open_url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        numbers = iter(range(10))

        def make() -> Database:
            name = f"scale{next(numbers)}"
            with admin.connect() as c:
                c.exec_driver_sql(f"create database {name}")
            return Database(server.url.replace("/postgres", f"/{name}"), lambda: PASSWORD)

        yield make
        admin.dispose()


def crowd_of(database: Database, count: int) -> Crowd:
    started = time.monotonic()
    crowd = Crowd(database, count)
    analyse(database)
    print(f"{count} requests made in {time.monotonic() - started:.0f} s", flush=True)
    return crowd


def compared(name: str, small: Crowd, large: Crowd, rounds: int) -> str:
    """Milliseconds, and the ratio. By turns: what else the machine does is the same for both."""
    steps = [getattr(crowd, name) for crowd in (small, large)]
    if rounds > 1:
        for step in steps:
            step()
    found = [[timed(step) for step in steps] for _ in range(rounds)]
    one, other = (min(times) * 1000 for times in zip(*found, strict=True))
    return f"{name:20}{one:>9.2f}ms{other:>10.2f}ms{other / one:>8.2f}"


def analyse(database: Database) -> None:
    """As PostgreSQL's autovacuum does by itself some time after so many rows; and new rows are numbered after those."""
    if database.shared:
        with database.long_write() as c:
            for table in (db.request, db.series, db.history):
                go_on_numbering(c, table)
            c.exec_driver_sql("ANALYZE")


def timed(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="requests in the large state")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    with fresh(options.database) as make:
        small, large = (crowd_of(make(), count) for count in (SMALL, options.count))
        print(f"{'':20}{'small':>11}{'large':>12}{'ratio':>8}")
        for name in MEASURED:
            print(compared(name, small, large, ROUNDS), flush=True)
        print(compared("balance", small, large, 1))


if __name__ == "__main__":
    main()

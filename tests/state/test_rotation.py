"""A new master key, a new key of a project, on SQLite and PostgreSQL: what is known stays known, the old key opens nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import Fatal
from gateway.keys import Keys, derive
from gateway.state import ring, rotation
from gateway.state.broker import Broker
from gateway.state.db import Database, metadata, node
from gateway.state.persons import Kept
from gateway.state.rows import Tally
from gateway.state.sealed import NONCE_BYTES, Seal
from gateway.state.sharing import keyring
from gateway.state.store import Store
from gateway.state.withdrawn import Order
from tests.state.conftest import KEY, PROJECT, Opened, reopened

NEW = bytes(range(100, 132))
OTHER = "heart"
HERE = rotation.Here("gw1", 200)
RING = {"look-up", "audit", f"pseudonym/{PROJECT}", f"pseudonym/{OTHER}"}


@pytest.fixture
def filled(place: Path | str) -> Path | str:
    """Something in every sealed column."""
    state = Opened(place)
    state.ask("A1", "A2")
    state.plan("1.2.3.1", "1.2.3.2")
    broker = Broker(state.database, KEY)
    for series in ("1.2.3.1", "1.2.3.2"):
        assert broker.enter(Kept(PROJECT, "CHEST-A", "PID-A1", "1.2.3", series), now=100)
    broker.withdraw(Order(PROJECT, frozenset({"PID-Z"}), frozenset(), "asked to", ("s",), lambda _: ()), now=100)
    state.store.keep_to_key()
    broker.keep_head("gw1", 3, "abc")
    state.database.close()
    return state.place


@pytest.fixture
def database(filled: Path | str) -> Iterator[Database]:
    opened = reopened(filled)
    yield opened
    opened.close()


def rotate(database: Database, old: bytes = KEY, new: bytes = NEW) -> int:
    return rotation.rotate(database, old, new, projects=[OTHER], here=HERE)


def blobs(database: Database) -> dict[tuple[str, str], list[bytes]]:
    """By table and column, every value that could be sealed."""
    columns = [(t, col) for t in metadata.sorted_tables for col in t.c if isinstance(col.type, sa.LargeBinary)]
    with database.read() as c:
        return {
            (t.name, col.name): [bytes(r[0]) for r in c.execute(sa.select(col)) if r[0] is not None]
            for t, col in columns
        }


def sealed(found: dict[tuple[str, str], list[bytes]]) -> set[bytes]:
    return {blob for (table, _), some in found.items() if table != "committed" for blob in some}


def opened_by(key: bytes, blob: bytes, owner: str) -> bool:
    try:
        AESGCM(derive(key, "seal")).decrypt(blob[1 : 1 + NONCE_BYTES], blob[1 + NONCE_BYTES :], owner.encode())
    except InvalidTag:
        return False
    return True


def owned(database: Database) -> list[tuple[bytes, str]]:
    with database.read() as c:
        return [
            (bytes(row["sealed"]), owner(row))
            for table, owner in rotation.SEALED
            for row in c.execute(sa.select(table).where(table.c.sealed.is_not(None))).mappings()
        ]


def test_every_sealed_column_there_is_is_sealed_again() -> None:
    tables = {t.name for t in metadata.sorted_tables if "sealed" in t.c}
    assert tables == {table.name for table, _ in rotation.SEALED} | {"keyring"}
    binary = {(t.name, c.name) for t in metadata.sorted_tables for c in t.c if isinstance(c.type, sa.LargeBinary)}
    assert binary - {(name, "sealed") for name in tables} == {("committed", "instance")}


def test_the_old_key_opens_nothing_and_the_new_one_everything(database: Database) -> None:
    before = blobs(database)
    assert all(before[name, "sealed"] for name in (t.name for t, _ in rotation.SEALED)), "nothing to seal again there"
    wide = [(blob, owner) for blob, owner in owned(database) if not opened_by(KEY, blob, owner)]
    assert wide == []
    count = rotate(database)
    assert count == sum(len(v) for (name, _), v in before.items() if name not in ("committed", "keyring"))
    left = owned(database)
    assert [o for b, o in left if not opened_by(NEW, b, o)] == [] == [o for b, o in left if opened_by(KEY, b, o)]
    assert not sealed(blobs(database)) & sealed(before)


def test_after_it_nothing_sealed_before_is_in_a_file(database: Database, filled: Path | str) -> None:
    before = sealed(blobs(database))
    rotate(database)
    rotation.end(database, ring.keys_of(database, NEW))
    if isinstance(filled, Path):
        raw = b"".join(p.read_bytes() for p in filled.parent.iterdir() if p.is_file())
        assert [b for b in before if b in raw] == []
    with database.read() as c:
        assert c.execute(sa.select(sa.func.count()).select_from(metadata.tables["person"])).scalar() == 1


def test_what_must_stay_stays_through_two_rotations(database: Database) -> None:
    first = Keys(KEY)
    third = bytes(range(200, 232))
    rotate(database)
    assert rotation.stage(database, ring.keys_of(database, NEW)) == rotation.SEALED_AGAIN
    rotate(database, NEW, third)
    keys = ring.keys_of(database, third)
    assert set(keys.ring) == RING
    assert (keys.look_up, keys.audit) == (first.look_up, first.audit)
    assert [keys.project(p) for p in (PROJECT, OTHER)] == [first.project(p) for p in (PROJECT, OTHER)]
    assert keys.project("a later one") not in (first.project("a later one"), Keys(NEW).project("a later one"))


def test_work_goes_on(database: Database) -> None:
    rotate(database)
    store, broker = Store(database, NEW, node="gw1"), Broker(database, NEW)
    store.keep_to_key()
    (found,) = broker.look_up(PROJECT, "CHEST-A")
    assert (found.patient, len(found.series)) == ("PID-A1", 2)
    assert broker.head("gw1") == (3, "abc")
    assert not broker.enter(Kept(PROJECT, "CHEST-Z", "PID-Z", "1.2.9", "1.2.9.1"), now=201), "withdrawn stays withdrawn"
    claim = store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=201)
    assert claim is not None and claim.SeriesInstanceUID == "1.2.3.1"
    assert store.settle_retrieved(claim.rows[0], Tally(3, 3, 0, 0, {}), now=202)


def test_the_wrong_key_changes_nothing(database: Database) -> None:
    before = blobs(database)
    with pytest.raises(Fatal, match=r"state\.key"):
        rotate(database, bytes(32))
    assert blobs(database) == before and rotation.opens(database, KEY) and not rotation.opens(database, NEW)


def test_cut_short_it_is_as_it_was(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    before = blobs(database)
    monkeypatch.setattr(ring, "write", lambda *_: (_ for _ in ()).throw(Fatal("cut.short", "")))
    with pytest.raises(Fatal, match=r"cut\.short"):
        rotate(database)
    assert blobs(database) == before and rotation.opens(database, KEY)


def test_more_rows_than_are_read_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "AT_ONCE", 1)
    rotate(database)
    assert [o for b, o in owned(database) if not opened_by(NEW, b, o)] == []


def test_a_project_gets_a_key_of_its_own_and_keeps_the_former(database: Database) -> None:
    fresh = os.urandom(32)
    with pytest.raises(Fatal, match=r"key\.unfinished"):
        rotation.renew(database, KEY, fresh, project=PROJECT, here=HERE)
    assert ring.keys_of(database, KEY).ring == {}
    rotation.renew(database, KEY, fresh, project=OTHER, here=HERE)
    rotate(database)
    keys = ring.keys_of(database, NEW)
    assert (keys.project(OTHER), keys.former(OTHER)) == (fresh, (Keys(KEY).project(OTHER),))
    assert (keys.project(PROJECT), keys.former(PROJECT)) == (Keys(KEY).project(PROJECT), ())
    with database.read() as c:
        assert fresh.hex().encode() not in b"".join(bytes(r.sealed) for r in c.execute(sa.select(keyring)))


def test_the_ring_of_another_key_is_told_not_guessed(database: Database) -> None:
    rotate(database)
    with pytest.raises(Fatal, match=r"state\.key"):
        Store(database, KEY, node="gw1")


@pytest.mark.real
class TestSeveralNodes:
    @pytest.fixture
    def place(self, request: pytest.FixtureRequest) -> str:
        from tests.state.conftest import emptied

        return emptied(request.getfixturevalue("postgres"))

    @pytest.mark.parametrize(
        ("name", "lease", "since", "refused"),
        [
            ("gw2", 230.0, 0.0, True),
            ("gw2", 199.0, 0.0, False),
            ("gw1", 230.0, 0.0, False),
            pytest.param("gw2", 9030.0, 9000.0, False, id="died while the clock was ahead"),
        ],
    )
    def test_not_while_another_node_lives(
        self, database: Database, name: str, lease: float, since: float, refused: bool
    ) -> None:
        with database.write() as c:
            c.execute(sa.insert(node).values(name=name, home="x", lease_until=lease, since=since))
        if refused:
            with pytest.raises(Fatal, match=r"node\.alive"):
                rotate(database)
        else:
            rotate(database)

    def test_not_while_a_command_has_it_open(self, database: Database, filled: str) -> None:
        other = reopened(filled)
        with pytest.raises(Fatal, match=r"state\.in-use"):
            rotate(database)
        other.close()
        assert Seal(KEY) and rotate(database)

    def test_one_that_has_just_ended_is_waited_for(self, database: Database, filled: str) -> None:
        """The server shows its session for a moment longer than it lasts."""
        other = reopened(filled)
        ends = threading.Timer(0.5, other.close)
        ends.start()
        assert rotate(database)
        ends.join()

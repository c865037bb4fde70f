"""What a database says of itself, told to a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import Fatal
from gateway.state.db import Database
from tests.state.conftest import Opened


@pytest.mark.parametrize("half", [b"no database, but text" * 999, None], ids=["none", "cut"])
def test_a_damaged_file_is_named_with_the_mend(tmp_path: Path, half: bytes | None) -> None:
    place = tmp_path / "state.sqlite"
    state = Opened(place)
    state.ask(*(f"A{n}" for n in range(500)))
    state.database.close()
    whole = place.read_bytes()
    place.write_bytes(half or whole[: len(whole) // 2])
    with pytest.raises(Fatal, match=r"state\.sqlite.*damaged.*back-up"):
        _everything(place)


def _everything(place: Path) -> None:
    database = Database(place)
    try:
        with database.read() as c:
            c.exec_driver_sql("SELECT sealed, key FROM request ORDER BY reason").all()
    finally:
        database.close()

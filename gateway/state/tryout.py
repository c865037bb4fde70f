"""Whether a PostgreSQL database can be used, before anybody does: nothing is made in it."""

from __future__ import annotations

from typing import Final

from gateway.errors import Fatal, Retry
from gateway.state import engines, faults

USE: Final = "has_table_privilege(to_regclass('series'), 'UPDATE')"  # null: there is no such table yet
MAY: Final = f"SELECT coalesce({USE}, has_schema_privilege(current_schema(), 'CREATE'))"


def try_out(url: str, password: engines.Password | None) -> None:
    """Raises as `Database` does: Retry where it is away or can only be read, Fatal where we may make or use no tables."""
    engine = engines.postgresql(url, password)
    try:
        with faults.plain_errors(), engine.begin() as c:
            well, may = engines.is_well(c), bool(c.exec_driver_sql(MAY).scalar_one())
    finally:
        engine.dispose()
    if not well:
        raise Retry("state.busy", faults.TOLD["25006"], charge=False)
    if not may:
        raise Fatal("state.database", faults.OWN)

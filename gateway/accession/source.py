"""What a poll reads from: a RIS, whatever it runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol, TypeAlias

Row: TypeAlias = Mapping[str, object]
"""One row: column name in lower case -> value as the driver gives it."""

CursorValue: TypeAlias = datetime | date | int | float | Decimal | str | bytes
"""What a cursor column may hold: a time, a number, a text that sorts, SQL Server's rowversion."""


class RowSource(Protocol):
    """Rows from `since` on, in any order."""

    @property
    def fingerprint(self) -> str:
        """Changes with the query and its cursor column: a stored cursor belongs to one fingerprint."""
        ...

    def rows(self, since: CursorValue | None) -> Iterator[Row]:
        """Rows whose cursor is at or after `since`; None: all. Close the iterator to let go of the connection.

        Raises Retry with `ris.down`, `ris.slow` or `ris.schema`.
        """
        ...

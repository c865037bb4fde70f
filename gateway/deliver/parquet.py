"""A manifest's table as Parquet, with types: whole numbers, days. The only module that imports the writer (law 3)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date

from arro3.core import Array, DataType, Table
from arro3.io import write_parquet

from gateway.deliver.manifest import DATES, NUMBERS, Row

EPOCH = date(1970, 1, 1)
COMPRESSION = "snappy"  # what every reader knows


def as_parquet(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    """Text, 64-bit numbers and days; what is empty is null."""
    table = Table({column: _column(column, [row.get(column, "") for row in rows]) for column in columns})
    made = io.BytesIO()
    write_parquet(table, made, compression=COMPRESSION, created_by="pacs-gateway")
    return made.getvalue()


def _column(column: str, values: Sequence[str]) -> Array:
    if column in NUMBERS:
        return Array([int(value) if value else None for value in values], DataType.int64())
    if column in DATES:
        days = [(date.fromisoformat(value) - EPOCH).days if value else None for value in values]
        return Array(days, DataType.int32()).cast(DataType.date32())
    return Array([value or None for value in values], DataType.utf8())

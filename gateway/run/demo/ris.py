"""The demo's RIS: one SQLite file with the view that the gateway reads."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from gateway.errors import Fatal
from gateway.run.demo.hospital import Row


def make_ris(path: Path, rows: Sequence[Row]) -> None:
    """Raises Fatal("demo.ris") when it cannot be written."""
    try:
        with closing(sqlite3.connect(path)) as ris, ris:
            ris.execute("create table exam (accession text, pid text, day text, modality text, changed text)")
            ris.execute(
                "create view research_view as select accession as accession_number, pid as patient_id,"
                " day as study_date, modality, changed as changed_at from exam"
            )
            ris.executemany("insert into exam values (?, ?, ?, ?, ?)", rows)
    except sqlite3.Error as err:
        raise Fatal("demo.ris", f"the RIS cannot be made ({type(err).__name__})") from None

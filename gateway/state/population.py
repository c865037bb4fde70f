"""How many requests and series there are in each state, kept by the database itself: to count millions takes seconds.

Triggers add to and take from `population` in the transaction that makes, changes or deletes rows, whoever does that. The numbers
of a state's rows add up: on PostgreSQL connections write to rows of their own (`slot`), so that they need not wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy.engine import Connection

SLOTS: Final = 64
PACS: Final = {"request": "''", "series": "{row}.pacs"}
"""Requests have none."""
ADD: Final = (
    "INSERT INTO population (subject, project, state, pacs, slot, number)"
    " {values} ON CONFLICT (subject, project, state, pacs, slot)"
    " DO UPDATE SET number = population.number + excluded.number"
)


def begin(c: Connection) -> None:
    """Counts anew, and has it kept from here on."""
    if c.dialect.name == "postgresql":
        c.exec_driver_sql("LOCK TABLE request, series IN SHARE ROW EXCLUSIVE MODE")
    c.exec_driver_sql("DELETE FROM population")
    for subject, pacs in PACS.items():
        column = pacs.format(row=subject)
        c.exec_driver_sql(ADD.format(values=_counted(subject, subject, column, "0")))
        for statement in _sqlite(subject) if c.dialect.name == "sqlite" else _postgresql(subject):
            c.exec_driver_sql(statement.replace("%", "%%") if c.dialect.name == "postgresql" else statement)


def _counted(subject: str, rows: str, pacs: str, slot: str) -> str:
    alike = f"SELECT project, state, {pacs} AS pacs FROM {rows}"  # noqa: S608 (names of our own)
    return (
        f"SELECT '{subject}', project, state, pacs, {slot}, count(*) FROM ({alike}) AS alike"  # noqa: S608
        " WHERE true GROUP BY project, state, pacs"  # without WHERE SQLite takes the ON that follows for a join's
    )


def _row(subject: str, row: str, number: int, slot: str) -> str:
    values = f"VALUES ('{subject}', {row}.project, {row}.state, {PACS[subject].format(row=row)}, {slot}, {number})"
    return ADD.format(values=values)


def _changed(subject: str) -> str:
    """Only what is counted by: a lease is no change."""
    return "OLD.state <> NEW.state" + (" OR OLD.pacs <> NEW.pacs" if subject == "series" else "")


def _sqlite(subject: str) -> Iterator[str]:
    events = {
        "insert": ("AFTER INSERT", "", (("NEW", 1),)),
        "update": ("AFTER UPDATE", f"WHEN {_changed(subject)}", (("OLD", -1), ("NEW", 1))),
        "delete": ("AFTER DELETE", "", (("OLD", -1),)),
    }
    for event, (when, only, rows) in events.items():
        body = " ".join(f"{_row(subject, row, number, '0')};" for row, number in rows)
        name = f"{subject}_counted_{event}"
        yield f"CREATE TRIGGER IF NOT EXISTS {name} {when} ON {subject} {only} BEGIN {body} END"


def _postgresql(subject: str) -> Iterator[str]:
    slot = f"pg_backend_pid() % {SLOTS}"
    pacs = PACS[subject].format(row="new_rows")
    many = ADD.format(values=_counted(subject, "new_rows", pacs, slot))
    bodies = {
        "insert": many,
        "update": f"{_row(subject, 'OLD', -1, slot)}; {_row(subject, 'NEW', 1, slot)}",
        "delete": _row(subject, "OLD", -1, slot),
    }
    events = {
        "insert": f"AFTER INSERT ON {subject} REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT",
        "update": f"AFTER UPDATE ON {subject} FOR EACH ROW WHEN ({_changed(subject)})",
        "delete": f"AFTER DELETE ON {subject} FOR EACH ROW",
    }
    for event, when in events.items():
        name = f"{subject}_counted_{event}"
        yield (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {bodies[event]}; RETURN NULL; END $$"
        )
        yield f"DROP TRIGGER IF EXISTS {name} ON {subject}"
        yield f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {name}()"

"""The page of what `check --connect` finds, from the table that the command uses."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.run import receivers
from gateway.run.clock import SET
from gateway.run.commands.mends import DISK, ELSE, KEY, MENDS, STATE

HEAD = """\
# What `check --connect` finds

Each row of its table that is not `ok` says what is wrong, and the mend; with a reason in brackets, but not those of this machine.
Made from the command's own tables by packaging/reference/make_reference.py; a test compares. The same reasons stand in `status`,
`explain` and the log. Where a reason has several causes, the codes behind it tell them apart (result/source/reason of PS3.8 9.3.4).

| reason | mend |
|---|---|
"""


MACHINE = """
## This machine

| row | mend |
|---|---|
"""


def page() -> str:
    """Markdown."""
    return HEAD + _table(_reasons()) + MACHINE + _table(_machine())


def _table(rows: Iterator[tuple[str, str]]) -> str:
    return "".join(f"| {of} | {mend[0].upper()}{mend[1:]} |\n" for of, mend in rows)


def _reasons() -> Iterator[tuple[str, str]]:
    for reason, mend in MENDS.items():
        yield f"`{reason}`", mend
    yield "`state.folder`", STATE
    for what, mend in ELSE.items():
        yield f"any other, in a row `{what}`", mend


def _machine() -> Iterator[tuple[str, str]]:
    for mend in (*receivers.MENDS.values(), receivers.BIND):
        yield "`port`", mend
    yield "`key`", KEY
    yield "`disk`", DISK
    yield "`clock`", SET

"""The page of what `check --connect` finds, from the table that the command uses."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.run.commands.mends import ELSE, MENDS, STATE

HEAD = """\
# What `check --connect` finds

Each row of its table that is not `ok` ends with a reason in brackets, and the mend. Made from the command's own table by
packaging/reference/make_reference.py; a test compares. The same reasons stand in `status`, `explain` and the log. Where a reason
has several causes, the codes behind it tell them apart (result/source/reason of PS3.8 9.3.4).

| reason | mend |
|---|---|
"""


def page() -> str:
    """Markdown."""
    return HEAD + "".join(f"| {reason} | {mend} |\n" for reason, mend in _rows())


def _rows() -> Iterator[tuple[str, str]]:
    for reason, mend in MENDS.items():
        yield f"`{reason}`", mend[0].upper() + mend[1:]
    yield "`state.folder`", STATE[0].upper() + STATE[1:]
    for what, mend in ELSE.items():
        yield f"any other, of a {what}", mend[0].upper() + mend[1:]

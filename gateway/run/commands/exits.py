"""Exit codes: 0 done; 1 the thing asked about is not well; 2 wrong usage or configuration; 3 daemon or peer unreachable."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
NOT_WELL: Final = 1
WRONG: Final = 2
UNREACHABLE: Final = 3

NOBODY_THERE: Final = frozenset({
    "daemon.unreachable", "pacs.unreachable", "pacs.no-answer", "pacs.aborted", "pacs.busy", "find.timeout", "find.unfinished",
    "ris.down", "ris.slow", "state.busy", "state.unreachable", "sink.unreachable", "sink.no-answer", "sink.timeout",
    "sink.aborted", "sink.busy",
})  # fmt: skip
MISCONFIGURED: Final = (
    "key.file",
    "secret.",
    "password.",
    "csv.",
    "project.",
    "deliver.missing",
    "s3.",
    "tls.",
    "ris.url",
    "ris.query",
    "ris.driver",
)


def exit_code(reason: str) -> int:
    """The exit code for the reason of an error that the gateway raised on purpose."""
    if reason in NOBODY_THERE:
        return UNREACHABLE
    return WRONG if reason.startswith(MISCONFIGURED) else NOT_WELL

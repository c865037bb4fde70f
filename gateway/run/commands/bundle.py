"""`support-bundle`: what somebody who helps needs to see, in one file, and nothing of a patient or of a secret.

Nothing is copied as it is: each part is made anew from what may be in it. Of the log, lines that our own log could have written; of
the configuration, the values of the schema, without what a query or a rule compares with.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from gateway.errors import Fatal, GatewayError
from gateway.ops.log import again
from gateway.run import console, deciding
from gateway.run.caller import as_owner
from gateway.run.commands.bundled import configuration, versions
from gateway.run.commands.journal import UNIT, journal
from gateway.run.commands.options import config_option, settings_for
from gateway.run.commands.state import opened
from gateway.run.health import fetch
from gateway.settings import Settings

MODE: Final = 0o600
LINES: Final = 20_000

Part = tuple[str, str]
"""Name in the archive, text."""


@click.command("support-bundle")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--log",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The daemon's log.  [default: the journal]",
)
@click.option(
    "--lines", type=click.IntRange(1, LINES), default=5000, show_default=True, help="Of the log, the last ones."
)
@config_option
def support_bundle(file: Path | None, log: Path | None, lines: int, config: Path) -> int:
    """Write a FILE for whoever helps you: log, configuration, versions, queue counts. No patient, no secret is in it.

    Run it as root, unlike other commands: the daemon's own account may not read the journal. What a part lacks stands in it.

    Read it before you give it away: it is a .tar.gz of text files. It names hosts, AE titles, projects and folders of yours.
    """
    settings = settings_for(config)
    made = file or Path(f"pacs-gateway-support-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz")
    parts = list(_parts(settings, log, lines))
    _write(made, parts)
    console.table(str(made), ("Part", "Bytes"), [(name, len(text)) for name, text in parts])
    return 0


def _parts(settings: Settings, log: Path | None, lines: int) -> Iterator[Part]:
    yield "versions.json", _json(versions())
    yield "configuration.json", _json(configuration(settings))
    yield "queues.json", _told(lambda: _json(_queues(settings)))
    for name, path in (("status.json", "/status"), ("readyz.json", "/readyz"), ("metrics.txt", "/metrics")):
        yield name, _told(lambda path=path: fetch(settings.health.socket, path).decode())  # type: ignore[misc]
    yield "log.jsonl", _told(lambda: _log(log, lines))


def _told(make: Callable[[], str]) -> str:
    """A part that cannot be had says why: that may be just what is asked about."""
    try:
        return make()
    except GatewayError as err:
        return f"{err.reason}: {err.detail}\n"


def _queues(settings: Settings) -> dict[str, Any]:
    owned = as_owner(settings.state_dir) if os.path.isdir(settings.state_dir) else nullcontext()
    with owned, opened(settings) as here:
        counts = here.views.counts()
        return {
            "requests": {f"{project} {state}": n for (project, state), n in sorted(counts.requests.items())},
            "series": {f"{project} {state}": n for (project, state), n in sorted(counts.series.items())},
            "oldest_pending_seconds": {p: round(time.time() - at) for p, at in counts.oldest_pending.items()},
            "held": dict(deciding.count(here)),
            "outbox_bytes": here.outbox.size(),
        }


def _log(log: Path | None, lines: int) -> str:
    """The last `lines` of it that our log could have written; of the others only how many there were."""
    raw = _last(log, lines) if log else journal(UNIT, lines)
    kept = [line for line in map(again, raw) if line is not None]
    left = len(raw) - len(kept)
    return "".join(f"{line}\n" for line in kept) + (f'{{"event": "lines.withheld", "count": {left}}}\n' if left else "")


def _last(log: Path, lines: int) -> list[str]:
    """However long the file is. Raises Fatal("bundle.log")."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, lines)]
    except OSError as err:
        raise Fatal("bundle.log", f"{log} cannot be read ({err.strerror})") from None


def _json(document: object) -> str:
    return json.dumps(document, indent=2, default=str) + "\n"


def _write(path: Path, parts: list[Part]) -> None:
    """Readable for its owner only; never over another file."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    except OSError as err:
        raise Fatal("bundle.unwritable", f"{path} cannot be made ({err.strerror})") from None
    with os.fdopen(fd, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in parts:
            raw = text.encode()
            entry = tarfile.TarInfo(f"pacs-gateway-support/{name}")
            entry.size, entry.mode, entry.mtime = len(raw), MODE, int(time.time())
            archive.addfile(entry, io.BytesIO(raw))

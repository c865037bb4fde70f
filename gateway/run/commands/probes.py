"""What `check --connect` tries, each with its own deadline and its mend. No value of a patient's is asked for or shown."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from gateway.accession.rows import COLUMN
from gateway.accession.sql import NO_ROWS, NULL
from gateway.cstore.space import free_bytes
from gateway.errors import Fatal, GatewayError, Refused, Retry
from gateway.run import delivering, wiring
from gateway.run.clock import SET, clock_fault, told
from gateway.run.commands.canary import Canary
from gateway.run.commands.exits import UNREACHABLE, exit_code
from gateway.run.commands.key import fault_of
from gateway.run.commands.mends import DISK, KEY, STATE, mend
from gateway.run.commands.state import existing, folder_fault
from gateway.run.console import size
from gateway.run.health import ask
from gateway.run.nodes import SQLITE, try_database
from gateway.run.receivers import listen
from gateway.settings import Pacs, Settings, Source

KNOCK_SECONDS: Final = 5.0
PATIENT: Final = "patient_id"
NUMBERS: Final = frozenset(kind.__name__ for kind in (int, float, Decimal))
ZEROS: Final = "a number has no leading zeros: where the PACS's have some, cast it as for the accession number"


@dataclass(frozen=True)
class Probed:
    """One check. `unreachable`: it failed because nobody is there, and that is all that is known."""

    what: str
    name: str
    ok: bool
    detail: str = ""
    mend: str = ""
    unreachable: bool = False


def probes(settings: Settings) -> Iterator[Callable[[], Probed]]:
    """Everything to try, in the order of the flow; then this machine."""
    for pacs in settings.pacs:
        yield partial(_tried, "pacs", pacs.name, partial(_sing, pacs, settings.receiver.ae_title))
    for project in settings.project:
        if project.source is not None:
            yield partial(_tried, "query", project.name, partial(_columns, settings, project.source))
        for sink in delivering.make_sinks(settings, project):
            yield partial(_tried, "archive", sink.name, sink.probe)
    yield partial(_port, settings)
    yield partial(_key, settings)
    yield partial(_state, settings)
    if settings.database != SQLITE:
        yield partial(_tried, "database", _without_user(settings.database), partial(try_database, settings))
    yield partial(_disk, settings)
    yield partial(_clock, settings)


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path


def _tried(what: str, name: str, attempt: Callable[[], str]) -> Probed:
    try:
        return Probed(what, name, ok=True, detail=attempt())
    except GatewayError as err:
        found = f"{err.detail} ({err.reason})" if err.detail else err.reason
        unreachable = exit_code(err.reason) == UNREACHABLE
        return Probed(
            what, name, ok=False, detail=found, mend=mend(what, err.reason, err.detail), unreachable=unreachable
        )


def _sing(pacs: Pacs, calling_ae: str) -> str:
    """As the canary does; where it gets no association, whether that is for want of a listener."""
    try:
        return Canary(pacs, calling_ae).sing()
    except Retry as err:
        if err.reason == "pacs.unreachable" and _listens(pacs):
            raise Refused("pacs.hung-up", "the port is open, and it hangs up before DICOM begins") from None
        raise


def _listens(pacs: Pacs) -> bool:
    try:
        socket.create_connection((pacs.host, pacs.port), timeout=KNOCK_SECONDS).close()
    except OSError:
        return False
    return True


def _columns(settings: Settings, source: Source) -> str:
    """Names and types of the query's columns, as one row shows them. Raises Refused where such rows can become no requests."""
    kinds = dict(wiring.make_sql_source(settings, source).columns())
    if kinds[COLUMN] not in (str.__name__, NULL, NO_ROWS):
        raise Refused("accession.not-text", f"{COLUMN} is no text ({kinds[COLUMN]}): such rows are set aside")
    zeros = f" ({ZEROS})" if kinds.get(PATIENT) in NUMBERS else ""
    return ", ".join(f"{name}: {kind}" + (zeros if name == PATIENT else "") for name, kind in kinds.items())


def _port(settings: Settings) -> Probed:
    name = f"{settings.receiver.bind}:{settings.receiver.port}"
    try:
        listen(settings.receiver).close()
    except Fatal as err:
        if _daemon_has_it(settings):
            return Probed("port", name, ok=True, detail="our daemon listens on it")
        found, _, mends = err.detail.partition("; ")
        return Probed("port", name, ok=False, detail=found, mend=mends)
    return Probed("port", name, ok=True, detail="free")


def _daemon_has_it(settings: Settings) -> bool:
    """Ready or not: its database may be away."""
    try:
        checks = ask(settings.health.socket, "/readyz")[1].get("checks", {})
    except Fatal:
        return False
    return bool(checks.get("receiver"))


def _judged(what: str, name: str, fault: str, *, well: str, mends: str) -> Probed:
    return Probed(what, name, ok=not fault, detail=fault or well, mend=mends if fault else "")


def _key(settings: Settings) -> Probed:
    return _judged("key", "key_file", fault_of(settings), well="right length, mode and owner", mends=KEY)


def _state(settings: Settings) -> Probed:
    """Of this user only: what systemd forbids the unit is not seen from here."""
    fault = folder_fault(settings)
    there = "can be written" if os.path.isdir(settings.state_dir) else "is not there yet, and can be made"
    found = f"{fault} (state.folder)" if fault else ""
    return _judged("state", str(settings.state_dir), found, well=there, mends=STATE)


def _disk(settings: Settings) -> Probed:
    folder = existing(settings.state_dir)
    free, wanted = free_bytes(folder), settings.receiver.min_free_disk
    found = f"{size(free)} free, {size(wanted)} wanted (receiver.min_free_disk)"
    return _judged("disk", str(folder), found if free < wanted else "", well=found, mends=DISK)


def _clock(settings: Settings) -> Probed:
    return _judged("clock", "", clock_fault(settings.state_dir), well=told(), mends=SET)

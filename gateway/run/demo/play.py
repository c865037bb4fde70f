"""The demo from beginning to end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from gateway.dicom.qrscp import EmbeddedPacs
from gateway.errors import BadConfiguration, Fatal, GatewayError
from gateway.run import deciding, wiring
from gateway.run.demo import summary
from gateway.run.demo.archive import Archive, examined, files_in
from gateway.run.demo.child import Daemon, running
from gateway.run.demo.hospital import Hospital, build_hospital
from gateway.run.demo.progress import Seen, Show, shown
from gateway.run.demo.ris import make_ris
from gateway.run.demo.site import LOOPBACK, OUR_AE, PACS_AE, PROJECT, Site, claimed, free_ports, furnish
from gateway.run.opening import open_state
from gateway.settings import project_named

FOLDER: Final = Path("demo")
DEADLINE: Final = 120.0  # seconds, from the daemon's start to the last settled request
TICK: Final = 0.2
TAIL_LINES: Final = 20
UNSETTLED: Final = ("new", "planned")
VERDICT: Final = deciding.Decision("discard", "demo", "text-burned-in")


def demo(folder: Path | None, *, console: Console) -> int:
    """Runs the main job in `folder` (default: `demo` here). 0: the archive holds exactly what it must, else 1.

    Raises BadConfiguration when the folder cannot be used.
    """
    started = time.monotonic()
    with _interruptible(), claimed(folder or FOLDER) as site:
        try:
            archive = _play(site, console)
        except KeyboardInterrupt:
            _say(console, "interrupted; the daemon and the PACS are stopped", "yellow")
            return 1
        except BadConfiguration:
            raise
        except (GatewayError, OSError) as err:
            _tell_failure(console, site, err)
            return 1
        return _verdict(console, archive, time.monotonic() - started)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP clean up as Ctrl-C does. Signals belong to the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGTERM, signal.SIGHUP)
    former = [signal.signal(number, signal.default_int_handler) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, former, strict=True):
            signal.signal(number, handler)


def _play(site: Site, console: Console) -> Archive:
    hospital = build_hospital(site.hospital)
    make_ris(site.ris, hospital.rows)
    _say(console, f"A hospital in {site.hospital}: {len(hospital.made)} images, {len(hospital.rows)} rows in its RIS.")
    receiver, metrics = free_ports(2)
    with _pacs(hospital, receiver) as port:
        furnish(site, pacs=port, receiver=receiver, metrics=metrics)
        wiring.load_settings(site.config)
        _say(console, f"Its PACS answers on {LOOPBACK}:{port}. Starting the gateway; its log: {site.log}")
        with running(site) as daemon:
            _watch(daemon, site, hospital, console)
            if daemon.stop():
                raise Fatal("demo.daemon", "the daemon did not end well")
    archive = examined(site.archive, hospital)
    _summarise(console, site, hospital, archive)
    return archive


@contextmanager
def _pacs(hospital: Hospital, receiver: int) -> Iterator[int]:
    """The port of the embedded PACS, which may send to `receiver`."""
    pacs = EmbeddedPacs(PACS_AE, hospital.files, {OUR_AE: (LOOPBACK, receiver)})
    try:
        yield pacs.start()
    finally:
        pacs.stop()


def _watch(daemon: Daemon, site: Site, hospital: Hospital, console: Console) -> None:
    """Until every request is settled. Raises Fatal when that takes too long, or the daemon ends."""
    until = time.monotonic() + DEADLINE
    with shown(console, Seen(hospital.requests, hospital.kept_series, len(hospital.kept))) as show:
        while not _settled(daemon, site, hospital, show):
            if time.monotonic() > until:
                raise Fatal("demo.deadline", f"not every request was settled within {DEADLINE:g} s")
            daemon.pause(TICK)


def _settled(daemon: Daemon, site: Site, hospital: Hospital, show: Show) -> bool:
    queues = daemon.queues()
    requests, series = queues.get("requests", {}), queues.get("series", {})
    if series.get("held"):
        _decide_held(site)
    settled = sum(n for state, n in requests.items() if state not in UNSETTLED)
    show(Seen(settled, series.get("confirmed", 0), len(files_in(site.archive))))
    return settled == sum(requests.values()) == hospital.requests


def _decide_held(site: Site) -> None:
    """What a person would do, by the same means as the command `held discard`."""
    state = open_state(wiring.load_settings(site.config))
    try:
        deciding.decide(state, [holding.key for holding, _, _ in deciding.listed(state)], VERDICT)
    finally:
        state.close()


def _summarise(console: Console, site: Site, hospital: Hospital, archive: Archive) -> None:
    settings = wiring.load_settings(site.config)
    state = open_state(settings)
    try:
        found = summary.all_series(state.views)
        summary.print_requests(console, state.views, hospital)
        summary.print_series(console, found)
        words = summary.reasons(project_named(settings, PROJECT).select)
        summary.print_instances(console, found, words)
        summary.print_comparison(console, hospital, archive)
        summary.print_next(console, site)
    finally:
        state.close()
    _say(console, f"The archive: {site.archive} ({len(archive.files)} files)", "bold")


def _verdict(console: Console, archive: Archive, seconds: float) -> int:
    if archive.as_promised:
        _say(console, f"The archive holds exactly what it must; {seconds:.0f} s in all.", "bold green")
        return 0
    _say(console, f"The archive is wrong: {archive.missing} missing, {archive.surplus} too many.", "bold red")
    return 1


def _tell_failure(console: Console, site: Site, err: GatewayError | OSError) -> None:
    said = err.detail or err.reason if isinstance(err, GatewayError) else err.strerror or type(err).__name__
    _say(console, f"The demo failed: {said}.", "bold red")
    if site.log.exists():
        _say(console, f"The end of {site.log}:")
        for line in site.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]:
            _say(console, line)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)

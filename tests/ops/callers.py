"""Everybody who calls a gateway in the course of an hour: monitoring, people at the terminal, and peers that behave or do not."""

from __future__ import annotations

import contextlib
import io
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

from gateway.run.cli import main
from tests.faults.sending import Message, Rejected, Sender
from tests.ops.site import Site
from tests.support.dicomfiles import SOP_CLASSES
from tests.support.process import HOST, program, run

ABORT = bytes.fromhex("07000000000400000000")
"""A-ABORT of a service user (PS3.8 9.3.8)."""
CT = SOP_CLASSES["CT"]
Call = Callable[[Site], None]


def scrape(site: Site) -> None:
    with urllib.request.urlopen(f"http://{HOST}:{site.metrics}/metrics", timeout=30) as answer:
        site.scraped = answer.read().decode()


def health(site: Site) -> None:
    for path in ("/healthz", "/readyz", "/status"):
        assert site.daemon.get(path)[0] == 200, path


def echo(site: Site) -> None:
    run([program("echoscu"), "-aet", "MAIN", "-aec", "RESEARCH", HOST, str(site.receiver)], timeout=30)


def stranger(site: Site) -> None:
    """Somebody whom nobody knows."""
    with contextlib.suppress(Rejected), Sender(site.receiver, [CT], calling="NOBODY"):
        raise AssertionError("a stranger was let in")


def aborted(site: Site) -> None:
    with Sender(site.receiver, [CT], calling="MAIN") as peer:
        peer.sock.sendall(ABORT)


def cut(site: Site) -> None:
    """Gone in the middle of a C-STORE."""
    with Sender(site.receiver, [CT], calling="MAIN") as peer:
        peer.sock.sendall(peer.encoded(Message(CT, "2.25.1", bytes(20_000)))[:9_000])


def unasked(site: Site) -> None:
    """What nobody asked for: answered, and not kept."""
    with Sender(site.receiver, [CT], calling="MAIN") as peer:
        peer.store(Message(CT, "2.25.2", bytes.fromhex("0800180055490600") + b"2.25.2"))
        peer.release()


def dropped(site: Site) -> None:
    """A port scan, a load balancer's check."""
    socket.create_connection((HOST, site.receiver), timeout=30).close()


def people(site: Site) -> None:
    """What somebody on duty asks at the terminal."""
    said(site.daemon.config, "status")
    said(site.daemon.config, "explain", site.exams[0].accession)


def said(config: Path, *words: str) -> str:
    """What a command says. It is run in this process: to start one is a second of waiting, and no business of the daemon."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = main((*words, "--config", str(config)))
    out.flush()
    told = out.buffer.getvalue().decode()
    assert code in (0, 1), told  # 1: what was asked about is not well
    return str(told)

"""The server in processes of its own: a shared listener, and silence about everything it carries."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.cstore.page import Page
from tests.dicom import wire
from tests.dicom.serving import dcmtk, eventually
from tests.dicom.test_server import sample
from tests.support.process import HOST

ROOT = Path(__file__).parents[2]
CHILD = """
import logging, os, signal, socket, sys, threading
from functools import partial
from gateway.cstore.page import Page
from gateway.dicom import listener as accepting
from gateway.dicom.quiet import silence
from gateway.dicom.server import Limits, StorageServer
from tests.dicom.serving import Counts
accepting.DEFER = 2.0
logging.basicConfig(level=logging.DEBUG)
if "quiet" in sys.argv: silence()
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
def store(incoming): print(f"stored {os.getpid()}", flush=True); return 0
listener = socket.socket(fileno=int(sys.argv[1]))
ahead = partial(Page(0, int(sys.argv[2])).ahead, int(sys.argv[3]), 2) if sys.argv[3:] else lambda _: False
server = StorageServer(
    "RESEARCH", listener, admit=lambda c, a: True, on_store=store, max_associations=4, count=Counts(), ahead=ahead
)
print("serving", flush=True)
server.serve(stop, Limits(drain=2))
"""


class Child:
    """A process that serves on `listener`; what it says goes to a file, which holds any amount. `page`: of two processes."""

    def __init__(self, folder: Path, listener: socket.socket, *args: str, page: tuple[Page, int] | None = None) -> None:
        shared = [listener.fileno(), *([page[0].fileno()] if page else ())]
        words = map(str, (*shared, *(page[1:] if page else ()), *args))
        self.said = folder / f"said-{len(list(folder.iterdir()))}"
        with self.said.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", CHILD, *words], pass_fds=shared, cwd=ROOT,
                stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

        serves = eventually(
            lambda: b"serving" in self.said.read_bytes(), 60
        )  # a busy machine takes a while to import it
        assert serves, self.end()

    def end(self) -> str:
        self.process.terminate()
        try:
            assert self.process.wait(10) == 0
        finally:
            self.process.kill()
            self.process.wait(5)
        return self.said.read_text()


def test_two_processes_share_a_listener_and_one_going_does_not_deafen_the_other(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0), backlog=16) as listener:
        port = listener.getsockname()[1]
        first, second = Child(tmp_path, listener, "quiet"), Child(tmp_path, listener, "quiet")
        assert eventually(lambda: dcmtk("echoscu", port).returncode == 0)
        said = first.end()
        for _ in range(3):
            assert dcmtk("storescu", port, sample("CT_small.dcm")).returncode == 0
        said += second.end()
        third = Child(tmp_path, listener, "quiet")  # systemd, or the supervisor, still holds a listener that listens
        assert dcmtk("storescu", port, sample("CT_small.dcm")).returncode == 0
        assert f"stored {third.process.pid}" in third.end()
    assert said.count(f"stored {second.process.pid}") == 3


def test_what_comes_at_once_is_shared_out_evenly(tmp_path: Path) -> None:
    """Else one process would have all that a PACS sends, for as long as its associations last, and refuse some for its share."""
    with contextlib.ExitStack() as crowd:
        listener = crowd.enter_context(socket.create_server((HOST, 0), backlog=16))
        page = crowd.enter_context(contextlib.closing(Page(0)))
        both = [Child(tmp_path, listener, page=(page, place)) for place in range(2)]
        said = ""
        try:
            address = listener.getsockname()
            socks = [crowd.enter_context(socket.create_connection(address, timeout=30)) for _ in range(6)]
            for sock in socks:
                sock.sendall(wire.associate_rq())
            assert [wire.read_pdu(sock)[0] for sock in socks] == [2] * 6
            for sock in socks:
                sock.sendall(wire.store(bytes(100)))
                assert wire.status(sock) == 0
        finally:
            said = "".join(child.end() for child in both)
    assert [said.count(f"stored {child.process.pid}") for child in both] == [3, 3]


@pytest.mark.parametrize("quiet", [True, False])
def test_no_identifier_is_logged_with_the_root_logger_at_debug(tmp_path: Path, quiet: bool) -> None:
    """The same run without `silence()` shows that the test would see a leak."""
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        child = Child(tmp_path, listener, *(["quiet"] if quiet else []))
        assert dcmtk("storescu", port, sample("CT_small.dcm")).returncode == 0
        said = child.end()
    assert "stored" in said
    uid = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"  # of pydicom's synthetic CT_small.dcm
    leaks = [line for line in said.splitlines() if "stored" not in line and (uid in line or "pynetdicom" in line)]
    assert bool(leaks) != quiet

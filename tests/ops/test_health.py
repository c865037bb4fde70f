"""The board, and the health socket as curl and a monitoring script see it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import Fatal, Retry
from gateway.ops import httpd
from gateway.ops.health import Board, HealthSocket, Vitals, iso
from gateway.ops.metrics import Metrics


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(str(self._path))


def ask(path: Path, what: str, method: str = "GET") -> tuple[int, bytes]:
    conn = UnixConnection(path)
    try:
        conn.request(method, what)
        answer = conn.getresponse()
        return answer.status, answer.read()
    finally:
        conn.close()


TOLD = Vitals(lambda: True, lambda: {"receiver": True, "database": True}, lambda: {"node": "gw1"}, Metrics().answer)


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gw") as folder:  # tmp_path is too long for a Unix socket
        yield Path(folder) / "health.sock"


@pytest.fixture
def opened(path: Path) -> Iterator[Path]:
    health = HealthSocket(path, TOLD)
    yield path
    health.close()


def told_otherwise(path: Path, told: Vitals, what: str) -> tuple[int, bytes]:
    health = HealthSocket(path, told)
    try:
        return ask(path, what)
    finally:
        health.close()


def test_well(opened: Path) -> None:
    assert ask(opened, "/healthz") == (200, b"ok\n")
    status, body = ask(opened, "/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "checks": {"receiver": True, "database": True}})
    assert json.loads(ask(opened, "/status")[1]) == {"node": "gw1"}
    assert b"pacs_gateway_build_info" in ask(opened, "/metrics?name=x")[1]


def test_not_well(path: Path) -> None:
    def busy() -> dict[str, bool]:
        raise Retry("state.busy", "the database does not answer")

    assert told_otherwise(path, replace(TOLD, healthz=lambda: False), "/healthz")[0] == 503
    status, body = told_otherwise(path, replace(TOLD, readyz=lambda: {"receiver": True, "database": False}), "/readyz")
    assert status == 503
    assert json.loads(body)["checks"]["database"] is False
    assert told_otherwise(path, replace(TOLD, readyz=busy), "/readyz") == (503, b"state.busy\n")


@pytest.mark.parametrize(
    ("method", "what", "status"),
    [("GET", "/", 404), ("GET", "/healthz/", 404), ("GET", "/../status", 404), ("POST", "/status", 405),
     ("DELETE", "/healthz", 405), ("POST", "/nothing", 404), ("HEAD", "/healthz", 200)],
)  # fmt: skip
def test_what_is_not_offered(opened: Path, method: str, what: str, status: int) -> None:
    assert ask(opened, what, method)[0] == status


@pytest.mark.parametrize("raw", [b"\r\n\r\n", b"GET\r\n\r\n", b"GET /status\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n"])
def test_garbage_is_a_bad_request(opened: Path, raw: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(opened))
        sock.sendall(raw)
        assert sock.recv(100).startswith(b"HTTP/1.1 400 ")


def test_curl_as_documented(opened: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    command = ["curl", "-sS", "--fail", "--unix-socket", str(opened), "http://localhost/readyz"]
    done = subprocess.run(command, capture_output=True, timeout=10, check=True)
    assert json.loads(done.stdout)["ready"] is True


def test_the_socket_is_for_owner_and_group_only(path: Path) -> None:
    old = os.umask(0)
    try:
        health = HealthSocket(path, TOLD)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    health.close()
    assert not path.exists()


def test_a_stale_socket_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    assert told_otherwise(path, TOLD, "/healthz")[0] == 200


def test_a_living_one_is_not(opened: Path) -> None:
    with pytest.raises(Fatal, match=r"^health\.socket: another process listens .*`socket` of \[health\]"):
        HealthSocket(opened, TOLD)
    assert ask(opened, "/healthz")[0] == 200


def test_a_file_in_the_way_is_kept(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(Fatal, match=r"^health\.socket: .*is no socket; `socket` of \[health\]"):
        HealthSocket(path, TOLD)
    assert path.read_text() == "precious"


def test_an_impossible_path_is_said(path: Path) -> None:
    for bad in (path.parent / "absent" / "x.sock", path.parent / ("x" * 120)):
        with pytest.raises(Fatal, match=r"^health\.socket: cannot listen .*`socket` of \[health\]"):
            HealthSocket(bad, TOLD)


def test_close_leaves_a_successors_socket(path: Path) -> None:
    old = HealthSocket(path, TOLD)
    path.unlink()
    new = HealthSocket(path, TOLD)
    old.close()
    assert ask(path, "/healthz")[0] == 200
    new.close()


@pytest.mark.parametrize("silent", [True, False])
def test_slow_clients_are_dropped_and_others_served(path: Path, silent: bool) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(httpd.BACKLOG)
    routes = {"/healthz": lambda: httpd.Answer(200, httpd.PLAIN, b"ok\n")}
    server = httpd.Server(listener, routes, name="slow", deadline=0.4)
    with socket.socket(socket.AF_UNIX) as slow:
        slow.connect(str(path))
        slow.settimeout(5)
        started = time.monotonic()
        trickle = threading.Thread(target=_trickle, args=(slow, b"" if silent else b"GET /healthz HTTP/1.1\r\nX: "))
        trickle.start()
        assert ask(path, "/healthz")[0] == 200
        assert slow.recv(1) == b""
        assert time.monotonic() - started < 2
        trickle.join(5)
    server.close()


def test_without_a_thread_for_it_one_is_hung_up_on_and_the_next_is_answered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(httpd.BACKLOG)
    server = httpd.Server(listener, {"/healthz": lambda: httpd.Answer(200, httpd.PLAIN, b"ok\n")}, name="few")
    with monkeypatch.context() as few:
        few.setattr(threading.Thread, "start", _no_more)
        for _ in range(httpd.MAX_CONNECTIONS + 1):
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(5)
                one.connect(str(path))
                assert one.recv(1) == b""
    assert ask(path, "/healthz")[0] == 200
    server.close()


def _no_more(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _trickle(sock: socket.socket, head: bytes) -> None:
    try:
        for byte in head and head + b"x" * 100:
            sock.sendall(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        return


def test_too_many_and_too_much(opened: Path) -> None:
    idle = [socket.socket(socket.AF_UNIX) for _ in range(httpd.MAX_CONNECTIONS)]
    try:
        for sock in idle:
            sock.connect(str(opened))
        time.sleep(0.3)
        with socket.socket(socket.AF_UNIX) as one_more:
            one_more.settimeout(5)
            one_more.connect(str(opened))
            assert one_more.recv(1) == b""
    finally:
        for sock in idle:
            sock.close()
    time.sleep(0.3)
    with socket.socket(socket.AF_UNIX) as big:
        big.settimeout(5)
        big.connect(str(opened))
        big.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"x" * (2 * httpd.MAX_REQUEST))
        assert _closed(big)
    assert ask(opened, "/healthz")[0] == 200


def _closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


# ---- the board


def test_the_board_shows_who_is_up_since_when() -> None:
    board = Board([("pacs", "main"), ("pacs", "other"), ("sink", "dir"), ("ris", "ris")])
    board.up("pacs", "main", now=100.0)
    board.up("pacs", "main", now=160.0)
    board.down("sink", "dir", "sink.full", now=200.0)
    board.down("sink", "dir", "sink.unwritable", now=230.0)
    board.success("find", now=300.0)
    assert board.snapshot() == {
        "pacs": {
            "main": {"up": True, "since": "1970-01-01T00:01:40Z", "error": None},
            "other": {"up": None, "since": None, "error": None},
        },
        "sinks": {"dir": {"up": False, "since": "1970-01-01T00:03:20Z", "error": "sink.unwritable"}},
        "ris": {"ris": {"up": None, "since": None, "error": None}},
        "last": {"poll": None, "find": "1970-01-01T00:05:00Z", "move": None, "delivery": None},
    }
    assert board.states("pacs") == {"main": True}
    json.dumps(board.snapshot())


def test_the_last_error_is_still_told_after_recovery() -> None:
    board = Board()
    board.down("pacs", "main", "find.timeout", now=1.0)
    board.up("pacs", "main", now=9.0)
    assert board.snapshot()["pacs"] == {"main": {"up": True, "since": iso(9.0), "error": "find.timeout"}}


def test_unknown_words_are_programming_mistakes() -> None:
    with pytest.raises(ValueError, match="kind"):
        Board().up("printer", "x", now=1.0)
    with pytest.raises(ValueError, match="activity"):
        Board().success("lunch", now=1.0)

"""The socket that systemd made: taken by the process it was passed to, by its port, and never shut down."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from gateway.errors import Fatal
from gateway.run.inherited import inherited
from tests.support.process import HOST

ASK = """
import os, sys
from gateway.errors import Fatal
from gateway.run.receivers import listen
from gateway.settings import Receiver
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = "1"
try:
    for _ in range(2):
        listener = listen(Receiver(bind="127.0.0.1", port=int(sys.argv[1])))
        print(listener.getsockname()[1], listener.fileno() > 3, listener.getblocking())
        listener.close()
except Fatal as err:
    print(err.reason, err.detail)
"""


def asked(listener: socket.socket, port: int) -> list[str]:
    """What a process prints that got `listener` as descriptor 3, as systemd would pass it."""
    child = f"import os; os.dup2({listener.fileno()}, 3); os.set_inheritable(3, True)\n{ASK}"
    done = subprocess.run(
        [sys.executable, "-c", child, str(port)], pass_fds=[listener.fileno()], capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_one_of_the_port_is_taken_as_often_as_asked_and_goes_on_listening() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        assert asked(listener, port) == [f"{port} True False"] * 2
        with socket.create_connection((HOST, port), timeout=5):
            listener.accept()[0].close()


def test_one_of_another_port_is_told_not_left_deaf() -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        (line,) = asked(listener, 4711)
    told = (
        f"pacs-gateway.socket listens on {port}, receiver.port is 4711; make them the same, or disable the socket unit"
    )
    assert line == f"receiver.address {told}"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())},
    ],
    ids=["none", "nobody's", "another's", "unreadable"],
)
def test_what_was_not_passed_to_us_is_not_taken(environ: dict[str, str]) -> None:
    assert inherited(104, environ, os.getpid()) is None


def test_a_socket_in_the_file_system_is_no_port() -> None:
    left, right = socket.socketpair()
    with left, right, pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.run.inherited.FIRST", left.fileno())
        with pytest.raises(Fatal, match=r"receiver\.address"):
            inherited(104, {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}, os.getpid())

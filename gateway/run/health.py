"""What a daemon says over its health socket, to whoever asks: the commands, and the demo."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.errors import Fatal

PATIENCE: Final = 10.0  # seconds for connecting, and for each read


class Health(http.client.HTTPConnection):
    """HTTP over the health socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


def ask(path: Path, what: str) -> tuple[bool, Mapping[str, Any]]:
    """Whether it answered 200, and the document. Raises Fatal("daemon.unreachable")."""
    status, body = _answer(path, what)
    return status == http.HTTPStatus.OK, _document(body)


def fetch(path: Path, what: str) -> bytes:
    """The answer as it is, whatever its status. Raises Fatal("daemon.unreachable")."""
    return _answer(path, what)[1]


def _answer(path: Path, what: str) -> tuple[int, bytes]:
    connection = Health(path)
    try:
        connection.request("GET", what)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except TimeoutError:
        told = f"the daemon runs, and has not answered within {PATIENCE:.0f} s: does its disk, or PostgreSQL, hang?"
        raise Fatal("daemon.unreachable", told) from None
    except (OSError, http.client.HTTPException) as err:
        why = getattr(err, "strerror", None) or type(err).__name__
        mend = "ask as its account" if isinstance(err, PermissionError) else "is it running?"
        raise Fatal("daemon.unreachable", f"no daemon answers on {path} ({why}): {mend}") from None
    finally:
        connection.close()


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}

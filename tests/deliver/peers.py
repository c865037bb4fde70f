"""Real archives for the conformance suite: Orthanc by STOW-RS and by C-STORE, an S3 server. One of each for all tests.

Orthanc keeps what comes by STOW-RS byte for byte, and writes a head of its own around what comes by C-STORE.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import pytest

from gateway import settings
from gateway.deliver.multipart import data_set_start
from gateway.deliver.sink import Sink
from gateway.deliver.stowrs import StowSink
from tests.deliver.clean import Archive, same
from tests.support.peers import HOST, Orthanc

PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True)
class Rest:
    """Orthanc's own interface, for looking at what it holds behind DICOM's back."""

    port: int
    database: Path

    def ask(self, path: str, method: str = "GET") -> Any:
        with urlopen(Request(f"http://{HOST}:{self.port}{path}", method=method), timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if answer.headers.get_content_type() == "application/json" else body

    def clear(self) -> None:
        for patient in self.ask("/patients"):
            self.ask(f"/patients/{patient}", "DELETE")

    def instances(self) -> dict[str, str]:
        """SOPInstanceUID -> Orthanc's own name."""
        return {i["MainDicomTags"]["SOPInstanceUID"]: i["ID"] for i in self.ask("/instances?expand")}

    def file(self, uid: str) -> bytes:
        found: bytes = self.ask(f"/instances/{self.instances()[uid]}/file")
        return found

    def delete(self, uid: str) -> None:
        self.ask(f"/instances/{self.instances()[uid]}", "DELETE")

    def change(self, uid: str, content: bytes) -> None:
        """As a failing disk would."""
        name = self.ask(f"/instances/{self.instances()[uid]}/attachments/dicom/info")["Uuid"]
        (self.database / name[:2] / name[2:4] / name).write_bytes(content)


@cache
def orthanc(destinations: tuple[tuple[str, int], ...] = ()) -> tuple[Orthanc, Rest]:
    """One for all tests of a process; it ends with Python. `destinations`: our AE titles -> ports for reports."""
    if not PLUGIN.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("orthanc-dicomweb is not installed")
    peer = Orthanc(
        destinations={ae: (HOST, port) for ae, port in destinations},
        options={
            "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}, "OverwriteInstances": False,
            "MaximumStorageCacheSize": 0,
        },
    )  # fmt: skip
    return peer, Rest(peer.http_port, peer.process.log.parent / "db")


def uid_of(place: str) -> str:
    return place.rpartition("/")[2]


def orthanc_archive(
    reopen: Callable[[], Sink], rest: Rest, place: Callable[[str], str], form: Callable[[bytes], bytes]
) -> Archive:
    rest.clear()
    return Archive(
        reopen(),
        reopen,
        lambda: {place(uid): form(rest.file(uid)) for uid in rest.instances()},
        lambda: 0,
        lambda where, content: rest.change(uid_of(where), content),
        lambda where: rest.delete(uid_of(where)),
        form,
        careless=frozenset({0}),
    )


def dicomweb_archive(_: Path) -> Archive:
    peer, rest = orthanc()

    reopen = partial(StowSink, settings.DicomWebSink(url=f"http://{HOST}:{peer.http_port}/dicom-web"))

    return orthanc_archive(reopen, rest, lambda uid: f"/studies/2.25.1/series/2.25.11/instances/{uid}", same)


def data_set(content: bytes) -> bytes:
    """A file without its head."""
    return content[data_set_start(content) :]

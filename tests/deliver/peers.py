"""Real archives for the conformance suite: Orthanc by STOW-RS and by C-STORE, an S3 server. One of each for all tests.

Orthanc keeps what comes by STOW-RS byte for byte, and writes a head of its own around what comes by C-STORE.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.request import Request, urlopen

import obstore
import pytest
from obstore.store import S3Store

from gateway import settings
from gateway.deliver.multipart import data_set_start
from gateway.deliver.s3 import OWN, S3Sink
from gateway.deliver.sink import Sink
from gateway.deliver.storescu import StoreSink
from gateway.deliver.stowrs import StowSink
from tests.deliver.clean import Archive, same
from tests.support.peers import HOST, Orthanc, Peer, free_port, listening
from tests.support.process import Process, new_folder

if TYPE_CHECKING:
    from obstore.store import S3Config

OUR_AE: Final = "GATEWAYSCU"
REPORTS: Final = free_port()
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

    def content(self, name: str) -> bytes:
        found: bytes = self.ask(f"/instances/{name}/file")
        return found

    def file(self, uid: str) -> bytes:
        return self.content(self.instances()[uid])

    def delete(self, uid: str) -> None:
        self.ask(f"/instances/{self.instances()[uid]}", "DELETE")

    def change(self, uid: str, content: bytes) -> None:
        """As a failing disk would."""
        name = self.ask(f"/instances/{self.instances()[uid]}/attachments/dicom/info")["Uuid"]
        (self.database / name[:2] / name[2:4] / name).write_bytes(content)


@cache
def orthanc() -> tuple[Orthanc, Rest]:
    """One for all tests of a process; it ends with Python. It knows OUR_AE, and dials it at REPORTS."""
    if not PLUGIN.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("orthanc-dicomweb is not installed")
    peer = Orthanc(
        destinations={OUR_AE: (HOST, REPORTS)},
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
        lambda: {place(uid): form(rest.content(name)) for uid, name in rest.instances().items()},
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


def dicom_archive(_: Path) -> Archive:
    peer, rest = orthanc()
    aimed = settings.DicomSink(
        ae_title=peer.ae_title, host=HOST, port=peer.port, calling_ae=OUR_AE, report_port=REPORTS
    )
    reopen = partial(StoreSink, aimed, "RESEARCH")
    return orthanc_archive(reopen, rest, str, data_set)


def data_set(content: bytes) -> bytes:
    """A file without its head."""
    return content[data_set_start(content) :]


class S3Server(Peer):
    """A started moto server: S3's interface in Python, in memory, without looking at signatures."""

    def __init__(self) -> None:
        self.port = free_port()
        folder = new_folder("moto")
        self.process = Process(
            [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)], folder=folder,
            ready=lambda: listening(self.port), stop_signal=signal.SIGKILL,
        )  # fmt: skip
        self.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def store(self, bucket: str) -> S3Store:
        config: S3Config = {
            "endpoint": self.url, "region": "us-east-1", "access_key_id": "SYN-KEY", "secret_access_key": "SYN-SECRET",
        }  # fmt: skip
        return S3Store(bucket, config=config, client_options={"allow_http": True})

    def make(self, bucket: str) -> None:
        with urlopen(Request(f"{self.url}/{bucket}", method="PUT"), timeout=30) as answer:
            assert answer.status == 200


def names(store: S3Store) -> list[str]:
    return [found["path"] for page in obstore.list(store) for found in page]


@cache
def s3_server() -> S3Server:
    return S3Server()


def s3_archive(folder: Path) -> Archive:
    peer, bucket = s3_server(), f"research-{secrets.token_hex(8)}"
    peer.make(bucket)
    store = peer.store(bucket)
    credentials = folder / "credentials"
    credentials.write_text("[default]\naws_access_key_id = SYN-KEY\naws_secret_access_key = SYN-SECRET\n")
    credentials.chmod(0o600)
    reopen = partial(
        S3Sink, settings.S3Sink(url=f"s3://{bucket}/chest", endpoint=peer.url, credentials_file=credentials)
    )
    return Archive(
        reopen(),
        reopen,
        lambda: {name: obstore.get(store, name).bytes().to_bytes() for name in names(store) if OWN not in name},
        lambda: sum(OWN in name for name in names(store)),
        lambda place, content: void(obstore.put(store, place, content)),
        lambda place: obstore.delete(store, place),
    )


def void(_: object) -> None:
    """For calls that are made for what they do."""


def end() -> None:
    """Of this process's archives: workers of xdist end without the clean-up of Python's."""
    if orthanc.cache_info().currsize:
        orthanc()[0].stop()
    if s3_server.cache_info().currsize:
        s3_server().stop()

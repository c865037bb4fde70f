"""DCMTK's senders, Orthanc and pynetdicom against the receiver as it is wired, plain and through TLS: pushed, kept, committed."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pynetdicom import AE, StoragePresentationContexts, evt

from gateway.cstore.page import Page
from gateway.dicom.reactor import steady
from gateway.ops.health import Board
from gateway.run import delivering, wiring
from gateway.run.opening import open_state
from gateway.run.receiving import make_settle_step
from gateway.settings import (
    Deidentify,
    DirectorySink,
    Pacs,
    Peer,
    Project,
    Receiver,
    Ris,
    Settings,
    Source,
)
from tests.dicom.serving import Counts, eventually
from tests.support.certificates import Authority, Identity
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import Orthanc
from tests.support.process import HOST, free_port, program

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
OURS, QUIET = "RESEARCH", 0.5
Send = Callable[[int, list[Path], Identity | None], None]


class Site:
    """A receiver with one project that takes what is pushed, its courier and its archive, in this process."""

    def __init__(self, folder: Path, tls: Identity | None, port: int, orthanc: int) -> None:
        key = folder / "key"
        key.write_bytes(bytes(range(32)))
        key.chmod(0o600)
        (folder / "archive").mkdir()
        self.archive, self.port = folder / "archive", port
        self.settings = Settings(
            state_dir=folder / "state", node="gw1", key_file=str(key),
            receiver=Receiver(
                bind=HOST, port=self.port, min_free_disk=1, tls=tls.tls if tls else None,
                peers=(Peer(ae_title="MODALITY", address="127.0.0.0/8"),
                       Peer(ae_title="ORTHANC", address=HOST, port=orthanc)),
            ),
            pacs=(Pacs(name="main", ae_title="ORTHANC", host=HOST, port=1),),
            ris=(Ris(name="ris", url="sqlite:///nowhere"),),
            project=(Project(
                name="chest", pacs=("main",),
                source=Source(ris="ris", schedule="1h", query="select 1", push=True, push_quiet=QUIET),
                deidentify=Deidentify(patient_id="CHEST-{pseudonym}"), deliver=(DirectorySink(path=self.archive),),
            ),),
        )  # fmt: skip
        self.counts, self.stop = Counts(), threading.Event()
        self.state = open_state(self.settings)
        listener = socket.create_server((HOST, self.port), backlog=64)
        server = wiring.make_server(self.settings, listener, self.counts, Page(1), self.stop)
        self.thread = threading.Thread(target=server.serve, args=(self.stop,), daemon=True)
        self.thread.start()

    def kept(self) -> int:
        return sum(
            n for name, n in self.counts.added.items() if name[0] == "instances_received_total" and name[2] == "kept"
        )

    def deliver(self) -> int:
        """Settles, delivers, confirms; the files in the archive."""
        settle = make_settle_step(self.settings, self.state.store, self.state.outbox, time.time)
        assert settle is not None and eventually(settle.step, 20)
        told = wiring.Told(self.counts, Board([]))
        for _, step in delivering.make_steps(self.settings, self.state, lambda _: told, threading.Event()):
            while step.step():
                continue
        return sum(p.is_file() for p in self.archive.rglob("*"))


@contextlib.contextmanager
def site(folder: Path, tls: Identity | None, *, port: int = 0, orthanc: int = 1) -> Iterator[Site]:
    made = Site(folder, tls, port or free_port(), orthanc)
    try:
        yield made
    finally:
        made.stop.set()
        made.thread.join(40)
        made.state.close()
        assert not made.thread.is_alive()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFacts:
    return make_study(
        tmp_path_factory.mktemp("study"), series=(SeriesSpec("CT", "Thorax", 4), SeriesSpec("CT", "Scout", 2)),
        seed=7, patient_id="SYNPID4711", name="Testperson^Synthia", birth_date="19500117", accession="SYNACC4711",
        study_date="20240117",
    )  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def dcmtk(tool: str, port: int, files: list[Path], peer: Identity | None) -> None:
    tls = ["+tls", str(peer.key), str(peer.certificate), "+cf", str(peer.ca)] if peer else []
    argv = [program(tool), "-aet", "MODALITY", "-aec", OURS, *tls, HOST, str(port), *map(str, files)]
    subprocess.run(argv, check=True, timeout=60, capture_output=True, env={**os.environ, "TCP_NODELAY": "1"})


def storescu(port: int, files: list[Path], peer: Identity | None) -> None:
    dcmtk("storescu", port, files, peer)


def dcmsend(port: int, files: list[Path], peer: Identity | None) -> None:
    dcmtk("dcmsend", port, files, peer)


def pynetdicom(port: int, files: list[Path], peer: Identity | None) -> None:
    context = None
    if peer:
        context = ssl.create_default_context(cafile=str(peer.ca))
        context.check_hostname = False
        context.load_cert_chain(peer.certificate, peer.key)
    ae = AE("MODALITY")
    ae.requested_contexts = StoragePresentationContexts
    assoc = ae.associate(
        HOST, port, ae_title=OURS, tls_args=(context, HOST) if context else None,
        # pynetdicom's own reactor now and then takes an answer away from who waits for it (gateway/dicom/reactor.py)
        evt_handlers=[(evt.EVT_CONN_OPEN, lambda event: steady(event.assoc))],
    )  # fmt: skip
    assert [assoc.send_c_store(file).Status for file in files] == [0] * len(files)
    assoc.release()


@pytest.mark.parametrize(
    ("send", "secure"), [(storescu, False), (storescu, True), (dcmsend, False), (pynetdicom, False), (pynetdicom, True)]
)  # fmt: skip
def test_sent_by(tmp_path: Path, study: StudyFacts, authority: Authority, send: Send, secure: bool) -> None:
    ours, peer = (authority.issue(n) if secure else None for n in ("gateway", "modality"))
    with site(tmp_path, ours) as made:
        send(made.port, list(study.files), peer)
        send(made.port, list(study.files)[:2], peer)  # again
        assert made.kept() == len(study.files) == made.deliver()
    assert not [p for p in (tmp_path / "archive").rglob("*") if study.patient["accession"] in str(p)]


@pytest.mark.parametrize("secure", [False, True])
def test_sent_by_orthanc_which_is_told_what_is_committed(
    tmp_path: Path, study: StudyFacts, authority: Authority, secure: bool
) -> None:
    ours, theirs = (authority.issue(n) if secure else None for n in ("gateway", "orthanc"))
    port = free_port()
    where = {"AET": OURS, "Host": HOST, "Port": port, "AllowStorageCommitment": True, "UseDicomTls": secure}
    options: dict[str, object] = {"DicomModalities": {"ours": where}, "DicomTlsEnabled": secure}
    if theirs:
        options |= {
            "DicomTlsCertificate": str(theirs.certificate), "DicomTlsPrivateKey": str(theirs.key),
            "DicomTlsTrustedCertificates": str(theirs.ca), "DicomTlsRemoteCertificateRequired": True,
        }  # fmt: skip
    with Orthanc(options=options) as pacs, site(tmp_path, ours, port=port, orthanc=pacs.port) as made:
        ids = [_upload(pacs, file) for file in study.files]
        told = _post(pacs, "/modalities/ours/store", {"Resources": ids, "StorageCommitment": True})
        assert made.kept() == len(study.files) == made.deliver()
        transaction = told["StorageCommitmentTransactionUID"]
        assert eventually(lambda: _get(pacs, f"/storage-commitment/{transaction}")["Status"] != "Pending", 40)
        assert _get(pacs, f"/storage-commitment/{transaction}")["Status"] == "Success"


def _upload(pacs: Orthanc, file: Path) -> str:
    return str(_call(pacs, "/instances", file.read_bytes())["ID"])


def _post(pacs: Orthanc, path: str, body: object) -> dict[str, str]:
    return _call(pacs, path, json.dumps(body).encode())


def _get(pacs: Orthanc, path: str) -> dict[str, str]:
    return _call(pacs, path, None)


def _call(pacs: Orthanc, path: str, body: bytes | None) -> dict[str, str]:
    with urllib.request.urlopen(f"http://{HOST}:{pacs.http_port}{path}", data=body, timeout=30) as answer:
        parsed: dict[str, str] = json.load(answer)
        return parsed

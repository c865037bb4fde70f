"""DICOM TLS on our port and towards a PACS: BCP 195, both sides with certificates, and nobody waits for a silent client."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification  # type: ignore[attr-defined]

from gateway.dicom.association import Scu
from gateway.dicom.incoming import Incoming, Limits
from gateway.dicom.server import StorageServer
from gateway.dicom.tls import SUITES, acceptor, requestor
from gateway.errors import Fatal, Retry
from gateway.settings import Pacs, Tls
from tests.dicom import wire
from tests.dicom.asking import QUICK, failing
from tests.dicom.serving import OURS, Counts, eventually
from tests.dicom.test_server import sample, tiny
from tests.support.certificates import Authority, Identity
from tests.support.process import HOST, program

RECOMMENDED = {
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
}  # fmt: skip
"""RFC 9325 4.2."""
USUAL = Limits(acse=3, drain=2)


class Secured:
    """A running server that takes TLS only."""

    def __init__(self, tls: Tls, limits: Limits) -> None:
        listener = socket.create_server((HOST, 0), backlog=64)
        self.port: int = listener.getsockname()[1]
        self.got: list[bytes] = []
        self.counts, self.stop = Counts(), threading.Event()
        self.server = StorageServer(
            OURS, listener, admit=lambda calling, address: calling != "STRANGER", on_store=self.take,
            max_associations=4, count=self.counts, tls=tls,
        )  # fmt: skip
        self.thread = threading.Thread(target=self.server.serve, args=(self.stop, limits), daemon=True)
        self.thread.start()

    def take(self, incoming: Incoming) -> int:
        self.got.append(bytes(incoming.data))
        return 0x0000

    def rejected(self, reason: str) -> int:
        return self.counts.added["associations_rejected_total", reason]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Identity:
    return authority.issue("gateway")


@pytest.fixture(scope="module")
def theirs(authority: Authority) -> Identity:
    return authority.issue("modality", key=rsa.generate_private_key(65537, 2048))


@contextlib.contextmanager
def secured(tls: Tls, limits: Limits = USUAL) -> Iterator[Secured]:
    rig = Secured(tls, limits)
    try:
        yield rig
    finally:
        rig.stop.set()
        rig.thread.join(12)
        assert not rig.thread.is_alive()


def dcmtk(tool: str, port: int, identity: Identity, *args: object, calling: str = "MODALITY") -> int:
    argv = [program(tool), "-aet", calling, "-aec", OURS, "+tls", identity.key, identity.certificate, "+cf", identity.ca,
            HOST, port, *args]  # fmt: skip
    return subprocess.run([str(a) for a in argv], capture_output=True, timeout=30, check=False).returncode


def client(identity: Identity | None, ca: Path, change: Callable[[ssl.SSLContext], object] = bool) -> ssl.SSLContext:
    """As a peer may be: without a certificate, or with one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(ca)
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    change(context)
    return context


def talks(port: int, context: ssl.SSLContext) -> str:
    """The suite of a connection on which an association was accepted, "" when there was none."""
    with socket.create_connection((HOST, port), timeout=5) as raw:
        try:
            with context.wrap_socket(raw) as sock:
                sock.sendall(wire.associate_rq())
                kind, _ = wire.read_pdu(sock)
                cipher = sock.cipher()
                return cipher[0] if kind == 2 and cipher else ""
        except OSError:
            return ""


def test_dcmtk_and_pynetdicom_store_through_tls(ours: Identity, theirs: Identity) -> None:
    with secured(ours.tls) as rig:
        assert dcmtk("echoscu", rig.port, theirs) == 0
        assert dcmtk("storescu", rig.port, theirs, "+py", sample("CT_small.dcm")) == 0
        ae = AE("MODALITY")
        ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        assoc = ae.associate(HOST, rig.port, ae_title=OURS, tls_args=(client(theirs, theirs.ca), HOST))
        assert [assoc.send_c_store(tiny(CTImageStorage, ExplicitVRLittleEndian)).Status for _ in range(3)] == [0, 0, 0]
        assoc.release()
        assert assoc.is_released
    assert len(rig.got) == 4 and dcmread(sample("CT_small.dcm")).PixelData in rig.got[0]
    assert rig.rejected("tls") == rig.rejected("plain") == 0


def test_a_large_object_arrives_whole(ours: Identity, theirs: Identity) -> None:
    data = bytes(range(256)) * 40_000
    with secured(ours.tls) as rig:
        raw = socket.create_connection((HOST, rig.port), timeout=10)
        with client(theirs, theirs.ca).wrap_socket(raw) as sock:
            sock.sendall(wire.associate_rq())
            assert wire.read_pdu(sock)[0] == 2
            sock.sendall(wire.store(data))
            assert wire.status(sock) == 0
    assert rig.got == [data]


def test_versions_and_suites_are_those_of_bcp_195(ours: Identity, theirs: Identity) -> None:
    def with_suites(text: str) -> Callable[[ssl.SSLContext], None]:
        def change(context: ssl.SSLContext) -> None:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(text)

        return change

    with secured(ours.tls) as rig:
        assert talks(rig.port, client(theirs, theirs.ca)).startswith("TLS_")
        for suite in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"):
            assert talks(rig.port, client(theirs, theirs.ca, with_suites(suite))) == suite
        assert talks(rig.port, client(theirs, theirs.ca, with_suites("ECDHE-ECDSA-AES128-SHA256"))) == ""
        assert talks(rig.port, client(theirs, theirs.ca, _old)) == ""
        assert eventually(lambda: rig.rejected("tls") == 2)
    offered = {c["name"] for c in acceptor(ours.tls).get_ciphers() if c["protocol"] == "TLSv1.2"}
    assert offered >= RECOMMENDED and all("GCM" in name or "CHACHA20" in name for name in offered), SUITES


def _old(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def test_nobody_enters_without_a_certificate_of_our_authority(ours: Identity, theirs: Identity, tmp_path: Path) -> None:
    foreign = Authority(tmp_path / "foreign").issue("modality")
    expired = Authority(tmp_path / "own").issue("x", days=(-9, -1))
    with secured(ours.tls) as rig:
        for identity in (None, foreign, expired):
            assert talks(rig.port, client(identity, theirs.ca)) == ""
        assert eventually(lambda: rig.rejected("tls") == 3)
        assert dcmtk("echoscu", rig.port, theirs, calling="STRANGER") != 0
        assert rig.rejected("calling-ae") == 1
        assert dcmtk("echoscu", rig.port, theirs) == 0


@pytest.mark.catalogue("A12")
def test_a_peer_without_tls_is_told_so_and_counted(ours: Identity) -> None:
    with secured(ours.tls) as rig:
        ae = AE("MODALITY")
        ae.add_requested_context(Verification)
        plain = ae.associate(HOST, rig.port, ae_title=OURS)
        assert plain.is_rejected
        with socket.create_connection((HOST, rig.port), timeout=5) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert wire.read_pdu(sock) == (0, b"")
        assert eventually(lambda: rig.rejected("plain") == 2)


@pytest.mark.catalogue("A12", "B4")
def test_silent_and_slow_clients_are_in_nobodys_way_and_end_by_deadline(ours: Identity, theirs: Identity) -> None:
    with secured(ours.tls, Limits(acse=3, drain=2)) as rig, contextlib.ExitStack() as held:
        silent = [held.enter_context(socket.create_connection((HOST, rig.port), timeout=10)) for _ in range(10)]
        half = [held.enter_context(socket.create_connection((HOST, rig.port), timeout=10)) for _ in range(3)]
        for sock in half:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01")  # a ClientHello begins, and stops
        assert talks(rig.port, client(theirs, theirs.ca))
        assert rig.rejected("tls") == 0, "it waited for the silent ones"
        for sock in (*silent, *half):
            assert wire.read_pdu(sock) == (0, b"")
        assert eventually(lambda: rig.rejected("tls") == 13)
        for _ in range(30):  # a load balancer's look: more of them than there is room for at once
            socket.create_connection((HOST, rig.port)).close()
        assert eventually(lambda: bool(talks(rig.port, client(theirs, theirs.ca))))


def test_too_many_handshakes_at_once_are_bounded(ours: Identity, theirs: Identity) -> None:
    with secured(ours.tls, Limits(acse=1.0, drain=2)) as rig, contextlib.ExitStack() as held:
        for _ in range(60):  # 4 x 4 + 16 are let in
            held.enter_context(socket.create_connection((HOST, rig.port)))
        assert eventually(lambda: rig.rejected("connections") > 0)
        assert eventually(lambda: bool(talks(rig.port, client(theirs, theirs.ca))))


# ---- towards a PACS


@contextlib.contextmanager
def archive(identity: Identity, ca: Path, change: Callable[[ssl.SSLContext], object] = bool) -> Iterator[int]:
    """A PACS that wants our certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    change(context)
    ae = AE("PACS")
    ae.add_supported_context(Verification)
    server = ae.start_server((HOST, 0), block=False, ssl_context=context, evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0)])
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def pacs(port: int, tls: Tls | None) -> Pacs:
    return Pacs(name="main", ae_title="PACS", host=HOST, port=port, tls=tls)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_we_ask_a_pacs_through_tls(ours: Identity, theirs: Identity, version: ssl.TLSVersion) -> None:
    with (
        archive(theirs, theirs.ca, lambda c: setattr(c, "maximum_version", version)) as port,
        Scu(pacs(port, ours.tls), OURS, deadlines=QUICK) as scu,
    ):
        for _ in range(3):
            scu.echo()
            time.sleep(0.05)  # idle: session tickets lie in the socket


def test_a_pacs_with_a_foreign_certificate_is_not_talked_to(ours: Identity, tmp_path: Path) -> None:
    foreign = Authority(tmp_path / "foreign").issue("pacs")
    with archive(foreign, ours.ca) as port, Scu(pacs(port, ours.tls), OURS, deadlines=QUICK) as scu:
        with failing(Retry, "pacs.tls"):
            scu.echo()
        with pytest.raises(Retry, match="certificate-verify-failed"):
            scu.echo()


def test_a_pacs_without_tls_is_told_from_one_that_is_down(ours: Identity) -> None:
    ae = AE("PACS")
    ae.add_supported_context(Verification)
    ae.acse_timeout = 1
    server = ae.start_server((HOST, 0), block=False)
    assert server is not None
    try:
        with Scu(pacs(server.server_address[1], ours.tls), OURS, deadlines=QUICK) as scu, failing(Retry, "pacs.tls"):
            scu.echo()
    finally:
        server.shutdown()


def test_files_are_checked_when_they_are_read(ours: Identity, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other").issue("other")
    wrong = Tls(certificate=ours.certificate, key=other.key, ca=ours.ca)
    with pytest.raises(Fatal, match=f"is not that of {ours.certificate}"):
        acceptor(wrong)
    with pytest.raises(Retry, match=f"is not that of {ours.certificate}") as caught:  # it may be replaced just now
        requestor(wrong, "pacs.tls")
    assert (caught.value.reason, caught.value.charge) == ("pacs.tls", False)

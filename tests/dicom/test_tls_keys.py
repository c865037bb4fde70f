"""TLS's own records amid an association: no data, and nobody's fault, unless they say that our certificate is not taken."""

from __future__ import annotations

import ssl
import subprocess
import time
from pathlib import Path

import pytest

from gateway.dicom.association import Scu
from gateway.dicom.incoming import Limits
from gateway.errors import Retry
from gateway.settings import Tls
from tests.dicom import wire
from tests.dicom.asking import QUICK
from tests.dicom.serving import OURS, eventually
from tests.dicom.test_tls import archive, pacs, secured
from tests.support.certificates import Authority
from tests.support.process import HOST, program


def test_a_peer_that_changes_its_keys_amid_a_silence_is_waited_for(tmp_path: Path) -> None:
    """A record of TLS's own (RFC 8446 4.6.3) is no data: nobody waits for more of it, as for half a PDU."""
    authority = Authority(tmp_path / "ca")
    ours, theirs = authority.issue("gateway"), authority.issue("pacs")
    argv = [program("openssl"), "s_client", "-tls1_3", "-brief", "-cert", theirs.certificate, "-key", theirs.key,
            "-CAfile", theirs.ca, "-connect"]  # fmt: skip
    saying = wire.associate_rq(), wire.echo(), b"k\n", wire.store(b"data")  # each is read by itself, and k obeyed
    with secured(ours.tls, Limits(acse=3, pdu=0.3, drain=2)) as rig, subprocess.Popen(
        [*map(str, argv), f"{HOST}:{rig.port}"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as peer:  # fmt: skip
        assert peer.stdin is not None
        for said in saying:
            peer.stdin.write(said)
            peer.stdin.flush()
            time.sleep(0.8)
        assert eventually(lambda: rig.got == [b"data"])
        peer.kill()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("shown", ["foreign", "none"])
def test_a_pacs_that_does_not_take_our_certificate_is_told_from_one_that_says_nothing(
    tmp_path: Path, version: ssl.TLSVersion, shown: str
) -> None:
    theirs = Authority(tmp_path / "ca").issue("pacs")
    strange = Authority(tmp_path / "foreign").issue("gateway")
    tls = (
        Tls(certificate=strange.certificate, key=strange.key, ca=theirs.ca) if shown == "foreign" else Tls(ca=theirs.ca)
    )
    with (
        archive(theirs, theirs.ca, lambda c: setattr(c, "maximum_version", version)) as port,
        Scu(pacs(port, tls), OURS, deadlines=QUICK) as scu,
        pytest.raises(Retry, match=r"^pacs\.tls: .*alert-"),
    ):
        scu.echo()

"""TLS's own records amid an association: no data, and nobody's fault."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from gateway.dicom.incoming import Limits
from tests.dicom import wire
from tests.dicom.serving import eventually
from tests.dicom.test_tls import secured
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

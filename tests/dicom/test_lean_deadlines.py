"""How long the lean path waits, where it once waited for the wrong thing."""

from __future__ import annotations

import time

import pytest

from gateway.dicom.server import Limits
from tests.dicom import wire
from tests.dicom.serving import serving


@pytest.mark.parametrize("cut", [3, 7])
def test_a_header_in_two_pieces_after_a_silence_has_its_own_time(cut: int) -> None:
    """The silence before it is another one's: more of it is allowed than a PDU may take."""
    with serving(limits=Limits(pdu=1.0, idle=30.0, drain=1.0)) as rig, wire.associate(rig.port) as sock:
        sock.sendall(wire.echo())
        assert wire.status(sock) == 0
        time.sleep(1.2)
        echo = wire.echo(number=2)
        sock.sendall(echo[:cut])
        time.sleep(0.1)
        sock.sendall(echo[cut:])
        assert wire.status(sock) == 0

"""What `asking` leans on in pynetdicom beyond its documentation. A new version that moves it fails here first."""

from __future__ import annotations

import inspect
import socket

from pynetdicom import dul
from pynetdicom.association import Association

from gateway.dicom.association import Scu
from gateway.dicom.sockets import QuickSocket
from tests.dicom.asking import QUICK
from tests.dicom.serving import eventually
from tests.support.raw_pacs import RawPacs


def test_the_hooks_are_where_they_were() -> None:
    loop = inspect.getsource(dul.DULServiceProvider.run_reactor)
    assert "self._process_recv_primitive()" in loop and "self._is_transport_event()" in loop
    assert "self.socket.ready" in inspect.getsource(dul.DULServiceProvider._is_transport_event)
    assert "self._reactor_checkpoint.set()" in inspect.getsource(Association._abort_blocking)


def test_the_dul_reads_nothing_while_it_stands_aside() -> None:
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        assoc = scu.open()
        wrapper = assoc.dul.socket
        assert isinstance(wrapper, QuickSocket) and wrapper.socket is not None
        assert wrapper.stand_aside(5.0)
        pacs.hang_up()
        assert eventually(lambda: wrapper.socket is not None and wrapper.socket.recv(1, socket.MSG_PEEK) == b"")
        assert assoc.dul.state_machine.current_state == "Sta6"
        wrapper.give_back(b"")
        assert eventually(lambda: assoc.dul.state_machine.current_state == "Sta1")


def test_what_ended_does_not_stand_aside() -> None:
    with RawPacs(lambda asked: asked.says(0x0000)) as pacs, Scu(pacs, "RESEARCH", deadlines=QUICK) as scu:
        wrapper = scu.open().dul.socket
        assert isinstance(wrapper, QuickSocket)
        scu.close()
        assert not wrapper.stand_aside(5.0)

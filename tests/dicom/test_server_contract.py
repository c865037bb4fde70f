"""What `listener` and `sockets` lean on in pynetdicom beyond its documentation. A new version that moves it fails here first."""

from __future__ import annotations

import inspect
import socket
import threading
from importlib.metadata import version

import pynetdicom
from pynetdicom import AE, _config, association, dimse, dul, fsm, transport

from gateway.dicom.listener import Listener
from gateway.dicom.sockets import QuickSocket
from tests.dicom.serving import serving
from tests.dicom.test_server import connect
from tests.support.process import HOST


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("pynetdicom") == pynetdicom.__version__ == "3.0.4"


def test_an_accepted_association_has_what_we_reach_for() -> None:
    seen = []
    with serving() as rig:
        peer = connect(rig)
        seen = [t for t in threading.enumerate() if isinstance(t, association.Association) and t.is_acceptor]
        assert len(seen) == 1
        wrapper = seen[0].dul.socket
        assert isinstance(wrapper, QuickSocket) and isinstance(wrapper.socket, socket.socket)
        sock = wrapper.socket
        assert sock.gettimeout() == 30.0 and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30000
        assert seen[0].daemon and not seen[0].dul.daemon
        peer.release()


def test_the_hooks_are_where_they_were() -> None:
    assert "self.socket.recv(6)" in inspect.getsource(dul.DULServiceProvider._read_pdu_data)
    assert "self._decode_pdu(bytestream)" in inspect.getsource(dul.DULServiceProvider._read_pdu_data)
    assert "self.socket.ready" in inspect.getsource(dul.DULServiceProvider._is_transport_event)
    dul_loop = inspect.getsource(dul.DULServiceProvider.run_reactor)
    assert "time.sleep(self._run_loop_delay)" in dul_loop
    assert dul_loop.index("_process_recv_primitive") < dul_loop.index("_is_transport_event")
    assert "self.msg_queue.get(block=block" in inspect.getsource(dimse.DIMSEServiceProvider.get_msg)
    assert "get_msg(block=False)" in inspect.getsource(association.Association._run_reactor)
    assert "_kill_thread" in inspect.getsource(dul.DULServiceProvider.run_reactor)
    reactor = inspect.getsource(association.Association.run_reactor)
    assert "if primitive is None" in reactor and "not self.is_rejected" in reactor
    assert "while not self._kill" in inspect.getsource(association.Association._run_reactor)
    assert "EVT_CONN_CLOSE" in inspect.getsource(fsm.AA_5)
    server = transport.AssociationServer
    assert "server_bind" in vars(server)
    assert "shutdown" in inspect.getsource(server.server_close)  # the day it no longer does, our override may go
    assert "UI" in _config.VALIDATORS and "ascii" in _config.CODECS


def test_closing_a_listener_leaves_the_shared_socket_listening() -> None:
    with socket.create_server((HOST, 0)) as shared:
        ours = socket.socket(fileno=socket.dup(shared.fileno()))
        ae = AE("RESEARCH")
        listener = Listener(
            ae, ours, handlers=[], welcome=lambda _: None, ahead=lambda: False, report=lambda reason: None
        )
        listener.server_close()
        assert ours.fileno() == -1
        with socket.create_connection(shared.getsockname(), timeout=1):
            shared.settimeout(1)
            shared.accept()[0].close()

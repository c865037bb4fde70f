"""pynetdicom polls: two threads per association wake a thousand times a second. Here they wait to be woken.

Only queues are replaced, no loop: the DUL's thread waits in `QuickSocket.ready` for the socket or the bell, which rings when
something is to be sent; the association's thread waits in `dimse.msg_queue` for a message or a knock, which comes with each
A-RELEASE or A-ABORT. Both look up every `PATIENCE` seconds all the same, for time-outs and for what nobody announced.

Leaned on in pynetdicom 3.0.4, held by tests/dicom/test_server_contract.py: the reactors take from `dul.to_provider_queue`
and `dimse.msg_queue` without blocking, between looks at `socket.ready`; the DUL sleeps `_run_loop_delay` when it was idle.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, Final

from pynetdicom.association import Association

from gateway.dicom.bell import Bell
from gateway.dicom.sockets import QuickSocket

PATIENCE: Final = 0.2  # seconds


class TellingQueue(queue.Queue[Any]):
    """Calls `told` after each put."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self._told = told

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        self._told()


class PatientQueue(queue.Queue[Any]):
    """`get(block=False)` waits a little: for an item, a knock, or `PATIENCE` seconds."""

    _knocked = False

    def knock(self) -> None:
        with self.not_empty:
            self._knocked = True
            self.not_empty.notify()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block:
            with self.not_empty:
                if not self._qsize() and not self._knocked:
                    self.not_empty.wait(PATIENCE)
                self._knocked = False
        return super().get(block, timeout)


def attend(assoc: Association) -> None:
    """Call in a handler of EVT_CONN_OPEN of an acceptor, after `sockets.quicken`; `dismiss` at EVT_CONN_CLOSE."""
    wrapper = assoc.dul.socket
    if not isinstance(wrapper, QuickSocket):
        return
    bell, messages = Bell(), PatientQueue()
    wrapper.bell, wrapper.patience = bell, PATIENCE
    assoc.dimse.msg_queue = messages
    assoc.dul.to_provider_queue = TellingQueue(bell.ring)
    assoc.dul.to_user_queue = TellingQueue(messages.knock)
    assoc.dul._run_loop_delay = 0.0  # noqa: SLF001  it waits in `ready` instead


def attend_asking(assoc: Association) -> None:
    """The same for a requestor: only its DUL waits, as its other thread stands still while we ask (`reactor`)."""
    wrapper = assoc.dul.socket
    if not isinstance(wrapper, QuickSocket):
        return
    bell = Bell()
    wrapper.bell, wrapper.patience = bell, PATIENCE
    queued = TellingQueue(bell.ring)
    # this is the thread that takes from it; nobody adds before an answer
    queued.queue.extend(assoc.dul.to_provider_queue.queue)
    assoc.dul.to_provider_queue = queued
    assoc.dul._run_loop_delay = 0.0  # noqa: SLF001


def dismiss(assoc: Association) -> None:
    """The connection is closed: the bell's descriptor is given back."""
    wrapper = assoc.dul.socket
    if isinstance(wrapper, QuickSocket) and wrapper.bell is not None:
        wrapper.bell.close()

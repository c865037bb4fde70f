"""An archive as a Storage SCU sees it: one association with the presentation contexts that the files at hand need (PS3.4 B).

Every failure comes out as `Retry(charge=False)`: sink.unreachable, .tls, .rejected, .busy, .no-answer, .aborted, .timeout; what the
archive says of one instance is its status. Files are sent as they are, in pieces, never decoded, read as they leave.

Leaned on in pynetdicom 3.0.4, held by tests/dicom/test_storing.py: whatever is sent goes through `dul.send_pdu` into
`dul.to_provider_queue`, which the DUL's thread empties one by one.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any, Final

from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext, build_context

from gateway.dicom.association import VERIFICATION, Deadlines
from gateway.dicom.models import Address
from gateway.dicom.rejected import rejection
from gateway.dicom.requesting import associate
from gateway.dicom.sockets import hang_up, shut
from gateway.dicom.status import CONFIG_PAUSE
from gateway.errors import Refused, Retry

MOST_KINDS: Final = 120  # of contexts: PS3.8 9.3.2.2 has room for 128
STORED: Final = 120.0
"""Seconds for an archive to answer a C-STORE, once all of it has left, and to take one more piece of it."""
AHEAD: Final = 16  # pieces that may wait to leave: pynetdicom alone would queue the whole file
LOOK: Final = 0.5  # seconds between signs of life meanwhile

UNREADABLE: Final = (
    InvalidDicomError,
    BytesLengthException,
    AttributeError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    struct.error,
)
"""What pydicom raises on a torn file."""


@dataclass(frozen=True)
class Instance:
    """A Part 10 file by its head. The UIDs are the new ones."""

    path: Path
    SOPClassUID: str = field(repr=False)
    SOPInstanceUID: str = field(repr=False)
    transfer_syntax: str


def read_instance(file: Path) -> Instance:
    """Raises Refused("deliver.unreadable") or Retry("outbox.unreadable")."""
    try:
        meta = read_file_meta_info(file)
        uids = (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID)
    except OSError:
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
    except UNREADABLE:
        raise Refused("deliver.unreadable", "a file in the outbox is no DICOM file") from None
    return Instance(file, *map(str, uids))


class StoreScu:
    """Not for two threads at once. The association stays open between files, and is made anew when one needs another context.

    `alive` is called before each try and while a large file leaves, and may raise to end that.
    """

    def __init__(
        self,
        peer: Address,
        calling_ae: str,
        *,
        deadlines: Deadlines | None = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._peer, self._calling_ae, self._deadlines = peer, calling_ae, deadlines or Deadlines()
        self._alive = alive
        self._assoc: Association | None = None
        self._wanted: dict[tuple[str, str], list[str | UID]] = {}

    def store(self, instance: Instance) -> int:
        """The status of the C-STORE response. An association found closed is opened anew, once.

        Raises Retry sink.*; Refused("deliver.unsupported") when the archive takes no such object.
        """
        reused = self._assoc is not None
        try:
            return self._store(instance)
        except Retry as err:
            if not reused or err.reason != "sink.aborted":
                raise
        return self._store(instance)

    def close(self) -> None:
        """Releases the association, if there is one."""
        assoc, self._assoc = self._assoc, None
        if assoc is not None and assoc.is_established:
            assoc.acse_timeout = self._deadlines.release
            assoc.release()

    def abort(self) -> None:
        assoc, self._assoc = self._assoc, None
        if assoc is not None:
            hang_up(assoc)
            assoc.abort()
            shut(assoc)

    def _store(self, instance: Instance) -> int:
        self._alive()  # an archive may take minutes for each of its answers
        assoc = self._ready((instance.SOPClassUID, instance.transfer_syntax))
        start = time.monotonic()
        taken = {(c.abstract_syntax, c.transfer_syntax[0]) for c in assoc.accepted_contexts}
        try:
            if (instance.SOPClassUID, instance.transfer_syntax) in taken:
                status = assoc.send_c_store(instance.path)
            elif (instance.SOPClassUID, ImplicitVRLittleEndian) in taken:
                status = assoc.send_c_store(dcmread(instance.path))  # every archive takes this (PS3.5 10.1)
            else:
                raise Refused("deliver.unsupported", "the archive takes no such object in this transfer syntax")
        except RuntimeError:
            self.abort()
            raise Retry("sink.aborted", "the association had ended", charge=False) from None
        except OSError:
            self.abort()  # some of it may have left
            raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
        except Retry:
            self.abort()
            raise
        except UNREADABLE:  # compressed, where Implicit VR is taken for others; or a value that Implicit VR cannot tell
            raise Refused("deliver.unsupported", "this object cannot be told in what the archive takes") from None
        if "Status" not in status:
            self.abort()
            reason = "sink.timeout" if time.monotonic() - start >= STORED else "sink.aborted"
            raise Retry(reason, "no answer to C-STORE", charge=False)
        return int(status.Status)

    def _ready(self, wanted: tuple[str, str]) -> Association:
        if wanted not in self._wanted:
            self.close()
            if len(self._wanted) >= MOST_KINDS:
                self._wanted.clear()
            self._wanted[wanted] = [UID(wanted[1])]
            if wanted[1] == ExplicitVRLittleEndian:
                self._wanted[wanted[0], ImplicitVRLittleEndian] = [ImplicitVRLittleEndian]
        if self._assoc is None or not self._assoc.is_established:
            _config.STORE_SEND_CHUNKED_DATASET = True  # read when a path is sent: in pieces, as it is
            contexts = [build_context(UID(c), s) for (c, _), s in self._wanted.items()]
            self._assoc = opened(
                self._peer, self._calling_ae, [build_context(VERIFICATION), *contexts], deadlines=self._deadlines
            )
            self._assoc.dimse_timeout = STORED
            _pace(self._assoc, self._alive)
        return self._assoc


def _pace(assoc: Association, alive: Callable[[], None]) -> None:
    """So that the answer is awaited from when the file has left, and no file is in memory."""
    plain = assoc.dul.send_pdu

    def send(primitive: Any) -> None:
        if isinstance(primitive, P_DATA):
            _wait_for_room(assoc, alive)
        plain(primitive)

    assoc.dul.send_pdu = send  # type: ignore[method-assign]


def _wait_for_room(assoc: Association, alive: Callable[[], None]) -> None:
    """Raises RuntimeError when the association has ended, Retry("sink.timeout"), and what `alive` raises."""
    dul, until = assoc.dul, time.monotonic() + STORED
    while not _has_room(dul.to_provider_queue):
        alive()
        if not dul.is_alive() or dul.state_machine.current_state != "Sta6":
            raise RuntimeError
        if time.monotonic() > until:
            raise Retry("sink.timeout", "the archive takes no more of an object", charge=False)


def _has_room(leaving: Queue[Any]) -> bool:
    with leaving.not_full:
        return leaving.not_full.wait_for(lambda: len(leaving.queue) < AHEAD, LOOK)


def opened(
    peer: Address,
    calling_ae: str,
    contexts: Sequence[PresentationContext],
    *,
    deadlines: Deadlines,
    handlers: Sequence[evt.EventHandlerType] = (),
) -> Association:
    """An established association. Raises Retry(charge=False)."""
    ae = AE(calling_ae)
    ae.requested_contexts = list(contexts)
    ae.connection_timeout, ae.acse_timeout, ae.dimse_timeout = deadlines.connect, deadlines.negotiate, deadlines.answer
    ae.network_timeout = None
    tried = associate(ae, peer, "sink", pdu=deadlines.pdu, handlers=handlers)
    assoc = tried.assoc
    if not assoc.is_established:
        raise why_not(assoc, connected=tried.connected)
    return assoc


def why_not(assoc: Association, *, connected: bool) -> Retry:
    """Why an association did not come about (PS3.8 9.3.4)."""
    answer = rejection(assoc)
    if answer is None:
        if assoc.acceptor.primitive is not None and not assoc.accepted_contexts and connected:
            return Retry("sink.unsupported", "the archive takes none of what was proposed", charge=False)
        reason = "sink.no-answer" if connected else "sink.unreachable"
        return Retry(reason, "no answer to the association request" if connected else "no connection", charge=False)
    if answer.result == 1:
        return Retry("sink.rejected", "association rejected for good", after=CONFIG_PAUSE, charge=False)
    return Retry("sink.busy", "association rejected for now", charge=False)

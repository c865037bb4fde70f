"""The other half of a C-GET: what we propose to store on our own association, and how we answer what is stored there.

A context proposes one class with one transfer syntax wherever that fits into 128, so that the PACS can send every object as it is;
for what is no image nothing but uncompressed: some PACS take JPEG for a report when they are offered it, and then cannot send it
(M20). Roles: PS3.7 D.3.3.4; the order of messages: PS3.7 9.1.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydicom.uid import UID
from pynetdicom import build_role
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_STORE
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

from gateway.dicom.asking import ended
from gateway.dicom.incoming import Incoming
from gateway.dicom.models import Address
from gateway.dicom.sockets import MAX_STORE, QuickSocket
from gateway.dicom.status import CONFIG_PAUSE
from gateway.errors import GatewayError, Refused, Retry

ROOM: Final = 124
"""Contexts that are left besides those of the questions (B17)."""
PLAIN: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
COMPRESSED: Final = (
    "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.103",
)  # fmt: skip
"""PS3.5 A.4, those of images, the most frequent first."""

Context = tuple[str, tuple[str, ...]]


@dataclass(frozen=True)
class Storing:
    """`classes`: SOP classes that may come, at most ROOM. `store`: as for a C-STORE at the receiver. `peer`: who sends."""

    classes: tuple[str, ...]
    store: Callable[[Incoming], int]
    peer: Address

    def contexts(self) -> list[Context]:
        """Uncompressed for each class; then, class by class, as many compressed syntaxes as there is room for."""
        images = [c for c in self.classes if is_image(c)]
        each = (ROOM - len(self.classes)) // len(images) if images else 0
        if each == 0:
            return [(c, PLAIN) for c in self.classes[:ROOM]]
        alone, together = COMPRESSED[: each - 1], COMPRESSED[each - 1 :]  # what does not fit shares the last one
        syntaxes = [(s,) for s in alone] + ([together] if together else [])
        return [(c, PLAIN) for c in self.classes] + [(c, s) for c in images for s in syntaxes]

    def roles(self) -> list[SCP_SCU_RoleSelectionNegotiation]:
        return [build_role(UID(sop_class), scp_role=True) for sop_class in self.classes[:ROOM]]

    def refuse_useless(self, assoc: Association) -> None:
        """Raises Retry, a matter of configuration, when the PACS could send nothing here (PN#812)."""
        mine = [c for c in assoc.accepted_contexts if str(c.abstract_syntax) in self.classes]
        if not any(c.as_scp for c in mine):
            told = "gives us no role to store" if mine else "accepts none of the classes to be stored"
            raise Retry("pacs.role-refused", f"the PACS {told} by C-GET", after=CONFIG_PAUSE, charge=False)

    def answer(self, assoc: Association, seconds: float) -> int | None:
        """The status of a response, as of a C-MOVE: each instance that is stored is a Pending. None when nothing comes by then.

        Raises Retry("pacs.aborted"): the association has ended, or something else came than a C-STORE or a response;
        Refused("get.too-large"): it was we who could not take more.
        """
        if not _has_message(assoc, seconds):
            if not assoc.dul.is_alive() or assoc.dul.state_machine.current_state != "Sta6":
                raise _why_ended(assoc)  # it dies on an unknown command field (B10); or a release has come
            return None
        context, message = assoc.dimse.get_msg(block=False)
        if isinstance(message, C_STORE) and context is not None:
            return self._stored(assoc, context, message)
        if isinstance(message, C_GET) and message.is_valid_response:
            return message.Status if isinstance(message.Status, int) else -1  # what is no number is no success
        raise _why_ended(assoc)

    def _stored(self, assoc: Association, context: int, request: C_STORE) -> int:
        """Clean before acknowledged: answered once it is on stable storage, by the same path as at the receiver."""
        chosen = next((c for c in assoc.accepted_contexts if c.context_id == context), None)
        if chosen is None or not request.is_valid_request:
            raise ended()
        status = self.store(Incoming(
            calling_ae=self.peer.ae_title, address=self.peer.host, sop_class=str(request.AffectedSOPClassUID),
            SOPInstanceUID=str(request.AffectedSOPInstanceUID), transfer_syntax=str(chosen.transfer_syntax[0]),
            data=request.DataSet.getvalue() if request.DataSet else b"",
        ))  # fmt: skip
        response = C_STORE()
        response.MessageIDBeingRespondedTo = request.MessageID
        response.AffectedSOPClassUID = request.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        response.Status = status
        assoc.dimse.send_msg(response, context)
        return 0xFF00


def _why_ended(assoc: Association) -> GatewayError:
    if isinstance(assoc.dul.socket, QuickSocket) and assoc.dul.socket.overfull:
        most = MAX_STORE >> 20
        return Refused("get.too-large", f"an object of more than {most} MiB, which comes by C-MOVE (retrieve) only")
    return ended()


def is_image(sop_class: str) -> bool:
    """By its name in the standard; what is not in the standard may be one."""
    name = UID(sop_class).name
    return "Image Storage" in name or name == sop_class


def _has_message(assoc: Association, seconds: float) -> bool:
    """Waits for a message without taking it: `dimse_timeout` cannot be told to look at a stop event meanwhile."""
    queue = assoc.dimse.msg_queue
    with queue.not_empty:
        return queue.not_empty.wait_for(lambda: len(queue.queue) > 0, seconds)

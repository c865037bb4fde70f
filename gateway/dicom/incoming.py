"""What arrives with a C-STORE, and the deadlines under which it does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE

from gateway.dicom.dimse import Stored, text
from gateway.model import Buffer


@dataclass(frozen=True)
class Incoming:
    """One C-STORE request. `data`: the data set as sent, valid only during the call; UIDs are not in repr."""

    calling_ae: str
    address: str
    sop_class: str
    SOPInstanceUID: str = field(repr=False)
    transfer_syntax: str
    data: Buffer = field(repr=False)


@dataclass(frozen=True)
class Limits:
    """Deadlines in seconds, and the longest PDU (bytes) that we announce."""

    acse: float = 8.0  # a silent TCP client (port scan, load balancer) holds two threads that long
    pdu: float = 30.0  # from a PDU's first byte to its last
    idle: float = 300.0  # an open association without any PDU; must be far above what on_store takes
    drain: float = 30.0  # after stop, for running associations
    pdu_size: int = 131072


NORMAL: Final = Limits()


def arrived(assoc: Association, stored: Stored) -> Incoming:
    """Of the lean path. Raises Retry when there was no room for its data set."""
    request = stored.request
    return Incoming(
        calling_ae=asked(assoc).calling_ae_title.strip(),
        address=assoc.requestor.address or "",
        sop_class=text(request.sop_class),
        SOPInstanceUID=text(request.sop_instance),
        transfer_syntax=request.context.transfer_syntax,
        data=stored.gathered.done(),
    )


def from_event(event: evt.Event) -> Incoming:
    """Of pynetdicom's EVT_C_STORE."""
    request, requestor = cast(C_STORE, event.request), event.assoc.requestor
    return Incoming(
        calling_ae=asked(event.assoc).calling_ae_title.strip(),
        address=requestor.address or "",
        sop_class=str(request.AffectedSOPClassUID),
        SOPInstanceUID=str(request.AffectedSOPInstanceUID),
        transfer_syntax=str(event.context.transfer_syntax),
        data=request.DataSet.getvalue() if request.DataSet else b"",
    )


def asked(assoc: Association) -> A_ASSOCIATE:
    """The peer's A-ASSOCIATE-RQ: there from EVT_REQUESTED on."""
    return cast(A_ASSOCIATE, assoc.requestor.primitive)

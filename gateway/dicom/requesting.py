"""What is done to each association that we ask for, from its connection on: as SCU of a PACS and of an archive."""

from __future__ import annotations

from pynetdicom import evt

from gateway.dicom.reactor import steady
from gateway.dicom.sockets import quicken
from gateway.dicom.waiting import attend_asking, dismiss


def requesting(connected: list[bool], pdu: float) -> list[evt.EventHandlerType]:
    """`connected`: gets an entry when the peer has taken the connection. `pdu`: seconds for a PDU once it began."""

    def on_open(event: evt.Event) -> None:
        connected.append(True)
        quicken(event.assoc, pdu)
        steady(event.assoc)
        attend_asking(event.assoc)

    def on_close(event: evt.Event) -> None:
        dismiss(event.assoc)

    return [(evt.EVT_CONN_OPEN, on_open), (evt.EVT_CONN_CLOSE, on_close)]

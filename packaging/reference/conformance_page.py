"""docs/reference/conformance-contexts.md: what the receiver accepts and the client proposes, negotiated on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import AE, build_context, evt
from pynetdicom.presentation import AllStoragePresentationContexts

from gateway.dicom.association import Scu
from gateway.dicom.commitment import PUSH_MODEL
from gateway.dicom.models import MODELS
from gateway.dicom.server import Limits, StorageServer
from gateway.settings import Pacs

HOST: Final = "127.0.0.1"
VERIFICATION: Final = UID("1.2.840.10008.1.1")
PRIVATE: Final = "1.2.826.0.1.3680043.8.498.77"
RETIRED: Final = "1.2.840.10008.5.1.4.1.1.6"
BATCH: Final = 100
HEAD: Final = """\
# Conformance: what is really negotiated

Made by packaging/reference/make_reference.py, which starts the receiver and the client on loopback and writes down what they accept
and propose; a test compares. It is part of the [conformance statement](../conformance.md).

## Accepted as SCP

Verification, and {number} Storage SOP classes of the standard that were proposed, all accepted; a retired and a private storage
class were accepted too. Of each the receiver takes the transfer syntax that comes first here among those proposed:

{order}

Storage Commitment Push Model: {commitment}. Any other service: refused (PS3.8 table 9-18, abstract syntax not supported).

| SOP class | UID |
|---|---|
{classes}

## Proposed as SCU

| query_model | SOP class | transfer syntaxes |
|---|---|---|
{proposed}

With `retrieve = "get"` C-GET takes the place of C-MOVE, and the Storage SOP classes of the series that it asks for are proposed
too, in the role of SCP (PS3.7 D.3.3.4).
"""


class _Counts:
    def add(self, name: str, value: float = 1, **labels: str) -> None:
        """Nobody asks."""

    def set(self, name: str, value: float, **labels: str) -> None:
        """Nobody asks."""


class _Commitments:
    """Enough for the service to be offered."""

    def close(self, *_: object) -> None:
        """None was made."""

    def __getattr__(self, _: str) -> Any:
        raise AssertionError("no transaction is made")


@contextmanager
def _receiver() -> Iterator[int]:
    listener = socket.create_server((HOST, 0))
    server = StorageServer(
        "RESEARCH", listener, admit=lambda *_: True, on_store=lambda _: 0, max_associations=8, count=_Counts(),
        commitments=_Commitments(),
    )  # fmt: skip
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(stop, Limits(drain=1.0)), daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        stop.set()
        thread.join(10)


def _accepted(port: int, wanted: list[tuple[str, list[str]]]) -> dict[str, str]:
    """SOP class -> transfer syntax, of those that were accepted."""
    found: dict[str, str] = {}
    for start in range(0, len(wanted), BATCH):
        ae = AE("MAIN")
        ae.requested_contexts = [build_context(uid, syntaxes) for uid, syntaxes in wanted[start : start + BATCH]]
        assoc = ae.associate(HOST, port, ae_title="RESEARCH")
        found |= {str(c.abstract_syntax): str(c.transfer_syntax[0]) for c in assoc.accepted_contexts}
        assoc.release()
    return found


def _in_order(port: int, uid: str) -> list[str]:
    """Transfer syntaxes as the receiver prefers them: the accepted one is taken out until none is left."""
    left, order = [str(s) for s in AllTransferSyntaxes], []
    while left:
        chosen = _accepted(port, [(uid, left)]).get(uid)
        if chosen is None:
            break
        order.append(chosen)
        left.remove(chosen)
    return order


def _proposed(query_model: str) -> list[tuple[str, list[str]]]:
    """What `Scu` asks a PACS for, as the PACS hears it."""
    heard: list[tuple[str, list[str]]] = []

    def on_requested(event: evt.Event) -> None:
        contexts = getattr(event.assoc.requestor.primitive, "presentation_context_definition_list", [])
        heard.extend((str(c.abstract_syntax), [str(s) for s in c.transfer_syntax]) for c in contexts)

    ae = AE("MAIN")
    for model in MODELS.values():
        for uid in (model.find, model.move, model.get, VERIFICATION):
            ae.add_supported_context(uid)
    server = ae.start_server((HOST, 0), block=False, evt_handlers=[(evt.EVT_REQUESTED, on_requested)])
    assert server is not None
    try:
        pacs = Pacs(name="main", ae_title="MAIN", host=HOST, port=server.server_address[1])
        with Scu(pacs, "RESEARCH", model=MODELS[query_model]) as scu:
            scu.echo()
    finally:
        server.shutdown()
    return heard


def page() -> str:
    classes = [str(c.abstract_syntax) for c in AllStoragePresentationContexts]
    everything = [str(s) for s in AllTransferSyntaxes]
    with _receiver() as port:
        taken = _accepted(
            port, [(uid, everything) for uid in (*classes, str(VERIFICATION), RETIRED, PRIVATE, str(PUSH_MODEL))]
        )
        refused = _accepted(port, [(str(MODELS["study"].find), everything)])
        order = _in_order(port, classes[0])
    assert {*classes, str(VERIFICATION), RETIRED, PRIVATE} <= set(taken) and not refused
    return HEAD.format(
        number=len(classes), commitment="accepted" if str(PUSH_MODEL) in taken else "refused",
        order="\n".join(f"1. {UID(s).name} (`{s}`)" for s in order),
        classes="\n".join(f"| {UID(uid).name} | `{uid}` |" for uid in sorted(classes, key=lambda u: UID(u).name)),
        proposed="\n".join(
            f"| {model} | {UID(uid).name} | {', '.join(UID(s).name for s in syntaxes)} |"
            for model in MODELS for uid, syntaxes in _proposed(model)
        ),
    )  # fmt: skip

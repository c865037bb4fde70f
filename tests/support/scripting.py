"""The engine of scripted_pacs.py: pynetdicom's Query/Retrieve service with every answer handed to a script."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from socketserver import BaseServer
from types import TracebackType
from typing import Any, Final, Self

import pynetdicom.association
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dsutils import decode, encode
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import QueryRetrieveServiceClass, ServiceClass
from pynetdicom.transport import ThreadedAssociationServer

from tests.support.process import HOST

HOOK: Final = "uid_to_service_class"  # how an association finds the class that serves a request
MODELS: Final = ("1.2.840.10008.1.1", *(f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3)))
CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"
Script = Callable[["Reply"], None]


class Reply:
    """One request that a script answers."""

    def __init__(self, service: ServiceClass, request: Any, context: PresentationContext, pacs: ScriptedPacs) -> None:
        self.assoc = service.assoc
        self.pacs = pacs
        self._service, self._request, self._context = service, request, context
        syntax = context.transfer_syntax[0]
        self.keys = decode(request.Identifier, syntax.is_implicit_VR, syntax.is_little_endian)
        self.level = str(self.keys.get("QueryRetrieveLevel", ""))

    @property
    def cancelled(self) -> bool:
        return self._service.is_cancelled(self._request.MessageID)

    @property
    def going(self) -> bool:
        """False once the association is over or the PACS is being stopped."""
        return bool(self.assoc.is_established) and not self.pacs.stopping.is_set()

    def send(self, status: int, identifier: Dataset | None = None, **elements: Any) -> None:
        """One response. `elements`: counters, ErrorComment, MessageIDBeingRespondedTo."""
        message = type(self._request)()
        message.MessageIDBeingRespondedTo = self._request.MessageID
        message.AffectedSOPClassUID = self._request.AffectedSOPClassUID
        message.Status = status
        for name, value in elements.items():
            setattr(message, name, value)
        if identifier is not None:
            syntax = self._context.transfer_syntax[0]
            raw = encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian)
            message.Identifier = BytesIO(raw or b"")
        self._service.dimse.send_msg(message, self._context.context_id or 1)

    def store(self, instance: Dataset) -> int | None:
        """A sub-operation of a C-GET, on its own association. The status; None when none came."""
        told = self.assoc.send_c_store(instance)
        return int(told.Status) if "Status" in told else None

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.going and time.monotonic() < until:
            time.sleep(0.01)

    def cut(self) -> None:
        """The TCP connection is gone, without an A-ABORT."""
        _cut(self.assoc)


def _cut(assoc: Association) -> None:
    """In any state, where pynetdicom knows no A-ABORT of what was rejected or released and waits for the peer (PS3.8 9.2)."""
    if (transport := assoc.dul.socket) is not None and (link := transport.socket) is not None:
        with contextlib.suppress(OSError):  # closed meanwhile
            link.shutdown(socket.SHUT_RDWR)


class _Scripted(QueryRetrieveServiceClass):
    """Hands requests for a ScriptedPacs to its scripts; the public events would do the sub-operations themselves."""

    pacs: dict[int, ScriptedPacs] = {}  # noqa: RUF012  by id of the AE

    def _c_find_scp(self, req: Any, context: PresentationContext) -> None:
        mine = self.pacs.get(id(self.ae))
        if mine is None:
            super()._c_find_scp(req, context)
        else:
            mine.answer("find", Reply(self, req, context, mine))

    def _move_scp(self, req: Any, context: PresentationContext) -> None:
        mine = self.pacs.get(id(self.ae))
        if mine is None:
            super()._move_scp(req, context)
        else:
            mine.answer("move", Reply(self, req, context, mine))

    def _get_scp(self, req: Any, context: PresentationContext) -> None:
        mine = self.pacs.get(id(self.ae))
        if mine is None:
            super()._get_scp(req, context)
        else:
            mine.answer("get", Reply(self, req, context, mine))


class ScriptedPacs:
    """`find`, `move`: the scripts; may be replaced while it runs. `asked`: the identifiers that came, oldest first.

    C-GET is answered by `move`, too. `role`: whether it takes the role to store CT images then.
    """

    def __init__(
        self,
        *,
        find: Script | None = None,
        move: Script | None = None,
        name: str = "main",
        models: Sequence[str] = MODELS,
        role: bool = True,
    ) -> None:
        self.name, self.ae_title, self.host, self.port = name, "DOUBLE", HOST, 0
        self.tls = None
        self.find, self.move = find or success, move or success
        self.asked: list[tuple[str, Dataset]] = []
        self.associations = 0
        self.stopping = threading.Event()
        self.ae = AE(ae_title=self.ae_title)
        for model in models:
            self.ae.add_supported_context(model, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        roles = {"scu_role": False, "scp_role": True} if role else {}  # of the requestor
        self.ae.add_supported_context(CT_IMAGE, ExplicitVRLittleEndian, **roles)

    def answer(self, what: str, reply: Reply) -> None:
        self.asked.append((what, reply.keys))
        (self.find if what == "find" else self.move)(reply)

    def questions(self, level: str) -> list[Dataset]:
        """The C-FIND identifiers of that level so far."""
        return [keys for what, keys in self.asked if what == "find" and keys.get("QueryRetrieveLevel") == level]

    def __enter__(self) -> Self:
        def opened(_: evt.Event) -> None:
            self.associations += 1

        original = self._original = getattr(pynetdicom.association, HOOK)
        if not _Scripted.pacs:

            def chosen(uid: str) -> type[ServiceClass]:
                found: type[ServiceClass] = original(uid)
                return _Scripted if found is QueryRetrieveServiceClass else found

            setattr(pynetdicom.association, HOOK, chosen)
        _Scripted.pacs[id(self.ae)] = self
        binding: list[Any] = [(evt.EVT_ACCEPTED, opened)]
        self._server = self.ae.make_server((HOST, 0), evt_handlers=binding, server_class=ThreadedAssociationServer)
        assert self._server.socket is not None
        self.port = self._server.socket.getsockname()[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        for assoc in self._server.active_associations:
            _cut(assoc)
        BaseServer.shutdown(self._server)  # pynetdicom's own wants to have started it
        self._server.server_close()
        del _Scripted.pacs[id(self.ae)]
        if not _Scripted.pacs:
            setattr(pynetdicom.association, HOOK, self._original)


def success(reply: Reply) -> None:
    """Nothing found, nothing to send."""
    reply.send(0x0000)

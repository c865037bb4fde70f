"""A PACS that misbehaves on demand: every C-FIND and C-MOVE answer is written by a script (pacs-behaviour.md C).

    with ScriptedPacs(find=rows(row1, row2, final=0xFE00)) as pacs: ...

A script is a callable that gets a `Reply`: status, counters, identifier, order, timing and sub-operations are all free, and
the association may be aborted, cut or left silent. The names of behaviours (F14, M8 ...) are those of the catalogue.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE

from tests.support.process import HOST
from tests.support.scripting import Reply, Script, ScriptedPacs

__all__ = [
    "CT_IMAGE", "Reply", "Script", "ScriptedPacs", "aborts", "by_level", "finals", "hangs_up", "in_turn", "instance",
    "pending_for_ever", "row", "rows", "sends", "silent", "store", "until_cancelled",
]  # fmt: skip

CT_IMAGE: Final = "1.2.840.10008.5.1.4.1.1.2"


# ---- C-FIND scripts


def row(**elements: object) -> Dataset:
    """A response identifier."""
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def rows(*answers: Dataset, final: int = 0x0000, pending: int = 0xFF00) -> Script:
    """The same rows to every question (F1, F5, F6, F15 with a strange `final`)."""

    def script(reply: Reply) -> None:
        for answer in answers:
            reply.send(pending, answer)
        reply.send(final)

    return script


def by_level(**answers: Sequence[Dataset]) -> Script:
    """Rows by level: `by_level(STUDY=[...], SERIES=[...])`."""

    def script(reply: Reply) -> None:
        for answer in answers.get(reply.level, ()):
            reply.send(0xFF00, answer)
        reply.send(0x0000)

    return script


def in_turn(*scripts: Script) -> Script:
    """The first request is answered by the first script, and so on; the last one answers what follows (F4)."""
    left = list(scripts)

    def script(reply: Reply) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(reply)

    return script


def pending_for_ever(every: float = 0.05, answer: Dataset | None = None) -> Script:
    """F14: a Pending now and then, and no end."""

    def script(reply: Reply) -> None:
        while reply.going and not reply.cancelled:
            reply.send(0xFF00, answer)
            reply.wait(every)

    return script


def silent(reply: Reply) -> None:
    """A5, M9: nothing at all until the other side gives up; C-CANCEL is not heard (M11)."""
    reply.wait(30.0)


def aborts(reply: Reply) -> None:
    """A9: A-ABORT in the middle of the answers."""
    reply.send(0xFF00, row(StudyInstanceUID="1.2.3"))
    reply.wait(0.05)
    reply.assoc.abort()


def hangs_up(reply: Reply) -> None:
    """A9: the connection closes."""
    reply.cut()


def releases(reply: Reply) -> None:
    """A9: an orderly release where a final answer belongs. Whoever does not see it waits for the deadline."""
    reply.assoc.acse.send_release(is_response=False)
    reply.wait(20.0)


# ---- C-MOVE scripts


def finals(status: int, identifier: Dataset | None = None, **counters: int) -> Script:
    """M3, M5, M6, M7: one final response, nothing sent."""

    def script(reply: Reply) -> None:
        reply.send(status, identifier, **counters)

    return script


def until_cancelled(status: int = 0xFE00, every: float = 0.05) -> Script:
    """M11: Pendings until a C-CANCEL comes, then `status`."""

    def script(reply: Reply) -> None:
        while reply.going and not reply.cancelled:
            reply.send(0xFF00)
            reply.wait(every)
        if reply.going:
            reply.send(status)

    return script


def sends(
    port: int,
    instances: Sequence[Dataset],
    *,
    then: Script,
    delay: float = 0.0,
    calling: str = "NODE2",
    late: bool = False,
) -> Script:
    """C-STOREs `instances` to `port`, before the final of `then`, or `late`: only after it (M8), from any AE title (S3)."""

    def script(reply: Reply) -> None:
        sender = threading.Thread(target=store, args=(port, instances), kwargs={"delay": delay, "calling": calling})
        sender.start()
        if not late:
            sender.join()
        then(reply)

    return script


def store(port: int, instances: Sequence[Dataset], *, delay: float = 0.0, calling: str = "NODE2") -> None:
    time.sleep(delay)
    ae = AE(ae_title=calling)
    ae.add_requested_context(CT_IMAGE, ExplicitVRLittleEndian)
    assoc = ae.associate(HOST, port, ae_title="RESEARCH")
    for ds in instances if assoc.is_established else ():
        assoc.send_c_store(ds)
    if assoc.is_established:
        assoc.release()


def instance(study: str, series: str, sop: str) -> Dataset:
    """The least that can be C-STOREd."""
    ds = row(SOPClassUID=CT_IMAGE, SOPInstanceUID=sop, StudyInstanceUID=study, SeriesInstanceUID=series)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    return ds

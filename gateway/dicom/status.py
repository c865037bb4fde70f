"""What a final status of C-FIND and C-MOVE means: whose failure it is (item, peer, configuration) and its reason slug.

Pure. Only 0x0000 completes a C-FIND. For C-MOVE the ledger decides what came, and the status only says why the rest did
not. Standard: PS3.4 C.4.1.1.4 (C-FIND), C.4.2.1.5 (C-MOVE), PS3.7 annex C (general).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.errors import Retry

SUCCESS: Final = 0x0000
PENDING: Final = frozenset({0xFF00, 0xFF01})
NO_SUBOPERATIONS: Final = 0xA702
CONFIG_PAUSE: Final = 300.0
"""Seconds until a peer is asked again that a person has to put right (here or there)."""


class Whose(StrEnum):
    """ITEM: this accession number or series, charged. PEER: the PACS, nobody charged. CONFIG: the same, asked rarely."""

    ITEM = "item"
    PEER = "peer"
    CONFIG = "config"


@dataclass(frozen=True)
class Failure:
    """Whose failure it is, and the slug that history and metrics may carry."""

    whose: Whose
    reason: str

    def error(self, detail: str = "") -> Retry:
        """The error to raise. `detail`: our own words only, never a peer's ErrorComment (it may hold anything)."""
        if self.whose is Whose.CONFIG:
            return Retry(self.reason, detail, after=CONFIG_PAUSE, charge=False)
        return Retry(self.reason, detail, charge=self.whose is Whose.ITEM)


# PS3.7 annex C: whatever the operation, these say that peer and we do not fit together.
_GENERAL: Final[Mapping[int, str]] = {
    0x0122: "unsupported",  # SOP class not supported
    0x0124: "not-authorised",
    0x0210: "protocol",  # duplicate invocation
    0x0211: "protocol",  # unrecognised operation
    0x0212: "protocol",  # mistyped argument
    0xA900: "unsupported",  # identifier does not match SOP class
}

_FIND: Final[Mapping[int, Failure]] = {
    0xA700: Failure(Whose.PEER, "find.out-of-resources"),
    0xFE00: Failure(Whose.ITEM, "find.truncated"),  # a cancel we did not ask for: Orthanc's LimitFindResults says so
}

_MOVE: Final[Mapping[int, Failure]] = {
    SUCCESS: Failure(Whose.ITEM, "move.incomplete"),
    0xB000: Failure(Whose.ITEM, "move.incomplete"),
    0xFE00: Failure(Whose.ITEM, "move.incomplete"),
    0xA701: Failure(Whose.PEER, "move.out-of-resources"),
    NO_SUBOPERATIONS: Failure(Whose.PEER, "move.suboperations"),
    0xA801: Failure(Whose.CONFIG, "move.unknown-destination"),
    0x0120: Failure(Whose.CONFIG, "move.unsupported"),  # missing attribute: our keys are not enough for this PACS
}


def find_failure(status: int) -> Failure:
    """For any final status but SUCCESS: the list is not complete, whatever was listed."""
    return _FIND.get(status) or _other("find", status)


def move_failure(status: int) -> Failure:
    """Why a C-MOVE that ended with `status` may have left instances out."""
    return _MOVE.get(status) or _other("move", status)


def get_failure(status: int) -> Failure:
    """As for C-MOVE, but for A702: what cannot be sent on our own association is the series's, mostly for want of a context."""
    return Failure(Whose.ITEM, "get.suboperations") if status == NO_SUBOPERATIONS else move_failure(status)


def _other(operation: str, status: int) -> Failure:
    if status in _GENERAL:
        return Failure(Whose.CONFIG, f"{operation}.{_GENERAL[status]}")
    if 0xC000 <= status <= 0xCFFF:  # unable to process
        return Failure(Whose.ITEM, f"{operation}.unable")
    return Failure(Whose.ITEM, f"{operation}.strange-status")

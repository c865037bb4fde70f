"""Which presentation contexts we accept as a Storage SCP: every storage-like class, in the transfer syntax we like best.

pynetdicom's own list lacks retired and private classes, and its order prefers Implicit VR, which turns private elements into
UN. So the supported contexts are made for each association from what the peer proposes (PS3.8 7.1.1.13):
Explicit VR Little Endian, then compressed as sent, Implicit VR, deflated, big endian, and last what nobody here knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import register_uid
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import ServiceClass, StorageServiceClass, VerificationServiceClass
from pynetdicom.sop_class import uid_to_service_class

STANDARD_ROOT: Final = "1.2.840.10008."
STORAGE_ROOT: Final = "1.2.840.10008.5.1.4.1.1."
"""All standard composite Storage classes, retired ones too, are numbered under it (PS3.6 table A-1)."""

WELL_FORMED: Final = re.compile(r"[0-9]+(\.[0-9]+)+", re.ASCII)
MAX_UID: Final = 64
MAX_REGISTERED: Final = 512
"""Classes that one process learns from its peers; real archives know a few dozen, a fuzzer any number."""
REMEMBERED: Final = 64
"""Proposals: of each peer one or two."""
LARGEST: Final = 128 * 64
"""UIDs of a proposal that is remembered: 128 contexts in all transfer syntaxes there are."""

Proposal = tuple[tuple[str, ...], ...]
"""Abstract syntax and transfer syntaxes of each context."""

_RANK: Final = {
    ExplicitVRLittleEndian: 0, ImplicitVRLittleEndian: 2, DeflatedExplicitVRLittleEndian: 3, ExplicitVRBigEndian: 4,
}  # fmt: skip
_COMPRESSED, _UNKNOWN = 1, 5


class StorageClasses:
    """What is a Storage class? Those pynetdicom knows, and up to `limit` others, registered when first proposed. Thread-safe."""

    def __init__(self, also: frozenset[str] = frozenset(), limit: int = MAX_REGISTERED) -> None:
        """`also`: other services."""
        self._also, self._limit = also, limit
        self._registered: set[str] = set()
        self._answers: dict[Proposal, list[PresentationContext]] = {}

    def supported(self, proposed: Iterable[PresentationContext]) -> list[PresentationContext]:
        """One context per acceptable abstract syntax proposed, its transfer syntaxes in our order.

        Remembered: a PACS opens an association for each series, and always proposes the same.
        """
        proposal = tuple((str(one.abstract_syntax or ""), *one.transfer_syntax) for one in proposed)
        answer = self._answers.get(proposal)
        if answer is None:
            answer = self._made(proposal)
            if len(self._answers) >= REMEMBERED:
                self._answers.clear()
            if sum(map(len, proposal)) <= LARGEST:
                self._answers[proposal] = answer
        return answer

    def _made(self, proposal: Proposal) -> list[PresentationContext]:
        syntaxes: dict[str, list[str]] = {}
        for abstract_syntax, *offered in proposal:
            if abstract_syntax in self._also or self.accepts(abstract_syntax):
                syntaxes.setdefault(abstract_syntax, []).extend(offered)
        return [_context(uid, by_preference(map(UID, offered))) for uid, offered in syntaxes.items()]

    def accepts(self, uid: str) -> bool:
        """True for Verification and Storage. Registers an unknown storage-like class: else its C-STORE would be aborted."""
        service = uid_to_service_class(uid)
        if service in (StorageServiceClass, VerificationServiceClass):
            return True
        if service is not ServiceClass or not _storage_like(uid) or len(self._registered) >= self._limit:
            return False
        register_uid(uid, f"Unlisted_{uid.replace('.', '_')}", StorageServiceClass)
        self._registered.add(uid)
        return True


def _storage_like(uid: str) -> bool:
    """A standard class outside the storage tree does something else than store; a private one may be anything: take it."""
    if not WELL_FORMED.fullmatch(uid) or len(uid) > MAX_UID:
        return False
    return uid.startswith(STORAGE_ROOT) or not uid.startswith(STANDARD_ROOT)


def by_preference(offered: Iterable[UID]) -> list[UID]:
    """Our order; among equals the peer's own. Duplicates fall out."""
    return sorted(dict.fromkeys(offered), key=_rank)


def _rank(syntax: UID) -> int:
    if syntax in _RANK:
        return _RANK[syntax]
    return _COMPRESSED if syntax in AllTransferSyntaxes and not _elsewhere(syntax) else _UNKNOWN


def _elsewhere(syntax: UID) -> bool:
    """JPIP and real-time video: the pixels are not in what would be sent (PS3.5 A.6, PS3.22)."""
    return syntax.startswith("1.2.840.10008.1.2.7.") or "JPIP" in syntax.name


def _context(abstract_syntax: str, transfer_syntaxes: list[UID]) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = UID(abstract_syntax)
    for syntax in transfer_syntaxes:
        context.add_transfer_syntax(syntax)
    return context

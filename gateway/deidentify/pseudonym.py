"""New values for UIDs and identifiers: keyed BLAKE2b, so that equal in is equal out on every node and after every restart, and
nothing can be told from the outcome without the key (PS3.15 E.3; PS3.5 B.2 for the UIDs' form).

Each kind of value has its own domain (BLAKE2's `person`): the same text as an accession number and as a patient ID is unrelated.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from gateway.deidentify.dates import offset_days
from gateway.deidentify.defaults import is_well_known

PADDING = b" \0"
UIDS = 1 << 10
"""UIDs remembered: those of a series come again with each instance."""
CACHED = 1 << 8
"""Values remembered of each other kind: a patient has a few."""


NOBODY: Mapping[bytes, bytes] = MappingProxyType({})


class Pseudonyms:
    """The mapping of one project. `key`: 32 bytes, derived for the project. `patient_id`: template with {pseudonym}.

    `crosswalk`: patient ID as encoded -> pseudonym, in place of the template; None where there is none.
    `aliases`: patient ID as encoded -> the one that it was merged into, whose pseudonym and shift of dates it gets.
    """

    def __init__(
        self,
        key: bytes,
        patient_id: str,
        crosswalk: Mapping[bytes, bytes] | None = None,
        aliases: Mapping[bytes, bytes] = NOBODY,
    ) -> None:
        self._aliases = aliases
        self._key = key
        self._template = patient_id
        self._crosswalk = crosswalk
        self.days = lru_cache(CACHED)(self._days)
        self.uids = lru_cache(UIDS)(self._uids)
        self.identifier = lru_cache(CACHED)(self._identifier)
        self.patient_id = lru_cache(CACHED)(self._patient_id)

    def uid(self, value: bytes) -> bytes:
        """One UID: `2.25.` and a 128-bit number; well-known ones unchanged, empty stays empty."""
        uid = value.strip(PADDING)
        if not uid or is_well_known(uid):
            return uid
        return b"2.25.%d" % int.from_bytes(self._hash(b"uid", uid, 16), "big")

    def knows(self, PatientID: bytes) -> bool:
        """Whether this patient has a pseudonym: everybody has, but where there is a crosswalk only those in it."""
        return self._crosswalk is None or self._survivor(PatientID) in self._crosswalk

    def _survivor(self, PatientID: bytes) -> bytes:
        text = PatientID.strip(PADDING)
        return self._aliases.get(text, text)

    def _days(self, PatientID: bytes, StudyInstanceUID: bytes) -> int:
        """Days to add to every date of the patient; of the study, where no patient ID tells whose it is."""
        text = self._survivor(PatientID)
        return offset_days(self._key, text or b"\1study" + StudyInstanceUID.strip(PADDING))

    def _uids(self, value: bytes) -> bytes:
        return b"\\".join(self.uid(part) for part in value.split(b"\\"))

    def _identifier(self, kind: bytes, value: bytes) -> bytes:
        text = value.strip(PADDING)
        return self._letters(kind, text) if text else b""

    def _patient_id(self, PatientID: bytes, StudyInstanceUID: bytes) -> bytes:
        """An empty patient ID must not make one patient of many: the study stands in for it.

        Who is not in the crosswalk (`knows`) but named somewhere, as another patient, gets a keyed hash like anybody.
        """
        text = self._survivor(PatientID)
        if self._crosswalk and text in self._crosswalk:
            return self._crosswalk[text]
        letters = (
            self._letters(b"patient", text)
            if text
            else self._letters(b"study-patient", StudyInstanceUID.strip(PADDING))
        )
        return self._template.encode().replace(b"{pseudonym}", letters)

    def _letters(self, kind: bytes, text: bytes) -> bytes:
        """16 of A-Z and 2-7 (80 bits): legal in SH, LO and CS."""
        return base64.b32encode(self._hash(kind, text, 10))

    def _hash(self, kind: bytes, text: bytes, size: int) -> bytes:
        return hashlib.blake2b(text, digest_size=size, key=self._key, person=kind).digest()

"""The patient's own values, taken from the original bytes: what `verify` then looks for in the result.

Written independently of the walker: nothing here follows the structure of the data set. A regular expression finds the tags
wherever they stand (nested, in UN elements, in private sequences), and UIDs by their form; so a mistake of the walk cannot hide a
value from here. Chance finds in binary data only make the search stricter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.deidentify.defaults import CLASS_UIDS, is_well_known
from gateway.deidentify.encoding import LONG_VRS, SHORT_VRS, Codec
from gateway.model import Buffer

NAMES = {
    0x00080090: "ReferringPhysicianName",
    0x0008009C: "ConsultingPhysicianName",
    0x00081048: "PhysiciansOfRecord",
    0x00081050: "PerformingPhysicianName",
    0x00081060: "NameOfPhysiciansReadingStudy",
    0x00081070: "OperatorsName",
    0x00100010: "PatientName",
    0x00101001: "OtherPatientNames",
    0x00101005: "PatientBirthName",
    0x00101060: "PatientMotherBirthName",
    0x00102297: "ResponsiblePerson",
    0x00321032: "RequestingPhysician",
    0x00400006: "ScheduledPerformingPhysicianName",
    0x00402008: "OrderEnteredBy",
    0x0040A075: "VerifyingObserverName",
    0x0040A123: "PersonName",
    0x00700084: "ContentCreatorName",
}
TEXTS = {
    0x00080050: "AccessionNumber",
    0x00080080: "InstitutionName",
    0x00080081: "InstitutionAddress",
    0x00080092: "ReferringPhysicianAddress",
    0x00080094: "ReferringPhysicianTelephoneNumbers",
    0x00100020: "PatientID",
    0x00101000: "OtherPatientIDs",
    0x00101040: "PatientAddress",
    0x00101090: "MedicalRecordLocator",
    0x00102154: "PatientTelephoneNumbers",
    0x00102155: "PatientTelecomInformation",
    0x00200010: "StudyID",
    0x00380010: "AdmissionID",
    0x00380060: "ServiceEpisodeID",
    0x00400253: "PerformedProcedureStepID",
    0x00401001: "RequestedProcedureID",
    0x00402016: "PlacerOrderNumberImagingServiceRequest",
    0x00402017: "FillerOrderNumberImagingServiceRequest",
}
DATES = {0x00100030: "PatientBirthDate"}
KINDS = NAMES | TEXTS | DATES
CHARACTER_SET = 0x00080005
INSTANCE_UIDS = frozenset({0x00080018, 0x0020000D, 0x0020000E, 0x00200052, 0x00081155})

LONGEST = 1024
"""Bytes; what claims to be longer is a chance find, or text that is not searched as a whole."""

UID = re.compile(rb"(?<![0-9.])[0-2](?:\.[0-9]{1,39}){4,}")
"""At least five components, as every registered instance root has."""


class Own(NamedTuple):
    """One value of the patient's. `tag` 0: from the request. `text`: raw, in the data set's own character set."""

    tag: int
    text: bytes


class Harvest(NamedTuple):
    """`uids`: every UID of the original that names something of the patient's. `character_set`: as declared, first value."""

    values: frozenset[Own]
    uids: frozenset[bytes]
    character_set: str


def harvest(segments: Iterable[Buffer], codec: Codec, tags: re.Pattern[bytes]) -> Harvest:
    """`segments`: the original without its pixel data. `tags`: of `tag_pattern` for this byte order."""
    values: set[Own] = set()
    uids: set[bytes] = set()
    named: dict[bool, set[bytes]] = {True: set(), False: set()}
    character_set = ""
    for segment in segments:
        uids.update(UID.findall(segment))
        for tag, value in _found(segment, codec, tags):
            if tag == CHARACTER_SET:
                character_set = character_set or value.split(b"\\")[0].decode("latin-1").strip(" \0")
            elif tag in KINDS:
                values.update(Own(tag, part) for part in map(_trim, value.split(b"\\")) if part)
            else:
                named[tag in INSTANCE_UIDS].update(UID.findall(value))
    public = set(filter(is_well_known, uids)) | (named[False] - named[True])
    return Harvest(frozenset(values), frozenset(uids - public), character_set)


def tag_pattern(codec: Codec) -> re.Pattern[bytes]:
    """Matches the four bytes of each tag of interest, in the encoding's byte order."""
    by_group: dict[int, list[int]] = {}
    for tag in (*KINDS, *CLASS_UIDS, *INSTANCE_UIDS, CHARACTER_SET):
        by_group.setdefault(tag >> 16, []).append(tag)
    return re.compile(b"|".join(_group_pattern(codec, tags) for tags in by_group.values()), re.DOTALL)


def _group_pattern(codec: Codec, tags: list[int]) -> bytes:
    elements = b"|".join(re.escape(codec.key(tag, b"")[2:4]) for tag in tags)
    return re.escape(codec.key(tags[0], b"")[:2]) + b"(?:" + elements + b")"


def _found(segment: Buffer, codec: Codec, tags: re.Pattern[bytes]) -> Iterator[tuple[int, bytes]]:
    """Tag and value of each place that looks like an element, explicit or implicit (as inside UN)."""
    view = memoryview(segment)
    for match in tags.finditer(segment):
        pos = match.start()
        group, element = codec.long.unpack(bytes(view[pos : pos + 4]) + b"\0\0\0\0")[:2]
        vr = bytes(view[pos + 4 : pos + 6])
        size = 2 if vr in SHORT_VRS else 4
        at = pos + (6 if vr in SHORT_VRS else 8 if vr in LONG_VRS else 4)
        length = int.from_bytes(view[at : at + size], "big" if codec.order == ">" else "little")
        if 0 < length <= LONGEST and at + size + length <= len(view):
            yield group << 16 | element, bytes(view[at + size : at + size + length])


def _trim(value: bytes) -> bytes:
    return value.strip(b" \0\r\n\t")

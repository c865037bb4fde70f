"""A line of the audit trail as a DICOM audit message (PS3.15 A.5): XML, for the hospital's audit record repository.

Look-ups, withdrawals and removals are Patient Record messages (A.5.3.11), the patient being a pseudonym or a keyed hash; that
somebody verified the trail is an Audit Log Used message (A.5.3.2), that a key was exchanged a Security Alert.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element, SubElement, tostring

PROGRAM: Final = "pacs-gateway"
CODES: Final = {
    "Patient Record": "110110", "Audit Log Used": "110101", "Security Alert": "110113", "Security Configuration": "110129",
    "Application": "110150",
}  # fmt: skip  # PS3.16 CID 400, 402, 403
KEYS: Final = frozenset({"key-rotation-begun", "key-rotated", "project-key-renewed"})
OWN: Final = "99PACSGATEWAY"
READ, DELETE, EXECUTE = "R", "D", "E"
ACTIONS: Final = {
    "reidentified": READ,
    "verified": READ,
    **dict.fromkeys(KEYS, EXECUTE),
}
"""By event; anything else takes something away."""
SUCCESS, MINOR_FAILURE = "0", "4"
IDS: Final = {"verified": "Audit Log Used", **dict.fromkeys(KEYS, "Security Alert")}  # all others are about a patient
FAILED: Final = frozenset({("listed", ""), ("verified", "failed"), ("reidentified", "unknown")})
"""(event, outcome) of what did not come to what was wanted."""


def message(line: Mapping[str, Any]) -> bytes:
    """UTF-8, without a declaration of it in front."""
    event = str(line["event"])
    root = Element("AuditMessage")
    failed = {(event, ""), (event, str(line.get("outcome", "")))} & FAILED
    happened = SubElement(
        root, "EventIdentification", EventActionCode=ACTIONS.get(event, DELETE), EventDateTime=str(line["at"]),
        EventOutcomeIndicator=MINOR_FAILURE if failed else SUCCESS,
    )  # fmt: skip
    _code(happened, "EventID", IDS.get(event, "Patient Record"))
    SubElement(happened, "EventTypeCode", {"csd-code": event, "codeSystemName": OWN, "originalText": event})
    if event in KEYS:
        _code(happened, "EventTypeCode", "Security Configuration")
    _who(root, line)
    source = SubElement(root, "AuditSourceIdentification", AuditSourceID=str(line.get("node", "")))
    SubElement(source, "AuditSourceTypeCode", {"csd-code": "4"})
    if event in KEYS:
        _resource(root, line, "key_file", "Pseudonymisation key")
    elif event in IDS:
        _resource(root, line, "audit.jsonl", "Security Audit Log")
    else:
        _patient(root, line)
    return tostring(root)


def _who(root: Element, line: Mapping[str, Any]) -> None:
    """The person or list that asked for it, and the program."""
    if line.get("user"):
        SubElement(root, "ActiveParticipant", UserID=str(line["user"]), UserIsRequestor="true")
    program = SubElement(root, "ActiveParticipant", UserID=PROGRAM, UserIsRequestor="false")
    _code(program, "RoleIDCode", "Application")


def _patient(root: Element, line: Mapping[str, Any]) -> None:
    """Person, in the role of the patient, by number (RFC 3881 5.5); of many at once their withdrawal, or project, is named."""
    named = str(next(line[name] for name in ("pseudonym", "patient", "withdrawal", "project") if line.get(name)))
    patient = SubElement(
        root, "ParticipantObjectIdentification", ParticipantObjectID=named, ParticipantObjectTypeCode="1",
        ParticipantObjectTypeCodeRole="1",
    )  # fmt: skip
    number = {"csd-code": "2", "codeSystemName": "RFC-3881", "originalText": "Patient Number"}
    SubElement(patient, "ParticipantObjectIDTypeCode", number)
    SubElement(patient, "ParticipantObjectName").text = named
    _details(patient, line, ("project", "withdrawal", "sink", "files", "series", "requests", "patients", "outcome"))


def _details(thing: Element, line: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if name in line:
            told = base64.b64encode(str(line[name]).encode()).decode()
            SubElement(thing, "ParticipantObjectDetail", type=name, value=told)


def _resource(root: Element, line: Mapping[str, Any], named: str, called: str) -> None:
    """System object, in the role of a security resource, by URI."""
    thing = SubElement(
        root, "ParticipantObjectIdentification", ParticipantObjectID=named, ParticipantObjectTypeCode="2",
        ParticipantObjectTypeCodeRole="13",
    )  # fmt: skip
    SubElement(
        thing, "ParticipantObjectIDTypeCode", {"csd-code": "12", "codeSystemName": "RFC-3881", "originalText": "URI"}
    )
    SubElement(thing, "ParticipantObjectName").text = called
    _details(thing, line, ("project",))


def _code(parent: Element, name: str, meaning: str) -> None:
    SubElement(parent, name, {"csd-code": CODES[meaning], "codeSystemName": "DCM", "originalText": meaning})

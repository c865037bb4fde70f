"""Audit messages as a repository gets them: the schema of PS3.15 A.5.1 in words, RFC 5424 around it, over real TLS and UDP."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gateway.errors import Retry
from gateway.ops.audit import Trail
from gateway.ops.audit_message import message
from gateway.ops.syslog import Event, send
from gateway.settings import Audit
from tests.ops.repository import over_tls, over_udp
from tests.support.certificates import Authority
from tests.support.process import free_port

KEY = bytes(range(32))
LINES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("reidentified", {"user": "root", "project": "chest", "pseudonym": "CHEST-A", "outcome": "found"}),
    ("reidentified", {"user": "root", "project": "chest", "patient": "0" * 32, "outcome": "unknown"}),
    ("withdraw-ordered", {"user": "root", "project": "chest", "pseudonym": "CHEST-A"}),
    ("withdraw-ordered", {"user": "opt-out", "project": "chest", "patients": 7}),
    ("withdrawn", {"user": "opt-out", "project": "chest", "withdrawal": "W-1", "patients": 7, "series": 0, "requests": 1}),
    ("removed", {"project": "chest", "withdrawal": "W-1", "sink": "directory:/srv/<a>", "pseudonym": "CHEST-A", "files": 5}),
    ("listed", {"project": "chest", "withdrawal": "W-1", "sink": "s3", "pseudonym": "CHEST-A", "files": 0}),
    ("verified", {"user": "root", "lines": 7, "outcome": "well"}),
)  # fmt: skip


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    trail = Trail(tmp_path_factory.mktemp("trail") / "audit.jsonl", KEY)
    for n, (event, facts) in enumerate(LINES):
        trail.append(event, at=1000.0 + n, node="gw1", **facts)
    return [dict(line) for line in trail.lines()]


def parsed(line: dict[str, Any]) -> ET.Element:
    return ET.fromstring(message(line))


def code(element: ET.Element | None) -> tuple[str, str]:
    assert element is not None and element.get("originalText")
    return element.attrib["csd-code"], element.attrib["codeSystemName"]


def test_every_line_is_a_message_of_the_schema(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        root = parsed(line)
        assert [child.tag for child in root if child.tag != "ActiveParticipant"] == [
            "EventIdentification", "AuditSourceIdentification", "ParticipantObjectIdentification",
        ]  # fmt: skip
        event, source = root[0], root.find("AuditSourceIdentification")
        assert source is not None and source.attrib == {"AuditSourceID": "gw1"}
        assert event.attrib["EventActionCode"] in "RD" and event.attrib["EventDateTime"] == line["at"]
        assert [child.tag for child in event] == ["EventID", "EventTypeCode"]
        assert code(event[1]) == (line["event"], "99PACSGATEWAY")
        thing = root.find("ParticipantObjectIdentification")
        assert thing is not None and [child.tag for child in thing][:2] == [
            "ParticipantObjectIDTypeCode", "ParticipantObjectName",
        ]  # fmt: skip
        assert {child.tag for child in thing[2:]} <= {"ParticipantObjectDetail"}


def test_that_a_key_was_exchanged_is_a_security_alert(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "audit.jsonl", KEY)
    trail.append("key-rotated", at=1.0, node="gw1", user="root")
    trail.append("project-key-renewed", at=2.0, node="gw1", user="root", project="chest")
    for line, details in zip(trail.lines(), (0, 1), strict=True):
        root = parsed(dict(line))
        assert root[0].attrib["EventActionCode"] == "E" and code(root.find("EventIdentification/EventID")) == (
            "110113",
            "DCM",
        )
        assert [code(kind) for kind in root[0][1:]] == [(line["event"], "99PACSGATEWAY"), ("110129", "DCM")]
        thing = root.find("ParticipantObjectIdentification")
        assert thing is not None and (thing.attrib["ParticipantObjectTypeCodeRole"], len(thing)) == ("13", 2 + details)


@pytest.mark.parametrize("n", range(len(LINES)), ids=lambda n: f"{n}-{LINES[n][0]}")
def test_what_happened_who_and_to_whom(lines: list[dict[str, Any]], n: int) -> None:
    root, line = parsed(lines[n]), lines[n]
    log = line["event"] == "verified"
    assert code(root.find("EventIdentification/EventID")) == ("110101" if log else "110110", "DCM")
    users = [(u.attrib["UserID"], u.attrib["UserIsRequestor"]) for u in root.findall("ActiveParticipant")]
    assert users == [*([(line["user"], "true")] if "user" in line else []), ("pacs-gateway", "false")]
    assert code(root.find("ActiveParticipant[last()]/RoleIDCode")) == ("110150", "DCM")
    thing = root.find("ParticipantObjectIdentification")
    assert thing is not None
    if log:
        assert (thing.attrib["ParticipantObjectTypeCode"], thing.attrib["ParticipantObjectTypeCodeRole"]) == ("2", "13")
    else:
        assert thing.attrib["ParticipantObjectID"] in (
            line.get("pseudonym"),
            line.get("patient"),
            line.get("withdrawal"),
            line["project"],
        )
        told = {
            d.attrib["type"]: base64.b64decode(d.attrib["value"]).decode()
            for d in thing.findall("ParticipantObjectDetail")
        }
        assert told == {k: str(line[k]) for k in told} and "project" in told
    failed = line["event"] == "listed" or line.get("outcome") == "unknown"
    assert root[0].attrib["EventOutcomeIndicator"] == ("4" if failed else "0")


def events(lines: list[dict[str, Any]]) -> list[Event]:
    return [Event(line["at"], "gw 1", message(line)) for line in lines]


HEAD = re.compile(
    rb"<85>1 1970-01-01T00:16:4\d\.000Z gw_1 pacs-gateway \d+ DICOM\+RFC3881 - \xef\xbb\xbf(<AuditMessage>.*)"
)


def contents(frames: list[bytes]) -> list[bytes]:
    found = [HEAD.fullmatch(frame) for frame in frames]
    assert all(found)
    return [match[1] for match in found if match]


@pytest.mark.parametrize("mutual", [False, True])
def test_over_tls_in_order(lines: list[dict[str, Any]], tmp_path: Path, mutual: bool) -> None:
    authority = Authority(tmp_path / "ca")
    ours = (
        authority.issue("gateway").tls
        if mutual
        else authority.issue("gateway").tls.model_copy(update={"certificate": None, "key": None})
    )
    with over_tls(authority.issue("repository", address="127.0.0.1"), mutual=mutual) as repository:
        send(Audit(host="127.0.0.1", port=repository.port, tls=ours), events(lines))
        assert contents(repository.wait_for(len(lines))) == [message(line) for line in lines]


def test_over_udp(lines: list[dict[str, Any]]) -> None:
    with over_udp() as repository:
        send(Audit(host="127.0.0.1", port=repository.port, protocol="udp"), events(lines))
        assert contents(repository.wait_for(len(lines))) == [message(line) for line in lines]


def test_a_repository_that_nobody_vouches_for_gets_nothing(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    stranger, known = Authority(tmp_path / "stranger"), Authority(tmp_path / "known")
    for wrong in (stranger.issue("repository", address="127.0.0.1"), known.issue("elsewhere", address="127.0.0.2")):
        with over_tls(wrong) as repository:
            there = Audit(host="127.0.0.1", port=repository.port, tls=known.issue("gateway").tls)
            with pytest.raises(Retry, match=r"audit\.unreachable"):
                send(there, events(lines))
        assert repository.received == []


def test_nobody_there_is_told_without_what_was_to_be_said(lines: list[dict[str, Any]], tmp_path: Path) -> None:
    tls = Authority(tmp_path / "ca").issue("gateway").tls
    with pytest.raises(Retry, match=r"audit\.unreachable") as told:
        send(Audit(host="127.0.0.1", port=free_port(), tls=tls), events(lines))
    assert "CHEST" not in told.value.detail


def test_one_that_hangs_up_unread_has_not_got_it(tmp_path: Path) -> None:
    """A megabyte does not fit into anybody's buffers: it must have been read."""
    authority = Authority(tmp_path / "ca")
    with over_tls(authority.issue("repository", address="127.0.0.1")) as repository:
        repository.reads = False
        large = Event("1970-01-01T00:16:40.000Z", "gw1", b"x" * (1 << 20))
        there = Audit(host="127.0.0.1", port=repository.port, tls=authority.issue("gw").tls)
        with pytest.raises(Retry, match=r"audit\.unreachable"):
            send(there, [large] * 8)


def test_a_certificate_that_the_repository_does_not_take_is_no_delivery(
    lines: list[dict[str, Any]], tmp_path: Path
) -> None:
    """TLS 1.3 tells us so only after we have sent."""
    theirs, ours = Authority(tmp_path / "theirs"), Authority(tmp_path / "ours")
    with over_tls(theirs.issue("repository", address="127.0.0.1"), mutual=True) as repository:
        tls = ours.issue("gateway").tls.model_copy(update={"ca": theirs.path})
        with pytest.raises(Retry, match=r"audit\.unreachable"):
            send(Audit(host="127.0.0.1", port=repository.port, tls=tls), events(lines))
    assert repository.received == []

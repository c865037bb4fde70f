"""`check --connect` at PACS that do not know us: each says so in its own way, or not at all (docs/pacs-behaviour.md A1)."""

from __future__ import annotations

from typing import Literal

import pytest

from gateway.dicom.association import Deadlines
from gateway.errors import GatewayError, Refused, Retry
from gateway.run.commands.canary import Canary
from gateway.settings import Pacs
from tests.support import scripted_pacs as script
from tests.support.peers import HOST, Dcmqrscp, Orthanc, PacsPeer, free_port
from tests.support.scripted_pacs import ScriptedPacs, row

QUICK = Deadlines(connect=1.0, negotiate=2.0, answer=2.0, question=3.0, release=0.5, cancel=0.5, pdu=1.0)
HERE = {"RESEARCH": (HOST, free_port())}


def canary(peer: PacsPeer | ScriptedPacs, retrieve: Literal["move", "get"] = "move") -> Canary:
    pacs = Pacs(name="main", ae_title=peer.ae_title, host=peer.host, port=peer.port, retrieve=retrieve)
    return Canary(pacs, "RESEARCH", QUICK)


def fault(peer: PacsPeer | ScriptedPacs) -> GatewayError:
    with pytest.raises((Refused, Retry)) as caught:
        canary(peer).sing()
    return caught.value


@pytest.mark.real
@pytest.mark.catalogue("A1")
def test_a1_dcmqrscp_answers_and_refuses_whom_it_does_not_know() -> None:
    with Dcmqrscp(destinations=HERE) as peer:
        assert canary(peer).sing().startswith("answers C-ECHO, C-FIND and C-MOVE (0x0000: only a move of something")
    with Dcmqrscp(destinations={"FRIEND": (HOST, free_port())}, friends="h0") as peer:
        err = fault(peer)
    assert err.reason == "pacs.rejected"
    assert "rejected 1/1/7" in err.detail, "which says that it is the called AE title; see the mend"


@pytest.mark.real
@pytest.mark.catalogue("A1", "M1")
def test_a1_orthanc_that_does_not_know_us_drops_the_link() -> None:
    with Orthanc(destinations=HERE) as peer:
        assert canary(peer).sing().startswith("answers C-ECHO, C-FIND and C-MOVE (0xC000: only a move of something")
    with Orthanc(options={"DicomAlwaysAllowFind": False, "DicomAlwaysAllowMove": False}) as peer:
        err = fault(peer)
    assert (err.reason, "does not know RESEARCH" in err.detail) == ("pacs.stranger", True)


@pytest.mark.catalogue("A1", "M12")
@pytest.mark.parametrize("number", [1, 30])
def test_a1_where_keys_are_ignored_nothing_is_moved(number: int) -> None:
    rows = [row(StudyInstanceUID=f"1.2.{n}") for n in range(number)]
    with ScriptedPacs(find=script.rows(*rows)) as peer:
        assert fault(peer).reason == "pacs.ignores-keys"
        assert [what for what, _ in peer.asked] == ["find"]


@pytest.mark.catalogue("A1")
@pytest.mark.parametrize(
    ("find", "move", "reason", "said"),
    [
        (script.aborts, None, "pacs.stranger", "drops the link at the first C-FIND"),
        (script.finals(0x0124), None, "find.not-authorised", "answers C-ECHO, but not C-FIND"),
        (None, script.hangs_up, "pacs.stranger", "drops the link at C-MOVE"),
        (None, script.finals(0x0124), "move.not-authorised", "may not retrieve"),
        (None, script.finals(0xA801), "move.unknown-destination", "with our host and port"),
    ],
)
def test_a1_each_way_to_be_a_stranger_is_named(
    find: script.Script | None, move: script.Script | None, reason: str, said: str
) -> None:
    with ScriptedPacs(find=find, move=move) as peer:
        err = fault(peer)
    assert (err.reason, said in err.detail) == (reason, True)


@pytest.mark.real
@pytest.mark.catalogue("A1", "M20")
def test_a1_by_get() -> None:
    with Dcmqrscp() as peer:
        assert canary(peer, "get").sing() == "answers C-ECHO, C-FIND and C-GET (0x0000)"
    with Dcmqrscp(options=["--disable-get"]) as peer, pytest.raises(Refused) as caught:
        canary(peer, "get").sing()
    assert (caught.value.reason, "but not C-GET" in caught.value.detail) == ("pacs.context-refused", True)


def test_nobody_there() -> None:
    peer = ScriptedPacs()
    peer.port = free_port()
    assert fault(peer).reason == "pacs.unreachable"

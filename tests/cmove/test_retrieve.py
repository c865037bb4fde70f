"""MoveStep against a PACS that misbehaves: the ledger decides, nothing is lost, nobody is charged for what he did not do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gateway.cmove import retrieve
from gateway.cmove.ends import Patience
from gateway.dicom.patience import MAX_ATTEMPTS
from gateway.errors import Fatal, Retry
from gateway.model import Outcome
from tests.cmove.rig import QUICK, STUDY, Rig, uids
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import Script, ScriptedPacs, instance, row

SERIES = f"{STUDY}.1"
SOP = uids(SERIES, 4)
IMAGES = [instance(STUDY, SERIES, uid) for uid in SOP]
LIST = script.by_level(IMAGE=[row(SOPInstanceUID=uid) for uid in SOP])
SUCCESS = script.finals(0x0000, NumberOfCompletedSuboperations=4)


def pacs(find: Script, move: Script) -> ScriptedPacs:
    return ScriptedPacs(find=find, move=move)


def retried(rig: Rig) -> tuple[str, str, int]:
    """State, reason and attempts of the only series, due again later and not now."""
    claim = rig.store.claim_series(pacs="main", projects=["p", "q"], lease=1.0, now=rig.now)
    assert claim is None, "due at once"
    later = rig.store.claim_series(pacs="main", projects=["p", "q"], lease=1.0, now=rig.now + 400.0)
    assert later is not None
    series = rig.only()
    return series.state, series.reason, later.attempts


def test_nothing_due(rig: Rig) -> None:
    with pacs(LIST, SUCCESS) as peer:
        assert not rig.step(peer).step()
        assert peer.associations == 0


def test_all_of_it_arrives(rig: Rig) -> None:
    rig.plan(SERIES)
    with capture_logs() as logs, pacs(LIST, script.sends(rig.receiver.port, IMAGES, then=SUCCESS)) as peer:
        assert rig.step(peer).step()
        assert not rig.step(peer).step()
        assert peer.associations == 1
    series = rig.only()
    assert (series.state, series.expected, series.excluded) == ("excluded", 4, 4)
    assert rig.moves("complete") == 1
    assert rig.counts.added["associations", "out"] == 0
    assert rig.board.states("pacs") == {"main": True}
    assert [entry["event"] for entry in logs if entry.get("series") == series.key] == ["series.retrieved"]
    assert STUDY not in repr(logs)


def test_what_is_complete_is_not_moved_again(rig: Rig) -> None:
    rig.plan(SERIES)
    rig.outcome = Outcome.KEPT
    for uid in SOP:
        rig.note(rig.only().key, uid)
    with pacs(LIST, script.silent) as peer:
        assert rig.step(peer).step()
        assert [what for what, _ in peer.asked] == ["find"]
    assert (rig.only().state, rig.only().kept) == ("retrieved", 4)
    assert rig.counts.observed["move_seconds"] == 0


@pytest.mark.parametrize("before", [Outcome.EXCLUDED, Outcome.REFUSED])
def test_what_was_not_kept_is_sent_again(rig: Rig, before: Outcome) -> None:
    """`requests retry`, or another rule: the old verdict is not the new one."""
    rig.plan(SERIES)
    rig.outcome = before
    for uid in SOP:
        rig.note(rig.only().key, uid)
    rig.outcome = Outcome.KEPT
    with pacs(LIST, script.sends(rig.receiver.port, IMAGES, then=SUCCESS)) as peer:
        assert rig.step(peer).step()
    assert (rig.only().state, rig.only().kept) == ("retrieved", 4)


@pytest.mark.catalogue("R13")
def test_one_retrieval_serves_every_project(rig: Rig) -> None:
    rig.plan(SERIES, project="p")
    rig.plan(SERIES, project="q")
    with pacs(LIST, script.sends(rig.receiver.port, IMAGES, then=SUCCESS)) as peer:
        assert rig.step(peer).step()
        assert [what for what, _ in peer.asked].count("move") == 1
    assert {(s.project, s.state, s.excluded) for s in rig.all_series()} == {("p", "excluded", 4), ("q", "excluded", 4)}


def test_series_after_series_over_one_association(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieve, "BATCH", 2)
    for n in range(3):
        rig.plan(f"{STUDY}.{n}")

    def listed(reply: script.Reply) -> None:
        reply.send(0xFF00, row(SOPInstanceUID=f"{reply.keys.SeriesInstanceUID}.1"))
        reply.send(0x0000)

    def sent(reply: script.Reply) -> None:
        uid = str(reply.keys.SeriesInstanceUID)
        script.store(rig.receiver.port, [instance(STUDY, uid, f"{uid}.1")])
        reply.send(0x0000)

    with pacs(listed, sent) as peer:
        step = rig.step(peer)
        assert (step.step(), step.step(), step.step()) == (True, True, False)
        assert peer.associations == 2
    assert {s.state for s in rig.all_series()} == {"excluded"}


def test_what_the_daemon_cannot_go_on_with_is_no_fault_of_a_series(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> None:
        raise Fatal("state.database", "not ours")

    monkeypatch.setattr(retrieve, "list_series", gone)
    rig.plan(f"{STUDY}.1")
    with pacs(script.rows(), script.finals(0x0000)) as peer, pytest.raises(Fatal):
        rig.step(peer).step()
    assert [s.state for s in rig.all_series()] == ["planned"]


@pytest.mark.catalogue("M3", "M4", "M5", "M6", "M7")
@pytest.mark.parametrize(
    ("move", "reason"),
    [
        (script.finals(0x0000), "move.incomplete"),
        (script.finals(0x0000, NumberOfCompletedSuboperations=4), "move.incomplete"),
        (script.finals(0xB000, row(FailedSOPInstanceUIDList=["1.2.9"])), "move.incomplete"),
        (script.finals(0xFE00), "move.incomplete"),
        (script.finals(0xC000), "move.unable"),
        (script.finals(0x1234), "move.strange-status"),
        (script.silent, "move.stalled"),
    ],
)
def test_m3_m4_m5_m7_incomplete_is_charged_and_retried(rig: Rig, move: Script, reason: str) -> None:
    """Success with nothing sent, whatever the counters say."""
    rig.plan(SERIES)
    with capture_logs() as logs, pacs(LIST, move) as peer:
        assert rig.step(peer, response_timeout=0.6).step()
    assert retried(rig) == ("planned", reason, 1)
    assert rig.moves("incomplete") == 1
    assert STUDY not in repr(logs)


@pytest.mark.catalogue("M6", "M4")
def test_the_ledger_overrules_a_failure_status(rig: Rig) -> None:
    rig.plan(SERIES)
    with pacs(LIST, script.sends(rig.receiver.port, IMAGES, then=script.finals(0xC000))) as peer:
        assert rig.step(peer).step()
    assert rig.only().state == "excluded"


@pytest.mark.catalogue("M5")
def test_the_rest_of_a_partial_move_comes_with_the_next(rig: Rig) -> None:
    rig.plan(SERIES)
    first = script.sends(rig.receiver.port, IMAGES[:3], then=script.finals(0xB000))
    second = script.sends(rig.receiver.port, IMAGES, then=SUCCESS)
    with pacs(LIST, script.in_turn(first, second)) as peer:
        rig.step(peer).step()
        assert rig.only().state == "planned"
        rig.now += 60.0
        rig.step(peer).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 4)


@pytest.mark.catalogue("M8", "S3", "S4")
def test_m8_instances_after_the_final_from_another_ae(rig: Rig) -> None:
    rig.plan(SERIES)
    late = script.sends(rig.receiver.port, IMAGES, then=SUCCESS, delay=0.2, late=True, calling="PACS_NODE2")
    with pacs(LIST, late) as peer:
        assert rig.step(peer, patience=replace(QUICK, quiet=10.0)).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 4)


def test_refused_instances_have_arrived(rig: Rig) -> None:
    rig.plan(SERIES)
    rig.outcome = Outcome.HELD
    rig.note(rig.only().key, "2.25.71009")  # one that came besides
    rig.outcome = Outcome.REFUSED
    with capture_logs() as logs, pacs(LIST, script.sends(rig.receiver.port, IMAGES, then=SUCCESS)) as peer:
        rig.step(peer).step()
    assert (rig.only().state, rig.only().refused, rig.only().held) == ("failed", 4, 1)
    assert rig.outbox.ledger(rig.only().key) == {}, "nothing of it is delivered"
    (told,) = [entry for entry in logs if entry.get("series") == rig.only().key]
    assert (told["event"], told["log_level"], told["reason"]) == ("series.failed", "error", rig.only().reason)


def test_what_waits_for_a_person_stays(rig: Rig) -> None:
    rig.plan(SERIES)
    rig.outcome = Outcome.HELD
    with pacs(LIST, script.sends(rig.receiver.port, IMAGES, then=SUCCESS)) as peer:
        rig.step(peer).step()
    assert (rig.only().state, len(rig.outbox.ledger(rig.only().key))) == ("held", 4)


@pytest.mark.catalogue("F8")
def test_without_image_level_the_count_has_to_do(rig: Rig) -> None:
    rig.plan(SERIES, instances=4)
    with pacs(script.rows(final=0xA900), script.sends(rig.receiver.port, IMAGES, then=SUCCESS)) as peer:
        rig.step(peer).step()
    assert (rig.only().state, rig.only().expected) == ("excluded", 4)


def test_without_any_number_success_and_silence_have_to_do(rig: Rig) -> None:
    rig.plan(SERIES)
    with pacs(script.rows(), script.sends(rig.receiver.port, IMAGES, then=SUCCESS)) as peer:
        rig.step(peer).step()
    assert (rig.only().state, rig.only().expected) == ("excluded", 4)


@pytest.mark.catalogue("D7")
def test_d7_a_series_with_no_instances_is_nothing_to_retrieve(rig: Rig) -> None:
    rig.plan(SERIES, instances=0)
    with pacs(script.rows(), script.silent) as peer:
        rig.step(peer).step()
        assert [what for what, _ in peer.asked] == ["find"]
    assert (rig.only().state, rig.only().reason) == ("excluded", "series.no-instances")


@pytest.mark.catalogue("F18", "M5")
def test_a_series_fails_for_good_after_its_attempts(rig: Rig) -> None:
    rig.plan(SERIES)
    with pacs(LIST, script.finals(0xC000)) as peer:
        step = rig.step(peer, patience=Patience(quiet=0.0, deadlines=QUICK.deadlines))
        for _ in range(MAX_ATTEMPTS):
            assert step.step()
            rig.now += 6 * 3600.0
        assert not step.step()
    assert (rig.only().state, rig.only().reason) == ("failed", "move.unable")


@pytest.mark.catalogue("A9", "M1", "M2", "M6")
@pytest.mark.parametrize(
    ("move", "reason"),
    [
        (script.aborts, "pacs.aborted"),
        (script.hangs_up, "pacs.aborted"),
        (script.finals(0xA701), "move.out-of-resources"),
        (script.finals(0xA702), "move.suboperations"),
        (script.finals(0xA801), "move.unknown-destination"),
    ],
)
def test_a9_m1_m2_the_peers_failure_costs_the_series_nothing(rig: Rig, move: Script, reason: str) -> None:
    rig.plan(SERIES)
    with pacs(LIST, move) as peer, pytest.raises(Retry) as caught:
        rig.step(peer).step()
    assert (caught.value.reason, caught.value.charge) == (reason, False)
    assert retried(rig) == ("planned", reason, 0)
    assert rig.board.states("pacs") == {"main": False}
    assert (rig.moves("failed"), rig.counts.added["associations", "out"]) == (1, 0)
    assert STUDY not in f"{caught.value!r} {caught.value}"


def test_a_pacs_that_is_down(rig: Rig) -> None:
    rig.plan(SERIES)
    peer = ScriptedPacs()
    peer.port = 1
    with pytest.raises(Retry) as caught:
        rig.step(peer).step()
    assert caught.value.reason == "pacs.unreachable"
    assert retried(rig) == ("planned", "pacs.unreachable", 0)


def test_a_series_that_alone_breaks_the_association_is_charged_the_second_time(rig: Rig) -> None:
    rig.plan(SERIES)
    with pacs(LIST, script.aborts) as peer:
        step = rig.step(peer)
        with pytest.raises(Retry):
            step.step()
        rig.plan(f"{STUDY}.9", project="q")
        peer.find = script.by_level(IMAGE=[row(SOPInstanceUID=f"{STUDY}.9.1")])
        peer.move = script.sends(rig.receiver.port, [instance(STUDY, f"{STUDY}.9", f"{STUDY}.9.1")], then=SUCCESS)
        assert step.step()
        rig.now += 60.0
        peer.find, peer.move = LIST, script.aborts
        with pytest.raises(Retry):
            step.step()
    waiting = rig.store.claim_series(pacs="main", projects=["p", "q"], lease=1.0, now=rig.now + 600.0)
    assert waiting is not None
    assert waiting.attempts == 1


@pytest.mark.catalogue("M10", "A9")
def test_m10_aborted_after_everything_was_sent_is_complete(rig: Rig) -> None:
    rig.plan(SERIES)
    with pacs(LIST, script.sends(rig.receiver.port, IMAGES, then=script.aborts)) as peer:
        assert rig.step(peer).step()
    assert rig.only().state == "excluded"

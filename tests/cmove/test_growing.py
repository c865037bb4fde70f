"""A study that grows after it was found (docs/pacs-behaviour.md M15): asked for again, a day later, until it is old and quiet."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.cfind.findscu import Finder
from gateway.cfind.growth import look_again
from gateway.cfind.plan import FindProject, FindStep
from gateway.cfind.select import CompiledSelect
from gateway.model import AccessionNumber, Outcome, Wanted
from tests.cmove.rig import STUDY, Rig, uids
from tests.support import scripted_pacs as script
from tests.support.carried import claim_row
from tests.support.scripted_pacs import ScriptedPacs, instance, row

DAY = 86400.0
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
AN = "SYN-ACC-1"


class Growing:
    """A PACS with one study; `series`: SeriesInstanceUID -> instances."""

    def __init__(self, rig: Rig, study_date: str) -> None:
        self.rig, self.series = rig, {f"{STUDY}.1": 2}
        self.study = row(StudyInstanceUID=STUDY, AccessionNumber=AN, StudyDate=study_date)

    def find(self, reply: script.Reply) -> None:
        rows = []
        if reply.level == "STUDY" and reply.keys.get("AccessionNumber") == AN:
            rows = [self.study]
        if reply.level == "SERIES":
            rows = [
                row(StudyInstanceUID=STUDY, SeriesInstanceUID=uid, Modality="CT", NumberOfSeriesRelatedInstances=n)
                for uid, n in self.series.items()
            ]
        if reply.level == "IMAGE":
            of = str(reply.keys.SeriesInstanceUID)
            rows = [row(SOPInstanceUID=uid) for uid in uids(of, self.series[of])]
        for answer in rows:
            reply.send(0xFF00, answer)
        reply.send(0x0000)

    def move(self, reply: script.Reply) -> None:
        of = str(reply.keys.SeriesInstanceUID)
        script.store(self.rig.receiver.port, [instance(STUDY, of, uid) for uid in uids(of, self.series[of])])
        reply.send(0x0000)


class Gateway:
    """Find and move steps over a rig's store."""

    def __init__(self, rig: Rig, peer: ScriptedPacs, *, recheck: tuple[float, ...] = ()) -> None:
        self.rig, self.peer = rig, peer
        finder = Finder(rig.pacs(peer), "RESEARCH", rig.counts)
        project = FindProject("p", ("main",), CompiledSelect(), recheck=recheck)
        self.find = FindStep(
            store=rig.store, finders={"main": finder}, projects=[project], board=rig.board, clock=lambda: rig.now
        )

    def run(self) -> str:
        """All that is due now; the state of the request afterwards."""
        while self.find.step() or self.rig.step(self.peer).step():
            pass
        (request,) = self.rig.views.requests()
        return request.state

    def confirm(self) -> None:
        """What the courier does."""
        for state, event in (("retrieved", "delivered"), ("delivered", "confirmed")):
            while claimed := claim_row(self.rig.store, state, projects=["p"], lease=9.0, now=self.rig.now):
                assert self.rig.store.settle_row(claimed, event, now=self.rig.now)
                self.rig.outbox.clear(claimed.key)


@pytest.mark.catalogue("M15")
def test_m15_a_study_of_today_is_asked_for_again_until_it_is_quiet(rig: Rig) -> None:
    rig.now = NOON
    rig.store.add_requests([Wanted("p", AccessionNumber(AN))], (), project="p", cursor=None, now=rig.now)
    archive = Growing(rig, "20261126")
    with ScriptedPacs(find=archive.find, move=archive.move) as peer:
        gateway = Gateway(rig, peer)
        assert gateway.run() == "new", "its one series is done, the study is not"
        (request,) = rig.views.requests()
        assert (request.reason, request.not_before) == ("study.young", NOON + DAY)
        archive.series[f"{STUDY}.2"] = 3
        rig.now += DAY / 2
        assert gateway.run() == "new", "not yet"
        rig.now += DAY / 2
        assert gateway.run() == "new", "it has just grown"
        assert sorted(s.excluded for s in rig.all_series()) == [2, 3]
        asked = len(peer.questions("STUDY"))
        rig.now += DAY
        assert gateway.run() == "done", "two days old, and nothing new"
        assert len(peer.questions("STUDY")) > asked
        rig.now += 7 * DAY
        asked = len(peer.asked)
        assert gateway.run() == "done"
        assert len(peer.asked) == asked


@pytest.mark.catalogue("M15")
def test_m15_a_series_that_grew_after_it_was_confirmed_is_fetched_again(rig: Rig) -> None:
    rig.now, rig.outcome = NOON, Outcome.KEPT
    rig.store.add_requests([Wanted("p", AccessionNumber(AN))], (), project="p", cursor=None, now=rig.now)
    archive = Growing(rig, "20261125")
    with ScriptedPacs(find=archive.find, move=archive.move) as peer:
        gateway = Gateway(rig, peer)
        gateway.run()
        gateway.confirm()
        assert (rig.only().state, gateway.run()) == ("confirmed", "new")
        archive.series[f"{STUDY}.1"] = 5
        rig.now += DAY
        assert gateway.run() == "planned"
        assert (rig.only().state, rig.only().kept) == ("retrieved", 5)
        gateway.confirm()
        rig.now += DAY
        assert (rig.only().state, gateway.run()) == ("confirmed", "done")


@pytest.mark.catalogue("M15", "F12")
def test_m15_a_day_that_the_pacs_writes_in_its_own_way_is_that_of_the_ris(rig: Rig) -> None:
    rig.now = NOON
    wanted = Wanted("p", AccessionNumber(AN), study_date="20261126")
    rig.store.add_requests([wanted], (), project="p", cursor=None, now=rig.now)
    with ScriptedPacs(find=(archive := Growing(rig, "2026.11.26")).find, move=archive.move) as peer:
        assert Gateway(rig, peer).run() == "new", "to be looked at once more"


@pytest.mark.catalogue("M15")
def test_m15_an_old_study_is_asked_for_once(rig: Rig) -> None:
    rig.now = NOON
    rig.store.add_requests([Wanted("p", AccessionNumber(AN))], (), project="p", cursor=None, now=rig.now)
    archive = Growing(rig, "20240503")
    with ScriptedPacs(find=archive.find, move=archive.move) as peer:
        assert Gateway(rig, peer).run() == "done"


@pytest.mark.catalogue("M15", "M16")
def test_m16_a_second_look_that_finds_nothing_takes_nothing_away(rig: Rig) -> None:
    """Deleted or merged since: what was delivered stays delivered, and its number is not kept for good."""
    rig.now, rig.outcome = NOON, Outcome.KEPT
    rig.store.add_requests([Wanted("p", AccessionNumber(AN))], (), project="p", cursor=None, now=rig.now)
    archive = Growing(rig, "20261125")
    with ScriptedPacs(find=archive.find, move=archive.move) as peer:
        gateway = Gateway(rig, peer, recheck=(DAY,))
        gateway.run()
        gateway.confirm()
        archive.study = row()
        rig.now += DAY
        assert gateway.run() == "new", "it may be a PACS that is busy"
        rig.now += DAY
        assert gateway.run() == "done"
    (sheet,) = rig.views.balances()
    assert (sheet.adds_up, sheet.total("delivered"), sheet.total("empty")) == (True, 1, 0)
    assert rig.store.retry(keys=[rig.views.requests()[0].key], now=rig.now) == 0


@pytest.mark.parametrize(
    ("day", "again"),
    [
        ("20261126", True),
        ("20261125", True),
        ("20261127", True),
        ("20261124", False),
        ("", False),
        ("20261399", False),
        ("20271126", False),
    ],
)
def test_which_studies_may_still_grow(day: str, again: bool) -> None:
    assert (look_again(day, NOON) == NOON + DAY) is again

"""A move that is stopped, outlives its lease, or loses it, or ends in a mistake of ours."""

from __future__ import annotations

import threading
import time

import pytest

from gateway.cmove import retrieve
from gateway.dicom.patience import MAX_ATTEMPTS
from tests.cmove.rig import STUDY, Rig, uids
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import Script, ScriptedPacs, instance, row

SERIES = f"{STUDY}.1"
SOP = uids(SERIES, 4)
IMAGES = [instance(STUDY, SERIES, uid) for uid in SOP]
LIST = script.by_level(IMAGE=[row(SOPInstanceUID=uid) for uid in SOP])


def pacs(find: Script, move: Script) -> ScriptedPacs:
    return ScriptedPacs(find=find, move=move)


@pytest.mark.catalogue("M11")
@pytest.mark.parametrize("move", [script.until_cancelled(), script.silent])
def test_m11_stopping_cancels_and_gives_the_series_back_uncharged(rig: Rig, move: Script) -> None:
    rig.plan(SERIES)
    with pacs(LIST, move) as peer:
        threading.Timer(0.3, rig.stop.set).start()
        start = time.monotonic()
        assert rig.step(peer, response_timeout=60.0).step()
    assert time.monotonic() - start < 3.0
    again = rig.store.claim_series(pacs="main", projects=["p", "q"], lease=1.0, now=rig.now)
    assert again is not None, "due again at once"
    assert again.attempts == 0
    assert rig.moves("stopped") == 1


@pytest.mark.catalogue("M9")
def test_the_lease_is_kept_alive_while_a_move_goes_on(rig: Rig) -> None:
    rig.plan(SERIES)
    stolen: list[object] = []

    def slow(reply: script.Reply) -> None:
        for _ in range(8):
            rig.now += retrieve.LEASE / 4
            reply.send(0xFF00)
            reply.wait(0.2)
        stolen.append(rig.store.claim_series(pacs="main", projects=["p", "q"], lease=1.0, now=rig.now))
        script.store(rig.receiver.port, IMAGES)
        reply.send(0x0000)

    with pacs(LIST, slow) as peer:
        assert rig.step(peer, response_timeout=0.4).step()
    assert stolen == [None], "nobody else may take it"
    assert rig.only().state == "excluded"


def test_a_cancelled_series_stops_its_move(rig: Rig) -> None:
    rig.plan(SERIES)

    def cancel(reply: script.Reply) -> None:
        rig.store.cancel(keys=[r.key for r in rig.views.requests()], now=rig.now)
        rig.now += 60.0
        reply.wait(30.0)

    with pacs(LIST, cancel) as peer:
        start = time.monotonic()
        assert rig.step(peer, response_timeout=4.0).step()
        assert time.monotonic() - start < 3.0
    assert rig.store.claim_series(pacs="main", projects=["p", "q"], lease=1.0, now=rig.now + 600.0) is None


def test_a_mistake_of_ours_costs_the_series_an_attempt_and_ends(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.plan(SERIES)
    monkeypatch.setattr(retrieve, "list_series", lambda *_, **__: 1 // 0)
    with ScriptedPacs(find=LIST) as pacs:
        step = rig.step(pacs)
        for _ in range(MAX_ATTEMPTS):
            with pytest.raises(ZeroDivisionError):
                step.step()
            assert not step.step(), "it waits"
            rig.now += 24 * 3600.0
    assert (rig.only().state, rig.only().reason) == ("failed", "move.internal")

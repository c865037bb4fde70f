"""C-GET (docs/pacs-behaviour.md M20): series come on our own association, to the same receiving as those of a C-MOVE."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gateway.cmove.getscu import USUAL, get
from gateway.dicom.association import Scu
from gateway.dicom.getting import COMPRESSED, PLAIN, ROOM, Storing
from gateway.dicom.incoming import Incoming
from gateway.dicom.moving import MoveWatch
from gateway.errors import Retry
from gateway.settings import Pacs
from tests.cmove.rig import QUICK, STUDY, Rig, uids
from tests.dicom.serving import convert, eventually
from tests.support import scripted_pacs as script
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study
from tests.support.peers import Dcmqrscp, Orthanc, PacsPeer
from tests.support.process import program, run
from tests.support.scripted_pacs import ScriptedPacs, instance, row

NUMBER = count(1)
PATIENT = replace(QUICK, quiet=2.0, longest=30.0)
SERIES = f"{STUDY}.1"
CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"


@pytest.fixture(scope="module", params=[Orthanc, Dcmqrscp])
def peer(request: pytest.FixtureRequest) -> Iterator[PacsPeer]:
    """It knows no destination at all."""
    with request.param() as started:
        yield started


@pytest.fixture
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFacts:
    n = next(NUMBER)
    return make_study(
        tmp_path_factory.mktemp("files"), patient_id=f"SYN-GET-{n}", name="Synthetic^Anna", birth_date="19500102",
        accession=f"SYN-GET-{n}", study_date="20240503", series=[SeriesSpec("CT", "Thorax", 12), SeriesSpec("SR", "Report", 1)],
    )  # fmt: skip


class Taken:
    """What the receiving was given: (calling AE title, transfer syntax)."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.came = rig, list[tuple[str, str]]()

    def __call__(self, incoming: Incoming) -> int:
        self.came.append((incoming.calling_ae, incoming.transfer_syntax))
        return self.rig.on_store(incoming)


@pytest.mark.catalogue("M20")
def test_m20_classes_that_cannot_be_proposed_are_left_out() -> None:
    """One that is too long ends in ValueError, one that is no ASCII in the death of the thread that sends."""

    def lists(reply: script.Reply) -> None:
        for sop_class in (CT, "9" * 70, "1.2.\u4e2d", "1.2.3 4"):
            reply.send(0xFF00, row(SOPInstanceUID=f"{SERIES}.1", SOPClassUID=sop_class))
        reply.send(0x0000)

    def connect(classes: tuple[str, ...]) -> Scu:
        raise Retry("proposed", ",".join(classes))

    with ScriptedPacs(find=lists) as pacs, Scu(pacs, "RESEARCH") as scu, pytest.raises(Retry) as told:
        get(
            scu,
            {"StudyInstanceUID": STUDY, "SeriesInstanceUID": SERIES},
            Dataset(),
            MoveWatch(float, 1, 1, bool),
            connect,
        )
    assert told.value.detail == CT


@pytest.mark.real
@pytest.mark.catalogue("M20")
def test_m20_images_and_reports_come_on_our_own_association(rig: Rig, peer: PacsPeer, study: StudyFacts) -> None:
    peer.upload(study.files)
    rig.plan(*[s.SeriesInstanceUID for s in study.series], study=study.StudyInstanceUID)
    taken = Taken(rig)
    assert rig.step(peer, patience=PATIENT, take=taken).step()
    assert sorted((s.state, s.excluded) for s in rig.all_series()) == [("excluded", 1), ("excluded", 12)]
    assert {ae for ae, _ in taken.came} == {peer.ae_title}
    assert rig.moves("complete") == 2
    assert rig.counts.added["associations", "out"] == 0


@pytest.mark.real
@pytest.mark.catalogue("M20", "S10")
@pytest.mark.parametrize("peer", [Orthanc], indirect=True)
@pytest.mark.parametrize(("tool", "proposed"), [("dcmcjpeg", "-xs"), ("dcmcjpls", "-xt"), ("dcmcrle", "-xr")])
def test_m20_compressed_images_come_as_they_are(
    rig: Rig, peer: PacsPeer, study: StudyFacts, tool: str, proposed: str, tmp_path: Path
) -> None:
    """What is proposed uncompressed alone comes back as a success with nothing sent, or decompressed."""
    some = study.series[0].files[:3]
    smaller = [tmp_path / path.name for path in some]
    for before, after in zip(some, smaller, strict=True):
        convert(tool, before, after)
    there = ["-aec", peer.ae_title, peer.host, str(peer.port)]
    run([program("storescu"), "-R", proposed, *there, *map(str, smaller)], timeout=60)
    rig.plan(study.series[0].SeriesInstanceUID, study=study.StudyInstanceUID)
    taken = Taken(rig)
    assert rig.step(peer, patience=PATIENT, take=taken).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 3)
    assert len({syntax for _, syntax in taken.came} & set(COMPRESSED)) == 1


@pytest.mark.real
@pytest.mark.catalogue("M20", "A10")
def test_m20_a_pacs_without_c_get_says_so(rig: Rig, study: StudyFacts) -> None:
    with Dcmqrscp(options=["--disable-get"]) as peer:
        peer.upload(study.files)
        rig.plan(study.series[0].SeriesInstanceUID, study=study.StudyInstanceUID)
        with pytest.raises(Retry) as caught:
            rig.step(peer, take=Taken(rig)).step()
    assert (caught.value.reason, caught.value.charge) == ("pacs.context-refused", False)
    assert rig.only().state == "planned"


def images(number: int = 4) -> list[Dataset]:
    return [instance(STUDY, SERIES, uid) for uid in uids(SERIES, number)]


def lists(reply: script.Reply) -> None:
    for uid in uids(SERIES, 4):
        reply.send(0xFF00, row(SOPInstanceUID=uid, SOPClassUID=CT))
    reply.send(0x0000)


def stores(said: list[int | None], instances: Sequence[Dataset], final: int = 0x0000) -> script.Script:
    """`said`: what each sub-operation was answered."""

    def get(reply: script.Reply) -> None:
        for ds in instances:
            said.append(reply.store(ds))
            reply.send(0xFF00)
        reply.send(final)

    return get


@pytest.mark.catalogue("M20", "M3", "M5")
@pytest.mark.parametrize(("sent", "final"), [(0, 0x0000), (3, 0x0000), (3, 0xB000), (2, 0xA702), (4, 0xA702)])
def test_m20_the_ledger_decides_and_what_cannot_be_sent_is_the_series_own(rig: Rig, sent: int, final: int) -> None:
    """Only uncompressed proposed: success with nothing; no context for a class: A702."""
    rig.plan(SERIES)
    said: list[int | None] = []
    with ScriptedPacs(find=lists, move=stores(said, images()[:sent], final)) as peer:
        assert rig.step(peer, take=rig.on_store).step()
        assert rig.board.states("pacs") == ({"main": True} if sent == 4 else {}), "never down for it"
    assert said == [0x0000] * sent
    assert rig.only().state == ("excluded" if sent == 4 else "planned")
    assert rig.only().reason == (
        "select.instance" if sent == 4 else "get.suboperations" if final == 0xA702 else "move.incomplete"
    )


@pytest.mark.catalogue("M20", "F8")
@pytest.mark.parametrize("final", [0x0122, 0xA900, 0xC000])
def test_m20_a_pacs_that_lists_no_images_sends_what_is_usual(rig: Rig, final: int) -> None:
    rig.plan(SERIES, instances=4)
    with ScriptedPacs(find=script.rows(final=final), move=stores([], images())) as peer:
        assert rig.step(peer, take=rig.on_store).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 4)


@pytest.mark.catalogue("M20", "S1")
def test_m20_what_we_cannot_take_for_the_moment_is_answered_so_and_comes_again(rig: Rig) -> None:
    rig.plan(SERIES)
    said: list[int | None] = []
    rig.lose = set(uids(SERIES, 4)[1:2])
    with ScriptedPacs(find=lists, move=stores(said, images(), 0xB000)) as peer:
        assert rig.step(peer, take=rig.on_store).step()
        assert said == [0x0000, 0xA700, 0x0000, 0x0000]
        rig.lose, rig.now = set(), rig.now + 120.0
        assert rig.step(peer, take=rig.on_store).step()
    assert (rig.only().state, rig.only().excluded) == ("excluded", 4)


@pytest.mark.catalogue("M20", "S17")
def test_m20_what_is_too_large_for_it_is_told_and_the_pacs_counts_as_up(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pynetdicom gathers it in memory: what is larger than there is room for would be asked for again and again."""
    monkeypatch.setattr("gateway.dicom.sockets.MAX_STORE", 1 << 16)
    rig.plan(SERIES)
    large = images()
    large[2].add_new(0x7FE00010, "OW", bytes(1 << 20))
    with ScriptedPacs(find=lists, move=stores([], large)) as peer:
        assert rig.step(peer, take=rig.on_store).step()
    assert (rig.only().state, rig.only().reason) == ("failed", "get.too-large")
    assert rig.board.states("pacs") == {}, "never down for it"


@pytest.mark.catalogue("M20")
def test_m20_a_role_that_is_not_given_is_a_matter_of_configuration(rig: Rig) -> None:
    rig.plan(SERIES)
    with ScriptedPacs(find=lists, role=False) as peer, pytest.raises(Retry) as caught:
        rig.step(peer, take=rig.on_store).step()
    assert (caught.value.reason, caught.value.charge) == ("pacs.role-refused", False)
    assert (caught.value.after or 0) >= 60
    assert [what for what, _ in peer.asked if what == "get"] == []


@pytest.mark.catalogue("M20", "M11")
@pytest.mark.parametrize("deaf", [False, True])
def test_m20_stopping_cancels_or_aborts(rig: Rig, deaf: bool) -> None:
    rig.plan(SERIES)
    end = script.silent if deaf else script.until_cancelled()

    def some(reply: script.Reply) -> None:
        reply.store(images()[0])
        rig.stop.set()
        end(reply)

    with ScriptedPacs(find=lists, move=some) as peer:
        start = time.monotonic()
        assert rig.step(peer, response_timeout=60.0, take=rig.on_store).step()
        assert time.monotonic() - start < 5.0
    again = rig.store.claim_series(pacs="main", projects=["p", "q"], lease=1.0, now=rig.now)
    assert again is not None and again.attempts == 0


@pytest.mark.catalogue("M20", "A9")
@pytest.mark.parametrize("end", [script.aborts, script.hangs_up, script.releases, script.finals(0x1234)])
def test_m20_however_it_ends_what_came_counts(rig: Rig, end: script.Script) -> None:
    rig.plan(SERIES)

    def then(reply: script.Reply) -> None:
        for ds in images():
            reply.store(ds)
        end(reply)

    before, start = threading.active_count(), time.monotonic()
    with ScriptedPacs(find=lists, move=then) as peer:
        assert rig.step(peer, response_timeout=60.0, take=rig.on_store).step()
        assert time.monotonic() - start < 7.0, "noticed at once"
    assert (rig.only().state, rig.only().excluded) == ("excluded", 4)
    assert eventually(lambda: threading.active_count() <= before)


@pytest.mark.catalogue("M20", "B17")
@pytest.mark.parametrize("classes", [(CT,), (SR,), (CT, SR), USUAL, tuple(f"1.2.3.{n}" for n in range(60))])
def test_m20_contexts_fit_and_reports_are_never_offered_compressed(classes: tuple[str, ...]) -> None:
    storing = Storing(classes, lambda _: 0x0000, Pacs(name="main", ae_title="A", host="127.0.0.1"))
    contexts = storing.contexts()
    assert len(contexts) <= ROOM
    assert [c for c, syntaxes in contexts if syntaxes == PLAIN] == list(classes)
    assert {syntaxes for c, syntaxes in contexts if c == SR} <= {PLAIN}
    if CT in classes:
        offered = [s for c, syntaxes in contexts if c == CT for s in syntaxes]
        assert sorted(offered) == sorted((*PLAIN, *COMPRESSED)), "each once"

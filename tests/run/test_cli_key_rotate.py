"""`key rotate`: with the new key all goes on under the old pseudonyms, the old key opens nothing; killed anywhere, it is ended."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import pytest

from gateway.run import broker
from gateway.run.locking import lock_state
from tests.run.broker_site import ANNA, BERT, PROJECT, Site, study
from tests.run.command_line import Place, furnish
from tests.run.rotation_site import again, events, key, made_of
from tests.run.test_migrate import pointed
from tests.support.dicomfiles import StudyFacts
from tests.support.peers import Postgres
from tests.support.process import new_folder


@pytest.fixture(scope="module")
def peer() -> Iterator[Postgres]:
    with Postgres() as started:
        yield started


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def site(request: pytest.FixtureRequest, place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(broker, "SETTLES", 0.0)
    if request.param == "postgresql":
        pointed(place, request.getfixturevalue("peer"))
    made = Site(place)
    yield made
    made.close()


@pytest.fixture
def local(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """On SQLite alone."""
    monkeypatch.setattr(broker, "SETTLES", 0.0)
    made = Site(place)
    yield made
    made.close()


def test_everything_goes_on_under_the_new_key(site: Site, anna: StudyFacts, bert: StudyFacts) -> None:
    """Reidentified, withdrawn, opted out, recognised: with pseudonyms from before, and a trail that goes through."""
    site.delivered(anna)
    site.delivered(bert)
    site.close()
    place, old = site.place, key(site).read_bytes()
    before, (first, *_) = made_of(site, anna), sorted(site.pseudonyms())
    shown = place.say("reidentify", "--project", PROJECT, first, "--json").json
    told = place.say("key", "rotate")
    assert told.code == 0, told.err
    new = key(site).read_bytes()
    assert new != old and (key(site).parent / "pseudonym.key.old").read_bytes() == old
    assert stat.S_IMODE(key(site).stat().st_mode) == 0o600 and not (key(site).parent / "pseudonym.key.new").exists()
    assert place.say("key", "check").code == 0 and place.say("audit", "verify").code == 0
    assert made_of(site, anna) == before
    assert place.say("reidentify", "--project", PROJECT, first, "--json").json == shown
    assert events(site)[:3] == ["reidentified", "key-rotation-begun", "key-rotated"]
    later = again(site)
    assert later.ask(anna).known == 1, "what was asked for is known"
    third = later.delivered(study(place.folder / "more", ANNA, 3))
    assert len(later.pseudonyms()) == 2, "and who comes again is the same"
    told = place.say("withdraw", "--project", PROJECT, "--patient-id", ANNA, "--reason", "x", "--json")
    assert told.code == 0, told.err
    assert len(later.pseudonyms()) == 1 and later.ask(third).aside == 1
    desk = broker.make_desk(later.settings, later.state)
    assert (desk.opted_out(PROJECT, [ANNA, BERT]), desk.opted_out(PROJECT, [ANNA, BERT])) == (1, 0)
    assert place.say("audit", "verify").code == 0
    later.close()


def test_the_old_key_is_refused_everywhere(site: Site, anna: StudyFacts) -> None:
    site.delivered(anna)
    (pseudonym,) = site.pseudonyms()
    site.close()
    old = key(site).read_bytes()
    assert site.place.say("key", "rotate").code == 0
    key(site).write_bytes(old)
    for words in (
        ("reidentify", "--project", PROJECT, pseudonym), ("audit", "verify"), ("requests", "list"), ("key", "rotate"),
        ("deid", "--project", PROJECT, str(anna.files[0]), str(site.place.folder / "out")),
    ):  # fmt: skip
        told = site.place.say(*words)
        assert (told.code, "state.key" in told.err) == (1, True), words


def test_not_while_anybody_uses_the_state(local: Site, anna: StudyFacts) -> None:
    local.delivered(anna)
    told = local.place.say("key", "rotate")
    assert (told.code, "state.in-use" in told.err) == (1, True)
    local.close()
    with lock_state(local.settings):
        told = local.place.say("key", "rotate")
    assert (told.code, "state.locked" in told.err) == (1, True)
    assert sorted(p.name for p in key(local).parent.glob("pseudonym.key*")) == ["pseudonym.key"]


def test_a_former_key_is_put_away_before_there_is_another(local: Site) -> None:
    local.close()
    assert local.place.say("key", "rotate").code == 0
    once = key(local).read_bytes()
    told = local.place.say("key", "rotate")
    assert (told.code, "key.former" in told.err) == (1, True) and key(local).read_bytes() == once


def test_a_key_of_one_s_own_choice(local: Site) -> None:
    local.close()
    mine = key(local).with_name("pseudonym.key.new")
    mine.write_bytes(bytes(range(7, 39)))
    assert local.place.say("key", "rotate").code == 2, "others can read it"
    mine.chmod(0o600)
    assert local.place.say("key", "rotate").code == 0 and key(local).read_bytes() == bytes(range(7, 39))


def test_half_a_new_key_is_made_again(local: Site) -> None:
    local.close()
    key(local).with_name("pseudonym.key.new").write_bytes(b"half")
    assert local.place.say("key", "rotate").code == 0 and len(key(local).read_bytes()) == 32


def test_where_there_is_no_state(place: Place) -> None:
    told = place.say("key", "rotate")
    assert (told.code, "state.missing" in told.err) == (1, True)
    place.change(f'key_file = "{place.folder}/pseudonym.key"', 'key_file = "credential:pseudonym-key"')
    assert place.say("key", "rotate").code == 2
    assert place.say("key", "rotate", "--project", "none", "--key-file", str(place.folder / "pseudonym.key")).code == 2


def test_a_project_is_given_a_key_of_its_own(site: Site, anna: StudyFacts, bert: StudyFacts) -> None:
    """Other pseudonyms from then on; those of before are looked up and withdrawn as ever, together with the new ones."""
    place = site.place
    site.delivered(anna)
    (former,) = site.pseudonyms()
    before = made_of(site, anna)
    site.retrieved(bert)
    site.close()
    assert place.say("key", "rotate", "--project", PROJECT).code == 2, "not without --yes"
    told = place.say("key", "rotate", "--project", PROJECT, "--yes")
    assert (told.code, "key.unfinished" in told.err) == (1, True)
    assert made_of(site, anna) == before
    middle = again(site)
    while middle.deliver.step() or middle.confirm.step():
        continue
    middle.close()
    told = place.say("key", "rotate", "--project", PROJECT, "--yes")
    assert told.code == 0, told.err
    after = made_of(site, anna)
    assert not set(before[:3]) & set(after[:3])
    later = again(site)
    later.delivered(study(place.folder / "more", ANNA, 3))
    pseudonyms = later.pseudonyms()
    assert len(pseudonyms) == 3 and {former, after[0]} < pseudonyms
    assert place.say("key", "rotate").code == 1, "the state is open here"
    later.close()
    assert place.say("key", "rotate").code == 0 and made_of(site, anna) == after
    for pseudonym in (former, after[0]):
        (found,) = place.say("reidentify", "--project", PROJECT, pseudonym, "--json").json["found"]
        assert found["patient_id"] == ANNA
    told = place.say("withdraw", "--project", PROJECT, "--pseudonym", former, "--reason", "x", "--json")
    assert told.code == 0 and {former, after[0]} <= set(told.json["pseudonyms"])
    last = again(site)
    names = broker.make_desk(last.settings, last.state).names[PROJECT]
    assert names.of(ANNA) == {former, after[0]}, "also of whom the crosswalk does not know"
    assert len(last.pseudonyms()) == 1 and not last.pseudonyms() & {former, after[0]}
    last.close()
    assert place.say("audit", "verify").code == 0 and "project-key-renewed" in events(site)


def test_who_was_withdrawn_by_a_former_pseudonym_alone_does_not_come_back(local: Site, anna: StudyFacts) -> None:
    """Nothing was known of whose it is; under the new key it is another one."""
    (former, *_) = made_of(local, anna)
    assert local.place.say("withdraw", "--project", PROJECT, "--pseudonym", former, "--reason", "x").code == 0
    local.close()
    assert local.place.say("key", "rotate", "--project", PROJECT, "--yes").code == 0
    later = again(local)
    later.ask(anna, patient=False)
    later.plan(anna)
    claim = later.claim()
    assert claim is not None
    (sent,) = [s for s in anna.series if s.SeriesInstanceUID == claim.SeriesInstanceUID]
    assert later.send(sent.files) == [0] * len(sent.files)
    assert later.state.outbox.series() == [] or all(
        not later.state.outbox.files(s) for s in later.state.outbox.series()
    )
    later.close()
    assert os.listdir(local.place.folder / "archive") == []


def test_root_leaves_the_state_its_owner_s_and_the_key_whose_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    folder = new_folder("rotate")
    place = Place(folder, capsys)
    furnish(folder)
    Site(place).close()
    folder.chmod(0o711)
    for path in (folder / "state", *(folder / "state").rglob("*")):
        os.chown(path, 12345, 12345)
    key_file = folder / "pseudonym.key"
    os.chown(key_file, 12345, 12345)
    assert place.say("key", "rotate").code == 0
    assert key_file.stat().st_uid == 12345 and os.geteuid() == 0
    found = {path.name: path.stat().st_uid for path in (folder / "state").rglob("*")}
    assert {"audit.jsonl", "daemon.lock", "state.sqlite"} <= set(found) and set(found.values()) == {12345}


def test_who_may_not_look_into_the_state_is_told_whose_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """It was "the system refuses: Permission denied (pathlib.py:1014)"."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    folder = new_folder("rotate")
    place = Place(folder, capsys)
    furnish(folder)
    Site(place).close()
    folder.chmod(0o755)
    (folder / "state").chmod(0o700)
    os.seteuid(12345)
    try:
        told = place.say("key", "rotate")
    finally:
        os.seteuid(0)
    assert told.code == 1 and f"{folder}/state belongs to root: run this command as that user" in told.err

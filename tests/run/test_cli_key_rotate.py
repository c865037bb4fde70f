"""`key rotate`: with the new key all goes on under the old pseudonyms, the old key opens nothing; killed anywhere, it is ended."""

from __future__ import annotations

import itertools
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pydicom
import pytest

from gateway.dicom.part10 import read_file
from gateway.model import Kept
from gateway.run import broker, keyfile, rotating, wiring
from gateway.run.cli import main
from gateway.run.locking import lock_state
from gateway.state import rotation
from tests.run.broker_site import ANNA, BERT, PROJECT, Site, study
from tests.run.command_line import Place
from tests.run.test_migrate import pointed
from tests.support.dicomfiles import StudyFacts
from tests.support.peers import Postgres

KILLED = {
    "nothing-made": (rotating, "make_key", 1),
    "new-key-made": (rotation, "rotate", 1),
    "sealed-again": (rotating, "switch", 1),
    "named-old": (keyfile, "_sync", 3),  # the first is the new key's
    "switched": (rotation, "end", 1),
}
"""When -> what is never called any more: module, name, for the how-manieth time."""


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


@pytest.fixture
def anna(tmp_path: Path) -> StudyFacts:
    return study(tmp_path)


@pytest.fixture
def bert(tmp_path: Path) -> StudyFacts:
    return study(tmp_path, BERT, 2)


def key(site: Site) -> Path:
    return site.place.folder / "pseudonym.key"


def again(site: Site) -> Site:
    """As the daemon would start."""
    return Site(site.place)


def events(site: Site) -> list[str]:
    return [
        json.loads(line)["event"] for line in (site.place.folder / "state" / "audit.jsonl").read_text().splitlines()
    ]


def made_of(site: Site, facts: StudyFacts) -> list[str]:
    """What an offline run makes of a file: pseudonym and UIDs."""
    made = wiring.make_cleaner(site.settings, PROJECT).clean(*read_file(facts.files[0]), frozenset())
    assert isinstance(made, Kept)
    file = site.place.folder / "made.dcm"
    file.write_bytes(b"".join(made.parts))
    ds = pydicom.dcmread(file)
    return [str(ds.PatientID), str(ds.StudyInstanceUID), str(ds.SOPInstanceUID), str(ds.StudyDate)]


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


@pytest.mark.parametrize("moment", KILLED)
def test_killed_anywhere_one_key_opens_it_and_the_command_again_ends_it(
    local: Site, anna: StudyFacts, moment: str
) -> None:
    local.delivered(anna)
    local.close()
    _killed_and_ended(local, anna, moment)


@pytest.mark.real
@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
@pytest.mark.parametrize("moment", ["new-key-made", "sealed-again"])
def test_killed_on_postgresql(site: Site, anna: StudyFacts, moment: str) -> None:
    site.delivered(anna)
    site.close()
    _killed_and_ended(site, anna, moment)


def _killed_and_ended(site: Site, anna: StudyFacts, moment: str) -> None:
    before, old = made_of(site, anna), key(site).read_bytes()
    _killed(site, *KILLED[moment])
    _one_of_both_opens_it(site)
    told = site.place.say("key", "rotate")
    assert told.code == 0, told.err
    assert key(site).read_bytes() != old == key(site).with_name("pseudonym.key.old").read_bytes()
    assert not key(site).with_name("pseudonym.key.new").exists()
    assert site.place.say("audit", "verify").code == 0 and events(site).count("key-rotated") in {1, 2}
    assert made_of(site, anna) == before
    key(site).with_name("pseudonym.key.old").unlink()
    ended = key(site).read_bytes()
    assert site.place.say("key", "rotate").code == 0 and key(site).read_bytes() != ended, "and then another"


def _killed(site: Site, module: ModuleType, name: str, times: int) -> None:
    """The command, in a process of its own, that is gone in place of that call."""
    child = os.fork()
    if child == 0:
        real, calls = getattr(module, name), itertools.count(1)

        def dies(*args: object, **kwargs: object) -> object:
            if next(calls) == times:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        setattr(module, name, dies)
        try:
            main(["key", "rotate", "--config", str(site.place.config)])
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _one_of_both_opens_it(site: Site) -> None:
    at, new = key(site), key(site).with_name("pseudonym.key.new")
    kept = at.read_bytes()
    opened = []
    for content in [kept, *([new.read_bytes()] if new.exists() else [])]:
        at.write_bytes(content) if at.stat().st_nlink == 1 else _instead(at, content)
        opened.append(site.place.say("requests", "list").code == 0)
    at.write_bytes(kept) if at.stat().st_nlink == 1 else _instead(at, kept)
    assert opened.count(True) == 1


def _instead(at: Path, content: bytes) -> None:
    """Not into the file that has another name as well."""
    other = at.with_name("put")
    other.touch(0o600)
    other.write_bytes(content)
    other.replace(at)


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

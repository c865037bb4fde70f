"""`key rotate`, killed at any moment: one of both keys opens the state, and the command again ends it."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from gateway.run import keyfile, rotating
from gateway.run.cli import main
from gateway.state import rotation
from tests.run.broker_site import Site
from tests.run.command_line import Place
from tests.run.rotation_site import events, key, made_of
from tests.run.test_migrate import pointed
from tests.support.dicomfiles import StudyFacts
from tests.support.peers import Postgres

KILLED = {
    "nothing-made": (rotating, "make_key", 1),
    "new-key-made": (rotation, "rotate", 1),
    "sealed-again": (rotating, "switch", 1),
    "named-old": (keyfile, "sync_folder", 3),  # the first is the new key's
    "switched": (rotation, "end", 1),
}
"""When -> what is never called any more: module, name, for the how-manieth time."""


@pytest.fixture(scope="module")
def peer() -> Iterator[Postgres]:
    with Postgres() as started:
        yield started


@pytest.mark.parametrize("moment", KILLED)
def test_killed_anywhere_one_key_opens_it_and_the_command_again_ends_it(
    place: Place, anna: StudyFacts, moment: str
) -> None:
    _killed_and_ended(place, anna, moment)


@pytest.mark.real
@pytest.mark.parametrize("moment", ["new-key-made", "sealed-again"])
def test_killed_on_postgresql(place: Place, peer: Postgres, anna: StudyFacts, moment: str) -> None:
    pointed(place, peer)
    _killed_and_ended(place, anna, moment)


def _killed_and_ended(place: Place, anna: StudyFacts, moment: str) -> None:
    site = Site(place)
    site.delivered(anna)
    site.close()
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

"""`key init`, `key check`: made once, private, never overwritten."""

from __future__ import annotations

import os
import stat

import pytest

from tests.run.command_line import Place


def test_init_where_the_configuration_says(place: Place) -> None:
    key = place.folder / "pseudonym.key"
    key.unlink()
    before = os.umask(0o277)
    try:
        told = place.say("key", "init")
    finally:
        os.umask(before)
    assert told.code == 0
    assert len(key.read_bytes()) == 32
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert place.say("key", "check").code == 0


def test_init_never_overwrites(place: Place) -> None:
    key = place.folder / "pseudonym.key"
    before = key.read_bytes()
    told = place.say("key", "init")
    assert told.code == 1
    assert "there already" in told.err
    assert key.read_bytes() == before
    (place.folder / "link").symlink_to(place.folder / "elsewhere")
    assert place.raw("key", "init", str(place.folder / "link")).code == 1
    assert not (place.folder / "elsewhere").exists()


def test_init_at_a_path_needs_no_configuration_and_two_keys_differ(place: Place) -> None:
    made = [place.folder / name for name in ("a.key", "b.key")]
    for path in made:
        assert place.raw("key", "init", str(path), "--config", "/nowhere/gateway.toml").code == 0
    assert made[0].read_bytes() != made[1].read_bytes()


def test_init_where_nothing_can_be_made(place: Place) -> None:
    told = place.raw("key", "init", str(place.folder / "no" / "such" / "key"))
    assert told.code == 1
    assert "No such file or directory" in told.err


def test_init_of_a_credential_is_wrong_usage(place: Place) -> None:
    place.change(f'key_file = "{place.folder}/pseudonym.key"', 'key_file = "credential:pseudonym-key"')
    assert place.say("key", "init").code == 2


@pytest.mark.parametrize(
    ("length", "mode", "said"), [(31, 0o600, "32 bytes"), (32, 0o640, "0640"), (32, 0o604, "0604"), (0, 0o600, "32")]
)
def test_check_tells_what_is_wrong(place: Place, length: int, mode: int, said: str) -> None:
    key = place.folder / "pseudonym.key"
    key.write_bytes(bytes(length))
    key.chmod(mode)
    told = place.say("key", "check")
    assert told.code == 1
    assert said in told.err and "key_file: " in told.err
    told = place.say("migrate")
    assert told.code == 2
    assert said in told.err and "key_file: " in told.err


def test_check_wants_the_right_owner(place: Place) -> None:
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    os.chown(place.folder / "pseudonym.key", 12345, 12345)
    assert place.say("key", "check").code == 1
    (place.folder / "state").mkdir()
    os.chown(place.folder / "state", 12345, 12345)
    assert place.say("key", "check").code == 0


def test_check_of_a_missing_key_names_the_command_that_makes_it(place: Place) -> None:
    (place.folder / "pseudonym.key").unlink()
    told = place.say("key", "check")
    assert told.code == 1
    assert "key init" in told.err

"""What a person gets wrong, and what goes wrong: a sentence and the right exit code, never a traceback."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import BadConfiguration, Fatal, Retry
from gateway.run import cli, wiring
from gateway.run.commands.exits import exit_code
from tests.run.command_line import Place, Told
from tests.support.daemon import REPOSITORY, command

COMMANDS = (
    "run", "check", "demo", "status", "requests", "balance", "explain", "find", "held", "deid", "profile", "reidentify", "withdraw",
    "audit", "key", "migrate",
)  # fmt: skip
GROUPS = {
    "requests": ("list", "show", "retry", "cancel", "add"), "held": ("list", "show", "release", "discard"),
    "key": ("init", "check"), "audit": ("verify",),
}  # fmt: skip
LEAVES = [(c,) for c in COMMANDS if c not in GROUPS] + [(g, c) for g, names in GROUPS.items() for c in names]
NEEDING_THE_FILE = (
    ("run",), ("check",), ("check", "--connect"), ("status",), ("migrate",), ("requests", "list"), ("requests", "show", "R-1"),
    ("requests", "retry", "R-1"), ("requests", "cancel", "R-1"), ("requests", "add", "--project", "chest", os.devnull),
    ("explain", "X1"), ("find", "--project", "chest", "X1"), ("deid", "--project", "chest", "/etc", "/nowhere"),
    ("profile", "--project", "chest"), ("key", "init"), ("key", "check"), ("held", "list"), ("held", "show", "H-1"),
    ("held", "release", "H-1"), ("held", "discard", "H-1"), ("reidentify", "--project", "chest", "CHEST-X"),
    ("withdraw", "--project", "chest", "--patient-id", "X", "--reason", "asked"), ("audit", "verify"), ("balance",),
)  # fmt: skip


def test_help_lists_every_command_of_the_interface(place: Place) -> None:
    told = place.raw("--help")
    assert told.code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", told.out, re.MULTILINE), name


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_has_help_and_takes_the_configuration(place: Place, words: tuple[str, ...]) -> None:
    told = place.raw(*words, "--help")
    assert told.code == 0
    assert "--config" in told.out


def test_version(place: Place) -> None:
    assert place.raw("--version").out.startswith("pacs-gateway, version ")


@pytest.mark.parametrize("words", NEEDING_THE_FILE, ids=" ".join)
def test_a_missing_configuration_is_told_with_its_name(place: Place, words: tuple[str, ...]) -> None:
    place.config.unlink()
    told = place.say(*words)
    assert told.code == 2
    assert f"{place.config}:0: " in told.err
    assert told.out == ""


@pytest.mark.parametrize("words", NEEDING_THE_FILE, ids=" ".join)
def test_every_mistake_is_told_with_file_and_line(place: Place, words: tuple[str, ...]) -> None:
    place.change('node = "gw1"', 'nodes = "gw1"')
    place.change('schedule = "1h"', 'schedule = "often"')
    told = place.say(*words)
    assert told.code == 2
    lines = told.err.splitlines()
    assert [line.split(":")[1] for line in lines] == ["2", "33"]
    assert all(line.startswith(f"{place.config}:") for line in lines)


def test_the_environment_names_the_configuration_and_the_option_wins(
    place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PACS_GATEWAY_CONFIG", str(place.config))
    assert place.raw("profile", "--project", "chest").code == 0
    assert place.raw("profile", "--project", "chest", "--config", str(tmp_path / "other.toml")).code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("profile",), ("find", "X1"), ("deid", "a", "b"), ("requests", "add", os.devnull), ("requests", "list"),
        ("requests", "retry", "--all", "--state", "failed"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_unknown_project_is_wrong_usage_and_the_known_ones_are_named(place: Place, words: tuple[str, ...]) -> None:
    told = place.say(*words, "--project", "knee")
    assert told.code == 2
    assert "chest" in told.err


@pytest.mark.parametrize(
    "words",
    [
        ("--nonsense",), ("nonsense",), ("status", "--nonsense"), ("run", "--log-level", "loud"), ("find", "X1"), ("explain",),
        ("requests",), ("requests", "nonsense"), ("requests", "list", "--state", "lost"), ("requests", "list", "--limit", "0"),
        ("requests", "list", "--limit", "many"), ("requests", "retry"), ("requests", "retry", "--all"),
        ("requests", "retry", "R-1", "--all", "--state", "failed"), ("requests", "retry", "R-1", "--project", "chest"),
        ("requests", "retry", "--state", "failed"), ("requests", "cancel"), ("requests", "show"), ("key",),
        ("requests", "add", "--project", "chest", "/nowhere/file.csv"), ("requests", "add", "--project", "chest", "/etc"),
        ("withdraw", "--project", "chest", "--patient-id", "SYNPID", "--reason", " "),
        ("find", "--project", "chest"), ("deid", "--project", "chest", "only-one"), ("check", "surplus"),
        ("find", "--project", "chest", ""), ("find", "--project", "chest", "*"), ("find", "--project", "chest", "A", "B?"),
        ("find", "--project", "chest", "A\\B"), ("find", "--project", "chest", "A" * 65), ("find", "--project", "chest", "A\nB"),
        ("deid", "--project", "chest", "/nowhere/at/all", "/tmp/nowhere-else"),
        ("deid", "--project", "chest", "/etc", "/etc/inside"), ("deid", "--project", "chest", "/etc/passwd", "/etc/hostname"),
    ],
    ids=lambda words: " ".join(words)[:60],
)  # fmt: skip
def test_wrong_usage(place: Place, words: tuple[str, ...]) -> None:
    told = place.say(*words) if words[0] not in ("--nonsense", "nonsense") else place.raw(*words)
    assert told.code == 2
    assert told.err


HOSTILE = (
    "\x1b[2J",
    "R-\x07",
    "\udcff\udcfe",
    "[bold]x[/]",
    "[/]",
    ":smile:",
    "%s%n",
    "'; drop table request; --",
    "\u202eabc",
    "9" * 5000,
    "-",
)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize(
    "words", [("explain",), ("requests", "show"), ("requests", "cancel"), ("requests", "retry")], ids=" ".join
)
def test_hostile_words_are_unknown_and_nothing_else(place: Place, words: tuple[str, ...], text: str) -> None:
    assert place.say("migrate").code == 0
    told = place.say(*words, text)
    assert told.code == 1
    assert not set("\x1b\x07\udcff\u202e") & set(told.out + told.err)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("pacs.unreachable", 3), ("pacs.no-answer", 3), ("find.timeout", 3), ("ris.down", 3), ("daemon.unreachable", 3),
        ("pacs.rejected", 1), ("ris.schema", 1), ("state.busy", 3), ("state.locked", 1), ("key.exists", 1),
        ("key.file", 2), ("password.file", 2), ("csv.header", 2), ("ris.driver", 2),
    ],
)  # fmt: skip
def test_exit_codes_by_reason(reason: str, code: int) -> None:
    assert exit_code(reason) == code


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Fatal("state.locked", "two\nlines"), 1, "pacs-gateway: two lines (state.locked)\n"),
        (Retry("pacs.unreachable"), 3, "pacs-gateway: pacs.unreachable\n"),
        (BadConfiguration(()), 2, ""),
        (KeyboardInterrupt(), 1, "pacs-gateway: interrupted\n"),
        (PermissionError(13, "Permission denied", "/srv/Synthetic^Anna"), 1, "Permission denied"),
        (BrokenPipeError(), 1, ""),
    ],
    ids=lambda x: type(x).__name__,
)  # fmt: skip
def test_every_error_ends_as_a_sentence(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fail(_: Path) -> None:
        raise error

    monkeypatch.setattr(wiring, "load_settings", fail)
    told = place.say("check")
    assert told.code == code
    assert said in told.err
    assert "Anna" not in told.err


def test_a_mistake_of_the_program_is_one_line_without_its_message(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        raise KeyError("Synthetic^Anna")
    except KeyError as err:
        cli.uncaught(type(err), err, err.__traceback__)
    said = capsys.readouterr().err
    assert re.fullmatch(
        r"pacs-gateway: internal error KeyError at test_cli_usage.py:\d+; please report this line\n", said
    )


# ---- the real process


def test_the_process_ends_with_the_code(place: Place) -> None:
    place.change('node = "gw1"', 'nodes = "gw1"')
    told = command(place.config, "status")
    assert told.returncode == 2
    assert told.stderr.startswith(f"{place.config}:2: ")


def run_shell(script: str, place: Place) -> Told:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY,
        env={**os.environ, "P": sys.executable, "C": str(place.config)},
    )  # fmt: skip
    return Told(done.returncode, done.stdout, done.stderr)


def test_a_reader_that_has_seen_enough_is_no_error_to_talk_about(place: Place) -> None:
    told = run_shell('"$P" -m gateway.run.cli profile --project chest --config "$C" --json | head -c 1', place)
    assert told.err == ""


def test_a_full_disk_behind_standard_output_is_a_sentence(place: Place) -> None:
    told = run_shell('"$P" -m gateway.run.cli profile --project chest --config "$C" > /dev/full', place)
    assert told.code == 1
    assert "No space left on device" in told.err
    assert "Traceback" not in told.err and "Exception ignored" not in told.err


def test_an_interrupt_while_it_waits_is_a_sentence(place: Place) -> None:
    words = [sys.executable, "-m", "gateway.run.cli", "status", "--config", str(place.config)]
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(place.folder / "health.sock"))
        silent.listen()
        silent.settimeout(30)
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY) as child:
            asking, _ = silent.accept()
            child.send_signal(signal.SIGINT)
            _, said = child.communicate(timeout=30)
            asking.close()
    assert child.returncode == 1
    assert "interrupted" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "closed", "code"),
    [
        ("migrate", "<&- >&- 2>&-", 0), ("check", ">&-", 0), ("check", "2>&-", 0), ("status", ">&- 2>&-", 3),
        ("profile --project knee", ">&- 2>&-", 2), ("requests add --project chest", "<&-", 2),
    ],
)  # fmt: skip
def test_a_stream_that_the_caller_closed_changes_no_exit_code(place: Place, words: str, closed: str, code: int) -> None:
    told = run_shell(f'"$P" -m gateway.run.cli {words} --config "$C" {closed}', place)
    assert told.code == code, told.err
    assert "internal error" not in told.err


@pytest.mark.parametrize(("words", "code"), [("status", 3), ("profile --project knee", 2), ("nonsense", 2)])
def test_nobody_who_hears_what_is_wrong_changes_no_exit_code(place: Place, words: str, code: int) -> None:
    """A full disk behind standard error, or a pipe whose reader has gone: a script goes by the code."""
    assert run_shell(f'"$P" -m gateway.run.cli {words} --config "$C" 2> /dev/full', place).code == code
    gone = f'{{ sleep 0.2; exec "$P" -m gateway.run.cli {words} --config "$C"; }} 2>&1 | true'
    assert run_shell(gone, place).code == code


def test_no_file_takes_the_number_of_a_closed_stream(place: Place) -> None:
    script = (
        "import os; from gateway.run.cli import main; main(['--version']); print(os.open('/', 0), file=open('n', 'w'))"
    )
    told = run_shell(f'cd "$(dirname "$C")" && PYTHONPATH={REPOSITORY} "$P" -c "{script}" <&- >&- 2>&-', place)
    assert told.code == 0
    assert int((place.folder / "n").read_text()) > 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_the_encoding_of_the_terminal_lacks_is_escaped(place: Place, encoding: str) -> None:
    place.config.with_name("\u0142.toml").write_bytes(place.config.read_bytes())
    told = run_shell(
        f'PYTHONIOENCODING={encoding} "$P" -m gateway.run.cli check --config "${{C%/*}}/\u0142.toml"', place
    )
    assert (told.code, told.err) == (0, "")
    assert told.out.count("\\u0142") == 1

"""Broken data sets, bounded: the first cases of the long run (`fuzz`), what it found, and the command `deid` on broken files."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from gateway.deidentify.cleaner import Cleaner
from gateway.model import Dropped
from tests.deidentify.broken import DEFLATED, OWN, deflated, make_case, meta_case, sound
from tests.deidentify.fuzz import LIMIT, Tally, cleaner_of, fuzz, run_case, try_case
from tests.deidentify.reading import survivors
from tests.deidentify.writer import SYNTAXES, Element, base, with_, write
from tests.run.command_line import furnish

EXPLICIT = SYNTAXES["explicit"]
pytestmark = pytest.mark.timeout(600)  # of a machine that has much else to do
PIECE = b"\x08\x00\x18\x22SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
CLOSE = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.catalogue("D3", "D8")
def test_broken_data_sets_are_refused_or_clean(tmp_path: Path) -> None:
    """No exception, no hang, no value of the request in any output; and not everything is refused, which would prove nothing."""
    tally = fuzz(seed=7, count=1500, minutes=1.0)
    assert tally.failures == []
    well = tally.outcomes["kept"] + tally.outcomes["held"]
    assert tally.cases > 200 and tally.cases * 0.05 < well < tally.cases * 0.6
    assert len(tally.kinds) >= 11 and tally.outcomes["refused dataset.malformed"] > well / 4


def test_a_case_can_be_made_again() -> None:
    assert make_case(3, 57).data == make_case(3, 57).data != make_case(4, 57).data
    kinds = {make_case(5, n).kind for n in (*range(1, 1200), 4999)}
    assert kinds >= {"bomb", "deep", "many", "meta", "noise"}


def test_the_watchdog_and_the_search_bite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controls: a cleaner that hangs, one that raises and one that lets everything through are found out."""
    tally, number = Tally(), 0
    cleaner, case = cleaner_of(sound(1).options), make_case(1, 2)

    def spin(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    def answer(what: str) -> None:
        if what == "hang":
            spin(10.0)
        raise KeyError(what)

    monkeypatch.setattr("tests.deidentify.fuzz.LIMIT", 0.05)
    for what in ("hang", "raise"):
        monkeypatch.setattr(type(cleaner), "clean", lambda *_, what=what: answer(what))
        try_case(case, number, tmp_path / "case", tally)
    monkeypatch.setattr("tests.deidentify.fuzz.run_case", lambda *_: ("kept", OWN[1].encode("utf-16-le")))
    try_case(case, number, tmp_path / "case", tally)
    assert [what.split(" in ")[0] for _, _, what in tally.failures] == ["hangs", "raises KeyError", "leaks (kept)"]


FOUND = {
    "text where a UID belongs, UIDs retained": (("retain-uids",), [Element(0x00081167, "ST", b"abc")]),
    "a binary zero that becomes a dummy": (
        (),
        [Element(0x0072006C, "FL", bytes(4)), Element(0x00420011, "OB", b"\0\0")],
    ),
    "text in a sequence of UIDs": ((), [Element(0x00081140, "SQ", ((Element(0x00081155, "UT", b"abc"),),))]),
    "a person's code with a UID as text": ((), [Element(0x00080082, "SQ", ((Element(0x0008010D, "ST", b"x"),),))]),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once(name: str) -> None:
    options, more = FOUND[name]
    for syntax in ("explicit", "implicit", "big"):
        done = cleaner_of(options).clean(write(with_(base(), *more), syntax), SYNTAXES[syntax], frozenset())
        output = b"" if isinstance(done, Dropped) else b"".join(done.parts)
        assert not survivors(output, [(value.encode(), value) for value in OWN])


@pytest.mark.catalogue("D8")
@pytest.mark.parametrize("depth", [47, 49, 1000, 10000])
@pytest.mark.parametrize("closed", [True, False])
def test_towers_of_sequences(cleaner: Cleaner, depth: int, closed: bool) -> None:
    """Deeper than any real object: refused before Python's own limit is near; below that, cleaned."""
    data = write(base(), "explicit")
    at = data.index(b"\x10\x00\x10\x00")
    tower = data[:at] + PIECE * depth + CLOSE * (depth if closed else 0) + data[at:]
    start = time.process_time()
    result = cleaner.clean(tower, EXPLICIT, frozenset(OWN))
    assert isinstance(result, Dropped) is (not closed or depth > 48)
    assert cleaner.explain(tower, EXPLICIT, frozenset(OWN)) == [] or not isinstance(result, Dropped)
    assert time.process_time() - start < LIMIT


@pytest.mark.parametrize("filler", [b"\0", b"\x09\x00\x10\x00LO\0\0", b"\x00\x20\x01"])
def test_a_bomb_is_no_hang(cleaner: Cleaner, filler: bytes) -> None:
    """A thousandth of its size on the way in; the time grows with what it becomes, not with its square."""
    took = []
    for size in (1 << 18, 1 << 19):
        data = deflated(write(base(), "explicit") + filler * (size // len(filler)))
        start = time.process_time()
        cleaner.clean(data, DEFLATED, frozenset(OWN))
        took.append(time.process_time() - start)
    assert took[1] < LIMIT and took[1] < 3.5 * took[0] + 0.2


def test_broken_files_through_the_command(tmp_path: Path) -> None:
    """`deid` on 60 files with a broken head or a broken body: an answer for each, no traceback, nothing of the patient's."""
    furnish(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(60):
        case = make_case(11, 23 * (number + 1)) if number % 2 else make_case(11, number + 1)
        head = b"" if case.file else _head(case.syntax)
        (tmp_path / "in" / f"{number:02}.dcm").write_bytes(head + case.data)
    program = Path(sys.executable).with_name("pacs-gateway")
    words = ["deid", "--project", "chest", str(tmp_path / "in"), str(tmp_path / "out"), "--json"]
    command = [str(program), *words, "--config", str(tmp_path / "gateway.toml")]
    done = subprocess.run(command, capture_output=True, timeout=100, check=False)
    assert done.returncode == 1 and b"Traceback" not in done.stderr, done.stderr[-300:]
    assert json.loads(done.stdout)["files"] == 60
    made = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm"))
    assert survivors(made + done.stdout + done.stderr, [(value.encode(), value) for value in OWN]) == []


def _head(syntax: str) -> bytes:
    value = syntax.encode() + b"\0" * (len(syntax) & 1)
    return bytes(128) + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value


def test_a_head_that_names_another_syntax(tmp_path: Path) -> None:
    outcomes = {run_case(meta_case(Random(n), sound(n)), tmp_path / "case.dcm")[0] for n in range(60)}
    assert "file.not-dicom" in outcomes and len(outcomes) > 2

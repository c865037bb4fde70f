"""The outbox: whole or absent, once, and a ledger that a torn line does not spoil."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gateway.errors import Refused
from gateway.model import LedgerLine, Outcome
from gateway.state.outbox import Outbox

KEY = "S-ABCDEFGH23456"


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def test_kept_is_there_whole_and_once(outbox: Outbox) -> None:
    first = outbox.keep(KEY, "2.25.1", [b"head", memoryview(b"pixels")])
    again = outbox.keep(KEY, "2.25.1", [b"head", memoryview(b"pixels")])
    assert (first.new, again.new) == (True, False)
    assert first.path.read_bytes() == b"headpixels"
    assert (first.size, first.checksum) == (again.size, again.checksum)
    assert [p.name for p in outbox.files(KEY)] == ["2.25.1.dcm"]


def test_on_a_file_system_of_its_own_only_series_are_seen(tmp_path: Path) -> None:
    """`lost+found` is no series: the daemon did not start, nothing was screened, and nobody could be withdrawn."""
    outbox = Outbox(tmp_path / "outbox", Outbox(tmp_path / "held"))
    for folder in ("outbox/lost+found", "held/lost+found", "outbox/.snapshot"):
        (tmp_path / folder).mkdir()
    outbox.keep(KEY, "2.25.1", [b"whole"])
    assert outbox.sweep() == 0 and outbox.series() == [KEY] and outbox.size() == 5


def test_more_parts_than_one_call_takes(outbox: Outbox) -> None:
    parts = [bytes([i % 256]) * 3 for i in range(3000)]
    assert outbox.keep(KEY, "2.25.1", parts).path.read_bytes() == b"".join(parts)


def test_a_short_write_is_completed(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "writev", lambda fd, parts: os.write(fd, bytes(parts[0])[:1]))
    assert outbox.keep(KEY, "2.25.1", [b"head", b"pixels"]).path.read_bytes() == b"headpixels"


@pytest.mark.parametrize("call", ["writev", "fsync", "open"])
def test_a_failing_disk_leaves_nothing_visible(outbox: Outbox, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    outbox.keep(KEY, "2.25.1", [b"whole"])

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as broken:
        broken.setattr(os, call, full)
        with pytest.raises(OSError, match="full"):
            outbox.keep(KEY, "2.25.2", [b"half"])
    assert [p.name for p in outbox.files(KEY)] == ["2.25.1.dcm"]
    assert outbox.sweep() == 0


def test_the_sweep_removes_what_a_crash_left(outbox: Outbox, tmp_path: Path) -> None:
    outbox.keep(KEY, "2.25.1", [b"whole"])
    (tmp_path / "outbox" / KEY / ".abc.part").write_bytes(b"half")
    assert outbox.sweep() == 1
    assert len(outbox.files(KEY)) == 1


def test_the_ledger_says_what_arrived(outbox: Outbox) -> None:
    outbox.keep(KEY, "2.25.1", [b"x"])
    outbox.note(KEY, LedgerLine("aa", Outcome.KEPT, file="2.25.1.dcm", size=1, checksum="s"))
    outbox.note(KEY, LedgerLine("bb", Outcome.EXCLUDED, "select.instance"))
    ledger = outbox.ledger(KEY)
    assert {k: v.outcome for k, v in ledger.items()} == {"aa": Outcome.KEPT, "bb": Outcome.EXCLUDED}
    assert outbox.ledger("S-NOTHING") == {}


def test_kept_needs_its_file(outbox: Outbox) -> None:
    outbox.note(KEY, LedgerLine("aa", Outcome.KEPT, file="2.25.1.dcm"))
    assert outbox.ledger(KEY) == {}


def test_a_torn_line_spoils_only_itself(outbox: Outbox, tmp_path: Path) -> None:
    outbox.note(KEY, LedgerLine("aa", Outcome.EXCLUDED, "x"))
    with (tmp_path / "outbox" / KEY / "ledger").open("ab") as f:
        f.write(b'\n{"instance":"bb","outc')
    outbox.note(KEY, LedgerLine("cc", Outcome.EXCLUDED, "x"))
    assert set(outbox.ledger(KEY)) == {"aa", "cc"}


def test_kept_is_never_unsaid(outbox: Outbox) -> None:
    outbox.keep(KEY, "2.25.1", [b"x"])
    outbox.note(KEY, LedgerLine("aa", Outcome.KEPT, file="2.25.1.dcm"))
    outbox.note(KEY, LedgerLine("aa", Outcome.REFUSED, "verify"))
    assert outbox.ledger(KEY)["aa"].outcome is Outcome.KEPT


def test_remove_keeps_what_arrived_meanwhile(outbox: Outbox) -> None:
    first = outbox.keep(KEY, "2.25.1", [b"x"]).path
    outbox.keep(KEY, "2.25.2", [b"y"])
    assert not outbox.remove(KEY, [first])
    assert outbox.remove(KEY, outbox.files(KEY))
    assert outbox.series() == []
    assert outbox.size() == 0


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "a\nb", "x" * 200, "a..b"])
def test_no_name_leads_out_of_the_outbox(outbox: Outbox, name: str) -> None:
    with pytest.raises(Refused):
        outbox.keep(KEY, name, [b"x"])
    with pytest.raises(Refused):
        outbox.keep(name, "2.25.1", [b"x"])


def test_a_line_with_the_digest_of_a_former_version_is_read(outbox: Outbox) -> None:
    outbox.keep(KEY, "2.25.1", [b"clean"])
    with outbox.path(KEY, "ledger").open("a") as ledger:
        ledger.write(
            '\n{"instance":"aa","outcome":"kept","reason":"","file":"2.25.1.dcm","size":5,"sha256":"00","profile":"p"}'
        )
    assert outbox.ledger(KEY) == {"aa": LedgerLine("aa", Outcome.KEPT, file="2.25.1.dcm", size=5, profile="p")}
    assert outbox.checksums(KEY) == {}


def test_of_two_that_came_at_once_either_is_whole(outbox: Outbox) -> None:
    """With different bytes, as from two archives: one of them has replaced the other, and its line may be the earlier one."""
    name = outbox.keep(KEY, "2.25.1", [b"clean"]).name
    for checksum in ("aa", "bb", ""):
        outbox.note(KEY, LedgerLine("hash-1", Outcome.KEPT, file=name, checksum=checksum))
    assert outbox.checksums(KEY) == {name: {"aa", "bb"}}


def test_what_is_set_aside_comes_again_and_goes_with_the_series(outbox: Outbox) -> None:
    spoilt, whole = (outbox.keep(KEY, f"2.25.{n}", [b"clean"]) for n in (1, 2))
    for number, stored in enumerate((spoilt, whole)):
        outbox.note(KEY, LedgerLine(f"hash-{number}", Outcome.KEPT, file=stored.name, checksum=stored.checksum))
    outbox.set_aside(KEY, spoilt.name)
    outbox.set_aside(KEY, "2.25.3.dcm")  # is not there: nothing happens
    assert outbox.ledger(KEY).keys() == {"hash-1"} and outbox.files(KEY) == [whole.path]
    (aside,) = spoilt.path.parent.glob(".*.damaged")
    assert aside.read_bytes() == b"clean"
    assert not outbox.remove(KEY, ()) and aside.exists() and outbox.damaged(KEY) == [spoilt.name]
    assert outbox.keep(KEY, "2.25.1", [b"clean"]).new and outbox.damaged(KEY) == []
    assert outbox.remove(KEY, outbox.files(KEY)) and outbox.series() == []

"""What arrives with a clean header and pixels that nobody has looked at: durable, accounted for, and not in the outbox."""

from __future__ import annotations

import stat
from pathlib import Path

from gateway.model import Buffer, Held, Outcome
from gateway.state import holding
from gateway.state.outbox import OWN, Outbox
from tests.cstore.rig import INSTANCE, STUDY, Expects, FakeCleaner, Rig


class HoldingCleaner(FakeCleaner):
    """Holds everything."""

    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Held:  # type: ignore[override]
        self.cleaned, self.own = self.cleaned + 1, own
        return Held((b"clean ", dataset), f"{INSTANCE}.9", "profile-1", "pixels.at-risk")


def rig_in(folder: Path, *, held: bool = True) -> Rig:
    rig = Rig(folder, Expects(), cleaners={"chest": HoldingCleaner()})
    if held:
        rig.outbox.held = Outbox(folder / "held", modes=OWN)
    return rig


def held_files(rig: Rig) -> list[Path]:
    assert rig.outbox.held is not None
    return rig.outbox.held.files("S-1")


def test_it_is_held_and_told(tmp_path: Path) -> None:
    rig = rig_in(tmp_path)
    assert rig.send() == 0x0000
    (file,) = held_files(rig)
    assert rig.files() == [] and file.read_bytes().startswith(b"clean ")
    line = rig.line()
    assert line and (line.outcome, line.reason, line.profile) == (Outcome.HELD, "pixels.at-risk", "profile-1")
    assert rig.results("held") == 1
    (found,) = holding.holdings(rig.outbox)
    assert (found.line, found.judged, found.key[:2]) == (line, False, "H-")


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    rig = rig_in(tmp_path)
    rig.send()
    (file,) = held_files(rig)
    assert [stat.S_IMODE(p.stat().st_mode) for p in (file, file.parent, file.parent.parent)] == [0o600, 0o700, 0o700]


def test_the_same_again_is_a_duplicate(tmp_path: Path) -> None:
    rig = rig_in(tmp_path)
    ledger, sizes = tmp_path / "outbox/S-1/ledger", list[int]()
    for _ in range(2):
        assert rig.send() == 0
        sizes.append(ledger.stat().st_size)
    assert (rig.results("held"), rig.results("duplicate")) == (1, 1) and len(held_files(rig)) == 1
    assert sizes[0] < sizes[1], "its line is written again: the first may never have reached the disk"


def test_what_was_released_or_discarded_is_not_held_again(tmp_path: Path) -> None:
    for decide in ("release", "discard"):
        rig = rig_in(tmp_path / decide)
        rig.send()
        (found,) = holding.holdings(rig.outbox)
        if decide == "release":
            holding.release(rig.outbox, found, [found.path.read_bytes()], holding.RELEASED)
        else:
            holding.discard(rig.outbox, found)
        rig.now += 5
        assert rig.send() == 0
        assert held_files(rig) == [] and rig.results("duplicate") == 1
        assert len(rig.files()) == (1 if decide == "release" else 0)


def test_a_file_without_its_line_gets_one(tmp_path: Path) -> None:
    """A crash between the rename and the ledger."""
    rig = rig_in(tmp_path)
    rig.send()
    (tmp_path / "outbox/S-1/ledger").unlink()
    rig.now += 5
    assert rig.send() == 0
    assert rig.line() and len(held_files(rig)) == 1


def test_without_a_folder_for_it_the_sender_keeps_it(tmp_path: Path) -> None:
    rig = rig_in(tmp_path, held=False)
    assert rig.send() == 0xA700
    assert rig.files() == [] and not rig.line()


def test_late_it_waits_for_the_screening(tmp_path: Path) -> None:
    rig = rig_in(tmp_path)
    rig.store.rows[STUDY] = [Expects(state="retrieved")]
    assert rig.send() == 0
    assert len(held_files(rig)) == 1 and rig.files() == []

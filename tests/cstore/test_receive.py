"""What becomes of one arriving instance, and what the sender is told: 0x0000 only when it is durable or accounted for."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import structlog

from gateway.errors import Retry
from gateway.model import Buffer, Dropped, LedgerLine, Outcome
from gateway.state.keeping import Stored as StoredFile
from tests.cstore.rig import INSTANCE, SERIES, STUDY, Expects, FakeCleaner, Rig, incoming, once

KEPT, EXCLUDED, REFUSED = Outcome.KEPT, Outcome.EXCLUDED, Outcome.REFUSED


def test_keeps_what_is_planned(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    assert rig.send() == 0x0000
    assert rig.files() == [b"clean " + bytes(incoming().data)]
    line = rig.line()
    assert (
        line
        and line.outcome is KEPT
        and line.size == len(rig.files()[0])
        and line.file == rig.outbox.files("S-1")[0].name
    )
    assert rig.results("kept") == 1 and rig.counts.added["received_bytes_total", "chest"] == len(incoming().data)
    assert rig.cleaners["chest"].own == {"SYN-AN-1"}
    assert rig.counts.observed == {"store_seconds": 1, "deidentify_seconds": 1}


def test_what_the_disk_has_spoilt_is_made_anew_when_it_comes_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    assert rig.send() == 0x0000
    (kept,) = rig.outbox.files("S-1")
    good, noted = kept.read_bytes(), rig.outbox.ledger("S-1")
    kept.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert rig.send() == 0x0000
    assert (kept.read_bytes(), rig.outbox.ledger("S-1")) == (good, noted)
    assert rig.results("kept") == 2


def test_a_file_of_an_earlier_line_is_not_spoilt(tmp_path: Path) -> None:
    """It came twice at once with different bytes, and the lines stand in the other order."""
    rig = Rig(tmp_path, Expects())
    assert rig.send() == 0x0000
    line = rig.line()
    assert line is not None
    rig.outbox.note("S-1", replace(line, checksum="00"))
    assert rig.send() == 0x0000
    assert (rig.results("kept"), rig.results("duplicate")) == (1, 1)


def test_the_same_again_is_a_duplicate_and_changes_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    assert [rig.send(), rig.send()] == [0, 0]
    assert len(rig.files()) == 1 and (tmp_path / "outbox/S-1/ledger").read_text().count("instance") == 1
    assert (rig.results("kept"), rig.results("duplicate")) == (1, 1)


def test_a_file_without_its_line_gets_one(tmp_path: Path) -> None:
    """A crash between the rename and the ledger."""
    rig = Rig(tmp_path, Expects())
    rig.send()
    (tmp_path / "outbox/S-1/ledger").unlink()
    assert rig.send() == 0
    assert rig.line() and rig.results("kept") == 2


def test_unsolicited_is_refused_and_not_written(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    assert rig.send(study="2.25.5") == 0x0124
    assert rig.results("unsolicited", "") == 1 and not rig.outbox.series()


def test_a_plan_made_right_after_an_unsolicited_instance_counts(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    assert rig.send() == 0x0124
    rig.store.rows[STUDY] = [Expects()]
    assert rig.send() == 0x0000


def test_unreadable_is_not_understood(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    assert rig.receive.store(replace(incoming(), data=b"\0" * 64)) == 0xC000
    assert rig.results("refused", "") == 1 and not rig.outbox.series()


def test_a_series_outside_the_plan_is_excluded(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    assert rig.send(series="2.25.4") == 0
    assert rig.results("excluded") == 1 and not rig.outbox.series() and rig.cleaners["chest"].cleaned == 0


@pytest.mark.parametrize("state", ["excluded", "failed"])
def test_a_series_that_is_over_is_accounted_for(tmp_path: Path, state: str) -> None:
    rig = Rig(tmp_path, Expects(state=state))
    assert rig.send() == 0
    assert rig.results("excluded") == 1 and rig.cleaners["chest"].cleaned == 0
    assert not rig.outbox.series()  # a line noted now would count as arrived when the series is retried


def test_withdrawn_leaves_no_trace(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects(state="withdrawn"))
    assert rig.send() == 0
    assert rig.results("excluded") == 1 and not rig.outbox.series()


@pytest.mark.parametrize("state", ["held", "retrieved", "delivered"])
def test_late_instances_are_kept_and_known_ones_are_not(tmp_path: Path, state: str) -> None:
    rig = Rig(tmp_path, Expects())
    rig.send()
    rig.store.rows[STUDY], rig.now = [Expects(state=state)], rig.now + 5
    assert [rig.send(), rig.send("2.25.123456789")] == [0, 0]
    assert (rig.results("kept"), rig.results("duplicate")) == (2, 1)
    assert rig.cleaners["chest"].cleaned == 2 and len(rig.files()) == 2
    assert rig.send("2.25.123456789") == 0 and len(rig.files()) == 2  # the ledger in memory is a second old
    assert rig.results("duplicate") == 2


def test_confirmed_has_left_its_ledger_behind(tmp_path: Path) -> None:
    """What is in the archives is told by the receipts."""
    rig = Rig(tmp_path, Expects(state="confirmed"))
    rig.store.receipts = frozenset({("S-1", rig.store.instance_hash("2.25.123456789"))})
    assert rig.send("2.25.123456789") == 0
    assert rig.results("duplicate") == 1 and not rig.outbox.series()
    assert rig.send("2.25.987654321") == 0 and len(rig.files()) == 1


@pytest.mark.parametrize(
    ("dropped", "leaks"),
    [(Dropped(EXCLUDED, "select.instance"), 0), (Dropped(REFUSED, "dataset.malformed"), 0),
     (Dropped(REFUSED, "verify.own-value"), 1)],
)  # fmt: skip
def test_what_the_cleaner_drops_is_accounted_for(tmp_path: Path, dropped: Dropped, leaks: int) -> None:
    rig = Rig(tmp_path, Expects(), cleaners={"chest": FakeCleaner(dropped)})
    assert rig.send() == 0
    assert rig.line() == LedgerLine(f"hash of {INSTANCE}", dropped.outcome, dropped.reason)
    assert rig.results(dropped.outcome.value) == 1 and rig.counts.added["leaks_blocked_total", "chest"] == leaks


def test_a_project_that_is_gone_from_the_configuration(tmp_path: Path) -> None:
    """Its series waits for its section to come back: what another project's retrieval brings meanwhile has not come to it."""
    rig = Rig(tmp_path, Expects(), Expects("S-2", "lung"), cleaners={"lung": FakeCleaner()})
    assert rig.send() == 0
    assert (rig.results("excluded"), rig.results("kept", "lung")) == (1, 1)
    assert rig.line() is None and rig.line("S-2")


def test_each_project_is_served_by_itself(tmp_path: Path) -> None:
    both = Expects(), Expects("S-2", "lung"), Expects("S-3", "other", series_hash="another series")
    rig = Rig(tmp_path, *both)
    rig.cleaners["lung"].dropped = Dropped(EXCLUDED, "select.instance")
    assert rig.send() == 0
    assert len(rig.files()) == 1 and not rig.files("S-2") and rig.line("S-2")
    assert (rig.results("kept"), rig.results("excluded", "lung"), rig.results("excluded", "other")) == (1, 1, 1)


@pytest.mark.parametrize("failing", ["S-1", "S-2"])
def test_one_project_that_cannot_keep_defers_the_instance(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path, Expects(), Expects("S-2", "lung"))
    keep = rig.outbox.keep
    full = OSError(errno.ENOSPC, "full")
    broken = once(full, keep)
    monkeypatch.setattr(rig.outbox, "keep", lambda key, *rest: (broken if key == failing else keep)(key, *rest))
    assert rig.send() == 0xA700
    assert {key: len(rig.files(key)) for key in ("S-1", "S-2")} == {"S-1": 1, "S-2": 1} | {failing: 0}
    assert rig.send() == 0x0000  # sent again: what was kept is a duplicate
    assert len(rig.files("S-1")) == len(rig.files("S-2")) == 1
    assert sum(rig.results("deferred", p) for p in ("chest", "lung")) == 1


def test_a_ledger_that_cannot_be_written_defers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path, Expects())
    monkeypatch.setattr(rig.outbox, "note", once(OSError(errno.EIO, "broken"), rig.outbox.note))
    assert [rig.send(), rig.send()] == [0xA700, 0x0000]
    assert rig.line()


def test_a_busy_database_defers(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    rig.store.error = Retry("state.busy")
    assert rig.send() == 0xA700 and rig.results("deferred", "") == 1
    rig.store.error = None
    assert rig.send() == 0x0000


def test_a_database_that_fails_while_it_is_cleaned_is_no_projects_deferral(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By that the daemon tells that no move is of use now (Meter.deferring)."""
    rig = Rig(tmp_path, Expects())
    monkeypatch.setattr(rig.cleaners["chest"], "clean", once(Retry("state.busy"), rig.cleaners["chest"].clean))
    assert rig.send() == 0xA700 and (rig.results("deferred", ""), rig.results("deferred", "chest")) == (1, 0)
    assert rig.send() == 0x0000


def test_the_store_is_asked_once_a_second(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects())
    for number in range(5):
        rig.send(f"2.25.{10**number}")
    assert rig.store.asked == 1
    rig.now += 1.5
    rig.send()
    assert rig.store.asked == 2


def test_says_nothing_that_identifies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as said:
        rig = Rig(tmp_path, Expects())
        rig.send()
        rig.send(study="2.25.5")
        rig.store.error, rig.now = Retry("state.busy"), 2000.0
        rig.send()
        rig.receive.store(replace(incoming(), data=b"x"))
    assert [entry["event"] for entry in said] == [
        "instance.kept", "instance.unsolicited", "instance.deferred", "instance.refused",
    ]  # fmt: skip
    text = f"{said} {caplog.text} {incoming()!r}"
    assert not [value for value in (STUDY, SERIES, INSTANCE, "SYN-PID", "SYN-AN") if value in text]


def test_a_name_that_the_outbox_does_not_take_costs_its_instance_and_no_other_project(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Expects(), Expects(key="S-2", project="lung"))
    keep = rig.outbox.keep

    def choosy(series: str, uid: str, parts: Sequence[Buffer]) -> StoredFile:
        return keep(series, "2.25..2" if series == "S-1" else uid, parts)

    rig.outbox.keep = choosy  # type: ignore[method-assign,assignment]
    assert rig.send() == 0 and rig.results("refused") == 1 and rig.results("kept", "lung") == 1
    line = rig.line()
    assert line is not None and (line.outcome, line.reason) == (REFUSED, "outbox.name")

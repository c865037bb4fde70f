"""D6: the header names another patient than the PACS's own answer did. It is clean, and a person says whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cstore.receive import Receive
from gateway.model import Buffer, Held, Outcome
from gateway.state import holding
from gateway.state.outbox import OWN, Outbox
from tests.cstore.rig import INSTANCE, Expects, FakeCleaner, Rig


class HoldingCleaner(FakeCleaner):
    def clean(self, dataset: Buffer, transfer_syntax: str, own: frozenset[str]) -> Held:  # type: ignore[override]
        return Held((b"clean ", dataset), f"{INSTANCE}.9", "profile-1", "pixels.at-risk")


def rig_of(folder: Path, patient: str, cleaner: FakeCleaner | None = None) -> Rig:
    """The data set is of SYN-PID."""
    rig = Rig(folder, Expects(patient=patient), cleaners={"chest": cleaner or FakeCleaner()})
    rig.outbox.held = Outbox(folder / "held", modes=OWN)
    return rig


@pytest.mark.catalogue("D6")
@pytest.mark.parametrize(
    ("patient", "outcome"),
    [
        ("SYN-PID", Outcome.KEPT), ("", Outcome.KEPT), ("SYN-PÍD", Outcome.KEPT),
        ("SYN-PID-2", Outcome.HELD), ("syn-pid", Outcome.HELD),
    ],
)  # fmt: skip
def test_d6_whose_header_disagrees_is_held(tmp_path: Path, patient: str, outcome: Outcome) -> None:
    """What C-FIND did not tell, or told in another character set than the header's, speaks neither way."""
    rig = rig_of(tmp_path, patient)
    assert rig.send() == 0x0000
    line = rig.line()
    assert line and (line.outcome, line.reason) == (outcome, "patient.differs" if outcome is Outcome.HELD else "")
    assert len(rig.files()) == (outcome is Outcome.KEPT)


@pytest.mark.catalogue("D6")
@pytest.mark.parametrize(
    ("cleaner", "reason"), [(FakeCleaner(), "patient.differs"), (HoldingCleaner(), "patient.differs.pixels.at-risk")]
)
def test_d6_no_screening_lets_it_go_and_a_person_does(tmp_path: Path, cleaner: FakeCleaner, reason: str) -> None:
    rig = rig_of(tmp_path, "SYN-PID-2", cleaner)
    rig.send()
    (found,) = holding.holdings(rig.outbox)
    assert (found.reason, found.judged) == (reason, True)
    holding.release(rig.outbox, found, [found.path.read_bytes()], holding.RELEASED)
    rig.now += 5
    assert rig.send() == 0
    line = rig.line()
    assert line and line.outcome is Outcome.KEPT and len(rig.files()) == 1
    assert list(holding.holdings(rig.outbox)) == [] and rig.results("duplicate") == 1


@pytest.mark.catalogue("R12", "D6")
@pytest.mark.parametrize(
    ("aliases", "outcome"), [({"SYN-PID": "SYN-PID-2"}, Outcome.KEPT), ({"SYN-PID": "X"}, Outcome.HELD)]
)
def test_r12_a_header_with_the_identifier_before_the_merge(
    tmp_path: Path, aliases: dict[str, str], outcome: Outcome
) -> None:
    rig = rig_of(tmp_path, "SYN-PID-2")
    rig.receive = Receive(
        store=rig.store, outbox=rig.outbox, cleaners=rig.cleaners, count=rig.counts, clock=lambda: rig.now,
        aliases={"chest": aliases},
    )  # fmt: skip
    assert rig.send() == 0x0000
    line = rig.line()
    assert line and line.outcome is outcome

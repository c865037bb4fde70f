"""max_rate with real senders: several associations at several receive processes together are not faster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cstore.pace import BURST
from tests.faults.receivers import Warm
from tests.faults.sending import Sender
from tests.faults.site import Options, Sent, Site, sent
from tests.support.dicomfiles import SeriesSpec, StudyFacts, make_study

RATE = 4 * 2**20
ASSOCIATIONS, EACH = 4, 6


@pytest.fixture
def study(tmp_path: Path) -> StudyFacts:
    """Twelve and a half megabytes."""
    return make_study(
        tmp_path / "source", series=[SeriesSpec("CT", "Thorax", ASSOCIATIONS * EACH, rows=512, columns=512)],
        patient_id="SYNPID8400", name="Ratesynth^Synthia", birth_date="19510317", accession="SYNRATE001", study_date="20240304",
    )  # fmt: skip


@pytest.fixture
def site(tmp_path: Path, study: StudyFacts) -> Site:
    made = Site(tmp_path / "site", Options(pacs=f'max_rate = "{RATE} B/s"'))
    made.plan([study])
    return made


@pytest.fixture
def receivers(site: Site) -> Iterator[Warm]:
    made = Warm(site)
    made.start()
    yield made
    made.close()


def test_together_they_keep_the_rate_and_all_of_it_is_kept(site: Site, study: StudyFacts, receivers: Warm) -> None:
    everything = list(sent(study))
    answers: list[int] = []

    def send(mine: list[Sent]) -> None:
        with Sender(receivers.port, [mine[0].message.sop_class]) as assoc:
            answers.extend([assoc.store(one.message) for one in mine])

    shares = [everything[i::ASSOCIATIONS] for i in range(ASSOCIATIONS)]
    senders = [threading.Thread(target=send, args=(share,)) for share in shares]
    start = time.monotonic()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    seconds = time.monotonic() - start
    assert answers == [0x0000] * len(everything)
    assert sum(len(one.message.data) for one in everything) <= RATE * (seconds + BURST)
    kept = site.kept()
    assert [kept.fault(one) for one in everything] == [""] * len(everything)
    kept.close()

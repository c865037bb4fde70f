"""max_rate: responses are delayed so that the rate is kept, over threads and processes, and never longer than senders wait."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing.context import ForkProcess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cstore.pace import BURST, LONGEST, Paced, slot_end
from gateway.cstore.page import Page
from gateway.dicom.server import Incoming
from gateway.settings import Pacs
from tests.dicom.serving import Counts

SLOW, OTHER = "SLOWPACS", "OTHERPACS"
RATE = 1_000_000.0


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page(2)
    yield made
    made.close()


def paced(page: Page, counts: Counts | None = None, stop: threading.Event | None = None) -> Paced:
    pacs = [
        Pacs(name="other", ae_title=OTHER, host="127.0.0.1"),
        Pacs(name="slow", ae_title=SLOW, host="127.0.0.1", max_rate=RATE),
    ]
    return Paced(lambda _: 0x0000, pacs=pacs, page=page, count=counts or Counts(), stop=stop or threading.Event())


def of(size: int, calling: str = SLOW) -> Incoming:
    return Incoming(calling, "127.0.0.1", "1.2", "1.2.3", "1.2.840.10008.1.2", bytes(size))


def spent(pace: Paced, *sizes: int, calling: str = SLOW) -> float:
    start = time.monotonic()
    assert [pace.store(of(size, calling)) for size in sizes] == [0x0000] * len(sizes)
    return time.monotonic() - start


def finished(processes: Sequence[ForkProcess], threads: Sequence[threading.Thread]) -> None:
    """All of them at once, to their end."""
    for process in processes:
        process.start()
    for thread in threads:
        thread.start()
    for process in processes:
        process.join()
    for thread in threads:
        thread.join()


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 2_000_000)), min_size=1, max_size=40), st.floats(1e4, 1e9))
def test_in_any_time_no_more_than_the_rate_and_a_burst(arrivals: list[tuple[float, int]], rate: float) -> None:
    now, before = 100.0, 0.0
    answered: list[tuple[float, int]] = []
    for pause, size in arrivals:
        now += pause
        before = slot_end(before, now, size / rate)
        if before < now + LONGEST:
            answered.append((max(before, now), size))
        else:
            answered.clear()  # more in flight than may wait: the rate is given up, not the association
    for i, (begin, _) in enumerate(answered):
        for j in range(i, len(answered)):
            sent = sum(size for _, size in answered[i + 1 : j + 1])
            assert sent <= rate * (answered[j][0] - begin + BURST) + 1


def test_no_response_waits_longer_than_senders_do_and_no_debt_is_kept() -> None:
    assert slot_end(0.0, 1000.0, 1e6) == 1000.0 + LONGEST
    assert slot_end(slot_end(0.0, 1000.0, 1e6), 1000.0 + LONGEST, 0.5) == 1000.0 + LONGEST + 0.5


def test_the_rate_is_kept_and_the_delay_counted(page: Page) -> None:
    counts = Counts()
    spent(paced(page, counts), int(RATE * BURST))
    seconds = spent(paced(page, counts), 200_000, 200_000, 200_000)
    assert seconds >= 0.59
    assert ("rate_delay_seconds_total", "slow") in counts.added


def test_others_do_not_wait_but_who_has_no_name_of_a_pacs_counts(page: Page) -> None:
    start = time.monotonic()
    spent(paced(page), int(RATE * BURST))
    assert spent(paced(page), 50 * int(RATE), calling=OTHER) < LONGEST / 2
    spent(paced(page), 300_000, calling="GATEWAY")
    assert time.monotonic() - start >= 0.29, "0.3 MB beyond the burst at 1 MB/s"


def test_a_receiver_that_ends_lets_nobody_wait(page: Page) -> None:
    stop = threading.Event()
    stop.set()
    assert spent(paced(page, stop=stop), *[int(10 * RATE)] * 3) < LONGEST / 2


def test_threads_and_processes_share_the_rate(page: Page) -> None:
    spent(paced(page), int(RATE * BURST))
    fork = multiprocessing.get_context("fork")
    everyone = [fork.Process(target=spent, args=(paced(page), 100_000, 100_000, 100_000)) for _ in range(2)]
    here = paced(page)
    threads = [threading.Thread(target=spent, args=(here, 100_000, 100_000)) for _ in range(3)]
    start = time.monotonic()
    finished(everyone, threads)
    assert [process.exitcode for process in everyone] == [0, 0]
    assert time.monotonic() - start >= 1.19, "1.2 MB at 1 MB/s"


def test_a_cell_is_changed_by_one_at_a_time(page: Page) -> None:
    other = Page(2, page.fileno())

    def count(mine: Page) -> None:
        for _ in range(500):
            mine.change(1, lambda n: n + 1)

    fork = multiprocessing.get_context("fork")
    everyone = [fork.Process(target=count, args=(mine,)) for mine in (page, other)]
    threads = [threading.Thread(target=count, args=(page,)) for _ in range(2)]
    finished(everyone, threads)
    assert page.change(1, lambda n: n) == 2000
    assert page.change(0, lambda n: n) == 0

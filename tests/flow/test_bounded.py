"""An outbox that may hold less than one series: each comes whole, is delivered, and the next one comes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import pytest

from tests.faults.sending import Message, Sender
from tests.flow import daily
from tests.flow.daily import MAIN, Archive
from tests.flow.day import Running, archives_wrong, furnished, opened
from tests.support.process import free_port

BOUND: Final = 'max_outbox = "600 B"'
"""Less than one instance."""
BETWEEN: Final = 1.5
"""Seconds between two instances: in which the outbox is measured, and found full."""


class Slow(Archive):
    def _store(self, messages: list[Message]) -> None:
        with Sender(self.receiver, sorted({one.sop_class for one in messages}), calling=self.name.upper()) as assoc:
            for one in messages:
                assoc.store(one)
                time.sleep(BETWEEN)
            assoc.release()


@pytest.mark.timeout(200)
def test_series_larger_than_the_outbox_may_be_are_delivered(tmp_path: Path) -> None:
    """While one comes the outbox is full, and nothing in it leaves before it is whole."""
    wanted = [exam for exam in daily.exams(20) if exam.kind == "plain" and exam.pacs == MAIN and not exam.fails][:2]
    holdings = daily.hospital(tmp_path / "hospital", wanted)
    receiver, site = free_port(), tmp_path / "site"
    with opened(holdings, receiver, Slow) as (pacs, _):
        furnished(site, {"receiver": receiver, **{name: one.port for name, one in pacs.items()}}, wanted)
        config = site / "gateway.toml"
        config.write_text(config.read_text().replace("processes = 2", f"processes = 1\n{BOUND}"))
        running = Running(site)
        try:
            running.daemon.start()
            running.daemon.wait_until(lambda: running.left() == 0, 120)
            assert running.daemon.stop() == 0
            balance = running.balance()
        finally:
            running.close()
    assert list(archives_wrong(site, balance, wanted, holdings)) == []
    assert "outbox.only-begun" in running.daemon.log.read_text()

"""Low water: nothing is taken while the disk is nearly full."""

from __future__ import annotations

from pathlib import Path

import structlog

from gateway.cstore.space import WhileRoom, free_bytes
from gateway.dicom.server import Incoming
from tests.cstore.rig import incoming
from tests.dicom.serving import Counts


def test_takes_while_there_is_room_and_defers_when_there_is_none(tmp_path: Path) -> None:
    taken: list[Incoming] = []
    counts = Counts()

    def store(one: Incoming) -> int:
        taken.append(one)
        return 0x0000

    def room(minimum: int) -> WhileRoom:
        return WhileRoom(store, folder=tmp_path, minimum=minimum, count=counts, clock=lambda: 0.0)

    assert room(1).store(incoming()) == 0x0000 and len(taken) == 1
    with structlog.testing.capture_logs() as said:
        assert room(1 << 60).store(incoming()) == 0xA700
    assert len(taken) == 1 and counts.added["instances_received_total", "", "deferred"] == 1
    assert said[0]["event"] == "disk.low" and said[0]["free_bytes"] == free_bytes(tmp_path) > 1

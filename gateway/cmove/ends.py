"""How long a retrieval waits, and the ends that nobody but ourselves is to blame for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.dicom.association import Deadlines

LONGEST_MOVE: Final = 6 * 3600.0
STOPPED: Final = "move.stopped"
LOST: Final = "move.lease-lost"
PAUSED: Final = "move.paused"
CLOSED: Final = "move.window-closed"
CROWDED: Final = "receiver.crowded"  # our own receiver refused an association of the move for now (A3, M2)
OURS: Final = frozenset({STOPPED, LOST, PAUSED, CLOSED, CROWDED})
"""Given back uncharged, and the PACS counts as up."""


@dataclass(frozen=True)
class Patience:
    """Seconds. `quiet`: how long to wait for instances after the final response, counted from the last one that came."""

    quiet: float = 5.0
    longest: float = LONGEST_MOVE
    deadlines: Deadlines = field(default_factory=Deadlines)

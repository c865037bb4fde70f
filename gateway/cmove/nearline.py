"""How long a series waits of which nothing came, though the PACS called the move a success. Pure.

A hammered PACS says so and sends a moment later; one that has to fetch from tape sends at the second or third try, minutes or
hours later (M3, M14). Those that wait for it are not due, so that nobody waits behind them.
"""

from __future__ import annotations

from typing import Final

from gateway.dicom.patience import spread

PAUSES: Final = (5.0, 900.0, 3600.0, 6 * 3600.0, 86400.0)
"""Seconds, by earlier failures; the last one again and again."""


def pause(attempts: int, key: str) -> float:
    """Seconds until the next try, spread by +-25 % over the series."""
    return spread(PAUSES[min(attempts, len(PAUSES) - 1)], attempts, key)

"""C-GET in place of C-MOVE: a series comes on our own association, for a PACS that opens none to us (firewalls, no destination)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from pydicom.dataset import Dataset

from gateway.cmove.question import UNLISTABLE
from gateway.dicom.association import Scu
from gateway.dicom.identifier import identifier, text
from gateway.dicom.listing import IMAGE_CAP
from gateway.dicom.moving import MoveWatch
from gateway.errors import Retry

USUAL: Final = tuple(f"1.2.840.10008.5.1.4.1.1.{n}" for n in (
    "2", "2.1", "4", "4.1", "7", "7.2", "7.4", "1", "1.1", "1.2", "1.3", "3.1", "6.1", "12.1", "12.2", "20", "128", "130",
    "66", "66.4", "11.1", "88.11", "88.22", "88.33", "88.59", "88.67", "104.1", "481.1", "481.2", "481.3", "481.5",
))  # fmt: skip
"""SOP classes of most of what a hospital has, for a PACS that does not list what it has."""
A_CLASS: Final = re.compile(r"[0-9][0-9.]{0,63}", re.ASCII)
"""What may be proposed: nothing else can be encoded (PS3.8 9.3.2.2)."""
MOST: Final = 60
"""Classes of one series: there are one or two."""


def get(
    scu: Scu, keys: Mapping[str, str], asked: Dataset, watch: MoveWatch, connect: Callable[[tuple[str, ...]], Scu]
) -> int:
    """The final status, on an association of its own, whose contexts are those of the classes in the series. Raises as `Scu.get`.

    `keys`: of the series; `asked`: what is to come of it. `connect`: an association for these classes.
    """
    with connect(_classes(scu, keys)) as link:
        return link.get(asked, watch=watch)


def _classes(scu: Scu, keys: Mapping[str, str]) -> tuple[str, ...]:
    """What the PACS lists, else the usual ones."""
    try:
        rows = scu.find(identifier("IMAGE", keys, frozenset({"SOPInstanceUID", "SOPClassUID"})), row_cap=IMAGE_CAP)
    except Retry as err:
        if err.reason not in UNLISTABLE:
            raise
        rows = []
    listed = dict.fromkeys(uid for uid in (text(row, "SOPClassUID") for row in rows) if A_CLASS.fullmatch(uid))
    return tuple(listed)[:MOST] or USUAL

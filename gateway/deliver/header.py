"""The few header values a sink needs, from a clean file. All of them are new UIDs, pseudonyms or harmless."""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from gateway.errors import Refused, Retry

UNREADABLE: Final = (InvalidDicomError, BytesLengthException, EOFError, ValueError, KeyError, TypeError, struct.error)
"""What pydicom raises on a torn file."""


def read(file: Path | BinaryIO, keywords: Collection[str]) -> dict[str, str]:
    """keyword -> text, "" when absent. Raises Refused("deliver.unreadable") or Retry("outbox.unreadable").

    Elements with a text VR only. What is not ASCII comes as latin-1, whatever the character set: one value, one text.
    """
    try:
        ds = dcmread(file, stop_before_pixels=True, specific_tags=list(keywords))
        return {keyword: _text(ds, keyword) for keyword in keywords}
    except OSError:
        raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
    except UNREADABLE:
        raise Refused("deliver.unreadable", "a file in the outbox is no DICOM file") from None


def _text(ds: Dataset, keyword: str) -> str:
    """As it stands in the file: pydicom's conversion would judge the value, and quote it in a warning."""
    raw = ds.get_item(keyword)
    if raw is None or raw.value is None:
        return ""
    text = raw.value.decode("latin-1") if isinstance(raw.value, bytes) else str(raw.value)
    return text.rstrip("\0 ")

"""Tells a whole file from one that a power cut or the disk has spoilt: XXH3-128, thirty times as fast as SHA-256 (ADR 22).

Not for proof against anybody: whoever can write to the outbox can write the checksum, too. What leaves it bears SHA-256.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import file_digest
from io import BufferedReader, FileIO
from typing import Final

from xxhash import xxh3_128

from gateway.model import Buffer

SIZE: Final = 16  # bytes


def of_parts(parts: Sequence[Buffer]) -> bytes:
    made = xxh3_128()
    for part in parts:
        made.update(part)
    return made.digest()


def of_file(opened: BufferedReader | FileIO) -> bytes:
    """From where it stands to its end. Raises OSError."""
    return file_digest(opened, xxh3_128).digest()

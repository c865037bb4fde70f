"""What a prepared file says of itself, in an extended attribute (ADR 21): whose it is, and what its content has to be."""

from __future__ import annotations

import errno
import os
from typing import Final, NamedTuple

from gateway.state import checksum

MARK: Final = "user.g"  # short, and so is the value: then it is in the inode, and costs no block
_UID, _DCM = "2.25.", ".dcm"  # of our own: the number fits into 16 bytes (PS3.5 B.2)


class Marked(NamedTuple):
    """What an attribute says: the content's checksum, the series, the file's real name."""

    checksum: bytes
    series: str
    name: str


def write_mark(file: int | str, marked: Marked) -> None:
    """Raises OSError, also where the file system has no attributes."""
    os.setxattr(file, MARK, packed(marked))


def read_mark(path: str) -> Marked | None:
    """None: nothing was written to it, or not all. Raises OSError."""
    try:
        return unpacked(os.getxattr(path, MARK))
    except OSError as err:
        if err.errno not in (errno.ENODATA, errno.ENOTSUP):
            raise
        return None


def is_whole(path: str, marked: Marked) -> bool:
    """What is there is what was to be acknowledged, and on stable storage: its process may have died before its fsync."""
    with open(path, "rb", buffering=0) as file:
        os.fsync(file.fileno())
        return checksum.of_file(file) == marked.checksum


def packed(marked: Marked) -> bytes:
    """At most 68 bytes for names of our own: what the inode of an ext4 with inodes of 256 bytes has room for."""
    number = marked.name.removeprefix(_UID).removesuffix(_DCM)
    short = number.isdecimal() and int(number) < 1 << 128 and f"{_UID}{int(number)}{_DCM}" == marked.name
    name = b"#" + int(number).to_bytes(16, "big") if short else marked.name.encode()
    return marked.checksum + marked.series.encode() + b"/" + name


def unpacked(raw: bytes) -> Marked:
    series, _, name = raw[checksum.SIZE :].partition(b"/")
    real = (
        f"{_UID}{int.from_bytes(name[1:], 'big')}{_DCM}"
        if len(name) == 17 and name[:1] == b"#"
        else name.decode("ascii", "replace")
    )
    return Marked(raw[: checksum.SIZE], series.decode("ascii", "replace"), real)

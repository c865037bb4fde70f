"""Reads what must be known before anything is decoded: the three UIDs of a data set, and the parts of a Part 10 file.

Takes bytes, touches no element that it does not have to. Standard: PS3.5 7.1 (elements), 7.5 (sequences), PS3.10 7.1.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from gateway.errors import Refused
from gateway.model import Buffer

EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
IMPLICIT_LE: Final = "1.2.840.10008.1.2"
EXPLICIT_BE: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95"})
"""Deflated Explicit VR Little Endian, and JPIP Referenced Deflate (PS3.5 A.5, A.6)."""

SOP_INSTANCE, PATIENT, STUDY, SERIES = 0x00080018, 0x00100020, 0x0020000D, 0x0020000E
WANTED: Final = (STUDY, SERIES, SOP_INSTANCE, PATIENT)
META_SYNTAX = 0x00020010
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
UNDEFINED: Final = 0xFFFFFFFF
LONG_VRS: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
SHORT_VRS: Final = frozenset(
    (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST",
     b"TM", b"UI", b"UL", b"US")
)  # fmt: skip
MAX_DEPTH: Final = 32  # of undefined-length sequences in one another; real ones stay below 10
FIRST_INFLATED: Final = 1 << 16
CHUNK: Final = 1 << 24  # bytes of a part that are written at once
IOV: Final = 512  # parts, of which the kernel takes 1024
MAX_INFLATED: Final = 1 << 25  # bytes before the series UID: a deflate bomb ends here

_EXPLICIT: Final = {order: struct.Struct(f"{order}HH2sH") for order in "<>"}
_IMPLICIT: Final = {order: struct.Struct(f"{order}HHI") for order in "<>"}
_LENGTH: Final = {order: struct.Struct(f"{order}I") for order in "<>"}

_SHORT: Final = struct.Struct("<HH2sH").unpack_from

Header = tuple[int, int, int, bytes]
"""Tag, offset of the value, its length (UNDEFINED possible), VR (b"" in implicit VR)."""
ReadHeader = Callable[[memoryview, int, str], Header]
"""Of an element: bytes, offset, byte order ("<", ">"). Raises Unreadable, struct.error."""


@dataclass(frozen=True)
class Ids:
    """Whose instance this is. Original values: kept out of repr."""

    StudyInstanceUID: str = field(repr=False)
    SeriesInstanceUID: str = field(repr=False)
    SOPInstanceUID: str = field(repr=False)
    PatientID: str = field(default="", repr=False, compare=False)


class Found(NamedTuple):
    """Where values of `WANTED` are, by tag. `read`: all that was looked at, up to `end`: no other byte decides on the places."""

    places: Mapping[int, tuple[int, int]]
    read: Sequence[tuple[int, int]]
    end: int


class Unreadable(Exception):
    """Not in this encoding, or not a data set at all."""


def peek(data: Buffer, transfer_syntax: str) -> Ids:
    """The UIDs, by a scan of the top level that stops at (0020,000E). Raises Refused("dataset.unreadable")."""
    encodings, endian = readings(transfer_syntax)
    size = FIRST_INFLATED
    while True:
        view, more = _inflated(data, size) if transfer_syntax in DEFLATED else (memoryview(data).cast("B"), False)
        for header in encodings:
            try:
                return ids_of(view, find_ids(view, header, endian).places)
            except (Unreadable, struct.error):
                continue
        if not more or size >= MAX_INFLATED:
            raise Refused("dataset.unreadable", "no study, series and instance UID found where they belong")
        size *= 8


def read_file(path: Path) -> tuple[memoryview, str]:
    """The data set, as a view of the file, a large one mapped, and its transfer syntax. Raises Refused("file.not-dicom"), OSError.

    Of a large file nothing is read before it is looked at. One that somebody cuts short meanwhile ends the process (SIGBUS): this
    is for files that lie still.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        large = size > CHUNK  # a small file is read in less time than its pages are mapped
        raw = memoryview(mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ) if large else file.read())
        size = len(raw)
    if bytes(raw[128:132]) != b"DICM":
        raise Refused("file.not-dicom", "no DICM mark after 128 bytes")
    at, syntax = 132, ""
    try:
        while at < size and bytes(raw[at : at + 2]) == b"\x02\x00":
            tag, start, length, _ = explicit(raw, at, "<")
            if tag == META_SYNTAX:
                syntax = _text(raw[start : start + length])
            at = start + length
    except (Unreadable, struct.error):
        raise Refused("file.not-dicom", "the file meta information cannot be read") from None
    if not syntax or at > size:
        raise Refused("file.not-dicom", "the file meta information names no transfer syntax")
    return memoryview(raw)[at:], syntax


def write_file(path: Path, parts: Iterable[Buffer]) -> None:
    """A file of these parts, in few calls, not synced. Raises OSError.

    Of a mapped file that parts are views of, no more than `CHUNK` bytes stay in memory, however large it is.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        waiting: list[Buffer] = []
        size = 0
        for piece in _pieces(parts):
            waiting.append(piece)
            size += len(piece)
            if size >= CHUNK or len(waiting) == IOV:
                _write_all(fd, waiting, size)
                _forget(piece)
                waiting, size = [], 0
        _write_all(fd, waiting, size)
    finally:
        os.close(fd)


def _pieces(parts: Iterable[Buffer]) -> Iterator[Buffer]:
    for part in parts:
        if len(part) <= CHUNK:
            yield part
        else:
            view = memoryview(part)
            yield from (view[at : at + CHUNK] for at in range(0, len(view), CHUNK))


def _write_all(fd: int, pieces: Sequence[Buffer], size: int) -> None:
    """writev may write less than asked (disk nearly full, signal): the rest goes out by itself, or raises ENOSPC."""
    done = os.writev(fd, pieces) if pieces else 0
    if done < size:
        rest = memoryview(b"".join(pieces))[done:]
        while rest:
            rest = rest[os.write(fd, rest) :]


def _forget(piece: Buffer) -> None:
    """The pages of a mapped file that was written from: they would count as our memory, and be read again if need be."""
    whole = piece.obj if isinstance(piece, memoryview) else None
    if isinstance(whole, mmap.mmap):
        whole.madvise(mmap.MADV_DONTNEED)


def _inflated(data: Buffer, size: int) -> tuple[memoryview, bool]:
    """The first `size` bytes of a deflated data set (PS3.5 A.5: no zlib header), and whether there is more."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        head = inflater.decompress(data, size)
    except zlib.error:
        raise Refused("dataset.unreadable", "not deflated as its transfer syntax says") from None
    return memoryview(head), not inflater.eof and len(head) == size


def find_ids(view: memoryview, header: ReadHeader, endian: str) -> Found:
    """Raises Unreadable, struct.error."""
    places: dict[int, tuple[int, int]] = {}
    read: list[tuple[int, int]] = []
    at, end, last = 0, len(view), -1
    while at < end and last < SERIES:
        begin = at
        tag, start, length, vr = header(view, at, endian)
        if tag <= last:
            raise Unreadable  # elements ascend (PS3.5 7.1): this is not where an element begins
        if length == UNDEFINED:
            start = at = after_items(view, start, header if vr != b"UN" else implicit, endian, MAX_DEPTH)
        else:
            at = start + length
            if tag in WANTED and at <= end:
                places[tag] = start, at
        read.append((begin, start))
        last = tag
    return Found(places, read, at)


def ids_of(view: memoryview, places: Mapping[int, tuple[int, int]]) -> Ids:
    """Raises Unreadable where one of the three UIDs is missing or empty."""
    texts = [_text(view[slice(*places[tag])]) if tag in places else "" for tag in WANTED]
    if not all(texts[:-1]):
        raise Unreadable
    return Ids(*texts)


def readings(transfer_syntax: str) -> tuple[tuple[ReadHeader, ReadHeader], str]:
    """How to read elements: in the VR encoding of the syntax, then in the other one; and in which byte order.

    Some senders do not encode as their transfer syntax says, and only an instance whose study is known can be accounted for.
    """
    if transfer_syntax == IMPLICIT_LE:
        return (implicit, explicit), "<"
    return (explicit, implicit), ">" if transfer_syntax == EXPLICIT_BE else "<"


def explicit(view: memoryview, at: int, endian: str) -> Header:
    """An item has no VR, but its length may spell one: 16708 is DA."""
    group, element, vr, length = _EXPLICIT[endian].unpack_from(view, at)
    tag = group << 16 | element
    if group == 0xFFFE:
        return tag, at + 8, _LENGTH[endian].unpack_from(view, at + 4)[0], b""
    if vr in SHORT_VRS:
        return tag, at + 8, length, vr
    if vr in LONG_VRS:
        return tag, at + 12, _LENGTH[endian].unpack_from(view, at + 8)[0], vr
    raise Unreadable


def implicit(view: memoryview, at: int, endian: str) -> Header:
    group, element, length = _IMPLICIT[endian].unpack_from(view, at)
    return group << 16 | element, at + 8, length, b""


def after_items(view: memoryview, at: int, header: ReadHeader, endian: str, depth: int) -> int:
    """The offset after the items of a sequence of undefined length; items and nested sequences may be undefined too."""
    if depth == 0:
        raise Unreadable
    while True:
        tag, start, length, _ = header(view, at, endian)
        if tag == SEQUENCE_END:
            return start
        if tag != ITEM:
            raise Unreadable
        at = start + length if length != UNDEFINED else _after_item(view, start, header, endian, depth)


def _after_item(view: memoryview, at: int, header: ReadHeader, endian: str, depth: int) -> int:
    while True:
        tag, start, length, vr = header(view, at, endian)
        if tag == ITEM_END:
            return start
        if length == UNDEFINED:
            at = after_items(view, start, header if vr != b"UN" else implicit, endian, depth - 1)
        else:
            at = start + length


def _text(value: memoryview) -> str:
    """UIDs are opaque here (PS3.5 9.1 is not always kept): padding off, nothing else."""
    return bytes(value).decode("latin-1").strip("\0 ")

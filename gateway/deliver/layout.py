"""Where a file goes below the root of an archive: `{PatientID}/{StudyInstanceUID}/{SOPInstanceUID}.dcm`, filled safely.

Pure. Whatever a header holds, the path stays below the root, has as many parts as the template, and no part is hidden,
reserved or unprintable. A value that had to be changed gets a short hash, so that two different ones do not become one
folder.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping
from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword

from gateway.errors import Fatal, Refused

FILE_KEYWORD: Final = "SOPInstanceUID"  # what makes a file's place its own
MAX_VALUE: Final = 96  # characters of one value
MAX_PART: Final = 255  # bytes, NAME_MAX of Linux file systems
MAX_PATH: Final = 1024  # bytes below the root; PATH_MAX is 4096
TEXT: Final = frozenset(
    {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
)
"""VRs, PS3.5 6.2."""
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._+@=-]")


class Layout:
    """A checked template. Raises Fatal("deliver.layout") with what is wrong."""

    def __init__(self, template: str) -> None:
        self._parts = [_parsed(part) for part in template.split("/")]
        self.keywords = frozenset(k for part in self._parts for _, k in part if k)
        if FILE_KEYWORD not in self.keywords:
            raise _wrong(f"without {{{FILE_KEYWORD}}} two files would have the same name")

    def place(self, header: Mapping[str, str]) -> str:
        """The path below the root. Raises Refused("deliver.path"): too long, no UID."""
        if not header[FILE_KEYWORD]:
            raise Refused("deliver.path", f"a clean file has no {FILE_KEYWORD}")
        parts = ["".join(text + (safe(header[k]) if k else "") for text, k in part) for part in self._parts]
        if any(len(p) > MAX_PART for p in parts) or sum(len(p) + 1 for p in parts) > MAX_PATH:
            raise Refused("deliver.path", "the layout makes a path that is too long")
        return "/".join(parts)

    def patterns(self, known: Mapping[str, str]) -> list[str]:
        """One glob pattern for each part of the path: where files with these values are. No value of ours has a glob's letters."""
        return ["".join(text + _pattern(k, known) for text, k in part) for part in self._parts]

    def keywords_at(self, depth: int) -> frozenset[str]:
        """What the name of the folder at that depth is made of, the outermost being 0."""
        return frozenset(k for _, k in self._parts[depth] if k)


def _pattern(keyword: str, known: Mapping[str, str]) -> str:
    return safe(known[keyword]) if keyword in known else "*" if keyword else ""


def safe(value: str) -> str:
    """`value` as part of a file name: ASCII letters, digits and `._+@=-`, not empty, not hidden, at most 96 long."""
    plain = _UNSAFE.sub("_", value.strip(" \0"))
    plain = re.sub(r"^\.+|\.+$", "_", plain)[:MAX_VALUE]
    if not plain:
        return "_"
    if plain == value:
        return plain
    mark = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: MAX_VALUE - len(mark) - 1]}-{mark}"


def _parsed(part: str) -> list[tuple[str, str]]:
    """One part of the path as (literal text, keyword or "")."""
    try:
        pieces = [(text, field, spec, conversion) for text, field, spec, conversion in string.Formatter().parse(part)]
    except ValueError as err:
        raise _wrong(str(err)) from None
    if part in ("", ".", "..") or part.startswith("."):
        raise _wrong("a part is empty, relative or hidden; the layout stands below the path")
    for text, field, spec, conversion in pieces:
        if _UNSAFE.search(text.replace(" ", "_")):
            raise _wrong(f"{text!r} holds a character that file names should not")
        if field is not None:
            _check_keyword(field, plain=not spec and not conversion)
    return [(text, field or "") for text, field, _, _ in pieces]


def _check_keyword(keyword: str, *, plain: bool) -> None:
    tag = tag_for_keyword(keyword)
    if not keyword or tag is None or not plain:
        raise _wrong(f"{{{keyword}}} is no DICOM keyword")
    if dictionary_VR(tag) not in TEXT:
        raise _wrong(f"{{{keyword}}} has no text as its value")


def _wrong(why: str) -> Fatal:
    return Fatal("deliver.layout", why)

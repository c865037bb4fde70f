"""Taking a withdrawn patient out of an archive, where the archive lets us.

A sink that has `remove` is asked for it; for another one the patient's pseudonym is told to a person. In a directory the layout
says where a patient's files may be, and each file's own header whether it is one: nothing is removed by its name alone.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from gateway.deliver import copy, header
from gateway.deliver.layout import Layout
from gateway.deliver.manifest import Manifests, each
from gateway.errors import Refused, Retry
from gateway.state.writing import sync_folder

PART: Final = ".part"
FOUND: Final = "lost+found"  # a file system's own, which is for root alone
OWN: Final = frozenset({"PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"})
"""Keywords that make a folder one patient's: when it is empty, nobody else is about to write into it."""


@runtime_checkable
class Removes(Protocol):
    """A sink that can delete."""

    @property
    def name(self) -> str: ...

    def close(self) -> None: ...

    def remove(self, PatientID: str) -> int:
        """Everything of that pseudonymous patient, for good. Twice is once. Returns how many instances went.

        Raises `Retry(charge=False)` when the archive is in trouble, what went until then is gone; `Refused` when it cannot delete.
        """
        ...


def remove_files(root: Path, layout: Layout, manifests: Manifests, PatientID: str) -> int:
    """As `Removes.remove`, in a folder. Raises Retry sink.unwritable or sink.unreadable when all that can be is out."""
    unread: list[Path] = []

    def take_from(folder: Path) -> int:
        removed = _remove_from(folder, name, PatientID, unread)
        _tidy(root, folder, layout)
        return removed

    try:
        if not root.is_dir():
            raise FileNotFoundError(2, "the archive's root is missing")
        *above, name = layout.patterns({"PatientID": PatientID})
        try:
            removed = each(list(_folders(root, above, unread)), take_from)
        finally:
            manifests.forget(PatientID)
    except OSError as err:
        raise Retry("sink.unwritable", f"directory:{root} cannot be changed ({err.strerror})", charge=False) from None
    if unread:
        told = f"directory:{root}: {len(unread)} files or folders that may be the patient's cannot be read"
        raise Retry("sink.unreadable", told, charge=False)
    return removed


def _folders(root: Path, patterns: list[str], unread: list[Path]) -> Iterator[Path]:
    """Those that a file of the patient may be in: by links, too, as `put` goes. No layout makes a hidden folder."""
    if not patterns:
        yield root
        return
    for found in _named(root, patterns[0], unread):
        if found.name.startswith(".") or found.name == FOUND:
            continue
        if _kind(found, unread, follow=True) == stat.S_IFDIR:
            yield from _folders(found, patterns[1:], unread)


def _kind(found: Path, unread: list[Path], *, follow: bool) -> int:
    """As stat(2) has it. 0: it has gone meanwhile, or it is told in `unread`: a place that is closed, a link to no disk."""
    try:
        return stat.S_IFMT(found.stat(follow_symlinks=follow).st_mode)
    except OSError as err:
        if err.errno != errno.ENOENT or (follow and found.is_symlink()):
            unread.append(found)
        return 0


def _named(folder: Path, pattern: str, unread: list[Path]) -> list[Path]:
    """What is in a folder under such a name. Not by Path.glob, for which a folder that may not be read is an empty one."""
    try:
        return [folder / name for name in sorted(fnmatch.filter(os.listdir(folder), pattern))]
    except FileNotFoundError:
        return []
    except OSError:
        unread.append(folder)
        return []


def _remove_from(folder: Path, pattern: str, PatientID: str, unread: list[Path]) -> int:
    """Files, and halves that a killed put left behind: nobody writes for a patient who is withdrawn."""
    found = [f for f in _named(folder, pattern, unread) if not f.name.startswith(".")]
    mine = [f for f in found if _is_of(f, PatientID, unread)]
    halves = [f for f in sorted(folder.glob(f".*{PART}")) if copy.abandoned(f)]
    if mine or halves:
        try:
            each([*mine, *halves], _unlink)
        finally:
            sync_folder(folder)
    return len(mine)


def _unlink(file: Path) -> int:
    file.unlink(missing_ok=True)
    return 1


def _is_of(file: Path, PatientID: str, unread: list[Path]) -> bool:
    if _kind(file, unread, follow=False) != stat.S_IFREG:
        return False
    try:
        return header.read(file, ["PatientID"])["PatientID"].strip() == PatientID
    except Refused:  # no DICOM file: none of ours
        return False
    except Retry:
        unread += [file] if file.exists() else []  # else it has gone meanwhile
        return False


def _tidy(root: Path, folder: Path, layout: Layout) -> None:
    """Empty folders that were the patient's alone, from the innermost up."""
    depth = len(folder.relative_to(root).parts)
    while depth and OWN & layout.keywords_at(depth - 1):
        with contextlib.suppress(OSError):  # not empty
            os.rmdir(folder)
            sync_folder(folder.parent)
        folder, depth = folder.parent, depth - 1

"""`deid`: a project's filter and de-identification on files, offline. Needs the configuration and the key, nothing else.

What the receiver would hold is screened here and now, where the project has `clean-pixel-data`; what then is not proven clean, or
was not to be screened, is counted as held and not written.

No file of SOURCE is named in what is shown: hospitals name files after patients. Files are counted in the order of their paths.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cstore.screening import RELEASE, Screener
from gateway.deidentify.cleaner import Cleaner
from gateway.deliver.directory import DirectorySink
from gateway.dicom.part10 import read_file, write_file
from gateway.errors import Refused
from gateway.model import Buffer, Dropped, Held
from gateway.ops.core import seldom_collect
from gateway.run import console, wiring
from gateway.run.commands.options import config_option, json_option, project_option, settings_for
from gateway.run.commands.profile import told_of
from gateway.run.nodes import kept_keys
from gateway.settings import DirectorySink as Place
from gateway.settings import project_named

LAYOUT: Final = "{PatientID}/{SOPInstanceUID}.dcm"
OWN: Final[frozenset[str]] = frozenset()  # no request asked for these files
WELL: Final = ("kept", "excluded")


@dataclass
class Report:
    """What became of the files so far: (outcome, reason) -> files."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    explained: list[dict[str, Any]] = field(default_factory=list)

    @property
    def well(self) -> bool:
        return bool(self.counts) and all(outcome in WELL for outcome, _ in self.counts)


@dataclass(frozen=True)
class Work:
    """`screener`: None where pixels are not screened. `scratch`: a folder in the destination for a clean file on its way."""

    cleaner: Cleaner
    screener: Screener | None
    sink: DirectorySink
    scratch: Path
    explain: bool


@click.command()
@project_option
@click.argument("places", type=click.Path(path_type=Path), nargs=2, metavar="SOURCE DEST")
@click.option("--explain", is_flag=True, help="Show what was done to each element, and by which rule.")
@config_option
@json_option
def deid(project: str, places: tuple[Path, Path], explain: bool, config: Path, as_json: bool) -> int:
    """De-identify the files of SOURCE into DEST, as the gateway would: DEST/<new PatientID>/<new SOPInstanceUID>.dcm.

    1 when a file was refused, held or could not be read, or when there is none.
    """
    settings = settings_for(config)
    found = project_named(settings, project)
    source, home = _places(*places)
    with told_of(config, project):
        cleaner = wiring.make_cleaner(found, kept_keys(settings))
    screener = wiring.make_screeners([found]).get(project)
    seldom_collect()
    sink = DirectorySink(Place(path=home, layout=LAYOUT))
    with _scratch(home) as scratch:
        report = _cleaned(source, Work(cleaner, screener, sink, Path(scratch), explain))
    _tell(report, as_json=as_json)
    return 0 if report.well else 1


def _places(source: Path, dest: Path) -> tuple[Path, Path]:
    """Both, absolute; what is made must not be read again."""
    inner, outer = source.resolve(), dest.resolve()
    if not inner.exists():
        raise click.UsageError("SOURCE: there is no such file or folder")
    if outer.exists() and not outer.is_dir():
        raise click.UsageError("DEST: there is something that is no folder")
    if outer.is_relative_to(inner) or inner.is_relative_to(outer):
        raise click.UsageError("SOURCE and DEST lie in one another")
    return inner, outer


def _scratch(home: Path) -> tempfile.TemporaryDirectory[str]:
    """In DEST, which is made where there is none."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(prefix=".deid-", dir=home)
    except OSError as err:
        raise click.UsageError(f"DEST: cannot be made, or not written ({err.strerror})") from None


def _files(source: Path, report: Report) -> list[Path]:
    """Every file, in the order of the paths; folders behind links are left out, those that cannot be read are counted."""
    if not source.is_dir():
        return [source]

    def unreadable(_: OSError) -> None:
        report.counts["unreadable", "folder.unreadable"] += 1

    found = (Path(folder, name) for folder, _, names in os.walk(source, onerror=unreadable) for name in names)
    return sorted(filter(_is_file, found))


def _is_file(path: Path) -> bool:
    """What cannot even be looked at (its folder may be listed, not entered; its server is away; its path is too long) is taken
    for one, and counted when it is read."""
    try:
        return path.is_file()
    except OSError:
        return True


def _cleaned(source: Path, work: Work) -> Report:
    report = Report()
    for ordinal, file in enumerate(_watched(_files(source, report)), start=1):
        report.counts[_one(ordinal, file, work, report)] += 1
    return report


def _watched(files: Sequence[Path]) -> Iterator[Path]:
    """With a progress bar on standard error, where that is a terminal."""
    screen = console.err()
    columns = (TextColumn("de-identified"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as progress:
        yield from progress.track(files)


def _one(ordinal: int, file: Path, work: Work, report: Report) -> tuple[str, str]:
    """(outcome, reason) of one file."""
    try:
        data, syntax = read_file(file)
    except Refused as err:
        return "unreadable", err.reason
    except OSError:
        return "unreadable", "file.unreadable"
    if work.explain:
        elements = [vars(e) for e in work.cleaner.explain(data, syntax, OWN)]
        report.explained.append({"file": ordinal, "elements": elements})
    result = work.cleaner.clean(data, syntax, OWN)
    if isinstance(result, Dropped):
        return str(result.outcome), result.reason
    return _screened(result, work) if isinstance(result, Held) else _stored(result.parts, work)


def _screened(held: Held, work: Work) -> tuple[str, str]:
    """As the screening would decide about it."""
    if work.screener is None:
        return "held", held.reason
    screened = work.screener.screen(held.parts)
    return _stored(screened.parts, work) if screened.verdict == RELEASE else ("held", screened.reason)


def _stored(parts: Sequence[Buffer], work: Work) -> tuple[str, str]:
    """The sink's own rules: whole and synced before it is seen, the same file twice is once, nothing is overwritten."""
    clean = work.scratch / "clean.dcm"
    write_file(clean, parts)
    try:
        new = work.sink.put(clean).new
    except Refused as err:
        return "refused", err.reason
    return "kept", "" if new else "there already"


def _tell(report: Report, *, as_json: bool) -> None:
    rows = [(outcome, reason, n) for (outcome, reason), n in sorted(report.counts.items())]
    if as_json:
        told = [{"outcome": outcome, "reason": reason, "files": n} for outcome, reason, n in rows]
        console.emit({"files": sum(report.counts.values()), "outcomes": told, "explained": report.explained})
        return
    for one in report.explained:
        elements = [tuple(e.values()) for e in one["elements"]]
        console.table(f"File {one['file']}", ("Path", "Keyword", "Action", "Rule"), elements)
    console.table("Files", ("Outcome", "Reason", "Number"), rows)

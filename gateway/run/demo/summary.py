"""What the demo did, in tables: from the state that the daemon left behind, as the commands would read it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.run.demo import hospital as rows
from gateway.run.demo.archive import Archive, before_and_after
from gateway.run.demo.hospital import Hospital
from gateway.run.demo.site import PROJECT, Site
from gateway.settings import Select
from gateway.state.holding import DISCARDED
from gateway.state.views import SeriesView, Views

OUTCOMES = {
    "done": "every series of it is in the archive, or excluded by a rule",
    "empty": "the PACS does not know the accession number; it is asked again later",
    "failed": "something is wrong: pacs-gateway explain says what",
    "new": "not asked yet", "planned": "under way", "cancelled": "cancelled",
}  # fmt: skip


def reasons(select: Select) -> Mapping[str, str]:
    """Reason slug -> what it means with these rules."""
    return {
        "select.study": f"study rule: {select.study}",
        "select.series": f"series rule: {select.series}",
        "select.instance": f"instance rule: {select.instance}",
        DISCARDED: "it says that text is burned into its pixels: the demo decided, as a person would with held discard",
    }


def print_requests(console: Console, views: Views, hospital: Hospital) -> None:
    states = Counter(r.state for r in views.requests())
    made = _table("Requests", ("outcome", "requests", "meaning"))
    for state, n in sorted(states.items()):
        made.add_row(state, str(n), OUTCOMES.get(state, ""))
    for aside in views.set_aside(rows.MALFORMED):
        made.add_row("set aside", "1", f"{aside.reason}: this RIS row cannot be asked of a PACS; the others went on")
    console.print(made)
    repeated = len(hospital.rows) - len({row[0] for row in hospital.rows})
    console.print(f"The RIS repeated {repeated} row, which became no request of its own.")


def print_series(console: Console, found: Sequence[SeriesView]) -> None:
    made = _table("Series", ("state", "reason", "modality", "series"))
    counted = Counter((s.state, s.reason, s.modality) for s in found)
    for (state, reason, modality), n in sorted(counted.items()):
        made.add_row(state, reason, modality, str(n))
    console.print(made)


def print_instances(console: Console, found: Sequence[SeriesView], words: Mapping[str, str]) -> None:
    made = _table("Instances", ("instances", "what became of them", "reason", "that is"))
    made.add_row(str(sum(s.kept for s in found)), "kept: de-identified, verified, in the archive", "", "")
    for (became, reason), n in sorted(_excluded(found).items()):
        made.add_row(str(n), became, reason, words.get(reason, ""))
    console.print(made)


def _excluded(found: Iterable[SeriesView]) -> Counter[tuple[str, str]]:
    total: Counter[tuple[str, str]] = Counter()
    for series in found:
        for reason, n in series.reasons.items():
            total["held, then discarded" if reason == DISCARDED else "excluded on arrival", reason] += n
        if series.state == "excluded" and not series.reasons:
            total["never retrieved", series.reason] += series.expected or 0
    return total


def all_series(views: Views) -> list[SeriesView]:
    """Each once, whichever requests asked for it."""
    found = {s.key: s for r in views.requests() for s in views.series(r.key)}
    return list(found.values())


def print_comparison(console: Console, hospital: Hospital, archive: Archive) -> None:
    """The values are made up, so they may be shown."""
    made = _table("One instance, before and after (synthetic)", ("element", "in the PACS", "in the archive"))
    for element, before, after in before_and_after(hospital, archive):
        made.add_row(element, Text(before), Text(after, style="" if before == after else "green"))
    console.print(made)


def print_next(console: Console, site: Site) -> None:
    """Commands that work without the daemon, on what it left."""
    asked: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("a CT with a sonography: what was excluded, and why", ("explain", rows.accession(rows.SPECIAL))),
        ("what the PACS does not know", ("explain", rows.UNKNOWN)),
        ("all the work", ("requests", "list")),
        ("what waits for a person: nothing any more", ("held", "list")),
        ("what happens to each element", ("profile", "--project", PROJECT)),
        (
            "the same with files",
            ("deid", "--project", PROJECT, str(site.hospital / "study-00"), str(site.folder / "deid")),
        ),
        ("is the configuration right?", ("check",)),
        ("the daemon again, though its PACS is gone", ("run",)),
        ("how it is, while it runs", ("status",)),
    )
    console.print(Text("What to try next:", style="bold"))
    for why, words in asked:
        line = shlex.join([_program(), *words, "--config", str(site.config)])
        console.print(Text(f"  {line}  # {why}"), soft_wrap=True)


def _program() -> str:
    """The command as it can be typed here."""
    if shutil.which("pacs-gateway"):
        return "pacs-gateway"
    beside = Path(sys.executable).with_name("pacs-gateway")
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def _table(title: str, columns: Sequence[str]) -> Table:
    made = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made

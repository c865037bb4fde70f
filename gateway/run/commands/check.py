"""`check`: whether the configuration is right; with `--connect`, whether the world around is as it says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gateway.errors import Fatal
from gateway.keys import Keys
from gateway.run import console, delivering, wiring
from gateway.run.commands.exits import NOT_WELL, UNREACHABLE
from gateway.run.commands.mends import MENDS
from gateway.run.commands.options import config_option, json_option
from gateway.run.commands.probes import Probed, probes
from gateway.run.commands.profile import told_of
from gateway.settings import Project, Settings, Source, read_key


@click.command()
@click.option("--connect", is_flag=True, help="Also try each PACS, RIS query, archive, and this machine.")
@config_option
@json_option
def check(connect: bool, config: Path, as_json: bool) -> int:
    """Check the configuration; with --connect also what it names, without showing any value.

    1 when a check failed, 3 when nothing is wrong but a peer cannot be reached.
    """
    settings = wiring.load_settings(config)
    told = _summary(settings, config)
    results = [probe() for probe in probes(settings)] if connect else []
    if as_json:
        console.emit(
            {"config": str(config), "ok": all(r.ok for r in results), **told, "checks": [vars(r) for r in results]}
        )
    else:
        _show(config, told, results)
    return _verdict(results)


def _summary(settings: Settings, config: Path) -> dict[str, Any]:
    return {
        "node": settings.node,
        "state_dir": str(settings.state_dir),
        "receiver": f"{settings.receiver.ae_title} on {settings.receiver.bind}:{settings.receiver.port}",
        "pacs": {p.name: f"{p.ae_title} at {p.host}:{p.port}" for p in settings.pacs},
        "ris": [r.name for r in settings.ris],
        "projects": {p.name: _project(settings, p, config) for p in settings.project},
    }


def _project(settings: Settings, project: Project, config: Path) -> dict[str, Any]:
    """What can be made is made: a driver that is missing or a profile that cannot be is a mistake, not a surprise."""
    with told_of(config, project.name):
        cleaner = wiring.make_cleaner(project, Keys(read_key(settings)))
    wiring.make_screeners([project])
    if project.source is not None:
        _ask_for_driver(settings, project.source)
    return {
        "pacs": list(project.pacs), "ris": project.source.ris if project.source else None,
        "schedule": project.source.schedule if project.source else None, "profile": cleaner.profile.version,
        "archives": [sink.name for sink in delivering.make_sinks(settings, project)],
    }  # fmt: skip


def _ask_for_driver(settings: Settings, source: Source) -> None:
    """A driver that is missing is told with its mend: most often another one is there, and `url` has to name it."""
    try:
        wiring.make_sql_source(settings, source)
    except Fatal as err:
        raise Fatal(err.reason, f"{err.detail}; {MENDS[err.reason]}" if err.reason in MENDS else err.detail) from None


def _show(config: Path, told: dict[str, Any], results: Sequence[Probed]) -> None:
    facts = {name: told[name] for name in ("node", "state_dir", "receiver")}
    facts |= {f"pacs {name}": at for name, at in told["pacs"].items()}
    facts |= {f"ris {name}": "" for name in told["ris"]}
    console.facts(f"{config}: the configuration is right", facts)
    heads = ("Project", "PACS", "RIS", "Schedule", "Profile", "Archives")
    rows = [
        (name, ", ".join(p["pacs"]), p["ris"], p["schedule"], p["profile"], ", ".join(p["archives"]))
        for name, p in told["projects"].items()
    ]
    console.table("Projects", heads, rows)
    if results:
        checks = [(r.what, r.name, "ok" if r.ok else "FAILED", r.detail, r.mend) for r in results]
        console.table("Checks", ("What", "Name", "Result", "Detail", "Mend"), checks)


def _verdict(results: Sequence[Probed]) -> int:
    failed = [r for r in results if not r.ok]
    if not failed:
        return 0
    return UNREACHABLE if all(r.unreachable for r in failed) else NOT_WELL

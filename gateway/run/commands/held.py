"""`held ...`: instances whose pixels nobody has proven clean, and a person's decision about them. With the daemon or without it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from pydicom.uid import UID

from gateway.deliver import header
from gateway.errors import GatewayError
from gateway.run import caller, console, deciding, wiring
from gateway.run.commands.evidence import STUDY_COLUMNS, study, study_row
from gateway.run.commands.options import config_option, json_option, our_key, settings_for, some_project_option
from gateway.run.commands.state import opened
from gateway.run.deciding import Decided, Decision
from gateway.settings import Settings
from gateway.state.holding import Holding

WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
SHOWN: Final = ("SOPClassUID", "Modality", "ImageType", "NumberOfFrames", "BurnedInAnnotation")
COLUMNS: Final = ("Key", "Project", "Series", "Modality", "Class", "Reason", "Waits for", "Since", "Size")
LISTED: Final = ("key", "project", "series", "modality", "class", "reason", "waits_for", "since", "size")

Document = dict[str, Any]


@click.group()
def held() -> None:
    """What waits for a person's decision.

    Instances (H-...): header clean, pixels not proven clean. Studies (C-...): they may be the examination that was asked for,
    but patient, day or modality are not those of the RIS row.
    """


@held.command("list")
@some_project_option
@config_option
@json_option
def list_(project: str | None, config: Path, as_json: bool) -> int:
    """List what is held, by our own keys: nothing shown identifies a patient."""
    settings = settings_for(config)
    with opened(settings, project=project) as here:
        found = [_document(settings, *one) for one in deciding.listed(here, project)]
        waiting = [study(one) for one in here.views.undecided(project)]
    if as_json:
        console.emit({"held": found, "studies": waiting})
    else:
        console.table("Held", COLUMNS, [_row(one) for one in found])
        if waiting:
            console.table("Studies that may be what was asked for", STUDY_COLUMNS, map(study_row, waiting))
    return 0


@held.command()
@click.argument("key", type=our_key)
@config_option
@json_option
def show(key: str, config: Path, as_json: bool) -> int:
    """Show one held instance, and where its file is, for a look at its pixels; or one held study (C-...).

    1 when there is none of that KEY.
    """
    settings = settings_for(config)
    with opened(settings) as here:
        found = [one for one in deciding.listed(here) if one[0].key == key]
        told = [{**_document(settings, *one), **_details(one[0])} for one in found]
        told += [study(one) for one in here.views.undecided() if one.key == key]
    if not told:
        console.warn("nothing held has this key")
        return 1
    if as_json:
        console.emit(told[0])
    else:
        console.facts(key, {name.replace("_", " "): value for name, value in told[0].items() if name != "key"})
    return 0


def _word(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """What is kept in the history: a word, where nobody can put a patient's name by the way."""
    if value is not None and not WORD.fullmatch(value):
        raise click.BadParameter("one word of letters, digits and . _ @ + -, at most 64")
    return value


keys_argument = click.argument("keys", nargs=-1, required=True, type=our_key, metavar="KEY...")
by_option = click.option("--by", metavar="NAME", callback=_word, help="Who decided.  [default: the user logged in]")
reason_option = click.option("--reason", metavar="WORD", callback=_word, help="Why, for the history.")


@held.command()
@keys_argument
@by_option
@reason_option
@config_option
@json_option
def release(keys: tuple[str, ...], by: str | None, reason: str | None, config: Path, as_json: bool) -> int:
    """Deliver held instances as they are. KEY: of an instance (H-...), or of a series (S-...), all that is held of it.

    Of a study (C-...): it is the examination that was asked for, and is retrieved. Of a request (R-...): all its held studies are.

    Who decided, and why, is written to the history. 1 when one of the KEYs could not be released.
    """
    return _decide(keys, Decision("release", by or caller.user(), reason or ""), config, as_json=as_json)


@held.command()
@keys_argument
@by_option
@reason_option
@config_option
@json_option
def discard(keys: tuple[str, ...], by: str | None, reason: str | None, config: Path, as_json: bool) -> int:
    """Drop held instances, for good. KEY: of an instance (H-...), or of a series (S-...), all that is held of it.

    Of a study (C-...): it is another examination. Of a request (R-...): all its held studies are; it is asked for again then.

    Who decided, and why, is written to the history. 1 when one of the KEYs could not be discarded.
    """
    return _decide(keys, Decision("discard", by or caller.user(), reason or ""), config, as_json=as_json)


def _decide(keys: Sequence[str], decision: Decision, config: Path, *, as_json: bool) -> int:
    settings = settings_for(config)
    with opened(settings) as here:
        caller.only_owner(settings.state_dir)
        results = deciding.decide(here, keys, decision)
    done = [r.key for r in results if not r.why]
    left = [r for r in results if r.why]
    word = "released" if decision.word == "release" else "discarded"
    if as_json:
        console.emit({word: done, "left": [vars(r) for r in left]})
    else:
        _say(word, done, left)
    return 1 if left else 0


WHY: Final = {
    deciding.UNKNOWN: "nothing held has this key",
    deciding.BUSY: "it is being screened or decided about just now; try again",
    deciding.GONE: "somebody else has decided meanwhile",
    deciding.OVER: "its series failed, is excluded or withdrawn; the file goes with it",
}


def _say(word: str, done: Sequence[str], left: Sequence[Decided]) -> None:
    console.say(f"{len(done)} {word}")
    for one in left:
        console.warn(f"{one.key}: {WHY[one.why]} ({one.why})")


def _document(settings: Settings, holding: Holding, project: str, modality: str) -> Document:
    screened = any(p.name == project and wiring.is_screened(p) for p in settings.project)
    waits_for = "the screening" if screened and not holding.judged else "a person"
    since = console.when(holding.since)
    about = (holding.key, project, holding.series, modality, _class(holding.path), holding.reason, waits_for, since)
    return dict(zip(LISTED, (*about, holding.size), strict=True))


def _row(one: Document) -> tuple[object, ...]:
    return *(one[name] for name in LISTED[:-1]), console.size(one["size"])


def _read(path: Path) -> dict[str, str]:
    """From the clean header; empty when it was decided meanwhile."""
    try:
        return header.read(path, SHOWN)
    except GatewayError:
        return dict.fromkeys(SHOWN, "")


def _class(path: Path) -> str:
    uid = UID(_read(path)["SOPClassUID"])
    return uid.name if uid.keyword else ""


def _details(holding: Holding) -> Document:
    read = _read(holding.path)
    first = holding.line.reason
    return {
        "image_type": read["ImageType"], "frames": read["NumberOfFrames"] or "1", "burned_in": read["BurnedInAnnotation"],
        "held_first_for": first, "profile": holding.line.profile, "file": str(holding.path),
    }  # fmt: skip

"""Commands of the interface that a later version brings: listed, and refused with a clear word."""

from __future__ import annotations

import click

ANYTHING = {"ignore_unknown_options": True}


def _refuse(_words: tuple[str, ...]) -> None:
    raise click.UsageError("not available in this version")


words = click.argument("_words", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")

reidentify = click.command(
    "reidentify", help="Whose pseudonym it is (not available in this version).", context_settings=ANYTHING
)(words(_refuse))
withdraw = click.command(
    "withdraw", help="Take a patient out of every archive (not available in this version).", context_settings=ANYTHING
)(words(_refuse))

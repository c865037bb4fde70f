"""docs/reference/commands.md and the manual page, read from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import click

from gateway.run.commands.exits import DONE, NOT_WELL, UNREACHABLE, WRONG
from gateway.run.commands.group import pacs_gateway

EXITS: Final = {
    DONE: "done",
    NOT_WELL: "what was asked about is not well: a failed check, a failed request",
    WRONG: "wrong usage or configuration, said on standard error in a sentence with file and line",
    UNREACHABLE: "the daemon or a peer cannot be reached",
}
HEAD: Final = """\
# Commands

Made from the commands themselves by packaging/reference/make_reference.py; a test compares. The same as a manual page:
[pacs-gateway.1](../../packaging/reference/pacs-gateway.1).

Every command takes `--config PATH`, or `PACS_GATEWAY_CONFIG`. Completion of commands and options: the package installs it
for bash, zsh and fish; the files are in packaging/reference.

| exit code | meaning |
|---|---|
"""


def commands() -> Iterator[tuple[str, click.Command]]:
    """(words, command) of every command that does something, groups left out."""
    yield from _below("", pacs_gateway)


def _below(words: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    with click.Context(command) as context:
        for name in command.list_commands(context):
            one = command.get_command(context, name)
            assert one is not None, name
            yield from _below(f"{words} {name}".strip(), one)


def page() -> str:
    exits = "\n".join(f"| {code} | {told} |" for code, told in EXITS.items())
    return HEAD + exits + "\n" + "".join(_entry(words, command) for words, command in commands())


def _entry(words: str, command: click.Command) -> str:
    options = "".join(f"- `{form}`: {told}\n" for form, told in _options(command))
    return (
        f"\n## {words}\n\n```\npacs-gateway {words}{_usage(command)}\n```\n\n{_help(command)}\n\n{options}".rstrip()
        + "\n"
    )


def _usage(command: click.Command) -> str:
    with click.Context(command) as context:
        return "".join(f" {piece}" for piece in command.collect_usage_pieces(context))


def _help(command: click.Command) -> str:
    paragraphs = (command.help or "").strip().split("\n\n")
    return "\n\n".join(re.sub(r"\s+", " ", p.replace("\b\n", "")).strip() for p in paragraphs)


def _options(command: click.Command) -> Iterator[tuple[str, str]]:
    with click.Context(command) as context:
        for parameter in command.params:
            record = parameter.get_help_record(context)
            if record and not record[0].startswith("--config"):
                yield record[0], record[1]


def manual() -> str:
    """troff, as man(7) has it."""
    parts = [
        '.TH PACS-GATEWAY 1 "" "pacs-gateway" "User commands"', ".SH NAME",
        "pacs-gateway \\- fills a research archive from a hospital PACS, de-identified before it is stored", ".SH SYNOPSIS",
        ".B pacs-gateway", "COMMAND [OPTIONS] [ARGUMENTS]", ".SH COMMANDS",
        *(line for words, command in commands() for line in _manual_entry(words, command)),
        ".SH EXIT STATUS", *(line for code, told in EXITS.items() for line in (".TP", f".B {code}", _troff(told))),
        ".SH FILES", ".TP", ".I /etc/pacs-gateway/gateway.toml",
        "The configuration; another one by \\-\\-config or PACS_GATEWAY_CONFIG.",
        ".TP", ".I /var/lib/pacs-gateway", "The state.", ".TP", ".I /run/pacs-gateway/health.sock", "Health and status over HTTP.",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _manual_entry(words: str, command: click.Command) -> Iterator[str]:
    yield from (".SS", f"{_troff(words)}{_troff(_usage(command))}", _troff(_help(command)).replace("\n\n", "\n.PP\n"))
    for form, told in _options(command):
        yield from (".TP", f".B {_troff(form)}", _troff(told))


def _troff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(['.])", r"\\&\1", escaped, flags=re.MULTILINE)

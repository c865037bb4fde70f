"""Shell completion: what click writes for bash, zsh and fish."""

from __future__ import annotations

from typing import Final

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from gateway.run.commands.group import pacs_gateway

NAME: Final = "pacs-gateway"
VARIABLE: Final = "_PACS_GATEWAY_COMPLETE"
SHELLS: Final[dict[str, type[ShellComplete]]] = {
    "pacs-gateway.bash": BashComplete, "_pacs-gateway": ZshComplete, "pacs-gateway.fish": FishComplete,
}  # fmt: skip
"""File name, as the shell's folder of completions wants it."""


def script(shell: type[ShellComplete]) -> str:
    made = shell(pacs_gateway, {}, NAME, VARIABLE)
    text = made.source_template % made.source_vars()  # `source()` of bash would start a bash to ask for its version
    return text.strip() + "\n"

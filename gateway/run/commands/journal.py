"""The daemon's lines in the systemd journal."""

from __future__ import annotations

import subprocess
from typing import Final

from gateway.errors import Fatal

UNIT: Final = "pacs-gateway.service"
PATIENCE: Final = 30.0


def journal(unit: str, lines: int) -> list[str]:
    """The last lines of a unit, without what journalctl puts before them. Raises Fatal("bundle.journal")."""
    mend = "name the file of the log with --log, or ask as root or a member of systemd-journal"
    argv = ["journalctl", "--unit", unit, "--output", "cat", "--lines", str(lines), "--no-pager", "--quiet"]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=PATIENCE, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as err:
        raise Fatal("bundle.journal", f"the journal cannot be read ({type(err).__name__}): {mend}") from None
    if not done.stdout:
        raise Fatal("bundle.journal", f"the journal has no line of {unit} for this user: {mend}")
    return done.stdout.decode("utf-8", "replace").splitlines()

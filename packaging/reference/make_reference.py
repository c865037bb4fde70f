#!/usr/bin/env python3
"""Makes what docs/ says of the code from the code: settings, metrics, commands, states, pictures, manual page, completions.

    python packaging/reference/make_reference.py            writes them
    python packaging/reference/make_reference.py --check    tells those that are not what would be written now

No part of the product.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import checks_page
import commands_page
import completion
import configuration_page
import conformance_page
import metrics_page
import picture
import pictures_page

from gateway.state import machine

REPOSITORY: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path("packaging/reference")
PAGES: Final = Path("docs/reference")
PICTURES: Final = Path("docs/pictures")


def made() -> Iterator[tuple[Path, str]]:
    """(path in the repository, content) of every file."""
    yield PAGES / "configuration.md", configuration_page.page()
    yield PAGES / "metrics.md", metrics_page.page()
    yield PAGES / "commands.md", commands_page.page()
    yield PAGES / "checks.md", checks_page.page()
    yield PAGES / "states.md", pictures_page.page()
    yield PAGES / "conformance-contexts.md", conformance_page.page()
    yield PICTURES / "request.svg", picture.svg(machine.REQUEST, (machine.REQUEST_START,))
    yield PICTURES / "series.svg", picture.svg(machine.SERIES, machine.SERIES_START)
    yield HERE / "pacs-gateway.1", commands_page.manual()
    for name, shell in completion.SHELLS.items():
        yield HERE / "completion" / name, completion.script(shell)


def main(words: list[str]) -> int:
    stale = []
    for path, content in made():
        whole = REPOSITORY / path
        if words != ["--check"]:
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_text(content, "utf-8")
        elif not whole.is_file() or whole.read_text("utf-8") != content:
            stale.append(f"{path}: not what packaging/reference/make_reference.py would write")
    print("\n".join(stale), end="\n" if stale else "")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Makes docs/demo.md: what the demo says when it is run, as it was said. Times, folders and keys differ from run to run.

python packaging/reference/record_demo.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PAGE: Final = REPOSITORY / "docs" / "demo.md"
WIDTH: Final = "118"
HEAD: Final = """\
# A run of the demo

What `pacs-gateway demo` said, recorded by packaging/reference/record_demo.py: the real daemon, an embedded PACS
and RIS, synthetic images.

```text
$ pacs-gateway demo
"""
COMMANDS: Final = (("explain", "DEMOACC1004"), ("requests", "list", "--limit", "3"), ("held", "list"))


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        home = Path(folder) / "demo"
        said = _run("demo", "--keep-dir", str(home))
        for words in COMMANDS:
            said += f"\n$ pacs-gateway {' '.join(words)}\n" + _run(*words, "--config", str(home / "gateway.toml"))
    told = re.sub(r" +$", "", said.replace(folder, "/home/you"), flags=re.MULTILINE)
    PAGE.write_text(f"{HEAD}{told.rstrip()}\n```\n", "utf-8")
    return 0


def _run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.run.cli", *words], cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=True,
        env={**os.environ, "COLUMNS": WIDTH}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())

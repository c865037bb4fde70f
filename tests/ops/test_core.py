"""A killed process leaves no picture of its memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, resource
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
{forbid}
os.chdir({folder!r})
print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
os.abort()
"""
FORBID = "from gateway.ops import core; core.forbid_core_dumps(); core.forbid_inspection()"


def test_abort_leaves_nothing(tmp_path: Path) -> None:
    script = SCRIPT.format(forbid=FORBID, folder=str(tmp_path))
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert child.stdout.strip() == "0"
    assert child.returncode == -6
    assert os.listdir(tmp_path) == []

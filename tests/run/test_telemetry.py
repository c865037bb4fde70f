"""What runs here tells nobody: onnxruntime's own telemetry is off in every command and in what it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LOAD = """
import subprocess, sys
from gateway.run.cli import main
main(["--version"])
subprocess.run([sys.executable, "-c", sys.argv[1]], check=True)
exec(sys.argv[1])
"""
RECOGNISE = """
from importlib.resources import files
import onnxruntime
onnxruntime.InferenceSession(str(files("gateway.deidentify") / "model" / "text-detector.onnx"))
"""


def test_nothing_is_kept_for_the_maker_of_the_recogniser(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | {"HOME": str(tmp_path)}
    argv = [sys.executable, "-c", LOAD, RECOGNISE]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [str(path) for path in tmp_path.rglob("*") if path.is_file()] == []

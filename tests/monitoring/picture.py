"""Draws docs/pictures/*.svg of the dashboards, with what a real Prometheus scraped from the real daemon during a day of a minute.

python -m tests.monitoring.picture
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.monitoring.hospital import PLAIN, Hospital
from tests.monitoring.prometheus import Prometheus
from tests.monitoring.rules import MONITORING
from tests.support.daemon import REPOSITORY

BOARDS = ("overview", "receiver")
ROUNDS = 8


def main() -> int:
    sys.path.insert(0, str(MONITORING))
    drawn = import_module("drawn").drawn

    with tempfile.TemporaryDirectory(prefix="picture-") as folder:
        hospital = Hospital(Path(folder))
        try:
            with Prometheus(Path(folder) / "prometheus", hospital.metrics) as prometheus:
                begun = a_day(hospital)

                def ask(expr: str) -> list[dict[str, Any]]:
                    plain = expr.replace("$instance", ".*").replace("$__rate_interval", "10s").replace("[1h]", "[10s]")
                    return prometheus.between(plain, begun, time.time(), 0.5)

                for name in BOARDS:
                    board = json.loads((MONITORING / "dashboards" / f"{name}.json").read_text("utf-8"))
                    (REPOSITORY / "docs" / "pictures" / f"{name}.svg").write_text(drawn(board, ask), "utf-8")
        finally:
            hospital.close()
    return 0


def a_day(hospital: Hospital) -> float:
    """Examinations come one after the other, an archive is away for a while. When it began."""
    hospital.open()
    hospital.daemon.start()
    hospital.daemon.wait_ready(120)
    begun = time.time()
    for i in range(ROUNDS):
        hospital.admit("main", PLAIN, PLAIN)
        if i == ROUNDS // 2:
            hospital.move("archive", "elsewhere")
        if i == ROUNDS // 2 + 2:
            hospital.move("elsewhere", "archive")
        time.sleep(3)
    time.sleep(5)
    return begun


if __name__ == "__main__":
    sys.exit(main())

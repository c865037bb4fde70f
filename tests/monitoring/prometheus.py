"""A real Prometheus that scrapes one address twice a second, and is asked what it has seen."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.monitoring.rules import ALERTS, RULES, shortened
from tests.support.peers import Peer
from tests.support.process import HOST, Process, free_port, listening, program

CONFIG: Final = """\
global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 250ms}}
rule_files: [rules.yml, alerts.yml]
scrape_configs:
  - job_name: pacs-gateway
    static_configs: [{{targets: ["{host}:{port}"]}}]
"""


class Prometheus(Peer):
    """`port` of the daemon's metrics; the alert and recording rules with hours shortened to seconds."""

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir()
        (folder / "prometheus.yml").write_text(CONFIG.format(host=HOST, port=port))
        for path in (ALERTS, RULES):
            (folder / path.name).write_text(shortened(path.read_text("utf-8")))
        self.port = free_port()
        argv = [
            program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/db",
            f"--web.listen-address={HOST}:{self.port}", "--log.level=warn",
        ]  # fmt: skip
        self.process = Process(argv, folder=folder, ready=lambda: listening(self.port))
        self.start()

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The result vector: metric and value of each series."""
        return self._ask("query", query=expr)

    def between(self, expr: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """The result matrix: metric and values of each series."""
        return self._ask("query_range", query=expr, start=begin, end=end, step=step)

    def fired(self) -> set[str]:
        """Those that have fired at any time."""
        found = self.query('count_over_time(ALERTS{alertstate="firing"}[1h])')
        return {one["metric"]["alertname"] for one in found}

    def wait(self, reached: Callable[[], bool], told: Callable[[], object], deadline: float = 120.0) -> None:
        """Polls; fails with what is `told` when the deadline passes."""
        until = time.monotonic() + deadline
        while not reached():
            assert time.monotonic() < until, told()
            time.sleep(0.2)

    def wait_fired(self, *names: str) -> None:
        wanted = {f"PacsGateway{name}" for name in names}
        self.wait(lambda: wanted <= self.fired(), lambda: f"never fired: {sorted(wanted - self.fired())}")

    def wait_quiet(self, *but: str) -> None:
        """Until nothing fires or is about to, while the gateway is seen: what is not scraped is quiet, too."""
        left = {f"PacsGateway{name}" for name in but}

        def loud() -> set[str]:
            seen = self.query('min_over_time(up{job="pacs-gateway"}[3s]) == 1')
            told = {found["metric"]["alertname"] for found in self.query("ALERTS")}
            return told - left if seen else {"unseen"}

        self.wait(lambda: not loud(), lambda: f"still loud: {sorted(loud())}")

    def _ask(self, what: str, **words: object) -> list[dict[str, Any]]:
        url = f"http://{HOST}:{self.port}/api/v1/{what}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result

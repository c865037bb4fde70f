"""docs/reference/metrics.md: every metric, read from gateway/ops/declared.py; and the alerts that stand on them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.ops.declared import PREFIX, TABLE, Declared

ALERTS: Final = Path(__file__).resolve().parents[1] / "monitoring" / "alerts.yml"
HEAD: Final = """\
# Metrics and alerts

Made from [gateway/ops/declared.py](../../gateway/ops/declared.py) and [packaging/monitoring](../../packaging/monitoring/alerts.yml)
by packaging/reference/make_reference.py; a test compares. No label holds anything that a peer or a patient supplied.

All names begin with `{prefix}`; a histogram has its `_bucket`, `_sum`, `_count`. Besides, the `process_*` of the main
process. Counters are there, at 0, from the first scrape on, so that the first event is seen as an increase.

| metric | kind | labels | |
|---|---|---|---|
{metrics}

## Setting it up

A scrape job of the name `pacs-gateway`, and the two rule files, which lie in packaging/monitoring (of the package:
/usr/share/doc/pacs-gateway/monitoring):

```yaml
rule_files: [rules.yml, alerts.yml]
scrape_configs:
  - job_name: pacs-gateway
    static_configs: [{{targets: ["127.0.0.1:9110"]}}]
```

The dashboards in its folder dashboards are imported into Grafana as they are; they ask for the data source.

![The overview with values of a real run](../pictures/overview.svg)

The overview, and the [receiver](../pictures/receiver.svg), during a minute in which an archive was away. Drawn from the
dashboard and from what a real Prometheus had scraped from the real daemon; by packaging/monitoring/drawn.py, for there is no
Grafana where this is made: it shows the same panels with its own look.

## Alerts

critical: nothing arrives, or nothing may; somebody looks now. warning: it will be that, or something waits for a person; today.
Each has its page.

| alert | severity | fires when |
|---|---|---|
{alerts}
"""


def page() -> str:
    metrics = "\n".join(_metric(name, row) for name, row in TABLE.items())
    rules = [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]
    return HEAD.format(prefix=PREFIX, metrics=metrics, alerts="\n".join(map(_alert, rules)))


def _metric(name: str, row: Declared) -> str:
    kind = "gauge" if row.kind == "scraped" else row.kind
    return f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in row.labels)} | {row.help} |"


def _alert(rule: dict[str, Any]) -> str:
    name, wait = rule["alert"], f", for {rule['for']}" if "for" in rule else ""
    expr = re.sub(r"\s+", " ", rule["expr"]).replace("|", "\\|")
    return f"| [{name}](../runbooks/{name}.md) | {rule['labels']['severity']} | `{expr}`{wait} |"

"""The alert rules as they are read: each alert with its expression, its labels and its texts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from gateway.ops.declared import PREFIX, TABLE
from tests.support.daemon import REPOSITORY

MONITORING: Final = REPOSITORY / "packaging" / "monitoring"
ALERTS, RULES = MONITORING / "alerts.yml", MONITORING / "rules.yml"
CASES, LONG_CASES = MONITORING / "alerts_test.yml", MONITORING / "alerts_test_long.yml"
RUNBOOKS: Final = REPOSITORY / "docs" / "runbooks"


@dataclass(frozen=True)
class Alert:
    name: str
    expr: str
    severity: str
    annotations: dict[str, str]


def document(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def alerts() -> list[Alert]:
    return [
        Alert(rule["alert"], rule["expr"], rule["labels"]["severity"], rule["annotations"])
        for group in document(ALERTS)["groups"]
        for rule in group["rules"]
    ]


def metric_names(expr: str) -> Iterator[str]:
    """Names of ours in an expression, without prefix and histogram suffix; those of recording rules are left out."""
    for name in re.findall(rf"(?<![\w:]){PREFIX}(\w+)", expr):
        plain = re.sub(r"_(bucket|count|sum)$", "", name)
        yield plain if plain in TABLE and TABLE[plain].kind == "histogram" else name


SHORTER: Final = (
    (r"\[7d\] offset 6h", "[180s] offset 5s"),
    (r"(changes\(.*)\[1h\]\) > 2$", r"\1[60s]) > 0"),
    (r"\[(?:1h|15m|20m|6h)\]", "[5s]"),
    (r"> 3 \* 86400", "> 3"),
    (r"> 26 \* 3600", "> 8"),
    (r"> 50$", "> 3"),
    (r"> 20$", "> 0"),
    (r"> 10\) > 0\.2", "> 0) > 0.2"),
    (r"> 5$", "> 2"),
    (r"for: \w+", "for: 1s"),
)
"""The same rules for a day that takes a minute: what was written for hours, for seconds."""


def shortened(text: str) -> str:
    for long, short in SHORTER:
        text = re.sub(long, short, text, flags=re.MULTILINE)
    return text

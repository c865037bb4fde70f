"""Every metric of the gateway, declared: the table that the registry, the receive processes and the tests read.

A name that is not in `TABLE`, or a label set that is not the declared one, is a mistake of the program. No label may
hold anything that a peer or a patient supplied: names of ours and slugs only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gateway.errors import Fatal

PREFIX: Final = "pacs_gateway_"
Kind: TypeAlias = Literal["counter", "gauge", "histogram", "scraped"]


class UnknownMetric(Fatal):
    """A program mistake: no metric of this name, kind and label set is declared."""


@dataclass(frozen=True)
class Declared:
    """One metric. `scraped`: a gauge read from the state at each scrape, which nobody sets."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ANSWER = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_MOVE = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

TABLE: Final[Mapping[str, Declared]] = {
    "build_info": Declared("gauge", "Always 1; the version is in the label.", ("version",)),
    "ris_polls_total": Declared("counter", "Polls of the RIS, by result (ok, failed).", ("project", "result")),
    "ris_last_success_timestamp_seconds": Declared(
        "gauge", "When the RIS was last polled with success; NaN: by others.", ("project",)
    ),
    "ris_lag_seconds": Declared("gauge", "Age of the newest RIS row when it was read.", ("project",)),
    "requests": Declared("scraped", "Requests, by project and state.", ("project", "state")),
    "series": Declared("scraped", "Series, by project and state.", ("project", "state")),
    "held": Declared("scraped", "Instances held: by the screening, or for a person's decision.", ("project",)),
    "oldest_pending_request_age_seconds": Declared(
        "scraped",
        "How long the oldest request under way has waited: since it was asked for, or asked for again.",
        ("project",),
    ),
    "find_seconds": Declared("histogram", "One C-FIND question with its answers.", ("pacs",), _ANSWER),
    "find_total": Declared("counter", "Requests asked of a PACS, by result.", ("pacs", "result")),
    "move_seconds": Declared("histogram", "One C-MOVE or C-GET of a series.", ("pacs",), _MOVE),
    "move_total": Declared("counter", "C-MOVE or C-GET operations, by result.", ("pacs", "result")),
    "window_open": Declared("gauge", "1 while the PACS may be asked for images, by its windows.", ("pacs",)),
    "moves_allowed": Declared("gauge", "Moves at once that the PACS bears just now, at most max_moves.", ("pacs",)),
    "moves_running": Declared("gauge", "C-MOVE or C-GET operations under way.", ("pacs",)),
    "breaker_open": Declared("gauge", "1 while the PACS is left alone after failures, but for a C-ECHO.", ("pacs",)),
    "instances_received_total": Declared("counter", "Instances that arrived, by outcome.", ("project", "result")),
    "received_bytes_total": Declared("counter", "Bytes of the instances that arrived.", ("project",)),
    "store_seconds": Declared("histogram", "One C-STORE from request to response.", (), _QUICK),
    "associations": Declared("gauge", "Associations open now (direction in, out).", ("direction",)),
    "associations_rejected_total": Declared("counter", "Associations that were refused.", ("reason",)),
    "receiver_paused": Declared("gauge", "1 while nothing is taken: disk too full, outbox full.", ("reason",)),
    "rate_delay_seconds_total": Declared("counter", "Seconds that responses waited for max_rate.", ("pacs",)),
    "deidentify_seconds": Declared("histogram", "De-identifying and verifying one instance.", (), _QUICK),
    "screened_total": Declared("counter", "Held instances screened (released, held, failed).", ("project", "result")),
    "screen_seconds": Declared("histogram", "Screening the pixels of one instance.", (), _ANSWER),
    "leaks_blocked_total": Declared("counter", "Instances the verification stopped.", ("project",)),
    "deliveries_total": Declared("counter", "Files put into a sink, by result.", ("sink", "result")),
    "delivery_lag_seconds": Declared("gauge", "Time the last delivered file had waited in the outbox.", ("sink",)),
    "outbox_bytes": Declared("scraped", "Clean files that wait for delivery or confirmation."),
    "disk_free_bytes": Declared("scraped", "Free space where the state directory is."),
    "pacs_up": Declared("scraped", "1 while the PACS answers, else 0.", ("pacs",)),
    "sink_up": Declared("scraped", "1 while the sink takes files, else 0.", ("sink",)),
    "ris_up": Declared("scraped", "1 while the last poll of the RIS succeeded, else 0.", ("ris",)),
    "disk_wanted_bytes": Declared("scraped", "Free space below which nothing is taken (receiver.min_free_disk)."),
    "outbox_limit_bytes": Declared(
        "scraped", "Size of the outbox at which nothing more is taken (receiver.max_outbox)."
    ),
    "stuck_roles": Declared(
        "scraped", "Roles without a sign of progress: the watchdog is not fed while there are any."
    ),
    "certificate_expiry_timestamp_seconds": Declared(
        "scraped", "When a certificate of ours expires: receiver, PACS, archive, audit.", ("use",)
    ),
    "worker_errors_total": Declared("counter", "Steps that a worker had to give up, by role.", ("role",)),
    "counts_lost_total": Declared("counter", "Counts of a receive process that did not reach this exposition."),
}


def declared(name: str, labels: Mapping[str, object], *kinds: Kind) -> Declared:
    """The table's row for a use of a metric. Raises UnknownMetric for any other name, label set or kind."""
    row = TABLE.get(name)
    if row is None:
        raise UnknownMetric("metrics.name", f"no metric {name!r} is declared")
    if row.kind not in kinds:
        raise UnknownMetric("metrics.kind", f"{name} is a {row.kind}, not a {' or '.join(kinds)}")
    if set(labels) != set(row.labels):
        raise UnknownMetric("metrics.labels", f"{name} has the labels {row.labels}, not {tuple(sorted(labels))}")
    return row


def of(kind: Kind) -> list[tuple[str, Declared]]:
    """The (name, row) pairs of one kind."""
    return [(name, row) for name, row in TABLE.items() if row.kind == kind]

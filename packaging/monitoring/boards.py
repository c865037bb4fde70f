"""What the dashboards show: rows of panels, each with its question to Prometheus, its unit and a sentence on how to read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

P: Final = "pacs_gateway_"

Query = tuple[str, str]
"""Expression, legend."""


@dataclass(frozen=True)
class Panel:
    """`good`: which value of a stat is well; `stacked`: the series add up to something."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["timeseries", "stat"] = "timeseries"
    good: Literal["", "up", "none"] = ""
    stacked: bool = False
    width: int = 8
    height: int = 7


@dataclass(frozen=True)
class Board:
    name: str
    description: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]


def line(title: str, description: str, unit: str, *queries: Query) -> Panel:
    return Panel(title, description, unit, queries)


def stack(title: str, description: str, unit: str, *queries: Query) -> Panel:
    return Panel(title, description, unit, queries, stacked=True)


def stat(title: str, description: str, unit: str, query: Query, good: Literal["", "up", "none"] = "") -> Panel:
    return Panel(title, description, unit, (query,), "stat", good, width=4, height=4)


def gauge(aggregate: str, by: str, metric: str, legend: str = "") -> Query:
    """`legend`: by default the value of the label `by`."""
    return f"{aggregate} by ({by}) ({P}{metric}{{@}})", legend or f"{{{{{by}}}}}"


def rows(metric: str, match: str = "") -> str:
    """Of the shared state, which every node tells: each number once, however many nodes there are."""
    return f"max by (project, state) ({P}{metric}{{@{match}}})"


def quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """Median and 95th percentile of a histogram, for each value of the label `by`."""
    labels, legend = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    rate = f"sum by ({labels}) (rate({metric}_bucket{{@}}[$__rate_interval]))"
    return tuple(
        (f"histogram_quantile({q}, {rate})", f"{legend}{told}") for q, told in ((0.5, "median"), (0.95, "95 %"))
    )


def per_second(metric: str, by: str, match: str = "") -> Query:
    return f"sum by ({by}) (rate({metric}{{@{match}}}[$__rate_interval]))", " ".join(
        f"{{{{{b.strip()}}}}}" for b in by.split(",")
    )


PEERS: Final = (
    stat("RIS", "Whether the last poll of each RIS succeeded.", "none", gauge("min", "ris", "ris_up"), "up"),
    stat("PACS", "Whether each PACS answered when it was last asked.", "none", gauge("min", "pacs", "pacs_up"), "up"),
    stat("Archives", "Whether each archive took what it was last given.", "none", gauge("min", "sink", "sink_up"), "up"),
    stat("Receiver paused", "1: nothing is taken, because disk or outbox are too full.", "none",
         gauge("max", "reason", "receiver_paused"), "none"),
    stat("Held", "Instances that wait for the screening or for a person.", "short", gauge("sum", "project", "held"), "none"),
    stat("Alerts firing", "Of this gateway, now.", "short",
         ('count(ALERTS{alertname=~"PacsGateway.*", alertstate="firing"}) or vector(0)', ""), "none"),
)  # fmt: skip

OVERVIEW: Final = Board("overview", "Is it well, and how far is the work?", (
    ("Now", PEERS),
    ("Work", (
        stack("Requests by state", "Accession numbers asked for, by what became of them.", "short",
              (f"sum by (state) ({rows('requests')})", "{{state}}")),
        stack("Series by state", "Series, by what became of them; planned, retrieved and delivered are under way.", "short",
              (f"sum by (state) ({rows('series')})", "{{state}}")),
        line("Oldest unfinished request", "How long it has waited.", "s",
             gauge("max", "project", "oldest_pending_request_age_seconds")),
        line("Instances kept", "Clean instances that were stored, a second.", "ops",
             per_second(f"{P}instances_received_total", "project", ', result="kept"')),
        line("Waiting for delivery", "Bytes in the outbox, and its bound where there is one.", "bytes",
             gauge("sum", "instance", "outbox_bytes", "outbox"), gauge("max", "instance", "outbox_limit_bytes", "bound")),
        line("Free disk", "Where the state directory is, and what must stay free.", "bytes",
             gauge("min", "instance", "disk_free_bytes", "free"), gauge("max", "instance", "disk_wanted_bytes", "wanted")),
    )),
    ("The daemon", (
        line("Stuck roles", "More than none: the watchdog is not fed.", "short", gauge("sum", "instance", "stuck_roles")),
        line("Steps given up", "By role; each has its reason in the log.", "ops", per_second(f"{P}worker_errors_total", "role")),
        line("Memory", "Resident memory of the main process.", "bytes", ("process_resident_memory_bytes{@}", "{{instance}}")),
        line("Open files", "Of the main process.", "short", ("process_open_fds{@}", "{{instance}}")),
        line("Processor", "Seconds of processor time a second, main process.", "percentunit",
             ("rate(process_cpu_seconds_total{@}[$__rate_interval])", "{{instance}}")),
        line("Certificates", "Time until each certificate of ours expires.", "s",
             (f"{P}certificate_expiry_timestamp_seconds{{@}} - time()", "{{use}}")),
    )),
))  # fmt: skip

RETRIEVAL: Final = Board("retrieval", "From the RIS to the C-MOVE: what is asked, found and retrieved.", (
    ("RIS", (
        line("Polls", "By result.", "ops", per_second(f"{P}ris_polls_total", "project, result")),
        line("Last successful poll", "How long ago.", "s",
             (f"time() - max by (project) ({P}ris_last_success_timestamp_seconds{{@}})", "{{project}}")),
        line("Lag", "Age of the newest row when it was read.", "s", gauge("max", "project", "ris_lag_seconds")),
    )),
    ("C-FIND", (
        stack("Questions", "By result.", "ops", per_second(f"{P}find_total", "pacs, result")),
        line("Share of empty answers", "Of what was asked in the last six hours, and usually.", "percentunit",
             ("max by (pacs) (pacs_gateway:finds_empty:share6h{@})", "{{pacs}} now"),
             ("max by (pacs) (pacs_gateway:finds_empty:share7d{@})", "{{pacs}} usually")),
        line("Time of a question", "With all its answers.", "s", *quantiles(f"{P}find_seconds", "pacs")),
    )),
    ("C-MOVE", (
        stack("Retrievals", "By result.", "ops", per_second(f"{P}move_total", "pacs, result")),
        line("Time of a retrieval", "One series.", "s", *quantiles(f"{P}move_seconds", "pacs")),
        line("Held back", "Share of the time that responses waited for max_rate.", "percentunit",
             per_second(f"{P}rate_delay_seconds_total", "pacs")),
        line("Associations", "Open now, by direction.", "short", gauge("sum", "direction", "associations")),
        line("Retrievals at once", "Running, and how many may.", "short",
             gauge("sum", "pacs", "moves_running", "{{pacs}} running"), gauge("sum", "pacs", "moves_allowed", "{{pacs}} allowed")),
        line("Window and breaker", "1 while bulk retrieval may run; 1 while the PACS is left alone after failures.", "none",
             gauge("max", "pacs", "window_open", "{{pacs}} window"), gauge("max", "pacs", "breaker_open", "{{pacs}} left alone")),
    )),
))  # fmt: skip

RECEIVER: Final = Board("receiver", "What arrives, what becomes of it, and how long the PACS waits for our answer.", (
    ("Arrivals", (
        stack("Instances", "By outcome.", "ops", per_second(f"{P}instances_received_total", "result")),
        line("Bytes", "As they arrive.", "Bps", per_second(f"{P}received_bytes_total", "project")),
        line("Associations", "Open now.", "short", (f'sum by (direction) ({P}associations{{@, direction="in"}})', "{{direction}}")),
        line("Rejected associations", "By reason.", "ops", per_second(f"{P}associations_rejected_total", "reason")),
        line("Paused", "1 while nothing is taken.", "none", gauge("max", "reason", "receiver_paused")),
        line("Lost counts", "Counts of receive processes that did not get here.", "ops",
             (f"rate({P}counts_lost_total{{@}}[$__rate_interval])", "")),
    )),
    ("Time", (
        line("C-STORE", "From request to response, with everything in between.", "s", *quantiles(f"{P}store_seconds")),
        line("De-identification", "Cleaning and verifying one instance.", "s", *quantiles(f"{P}deidentify_seconds")),
        line("Screening", "The pixels of one instance.", "s", *quantiles(f"{P}screen_seconds")),
    )),
    ("Privacy", (
        line("Leaks blocked", "Instances that the verification stopped, within an hour.", "short",
             (f"sum by (project) (increase({P}leaks_blocked_total{{@}}[1h]))", "{{project}}")),
        line("Held", "Instances that wait for the screening or for a person.", "short", gauge("sum", "project", "held")),
        line("Screened", "By result.", "ops", per_second(f"{P}screened_total", "project, result")),
    )),
))  # fmt: skip

DELIVERY: Final = Board("delivery", "From the outbox into the archives.", (
    ("Now", (
        stat("Archives", "Whether each took what it was last given.", "none", gauge("min", "sink", "sink_up"), "up"),
        stat("Outbox", "Clean files that wait.", "bytes", (f"sum({P}outbox_bytes{{@}})", "")),
        stat("Series under way", "Retrieved, not yet confirmed.", "short",
             (f"""sum({rows('series', ', state=~"retrieved|delivered"')}) or vector(0)""", "")),
        stat("Series confirmed", "Read back from every archive and compared.", "short",
             (f"""sum({rows('series', ', state="confirmed"')})""", "")),
    )),
    ("Deliveries", (
        stack("Files", "By result; confirmed: read back and compared.", "ops", per_second(f"{P}deliveries_total", "sink, result")),
        line("Lag", "How long the last delivered file had waited.", "s", gauge("max", "sink", "delivery_lag_seconds")),
        line("Outbox", "Bytes that wait, and the bound where there is one.", "bytes",
             gauge("sum", "instance", "outbox_bytes", "outbox"), gauge("max", "instance", "outbox_limit_bytes", "bound")),
    )),
))  # fmt: skip

BOARDS: Final = (OVERVIEW, RETRIEVAL, RECEIVER, DELIVERY)

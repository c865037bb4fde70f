"""ops: what the people who run the gateway see: log, metrics, health socket, sd_notify.

Takes:      counts and times from every room (`metrics.Count`), who is up (`health.Board`), heartbeats of the roles
            (`notify.Heartbeats`), log events by structlog.
Leaves:     JSON lines in the journal or coloured text on a terminal (`log`), `GET /metrics` for Prometheus on its own
            address (`metrics`, declared in `declared`, read from the state in `scrape`), `/healthz /readyz /status
            /metrics` on a Unix socket of mode 0660 (`health`, both by `httpd`), READY, STATUS, WATCHDOG, RELOADING,
            STOPPING (`notify`). The audit trail of the honest broker, chained (`audit`), also as DICOM audit messages
            (`audit_message`) by syslog (`syslog`): docs/adr/0016-honest-broker.md.
Settings:   [health] socket; [metrics] bind, port; [audit]; NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID from systemd.
Metrics:    all are declared in `declared.TABLE`; `counts_lost_total` is this room's own.
Fails how:  `Fatal("health.socket")`, `Fatal("metrics.address")` when an address is taken, at start. Afterwards never: a
            log line, a count or a notification that cannot be written is dropped; a count of a receive process that is
            dropped is itself counted; a gauge that cannot be read is absent. `UnknownMetric` is a mistake of the
            program. A use of the broker that cannot be written to the trail is not made: `Retry("audit.unwritable")`.
Standard:   Prometheus text exposition 0.0.4; sd_notify(3), sd_watchdog_enabled(3); HTTP/1.1 (RFC 9112), GET and HEAD
            only. PS3.15 A.5 to A.7; RFC 5424, 5425, 5426.
"""

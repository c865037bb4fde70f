"""The configuration file as typed, frozen facts: read once, in `run`; rooms get the part they need.

Takes: gateway.toml and the `projects.d/*.toml` beside it. Leaves: `Settings`, whose durations are seconds (float), sizes bytes
(int), rates bytes per second (float). Secrets are never in it: `*_file` fields name files or `credential:NAME`, read where they
are used with `secret`, `read_key`, `read_password`.

Fails how: `BadConfiguration` with every mistake at once, each with file, line, what was found and what is allowed. A message
never repeats what may be a secret. What only a later version can do is refused, never ignored (`available`).

Inside: `schema` (the sections) of `kinds` (the values); `document` (files and lines), `explain` (pydantic's words into ours),
`cross` (what one section says about another), `secret` and `certificates` (files), `loading` (all of it together).
Standard: TOML 1.0; five-field cron; PS3.5 6.2 for AE titles and element values.
"""

from gateway.settings.certificates import check_certificates
from gateway.settings.cron import Cron, read_schedule
from gateway.settings.loading import load, project_named
from gateway.settings.schema import (
    Audit,
    Deidentify,
    DicomSink,
    DicomWebSink,
    DirectorySink,
    Health,
    MetricsEndpoint,
    Pacs,
    Part,
    Peer,
    Project,
    Receiver,
    Ris,
    S3Sink,
    Select,
    Settings,
    Source,
    Tls,
)
from gateway.settings.secret import read_key, read_password, secret, secret_path
from gateway.settings.window import read_window

__all__ = [
    "Audit",
    "Cron",
    "Deidentify",
    "DicomSink",
    "DicomWebSink",
    "DirectorySink",
    "Health",
    "MetricsEndpoint",
    "Pacs",
    "Part",
    "Peer",
    "Project",
    "Receiver",
    "Ris",
    "S3Sink",
    "Select",
    "Settings",
    "Source",
    "Tls",
    "check_certificates",
    "load",
    "project_named",
    "read_key",
    "read_password",
    "read_schedule",
    "read_window",
    "secret",
    "secret_path",
]

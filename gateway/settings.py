"""The configuration file as typed, frozen facts. Read once, in `run/wiring.py`; rooms get the part they need.

Durations are seconds (float), sizes bytes (int), rates bytes per second (float). Secrets are never in here: `*_file` fields
name files, read where they are used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = float
Bytes = int


class Part(BaseModel):
    """Base of every section: unknown keys are mistakes, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Tls(Part):
    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


class Peer(Part):
    ae_title: str
    address: str


class Receiver(Part):
    ae_title: str = "RESEARCH"
    bind: str = "0.0.0.0"
    port: int = 11112
    processes: int | Literal["auto"] = 2
    peers: tuple[Peer, ...] = ()
    max_associations: int = 32
    min_free_disk: Bytes = 5 * 2**30
    tls: Tls | None = None


class Health(Part):
    socket: Path = Path("/run/pacs-gateway/health.sock")


class MetricsEndpoint(Part):
    bind: str = "127.0.0.1"
    port: int = 9110


class Pacs(Part):
    name: str
    ae_title: str
    host: str
    port: int = 104
    query_model: Literal["study", "patient"] = "study"
    retrieve: Literal["move", "get"] = "move"
    max_moves: int = 2
    windows: tuple[str, ...] = ()
    max_rate: float | None = None
    response_timeout: Seconds = 900.0
    accession_forms: tuple[str, ...] = ("{an}",)
    result_limit: int = 0
    tls: Tls | None = None


class Ris(Part):
    name: str
    url: str
    password_file: Path | None = None


class Source(Part):
    ris: str
    schedule: str
    query: str
    cursor: str | None = None
    overlap: Seconds = 7200.0
    recheck: tuple[Seconds, ...] = (3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0)
    fallback: tuple[str, ...] = ()
    push: bool = False
    opt_out: str | None = None


class Select(Part):
    study: str | None = None
    series: str | None = None
    instance: str | None = None


class Deidentify(Part):
    options: tuple[str, ...] = ()
    patient_id: str = "{pseudonym}"
    crosswalk: Path | None = None
    keep: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    replace: dict[str, str] = Field(default_factory=dict)


class DirectorySink(Part):
    type: Literal["directory"] = "directory"
    path: Path
    layout: str = "{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"


class Project(Part):
    name: str
    pacs: tuple[str, ...]
    source: Source | None = None
    select: Select = Select()
    deidentify: Deidentify = Deidentify()
    deliver: tuple[DirectorySink, ...] = ()


class Settings(Part):
    """The whole of gateway.toml with projects.d merged in."""

    state_dir: Path = Path("/var/lib/pacs-gateway")
    database: str = "sqlite"
    node: str = ""
    key_file: str = "/etc/pacs-gateway/pseudonym.key"  # path or "credential:NAME"
    receiver: Receiver = Receiver()
    health: Health = Health()
    metrics: MetricsEndpoint = MetricsEndpoint()
    pacs: Annotated[tuple[Pacs, ...], Field(min_length=1)]
    ris: tuple[Ris, ...] = ()
    project: Annotated[tuple[Project, ...], Field(min_length=1)]


def load(path: Path) -> Settings:
    """Reads `path` and the `projects.d/*.toml` beside it. Raises BadConfiguration with every mistake at once."""
    raise NotImplementedError

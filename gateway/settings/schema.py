"""Every section of gateway.toml, those of later versions included (`available` refuses what is not there yet).

Durations are seconds (float), sizes bytes (int), rates bytes per second (float). Secrets are never in here: `*_file` fields
name files or credentials, read where they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from gateway.settings import kinds
from gateway.settings.rule import rule_of

LAYOUT: Final = "{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"


class Part(BaseModel):
    """Base of every section: unknown keys are mistakes, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Tls(Part):
    certificate: kinds.AbsolutePath | None = None
    key: kinds.SecretFile | None = None
    ca: kinds.AbsolutePath | None = None


class Peer(Part):
    ae_title: kinds.AeTitle
    address: kinds.Network
    port: kinds.Port | None = None  # where it takes N-EVENT-REPORTs, at the address that it called from


class Receiver(Part):
    ae_title: kinds.AeTitle = "RESEARCH"
    bind: kinds.Address = "0.0.0.0"
    port: kinds.Port = 11112
    processes: kinds.Processes = 2
    peers: tuple[Peer, ...] = ()
    max_associations: kinds.Many = 32
    min_free_disk: kinds.Size = 5 * 2**30
    max_outbox: kinds.Room | None = None
    tls: Tls | None = None


class Health(Part):
    socket: kinds.SocketPath = Path("/run/pacs-gateway/health.sock")


class MetricsEndpoint(Part):
    bind: kinds.Address = "127.0.0.1"
    port: kinds.Port = 9110


class Audit(Part):
    """Where the audit trail is also told: an audit record repository (PS3.15 A.5)."""

    host: kinds.Host
    port: kinds.Port = 6514
    protocol: Literal["tls", "udp"] = "tls"
    tls: Tls | None = None  # absent: the authorities of this machine, and no certificate of ours


class Pacs(Part):
    name: kinds.Name
    ae_title: kinds.AeTitle
    host: kinds.Host
    port: kinds.Port = 104
    query_model: Literal["study", "patient"] = "study"
    retrieve: Literal["move", "get"] = "move"
    max_moves: kinds.Few = 2
    windows: tuple[kinds.Window, ...] = ()
    time_zone: kinds.Zone | None = None  # of `windows`; absent = this machine's
    max_rate: kinds.Rate | None = None
    response_timeout: kinds.Wait = 900.0
    accession_forms: Annotated[tuple[kinds.AccessionForm, ...], Field(min_length=1)] = ("{an}",)
    result_limit: kinds.Rows = 0
    tls: Tls | None = None


class Ris(Part):
    name: kinds.Name
    url: kinds.SqlUrl
    password_file: kinds.SecretFile | None = None


class Source(Part):
    ris: str
    schedule: kinds.Schedule
    query: kinds.Query
    cursor: str | None = None
    overlap: kinds.Duration = 7200.0
    recheck: tuple[kinds.Wait, ...] = (3600.0, 86400.0, 7 * 86400.0, 30 * 86400.0)
    fallback: tuple[Literal["patient-date"], ...] = ()
    push: bool = False
    push_quiet: kinds.Wait = 60.0  # a pushed study is whole when nothing of it has come for so long
    opt_out: kinds.Query | None = None
    vanished: Literal["keep", "cancel"] = "keep"  # what becomes of a request whose row is no longer in the view


class Select(Part):
    study: Annotated[str, rule_of("study")] | None = None
    series: Annotated[str, rule_of("series")] | None = None
    instance: Annotated[str, rule_of("instance")] | None = None


class Deidentify(Part):
    options: tuple[kinds.Option, ...] = ()
    patient_id: kinds.PatientId = "{pseudonym}"
    crosswalk: kinds.AnyPath | None = None
    aliases: kinds.AnyPath | None = None  # merged patients
    keep: tuple[kinds.Element, ...] = ()
    remove: tuple[kinds.Element, ...] = ()
    replace: dict[str, str] = Field(default_factory=dict)


class DirectorySink(Part):
    type: Literal["directory"] = "directory"
    path: kinds.AbsolutePath
    layout: kinds.Layout = LAYOUT
    manifests: Literal["csv", "csv+parquet"] | None = None  # tables of what lies there, in its folder `manifests`
    max_rate: kinds.Rate | None = None


class DicomSink(Part):
    type: Literal["dicom"] = "dicom"
    ae_title: kinds.AeTitle
    host: kinds.Host
    port: kinds.Port = 104
    tls: Tls | None = None
    storage_commitment: bool = True
    commitment_timeout: kinds.Wait = 60.0  # for the report; then C-FIND is asked
    calling_ae: kinds.AeTitle | None = None  # absent: the receiver's
    report_port: kinds.Port | None = None  # where the archive may bring its reports; absent: on our association only
    max_rate: kinds.Rate | None = None


class DicomWebSink(Part):
    type: Literal["dicomweb"] = "dicomweb"
    url: kinds.WebUrl
    token_file: kinds.SecretFile | None = None
    user: str | None = None
    password_file: kinds.SecretFile | None = None
    tls: Tls | None = None
    read_back: bool = True  # by WADO-RS; false for an archive that changes what it stores
    delete: Literal["dicomweb", "orthanc"] = "dicomweb"  # how withdrawn patients are taken out: no standard says
    max_rate: kinds.Rate | None = None


class S3Sink(Part):
    type: Literal["s3"] = "s3"
    url: kinds.BucketUrl
    endpoint: kinds.WebUrl | None = None
    region: kinds.Name = "us-east-1"
    ca: kinds.AbsolutePath | None = None  # besides the system's authorities
    credentials_file: kinds.SecretFile | None = None
    layout: kinds.Layout = LAYOUT
    max_rate: kinds.Rate | None = None


AnySink: TypeAlias = Annotated[DirectorySink | DicomSink | DicomWebSink | S3Sink, Field(discriminator="type")]
SINKS: Final[Mapping[str, type[Part]]] = MappingProxyType(
    {"directory": DirectorySink, "dicom": DicomSink, "dicomweb": DicomWebSink, "s3": S3Sink}
)


class Project(Part):
    name: kinds.Name
    pacs: Annotated[tuple[str, ...], Field(min_length=1)]
    share: kinds.Few = 1  # of what a PACS sends, where several projects wait for it
    source: Source | None = None
    select: Select = Select()
    deidentify: Deidentify = Deidentify()
    deliver: tuple[AnySink, ...] = ()


class Settings(Part):
    """The whole of gateway.toml with projects.d merged in."""

    state_dir: kinds.AbsolutePath = Path("/var/lib/pacs-gateway")
    database: kinds.Database = "sqlite"
    database_password_file: kinds.SecretFile | None = None
    node_lease: kinds.Lease = 300.0  # without a sign of life from a node for so long, the others take its work over
    node: kinds.Node = ""  # `load` fills in the host name
    key_file: kinds.SecretName = "/etc/pacs-gateway/pseudonym.key"  # path or "credential:NAME"
    receiver: Receiver = Receiver()
    health: Health = Health()
    metrics: MetricsEndpoint = MetricsEndpoint()
    audit: Audit | None = None
    pacs: Annotated[tuple[Pacs, ...], Field(min_length=1)]
    ris: tuple[Ris, ...] = ()
    project: Annotated[tuple[Project, ...], Field(min_length=1)]

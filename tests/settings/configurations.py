"""Configurations to test with: one that is valid, one as in the interface, and a way to see what `load` says."""

from __future__ import annotations

from pathlib import Path

from gateway.errors import BadConfiguration, Mistake
from gateway.settings import load

VALID = """\
state_dir = "/var/lib/pacs-gateway"
key_file = "/etc/pacs-gateway/pseudonym.key"

[receiver]
ae_title = "RESEARCH"
port = 11112
peers = [
  { ae_title = "HOSPITALPACS", address = "10.1.2.0/24" },
]

[[pacs]]
name = "main"
ae_title = "HOSPITALPACS"
host = "10.1.2.3"
port = 104

[[ris]]
name = "ris"
url = "mssql+pymssql://reader@ris/db"

[[project]]
name = "chest-ct"
pacs = ["main"]

[project.source]
ris = "ris"
schedule = "*/5 * * * *"
query = "select accession_number, changed_at from v where changed_at >= :since"
cursor = "changed_at"
recheck = ["1h", "1d"]

[project.select]
series = "Modality == 'CT'"

[project.deidentify]
patient_id = "CHEST-{pseudonym}"

[[project.deliver]]
type = "directory"
path = "/srv/research/chest-ct"
layout = "{PatientID}/{SOPInstanceUID}.dcm"
"""

SECOND_PROJECT = """\
[[project]]
name = "knee-mr"
pacs = ["main"]

[[project.deliver]]
type = "directory"
path = "/srv/research/knee-mr"
"""


def changed(old: str, new: str) -> str:
    """VALID with one piece replaced; the piece must be there, once."""
    assert VALID.count(old) == 1, old
    return VALID.replace(old, new)


def line_of(text: str, piece: str) -> int:
    """The line on which `piece` begins."""
    return text[: text.index(piece)].count("\n") + 1


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "gateway.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def mistakes(path: Path, *, files: bool = False) -> tuple[Mistake, ...]:
    """What `load` complains about; () when it is content."""
    try:
        load(path, files=files)
    except BadConfiguration as err:
        return err.mistakes
    return ()

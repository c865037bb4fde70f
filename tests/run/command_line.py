"""A place to try commands in: a configuration, a key, an archive; and `pacs-gateway WORDS` within the test's own process."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.run.cli import main
from gateway.run.demo.site import free_ports

CONFIG = """\
state_dir = "{folder}/state"
node = "gw1"
key_file = "{folder}/pseudonym.key"

[receiver]
bind = "127.0.0.1"
port = {receiver}
processes = 1
min_free_disk = "1 MB"

[health]
socket = "{folder}/health.sock"

[metrics]
port = {metrics}

[[pacs]]
name = "main"
ae_title = "{ae}"
host = "127.0.0.1"
port = {pacs}

[[ris]]
name = "ris"
url = "sqlite:///{folder}/ris.sqlite"

[[project]]
name = "chest"
pacs = ["main"]

[project.source]
ris = "ris"
schedule = "1h"
query = "select accession_number, patient_id from research_view"

[project.select]
series = "Modality == 'CT'"
instance = "not ('SECONDARY' in ImageType)"

[project.deidentify]
patient_id = "CHEST-{{pseudonym}}"

[[project.deliver]]
type = "directory"
path = "{folder}/archive"
"""


@dataclass(frozen=True)
class Told:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """`folder` holds gateway.toml, the key, the RIS and the archive; the state is made by what is tried."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def config(self) -> Path:
        return self.folder / "gateway.toml"

    def say(self, *words: str) -> Told:
        """`pacs-gateway WORDS --config CONFIG`."""
        return self.raw(*words, "--config", str(self.config))

    def raw(self, *words: str) -> Told:
        """`pacs-gateway WORDS`."""
        self.capsys.readouterr()
        code = main(words)
        said = self.capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Told(code, said.out, said.err)

    def change(self, old: str, new: str) -> None:
        """One piece of the configuration replaced by another."""
        text = self.config.read_text()
        assert text.count(old) == 1, old
        self.config.write_text(text.replace(old, new))


def furnish(folder: Path, *, pacs: int | None = None, ae: str = "NOBODY") -> None:
    """The files of a place; nobody answers on the port of its PACS unless one is given."""
    receiver, metrics, nobody = free_ports(3)  # at once: one by one, two may be the same, and the settings refuse that
    (folder / "gateway.toml").write_text(
        CONFIG.format(folder=folder, receiver=receiver, metrics=metrics, ae=ae, pacs=pacs or nobody)
    )
    key = folder / "pseudonym.key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    (folder / "archive").mkdir()
    ris = sqlite3.connect(folder / "ris.sqlite")
    with ris:
        ris.execute("create table research_view (accession_number text, patient_id text)")
        ris.execute("insert into research_view values ('SYNRIS1', 'SYNPATIENT1')")
    ris.close()

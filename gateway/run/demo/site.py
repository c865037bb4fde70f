"""The demo's folder: claimed, emptied of a former demo, and furnished with a key and a configuration."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from gateway.errors import BadConfiguration, Mistake
from gateway.keys import KEY_BYTES
from gateway.settings.kinds import SOCKET_PATH

LOOPBACK: Final = "127.0.0.1"
MARKER: Final = ".pacs-gateway-demo"
MARKED: Final = "Made by pacs-gateway demo, which empties this folder when it runs again.\n"
PROJECT: Final = "chest-ct"
OUR_AE, PACS_AE = "RESEARCH", "HOSPITALPACS"

CONFIG: Final = """\
# Written by pacs-gateway demo. Everything in it works for a real hospital too: etc/gateway.toml of the source says more.
state_dir = {state}
node = "demo"
key_file = {key}

[receiver]
ae_title = "{our_ae}"
bind = "{loopback}"
port = {receiver}
processes = 2
min_free_disk = "100 MB"

[health]
socket = {health}

[metrics]
bind = "{loopback}"
port = {metrics}

[[pacs]]
name = "main"
ae_title = "{pacs_ae}"
host = "{loopback}"
port = {pacs}
response_timeout = "60s"

[[ris]]
name = "ris"
url = {ris}

[[project]]
name = "{project}"
pacs = ["main"]

[project.source]
ris = "ris"
schedule = "1s"
query = '''select accession_number, patient_id, study_date, modality, changed_at
           from research_view where changed_at >= :since'''
cursor = "changed_at"

[project.select]
study = "'CT' in ModalitiesInStudy"
series = "Modality == 'CT' and SeriesDescription =~~ '(?i)chest|thorax' and NumberOfSeriesRelatedInstances >= 5"
instance = "not ('SECONDARY' in ImageType)"

[project.deidentify]
patient_id = "CHEST-{{pseudonym}}"

[[project.deliver]]
type = "directory"
path = {archive}
"""


@dataclass(frozen=True)
class Site:
    """Where things are. `sockets`: the folder of the health socket, elsewhere when `folder` has too long a path."""

    folder: Path
    sockets: Path

    @property
    def hospital(self) -> Path:
        return self.folder / "hospital"

    @property
    def ris(self) -> Path:
        return self.folder / "ris.sqlite"

    @property
    def config(self) -> Path:
        return self.folder / "gateway.toml"

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    @property
    def health(self) -> Path:
        return self.sockets / "health.sock"


@contextmanager
def claimed(folder: Path) -> Iterator[Site]:
    """`folder`, made or emptied, and ours as long as the demo runs.

    Raises BadConfiguration when it is in use, cannot be written, or holds anything that no former demo has made.
    """
    home = folder.absolute()
    try:
        marker = _claim(home)
    except OSError as err:
        raise _refused(home, f"cannot be used ({err.strerror})", "a folder that this user can write") from None
    with closing(marker), _sockets(home) as sockets:
        yield Site(home, sockets)


def _claim(home: Path) -> IO[str]:
    marker = home / MARKER
    if "?" in str(home):
        raise _refused(home, "the RIS could not be named in a URL", "a path without ?")
    if home.exists() and not marker.is_file() and any(home.iterdir()):
        raise _refused(
            home, "no demo has made this folder, and it is not empty", "a new folder, or one of a former demo"
        )
    home.mkdir(parents=True, exist_ok=True)
    lock = marker.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise _refused(home, "another demo runs in this folder", "another folder") from None
    _empty(home)
    if not marker.stat().st_size:
        lock.write(MARKED)
        lock.flush()
    return lock


def _empty(home: Path) -> None:
    """Everything but the marker goes; links go, what they point to stays."""
    for entry in home.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MARKER:
            entry.unlink()


def _refused(home: Path, found: str, allowed: str) -> BadConfiguration:
    return BadConfiguration((Mistake(str(home), 0, "--keep-dir", found, allowed),))


@contextmanager
def _sockets(home: Path) -> Iterator[Path]:
    if len(os.fsencode(home / "health.sock")) <= SOCKET_PATH:
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="pacs-gateway-demo-") as short:
        yield Path(short)


def furnish(site: Site, *, pacs: int, receiver: int, metrics: int) -> None:
    """Writes key and configuration, and makes the archive's root: the gateway never does. Arguments: ports."""
    site.archive.mkdir()
    key = site.folder / "pseudonym.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(KEY_BYTES))
    places = {"state": site.folder / "state", "key": key, "health": site.health, "archive": site.archive}
    quoted = {name: _quoted(str(place)) for name, place in places.items()}
    ris = _quoted(f"sqlite:///{site.ris}")
    names = {"our_ae": OUR_AE, "pacs_ae": PACS_AE, "project": PROJECT, "loopback": LOOPBACK}
    ports = {"pacs": pacs, "receiver": receiver, "metrics": metrics}
    site.config.write_text(CONFIG.format(**quoted, **names, **ports, ris=ris), "utf-8")


def _quoted(text: str) -> str:
    """A TOML basic string; its escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)


def free_ports(number: int) -> list[int]:
    """So many TCP ports on loopback, different ones, on which nobody listened a moment ago."""
    probes = [socket.create_server((LOOPBACK, 0)) for _ in range(number)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports

"""Real peers on loopback: Orthanc, DCMTK's dcmqrscp, PostgreSQL, MariaDB.

Each takes a free port and a temporary folder of its own, is probed until it answers (with a deadline), and is ended by its
process id: on `stop()`, at the end of the `with` block, at the latest when Python exits. `kill()` is SIGKILL, `start()` after
either brings the peer back on the same port with what it had stored; `freeze()` and `thaw()` are SIGSTOP and SIGCONT.

A missing program skips the test on a developer's machine and fails it where CI=true.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from tests.support.process import HOST, Process, free_port, listening, new_folder, owner, program, run

__all__ = [
    "HOST", "PASSWORD", "DatabasePeer", "Dcmqrscp", "Destinations", "MariaDb", "Orthanc", "PacsPeer", "Postgres",
    "free_port", "listening",
]  # fmt: skip

PASSWORD: Final = "synthetic-password"

Destinations = Mapping[str, tuple[str, int]]
"""C-MOVE destinations: AE title -> (host, port)."""


class Peer:
    """The life of a peer: a context manager around one process."""

    process: Process
    port: int
    host = HOST

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def freeze(self) -> None:
        self.process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class PacsPeer(Protocol):
    """What a test needs of a PACS, whichever it is."""

    ae_title: str
    host: str
    port: int

    def upload(self, files: Iterable[Path]) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


def send_files(files: Iterable[Path], ae_title: str, port: int) -> None:
    """C-STOREs files, or all files below folders, with DCMTK's storescu."""
    paths = [str(path) for path in files]
    assert paths, "nothing to send"
    run(
        [program("storescu"), "-R", "+sd", "+r", "-aet", "MODALITY", "-aec", ae_title, HOST, str(port), *paths],
        timeout=120,
    )


class Orthanc(Peer):
    """A started Orthanc. `options` overrides its JSON configuration (`{"LimitFindResults": 3}`); REST is on `http_port`."""

    def __init__(
        self,
        ae_title: str = "ORTHANC",
        *,
        destinations: Destinations | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        binary = program("Orthanc")
        self.ae_title, self.port, self.http_port = ae_title, free_port(), free_port()
        folder = new_folder("orthanc")
        configuration = folder / "orthanc.json"
        configuration.write_text(json.dumps({**self._defaults(folder, destinations or {}), **(options or {})}))
        self.process = Process(
            [binary, str(configuration)], folder=folder, stop_signal=signal.SIGKILL,  # it takes 3 s to end politely
            ready=lambda: listening(self.port) and listening(self.http_port),
        )  # fmt: skip
        self.start()

    def _defaults(self, folder: Path, destinations: Destinations) -> dict[str, object]:
        return {
            "Name": "synthetic", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "Plugins": [],
            "DicomAet": self.ae_title, "DicomPort": self.port, "HttpPort": self.http_port, "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False, "DicomCheckCalledAet": False, "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowMove": True, "DicomAlwaysAllowGet": True, "SynchronousCMove": True, "OverwriteInstances": True,
            "DicomModalities": {aet: [aet, host, port] for aet, (host, port) in destinations.items()},
        }  # fmt: skip

    def upload(self, files: Iterable[Path]) -> None:
        """C-STOREs files or whole folders."""
        send_files(files, self.ae_title, self.port)


class Dcmqrscp(Peer):
    """A started dcmqrscp, one storage area. `options`: further command-line options (`["--disable-get"]`).

    `most`: associations at once; more are rejected for the moment. `friends`: "ANY", or who may call: "h0", the first destination.
    """

    def __init__(
        self,
        ae_title: str = "DCMQRSCP",
        *,
        destinations: Destinations | None = None,
        options: Sequence[str] = (),
        most: int = 32,
        friends: str = "ANY",
    ) -> None:
        binary = program("dcmqrscp")
        self.ae_title, self.port = ae_title, free_port()
        folder = new_folder("dcmqrscp")
        (folder / "db").mkdir()
        configuration = folder / "dcmqrscp.cfg"
        text = self._configuration(folder / "db", destinations or {})
        configuration.write_text(
            text.replace("MaxAssociations = 32", f"MaxAssociations = {most}").replace(" ANY", f" {friends}")
        )
        self.process = Process(
            [binary, "-c", str(configuration), *options], folder=folder, ready=lambda: listening(self.port)
        )
        self.start()

    def _configuration(self, storage: Path, destinations: Destinations) -> str:
        hosts = [f"h{n} = ({aet}, {host}, {port})" for n, (aet, (host, port)) in enumerate(destinations.items())]
        return "\n".join([
            f"NetworkTCPPort = {self.port}", "MaxPDUSize = 16384", "MaxAssociations = 32",
            "HostTable BEGIN", *hosts, "HostTable END", "VendorTable BEGIN", "VendorTable END",
            "AETable BEGIN", f"{self.ae_title} {storage} RW (2000, 1024mb) ANY", "AETable END", "",
        ])  # fmt: skip

    def upload(self, files: Iterable[Path]) -> None:
        """C-STOREs files or whole folders."""
        send_files(files, self.ae_title, self.port)


class DatabasePeer(Protocol):
    """What a test needs of a database server. `url` is a SQLAlchemy URL without the password, `open_url` one with it."""

    port: int
    password: str

    @property
    def url(self) -> str: ...
    @property
    def open_url(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


class Postgres(Peer):
    """A started PostgreSQL with user `ris` (superuser, password wanted) and its database `postgres`. `settings`: as for `-c`."""

    password = PASSWORD

    def __init__(self, settings: Sequence[str] = ()) -> None:
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        server, initdb, isready = (program(name, *binaries) for name in ("postgres", "initdb", "pg_isready"))
        user, self.port = owner("postgres"), free_port()
        folder = new_folder("postgres", user)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        run(
            [initdb, "-D", str(folder / "db"), "-U", "ris", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync",
             "-E", "UTF8", "--locale=C.UTF-8"], user=user,
        )  # fmt: skip
        fast = [
            "fsync=off",
            "full_page_writes=off",
            f"listen_addresses={HOST}",
            "unix_socket_directories=",
            f"port={self.port}",
        ]
        options = [word for setting in [*fast, *settings] for word in ("-c", setting)]
        self.process = Process(
            [server, "-D", str(folder / "db"), *options], folder=folder, user=user, stop_signal=signal.SIGINT,
            ready=lambda: subprocess.run([isready, "-q", "-h", HOST, "-p", str(self.port)], check=False).returncode == 0,
        )  # fmt: skip
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://ris@{HOST}:{self.port}/postgres"

    @property
    def open_url(self) -> str:
        return f"postgresql+psycopg://ris:{PASSWORD}@{HOST}:{self.port}/postgres"


class MariaDb(Peer):
    """A started MariaDB with user `ris` (all rights, password wanted) and database `ris`."""

    password = PASSWORD

    def __init__(self) -> None:
        server, install = program("mariadbd"), program("mariadb-install-db")
        user, self.port = owner("mysql"), free_port()
        folder = new_folder("mariadb", user)
        script = folder / "init.sql"
        script.write_text(
            f"create database if not exists ris character set utf8mb4;\n"
            f"create user if not exists 'ris'@'%' identified by '{PASSWORD}';\ngrant all on *.* to 'ris'@'%' with grant option;\n"
        )
        run(
            [install, "--no-defaults", f"--datadir={folder / 'db'}", "--auth-root-authentication-method=normal",
             "--skip-test-db", "--innodb-log-file-size=8M"], user=user,
        )  # fmt: skip
        self.process = Process(
            [server, "--no-defaults", f"--datadir={folder / 'db'}", f"--port={self.port}", f"--bind-address={HOST}",
             f"--socket={folder / 'socket'}", f"--pid-file={folder / 'pid'}", f"--init-file={script}", "--skip-name-resolve",
             "--innodb-flush-log-at-trx-commit=2", "--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M"],
            folder=folder, user=user, ready=lambda: listening(self.port),
        )  # fmt: skip
        self.start()

    @property
    def url(self) -> str:
        return f"mysql+pymysql://ris@{HOST}:{self.port}/ris"

    @property
    def open_url(self) -> str:
        return f"mysql+pymysql://ris:{PASSWORD}@{HOST}:{self.port}/ris"

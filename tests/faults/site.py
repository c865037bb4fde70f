"""A site without a PACS: the real daemon, studies that it has asked for, and what it keeps of them, looked at from outside.

The series are planned by hand and the PACS is away, so that whatever arrives is sent by the test, when and as it likes.
"""

from __future__ import annotations

import functools
import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pydicom

from gateway.model import AccessionNumber, FoundSeries, LedgerLine, Outcome, Plan, PlannedSeries, Verdict, Wanted
from gateway.state.checksum import of_parts
from gateway.state.db import Database
from gateway.state.outbox import OWN, Outbox
from gateway.state.store import Store
from tests.faults.sending import CALLING, Message, message
from tests.support.dicomfiles import StudyFacts
from tests.support.leaks import forms
from tests.support.process import free_port

KEY: Final = bytes(range(1, 33))
PROJECT: Final = "chest"
CONFIG: Final = """\
state_dir = "{folder}/state"
node = "gw1"
key_file = "{folder}/pseudonym.key"

[receiver]
ae_title = "RESEARCH"
bind = "127.0.0.1"
port = {port}
processes = {processes}
min_free_disk = "{free}"
{receiver}

[health]
socket = "{folder}/health.sock"

[metrics]
port = {metrics}

[[pacs]]
name = "main"
ae_title = "{calling}"
host = "127.0.0.1"
port = {nobody}
{pacs}

[[project]]
name = "chest"
pacs = ["main"]

[project.select]
instance = "not ('SECONDARY' in ImageType)"

[project.deidentify]
{deidentify}

[[project.deliver]]
type = "directory"
path = "{folder}/archive"
"""
UID: Final = re.compile(rb"2\.25\.\d{38}")
NOTHING: Final = re.compile(rb"\0{17,}")
WIDE_UID: Final = re.compile(rb"2\0\.\0002\0005\0\.\0(?:\d\0){38}")


@dataclass(frozen=True)
class Sent:
    """One instance of the corpus: how it is sent, and how it is known again afterwards."""

    study: StudyFacts = field(repr=False)
    path: Path = field(repr=False)
    message: Message = field(repr=False)
    excluded: bool
    pixels: str  # SHA-256


def sent(study: StudyFacts) -> Iterator[Sent]:
    for series in study.series:
        for path in series.files:
            pixels = hashlib.sha256(pydicom.dcmread(path).PixelData).hexdigest()
            yield Sent(study, path, message(path), "SECONDARY" in series.spec.image_type, pixels)


@dataclass(frozen=True)
class Options:
    """What differs from site to site. `receiver`, `pacs`, `deidentify`: lines of those sections."""

    processes: int = 2
    free: str = "1 MB"
    receiver: str = ""
    pacs: str = ""
    deidentify: str = ""


class Site:
    """`folder`: configuration, state and archive of one daemon."""

    def __init__(self, folder: Path, options: Options = Options()) -> None:
        self.folder, self.port, self.metrics = folder, free_port(), free_port()
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "pseudonym.key"
        key.write_bytes(KEY)
        key.chmod(0o600)
        (folder / "archive").mkdir(exist_ok=True)
        (folder / "gateway.toml").write_text(CONFIG.format(
            folder=folder, port=self.port, metrics=self.metrics, nobody=free_port(), calling=CALLING, **vars(options),
        ))  # fmt: skip

    def plan(self, studies: Sequence[StudyFacts]) -> None:
        """Everything in these studies is to be retrieved."""
        (self.folder / "state").mkdir(exist_ok=True)
        database = Database(self.folder / "state" / "state.sqlite")
        store = Store(database, KEY, node="gw1")
        store.keep_to_key()
        for study in studies:
            _plan(store, study)
        database.close()

    def kept(self, outbox: Outbox | None = None) -> Kept:
        return Kept(self.folder / "state", outbox)


def _plan(store: Store, study: StudyFacts) -> None:
    wanted = Wanted(PROJECT, AccessionNumber(study.patient["accession"]), patient_id=study.patient["patient_id"])
    store.add_requests([wanted], (), project=PROJECT, cursor=None, now=time.time())
    (claim,) = store.claim_requests(projects=[PROJECT], limit=1, lease=60, now=time.time())
    planned = tuple(
        PlannedSeries(
            "main",
            FoundSeries(study.StudyInstanceUID, s.SeriesInstanceUID, {"Modality": s.spec.modality}, s.spec.instances),
            Verdict(True),
        )
        for s in study.series
    )
    assert store.settle_found(claim, Plan(series=planned, studies=1), now=time.time())


class Kept:
    """The state folder as it lies on the disk, whoever wrote it."""

    def __init__(self, state: Path, outbox: Outbox | None = None) -> None:
        self.state = state
        self.outbox = outbox or Outbox(state / "outbox", Outbox(state / "held", modes=OWN))
        self._database = Database(state / "state.sqlite")
        self._store = Store(self._database, KEY, node="look")

    def close(self) -> None:
        self._database.close()

    def line(self, one: Sent) -> LedgerLine | None:
        """What the ledgers say of it."""
        wanted = self._store.instance_hash(one.message.SOPInstanceUID)
        for row in self._store.expected(one.study.StudyInstanceUID):
            found = self.outbox.ledger(row.key).get(wanted)
            if found is not None:
                return found
        return None

    def series(self, one: Sent) -> str:
        """The key of its series."""
        wanted = self._store.series_hash(
            str(pydicom.dcmread(one.path, specific_tags=["SeriesInstanceUID"]).SeriesInstanceUID)
        )
        return next(r.key for r in self._store.expected(one.study.StudyInstanceUID) if r.series_hash == wanted)

    def fault(self, one: Sent) -> str:
        """What is wrong with an instance that was acknowledged; nothing: ""."""
        line = self.line(one)
        if line is None:
            return "not in the ledger"
        if line.outcome is Outcome.EXCLUDED:
            return "" if one.excluded else "excluded"
        places = [p for p in self.files() if p.name == line.file]
        if len(places) != 1:
            return f"{len(places)} files"
        raw = places[0].read_bytes()
        if (len(raw), of_parts([raw]).hex()) != (line.size, line.checksum):
            return "not what the ledger says"
        return "" if pixels(places[0]) == one.pixels else "another instance's pixels"

    def files(self) -> list[Path]:
        """Every visible file of an instance, held ones too."""
        return sorted(p for room in ("outbox", "held") for p in (self.state / room).glob("*/*.dcm"))

    def halves(self) -> list[Path]:
        """Files that a write left behind."""
        return [
            p for room in ("outbox", "held") for p in (self.state / room).glob("*/.*") if not p.name.endswith(".tries")
        ]


def pixels(path: Path) -> str:
    """SHA-256 of the pixels. Raises what pydicom raises when the file is not whole."""
    facts = path.stat()
    return _pixels(path, (facts.st_ino, facts.st_size, facts.st_mtime_ns))


@functools.lru_cache(maxsize=4096)
def _pixels(path: Path, facts: tuple[int, ...]) -> str:
    return hashlib.sha256(pydicom.dcmread(path).PixelData).hexdigest()


class Search:
    """Looks for what was planted in every byte of every file; a file that did not change is not read twice."""

    def __init__(self, studies: Sequence[StudyFacts]) -> None:
        values = {v for s in studies for v in s.identifiers if len(v) > 4}
        self._uids = {v.encode() for v in values if UID.fullmatch(v.encode())}
        self._words = sorted({form for v in values if v.encode() not in self._uids for form in forms(v)})
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}

    def hits(self, folder: Path) -> list[str]:
        """Names of files, ours, with something planted in them."""
        return [str(p.relative_to(folder)) for p in sorted(folder.rglob("*")) if p.is_file() and self._hit(p)]

    def _hit(self, path: Path) -> bool:
        facts = path.stat()
        mark = (str(path), facts.st_ino), (facts.st_size, facts.st_mtime_ns)
        if self._seen.get(mark[0]) == mark[1]:
            return False
        if self.found(path.read_bytes()) or self.found(str(path).encode()):
            return True
        self._seen[mark[0]] = mark[1]
        return False

    def found(self, raw: bytes) -> bool:
        raw = NOTHING.sub(bytes(16), raw)  # synthetic pixels and free pages are mostly zeros, and nothing planted is
        uids = {*UID.findall(raw), *(wide.replace(b"\0", b"") for wide in WIDE_UID.findall(raw))}
        return not self._uids.isdisjoint(uids) or any(word in raw for word in self._words)

"""An S3 bucket, or anything that speaks S3, as an archive. The only user of obstore.

put: looked for first, then written on the condition that nothing is there (If-None-Match), with its SHA-256, which the
server checks. What is too large for one request goes in parts to a name of ours under `.pacs-gateway/`, is copied to its
place on the same condition, and removed. A killed put leaves unfinished parts, which no listing shows, or such a copy,
which the put that follows replaces. confirm: read back and compared.

Whether the server keeps to conditions is tried once in each life: one that ignores them could overwrite, and is refused.
Standard: S3 API (PutObject, CreateMultipartUpload, UploadPartCopy); RFC 9110 13.1.2.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from fnmatch import fnmatchcase
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.deliver import header
from gateway.deliver.credentials import read_credentials
from gateway.deliver.layout import Layout
from gateway.deliver.sink import WRITABLE, Receipt, digest
from gateway.deliver.verdict import CONFIG_PAUSE
from gateway.errors import Fatal, Refused, Retry
from gateway.settings import S3Sink as Settings
from gateway.settings import secret
from gateway.settings.certificates import certificate_faults

try:
    import obstore
    from obstore.exceptions import (
        AlreadyExistsError,
        BaseError,
        NotFoundError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )
    from obstore.store import S3Store
except ImportError:  # an extra; wiring asks for it by making a sink
    raise Fatal("deliver.missing", "obstore cannot be loaded: is all of requirements/run.txt installed?") from None

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, S3Config

OWN: Final = ".pacs-gateway"  # the folder of what nobody should see
PROBE: Final = b"pacs-gateway write probe\n"
TRIES: Final = 3
ONE_REQUEST: Final = 32 * 2**20  # bytes; it is in memory meanwhile
MOST: Final = 5 * 2**30  # bytes that S3 copies
PART, PARTS_AT_ONCE = 8 * 2**20, 4
HEAD, HEADS = 1 << 16, (1 << 22, 1 << 26)  # bytes in which a patient ID is looked for, and where none is in there
CONNECT, SILENCE, WHOLE = timedelta(seconds=10), timedelta(seconds=60), timedelta(seconds=900)
DENIED: Final = (UnauthenticatedError, PermissionDeniedError)
ABSENT: Final = (NotFoundError, FileNotFoundError)  # it raises Python's own
FULL: Final = ("QuotaExceeded", "InsufficientStorage", "StorageFull", "code: 507 ")
"""How servers say that there is no room. Only looked for in an error's text, which is never shown."""
NOT_NOW: Final = ("ExpiredToken", "TokenRefreshRequired", "RequestTimeTooSkewed")
"""And, with 400, that they do not know us any more."""


class S3Sink:
    """One thread puts; any confirms. `alive` is called with each piece of what goes in parts or is read, and may raise."""

    def __init__(self, settings: Settings, alive: Callable[[], None] = lambda: None) -> None:
        # A bucket of the same name at another server is another archive.
        self._name = settings.url + (f"@{settings.endpoint}" if settings.endpoint else "")
        self._settings, self._alive = settings, alive
        bucket, _, prefix = settings.url.removeprefix("s3://").partition("/")
        self._bucket, self._prefix = bucket, prefix.strip("/")
        self._layout = Layout(settings.layout)
        self._stores: dict[bool, S3Store] = {}
        self._tried = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def batch(self) -> int:
        return 1

    def put(self, file: Path) -> Receipt:
        """Raises Retry sink.* (uncharged) or outbox.unreadable; Refused deliver.conflict, .path, .too-large."""
        place = self._place(file)
        self._try_once()
        new = not self._there(place) and self._write(file, place)
        if not new and not self._same(file, place):
            if not self._there(place):  # a request that we gave up may still be at work there: 409
                raise Retry("sink.busy", f"{self._name} has an upload of this object under way", charge=False)
            raise Refused("deliver.conflict", f"{self._name} holds another object under this name")
        return Receipt(place, new)

    def confirm(self, *files: Path) -> bool:
        """Raises Retry sink.* (uncharged)."""
        return all(self._same(file, self._place(file)) for file in files)

    def probe(self) -> str:
        """Writes and removes an object of its own; writing it anew must be refused. Raises Retry sink.*"""
        key = f"{self._own}/probe"
        with self._told() as store:
            obstore.put(store, key, PROBE)
            self._tried = any(_refused(store, key) for _ in range(TRIES))
            obstore.delete(store, key)
        if not self._tried:
            told = f"{self._name}: the server ignores If-None-Match, so that objects could be overwritten"
            raise Retry("sink.unsafe", told, after=CONFIG_PAUSE, charge=False)
        return WRITABLE

    def remove(self, PatientID: str) -> int:
        """As `remove.Removes`, also what a killed put left behind. Raises Retry sink.*; a bucket with versions keeps those."""
        *above, name = self._layout.patterns({"PatientID": PatientID})
        known = list(takewhile(lambda part: "*" not in part, above))
        pattern = "/".join(part for part in (glob.escape(self._prefix), *above, name) if part)
        with self._told() as store:
            placed = {k: n for k, n in _sizes(store, self._whole("/".join(known))).items() if fnmatchcase(k, pattern)}
            own = _sizes(store, self._own)
            mine = [key for key, size in {**placed, **own}.items() if _is_of(store, key, size, PatientID)]
            for key in mine:
                obstore.delete(store, key)
        return len(set(mine) - own.keys())

    def close(self) -> None:
        """The next call reads the credentials again."""
        self._stores.clear()

    @property
    def _own(self) -> str:
        return self._whole(OWN)

    def _place(self, file: Path) -> str:
        return self._whole(self._layout.place(header.read(file, self._layout.keywords)))

    def _whole(self, place: str) -> str:
        return "/".join(part for part in (self._prefix, place) if part)

    def _try_once(self) -> None:
        if not self._tried:
            self.probe()

    def _there(self, place: str) -> bool:
        with self._told() as store:
            try:
                obstore.head(store, place)
            except ABSENT:
                return False
            return True

    def _write(self, file: Path, place: str) -> bool:
        """False when somebody else put an object there first."""
        try:
            size, content = _opened(file)
        except OSError:
            raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None
        if size > MOST:
            raise Refused("deliver.too-large", f"{self._name} takes no object of more than 5 GiB")
        with self._told(writing=True) as store:
            try:
                if size <= ONE_REQUEST:
                    obstore.put(store, place, content, mode="create")
                else:
                    self._in_parts(store, file, place)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def _in_parts(self, store: S3Store, file: Path, place: str) -> None:
        own = f"{self._own}/{hashlib.sha256(place.encode()).hexdigest()[:32]}"
        pieces = self._pieces(file)
        obstore.put(store, own, pieces, use_multipart=True, chunk_size=PART, max_concurrency=PARTS_AT_ONCE)
        try:
            obstore.copy(store, own, place, overwrite=False)
        finally:
            with contextlib.suppress(BaseError):  # hidden, and replaced by the next put of this file
                obstore.delete(store, own)

    def _pieces(self, file: Path) -> Iterator[bytes]:
        try:
            with file.open("rb") as opened:
                while piece := opened.read(PART):
                    self._alive()
                    yield piece
        except OSError:
            raise Retry("outbox.unreadable", "a clean file cannot be read from the outbox") from None

    def _same(self, file: Path, place: str) -> bool:
        """Length, then SHA-256, of what the server gives; in several requests where it is large, as each has its deadline."""
        wanted, size = digest(file), file.stat().st_size
        held = hashlib.sha256()
        with self._told() as store:
            for start in range(0, max(size, 1), ONE_REQUEST):
                part: GetOptions = {"range": (start, min(start + ONE_REQUEST, size))} if size > ONE_REQUEST else {}
                try:
                    found = obstore.get(store, place, options=part)
                except ABSENT:
                    return False
                if found.meta["size"] != size:
                    return False
                for piece in found.stream(min_chunk_size=1 << 20):
                    self._alive()
                    held.update(piece)
        return held.hexdigest() == wanted

    @contextmanager
    def _told(self, *, writing: bool = False) -> Iterator[S3Store]:
        """The server, and its errors in our words. `writing`: nothing is heard of it before all of it is sent."""
        try:
            self._stores[writing] = self._stores.get(writing) or self._open(WHOLE if writing else SILENCE)
            yield self._stores[writing]
        except ABSENT:
            raise Retry("sink.strange", f"{self._name}: no such bucket", after=CONFIG_PAUSE, charge=False) from None
        except BaseError as err:
            text = str(err)
            if isinstance(err, DENIED) or any(sign in text for sign in NOT_NOW):
                self.close()
                told = f"{self._name} does not let us"
                raise Retry("sink.unauthorised", told, after=CONFIG_PAUSE, charge=False) from None
            full = any(sign in text for sign in FULL)
            told = f"{self._name} is full" if full else f"{self._name} cannot be reached, or failed"
            raise Retry("sink.full" if full else "sink.unreachable", told, charge=False) from None

    def _open(self, silence: timedelta) -> S3Store:
        settings = self._settings
        client: ClientConfig = {"connect_timeout": CONNECT, "read_timeout": silence, "timeout": WHOLE}
        config: S3Config = {
            "region": settings.region,
            "checksum_algorithm": "SHA256",
            "copy_if_not_exists": "multipart",
        }
        if settings.endpoint:
            config["endpoint"] = settings.endpoint
            client["allow_http"] = settings.endpoint.startswith("http://")
        if settings.ca:
            client["root_certificate"] = _authority(settings.ca)
        config.update(self._credentials())
        # Retrying is the worker's.
        return S3Store(self._bucket, config=config, client_options=client, retry_config={"max_retries": 0})

    def _credentials(self) -> S3Config:
        """From a file as the AWS tools write it: its section [default]. Without one: what the machine is given."""
        if self._settings.credentials_file is None:
            return {}
        try:
            read = read_credentials(secret(self._settings.credentials_file).decode("utf-8-sig"))
        except (Fatal, ValueError) as err:
            told = err.detail if isinstance(err, Fatal) else "credentials_file is no text"
            raise Retry("sink.secret", told, after=CONFIG_PAUSE, charge=False) from None
        found: S3Config = {"access_key_id": read.access_key_id, "secret_access_key": read.secret_access_key}
        if read.session_token:
            found["session_token"] = read.session_token
        return found


def _authority(file: Path) -> bytes:
    for _, fault in certificate_faults({"ca": str(file)}):
        raise Retry("sink.tls", f"{fault.found}; {fault.allowed}", after=CONFIG_PAUSE, charge=False)
    return file.read_bytes()


def _refused(store: S3Store, key: str) -> bool:
    """Whether what is there stays. It is not there any more when another one of us has just tried: so this is asked again."""
    try:
        obstore.put(store, key, PROBE, mode="create")
    except (AlreadyExistsError, PreconditionError):
        return True
    return False


def _sizes(store: S3Store, prefix: str) -> dict[str, int]:
    """Key -> bytes, below a prefix that ends where a part of a path ends."""
    return {found["path"]: found["size"] for page in obstore.list(store, prefix or None) for found in page}


def _is_of(store: S3Store, key: str, size: int, PatientID: str) -> bool:
    """By its own header: nothing is removed by its name alone. Before the patient ID may be long lists of references."""
    for end in (HEAD, *(HEADS if size > HEAD else ())):
        try:
            head = obstore.get_range(store, key, start=0, end=min(size, end)).to_bytes() if size else b""
        except ABSENT:
            return False
        if head[128:132] != b"DICM":
            return False
        with contextlib.suppress(Refused):
            if found := header.read(BytesIO(head), ["PatientID"])["PatientID"].strip():
                return found == PatientID
    return False


def _opened(file: Path) -> tuple[int, bytes]:
    """Length, and the content of what goes in one request."""
    size = file.stat().st_size
    return size, file.read_bytes() if size <= ONE_REQUEST else b""

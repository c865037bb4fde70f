"""A large object, and a line on which it takes long: it has the time it needs, and whoever watches us sees that it goes on."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from gateway import settings
from gateway.deliver import copy, s3, web
from gateway.deliver.directory import DirectorySink
from gateway.deliver.s3 import S3Sink
from gateway.deliver.sink import Sink
from gateway.deliver.stowrs import StowSink
from gateway.errors import Retry
from tests.deliver import test_stowrs
from tests.deliver.clean import clean_file
from tests.deliver.scripted_web import Heard, Said, Site, scripted

LARGE: Final = 2_000_000  # bytes, at a megabyte each second
SLOWLY: Final = {"trickle": 0.05, "piece": 50_000}
UPWARDS: Final = 350_000  # bytes a second, as the server sees them come
LONG_AGO: Final = "Thu, 01 Jan 2026 00:00:00 GMT"
Alive = Callable[[], None]


class Bucket:
    """As much of S3 as `put` in parts and `confirm` need."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.parts: dict[int, bytes] = {}

    def __call__(self, heard: Heard) -> Said:
        place, _, query = heard.path.partition("?")
        if heard.method == "PUT":
            return self._put(heard, place, query)
        if heard.method == "POST":
            return self._post(heard, place, query)
        if heard.method == "DELETE":  # of an upload that is broken off
            return Said(204)
        kept = self.kept.get(place)
        return Said(404) if kept is None else self._get(heard, kept)

    def _put(self, heard: Heard, place: str, query: str) -> Said:
        time.sleep(len(heard.body) / UPWARDS)
        if part := re.search(r"partNumber=(\d+)", query):
            source = heard.headers.get("x-amz-copy-source", "")
            self.parts[int(part[1])] = self.kept["/" + source.strip("/")] if source else heard.body
            return Said(200, b"<CopyPartResult><ETag>x</ETag></CopyPartResult>", {"ETag": '"x"'})
        if place in self.kept and heard.headers.get("if-none-match") == "*":
            return Said(412)
        self.kept[place] = heard.body
        return Said(200, headers={"ETag": '"x"'})

    def _post(self, heard: Heard, place: str, query: str) -> Said:
        if query.startswith("uploads"):
            return Said(200, b"<R><UploadId>1</UploadId></R>")
        if query.startswith("delete"):
            for key in re.findall(r"<Key>(.*?)</Key>", heard.body.decode()):
                self.kept.pop(f"/bucket/{key}")
            return Said(200, b"<DeleteResult><Deleted><Key>x</Key></Deleted></DeleteResult>")
        self.kept[place] = b"".join(self.parts[n] for n in sorted(self.parts))
        self.parts.clear()
        return Said(200, b"<R><ETag>x</ETag></R>")

    def _get(self, heard: Heard, kept: bytes) -> Said:
        told = {"ETag": '"x"', "Last-Modified": LONG_AGO}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", heard.headers.get("range", ""))
        if asked is None:
            return Said(200, kept, told, **SLOWLY)  # type: ignore[arg-type]
        first, last = int(asked[1]), int(asked[2])
        told["Content-Range"] = f"bytes {first}-{last}/{len(kept)}"
        return Said(206, kept[first : last + 1], told, **SLOWLY)  # type: ignore[arg-type]


def s3_sink(site: Site, folder: Path, alive: Alive) -> Sink:
    keys = folder / "keys"
    keys.write_text("[default]\naws_access_key_id = SYN-KEY\naws_secret_access_key = SYN-SECRET\n")
    keys.chmod(0o600)
    return S3Sink(settings.S3Sink(url="s3://bucket/prefix", endpoint=site.url, credentials_file=keys), alive)


def stow_sink(site: Site, _: Path, alive: Alive) -> Sink:
    return StowSink(settings.DicomWebSink(url=site.url + "/dw"), alive)


def slow_stow() -> Callable[[Heard], Said]:
    archive = test_stowrs.Archive()

    def script(heard: Heard) -> Said:
        said = archive(heard)
        return Said(said.status, said.body, said.headers, **SLOWLY) if len(said.body) > 1 << 16 else said  # type: ignore[arg-type]

    return script


KINDS = pytest.mark.parametrize(
    ("script", "sink_to"), [(Bucket, s3_sink), (slow_stow, stow_sink)], ids=["s3", "dicomweb"]
)
Make = Callable[[Site, Path, Alive], Sink]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that all of the object would not keep."""
    monkeypatch.setattr(s3, "SILENCE", timedelta(seconds=0.4))
    monkeypatch.setattr(s3, "WHOLE", timedelta(seconds=1.6))
    monkeypatch.setattr(s3, "ONE_REQUEST", LARGE // 8)
    monkeypatch.setattr(s3, "PART", LARGE // 8)
    monkeypatch.setattr(web, "WHOLE", 0.5)
    monkeypatch.setattr(web, "SLOWEST", LARGE / 8)


@KINDS
def test_it_is_put_and_read_back_for_as_long_as_it_takes(
    script: Callable[[], Callable[[Heard], Said]], sink_to: Make, tmp_path: Path
) -> None:
    signs = list[float]()
    with scripted(script()) as site:
        sink, file = sink_to(site, tmp_path, lambda: signs.append(time.monotonic())), clean_file(tmp_path, pixels=LARGE)
        assert sink.put(file).new
        put = len(signs)
        assert sink.confirm(file)
        sink.close()
    assert put >= 8 and len(signs) - put >= 8


@KINDS
@pytest.mark.parametrize("doing", ["put", "confirm"])
def test_who_stops_need_not_wait_for_the_end(
    script: Callable[[], Callable[[Heard], Said]], sink_to: Make, doing: str, tmp_path: Path
) -> None:
    def tell(told: list[str]) -> None:
        if told and told.pop() == "stop":
            raise Retry("daemon.stopping", "the rest is delivered by the next life", charge=False)

    told = list[str]()
    with scripted(script()) as site:
        sink, file = sink_to(site, tmp_path, partial(tell, told)), clean_file(tmp_path, pixels=LARGE)
        if doing == "confirm":
            sink.put(file)
        told += ["stop", "go on", "go on"]
        with pytest.raises(Retry, match=r"^daemon\.stopping"):
            getattr(sink, doing)(file)
        sink.close()


@pytest.mark.parametrize("in_kernel", [True, False])
def test_so_has_a_file_in_a_folder_of_a_slow_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_kernel: bool
) -> None:
    """After 32 minutes of silence the watchdog ended the daemon, and the next one began anew."""

    def elsewhere(*_: int) -> int:
        raise OSError(errno.EXDEV, "")

    def stopping() -> None:
        raise Retry("daemon.stopping", "the rest is delivered by the next life", charge=False)

    if not in_kernel:
        monkeypatch.setattr(os, "copy_file_range", elsewhere)
    monkeypatch.setattr(copy, "PIECE", LARGE // 8)
    monkeypatch.setattr(copy, "CHUNK", LARGE // 16)
    signs, synced = list[int](), list[int]()
    monkeypatch.setattr(os, "fdatasync", synced.append)
    archive, file = tmp_path / "archive", clean_file(tmp_path, pixels=LARGE)
    archive.mkdir()
    sink = DirectorySink(settings.DirectorySink(path=archive), lambda: signs.append(1))
    assert sink.put(file).new
    put = len(signs)
    assert put >= 8 and len(synced) == 8
    assert sink.confirm(file) and len(signs) - put >= 16
    sink.remove("CHEST-ABC")
    with pytest.raises(Retry, match=r"^daemon\.stopping"):
        DirectorySink(settings.DirectorySink(path=archive), stopping).put(file)
    assert [path for path in archive.rglob("*") if path.is_file()] == []

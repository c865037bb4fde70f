"""An S3 server that is full, refuses, overwrites, hangs or loses; what goes in parts; and the file with the credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest

from gateway import settings
from gateway.deliver import s3
from gateway.deliver.credentials import Credentials, read_credentials
from gateway.deliver.s3 import OWN, S3Sink
from gateway.errors import Fatal, GatewayError, Refused, Retry
from tests.deliver.clean import Archive, clean_bytes, clean_file
from tests.deliver.peers import s3_archive
from tests.deliver.scripted_web import Heard, Said, Site, scripted

KEYS = "[default]\naws_access_key_id = SYN-KEY\naws_secret_access_key = SYN-SECRET\n"
DENIED = b"<Error><Code>AccessDenied</Code></Error>"


def sink_to(url: str, folder: Path, **more: Any) -> S3Sink:
    file = folder / "keys"
    file.write_text(KEYS)
    file.chmod(0o600)
    return S3Sink(settings.S3Sink(url="s3://bucket/prefix", endpoint=url, credentials_file=file, **more))


@pytest.fixture
def site() -> Iterator[Site]:
    with scripted(Bucket()) as opened:
        yield opened


class Bucket:
    """As much of S3 as `probe` needs: what is written is there, and nothing is written over; but a read says that it is gone."""

    def __init__(self) -> None:
        self.seen = set[str]()

    def __call__(self, heard: Heard) -> Said:
        if heard.method == "PUT":
            if heard.path in self.seen and heard.headers.get("if-none-match") == "*":
                return Said(412)
            self.seen.add(heard.path)
            return Said(200, headers={"ETag": '"x"'})
        if heard.method == "POST":  # DeleteObjects
            self.seen -= {f"/bucket/{key}" for key in re.findall(r"<Key>(.*?)</Key>", heard.body.decode())}
            return Said(200, b"<DeleteResult><Deleted><Key>x</Key></Deleted></DeleteResult>")
        return Said(404)


def trouble(sink: S3Sink, file: Path) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        sink.put(file)
    assert "SYN-" not in repr(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said(507, b"<Error><Code>InsufficientStorage</Code></Error>"), "sink.full"),
        (Said(400, b"<Error><Code>QuotaExceeded</Code></Error>"), "sink.full"),
        (Said(403, DENIED), "sink.unauthorised"),
        (Said(400, b"<Error><Code>ExpiredToken</Code></Error>"), "sink.unauthorised"),
        (Said(404, b"<Error><Code>NoSuchBucket</Code></Error>"), "sink.strange"),
        (Said(500), "sink.unreachable"),
        (Said(503, b"<Error><Code>SlowDown</Code></Error>"), "sink.unreachable"),
        (Said(200, b"x", length=50), "sink.unreachable"),
    ],
)
def test_what_it_says_decides(site: Site, tmp_path: Path, said: Said, reason: str) -> None:
    sink, file = sink_to(site.url, tmp_path), clean_file(tmp_path / "outbox")
    sink.probe()
    site.script = lambda heard: said if heard.method == "PUT" else Said(404)
    err = trouble(sink, file)
    assert isinstance(err, Retry) and (err.reason, err.charge) == (reason, False)


def test_a_place_that_ends_as_a_code_does_is_not_taken_for_one(site: Site, tmp_path: Path) -> None:
    sink = sink_to(site.url, tmp_path, layout="{SOPInstanceUID}")
    sink.probe()
    site.script = lambda heard: Said(500) if heard.method == "PUT" else Said(404)
    assert trouble(sink, clean_file(tmp_path / "outbox", 507)).reason == "sink.unreachable"


def test_more_than_it_copies_is_refused_before_it_leaves(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It went there eight times, and was told as sink.unreachable."""
    monkeypatch.setattr(s3, "MOST", 1000)
    err = trouble(sink_to(site.url, tmp_path), clean_file(tmp_path / "outbox", pixels=1000))
    assert isinstance(err, Refused) and err.reason == "deliver.too-large"
    assert {h.path for h in site.heard if h.method == "PUT"} == {f"/bucket/prefix/{OWN}/probe"}


def test_one_that_ignores_conditions_is_refused(site: Site, tmp_path: Path) -> None:
    bucket = Bucket()
    site.script = lambda heard: Said(200, headers={"ETag": '"x"'}) if heard.method == "PUT" else bucket(heard)
    err = trouble(sink_to(site.url, tmp_path), clean_file(tmp_path / "outbox"))
    assert err.reason == "sink.unsafe"
    assert {h.path for h in site.heard if h.method == "PUT"} == {f"/bucket/prefix/{OWN}/probe"}, (
        "nothing else was written"
    )


def test_one_that_hangs_is_not_waited_for(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "SILENCE", timedelta(milliseconds=300))
    site.script = lambda _: Said(silent=True)
    assert trouble(sink_to(site.url, tmp_path), clean_file(tmp_path / "outbox")).reason == "sink.unreachable"


def test_one_that_loses_is_found_out(site: Site, tmp_path: Path) -> None:
    sink, file = sink_to(site.url, tmp_path), clean_file(tmp_path / "outbox")
    assert sink.put(file).new
    assert not sink.confirm(file)


def test_somebody_else_is_faster(site: Site, tmp_path: Path) -> None:
    """Nothing there when looked for, something there when written: it is compared."""
    sink, file = sink_to(site.url, tmp_path), clean_file(tmp_path / "outbox")
    sink.probe()

    def late(content: bytes) -> None:
        there = Said(200, content, {"ETag": '"x"', "Last-Modified": LONG_AGO})
        looked = iter([Said(404)])
        site.script = lambda heard: (
            Said(412) if heard.method == "PUT" else there if heard.method == "GET" else next(looked, there)
        )

    late(file.read_bytes())
    assert not sink.put(file).new
    late(clean_bytes(fill=9))
    err = trouble(sink, file)
    assert isinstance(err, Refused) and err.reason == "deliver.conflict"


def test_an_upload_that_was_given_up_and_is_still_at_work_is_no_conflict(site: Site, tmp_path: Path) -> None:
    sink, file = sink_to(site.url, tmp_path), clean_file(tmp_path / "outbox")
    sink.probe()
    busy = Said(409, b"<Error><Code>ConditionalRequestConflict</Code></Error>")
    site.script = lambda heard: busy if heard.method == "PUT" else Said(404)
    err = trouble(sink, file)
    assert isinstance(err, Retry) and (err.reason, err.charge) == ("sink.busy", False)


LONG_AGO = "Thu, 01 Jan 2026 00:00:00 GMT"


def test_what_is_sent_tells_its_checksum(site: Site, tmp_path: Path) -> None:
    sink_to(site.url, tmp_path).put(clean_file(tmp_path / "outbox"))
    put = [h for h in site.heard if h.method == "PUT"][-1]
    assert put.headers.keys() >= {"x-amz-checksum-sha256", "if-none-match"}


def test_without_credentials_it_says_so(site: Site, tmp_path: Path) -> None:
    sink = sink_to(site.url, tmp_path)
    for none in ("[other]\n", KEYS.replace("SYN-KEY", "SYN\n  KEY")):
        (tmp_path / "keys").write_text(none)
        assert trouble(sink, clean_file(tmp_path / "outbox")).reason == "sink.secret"
    (tmp_path / "keys").write_text(KEYS, "utf-8-sig")
    assert sink.put(clean_file(tmp_path / "outbox")).new, (
        "they are read again, whatever mark an editor has put before them"
    )


# ---- a real server


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr(s3, "ONE_REQUEST", 1_000_000)
    return s3_archive(tmp_path)


@pytest.mark.real
def test_what_is_large_goes_in_parts_and_overwrites_nothing(real: Archive, tmp_path: Path) -> None:
    file = clean_file(tmp_path / "outbox", pixels=20_000_000)
    receipt = real.sink.put(file)
    assert receipt.new and real.visible() == {receipt.place: file.read_bytes()} and real.hidden() == 0
    assert not real.reopen().put(file).new and real.sink.confirm(file)
    other = clean_bytes(pixels=20_000_000, fill=9)
    file.write_bytes(other)
    with pytest.raises(Refused, match=r"^deliver\.conflict"):
        real.sink.put(file)
    assert receipt.place in real.visible() and real.visible()[receipt.place] != other and real.hidden() == 0


@pytest.mark.real
def test_a_copy_that_a_killed_put_left_is_replaced(real: Archive, tmp_path: Path) -> None:
    file = clean_file(tmp_path / "outbox", pixels=2_000_000)
    place = real.sink.put(file).place
    real.lose(place)
    with pytest.MonkeyPatch.context() as patched:  # killed between the copy of ours and its place
        patched.setattr(obstore, "copy", killed)
        patched.setattr(obstore, "delete", killed)
        with pytest.raises(KeyboardInterrupt):
            real.reopen().put(file)
    assert real.visible() == {} and real.hidden() == 1
    assert real.reopen().put(file).new and real.hidden() == 0 and len(real.visible()) == 1


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


# ---- pure


@pytest.mark.parametrize(
    "text",
    ["", "[default]\n", "no section", "[default]\naws_access_key_id = SYN-SECRET\n"]
    + [KEYS.replace("SYN-KEY", none) for none in ("", "SYN\n  KEY", "SYN\x01", "SYN\xfc")]
    + [f"{KEYS}aws_session_token = SYN\x7f\n"],
)
def test_credentials_that_are_none(text: str) -> None:
    with pytest.raises(Fatal, match=r"^s3\.credentials") as caught:
        read_credentials(text)
    assert "SYN-SECRET" not in str(caught.value)


def test_credentials_as_the_aws_tools_write_them() -> None:
    read = read_credentials(KEYS + "aws_session_token = SYN%TOKEN\n")
    assert read == Credentials("SYN-KEY", "SYN-SECRET", "SYN%TOKEN") and "SECRET" not in repr(read)


def test_its_own_folder_is_none_that_a_layout_can_name() -> None:
    assert OWN.startswith(".")


def test_an_authority_that_is_none_is_told(site: Site, tmp_path: Path) -> None:
    sink_to(site.url, tmp_path)
    for content in (None, b"no certificate"):
        file = tmp_path / "ca.pem"
        if content:
            file.write_bytes(content)
        sink = S3Sink(settings.S3Sink(url="s3://bucket/prefix", endpoint="https://127.0.0.1:1", ca=file))
        err = trouble(sink, clean_file(tmp_path / "outbox"))
        assert isinstance(err, Retry) and (err.reason, err.charge) == ("sink.tls", False)

"""A DICOMweb archive that is full, refuses, lies, is slow or talks nonsense; who we are; what its answers say of each instance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import settings
from gateway.deliver import web
from gateway.deliver.multipart import Envelope, boundary_of, data_set_start, same_data_set
from gateway.deliver.stowrs import FAILED, INSTANCE, REASON, REFERENCED, StowSink, read_outcome
from gateway.errors import Fatal, GatewayError, Refused, Retry
from tests.deliver.clean import clean_bytes, clean_file
from tests.deliver.scripted_web import Heard, Said, Site, scripted
from tests.support.certificates import Authority

UID = "2.25.10001"
JSON = {"Content-Type": "application/dicom+json"}


def answer(*, stored: tuple[str, ...] = (), failed: dict[str, int] | None = None) -> bytes:
    told: dict[str, object] = {}
    if stored:
        told[REFERENCED] = {"vr": "SQ", "Value": [{INSTANCE: {"vr": "UI", "Value": [uid]}} for uid in stored]}
    if failed:
        told[FAILED] = {"vr": "SQ", "Value": [
            {INSTANCE: {"vr": "UI", "Value": [uid]}, REASON: {"vr": "US", "Value": [code]}} for uid, code in failed.items()
        ]}  # fmt: skip
    return json.dumps(told).encode()


def found(*uids: str) -> Said:
    rows = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]
    return Said(200, json.dumps(rows).encode(), JSON)


class Archive:
    """One that behaves, but for what a test changes. `kept`: UID -> file."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.to_post: Said | None = None
        self.to_ask: Said | None = None
        self.loses = False

    def __call__(self, heard: Heard) -> Said:
        if heard.method == "POST":
            if self.to_post:
                return self.to_post
            boundary = boundary_of(heard.headers["content-type"])
            file = heard.body.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n" + boundary)[0]
            if not self.loses:
                self.kept[UID] = file
            return Said(200, answer(stored=(UID,)), JSON)
        if self.to_ask:
            return self.to_ask
        if "limit=1" in heard.path:
            return found(*self.kept)
        if UID not in self.kept:
            return Said(404)
        body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + self.kept[UID] + b"\r\n--x--"
        return Said(200, body, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=x'})


@pytest.fixture
def archive() -> Archive:
    return Archive()


@pytest.fixture
def site(archive: Archive) -> Iterator[Site]:
    with scripted(archive) as opened:
        yield opened


def sink_to(site: Site, **more: object) -> StowSink:
    return StowSink(settings.DicomWebSink(url=site.url + "/dw", **more))  # type: ignore[arg-type]


def trouble(sink: StowSink, file: Path) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        sink.put(file)
    assert UID not in str(caught.value)
    return caught.value


def test_one_that_behaves(site: Site, archive: Archive, tmp_path: Path) -> None:
    sink, file = sink_to(site), clean_file(tmp_path)
    assert sink.put(file).new and not sink.put(file).new and sink.confirm(file)
    assert archive.kept[UID] == file.read_bytes()
    assert [h.method for h in site.heard].count("POST") == 1


@pytest.mark.parametrize(
    ("said", "kind", "reason", "after"),
    [
        (Said(507), Retry, "sink.full", None),
        (Said(503, headers={"Retry-After": "77"}), Retry, "sink.busy", 77.0),
        (Said(429), Retry, "sink.busy", None),
        (Said(401), Retry, "sink.unauthorised", 300.0),
        (Said(403), Retry, "sink.unauthorised", 300.0),
        (Said(500), Retry, "sink.strange", None),
        (Said(301, headers={"Location": "/elsewhere"}), Retry, "sink.strange", None),
        (Said(404), Retry, "sink.strange", 300.0),
        (Said(413), Refused, "deliver.too-large", None),
        (Said(415), Refused, "deliver.unsupported", None),
        (Said(409, answer(failed={UID: 0xA700}), JSON), Retry, "sink.full", None),
        (Said(409, answer(failed={UID: 0x0124}), JSON), Retry, "sink.unauthorised", 300.0),
        (Said(409, answer(failed={UID: 0xA900}), JSON), Refused, "deliver.refused", None),
        (Said(202, answer(failed={UID: 0xC000}), JSON), Refused, "deliver.refused", None),
        (Said(202, answer(failed={UID: 0x0122}), JSON), Refused, "deliver.unsupported", None),
        (Said(200, answer(stored=("1.2.3",)), JSON), Retry, "sink.strange", None),  # of another instance
        (Said(200, b"<html>thank you</html>"), Retry, "sink.strange", None),
        (Said(200, b"{}", length=100), Retry, "sink.unreachable", None),  # hung up in the middle
    ],
)
def test_what_it_says_decides(
    site: Site, archive: Archive, tmp_path: Path, said: Said, kind: type[GatewayError], reason: str, after: float | None
) -> None:
    archive.to_post = said
    err = trouble(sink_to(site), clean_file(tmp_path))
    assert (type(err), err.reason) == (kind, reason)
    if isinstance(err, Retry):
        assert (err.charge, err.after) == (False, after)


def test_a_failure_without_a_reason_is_the_files(site: Site, archive: Archive, tmp_path: Path) -> None:
    archive.to_post = Said(409, answer(failed={UID: 0x0110}), JSON)
    err = trouble(sink_to(site), clean_file(tmp_path))
    assert isinstance(err, Retry) and (err.reason, err.charge) == ("deliver.failed", True)


def test_one_that_lies_is_found_out(site: Site, archive: Archive, tmp_path: Path) -> None:
    archive.loses = True
    sink, file = sink_to(site), clean_file(tmp_path)
    assert sink.put(file).new
    assert not sink.confirm(file)


def test_a_duplicate_is_compared(site: Site, archive: Archive, tmp_path: Path) -> None:
    file = clean_file(tmp_path)
    asked = iter([found(), found(UID)])
    kept = {True: file.read_bytes(), False: clean_bytes(fill=9)}
    for same in (True, False):
        asked = iter([found(), found(UID)])

        def script(heard: Heard, same: bool = same, asked: Iterator[Said] = asked) -> Said:
            if heard.method == "POST":
                return Said(409, answer(failed={UID: 0x0111}), JSON)
            if "SOPInstanceUID=" in heard.path:
                return next(asked)
            return Said(200, kept[same], {"Content-Type": "application/dicom"})

        site.script = script
        if same:
            assert not sink_to(site).put(file).new
        else:
            assert trouble(sink_to(site), file).reason == "deliver.conflict"


def test_one_that_is_slow_is_not_waited_for(
    site: Site, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "SILENCE", 0.2)
    archive.to_post = Said(silent=True)
    assert trouble(sink_to(site), clean_file(tmp_path)).reason == "sink.timeout"


def test_one_that_is_not_there(tmp_path: Path) -> None:
    gone = Site(lambda _: Said())
    gone.port = 1
    assert trouble(sink_to(gone), clean_file(tmp_path)).reason == "sink.unreachable"


@pytest.mark.parametrize("said", [Said(200, b"no json"), Said(200, b'{"a": 1}'), Said(406)])
def test_answers_to_a_question_that_are_none(site: Site, archive: Archive, tmp_path: Path, said: Said) -> None:
    archive.to_ask = said
    assert trouble(sink_to(site), clean_file(tmp_path)).reason == "sink.strange"


def test_without_reading_back_a_uid_is_enough(site: Site, archive: Archive, tmp_path: Path) -> None:
    archive.kept[UID] = clean_bytes(fill=9)
    assert sink_to(site, read_back=False).confirm(clean_file(tmp_path))
    assert not sink_to(site).confirm(clean_file(tmp_path))


def test_who_we_are_is_read_afresh(site: Site, tmp_path: Path) -> None:
    token, password = tmp_path / "token", tmp_path / "password"
    for path, text in ((token, "SYN-TOKEN-1\n"), (password, "SYN-PASSWORD\n")):
        path.write_text(text)
        path.chmod(0o600)
    sink = sink_to(site, token_file=token)
    sink.probe()
    token.write_text("SYN-TOKEN-2\n")
    sink.probe()
    sink_to(site, user="gateway", password_file=password).probe()
    told = [h.headers.get("authorization") for h in site.heard]
    assert told == ["Bearer SYN-TOKEN-1", "Bearer SYN-TOKEN-2", "Basic Z2F0ZXdheTpTWU4tUEFTU1dPUkQ="]
    token.unlink()
    with pytest.raises(Retry, match=r"^sink\.secret"):
        sink.probe()


def test_a_certificate_of_another_authority_is_no_tls(site: Site, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    sink = StowSink(settings.DicomWebSink(url=site.url.replace("http", "https"), tls=settings.Tls(ca=authority.path)))
    with pytest.raises(Retry, match=r"^sink\.tls"):
        sink.probe()
    with pytest.raises(Fatal, match=r"^tls\.file"):
        StowSink(settings.DicomWebSink(url="https://h", tls=settings.Tls(ca=tmp_path / "none")))


# ---- pure


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: (
            st.lists(x) | st.dictionaries(st.sampled_from([REFERENCED, FAILED, INSTANCE, REASON, "Value", "x"]), x)
        ),
        max_leaves=20,
    ).map(lambda x: json.dumps(x).encode())
)
def test_any_answer_is_read(body: bytes) -> None:
    outcome = read_outcome(body)
    assert not outcome.stored & outcome.failed.keys()


def test_every_instance_of_an_answer_is_read() -> None:
    body = answer(stored=("1", "2\0", "3"), failed={"3": 0xA700, "4": 0xC000})
    assert read_outcome(body).stored == {"1", "2"}, "also with its padding"
    assert read_outcome(body).failed == {"3": 0xA700, "4": 0xC000}
    assert read_outcome(b"[" + body + b"]") == read_outcome(body)


@pytest.mark.parametrize("size", [1, 7, 1 << 18])
def test_an_envelope_is_what_its_length_says(tmp_path: Path, size: int) -> None:
    file = clean_file(tmp_path, pixels=100_000)
    envelope = Envelope(file)
    sent = b""
    while piece := envelope.read(size):
        sent += piece
    envelope.close()
    assert len(sent) == envelope.size and file.read_bytes() in sent
    assert same_data_set([sent], boundary_of(envelope.type), file)
    assert same_data_set([sent[n : n + 1000] for n in range(0, len(sent), 1000)], boundary_of(envelope.type), file)
    assert not same_data_set([sent[:-40]], boundary_of(envelope.type), file)


@given(st.binary(max_size=400))
def test_any_head_is_read(head: bytes) -> None:
    assert 0 <= data_set_start(head) <= 1 << 16


@pytest.mark.parametrize(
    "said",
    [
        Said(404),  # a proxy that knows nothing of the archive: not the same as a patient who is not there
        Said(200, b"[" * 100_000),
        Said(200, json.dumps([{"0020000D": {"vr": "UI", "Value": ["1.2"]}}]).encode()),
        Said(200, json.dumps([{"00100020": {"vr": "LO", "Value": [f"X{n}"]}} for n in range(100)]).encode()),
    ],
)
def test_a_patient_is_out_only_when_the_archive_says_so(site: Site, archive: Archive, said: Said) -> None:
    archive.to_ask = said
    with pytest.raises(Retry, match=r"^sink\.strange"):
        sink_to(site).remove("CHEST-ABC")


def test_no_answer_is_too_odd(site: Site, archive: Archive, tmp_path: Path) -> None:
    file = clean_file(tmp_path)
    archive.to_ask = Said(200, b"[" * 100_000)
    assert trouble(sink_to(site), file).reason == "sink.strange"
    archive.to_ask, archive.to_post = None, Said(200, b"[" * 100_000)
    assert trouble(sink_to(site), file).reason == "sink.strange"
    archive.to_post = Said(409, answer(failed={UID: "9" * 5000}), JSON)  # type: ignore[dict-item]
    assert trouble(sink_to(site), file).reason == "deliver.failed"


def test_one_that_trickles_has_a_deadline(
    site: Site, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never is silent for long, and never ends: each byte comes within SILENCE, all of them would take for ever."""
    monkeypatch.setattr(web, "WHOLE", 0.5)
    monkeypatch.setattr(web, "HEAD", 0.3)
    archive.to_post = Said(head=True, trickle=0.01)
    assert trouble(sink_to(site), clean_file(tmp_path)).reason == "sink.timeout"
    archive.to_post = None
    archive.to_ask = Said(200, b" " * 2000, trickle=0.01)
    assert trouble(sink_to(site), clean_file(tmp_path)).reason == "sink.timeout"
    archive.to_ask = Said(200, b" " * 2000, {"Transfer-Encoding": "chunked"}, trickle=0.01)
    assert trouble(sink_to(site), clean_file(tmp_path)).reason == "sink.timeout"
    assert not site.over.is_set()

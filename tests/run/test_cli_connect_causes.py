"""`check --connect`: each trouble that a new installation has, made for real, is named with its cause and its mend."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.run.commands.mends import ELSE, MENDS, mend
from tests.run.command_line import Place, furnish
from tests.support.certificates import Authority
from tests.support.daemon import REPOSITORY
from tests.support.peers import Orthanc

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def strict() -> Iterator[Orthanc]:
    """A PACS that wants to be called by its name, and to know who calls."""
    with Orthanc(options={"DicomCheckCalledAet": True, "DicomAlwaysAllowEcho": False}) as peer:
        yield peer


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str], own_process: None, strict: Orthanc) -> Place:
    furnish(tmp_path, pacs=strict.port, ae=strict.ae_title)
    return Place(tmp_path, capsys)


def failed(place: Place) -> dict[str, Any]:
    """The one check that failed."""
    told = place.say("check", "--connect", "--json")
    found = [c for c in told.json["checks"] if not c["ok"] and c["what"] != "pacs"]
    found = found or [c for c in told.json["checks"] if not c["ok"]]
    assert told.code in (1, 3) and len(found) == 1, found
    assert found[0]["detail"] and found[0]["mend"]
    one: dict[str, Any] = found[0]
    return one


def test_wrong_called_ae(site: Place) -> None:
    site.change('ae_title = "ORTHANC"', 'ae_title = "SOMEBODY"')
    found = failed(site)
    assert "1/1/7" in found["detail"] and "`ae_title` of the [[pacs]]" in found["mend"]


def test_port_shut(site: Place, strict: Orthanc) -> None:
    site.change(f"port = {strict.port}", "port = 1")
    found = failed(site)
    assert found["unreachable"] and "nobody listens there" in found["mend"]


def test_tls_where_the_pacs_speaks_none(site: Place, strict: Orthanc) -> None:
    ours = Authority(site.folder / "ca").issue("ours")
    site.change(f"port = {strict.port}", f"port = {strict.port}\n{ours.toml}")
    found = failed(site)
    assert "pacs.hung-up" in found["detail"] and "one side speaks TLS" in found["mend"]


def test_no_tls_where_the_pacs_wants_it(site: Place, strict: Orthanc) -> None:
    theirs = Authority(site.folder / "ca").issue("theirs")
    options = {"DicomTlsEnabled": True, "DicomTlsCertificate": str(theirs.certificate), "DicomTlsPrivateKey": str(theirs.key),
               "DicomTlsTrustedCertificates": str(theirs.ca)}  # fmt: skip
    with Orthanc(options=options) as secured:
        site.change(f"port = {strict.port}", f"port = {secured.port}")
        assert "`tls`" in failed(site)["mend"]
        site.change(
            f"port = {secured.port}", f"port = {secured.port}\n{Authority(site.folder / 'other').issue('ours').toml}"
        )
        found = failed(site)
        assert "pacs.tls" in found["detail"] and "`ca` must name the authority" in found["mend"]


def test_a_ris_column_that_is_missing(site: Place) -> None:
    ris = sqlite3.connect(site.folder / "ris.sqlite")
    with ris:
        ris.execute("alter table research_view rename column accession_number to other")
    ris.close()
    found = failed(site)
    assert found["what"] == "query" and "accession_number" in found["detail"] and "correct `query`" in found["mend"]


def test_a_sink_that_is_not_there(site: Place) -> None:
    (site.folder / "archive").rmdir()
    found = failed(site)
    assert (
        found["what"] == "archive" and "No such file" in found["detail"] and "must exist, be mounted" in found["mend"]
    )


def test_a_clock_behind_our_own_state(site: Place) -> None:
    state = site.folder / "state"
    state.mkdir()
    (state / "outbox").mkdir()
    os.utime(state / "outbox", (time.time() + 86400,) * 2)
    found = failed(site)
    assert found["what"] == "clock" and "later" in found["detail"] and "time service" in found["mend"]


def test_an_archive_that_answers_as_none_does_is_most_often_another_url() -> None:
    """404 and 400 are what DICOMweb servers say below a root that is not theirs: "must have room" sends a person elsewhere."""
    assert "`url`" in mend("archive", "sink.strange", "dicomweb:https://archive.example/dicomweb answered 404")


def test_a_disk_that_is_nearly_full(site: Place) -> None:
    site.change('min_free_disk = "1 MB"', 'min_free_disk = "900000 TiB"')
    found = failed(site)
    assert found["what"] == "disk" and "make room" in found["mend"]


def test_a_key_that_others_can_read(site: Place) -> None:
    (site.folder / "pseudonym.key").chmod(0o644)
    told = site.say("check", "--connect")
    assert told.code == 2 and "0600" in told.err and "key_file" in told.err


def test_every_mend_is_for_a_reason_that_there_is() -> None:
    source = "\n".join(p.read_text("utf-8") for p in (REPOSITORY / "gateway").rglob("*.py") if p.name != "mends.py")
    assert [key for key in MENDS if key.split()[0] not in source] == []
    assert mend("archive", "sink.silent", "") == ELSE["archive"]

"""HTTP beneath the DICOMweb archive: connections that come back, and tokens that are none."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway import settings
from gateway.deliver.web import Web
from gateway.errors import GatewayError, Retry
from tests.deliver.scripted_web import Said, scripted

JSON = {"Accept": "application/dicom+json"}


@pytest.mark.parametrize("status", [413, 503, 404])
def test_answers_that_nobody_reads_to_their_end_use_nothing_up(status: int) -> None:
    """An archive that says no, again and again: the third time was waited for without end."""
    ends = list[int | str]()
    with scripted(lambda _: Said(status, b"<html>no</html>")) as site:
        web = Web(settings.DicomWebSink(url=site.url), "archive")

        def ask() -> None:
            for _ in range(4):
                try:
                    with web.stream("GET", "/studies", headers=JSON) as (response, _):
                        ends.append(response.status)
                except GatewayError as err:
                    ends.append(err.reason)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(10)
    assert len(ends) == 4 and len(set(ends)) == 1
    web.close()


@pytest.mark.parametrize("token", ["SYN-TOKEN\u00ad", "SYN-TOKEN\u20ac", "SYN-TOKEN\rSYN-TOKEN"])
def test_a_token_that_no_header_can_hold_is_told(tmp_path: Path, token: str) -> None:
    """As an editor of another system writes it. It is not quoted, and the archive rests until it is mended."""
    file = tmp_path / "token"
    file.write_bytes(token.encode())
    file.chmod(0o600)
    with scripted(lambda _: Said(204)) as site:
        web = Web(settings.DicomWebSink(url=site.url, token_file=file), "archive")
        with pytest.raises(Retry, match=r"^sink\.secret: token_file") as caught:
            web.call("GET", "/studies", headers=JSON)
        assert "SYN-TOKEN" not in str(caught.value) and not caught.value.charge and caught.value.after
        file.write_text("SYN-TOKEN\n")
        assert web.call("GET", "/studies", headers=JSON).status == 204


@pytest.mark.parametrize("trickle", [0.001, 0.2])
def test_headers_that_trickle_are_late_also_before_the_first_line_is_whole(
    trickle: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told as unreachable then, and whoever is asked looks at the network."""
    monkeypatch.setattr("gateway.deliver.web.HEAD", 0.5)
    with scripted(lambda _: Said(head=True, trickle=trickle)) as site:
        web = Web(settings.DicomWebSink(url=site.url), "archive")
        with pytest.raises(Retry, match=r"^sink\.timeout"):
            web.call("GET", "/studies", headers=JSON)
        web.close()

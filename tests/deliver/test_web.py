"""HTTP beneath the DICOMweb archive: connections that come back, and tokens that are none."""

from __future__ import annotations

import threading

import pytest

from gateway import settings
from gateway.deliver.web import Web
from gateway.errors import GatewayError
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

"""Taking a patient out of a DICOMweb archive that takes its time, or never does it."""

from __future__ import annotations

import json

import pytest

from gateway import settings
from gateway.deliver import unstow
from gateway.deliver.stowrs import StowSink
from gateway.errors import Refused, Retry
from tests.deliver.scripted_web import Heard, Said, scripted

THEIRS = "CHEST-ABC"


class Late:
    """Deletes, and finds what it deleted for `finds` questions more. `again`: its answer to a second DELETE of a study."""

    def __init__(self, *studies: str, finds: int, again: int = 404) -> None:
        self.studies, self.finds, self.again = list(studies), finds, again
        self.deleted = list[str]()

    def __call__(self, heard: Heard) -> Said:
        if heard.method == "DELETE":
            uid = heard.path.rpartition("/")[2]
            self.deleted.append(uid)
            return Said(202 if self.deleted.count(uid) == 1 else self.again)
        if set(self.studies) <= set(self.deleted):
            self.finds -= 1
        found = self.studies if self.finds >= 0 else []
        rows = [{unstow.STUDY: _of(uid), unstow.PATIENT: _of(THEIRS), unstow.INSTANCES: _of(3)} for uid in found]
        return Said(200, json.dumps(rows).encode())


def _of(value: str | int) -> dict[str, object]:
    return {"Value": [value]}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unstow, "LOOK", 0.01)


@pytest.mark.parametrize("again", [404, 202])
def test_what_is_found_after_it_was_deleted_is_not_deleted_twice(again: int) -> None:
    archive = Late("1.2", "1.3", finds=4, again=again)
    with scripted(archive) as site:
        assert StowSink(settings.DicomWebSink(url=site.url)).remove(THEIRS) == 6
    assert sorted(archive.deleted) == ["1.2", "1.3"]


def test_one_that_finds_it_for_ever_is_asked_again_later() -> None:
    archive = Late("1.2", finds=10_000)
    with scripted(archive) as site, pytest.raises(Retry, match=r"^sink\.strange"):
        StowSink(settings.DicomWebSink(url=site.url)).remove(THEIRS)
    assert archive.deleted == ["1.2"]


def test_one_that_does_not_delete_is_for_a_person() -> None:
    archive = Late("1.2", finds=9)
    refusing = scripted(lambda heard: archive(heard) if heard.method == "GET" else Said(405))
    with refusing as site, pytest.raises(Refused, match=r"^sink\.no-delete"):
        StowSink(settings.DicomWebSink(url=site.url)).remove(THEIRS)


def test_what_an_archive_tells_with_its_padding_is_known_all_the_same() -> None:
    """It was taken for another patient's, and the withdrawal told as done."""
    archive = Late("1.2", finds=0)

    def padded(heard: Heard) -> Said:
        said = archive(heard)
        return Said(said.status, said.body.replace(b'"CHEST-ABC"', b'"CHEST-ABC "').replace(b'"1.2"', b'"1.2\\u0000"'))

    with scripted(padded) as site:
        assert StowSink(settings.DicomWebSink(url=site.url)).remove(THEIRS) == 3
    assert archive.deleted == ["1.2"]

"""Manifests on the way through: what was confirmed is listed before its clean files go; what was withdrawn meanwhile is not."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.deliver import manifest
from gateway.deliver.manifest import Delivered, Manifests
from gateway.run.manifesting import make_days
from gateway.state.ledger import LEDGER
from tests.run.broker_site import ANNA, BERT, Site, study
from tests.run.command_line import Place

MANIFESTS = '/archive"\nmanifests = "csv"'


@pytest.fixture
def site(place: Place) -> Iterator[Site]:
    place.change('/archive"', MANIFESTS)
    made = Site(place)
    yield made
    made.close()


def lines(site: Site, where: str) -> list[dict[str, str]]:
    found = sorted((site.place.folder / "archive" / "manifests").glob(where))
    return [row for path in found for row in csv.DictReader(path.read_text().splitlines())]


def test_what_is_delivered_is_listed(site: Site, tmp_path: Path) -> None:
    for patient in (ANNA, BERT):
        site.delivered(study(tmp_path / patient, patient))
    days = make_days(site.settings.project[0])
    assert days is not None and days.step() and not days.step()
    files = {str(p.relative_to(site.place.folder / "archive")): p for p in site.archive() if p.suffix == ".dcm"}
    rows = lines(site, "series/*/*.csv")
    assert {row["File"]: row["Size"] for row in rows} == {name: str(p.stat().st_size) for name, p in files.items()}
    assert len({row["Profile"] for row in rows}) == 1 and all(row["Profile"] for row in rows)
    assert sorted(row["Instances"] for row in lines(site, "days/*.csv")) == ["2", "2", "3", "3"]
    assert site.state.outbox.series() == []
    assert site.traces(ANNA, BERT) == []


def test_what_lost_its_line_to_a_power_cut_is_listed_like_the_others(site: Site, tmp_path: Path) -> None:
    site.retrieved(study(tmp_path))
    taken = [site.state.outbox.path(key, LEDGER) for key in site.state.outbox.series()]
    noted = taken[0].read_bytes().split(b"\n")
    taken[0].write_bytes(b"\n".join(noted[:-1]))
    for _ in range(4):
        site.deliver.step()
        site.confirm.step()
    files = {str(p.relative_to(site.place.folder / "archive")): p for p in site.archive() if p.suffix == ".dcm"}
    rows = lines(site, "series/*/*.csv")
    assert {row["File"]: row["SHA256"] for row in rows} == {
        n: sha256(p.read_bytes()).hexdigest() for n, p in files.items()
    }
    assert len(rows) == 5 and len({row["Profile"] for row in rows}) == 1 and all(row["Profile"] for row in rows)


def test_a_manifest_that_cannot_be_written_keeps_the_clean_files(site: Site, tmp_path: Path) -> None:
    blocked = site.place.folder / "archive" / "manifests"
    blocked.write_text("not a folder")
    site.retrieved(study(tmp_path))
    site.deliver.step()
    with pytest.raises(Exception, match="outbox"):
        site.confirm.step()
    assert sum(len(site.state.outbox.files(key)) for key in site.state.outbox.series()) == 5


def test_withdrawn_between_the_confirmation_and_the_manifest(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive has been cleared when the manifest is written: it is taken back."""
    site.retrieved(study(tmp_path))
    add = Manifests.add

    def late(self: Manifests, files: list[Delivered], *, day: str) -> frozenset[str]:
        patients = add(self, files, day=day)
        for key in site.state.outbox.series():
            shutil.rmtree(site.place.folder / "state" / "outbox" / key)
        return patients

    monkeypatch.setattr(manifest.Manifests, "add", late)
    site.deliver.step()
    site.confirm.step()
    assert lines(site, "series/*/*.csv") == []

"""What the tests of `key rotate` look at."""

from __future__ import annotations

from pathlib import Path

import pydicom

from gateway.dicom.part10 import read_file
from gateway.model import Kept
from gateway.run import wiring
from gateway.run.nodes import kept_keys
from gateway.settings import project_named
from tests.run.broker_site import PROJECT, Site, audit
from tests.support.dicomfiles import StudyFacts


def key(site: Site) -> Path:
    return site.place.folder / "pseudonym.key"


def again(site: Site) -> Site:
    """As the daemon would start."""
    return Site(site.place)


def events(site: Site) -> list[str]:
    return [str(line["event"]) for line in audit(site)]


def made_of(site: Site, facts: StudyFacts) -> list[str]:
    """What an offline run makes of a file: pseudonym and UIDs."""
    cleaner = wiring.make_cleaner(project_named(site.settings, PROJECT), kept_keys(site.settings))
    made = cleaner.clean(*read_file(facts.files[0]), frozenset())
    assert isinstance(made, Kept)
    file = site.place.folder / "made.dcm"
    file.write_bytes(b"".join(made.parts))
    ds = pydicom.dcmread(file)
    return [str(ds.PatientID), str(ds.StudyInstanceUID), str(ds.SOPInstanceUID), str(ds.StudyDate)]

"""Which elements' original values are looked for in a result, and how each is read: the list comes from the data, not from memory.

NAME    every element of VR PN: searched word by word.
DATE    every element of VR DA in the groups of study and patient: the birth date in all its spellings, other dates likewise;
        neither in elements that hold dates.
ID      rows of Table E.1-1 in a text VR, whose name says so: ID, Identifier, Number, Telephone, Telecom; searched as a whole,
        without separators and leading zeros. None of the trial, of versions, of who issues an ID.
PLACE   rows whose name says so: Institution, Department, Organization, Address, Location, Residence, Site, Center, Service,
        Owner, Issuer: searched as a whole, and by those of its words that are rare.
DEVICE  rows that Retain Device Identity is about, but for makes and models: searched as a whole, if that cannot be a word.
WHOLE   what else is told of a person: occupation, insurance, religion, rank: searched as a whole, if it is longer than a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import cache

from pydicom._dicom_dict import DicomDictionary

from gateway.deidentify.table import Row, load_table


class How(Enum):
    NAME = "name"
    DATE = "date"
    ID = "id"
    PLACE = "place"
    DEVICE = "device"
    WHOLE = "whole"


OF_STUDY = frozenset((0x0008, 0x0010, 0x0032, 0x0038, 0x0040))
GROUPS = OF_STUDY | {0x0012, 0x0018, 0x0020, 0x0070, 0x3006, 0x300A, 0x300E, 0x4008}
"""Groups that tell of persons, places and devices. Each more costs time in every instance, so none of cameras, prints, hanging
protocols, industrial tests and treatment records, whose staff and places are in these groups, too."""


def _of_vr(vr: str) -> dict[int, str]:
    """Tag -> keyword of the elements of that VR in `GROUPS`."""
    return {tag: entry[4] for tag, entry in DicomDictionary.items() if entry[0] == vr and tag >> 16 in GROUPS}


NAMES: Mapping[int, str] = _of_vr("PN")
DATES: Mapping[int, str] = _of_vr("DA")
BIRTH_DATES = frozenset({0x00100030})
TEXTS: Mapping[int, str] = {
    0x00080050: "AccessionNumber",
    0x00080080: "InstitutionName",
    0x00080081: "InstitutionAddress",
    0x00080092: "ReferringPhysicianAddress",
    0x00080094: "ReferringPhysicianTelephoneNumbers",
    0x00100020: "PatientID",
    0x00101000: "OtherPatientIDs",
    0x00101040: "PatientAddress",
    0x00101090: "MedicalRecordLocator",
    0x00102154: "PatientTelephoneNumbers",
    0x00102155: "PatientTelecomInformation",
    0x00200010: "StudyID",
    0x00380010: "AdmissionID",
    0x00380060: "ServiceEpisodeID",
    0x00400253: "PerformedProcedureStepID",
    0x00401001: "RequestedProcedureID",
    0x00402016: "PlacerOrderNumberImagingServiceRequest",
    0x00402017: "FillerOrderNumberImagingServiceRequest",
}
"""What names the patient, the order and the place nearly always: its words are the patient's own for the text cleaner, too."""
KINDS: Mapping[int, str] = {**NAMES, **TEXTS, 0x00100030: "PatientBirthDate"}
"""The values that an original's text is searched for before it is walked, too."""

_TEXT_VRS = frozenset(("LO", "SH", "LT", "ST", "UC", "UT", "AE", "CS"))
_NOT_ID = re.compile(r"Protocol|Clinical Trial Series|Time Point|Version|Issuer|Description|Comment|Slot|Plan ")
_ID = re.compile(r"\bIDs?$|Identifier$|Identifying|Number|Telephone|Phone|Telecom|Barcode|Locator$")
_PLACE = re.compile(
    r"Institution|Department|Organi[sz]ation|Address|Location|Residence|Site (ID|Name)$|Center|Service$|Owner|Issuer|Committee Name"
)
_WHOLE = frozenset({0x00102180, 0x00101050, 0x001021F0, 0x00101080, 0x00101081, 0x00100012, 0x00401104, 0x00102152})
"""Occupation, insurance plan, religion, rank, branch of service, name to use, telecom information, region."""
ORDERS = frozenset({0x00200010, 0x00380060, 0x00400253, 0x00401001})
"""IDs of studies, steps and requests, in which some systems have a procedure: CT Thorax."""
MODEL, STATIONS = 0x00081090, frozenset({0x00081010, 0x00400010, 0x00400242})
"""Manufacturer's Model Name, and the names of stations, which are often called after it."""
_PRODUCTS = frozenset({0x0016004F, 0x00160050, 0x300A0216, 0x04000563, 0x00500020})
"""Rows of Retain Device Identity that name a make and model, which many share."""


@cache
def searched() -> Mapping[int, How]:
    """Tag -> how its value is read, for every element that is searched."""
    rows = {int(row.tag, 16): _how(int(row.tag, 16), row) for row in load_table().rows if row.vr in _TEXT_VRS}
    found = {tag: how for tag, how in rows.items() if how and tag >> 16 >= 8}
    found |= {tag: How.PLACE if _PLACE.search(name) else How.ID for tag, name in TEXTS.items()}
    found |= dict.fromkeys(NAMES, How.NAME) | dict.fromkeys(DATES, How.DATE)
    return {tag: how for tag, how in found.items() if tag >> 16 in (OF_STUDY if how is How.DATE else GROUPS)}


def _how(tag: int, row: Row) -> How | None:
    if tag in _WHOLE:
        return How.WHOLE
    if tag in _PRODUCTS or "clean-descriptors" in row.options or row.name.startswith("Selector"):
        return None
    if "retain-device-identity" in row.options or row.name.endswith("Station Name"):
        return How.DEVICE if row.vr != "AE" or "Station" in row.name else None
    if _PLACE.search(row.name):
        return How.PLACE
    return How.ID if _ID.search(row.name) and not _NOT_ID.search(row.name) and row.vr != "CS" else None


@cache
def keyword(tag: int) -> str:
    """The keyword that a reason names an element by; tag 0: a value of the request."""
    if tag == 0:
        return "request"
    return DicomDictionary[tag][4] if tag in DicomDictionary else "Element"

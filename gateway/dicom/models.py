"""A peer's address, and how it is asked: the two information models of Query/Retrieve (PS3.4 C.6), and what a question at one level
must name of the levels above."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.settings import Tls


@dataclass(frozen=True)
class Model:
    """Its SOP classes. `by_patient`: each question names the patient, the topmost unique key (PS3.4 C.6.1)."""

    find: UID
    move: UID
    get: UID
    by_patient: bool


STUDY_ROOT: Final = Model(
    UID("1.2.840.10008.5.1.4.1.2.2.1"), UID("1.2.840.10008.5.1.4.1.2.2.2"), UID("1.2.840.10008.5.1.4.1.2.2.3"), False
)
PATIENT_ROOT: Final = Model(
    UID("1.2.840.10008.5.1.4.1.2.1.1"), UID("1.2.840.10008.5.1.4.1.2.1.2"), UID("1.2.840.10008.5.1.4.1.2.1.3"), True
)
MODELS: Final[Mapping[str, Model]] = MappingProxyType({"study": STUDY_ROOT, "patient": PATIENT_ROOT})
"""By `pacs.query_model`."""
SYNTAXES: Final = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
"""Those that we propose, explicit first: some PACS take the first (A10)."""


class Address(Protocol):
    """Where a peer is (settings.Pacs, settings.DicomSink)."""

    @property
    def ae_title(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def tls(self) -> Tls | None: ...


def unique_keys(model: Model, PatientID: str, **uids: str) -> dict[str, str]:
    """`uids`, with the patient where the model wants it and it is known. Study Root has no such key below STUDY (F9)."""
    return {"PatientID": PatientID, **uids} if model.by_patient and PatientID else uids

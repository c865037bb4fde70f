"""Every trap in every encoding: nothing planted is left anywhere in the output. The controls show that the search can find."""

from __future__ import annotations

import io

import pydicom
import pytest

from gateway.deidentify.cleaner import Cleaner
from gateway.model import Kept
from tests.deidentify.planted import OWN, TRAPS, build, leaks, opened
from tests.deidentify.writer import SYNTAXES

CASES = [
    (trap, syntax)
    for trap in TRAPS
    for syntax in SYNTAXES
    if not (syntax == "implicit" and trap in ("wrong_vrs", "un_blob"))
]


@pytest.mark.parametrize(("trap", "syntax"), CASES)
def test_nothing_planted_survives(unverified: Cleaner, trap: str, syntax: str) -> None:
    data, planted = build(trap, syntax)
    result = unverified.clean(data, SYNTAXES[syntax], frozenset())
    assert isinstance(result, Kept), result
    assert leaks(opened(result.parts, syntax), [*planted, *OWN]) == []


@pytest.mark.parametrize(("trap", "syntax"), CASES)
def test_control_unmodified_input_leaks_everything(trap: str, syntax: str) -> None:
    data, planted = build(trap, syntax)
    unmodified = opened((b"", data), syntax)
    assert leaks(unmodified, planted) == list(range(len(planted)))
    assert len(leaks(unmodified, OWN)) >= len(OWN) - 3


def test_control_empty_output_leaks_nothing() -> None:
    assert leaks(b"", build("nested", "explicit")[1]) == []


@pytest.mark.parametrize(("trap", "syntax"), CASES)
def test_verified_output_is_whole_and_sorted(cleaner: Cleaner, trap: str, syntax: str) -> None:
    data, _ = build(trap, syntax)
    result = cleaner.clean(data, SYNTAXES[syntax], frozenset({"ACC7744110"}))
    assert isinstance(result, Kept), result
    ds = pydicom.dcmread(io.BytesIO(b"".join(result.parts)))
    assert list(ds.keys()) == sorted(ds.keys())
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID == result.SOPInstanceUID
    assert ds.PatientIdentityRemoved == "YES" and ds.LongitudinalTemporalInformationModified == "REMOVED"
    assert [item.CodeValue for item in ds.DeidentificationMethodCodeSequence] == ["113100"]
    assert ds.PatientID and ds.Rows == 8 and ds.PixelData

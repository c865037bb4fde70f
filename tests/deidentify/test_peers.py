"""Other people's readers on our output, and other people's files as our input: all that pydicom ships."""

from __future__ import annotations

import io
import subprocess
import warnings
from collections import Counter
from pathlib import Path

import pydicom
import pytest
from pydicom.filereader import _read_file_meta_info, read_preamble

from gateway.deidentify.cleaner import Cleaner
from gateway.model import Dropped, Held, Kept
from tests.deidentify.planted import TRAPS, build
from tests.deidentify.writer import SYNTAXES

SHIPPED = sorted((Path(pydicom.__file__).parent / "data").rglob("*.dcm"))
COMPLAINTS_OF_THE_INPUT = {
    "Length of element (7fe0,0010) is not a multiple of 2"
}  # fragments passed through as they came


def split(path: Path) -> tuple[bytes, str]:
    """Data set and transfer syntax of a file, also without preamble or meta."""
    file = io.BytesIO(path.read_bytes())
    read_preamble(file, force=True)
    meta = _read_file_meta_info(file)
    return file.read(), str(meta.get("TransferSyntaxUID", "1.2.840.10008.1.2"))


def dcmdump(path: Path) -> list[str]:
    """DCMTK's warnings and errors."""
    done = subprocess.run(["dcmdump", str(path)], capture_output=True, timeout=60, check=False)
    lines = [line for line in done.stderr.decode("latin-1").splitlines() if line.startswith(("W:", "E:", "F:"))]
    return [line for line in lines if not any(known in line for known in COMPLAINTS_OF_THE_INPUT)]


@pytest.mark.parametrize("trap", TRAPS)
def test_dcmtk_and_pydicom_read_every_output_without_a_warning(cleaner: Cleaner, tmp_path: Path, trap: str) -> None:
    for syntax in ("explicit", "implicit", "big", "deflated"):
        if syntax == "implicit" and trap in ("wrong_vrs", "un_blob"):  # there is no VR to be wrong
            continue
        result = cleaner.clean(build(trap, syntax)[0], SYNTAXES[syntax], frozenset())
        assert isinstance(result, Kept | Held), result
        path = tmp_path / f"{syntax}.dcm"
        path.write_bytes(b"".join(result.parts))
        assert dcmdump(path) == []
        if (trap, syntax) == ("un_sequences", "big"):  # pydicom reads UN as big endian there, against PS3.5 6.2.2
            continue
        for element in pydicom.dcmread(path).iterall():
            assert element.value is not None or element.is_empty


def test_shipped_files_are_kept_or_dropped_for_a_reason(cleaner: Cleaner, tmp_path: Path) -> None:
    """The false positives of verify are in these numbers: no file of pydicom's that is whole is refused by it."""
    outcomes: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's words about its own broken files
        for path in SHIPPED:
            result = cleaner.clean(*split(path), frozenset())
            outcomes[result.reason if isinstance(result, Dropped) else "kept"] += 1
            if isinstance(result, Kept | Held):
                pydicom.dcmread(io.BytesIO(b"".join(result.parts))).walk(lambda ds, element: element.value)
    assert outcomes["kept"] == 77
    assert not any(reason.startswith("verify.") for reason in outcomes), outcomes
    assert outcomes["dataset.malformed"] <= 6, outcomes


def test_a_sample_of_shipped_files_reads_in_dcmtk(cleaner: Cleaner, tmp_path: Path) -> None:
    for name in (
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "image_dfl.dcm",
        "rtplan.dcm",
        "rtstruct.dcm",
        "test-SR.dcm",
    ):
        (source,) = (path for path in SHIPPED if path.name == name)
        result = cleaner.clean(*split(source), frozenset())
        assert isinstance(result, Kept | Held), (name, result)
        path = tmp_path / name
        path.write_bytes(b"".join(result.parts))
        assert dcmdump(path) == [], name

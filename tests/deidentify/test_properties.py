"""Random data sets under random options: nothing planted survives, nothing more is lost the second time, every reader agrees.

`nested` makes them, `reading` reads what comes out; both know nothing of the engine.
"""

from __future__ import annotations

import re
import subprocess
import time
import warnings
from functools import lru_cache
from pathlib import Path
from random import Random

import pydicom
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gateway.deidentify.cleaner import Cleaner, make_cleaner
from gateway.deidentify.encoding import codec_of
from gateway.model import Dropped, Held, Kept
from gateway.settings import Deidentify
from tests.deidentify.nested import OPTION_SETS, Options, Planted, datasets, make_planted
from tests.deidentify.planted import opened
from tests.deidentify.reading import Read, body_of, elements, illegal, survivors
from tests.deidentify.writer import SYNTAXES, Element, base, write

pytestmark = pytest.mark.timeout(600)  # of a machine that has much else to do
NOBODY: frozenset[str] = frozenset()
QUIET = tuple(HealthCheck)
KEYED = {"UI", "DA", "DT", "LO", "SH", "CS"}
FLOW = 0x00340002
"""VRs of what is mapped, or moved, again each time it is cleaned; and Flow Identifier, a UID in bytes."""


def examples(number: int) -> settings:
    """The same ones every time: what fails here fails everywhere."""
    return settings(max_examples=number, derandomize=True, deadline=None, suppress_health_check=QUIET, database=None)


@lru_cache(64)
def cleaner_of(options: Options, key: bytes = bytes(range(32))) -> Cleaner:
    return make_cleaner(project="alpha", deidentify=Deidentify(options=options), instance_rule=None, key=key)


def cleaned(planted: Planted, key: bytes = bytes(range(32))) -> tuple[bytes, str]:
    """The whole file, inflated, and what became of it. None is refused: `verify` has the walk done again, with what it found."""
    result = cleaner_of(planted.options, key).clean(planted.data(), planted.syntax, NOBODY)
    assert not isinstance(result, Dropped), result.reason
    assert isinstance(result, Kept | Held)
    event(type(result).__name__)
    return opened(result.parts, planted.layout), type(result).__name__


def told(planted: Planted) -> list[tuple[bytes, str]]:
    """What must not be found: raw, and as text."""
    own = [(name.encode(), name) for name in planted.names if len(name) > 4]
    return [*((secret, secret.decode("latin-1")) for secret in planted.secrets), *own]


@examples(300)
@given(planted=datasets())
def test_no_planted_value_survives(planted: Planted) -> None:
    """Searched in the inflated bytes of the whole file, in nine encodings; the same input gives the same bytes."""
    done = cleaned(planted)
    places = survivors(done[0], told(planted))
    assert not places, f"{len(places)} values"
    assert cleaned(planted) == done


@examples(150)
@given(planted=datasets())
def test_output_is_legal_dicom(planted: Planted) -> None:
    """Tags ascend, lengths are even and add up, VRs are VRs, values of the cleaner's own making are legal for theirs."""
    done = cleaned(planted)
    assert [wrong for wrong in map(illegal, elements(body_of(done[0]), planted.layout)) if wrong] == []


def read(planted: Planted, file: bytes) -> dict[str, Read]:
    return {found.path: found for found in elements(body_of(file), planted.layout)}


@examples(150)
@given(planted=datasets())
def test_cleaning_again_loses_nothing(planted: Planted) -> None:
    """The second time every element is still there; what has another value is mapped, and equal stays equal."""
    once = cleaned(planted)
    body = body_of(once[0])
    layout = "explicit" if planted.layout == "deflated" else planted.layout
    syntax = SYNTAXES["explicit"] if planted.layout == "deflated" else planted.syntax
    result = cleaner_of(planted.options).clean(body, syntax, NOBODY)
    assert not isinstance(result, Dropped), result
    assert type(result).__name__ == once[1]
    first, second = read(planted, once[0]), {e.path: e for e in elements(body_of(b"".join(result.parts)), layout)}
    assert first.keys() == second.keys()
    changed = [(first[path], second[path]) for path in first if first[path] != second[path]]
    changed = [(a, b) for a, b in changed if (a.value + b.value).strip(b"\0")]  # a dummy of NULs is nothing already
    assert [f"{a.path} {a.vr}" for a, b in changed if a.vr != b.vr or (a.vr not in KEYED and a.tag != FLOW)] == []
    assert len({a.value for a, _ in changed if a.vr == "UI"}) == len({b.value for _, b in changed if b.vr == "UI"})
    assert [f"{a.path} {a.vr}" for a, b in changed if not a.value or not b.value] == []


@examples(100)
@given(planted=datasets(tuple(o for o in OPTION_SETS if "retain-uids" not in o)))
def test_two_keys_have_nothing_in_common(planted: Planted) -> None:
    one, two = cleaned(planted), cleaned(planted, b"\7" * 32)
    uids = [set(re.findall(rb"2\.25\.[0-9]{20,}", body_of(file))) for file, _ in (one, two)]
    assert uids[0] and len(uids[0]) == len(uids[1]) and uids[0].isdisjoint(uids[1])
    first, second = read(planted, one[0]), read(planted, two[0])
    assert first.keys() == second.keys()
    assert all(first[path].value != second[path].value for path in ("00100020", "00080050", "00200010"))


def count(ds: Dataset) -> int:
    """All elements, each converted, sequences opened."""
    return sum(1 + sum(map(count, e.value)) if e.VR == "SQ" else 1 for e in ds)


DUMPED = re.compile(rb"^ *\((?!fffe|0002)[0-9a-f]{4},[0-9a-f]{4}\) ", re.MULTILINE)
UNKNOWN = re.compile(rb"^ *\(([0-9a-f]{4}),([0-9a-f]{4})\) (?:UN|[?]{2}) .* Unknown Tag & Data", re.MULTILINE)
Outputs = list[tuple[Path, list[Read]]]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """Files of random data sets and their elements."""
    folder, made = tmp_path_factory.mktemp("outputs"), []
    for seed in range(200):
        planted = make_planted(rnd := Random(seed), rnd.choice(OPTION_SETS))
        result = cleaner_of(planted.options).clean(planted.data(), planted.syntax, NOBODY)
        if not isinstance(result, Dropped):
            path = folder / f"{seed}-{planted.layout}.dcm"
            path.write_bytes(b"".join(result.parts))
            made.append((path, elements(body_of(opened(result.parts, planted.layout)), planted.layout)))
    assert len(made) > 100
    return made


def test_pydicom_reads_every_element(outputs: Outputs) -> None:
    """Not asked of it: UN sequences, little endian inside, in big endian files; it reads their delimiters the wrong way round."""
    sound = [(path, found) for path, found in outputs if "big" not in path.name or b"UN\0\0" not in path.read_bytes()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that were kept as odd as they came
        assert [path.name for path, found in sound if count(pydicom.dcmread(path)) != len(found)] == []


def test_dcmtk_reads_every_element(outputs: Outputs) -> None:
    """One process for all files, a line an element. Sequences that its older dictionary does not know are one element to it."""
    command = ["dcmdump", "+F", "+uc", "-q", *(str(path) for path, _ in outputs)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    dumps = re.split(rb"^# dcmdump \([0-9]+/[0-9]+\): .*$", done.stdout, flags=re.MULTILINE)[1:]
    assert done.returncode == 0 and len(dumps) == len(outputs)
    wrong = []
    for (path, found), dump in zip(outputs, dumps, strict=True):
        unknown = tuple(b"".join(tag).decode().upper() + "[" for tag in UNKNOWN.findall(dump))
        seen = [e for e in found if not any(tag in e.path for tag in unknown)]
        if len(DUMPED.findall(dump)) != len(seen):
            wrong.append(path.name)
    assert wrong == []


@examples(150)
@given(data=st.binary(max_size=300), syntax=st.sampled_from(sorted(SYNTAXES)))
def test_any_bytes_are_an_answer(cleaner: Cleaner, data: bytes, syntax: str) -> None:
    assert isinstance(cleaner.clean(data, SYNTAXES[syntax], frozenset({"x"})), Dropped)
    cleaner.explain(data, SYNTAXES[syntax], NOBODY)


def test_a_disordered_pyramid_takes_no_exponential_time(cleaner: Cleaner) -> None:
    twisted = (Element(0x00180050, "DS", b"1"), Element(0x00080060, "CS", b"CT"))
    level: tuple[Element, ...] = twisted
    for _ in range(30):
        level = (*twisted, Element(0x00082218, "SQ", (level,), undefined=True))
    start = time.perf_counter()
    result = cleaner.clean(write([*base(), *level], "explicit", sort=False), SYNTAXES["explicit"], NOBODY)
    assert isinstance(result, Kept) and time.perf_counter() - start < 2.0
    assert codec_of(cleaner.profile.codecs, "1.2") is None

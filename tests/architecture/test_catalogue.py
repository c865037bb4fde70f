"""docs/catalogue.toml, the tests and docs/pacs-behaviour.md say the same; each way of not doing so is first shown to be noticed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from tests.architecture.source import REPOSITORY

SCRIPT = REPOSITORY / "packaging" / "make_catalogue.py"
PATH = "tests/cfind/test_x.py"
PROOF = 'import pytest\n\n\n@pytest.mark.catalogue("A1", "A2")\ndef test_it() -> None:\n    assert True\n'


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("make_catalogue", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_catalogue"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def told(script: Any, entries: str, text: str = PROOF) -> list[str]:
    script.NUMBERS = {"A": 2}
    return list(script.faults(script.read_entries(entries), script.read_proofs([(PATH, text)])))


WHOLE = '[A1]\ntitle = "t"\nanswer = "a"\n[A2]\ntitle = "t"\nanswer = "a"\n'


def test_nothing_is_said_of_what_fits(script: Any) -> None:
    assert told(script, WHOLE) == []
    assert told(script, WHOLE.replace('"t"', f'"t"\ntests = ["{PATH}::test_it"]', 1)) == []


@pytest.mark.parametrize(
    ("entries", "text", "said"),
    [
        (WHOLE, PROOF.replace(', "A2"', ""), "A2 has no test"),
        (WHOLE, PROOF.replace("A2", "A3"), f"{PATH}::test_it is marked with A3, which is no entry"),
        (WHOLE.replace("A2", "A9"), PROOF, "entries missing or unknown: A2 A9"),
        (f'{WHOLE}tests = ["{PATH}::test_gone"]\n', PROOF, f"A2 names {PATH}::test_gone, which is not there"),
        (f'{WHOLE}void = "never"\n', PROOF, "A2 does not concern us, and yet has an answer or a test"),
        ('[A1]\ntitle = "t"\n[A2]\ntitle = "t"\nanswer = "a"\n', PROOF, "A1 has no answer"),
        (WHOLE, PROOF.replace("def test_it", "def it"), "A1 has no test"),
    ],
)
def test_what_does_not_fit_is_said(script: Any, entries: str, text: str, said: str) -> None:
    assert said in told(script, entries, text)


def test_what_is_open_or_does_not_concern_us_needs_no_test(script: Any) -> None:
    entries = '[A1]\ntitle = "t"\nanswer = "a"\nopen = "later"\n[A2]\ntitle = "t"\nvoid = "never"\n'
    assert told(script, entries, "def test_it() -> None: ...\n") == []


def test_catalogue_tests_and_page_agree() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr

"""Whatever stands in the file: settings, or mistakes with lines of that file; never another exception."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.settings.configurations import VALID, mistakes, written
from tests.settings.test_interface import EXAMPLE

WORDS = sorted(set((VALID + EXAMPLE).replace("=", " = ").split()))
SCRAPS = [
    "", "[]", "{}", "[[]]", "nan", "-inf", "1e400", "true", "2020-01-01", "12:00:00", "0x7fffffffffffffffffff", '"\\u0000"', "'{'",
    "{ a = { b = [ { } ] } }", '"/\\u0000"', '"credential:"', '"credential:../x"', '":"', "'://:@'", '"\\\\"', '"{0}"', '"{}"',
    '"(0010,0010)"', '"00000000"', '"99999d"', "[[1]]", "[true, 1.5]", '["{pseudonym}{pseudonym}"]', '"1//0"', '"/"', '" "',
]  # fmt: skip
LINES = (VALID + EXAMPLE).splitlines()


def survives(folder: Path, text: str) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    for mistake in mistakes(written(folder, raw), files=True):
        assert 0 <= mistake.line <= raw.count(b"\n") + 1
        assert mistake.found and mistake.allowed
        assert len(str(mistake).splitlines()) == 1


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The valid configuration with a few values exchanged, lines dropped, doubled or moved."""
    lines = draw(st.sampled_from([VALID, EXAMPLE])).splitlines()
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["value", "drop", "insert", "character"]))
        if kind == "value" and "=" in lines[at]:
            lines[at] = lines[at].partition("=")[0] + "= " + draw(st.sampled_from(SCRAPS))
        elif kind == "drop" and len(lines) > 1:
            del lines[at]
        elif kind == "insert":
            lines.insert(at, draw(st.sampled_from(LINES)))
        else:
            cut = draw(st.integers(0, len(lines[at])))
            lines[at] = lines[at][:cut] + draw(st.characters()) + lines[at][cut:]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


BOUNDED = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@BOUNDED
@given(mutated())
def test_mutated_configurations(folder: Path, text: str) -> None:
    survives(folder, text)


@BOUNDED
@given(st.lists(st.sampled_from([*WORDS, *SCRAPS, "\n", "\n", " "]), max_size=40).map(" ".join) | st.text(max_size=60))
def test_any_text(folder: Path, text: str) -> None:
    survives(folder, text)


@pytest.mark.parametrize("scrap", SCRAPS)
def test_each_setting_with_any_value(folder: Path, scrap: str) -> None:
    """Every line of both configurations in turn, with a value that does not belong there."""
    for whole in (VALID, EXAMPLE):
        for line in whole.splitlines():
            if " = " in line and '"""' not in line:
                survives(folder, whole.replace(line, line.partition("=")[0] + "= " + scrap, 1))

"""Region rules: which fit, what they blank, and that what ultrasound machines say of their picture is used."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.deidentify.frames import open_picture
from gateway.deidentify.masking import Rectangle
from gateway.deidentify.regions import by_device, complement, outside_regions, parse_rules, read_rules
from tests.architecture.source import REPOSITORY
from tests.deidentify.part10 import file, numbers

HEADER = "modality,manufacturer,model,image_type,description,burned_in,rows,columns,blank,source\n"
REGION = (0x00186018, 0x0018601A, 0x0018601C, 0x0018601E)


def ultrasound(*regions: tuple[int, int, int, int], **told: Any) -> bytes:
    items = tuple(tuple((tag, "UL", numbers(v, "I")) for tag, v in zip(REGION, r, strict=True)) for r in regions)
    return file((0x00186011, "SQ", items), sop_class=b"1.2.840.10008.5.1.4.1.1.6.1", rows=60, columns=80, **told)


def test_the_data_are_rules() -> None:
    rules = read_rules()
    assert len(rules) > 250
    assert {source for rule in rules for source in rule.source.split("+")} == {"ctp", "deid", "dre"}


def test_the_data_are_as_the_script_makes_them() -> None:
    argv = [sys.executable, "packaging/make_regions.py", "--check", "gateway/deidentify/region_rules/devices.csv"]
    assert subprocess.run(argv, cwd=REPOSITORY, check=False, timeout=60).returncode == 0


def test_a_rule_needs_all_its_words_and_the_size() -> None:
    (rule,) = parse_rules(HEADER + "US,ACME|OTHER,SCAN,,,,60,80,0 0 * 10;5 50 20 60,x\n")
    fits: dict[str, Any] = {
        "modality": b"US",
        "manufacturer": b"Acme Inc",
        "model": b"ProScan 3",
        "rows": 60,
        "columns": 80,
    }
    assert rule.fits(open_picture(memoryview(file(**fits))))
    for name, other in (("modality", b"CT"), ("manufacturer", b"Else"), ("model", b"3"), ("rows", 64), ("columns", 64)):
        assert not rule.fits(open_picture(memoryview(file(**{**fits, name: other})))), name
    assert by_device(open_picture(memoryview(file(**fits))), [rule]) == [
        Rectangle(0, 0, 80, 10),
        Rectangle(5, 50, 20, 60),
    ]


@pytest.mark.parametrize("line", ["US,,,,,,60,,0 0 * 10,x", "US,ACME,,,,,,,5 5 5 9,x", "US,ACME,,,,,,,a 0 1 1,x"])
def test_what_is_no_rule_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        list(parse_rules(HEADER + line + "\n"))


def test_known_devices_are_known() -> None:
    made = file(modality=b"US", manufacturer=b"Philips Medical Systems", model=b"iU22", rows=768, columns=1024)
    found = by_device(open_picture(memoryview(made)))
    assert any(r.x0 == 0 and r.x1 == 1024 and r.y0 == 0 and r.y1 >= 72 for r in found)


def test_outside_the_regions_all_is_blanked() -> None:
    """Region corners are inside the region, PS3.3 C.8.5.5.1.1."""
    found = outside_regions(open_picture(memoryview(ultrasound((10, 20, 49, 59), (30, 5, 79, 30)))))
    blank = {(x, y) for r in found for x in range(r.x0, r.x1) for y in range(r.y0, r.y1)}
    kept = {(x, y) for x in range(10, 50) for y in range(20, 60)} | {
        (x, y) for x in range(30, 80) for y in range(5, 31)
    }
    assert blank == {(x, y) for x in range(80) for y in range(60)} - kept


@pytest.mark.parametrize("regions", [(), ((0, 0, 1, 1),), ((90, 90, 99, 99),)])
def test_regions_that_are_none_blank_nothing(regions: tuple[tuple[int, int, int, int], ...]) -> None:
    assert outside_regions(open_picture(memoryview(ultrasound(*regions)))) == []


def test_regions_count_in_ultrasound_only() -> None:
    items = tuple((tag, "UL", numbers(v, "I")) for tag, v in zip(REGION, (0, 0, 40, 40), strict=True))
    assert outside_regions(open_picture(memoryview(file((0x00186011, "SQ", (items,)), rows=60, columns=80)))) == []


sides = st.tuples(st.integers(0, 20), st.integers(0, 16), st.integers(1, 12), st.integers(1, 12))


@given(st.lists(sides, max_size=5))
def test_the_complement_is_exact_and_without_overlap(found: list[tuple[int, int, int, int]]) -> None:
    kept = [Rectangle(x, y, min(24, x + w), min(20, y + h)) for x, y, w, h in found]
    inside = {(x, y) for r in kept for x in range(r.x0, r.x1) for y in range(r.y0, r.y1)}
    blank = [(x, y) for r in complement(kept, 20, 24) for x in range(r.x0, r.x1) for y in range(r.y0, r.y1)]
    assert len(blank) == len(set(blank))
    assert set(blank) == {(x, y) for x in range(24) for y in range(20)} - inside

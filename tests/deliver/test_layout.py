"""Whatever a header holds, the path stays below the root and in its own folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.deliver import header
from gateway.deliver.layout import MAX_VALUE, Layout, safe
from gateway.errors import Fatal, Refused, Retry
from tests.deliver.clean import LAYOUT, clean_bytes, clean_file

ANY_TEXT = st.text(max_size=200) | st.sampled_from(
    ["..", ".", "/etc/passwd", "../../x", "a/../b", "\0", "C:\\x", "~", " "]
)


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_a_value_is_always_one_harmless_name(value: str) -> None:
    name = safe(value)
    assert re.fullmatch(r"[A-Za-z0-9_+@=-][A-Za-z0-9._+@=-]*", name)
    assert len(name) <= MAX_VALUE
    assert not name.endswith(".")
    assert safe(name) == name


@given(ANY_TEXT, ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_two_values_are_two_names(one: str, two: str) -> None:
    if safe(one) == safe(two):
        assert one == two or not (one.strip(" \0") and two.strip(" \0"))


def test_values_that_only_look_alike_are_told_apart() -> None:
    assert len({safe(v) for v in ("A/B", "A_B", "A\\B", "A B", "a/b")}) == 5
    assert len({safe("x" * 200), safe("x" * 201), safe("x" * 96)}) == 3


@given(st.dictionaries(st.sampled_from(["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]), ANY_TEXT), ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_the_path_has_the_templates_depth_and_stays_below(values: dict[str, str], uid: str) -> None:
    layout = Layout(LAYOUT)
    filled = {"PatientID": "", "StudyInstanceUID": "", "SeriesInstanceUID": "", **values, "SOPInstanceUID": uid or "1"}
    place = layout.place(filled)
    parts = place.split("/")
    assert len(parts) == 4
    assert not {"", ".", ".."}.intersection(parts)
    assert place.endswith(".dcm")


def test_an_ordinary_header_is_taken_as_it_is(tmp_path: Path) -> None:
    layout = Layout("by-date/{StudyDate}_{Modality}/{PatientID}/{SOPInstanceUID}.dcm")
    place = layout.place(header.read(clean_file(tmp_path), layout.keywords))
    assert place == "by-date/19700101_CT/CHEST-ABC/2.25.10001.dcm"


def test_odd_values_make_no_noise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = clean_file(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"CHEST-ABC", b"CH\xc4ST/A\x07").replace(b"19700101", b"1970-1-1"))
    layout = Layout("{PatientID}/{StudyDate}/{SOPInstanceUID}.dcm")
    place = layout.place(header.read(file, layout.keywords))
    assert re.fullmatch(r"CH_ST_A_-[0-9a-f]{8}/1970-1-1/2\.25\.10001\.dcm", place)
    assert caplog.text == ""


def test_an_absent_value_has_a_folder_too(tmp_path: Path) -> None:
    layout = Layout("{StudyDate}/{BodyPartExamined}/{InstanceNumber}/{SOPInstanceUID}.dcm")
    place = layout.place(header.read(clean_file(tmp_path, StudyDate=""), layout.keywords))
    assert place == "_/_/1/2.25.10001.dcm"


@pytest.mark.parametrize(
    "template",
    [
        "{PatientID}/x.dcm",  # two files, one name
        "/abs/{SOPInstanceUID}",
        "../{SOPInstanceUID}",
        "a//{SOPInstanceUID}",
        "",
        ".hidden/{SOPInstanceUID}",
        "{NoSuchKeyword}/{SOPInstanceUID}",
        "{PixelData}/{SOPInstanceUID}",
        "{RequestAttributesSequence}/{SOPInstanceUID}",
        "{SOPInstanceUID:>10}",
        "{SOPInstanceUID!r}",
        "{PatientID.x}/{SOPInstanceUID}",
        "{}/{SOPInstanceUID}",
        "{SOPInstanceUID",
        "a\nb/{SOPInstanceUID}",
        "a|b/{SOPInstanceUID}",
    ],
)
def test_a_wrong_template_is_said_at_the_start(template: str) -> None:
    with pytest.raises(Fatal, match=r"^deliver\.layout: ."):
        Layout(template)


def test_a_path_that_is_too_long_or_nameless_is_refused() -> None:
    with pytest.raises(Refused, match=r"^deliver\.path"):
        Layout("{PatientID}{PatientID}{PatientID}{SOPInstanceUID}").place(
            {"PatientID": "x" * 90, "SOPInstanceUID": "1"}
        )
    with pytest.raises(Refused, match=r"^deliver\.path"):
        Layout("{SOPInstanceUID}.dcm").place({"SOPInstanceUID": ""})


@pytest.mark.filterwarnings("ignore:Invalid value:UserWarning")  # pydicom, on a torn transfer syntax
@given(st.integers(min_value=0, max_value=len(clean_bytes())))
@settings(max_examples=60, deadline=None)
def test_a_torn_header_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    file = tmp_path_factory.mktemp("torn") / "x.dcm"
    file.write_bytes(clean_bytes()[:cut])
    try:
        header.read(file, ["PatientID", "SOPInstanceUID"])
    except (Refused, Retry) as err:
        assert err.reason == "deliver.unreadable"  # noqa: PT017 - either outcome is right

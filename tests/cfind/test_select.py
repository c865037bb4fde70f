"""plan(): every series gets a verdict, every exclusion its reason."""

from __future__ import annotations

import pytest

from gateway.cfind.select import CompiledSelect, Found, plan
from gateway.model import FoundSeries, FoundStudy
from gateway.rules import SelectionRule


def study(uid: str, *series: FoundSeries, **attributes: object) -> FoundStudy:
    return FoundStudy(uid, attributes, series)


def series(uid: str, **attributes: object) -> FoundSeries:
    return FoundSeries("1.2", uid, attributes)


THORAX = series("1.2.1", Modality="CT", NumberOfSeriesRelatedInstances=120.0)
SCOUT = series("1.2.2", Modality="CT", NumberOfSeriesRelatedInstances=2.0)
REPORT = series("1.2.3", Modality="SR", NumberOfSeriesRelatedInstances=1.0)
ODD = series("1.2.4", Modality="CT", NumberOfSeriesRelatedInstances=None)
CT_STUDY = study("1.2", THORAX, SCOUT, REPORT, ODD, ModalitiesInStudy=["CT", "SR"], StudyDescription="CT Thorax")
MR_STUDY = study("1.3", series("1.3.1", Modality="MR"), ModalitiesInStudy=["MR"], StudyDescription="Head")


def reasons(found: Found, select: CompiledSelect) -> dict[str, str]:
    planned = plan(found, select, "main").series
    assert all(p.pacs == "main" and p.verdict.keep == (not p.verdict.reason) for p in planned)
    return {p.found.SeriesInstanceUID: p.verdict.reason for p in planned}


def test_without_rules_everything_is_kept() -> None:
    assert reasons(Found((CT_STUDY, MR_STUDY)), CompiledSelect()) == {
        "1.2.1": "", "1.2.2": "", "1.2.3": "", "1.2.4": "", "1.3.1": "",
    }  # fmt: skip


def test_every_exclusion_keeps_its_reason() -> None:
    rules = CompiledSelect(
        SelectionRule("study", "'CT' in ModalitiesInStudy"),
        SelectionRule("series", "Modality == 'CT' and NumberOfSeriesRelatedInstances >= 20"),
    )
    assert reasons(Found((CT_STUDY, MR_STUDY)), rules) == {
        "1.2.1": "", "1.2.2": "select.series", "1.2.3": "select.series", "1.2.4": "select.series.error",
        "1.3.1": "select.study",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "attributes"),
    [
        ("SeriesDescription.as_lower == 'chest'", {}),
        ("SeriesDescription.length > 3", {"SeriesDescription": None}),
        ("SeriesDescription.to_flt > 3", {"SeriesDescription": "none"}),
        ("PatientAge[9] == 'Y'", {"PatientAge": "044Y"}),
        ("SliceThickness / NumberOfSeriesRelatedInstances > 1", {"SliceThickness": 1.0, "NumberOfSeriesRelatedInstances": 0.0}),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_evaluated_says_so_and_ends_nothing(rule: str, attributes: dict[str, object]) -> None:
    assert SelectionRule("series", rule).verdict(attributes).reason == "select.series.error"


def test_a_series_rule_may_look_at_its_study() -> None:
    rules = CompiledSelect(series=SelectionRule("series", "StudyDescription =~~ 'Thorax' and Modality == 'CT'"))
    assert reasons(Found((CT_STUDY, MR_STUDY)), rules) == {
        "1.2.1": "", "1.2.2": "", "1.2.3": "select.series", "1.2.4": "", "1.3.1": "select.series",
    }  # fmt: skip


def test_what_is_said_of_the_answer_as_a_whole() -> None:
    made = plan(Found((CT_STUDY, MR_STUDY), dropped_rows=7), CompiledSelect(), "main")
    assert (made.studies, made.dropped_rows, made.form) == (2, 7, "{an}")
    assert plan(Found(), CompiledSelect(), "main").series == ()

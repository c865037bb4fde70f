"""Other ways of writing an accession number: tried in order, only when nothing is found, never believed on a part of it alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cfind.accession_forms import alike, forms
from gateway.cfind.findscu import Finder
from gateway.errors import Retry
from gateway.model import AccessionNumber, Wanted
from gateway.settings import Pacs
from tests.cfind.test_findscu import QUICK
from tests.dicom.serving import Counts
from tests.support import scripted_pacs as script
from tests.support.scripted_pacs import ScriptedPacs, row

LONG = "SYN-77777777-777777-77"
TEMPLATES = ("{an}", "{an:0>10}", "X{an}")
SERIES = row(SeriesInstanceUID="1.77.1", NumberOfSeriesRelatedInstances="3")


def asks(pacs: ScriptedPacs, *templates: str, limit: int = 0) -> Finder:
    told = Pacs(
        name="main", ae_title=pacs.ae_title, host=pacs.host, port=pacs.port, accession_forms=templates, result_limit=limit
    )  # fmt: skip
    return Finder(told, "RESEARCH", Counts(), deadlines=QUICK)


def archive(**by_accession: str) -> script.Script:
    """Accession number -> StudyInstanceUID, all of patient SYN-PID-1 on one day."""

    def find(reply: script.Reply) -> None:
        wanted = str(reply.keys.get("AccessionNumber", ""))
        if reply.level == "SERIES":
            reply.send(0xFF00, SERIES)
        elif wanted in by_accession:
            told = {"PatientID": "SYN-PID-1", "StudyDate": "20240503", "AccessionNumber": wanted}
            reply.send(0xFF00, row(StudyInstanceUID=by_accession[wanted], **told))
        reply.send(0x0000)

    return find


@pytest.mark.catalogue("F2")
@pytest.mark.parametrize(
    ("held", "asked", "form"),
    [
        ({"4711": "1.1", "0000004711": "1.2"}, ["4711"], "{an}"),
        ({"0000004711": "1.2", "X4711": "1.3"}, ["4711", "0000004711"], "{an:0>10}"),
        ({"X4711": "1.3"}, ["4711", "0000004711", "X4711"], "X{an}"),
        ({}, ["4711", "0000004711", "X4711"], "X{an}"),
    ],
)
def test_f2_later_forms_are_tried_only_when_nothing_is_found(held: dict[str, str], asked: list[str], form: str) -> None:
    with ScriptedPacs(find=archive(**held)) as pacs:
        finder = asks(pacs, *TEMPLATES)
        found = finder.find(AccessionNumber("4711"))
        finder.close()
        assert [str(q.AccessionNumber) for q in pacs.questions("STUDY")] == asked
    assert [s.StudyInstanceUID for s in found.studies] == list(held.values())[:1]
    assert found.form == form


@pytest.mark.catalogue("F3")
@pytest.mark.parametrize(
    ("ris", "found"),
    [
        (None, []),
        (Wanted("p", AccessionNumber(LONG)), []),
        (Wanted("p", AccessionNumber(LONG), patient_id="SYN-PID-2", study_date="20240504"), []),
        (Wanted("p", AccessionNumber(LONG), patient_id="SYN-PID-1"), ["1.1"]),
        (Wanted("p", AccessionNumber(LONG), study_date="20240503"), ["1.1"]),
    ],
)
def test_f3_a_form_that_is_cut_off_needs_the_same_patient_or_day(ris: Wanted | None, found: list[str]) -> None:
    with ScriptedPacs(find=archive(**{LONG[:16]: "1.1"})) as pacs:
        finder = asks(pacs, "{an}", "{an:.16}")
        answer = finder.find(AccessionNumber(LONG), ris=ris)
        finder.close()
    assert [s.StudyInstanceUID for s in answer.studies] == found
    assert answer.dropped_rows == 1 - len(found)


@pytest.mark.catalogue("F7")
@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_f7_as_many_rows_as_the_pacs_gives_at_most_are_not_all(level: str) -> None:
    uid = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
    rows = {
        one: [row(**{keyword: f"1.{n}", "AccessionNumber": "4711"}) for n in range(5 if one == level else 1)]
        for one, keyword in uid.items()
    }
    with ScriptedPacs(find=script.by_level(**rows)) as pacs:
        finder = asks(pacs, "{an}", limit=5)
        if level == "IMAGE":
            (study,) = finder.find(AccessionNumber("4711")).studies
            assert [s.instances for s in study.series] == [None], (
                "counted from a list that is cut off it would be wrong"
            )
        else:
            with pytest.raises(Retry) as caught:
                finder.find(AccessionNumber("4711"))
            assert (caught.value.reason, caught.value.charge) == ("find.truncated", True)
        finder.close()


@given(
    st.text(
        st.characters(codec="ascii", exclude_characters="*?\\{}", categories=["L", "N", "P"]), min_size=1, max_size=40
    )
)
def test_each_form_is_one_that_may_be_sent_and_only_once(text: str) -> None:
    made = list(forms(AccessionNumber(text), ["{an}", "{an:0>10}", "{an}", "{an:.16}", "A*{an}", "{an:.0}"]))
    assert made[0].accession.value == text and not made[0].cut
    assert len({f.accession.value for f in made}) == len(made)
    assert {f.template for f in made} <= {"{an}", "{an:0>10}", "{an:.16}"}
    assert [f.accession.value for f in made if f.cut] == ([text[:16]] if len(text) > 16 else [])


@pytest.mark.parametrize(
    ("told", "wanted", "same"),
    [
        ("4711", "0004711", True), ("CT-4711", "4711", True), ("ct 0004711 a", "4711", True), ("4711", "4711", True),
        ("47112", "4711", False), ("14711", "4711", False), ("CT-47-11", "4711", False), ("CT", "4711", False), ("", "4711", False),
        ("1-0004711", "4711", False), ("CT", "", False),
    ],
)  # fmt: skip
def test_one_number_written_in_two_ways(told: str, wanted: str, same: bool) -> None:
    assert alike(told, wanted) == alike(wanted, told) == same

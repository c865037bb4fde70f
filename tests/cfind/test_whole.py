"""An answer that is cut off is put together from narrower questions, announced or not; what cannot be made whole is no answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gateway.cfind import whole
from gateway.cfind.findscu import Finder
from gateway.cfind.whole import Part
from gateway.dicom.identifier import identifier, text
from gateway.errors import Retry
from gateway.model import AccessionNumber, FoundStudy
from gateway.settings import Pacs
from tests.cfind.archive import archive, ask, matches, searching, study
from tests.dicom.serving import Counts
from tests.state.conftest import Opened
from tests.support import scripted_pacs as script
from tests.support.dicomfiles import SeriesSpec, make_study
from tests.support.peers import Orthanc
from tests.support.scripted_pacs import Reply, ScriptedPacs, row

AN = AccessionNumber("4711")
ALL = identifier("STUDY", {"AccessionNumber": "4711"})
IN_STUDY = identifier("SERIES", {"StudyInstanceUID": "1.1"})


def at(uid: str, day: str, time: str = "101500") -> Dataset:
    return row(StudyInstanceUID=uid, AccessionNumber="4711", StudyDate=day, StudyTime=time)


def is_asked_for(one: Dataset, keys: Dataset) -> bool:
    first, _, last = text(keys, "StudyTime").partition("-")
    same = all(text(keys, k) in ("", text(one, k)) for k in ("Modality", "SeriesNumber"))
    return same and matches(one, keys) and (not first or first <= text(one, "StudyTime") <= last)


def capped(rows: Sequence[Dataset], cap: int, *, told: bool = True) -> Callable[[Dataset], Part]:
    """Gives at most `cap` rows, and says so or not."""

    def ask(keys: Dataset) -> Part:
        found = [one for one in rows if is_asked_for(one, keys)]
        cut = Retry(whole.CUT) if told and len(found) >= cap else None
        return Part(found[:cap], cut)

    return ask


def uids(rows: Sequence[Dataset], keyword: str = "StudyInstanceUID") -> set[str]:
    return {text(one, keyword) for one in rows}


DAYS = st.dates(min_value=whole.FIRST_DAY, max_value=whole.LAST_DAY).map(lambda d: d.isoformat().replace("-", ""))
TIMES = st.integers(0, 86399).map(lambda s: f"{s // 3600:02d}{s // 60 % 60:02d}{s % 60:02d}.123")


@pytest.mark.catalogue("F7")
@given(st.lists(st.tuples(DAYS, TIMES), unique=True, max_size=12), st.integers(2, 5))
def test_f7_studies_are_all_found_or_none(when: list[tuple[str, str]], cap: int) -> None:
    rows = [at(f"1.{n}", day, time) for n, (day, time) in enumerate(when)]
    seconds = {(day, time[:6]) for day, time in when}
    found: Sequence[Dataset] | None = None
    with suppress(Retry):
        found = whole.studies(capped(rows, cap), ALL).rows
    if found is None:
        assert len(seconds) < len(when), "only what shares its second cannot be told apart"
    else:
        assert uids(found) == uids(rows)


@pytest.mark.catalogue("F7")
def test_f7_a_cut_without_a_word_is_noticed() -> None:
    rows = [at(f"1.{n}", f"20{n % 25:02d}0101") for n in range(130)]
    found = whole.studies(capped(rows, 100, told=False), ALL)
    assert (uids(found.rows), found.noticed) == (uids(rows), 100)
    assert whole.studies(capped(rows[:100], 200, told=False), ALL).noticed == 0, "a hundred may be a hundred"


@pytest.mark.catalogue("F7")
def test_f7_a_pacs_that_ignores_the_date_is_not_believed() -> None:
    rows = [at(f"1.{n}", "20240503") for n in range(150)]

    def ask(_keys: Dataset) -> Part:
        return Part(rows[:5], Retry(whole.CUT))

    with pytest.raises(Retry, match="does not match StudyDate"):
        whole.studies(ask, ALL)
    assert whole.studies(lambda _: Part(rows[:50]), ALL).rows == rows[:50], "nothing speaks for a cut but the number"


@pytest.mark.catalogue("F7")
def test_f7_a_study_without_a_date_is_not_lost() -> None:
    rows = [at("1.1", ""), at("1.2", "20240503"), at("1.3", "20240504")]
    with pytest.raises(Retry, match=whole.CUT):
        whole.studies(capped(rows, 2), ALL)


def test_the_days_that_are_asked_for_are_kept() -> None:
    asked: list[str] = []
    keys = identifier("STUDY", {"PatientID": "P", "StudyDate": "20240502-20240504"})

    def ask(part: Dataset) -> Part:
        asked.append(text(part, "StudyDate"))
        return capped([at(f"1.{n}", f"2024050{n}") for n in (2, 3, 4)], 2)(part)

    assert len(uids(whole.studies(ask, identifier("STUDY", {"StudyDate": "20240502-20240504"})).rows)) == 3
    assert {"20240502-20240503", "20240504-20240504"} <= set(asked)
    assert text(keys, "StudyDate") == "20240502-20240504"


# ---- series


def of(n: int, modality: str = "CT", number: int | None = None) -> Dataset:
    return row(
        StudyInstanceUID="1.1",
        SeriesInstanceUID=f"1.1.{n}",
        Modality=modality,
        SeriesNumber=str(n if number is None else number),
    )


def told(number: float | None = None, *modalities: str) -> FoundStudy:
    return FoundStudy("1.1", {"NumberOfStudyRelatedSeries": number, "ModalitiesInStudy": list(modalities) or None})


@pytest.mark.catalogue("F7")
@pytest.mark.parametrize(
    ("rows", "about", "cap", "is_told", "is_whole"),
    [
        ([of(1), of(2, "SR"), of(3, "PR")], told(None, "CT", "SR", "PR"), 2, True, True),
        ([of(1), of(2), of(3), of(4)], told(4.0, "CT"), 2, True, True),
        ([of(1), of(2), of(3), of(4)], told(4.0), 2, True, True),
        ([of(1), of(2), of(3), of(4)], told(None, "CT"), 2, True, False),
        ([of(1), of(2, "SR"), of(3, "PR")], told(), 2, True, False),
        ([of(1), of(2), of(3), of(4)], told(4.0, "CT"), 2, False, True),
        ([of(1), of(2), of(3, "SR")], told(3.0, "CT", "SR"), 2, False, True),
        ([of(1), of(2)], told(7.0, "CT"), 9, False, True),
    ],
)
def test_f7_series_by_modality_and_number(
    rows: list[Dataset], about: FoundStudy, cap: int, is_told: bool, is_whole: bool
) -> None:
    asked = capped(rows, cap, told=is_told)
    if is_whole:
        assert uids(whole.series(asked, IN_STUDY, about).rows, "SeriesInstanceUID") == uids(rows, "SeriesInstanceUID")
    else:
        with pytest.raises(Retry, match=whole.CUT):
            whole.series(asked, IN_STUDY, about)


@pytest.mark.catalogue("F7")
def test_f7_series_of_a_pacs_that_ignores_the_modality() -> None:
    rows = [of(1), of(2, "SR"), of(3, "PR")]
    with pytest.raises(Retry, match=whole.CUT):
        whole.series(lambda _: Part(rows[:2], Retry(whole.CUT)), IN_STUDY, told(None, "CT", "SR", "PR"))


# ---- over the wire


def limited(answers: script.Script, cap: int) -> script.Script:
    """F7: no more than `cap` rows, 0000 at the end."""

    def find(reply: Reply) -> None:
        sent, send = 0, reply.send

        def some(status: int, ds: Dataset | None = None, **more: object) -> None:
            nonlocal sent
            sent += status == 0xFF00
            if status != 0xFF00 or sent <= cap:
                send(status, ds, **more)

        reply.send = some  # type: ignore[method-assign,assignment]
        answers(reply)

    return find


def finder(at: ScriptedPacs | Orthanc, limit: int = 0) -> Finder:
    pacs = Pacs(name="main", ae_title=at.ae_title, host=at.host, port=at.port, result_limit=limit)
    return Finder(pacs, "RESEARCH", Counts())


@pytest.mark.catalogue("F7")
def test_f7_a_known_limit_splits_the_question(state: Opened) -> None:
    ask(state, "4711", "PID-1")
    studies = [study(f"1.{n}", "4711", "PID-1", f"202405{n + 10}") for n in range(7)]
    with ScriptedPacs(find=limited(archive(*studies), 3)) as pacs:
        assert searching(state, pacs, result_limit=3).step(1000.0)
    (request,) = state.views.requests()
    assert (request.state, len(state.views.series(request.key))) == ("planned", 7)


@pytest.mark.catalogue("F7")
def test_f7_a_limit_that_was_noticed_is_remembered() -> None:
    many = [study(f"1.{n}", "4711", "PID-1", f"20{n % 28:02d}0503") for n in range(60)]
    few = [study(f"2.{n}", "4712", "PID-1", f"20{n % 28:02d}0503") for n in range(50)]
    with ScriptedPacs(find=limited(archive(*many, *few), 50)) as pacs:
        asks = finder(pacs)
        assert len(asks.find(AN).studies) == 60
        assert len(asks.find(AccessionNumber("4712")).studies) == 50
        assert len(pacs.questions("STUDY")) > 4, "fifty rows are not believed any more"
        asks.close()


@pytest.mark.real
@pytest.mark.catalogue("F6", "F7")
def test_f7_orthanc_that_says_fe00_is_asked_for_less(tmp_path: Path) -> None:
    made = [
        make_study(
            tmp_path / str(n), patient_id="SYN-PID-1", name="Synthetic^Anna", birth_date="19500102", accession="4711",
            study_date=f"202405{10 + n}", series=[SeriesSpec("CT", "Thorax", 1)], seed=n,
        )
        for n in range(5)
    ]  # fmt: skip
    with Orthanc(options={"LimitFindResults": 2}) as pacs:
        pacs.upload(file for one in made for file in one.files)
        asks = finder(pacs)
        found = {s.StudyInstanceUID for s in asks.find(AN).studies}
        asks.close()
    assert found == {one.StudyInstanceUID for one in made}

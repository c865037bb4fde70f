"""What each receive process is given of what the configuration allows to all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.model import LedgerLine, Outcome
from gateway.run.receiving import make_settle_step, push_projects, report_to, share
from gateway.settings import DirectorySink, Pacs, Peer, Project, Receiver, Ris, Select, Settings, Source
from gateway.state.outbox import Outbox
from gateway.state.rows import Pushed
from tests.state.conftest import Opened
from tests.support.certificates import Authority


@pytest.mark.parametrize(("most", "processes", "each"), [(32, 2, 16), (33, 2, 17), (1, 4, 1), (32, 1, 32)])
def test_share_of_associations(most: int, processes: int, each: int) -> None:
    assert share(Receiver(max_associations=most, processes=processes)) == each


def settings(tmp_path: Path) -> Settings:
    source = Source(ris="ris", schedule="1h", query="select 1", push=True, push_quiet=7.0)
    own = Authority(tmp_path / "ca").issue("own").tls
    return Settings(
        receiver=Receiver(
            tls=own,
            peers=(Peer(ae_title="CT1", address="10.1.2.0/24", port=4000), Peer(ae_title="CT2", address="10.1.2.0/24")),
        ),
        pacs=(Pacs(name="main", ae_title="PACS", host="pacs.example", port=104),),
        ris=(Ris(name="ris", url="sqlite:///x"),),
        project=(
            Project(name="a", pacs=("main",), source=source, select=Select(series="Modality == 'CT'"),
                    deliver=(DirectorySink(path=tmp_path),)),
            Project(name="b", pacs=("main",), deliver=(DirectorySink(path=tmp_path),)),
        ),
    )  # fmt: skip


def test_where_reports_go(tmp_path: Path) -> None:
    made = settings(tmp_path)
    modality = report_to(made, "CT1", "10.1.2.9")
    assert modality is not None and (modality.host, modality.port) == ("10.1.2.9", 4000)
    assert modality.tls == made.receiver.tls
    assert report_to(made, "PACS", "10.9.9.9") == made.pacs[0]
    assert report_to(made, "CT1", "10.1.3.9") is None
    assert report_to(made, "CT2", "10.1.2.9") is None


def test_projects_that_take_what_is_pushed(tmp_path: Path) -> None:
    (only,) = push_projects(settings(tmp_path))
    assert (only.name, only.quiet, only.study) == ("a", 7.0, None)
    assert only.first({"Modality": "CT"}).keep and not only.first({"Modality": "MR"}).keep


def test_what_was_pushed_goes_on_where_its_project_pushes_no_more(tmp_path: Path) -> None:
    """A reload took `push` away while a study was coming: its sender was told that it is here."""
    state, outbox = Opened(tmp_path), Outbox(tmp_path / "outbox")
    assert make_settle_step(without_push(tmp_path), state.store, outbox, lambda: 1.0) is None
    assert state.store.push(Pushed("b", "2.25.1", "2.25.2", None, "PID", "", "CT", "{}"), now=1.0)
    (key,) = (waits.key for waits in state.store.pushed(["b"]))
    outbox.keep(key, "2.25.9", [b"clean"])
    outbox.note(key, LedgerLine("00", Outcome.KEPT, file="2.25.9.dcm"))
    step = make_settle_step(without_push(tmp_path), state.store, outbox, lambda: 1e10)
    assert step is not None and step.step()
    assert state.store.series_states([key]) == {key: "retrieved"}
    state.database.close()


def without_push(tmp_path: Path) -> Settings:
    made = settings(tmp_path)
    return made.model_copy(update={"project": made.project[1:]})

"""What each receive process is given of what the configuration allows to all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.run.receiving import push_projects, report_to, share
from gateway.settings import DirectorySink, Pacs, Peer, Project, Receiver, Ris, Select, Settings, Source
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

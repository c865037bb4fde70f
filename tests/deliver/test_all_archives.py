"""One project and all four kinds of archive, as the daemon makes them: each gets everything, and the last receipt ends it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from gateway import settings
from gateway.ops.health import Board
from gateway.ops.metrics import Metrics
from gateway.run import delivering, wiring
from gateway.run.opening import State
from gateway.state.outbox import Outbox
from gateway.state.rows import Tally
from tests.deliver.clean import clean_bytes
from tests.deliver.peers import OUR_AE, REPORTS, names, orthanc, s3_server
from tests.deliver.test_courier import deliveries_of
from tests.state.conftest import PROJECT, Opened
from tests.support.peers import HOST

FILES = 5


def aimed(folder: Path) -> settings.Settings:
    peer, rest = orthanc()
    rest.clear()
    s3_server().make("all-archives")
    (folder / "archive").mkdir()
    credentials = folder / "credentials"
    credentials.write_text("[default]\naws_access_key_id = SYN-KEY\naws_secret_access_key = SYN-SECRET\n")
    credentials.chmod(0o600)
    archives = (
        settings.DirectorySink(path=folder / "archive"),
        settings.DicomSink(ae_title=peer.ae_title, host=HOST, port=peer.port, calling_ae=OUR_AE, report_port=REPORTS),
        settings.DicomWebSink(url=f"http://{HOST}:{peer.http_port}/dicom-web"),
        settings.S3Sink(url="s3://all-archives/x", endpoint=s3_server().url, credentials_file=credentials),
    )
    return settings.Settings(
        state_dir=folder, node="gw1", pacs=(settings.Pacs(name="main", ae_title="PACS", host=HOST),),
        project=(settings.Project(name=PROJECT, pacs=("main",), deliver=archives),),
    )  # fmt: skip


@pytest.mark.real
def test_every_archive_has_everything(tmp_path: Path) -> None:
    opened, outbox = Opened(tmp_path), Outbox(tmp_path / "outbox")
    opened.ask("SYN-ACC-1")
    request = opened.plan("1.2.3.4")
    claim = opened.store.claim_series(pacs="main", projects=[PROJECT], lease=60, now=101.0)
    assert claim is not None
    for number in range(FILES):
        outbox.keep(claim.rows[0].key, f"2.25.1000{number}", [clean_bytes(number)])
    assert opened.store.settle_retrieved(claim.rows[0], Tally(FILES, FILES, 0, 0, {}), now=102.0)
    metrics, configured = Metrics(), aimed(tmp_path)
    told = wiring.Told(metrics, Board())
    state = State(opened.store, opened.views, outbox, opened.database)
    steps = delivering.make_steps(configured, state, lambda _: told, threading.Event())
    assert len(steps) == 8
    while any([step.step() for _, step in steps]):  # noqa: C419  each of them
        continue
    for sink in delivering.make_sinks(configured, configured.project[0]):
        done = deliveries_of(metrics, sink.name)
        assert done["confirmed"] == FILES == done.get("delivered", 0) + done.get("duplicate", 0), sink.name
    assert len(list((tmp_path / "archive").rglob("*.dcm"))) == FILES == len(orthanc()[1].instances())
    assert len(names(s3_server().store("all-archives"))) == FILES
    assert outbox.series() == []
    events = [e.event for e in opened.views.history(request)]
    assert (events.count("receipt"), events.count("confirmed"), events[-1]) == (3, 1, "completed")
    opened.database.close()

"""What alerts stand on: counters are there, at 0, before anything happened; certificates tell when they expire."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from gateway.ops.declared import PREFIX
from gateway.ops.metrics import Metrics
from gateway.run.watched import RESULTS, begin_at_zero, certified, expiries
from gateway.run.worker import Role, Watch, work
from gateway.settings import Settings, load
from tests.run.command_line import furnish
from tests.support.certificates import DAY, Authority


def settings_of(folder: Path, tls: str = "") -> Settings:
    furnish(folder)
    config = folder / "gateway.toml"
    config.write_text(config.read_text().replace("[health]", f"{tls}\n[health]"))
    return load(config)


def test_every_counter_that_the_configuration_knows_begins_at_0(tmp_path: Path) -> None:
    metrics = Metrics()
    begin_at_zero(metrics, settings_of(tmp_path), ["directory:/srv"])
    read = metrics.registry.get_sample_value
    labels = {
        "find_total": ("pacs", "main"),
        "move_total": ("pacs", "main"),
        "deliveries_total": ("sink", "directory:/srv"),
    }
    for name, results in RESULTS.items():
        label, value = labels.get(name, ("project", "chest"))
        assert [read(PREFIX + name, {label: value, "result": result}) for result in results] == [0.0] * len(results), (
            name
        )
    assert read(PREFIX + "instances_received_total", {"project": "", "result": "refused"}) == 0.0, "unreadable: whose?"
    assert read(PREFIX + "leaks_blocked_total", {"project": "chest"}) == 0.0
    assert read(PREFIX + "associations_rejected_total", {"reason": "called-ae"}) == 0.0


def test_the_errors_of_each_role_begin_at_0() -> None:
    metrics, over = Metrics(), threading.Event()
    over.set()
    work(Role("broker", bool, lambda: None), over, Watch(metrics, lambda _: None))
    assert metrics.registry.get_sample_value(PREFIX + "worker_errors_total", {"role": "broker"}) == 0.0


def test_certificates_of_ours_tell_when_they_expire(tmp_path: Path) -> None:
    ours = Authority(tmp_path / "ca").issue("ours", days=(-1, 12))
    ((use, until),) = expiries(certified(settings_of(tmp_path, ours.toml)))
    assert use == "receiver"
    assert abs(until - time.time() - 12 * DAY.total_seconds()) < DAY.total_seconds()
    assert list(expiries(certified(settings_of_plain(tmp_path / "plain")))) == []


def test_those_for_archives_and_the_audit_repository_do_too(tmp_path: Path) -> None:
    tls = Authority(tmp_path / "ca").issue("ours", days=(-1, 12)).toml
    settings = settings_of(tmp_path, f'[audit]\nhost = "arr"\n{tls}')
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'{config.read_text()}\n[[project.deliver]]\ntype = "dicom"\nae_title = "ARCHIVE"\nhost = "archive"\nport = 104\n{tls}\n'
        f'[[project.deliver]]\ntype = "dicomweb"\nurl = "https://archive/dicomweb"\n{tls}\n'
    )
    assert [use for use, _ in expiries(certified(settings))] == ["audit"]
    uses = [use for use, _ in expiries(certified(load(config)))]
    assert len(uses) == 3 and uses[2] == "audit" and all(use.startswith("archive ") for use in uses[:2]), uses


def test_a_certificate_of_an_archive_that_is_gone_takes_no_other_with_it(tmp_path: Path) -> None:
    """In the midst of a renewal: nor any other gauge that is read together with them."""
    ours, theirs = (Authority(tmp_path / name).issue(name, days=(-1, 12)) for name in ("ours", "theirs"))
    config = tmp_path / "gateway.toml"
    settings_of(tmp_path, ours.toml)
    config.write_text(
        f'{config.read_text()}\n[[project.deliver]]\ntype = "dicomweb"\nurl = "https://archive/dicomweb"\n{theirs.toml}\n'
    )
    started = tuple(certified(load(config)))
    theirs.certificate.unlink()
    assert [use for use, _ in expiries(started)] == ["receiver"]


def settings_of_plain(folder: Path) -> Settings:
    folder.mkdir()
    return settings_of(folder)

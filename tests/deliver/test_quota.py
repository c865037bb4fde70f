"""A directory archive on a real file system at its quota."""

from __future__ import annotations

from tests.deliver.quota import FILES
from tests.faults.mounts import inside


def test_a_file_system_at_its_quota_is_full_until_there_is_room() -> None:
    done = inside("tests.deliver.quota")
    assert done.stdout.splitlines() == [
        "stopped by sink.full with some but not all: True",
        "only what was put is there, whole: True",
        "new then: True",
        f"confirmed: True, {FILES} files",
    ], done.stderr[-2000:]

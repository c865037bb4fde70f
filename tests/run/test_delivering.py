"""The couriers of the configuration: one for each archive of each project, under a name of its own."""

from __future__ import annotations

from pathlib import Path

from gateway.run import delivering
from gateway.settings import load
from tests.settings.configurations import VALID, written

ANOTHER_ARCHIVE = """
[[project.deliver]]
type = "directory"
path = "/srv/research/copy"

[[project]]
name = "chest-ct-2"
pacs = ["main"]

[[project.deliver]]
type = "directory"
path = "/srv/research/chest-ct-2"
"""


def test_no_two_of_them_have_one_name(tmp_path: Path) -> None:
    """Else the end of the second is waited for alone, and its sign of life hides that the first one hangs."""
    settings = load(written(tmp_path, VALID + ANOTHER_ARCHIVE), files=False)
    names = [delivering.role("deliver", p, n) for p in settings.project for n in range(len(p.deliver))]
    assert names == ["deliver-chest-ct", "deliver-chest-ct/2", "deliver-chest-ct-2"]

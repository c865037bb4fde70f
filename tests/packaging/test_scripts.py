"""What the packages' own scripts do to folders that are not as the package has made them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import REPOSITORY

STATE, SETTINGS = "var/lib/pacs-gateway", "etc/pacs-gateway"


def purged(root: Path) -> subprocess.CompletedProcess[str]:
    """`postrm purge` as dpkg calls it, with `root` in place of the machine's root; nothing of this machine's systemd is called."""
    text = (REPOSITORY / "packaging" / "package" / "postrm").read_text()
    for folder in (STATE, SETTINGS, "run/systemd"):
        text = text.replace(f"/{folder}", f"{root}/{folder}")
    return subprocess.run(
        ["sh", "-c", text, "postrm", "purge"], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / SETTINGS / "projects.d").mkdir(parents=True)
    (tmp_path / "volume" / "outbox").mkdir(parents=True)
    (tmp_path / STATE).parent.mkdir(parents=True)
    return tmp_path


def test_a_purge_is_not_stopped_by_a_state_directory_that_is_a_link(root: Path) -> None:
    """As by one that is a volume of its own: neither can be removed, and dpkg would call the package half-removed for good."""
    (root / STATE).symlink_to(root / "volume")
    (root / "volume" / "state.sqlite").touch()
    told = purged(root)
    assert told.returncode == 0, told.stderr
    assert f"{STATE} stays" in told.stdout and f"{SETTINGS} stays" not in told.stdout
    assert not list((root / "volume").iterdir()) and not (root / SETTINGS).exists()


def test_a_purge_keeps_the_key_and_the_trail(root: Path) -> None:
    (root / "volume").rename(root / STATE)
    kept = [root / SETTINGS / "pseudonym.key", root / STATE / "audit.jsonl"]
    for file in (*kept, root / STATE / "node.id"):
        file.touch()
    assert purged(root).returncode == 0
    assert sorted(path for path in root.rglob("*") if path.is_file()) == sorted(kept)

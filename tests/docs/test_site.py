"""The documents as a site: built strictly, so that no link and no picture leads nowhere; every page can be reached."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import REPOSITORY

DOCS = REPOSITORY / "docs"


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(source), str(target)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=110, check=False)


def test_make_check_builds_it() -> None:
    assert "sphinx-build -q -W" in (REPOSITORY / "Makefile").read_text()


@pytest.mark.slow
def test_a_broken_link_would_be_seen(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "conf.py").write_text((DOCS / "conf.py").read_text())
    (source / "index.md").write_text("# Title\n\n[nowhere](nowhere.md)\n")
    done = build(source, tmp_path / "site")
    assert done.returncode != 0 and "nowhere" in done.stderr


def test_every_page_is_in_a_list_of_contents() -> None:
    """Sphinx warns of a page that is in none, and warnings are errors; README and the catalogue's source are no pages."""
    listed = (DOCS / "index.md").read_text("utf-8")
    pages = [p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.rglob("*.md")]
    globbed = ("adr/", "runbooks/Pacs", "index")
    assert [p for p in pages if not p.startswith(globbed) and f"\n{p}\n" not in listed] == []

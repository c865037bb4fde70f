"""Requirement files: every version pinned, every file's hash, what pyproject.toml asks for, and no download address."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from tests.architecture.source import REPOSITORY

FILES = sorted((REPOSITORY / "requirements").glob("*.txt"))
# In pieces, so that this file holds none itself.
REGISTRIES = re.compile("|".join(r"\.".join(parts) for parts in (
    ("files", "pythonhosted"), ("pypi", "org"), ("registry", "npmjs"), ("deb", "debian", "org"), ("security", "debian"),
)))  # fmt: skip


def unpinned(text: str) -> list[str]:
    """Requirements without `==` or without a SHA-256."""
    joined = re.sub(r"\\\n", " ", text)
    wanted = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [
        line.split()[0]
        for line in wanted
        if not re.match(r"[a-z0-9-]+(?:\[[a-z0-9,-]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}", line)
    ]


def pinned(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==(\S+)", path.read_text(), flags=re.MULTILINE))


def tracked() -> list[Path]:
    """Every file of the repository that git tracks or would track."""
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = (
        subprocess.run(argv, cwd=REPOSITORY, capture_output=True, check=True, timeout=30).stdout.decode().split("\0")
    )
    return [REPOSITORY / name for name in names if name and (REPOSITORY / name).is_file()]


def asked(*extras: str) -> list[str]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return [re.split(r"[^a-z0-9-]", requirement)[0] for wanted in lists for requirement in wanted]


def test_the_files_are_there() -> None:
    assert [p.stem for p in FILES] == ["bench", "build", "dev", "drivers", "lock", "run"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_everything_is_pinned_and_hashed(path: Path) -> None:
    assert pinned(path)
    assert unpinned(path.read_text()) == []


@pytest.mark.parametrize("line", ["click==8.1.0\n", "click>=8 --hash=sha256:" + "0" * 64, "-e .\n", "--index-url x\n"])
def test_what_is_not_pinned_is_seen(line: str) -> None:
    assert unpinned(line)


def test_run_txt_holds_what_the_product_asks_for() -> None:
    assert set(asked("postgresql", "mysql", "dicomweb", "s3", "parquet")) <= set(
        pinned(REPOSITORY / "requirements" / "run.txt")
    )
    assert set(asked("mssql", "oracle")) - set(asked()) <= set(pinned(REPOSITORY / "requirements" / "drivers.txt"))


def test_one_version_of_each_package_in_all_files() -> None:
    versions: dict[str, set[str]] = {}
    for path in FILES:
        for name, version in pinned(path).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


OLDEST = "3.11.0"


def refusing(installed: Iterable[Distribution]) -> dict[str, str]:
    """Packages that say they cannot do with the oldest Python that pyproject.toml admits."""
    said = {one.metadata["Name"]: (one.metadata.get_all("Requires-Python") or [""])[0] for one in installed}
    return {name: wanted for name, wanted in said.items() if not SpecifierSet(wanted).contains(OLDEST)}


def test_all_that_is_installed_does_with_the_oldest_python() -> None:
    """pip-compile takes what its own Python may have: with 3.11.7 a package that refuses Debian 12's 3.11.2."""
    assert tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"] == ">=3.11"
    installed = list(distributions())
    assert len(installed) > 50
    assert refusing(installed) == {}


def test_a_package_that_wants_a_newer_python_is_seen(tmp_path: Path) -> None:
    folder = tmp_path / "newish-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: newish\nVersion: 1\nRequires-Python: >=3.11.5\n")
    assert refusing(distributions(path=[str(tmp_path)])) == {"newish": ">=3.11.5"}


def test_no_download_address_in_any_tracked_file() -> None:
    texts = {p: p.read_bytes().decode("utf-8", "replace") for p in tracked()}
    assert len(texts) > 50
    assert [str(p.relative_to(REPOSITORY)) for p, text in texts.items() if REGISTRIES.search(text)] == []
    assert REGISTRIES.search("index-url = https://" + ".".join(("pypi", "org")) + "/simple")

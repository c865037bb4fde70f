"""sdist and wheel: whole, the same thing, and enough to do the whole job without the checkout."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.booted import REPOSITORY
from tests.support.installed import CONFIGURATION, Built, build

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory)


def sources() -> set[str]:
    """What belongs into the wheel: every file of the package that git knows."""
    argv = ["git", "ls-files", "-z", "--cached", "gateway"]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=30)
    return {name for name in done.stdout.split("\0") if name and (REPOSITORY / name).is_file()}


def test_the_wheel_has_every_file_of_the_package_and_nothing_of_an_earlier_build(built: Built) -> None:
    with zipfile.ZipFile(next(built.dist.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
        (entry,) = [n for n in wheel.namelist() if n.endswith("entry_points.txt")]
        assert "pacs-gateway = gateway.run.cli:main" in wheel.read(entry).decode()
    here = {str(p.relative_to(REPOSITORY)) for p in (REPOSITORY / "gateway").rglob("*") if p.is_file()}
    assert sources() <= names
    assert names <= {name for name in here if "__pycache__" not in name}


def test_the_sdist_has_what_the_document_installs_from_it(built: Built) -> None:
    with tarfile.open(next(built.dist.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert sources() <= names
    units = {f"systemd/pacs-gateway.{kind}" for kind in ("service", "socket", "sysusers", "tmpfiles")}
    alerts = "packaging/monitoring/alerts.yml"
    assert {
        "README.md",
        "LICENSE",
        "docs/install.md",
        "etc/gateway.toml",
        "requirements/run.txt",
        alerts,
        *units,
    } <= names


def test_the_wheel_works_without_the_checkout(built: Built, tmp_path: Path) -> None:
    """In an environment that has the wheel and, of the package's tree, what run.txt names: code, tables and words are in it."""
    home = tmp_path / "environment"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(home)], check=True, timeout=60)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(home / "bin/python"),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, str(next(built.dist.glob("*.whl")))], check=True, timeout=60, capture_output=True)
    (own,) = home.glob("lib/python3.*/site-packages")
    (others,) = built.root.glob("usr/lib/pacs-gateway/lib/python3.*/site-packages")
    (own / "requirements.pth").write_text(f"{others}\n")
    key, config = tmp_path / "pseudonym.key", tmp_path / "gateway.toml"
    config.write_text(CONFIGURATION.format(key=key, port=11112, pacs=4242, processes=1))

    def said(*argv: str) -> str:
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"}
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=90, env=environment, cwd=tmp_path, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    assert said(str(home / "bin/python"), "-c", "import gateway; print(gateway.__file__)").strip() == str(
        own / "gateway/__init__.py"
    )
    command = str(home / "bin/pacs-gateway")
    assert "made" in said(command, "key", "init", str(key))
    profile = json.loads(said(command, "profile", "--project", "chest-ct", "--config", str(config), "--json"))
    assert len(profile) > 5 and "PatientName" in json.dumps(profile)


def long_form(root: Path) -> str:
    """The commands of docs/install.md, section "The wheel", below `root`; without pip's and systemd's."""
    section = (REPOSITORY / "docs/install.md").read_text().split("\n## The wheel\n")[1]
    found = re.search(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    assert found
    here = re.sub(r"(?<= )/(?=usr|etc)", f"{root}/", found[1]).replace("-m venv", "-m venv --without-pip")
    return "\n".join(line for line in here.splitlines() if "/bin/pip " not in line and not line.startswith("systemd-"))


def test_the_long_form_can_be_repeated_and_minds_no_umask(tmp_path: Path) -> None:
    """An upgrade keeps the configuration, and what root installs on a hardened machine is there for the daemon's account."""
    script = long_form(tmp_path).removesuffix("systemctl daemon-reload")
    config, home = tmp_path / "etc/pacs-gateway/gateway.toml", tmp_path / "usr/lib/pacs-gateway"
    (tmp_path / "usr/bin").mkdir(parents=True)
    for _ in range(2):
        subprocess.run(["bash", "-ec", script], cwd=REPOSITORY, check=True, timeout=60, umask=0o077)
        config.write_text(config.read_text() + "# edited\n")
    assert config.read_text().count("# edited") == 2
    assert home.stat().st_mode & 0o777 == 0o755 and (home / "pyvenv.cfg").stat().st_mode & 0o777 == 0o644

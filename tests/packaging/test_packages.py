"""What is in the Debian package and the RPM, without installing them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.booted import REPOSITORY
from tests.support.installed import Built, build, make
from tests.support.process import program

pytestmark = [pytest.mark.packaging, pytest.mark.timeout(300)]

HOME = "usr/lib/pacs-gateway"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(tmp_path_factory)


def ask(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120).stdout


def test_it_depends_on_the_distribution_alone(built: Built) -> None:
    """On every library that something in it wants and that is not in it: looked up in this machine's packages."""
    listed = re.findall(
        r"[a-z0-9.+-]+(?= |,|$)", re.sub(r"\([^)]*\)", "", ask("dpkg-deb", "--field", str(built.deb), "Depends"))
    )
    assert {"python3", "systemd", "libc6", "libstdc++6"} <= set(listed)
    inside = {path.name for path in built.root.rglob("*.so*")}
    missing = wanted(built.root) - inside
    owners = {line.partition(":")[0] for name in missing for line in found(name).splitlines()}
    assert owners <= set(listed), owners - set(listed)


def wanted(root: Path) -> set[str]:
    """NEEDED of every library in the tree."""
    paths = [str(path) for path in root.rglob("*.so*") if not path.is_symlink()]
    assert len(paths) > 50
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", ask(program("readelf"), "-d", *paths)))


def found(name: str) -> str:
    """`package: path` of a library of this machine; the loader's own cache knows where it is."""
    listed = [line.split()[-1] for line in ask("/sbin/ldconfig", "-p").splitlines() if line.split()[:1] == [name]]
    assert listed, f"{name} is nowhere"
    for place in (listed[0], os.path.realpath(listed[0]), f"/usr{listed[0]}"):
        done = subprocess.run(["dpkg-query", "-S", place], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout
    raise AssertionError(f"{name} belongs to no package")


def test_nothing_in_it_knows_where_it_was_built(built: Built) -> None:
    assert str(built.work) not in ask("sh", "-c", f"grep -rlI -F '{built.work}' '{built.root}' | head -n 3; true")
    compiled = next(
        (built.root / HOME).glob("lib/python3.*/site-packages/gateway/run/__pycache__/cli.*.pyc")
    ).read_bytes()
    assert b"/usr/lib/pacs-gateway/lib" in compiled and str(built.work).encode() not in compiled
    assert (built.root / HOME / "bin/pacs-gateway").read_text().startswith(f"#!/{HOME}/bin/python -P\n")


def test_owners_modes_and_configuration(built: Built) -> None:
    listing = ask("dpkg-deb", "--contents", str(built.deb)).splitlines()
    assert all(line.split()[1] == "root/root" for line in listing)
    writable = [line for line in listing if line[0] != "l" and (line[5] == "w" or line[8] == "w" or "s" in line[:10])]
    assert writable == []
    closed = [line for line in listing if line[0] != "l" and (line[7] != "r" or (line[0] == "d" and line[9] != "x"))]
    assert [line.rsplit(" ", 1)[-1] for line in closed] == ["./etc/pacs-gateway/gateway.toml"]
    (example,) = [line for line in listing if line.endswith(" ./etc/pacs-gateway/gateway.toml")]
    assert example.startswith("-rw-r-----")
    assert ask("dpkg-deb", "--info", str(built.deb), "conffiles").split() == ["/etc/pacs-gateway/gateway.toml"]
    assert not [line for line in listing if "key" in line.rsplit("/", 1)[-1] and "/etc/" in line], (
        "a key is made where it is used"
    )


@pytest.fixture(scope="module")
def slim(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Ours alone: lintian takes more than a minute for what others made."""
    folder = tmp_path_factory.mktemp("slim")
    made = Built(folder / "work", folder / "dist")
    (packages,) = (built.root / HOME).glob("lib/python3.*/site-packages")
    strange = [p.name for p in packages.iterdir() if not p.name.startswith(("gateway", "pacs_gateway"))]
    shutil.copytree(
        built.work, made.work, symlinks=True, ignore=lambda folder, _: strange if folder == str(packages) else []
    )
    make(made, "--compression", "gzip")
    return made


def test_lintian_finds_no_error(slim: Built) -> None:
    assert lintian(slim.deb, 120) == ""


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(os.environ.get("CI") == "true", reason="takes minutes for what others made: run by hand")
def test_lintian_finds_no_error_in_what_others_made_either(built: Built, tmp_path: Path) -> None:
    """Besides what packaging/package/lintian-overrides names, with its reasons. lintian does not know zstd."""
    whole = Built(built.work, tmp_path)
    make(whole, "--only", "deb", "--compression", "gzip")
    assert whole.deb.stat().st_size > 5e7
    assert lintian(whole.deb, 3000) == ""


def lintian(package: Path, timeout: float) -> str:
    """What it says when there are errors."""
    argv = [program("lintian"), "--fail-on", "error", "--tag-display-limit", "0", "--allow-root", str(package)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=timeout)
    return "" if done.returncode == 0 else done.stdout[-3000:] + done.stderr[-1000:] + f"exit {done.returncode}"


def test_the_rpm_has_the_same_files_and_knows_an_edited_configuration(slim: Built) -> None:
    rpm = program("rpm")
    (package,) = slim.dist.glob("*.rpm")
    files = set(ask(rpm, "-qlp", str(package)).splitlines())
    listing = [
        line.split(maxsplit=5)[5]
        for line in ask("dpkg-deb", "--contents", str(slim.deb)).splitlines()
        if line[0] != "d"
    ]
    ours = {
        name.partition(" -> ")[0].removeprefix(".").replace("/lib/systemd", "/usr/lib/systemd", 1) for name in listing
    }
    ours = {name.replace("/usr/usr/", "/usr/") for name in ours if "changelog" not in name}
    assert ours <= files, sorted(ours - files)[:5]
    assert ask(rpm, "-qcp", str(package)).split() == ["/etc/pacs-gateway/gateway.toml"]
    scripts = ask(rpm, "-qp", "--scripts", str(package))
    for name in ("postinst", "prerm", "postrm"):
        assert (REPOSITORY / "packaging/package" / name).read_text().strip().splitlines()[-1] in scripts
    assert f"python{'.'.join(map(str, version_of(slim)))}" in ask(rpm, "-qRp", str(package))


def version_of(built: Built) -> tuple[str, str]:
    (library,) = (built.root / HOME / "lib").iterdir()
    major, minor = library.name.removeprefix("python").split(".")
    return major, minor

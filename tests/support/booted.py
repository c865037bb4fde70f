"""A machine that boots: a real systemd on a throw-away copy of this machine's files, with a network of its own (loopback only).

An overlay over `/` (or over another tree) in a private mount namespace, and systemd-nspawn on it: nothing is mounted where anybody
else can see it, nothing of the tree is written, all that happens inside is gone with it. Neither the checkout nor root's home
are there, so that what is tested is what was installed.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.support.process import new_folder, program

REPOSITORY: Final = Path(__file__).resolve().parents[2]
POWER_OFF: Final = signal.SIGRTMIN + 4  # systemd(1), Signals
BOOT_DEADLINE: Final = 30.0
HIERARCHIES: Final = ("unified", "systemd", ".")  # of /sys/fs/cgroup: hybrid, or version 2 alone
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"

LAUNCH: Final = r"""
set -eu
room=$1 tree=$2 name=$3; shift 3
# a cgroup of its own first: else nspawn makes one in the root of the hierarchy, and two of them collide
for part in unified systemd .; do
  [ -f "/sys/fs/cgroup/$part/cgroup.procs" ] || continue
  mkdir -p "/sys/fs/cgroup/$part/$name"
  echo $$ >"/sys/fs/cgroup/$part/$name/cgroup.procs"
done
mount -t tmpfs -o mode=755 none "$room"
mkdir "$room/below" "$room/above" "$room/work" "$room/root"
mount --bind "$tree" "$room/below"
mount -t overlay overlay -o "lowerdir=$room/below,upperdir=$room/above,workdir=$room/work" "$room/root"
cd "$room/root"
: >etc/machine-id
printf '127.0.0.1 localhost\n::1 localhost\n' >etc/hosts
rm -f usr/sbin/policy-rc.d
# of the distribution's services only what a test asks for
find etc/systemd/system -mindepth 2 -path '*.wants/*' -type l -delete
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet -D "$room/root" --machine="$name" --register=no --keep-unit --private-network --resolv-conf=off \
  --timezone=off --link-journal=no --console=pipe --boot "$@" -- systemd.unit=multi-user.target systemd.show_status=no
"""


def refuse(why: str) -> None:
    """A developer's machine may lack what this needs; CI may not."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)


class Booted:
    """`binds`: places of this machine that can be read inside. `tree`: what is booted."""

    def __init__(self, name: str, *, binds: Mapping[Path, str], tree: Path = Path("/")) -> None:
        if os.geteuid() != 0:
            refuse("a machine can be booted by root only")
        nspawn = program("systemd-nspawn")
        assert nspawn == "/usr/bin/systemd-nspawn"
        self._name, self._folder = f"{name}-{os.getpid()}", new_folder("booted")
        (self._folder / "room").mkdir()
        hidden = [f"--tmpfs={place}:mode=0700" for place in ("/root", str(REPOSITORY)) if (tree / place[1:]).is_dir()]
        bound = [f"--bind-ro={outside}:{inside}" for outside, inside in binds.items()]
        words = [str(self._folder / "room"), str(tree), self._name, *hidden, *bound]
        with (self._folder / "console").open("wb") as console:
            self._nspawn = subprocess.Popen(
                # whatever becomes of the tests, it ends with them: nspawn passes SIGTERM on as an order to halt
                ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--propagation", "private", "sh", "-c", LAUNCH, "boot",
                 *words],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True, env={"PATH": PATH},
            )  # fmt: skip
        atexit.register(self.down)
        self.leader = self._wait_for_leader()
        self.wait_until(self._is_up, "booted")

    def run(self, *argv: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command inside, as root. Fails with what it said."""
        done = subprocess.run(
            [*self.entered("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"), "env", "-i", *self._environment(), *argv],
            capture_output=True, text=True, errors="replace", timeout=100, check=False, input=stdin if stdin is not None else "",
        )  # fmt: skip
        assert not check or done.returncode == 0, (
            f"{argv[:3]} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        )
        return done

    def entered(self, *spaces: str) -> list[str]:
        """What to put before a command of this machine that shall see those namespaces of the booted one."""
        return ["nsenter", "--target", str(self.leader), *spaces, "--"]

    def say(self, *argv: str) -> str:
        """What a command inside prints, stripped; whatever its exit code."""
        return self.run(*argv, check=False).stdout.strip()

    def write(self, path: str, text: str) -> None:
        self.run("sh", "-c", f"mkdir -p '{os.path.dirname(path)}' && cat >'{path}'", stdin=text)

    def wait_until(self, reached: Callable[[], bool], what: str, deadline: float = BOOT_DEADLINE) -> None:
        until = time.monotonic() + deadline
        while not reached():
            assert self._nspawn.poll() is None, f"not {what}: it is down\n{self.console()}"
            assert time.monotonic() < until, f"not {what} in {deadline} s\n{self.console()}{self._last_words()}"
            time.sleep(0.05)

    def _last_words(self) -> str:
        return self.say("journalctl", "--no-pager", "-o", "cat", "-n", "40") if hasattr(self, "leader") else ""

    def console(self) -> str:
        return (self._folder / "console").read_text(errors="replace")[-3000:]

    def down(self) -> None:
        """Powers it off; what is left of it goes."""
        if self._nspawn.poll() is None:
            with contextlib.suppress(ProcessLookupError, AttributeError):
                os.kill(self.leader, POWER_OFF)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._nspawn.wait(20)
            if self._nspawn.poll() is None:
                self._nspawn.kill()
                self._nspawn.wait(10)
        for part in HIERARCHIES:
            _remove_cgroups(Path("/sys/fs/cgroup", part, self._name))
        shutil.rmtree(self._folder, ignore_errors=True)

    def _environment(self) -> Sequence[str]:
        return [
            f"PATH={PATH}",
            "LANG=C.UTF-8",
            "SYSTEMD_PAGER=",
            "SYSTEMD_COLORS=0",
            "DEBIAN_FRONTEND=noninteractive",
            "HOME=/root",
        ]

    def _wait_for_leader(self) -> int:
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        found: list[int] = []

        def there() -> bool:
            with contextlib.suppress(OSError):
                found[:] = [pid for pid in map(int, children.read_text().split()) if _name_of(pid) == "systemd"]
            return bool(found)

        self.wait_until(there, "started")
        return found[0]

    def _is_up(self) -> bool:
        return self.say("systemctl", "is-system-running") in ("running", "degraded")


def _name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _remove_cgroups(top: Path) -> None:
    def folders() -> Iterator[Path]:
        for folder, _, _ in os.walk(top, topdown=False):
            yield Path(folder)

    for folder in folders():
        with contextlib.suppress(OSError):
            folder.rmdir()

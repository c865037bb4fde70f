"""A killed process leaves no picture of its memory, and a living one has one heap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, resource
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
{forbid}
os.chdir({folder!r})
import ctypes
print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), flush=True)
os.abort()
"""
"""Prints the limit, and whether it is dumpable (PR_GET_DUMPABLE)."""
FORBID = "from gateway.ops import core; core.forbid_core_dumps()"


def test_abort_leaves_nothing(tmp_path: Path) -> None:
    script = SCRIPT.format(forbid=FORBID, folder=str(tmp_path))
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert child.stdout.split() == ["0", "0"]
    assert child.returncode == -6
    assert os.listdir(tmp_path) == []


COMMAND = "import sys; from gateway.run import cli; sys.argv = ['pacs-gateway', '--version']; cli.main()"


def test_nor_does_a_command(tmp_path: Path) -> None:
    """`deid`, `find` and `withdraw` have patients and the key in memory too, and `deid` foreign decoders.

    The limit alone keeps nothing from a program that `core_pattern` pipes to: core(5), it is not enforced there.
    """
    script = SCRIPT.format(forbid=COMMAND, folder=str(tmp_path))
    child = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert child.stdout.splitlines()[-1] == "0 0"
    assert child.returncode == -6
    assert os.listdir(tmp_path) == []


METRICS = """
import os
from gateway.ops import core
if os.geteuid() == 0:
    os.setgid(12345), os.setuid(12345)
core.forbid_core_dumps()
from prometheus_client import CollectorRegistry, ProcessCollector
registry = CollectorRegistry()
ProcessCollector(registry=registry)
print(registry.get_sample_value("process_open_fds"), registry.get_sample_value("process_resident_memory_bytes"))
"""


def test_its_own_metrics_see_it_all_the_same() -> None:
    """As an account that is not root: /proc/self/fd of what cannot be dumped belongs to root, and stays open to itself."""
    told = subprocess.run([sys.executable, "-c", METRICS], capture_output=True, text=True, check=True, timeout=30)
    descriptors, memory = map(float, told.stdout.split())
    assert descriptors >= 3 and memory > 1e6


HEAPS = """
import ctypes, sys, threading
from gateway.ops import core
{first}
libc, both = ctypes.CDLL(None), threading.Barrier(8)
libc.malloc.restype = ctypes.c_void_p
def take():
    both.wait()
    libc.malloc(1000)
    both.wait()
threads = [threading.Thread(target=take) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""


def heaps(first: str) -> int:
    told = subprocess.run(
        [sys.executable, "-c", HEAPS.format(first=first)], capture_output=True, text=True, check=True, timeout=30
    )
    return told.stdout.count("<heap nr=")


def test_threads_share_one_heap() -> None:
    assert heaps("core.one_heap()") == 1
    assert heaps("") > 1


KEPT = """
import gc, weakref
import gateway.run.daemon
from gateway.ops import core
core.keep_tables()
class Round:
    def __init__(self):
        self.me = self
later = weakref.ref(Round())
gc.collect()
print(gc.get_freeze_count() > 50_000, len(gc.get_objects()) < 5_000, later() is None)
"""


def test_what_was_imported_is_not_looked_through_and_what_comes_later_is() -> None:
    told = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["True"] * 3

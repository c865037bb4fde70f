"""The memory of a process: in no core dump, since it holds patient data and the key (core(5)); and no larger than it need be.

The unit file says LimitCORE=0, but `run` in a terminal, a container and `make demo` have no unit file.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
from typing import Final

PR_SET_DUMPABLE: Final = 4  # linux/prctl.h
M_ARENA_MAX: Final = -8  # malloc.h of glibc; others have no mallopt


def forbid_core_dumps() -> None:
    """Call first in every process. The limit is for a file; a program that core_pattern pipes to need not keep to it (core(5)).

    What is not dumpable goes to neither, and its memory and descriptors are open to root and itself alone. An exec undoes it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def one_heap() -> None:
    """Call before there are threads: else glibc gives each its own heap, and what one gave back another cannot use."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def keep_tables() -> None:
    """Once everything is imported, which is here to stay: a full collection that looks through it stops all threads for 0.1 s."""
    gc.collect()
    gc.freeze()


def seldom_collect() -> None:
    """Once all tables are loaded, which are here to stay: what cleaning makes holds no cycles, so garbage is looked for seldom.

    Associations leave some, which this leaves lying: who calls this calls `gc.collect` now and then (10 ms).
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)

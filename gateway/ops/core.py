"""No core dumps: the memory of this process holds patient data and the key (core(5)).

The unit file says LimitCORE=0, but `run` in a terminal, a container and `make demo` have no unit file.
"""

from __future__ import annotations

import ctypes
import gc
import resource
from typing import Final

PR_SET_DUMPABLE: Final = 4  # linux/prctl.h


def forbid_core_dumps() -> None:
    """Call first in every process. systemd-coredump and apport keep to this limit as the kernel does."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def forbid_inspection() -> None:
    """Not dumpable at all, nor to be traced: for the receive processes, which hold originals.

    Not for the main process: its open descriptors in /proc would be hidden from its own metrics too.
    """
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def seldom_collect() -> None:
    """Once all tables are loaded, which are here to stay: what cleaning makes holds no cycles, so garbage is looked for seldom."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)

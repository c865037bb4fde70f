"""Real peers over a network that fails, shortly; `python -m tests.faults.network` is the long form, one fault at a time."""

from __future__ import annotations

import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.faults.netns import Network, network
from tests.faults.network import DIRECT, corpus, endure, killed, lossy, partition, site, stopped

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def test_the_archive_ends_complete_whatever_happens_in_mid_move(tmp_path: Path) -> None:
    studies = corpus(tmp_path / "source", 4, 15)
    with site("orthanc", studies) as at:
        lossy(at, 0)
        faults = [partial(partition, at, 2.0), partial(stopped, at, 1.5), partial(killed, at, 0.5)]
        ended = endure(tmp_path / "site", at, studies, DIRECT, faults)
    print(ended)
    assert ended.wrong == []
    assert ended.files == 60


def test_a_partition_is_one() -> None:
    with network() as net, socket.create_server((net.here, 0)) as listener:
        port = listener.getsockname()[1]
        reached = [_reaches(net, port)]
        net.lose(100)
        reached.append(_reaches(net, port))
        dropped = net.dropped()
        net.lose(0)
        reached.append(_reaches(net, port))
    assert reached == [True, False, True]
    assert dropped > 0


def _reaches(net: Network, port: int) -> bool:
    program = f"import socket; socket.create_connection(({net.here!r}, {port}), timeout=1.5)"
    done = subprocess.run(
        ["ip", "netns", "exec", net.name, sys.executable, "-c", program], check=False, capture_output=True
    )
    return done.returncode == 0

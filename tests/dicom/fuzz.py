"""The fuzzer of the receiver: `python -m tests.dicom.fuzz --count N --seed S [--job parser]`. In a process of its own.

Hostile streams (`hostile`) come on associations of their own, some at a time; a few more connections say a byte a second or nothing
at all; and one well-behaved association stores instances all the while. Afterwards the process must live, with no more memory,
threads and descriptors than before; the well-behaved peer must have noticed nothing; every file in the outbox must be whole. Job
"whole" cleans and keeps what arrives; "parser" (see `tests.bench.receiver`) writes it down as it came, far more in the same time.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import queue
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.state.checksum import of_parts
from gateway.state.outbox import Outbox
from tests.bench.memory import Senders, data_set, emptied, resident
from tests.bench.receive import corpus
from tests.bench.targets import Target, ours
from tests.dicom import wire
from tests.dicom.hostile import stream
from tests.support.process import HOST, new_folder

WORKERS = 6
HANG = 40.0
"""Seconds after which a stream counts as one that the receiver never ended; its own deadline for half a PDU is 30."""
SETTLE = 20.0


@dataclass
class Found:
    """What a run came to. `kinds`: streams by kind; `hung`, `wrong`: what must not be."""

    kinds: Counter[str] = field(default_factory=Counter)
    hung: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    sent: int = 0
    memory: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        sizes = " ".join(f"{size / 1e6:.0f}" for size in self.memory)
        trouble = "; ".join([*(f"hung: {seed}" for seed in self.hung), *self.wrong]) or "nothing wrong"
        kinds = ", ".join(f"{name} {number}" for name, number in sorted(self.kinds.items()))
        return f"{self.kinds.total()} streams ({kinds}); {self.sent} instances beside them; {sizes} MB; {trouble}"


def say(port: int, seed: str, data: bytes) -> tuple[str, bool]:
    """One stream. -> its kind, and whether the receiver ended it."""
    kind, (before, behind) = stream(seed, data)
    with socket.create_connection((HOST, port), timeout=HANG) as sock, contextlib.suppress(ConnectionError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(before)
        if before[:1] == b"\1":
            sock.settimeout(2)
            with contextlib.suppress(TimeoutError):
                wire.read_pdu(sock)
            sock.settimeout(HANG)
        sock.sendall(behind)
        try:
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass
        except TimeoutError:
            return kind, False
        except OSError:
            return kind, True  # it has hung up
    return kind, True


@contextlib.contextmanager
def slow_peers(port: int) -> Iterator[None]:
    """Connections that hold on to what they have: nothing said, half a request, half a PDU, a byte a second."""
    stop = threading.Event()

    def trickle(sock: socket.socket, rest: bytes) -> None:
        for byte in itertools.cycle(rest):
            if stop.wait(1):
                return
            try:
                sock.send(bytes([byte]))
            except OSError:
                return  # ended by its deadline

    with contextlib.ExitStack() as stack:
        for begun in (b"", wire.associate_rq()[:50], wire.associate_rq(), wire.associate_rq() + b"\4\0\0\0\1\0"):
            sock = stack.enter_context(socket.create_connection((HOST, port)))
            sock.sendall(begun)
            if begun:
                stack.callback(threading.Thread.join, _started(trickle, sock, wire.associate_rq()[50:]))
        stack.callback(stop.set)
        yield


def _started(target: object, *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
    thread.start()
    return thread


def fuzz(count: int, seed: str, *, job: str = "whole", say_so: int = 0) -> Found:
    """`count` streams; `say_so`: how many between two lines of progress on stderr."""
    study = corpus(new_folder("fuzz"), 1, 64)
    found, data = Found(), data_set(study.files[0])
    with ours(1, job=job)(study) as target, emptied(target), slow_peers(target.port):
        witness = Senders(target.port, study.files[0], pause=0.05)
        with witness.running(1):
            run(target, range(min(count, 200)), seed, data, found)  # so that what is made once is there
            before = facts(target.pids[0])
            for at in range(200, count, max(count // 10, 1)):
                run(target, range(at, min(at + max(count // 10, 1), count)), seed, data, found)
                found.memory.append(resident(target.pids[0]))
                if say_so:
                    print(found, file=sys.stderr, flush=True)
        found.sent = witness.sent
        if witness.bad or not witness.sent:
            found.wrong.append(f"the well-behaved peer: {witness.sent} sent, {witness.bad} answers were no success")
        judge(target, before, found)
        if job == "whole":
            found.wrong += not_whole(target)
    return found


def run(target: Target, numbers: range, seed: str, data: bytes, found: Found) -> None:
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in numbers:
        todo.put(f"{seed}-{number}")

    said: list[tuple[str, str, bool]] = []

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                one = todo.get_nowait()
                said.append((one, *say(target.port, one, data)))

    threads = [_started(work) for _ in range(WORKERS)]
    for thread in threads:
        thread.join()
    found.kinds.update(kind for _, kind, _ in said)
    found.hung += [one for one, _, ended in said if not ended]
    if len(said) != len(numbers):
        found.wrong.append(f"{len(numbers) - len(said)} streams could not be sent")


def facts(pid: int) -> dict[str, int]:
    """Bytes resident, threads, descriptors."""
    return {
        "memory": resident(pid),
        "threads": len(os.listdir(f"/proc/{pid}/task")),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
    }


def judge(target: Target, before: dict[str, int], found: Found) -> None:
    """Adds what is wrong. Associations that have just ended may take a moment to go."""
    allowed = {
        "memory": before["memory"] + 30_000_000,
        "threads": before["threads"] + 4,
        "descriptors": before["descriptors"] + 8,
    }
    deadline = time.monotonic() + SETTLE
    while time.monotonic() < deadline and any(now > allowed[name] for name, now in facts(target.pids[0]).items()):
        threading.Event().wait(0.2)
    found.wrong += [
        f"{name} from {before[name]} to {now}" for name, now in facts(target.pids[0]).items() if now > allowed[name]
    ]


def listed(folder: Path) -> list[str]:
    """Nothing of one that goes meanwhile, as does that of a series of which nothing was kept."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def not_whole(target: Target) -> list[str]:
    """What is half-written, and files that are not as the ledger says."""
    assert target.folder is not None
    root = target.folder / "outbox"
    wrong = [f"half-written: {name}" for folder in root.iterdir() for name in listed(folder) if name.startswith(".")]
    outbox = Outbox(root)
    for key in outbox.series():
        lines = {line.file: line for line in outbox.ledger(key).values() if line.file}
        for file in outbox.files(key):
            line = lines.get(file.name)
            if line is None or (line.size, line.checksum) != (file.stat().st_size, of_parts([file.read_bytes()]).hex()):
                wrong.append(f"not whole, or not in the ledger: {file.name}")
    return wrong


def main() -> int:
    wants = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wants.add_argument("--count", type=int, default=1000)
    wants.add_argument("--seed", default=str(int(time.time())))
    wants.add_argument("--job", choices=["whole", "parser"], default="whole")
    asked = wants.parse_args()
    print(f"seed {asked.seed}", flush=True)
    found = fuzz(asked.count, asked.seed, job=asked.job, say_so=1)
    print(found)
    return int(bool(found.hung or found.wrong))


if __name__ == "__main__":
    sys.exit(main())

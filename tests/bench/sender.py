"""A sender that is never the bottleneck: `python -m tests.bench.sender PORT CALLED-AE ASSOCIATIONS < LIST-OF-FILES`.

Everything is read and encoded beforehand; then each association, in a process of its own, sends one instance with one call and
waits for its answer, as C-STORE wants it. PDUs are as long as the receiver takes, up to 128 KB. Prints one line of JSON: seconds
from the first byte to the last answer, and how many answers were no success.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import sys
import time
from collections.abc import Sequence
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from pydicom import dcmread

from tests.dicom import wire
from tests.support.process import HOST

LONGEST = 131072
DEADLINE = 120.0


def send(
    port: int, called: str, files: Sequence[Path], *, barrier: Barrier, told: SimpleQueue[tuple[float, float, int]]
) -> None:
    """One association. Tells begin, end (seconds) and bad answers."""
    metas = [dcmread(file, stop_before_pixels=True).file_meta for file in files]
    pairs = sorted({(str(m.MediaStorageSOPClassUID), str(m.TransferSyntaxUID)) for m in metas})
    with socket.create_connection((HOST, port), timeout=DEADLINE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(wire.associate_rq([(abstract, [transfer]) for abstract, transfer in pairs], called=called))
        kind, body = wire.read_pdu(sock)
        assert kind == 2, f"the association was not accepted: PDU {kind}"
        longest = min(wire.accepted(body)[1] or LONGEST, LONGEST)
        messages = []
        for number, (file, meta) in enumerate(zip(files, metas, strict=True)):
            pair = (str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
            raw = file.read_bytes()
            data = raw[144 + meta.FileMetaInformationGroupLength :]
            instance = str(meta.MediaStorageSOPInstanceUID)
            messages.append(
                wire.store(
                    data, context=2 * pairs.index(pair) + 1, sop_class=pair[0], instance=instance, longest=longest,
                    number=number % 65535 + 1,
                )
            )  # fmt: skip
        barrier.wait(DEADLINE)
        told.put(_talk(sock, messages))
        sock.sendall(wire.RELEASE)
        wire.read_pdu(sock)


def _talk(sock: socket.socket, messages: Sequence[bytes]) -> tuple[float, float, int]:
    bad, began = 0, time.time()
    for message in messages:
        sock.sendall(message)
        bad += wire.status(sock) != 0
    return began, time.time(), bad


def main() -> None:
    port, called, associations = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    files = [Path(line) for line in sys.stdin.read().splitlines()]
    context = multiprocessing.get_context("fork")
    barrier, told = context.Barrier(associations), context.SimpleQueue()
    workers = [
        context.Process(
            target=send, args=(port, called, files[i::associations]), kwargs={"barrier": barrier, "told": told}
        )
        for i in range(associations)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit("a sender failed")
    found = [told.get() for _ in workers]
    seconds = max(end for _, end, _ in found) - min(begin for begin, _, _ in found)
    print(json.dumps({"seconds": seconds, "bad": sum(bad for _, _, bad in found)}))


if __name__ == "__main__":
    main()

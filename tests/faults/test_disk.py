"""A disk that fails at each call in turn; `python -m tests.faults.disk` is the long form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.disk import Disk, every, short
from tests.faults.storage import Storage
from tests.faults.tracing import parsed

HERE = ("next of its series", "excluded, first", "held, first", "large, next")  # which have all calls between them
TRACE = """\
7 openat(AT_FDCWD</>, "/state/outbox/S/.a.part", O_WRONLY|O_CREAT|O_EXCL, 0640) = 5</state/outbox/S/.a.part>
7 writev(5</state/outbox/S/.a.part>, [], 2) = 9
7 fsync(5</state/outbox/S/.a.part> <unfinished ...>
8 sendto(9<socket:[1]>, "\\2\\0", 2, 0, NULL, 0) = 2
7 <... fsync resumed>) = 0
7 rename("/state/outbox/S/.a.part", "/state/outbox/S/1.dcm") = 0
7 openat(AT_FDCWD</>, "/state/outbox/S", O_RDONLY|O_DIRECTORY) = 5</state/outbox/S>
7 fsync(5</state/outbox/S>) = 0
8 sendto(9<socket:[1]>, "\\4\\0\\0", 3, 0, NULL, 0 <unfinished ...>
""".splitlines()
FSYNC, NAMED, SYNCED = TRACE[2], TRACE[5], TRACE[7]


def owed(trace: list[str]) -> list[str]:
    return Storage(Path("/state")).see(list(parsed(trace)))


def test_the_order_of_the_calls_is_judged() -> None:
    assert owed(TRACE) == []
    without_file = [line for line in TRACE if line != FSYNC and "resumed" not in line]
    assert owed(without_file) == ["renamed before it was synced"]
    assert owed([line for line in TRACE if line != SYNCED]) == ["renamed: file"]
    assert owed([*TRACE[:5], SYNCED, NAMED, TRACE[-1]]) == ["renamed: file"]
    assert owed([*TRACE[:7], TRACE[-1], SYNCED]) == ["renamed: file"]
    assert owed([line for line in TRACE if line != NAMED]) == []
    failed = TRACE[4].replace("= 0", "= -1 EIO (Input/output error) (INJECTED)")
    assert owed([*TRACE[:4], failed, FSYNC, *TRACE[4:]]) == ["renamed before it was synced"]


ENTERED = [
    *TRACE[:2],
    "7 pwritev(6</state/outbox/.journal/a.segment>, [], 1, 4096) = 8192",
    "7 fdatasync(6</state/outbox/.journal/a.segment>) = 0",
    NAMED,
    TRACE[-1],
]


def test_what_is_in_the_journal_is_owed_no_more() -> None:
    assert owed(ENTERED) == []
    unflushed = [line for line in ENTERED if "fdatasync" not in line]
    assert owed(unflushed) == ["renamed before it was synced", "renamed: file"]
    assert owed([line for line in ENTERED if "pwritev" not in line]) == [
        "renamed before it was synced",
        "renamed: file",
    ]
    assert owed([line.replace("7 pwritev", "8 pwritev") for line in ENTERED]) == owed(unflushed)
    assert owed([ENTERED[0], *ENTERED[2:4], ENTERED[1], *ENTERED[4:]]) == owed(unflushed)
    failed = ENTERED[3].replace("= 0", "= -1 EIO (Input/output error) (INJECTED)")
    assert owed([*ENTERED[:3], failed, *ENTERED[4:]]) == owed(unflushed)


BERTH = "/state/outbox/.journal/a.prepared/b"
PREPARED = f"""\
7 openat(AT_FDCWD</>, "{BERTH}", O_WRONLY) = 5<{BERTH}>
7 writev(5<{BERTH}>, [], 2) = 9
7 fsetxattr(5<{BERTH}>, "user.g", "", 49, 0) = 0
7 fsync(5<{BERTH}>) = 0
7 link("{BERTH}", "/state/outbox/S/1.dcm") = 0
{TRACE[-1]}
""".splitlines()
SETTLED = f"""\
9 fsync(6</state/outbox/S>) = 0
9 unlink("{BERTH}") = 0
""".splitlines()


def test_a_prepared_name_stands_for_the_real_one() -> None:
    assert owed(PREPARED) == []
    for missing in ("fsetxattr", "fsync"):
        assert owed([line for line in PREPARED if f" {missing}(" not in line]) == ["linked before it was synced"] + (
            ["written: folder"] if missing == "fsync" else []
        )
    late = [*PREPARED[:2], PREPARED[3], PREPARED[2], *PREPARED[4:]]
    assert owed(late) == ["linked before it was synced", "written: folder"]
    before = PREPARED[:-1]
    assert owed([*before, *SETTLED, TRACE[-1]]) == []
    assert owed([*before, SETTLED[1], TRACE[-1]]) == ["linked: file"]
    assert owed([*before[:-1], SETTLED[0], before[-1], SETTLED[1], TRACE[-1]]) == ["linked: file"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
def test_whatever_fails_is_answered_so_and_the_next_one_is_stored(disk: Disk) -> None:
    every(disk, HERE, both=False)
    short(disk)
    print(f"{disk.cases} cases")
    assert disk.wrong == []
    assert disk.cases > 35

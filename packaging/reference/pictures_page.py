"""docs/reference/states.md: the flow and the state machine, drawn (mermaid) from gateway/ and gateway/state/machine.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from gateway.state import machine

ROOMS: Final = ("accession", "cfind", "cmove", "cstore", "deidentify", "deliver")
HEAD: Final = """\
# The flow and the states

Made from the code by packaging/reference/make_reference.py; a test compares.

## The flow

Each box is a folder of gateway/; the words are the first line of its manual page.

```mermaid
{flow}
```

## A request

One accession number for one project. Tables: [gateway/state/machine.py](../../gateway/state/machine.py).

```mermaid
{request}
```

![The states of a request](../pictures/request.svg)

## A series

One series for one project. A request is over when each of its series is in one of: {ends}.

```mermaid
{series}
```

![The states of a series](../pictures/series.svg)
"""


def page() -> str:
    ends = ", ".join(f"`{state}`" for state in sorted(machine.SERIES_ENDS))
    start = machine.SERIES_START
    return HEAD.format(
        flow=flow(),
        ends=ends,
        request=states(machine.REQUEST, (machine.REQUEST_START,)),
        series=states(machine.SERIES, start),
    )


def flow() -> str:
    """The folder listing in the order of the data."""
    boxes = [f'  {room}["{room}: {_first_line(room)}"]' for room in ROOMS]
    outside = ['  ris[("RIS")]', '  pacs[("PACS")]', '  archive[("archive")]']
    arrows = [
        "  ris -->|poll| accession", "  accession -->|request| cfind", "  cfind <-->|C-FIND| pacs", "  cfind -->|plan| cmove",
        "  cmove -->|C-MOVE| pacs", "  pacs -->|C-STORE| cstore", "  cstore -->|data set| deidentify",
        "  deidentify -->|clean, verified| cstore", "  cstore -->|outbox| deliver",
        "  deliver -->|copy, read back, confirm| archive",
    ]  # fmt: skip
    return "\n".join(["flowchart LR", *outside, *boxes, *arrows])


def _first_line(room: str) -> str:
    """Of the room's manual page, without its name, and shortened to its first clause."""
    line = (import_module(f"gateway.{room}").__doc__ or "").splitlines()[0]
    return line.partition(": ")[2].rstrip(".").partition(";")[0].replace('"', "'")


def states(table: Mapping[str, Mapping[str, str]], starts: tuple[str, ...]) -> str:
    return "\n".join(["stateDiagram-v2", *(f"  [*] --> {state}" for state in starts), *_arrows(table)])


def _arrows(table: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for state, events in table.items():
        by_next: dict[str, list[str]] = {}
        for event, after in events.items():
            by_next.setdefault(after, []).append(event)
        yield from (f"  {state} --> {after}: {', '.join(names)}" for after, names in by_next.items())
        if not events:
            yield f"  {state} --> [*]"

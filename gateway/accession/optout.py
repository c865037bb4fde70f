"""The opt-out list of a project: patients whom the RIS names are withdrawn, before anything is asked for. For good: who is taken
off the list stays out, until a person decides otherwise outside of the gateway.

Read whole each time, for a list says who is on it, not what changed. A poll whose list cannot be read, or one of whose patients
cannot, does not ask for anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from gateway.accession.rows import identifier
from gateway.accession.source import RowSource
from gateway.errors import GatewayError, Retry

COLUMN: Final = "patient_id"
BATCH: Final = 500


class Refusals(Protocol):
    """Who sees to it (run.broker.Desk)."""

    def opted_out(self, project: str, patients: Sequence[str]) -> int: ...


@dataclass(frozen=True)
class OptOut:
    """`source`: rows with a column `patient_id`. `then`: the project's poll. `failed`: is told why there was none."""

    project: str
    source: RowSource
    refusals: Refusals
    then: Callable[[], object]
    failed: Callable[[GatewayError], None]

    def run(self) -> object:
        """Raises what the RIS or the state raise, and then nothing was polled; what was withdrawn until then is."""
        try:
            new = sum(self.refusals.opted_out(self.project, batch) for batch in self._batches())
        except GatewayError as err:
            self.failed(err)
            raise
        if new:
            structlog.get_logger().info("optout.withdrawn", project=self.project, new=new)
        return self.then()

    def _batches(self) -> Iterator[list[str]]:
        """Patient IDs, each once; rows without one are no patient."""
        named = dict.fromkeys(_patient(row.get(COLUMN)) for row in self.source.rows(None))
        patients = [patient for patient in named if patient]
        return (patients[at : at + BATCH] for at in range(0, len(patients), BATCH))


def _patient(value: object) -> str:
    """ "" for none. Raises Retry("ris.schema") for one that is no text and no whole number: passed over, nobody would miss it."""
    found = identifier(value)
    if not found and value is not None and not isinstance(value, str):
        told = f"opt_out: the column {COLUMN} holds what is no text ({type(value).__name__}): cast it in the query"
        raise Retry("ris.schema", told, charge=False)
    return found

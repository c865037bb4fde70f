"""A receive process whose verification finds something in one study: nothing is known that would get past the real cleaner."""

import sys

from gateway.deidentify.cleaner import Cleaner
from gateway.model import Dropped, Held, Kept, Outcome
from gateway.run import receive

MARK = b"Leaky thorax"
clean = Cleaner.clean


def leaky(self: Cleaner, dataset: bytes, transfer_syntax: str, own: frozenset[str]) -> Kept | Held | Dropped:
    if MARK in bytes(dataset):
        return Dropped(Outcome.REFUSED, "verify.PatientName@00081030")
    return clean(self, dataset, transfer_syntax, own)


if __name__ == "__main__":
    Cleaner.clean = leaky  # type: ignore[method-assign, assignment]
    sys.exit(receive.main())

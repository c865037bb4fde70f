"""Errors say what to do: the class decides what the worker does with the work at hand.

No message may hold an accession number, a patient identifier, a name or an original UID: `reason` is a short slug that
metrics and history may carry (`find.timeout`), `detail` a sentence for people, built from our own keys and settings only.
"""

from __future__ import annotations

from dataclasses import dataclass


class GatewayError(Exception):
    """Base of every error that the gateway raises on purpose."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Retry(GatewayError):
    """Try again. `after`: seconds, None = the worker's own back-off. `charge`: False when the peer, not the item, failed."""

    def __init__(self, reason: str, detail: str = "", *, after: float | None = None, charge: bool = True) -> None:
        super().__init__(reason, detail)
        self.after = after
        self.charge = charge


class Refused(GatewayError):
    """Final for this item: it is settled `failed` (or set aside) with the reason."""


class Held(GatewayError):
    """A person decides."""


class Fatal(GatewayError):
    """The daemon or the command cannot go on (key missing, schema newer than the code, port taken)."""


@dataclass(frozen=True)
class Mistake:
    """One mistake in a configuration file. `line` counts from 1; 0 = the file as a whole."""

    file: str
    line: int
    where: str
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.where}: {self.found}; {self.allowed}"


class BadConfiguration(Fatal):
    """Every mistake of a configuration at once (exit code 2)."""

    def __init__(self, mistakes: tuple[Mistake, ...]) -> None:
        super().__init__("configuration", "\n".join(str(m) for m in mistakes))
        self.mistakes = mistakes

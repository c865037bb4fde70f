"""What an archive's answer about one instance means. The codes of C-STORE and of STOW-RS are the same. Pure.

Standard: PS3.4 table B.2-1 (C-STORE), PS3.18 table I.2-2 (STOW-RS), PS3.7 annex C (general).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.errors import GatewayError, Refused, Retry

CONFIG_PAUSE: Final = 300.0
"""Seconds until an archive is tried again that a person has to put right."""
DUPLICATE: Final = 0x0111
FAILED: Final = "deliver.failed"
"""It could not, and does not say why (0x0110): of the file, or of an archive whose own database is down."""
_REMARKS: Final = frozenset({0x0001, 0x0107, 0x0116})  # and 0xBxxx: warnings, PS3.7 C.3

_OURS: Final[Mapping[int, str]] = {
    0x0122: "deliver.unsupported",  # SOP class not supported
    0xC122: "deliver.unsupported",  # transfer syntax not supported
    0x0106: "deliver.refused",  # invalid attribute value
    0x0117: "deliver.refused",  # invalid object instance
    0x0120: "deliver.refused",  # missing attribute
    0x0121: "deliver.refused",  # missing attribute value
}


def stored(code: int) -> bool:
    """Success, or stored with a remark, one of the archive's own too."""
    return code == 0x0000 or code in _REMARKS or 0xB000 <= code <= 0xBFFF


def failure(code: int, sink: str) -> GatewayError:
    """The error for any code that is not `stored`: whose fault it is, and whether it can pass."""
    told = f"{sink} answered 0x{code:04X}"
    if 0xA700 <= code <= 0xA7FF:
        return Retry("sink.full", told, charge=False)
    if code in _OURS:
        return Refused(_OURS[code], told)
    if 0xA900 <= code <= 0xA9FF or 0xC000 <= code <= 0xCFFF:  # does not match its class; cannot be understood
        return Refused("deliver.refused", told)
    if code == 0x0124:
        return Retry("sink.unauthorised", told, after=CONFIG_PAUSE, charge=False)
    return Retry(FAILED, told)

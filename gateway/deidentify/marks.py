"""What says that a data set was de-identified, and how (PS3.15 E.1.1 step 8, PS3.3 C.7.1.1 and C.12.1, PS3.16 CID 7050)."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.deidentify.encoding import Codec
from gateway.deidentify.options import BASIC_PROFILE

METHOD_LENGTH = 64
NAME = "pacs-gateway"

Mark = tuple[int, bytes]


def make_marks(
    codec: Codec,
    edition: str,
    version: str,
    methods: Iterable[tuple[str, str]] = (BASIC_PROFILE,),
    temporal: str = "REMOVED",
) -> tuple[Mark, ...]:
    """The elements to insert, encoded, in tag order. `methods` and `temporal`: as in `Options`."""
    method = f"PS3.15 {edition} Basic, {NAME} {version}"[:METHOD_LENGTH]
    return (
        (0x00120062, codec.encode(0x00120062, b"CS", b"YES")),
        (0x00120063, codec.encode(0x00120063, b"LO", method.encode())),
        (0x00120064, codec.encode(0x00120064, b"SQ", b"".join(_code_item(codec, *m) for m in methods))),
        (0x00280303, codec.encode(0x00280303, b"CS", temporal.encode())),
    )


def version_in(method: str) -> str:
    """Of the profile, from the De-identification Method of a file that was cleaned here; "" of another one."""
    return method.partition(f", {NAME} ")[2]


def _code_item(codec: Codec, value: str, meaning: str) -> bytes:
    body = b"".join(
        codec.encode(tag, vr, text.encode())
        for tag, vr, text in ((0x00080100, b"SH", value), (0x00080102, b"SH", "DCM"), (0x00080104, b"LO", meaning))
    )
    return codec.item(len(body)) + body

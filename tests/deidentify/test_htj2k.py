"""High-Throughput JPEG 2000 is decoded as it was encoded: by another implementation, which nothing here depends on."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.deidentify.codecs import decode
from gateway.deidentify.frames import Unscreenable, open_picture
from tests.deidentify.part10 import file
from tests.deidentify.test_frames import item

SYNTAXES = [f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203)]
Y, X = np.mgrid[0:24, 0:32]
GREY = ((X * 7 + Y * 5) % 256).astype(np.uint8)
ARRAYS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "mono": (GREY, {}, "MONOCHROME2"),
    "deep": ((X * 97 + Y * 31).astype(np.uint16), {"bits": 16, "stored": 12}, "MONOCHROME2"),
    "rgb": (np.stack([GREY, 255 - GREY, GREY // 2], axis=2), {"samples": 3, "photometric": b"YBR_RCT"}, "RGB"),
}


def stream(name: str) -> bytes:
    lines = Path(__file__).with_name("htj2k.txt").read_text().splitlines()[1:]
    data = base64.b64decode(dict(line.split() for line in lines)[name])
    return data + b"\0" * (len(data) & 1)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("name", ARRAYS)
def test_every_sample(name: str, syntax: str) -> None:
    array, told, photometric = ARRAYS[name]
    more: dict[str, Any] = {"rows": 24, "columns": 32, "pixels": item(b"") + item(stream(name))}
    frame = decode(memoryview(stream(name)), open_picture(memoryview(file(syntax=syntax, **more, **told))))
    assert frame.photometric == photometric
    assert np.array_equal(frame.pixels, array)


def test_half_of_it_is_no_picture() -> None:
    half = stream("mono")[:40]
    with pytest.raises(Unscreenable, match=r"pixels\.undecodable"):
        decode(
            memoryview(half),
            open_picture(memoryview(file(syntax=SYNTAXES[0], rows=24, columns=32, pixels=item(b"") + item(half)))),
        )

"""Code meanings of the standard's own context groups (PS3.16), which nobody typed, and which cleaning as text would mutilate:
eponyms, colours and formulas have words that are names as well ("Fitzpatrick Skin Type II", "Gray Level Co-occurrence Matrix").

The file is `meanings.txt` beside this module, made by `packaging/make_meanings.py`; its first lines name the source. A meaning
stays only as a whole, and not where a word of the patient's own stands in it.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from gateway.deidentify.pseudonym import PADDING


@cache
def load_meanings() -> frozenset[bytes]:
    """Reads the list that is shipped with the package."""
    text = files("gateway.deidentify").joinpath("meanings.txt").read_text(encoding="ascii")
    return frozenset(line.encode() for line in text.splitlines() if not line.startswith("#"))


def is_standard(raw: bytes) -> bool:
    """Whether the value of a Code Meaning is one of the list."""
    return raw.strip(PADDING) in load_meanings()

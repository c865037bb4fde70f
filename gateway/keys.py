"""One secret key, one sub-key per purpose, and the keyed hashes that look-ups and pseudonyms are made of.

Pure: the key comes in as an argument. Sub-keys are BLAKE2b keyed hashes of a purpose, so that no two purposes (or projects)
share one and nothing learned from one says anything about another.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

KEY_BYTES = 32
LOOK_UP: Final = "look-up"
AUDIT: Final = "audit"
PSEUDONYM: Final = "pseudonym"


def derive(master: bytes, *purpose: str) -> bytes:
    """The 32-byte sub-key for a purpose such as `("seal",)` or `("pseudonym", "chest-ct")`."""
    h = hashlib.blake2b(key=master, digest_size=KEY_BYTES, person=b"pacs-gateway")
    for part in purpose:
        raw = part.encode()
        h.update(len(raw).to_bytes(4, "big") + raw)
    return h.digest()


def keyed_hash(key: bytes, *parts: str) -> str:
    """32 hex digits (128 bits) for look-up columns and ledgers; parts are length-prefixed, so ("ab", "c") != ("a", "bc")."""
    h = hashlib.blake2b(key=key, digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        h.update(len(raw).to_bytes(4, "big") + raw)
    return h.hexdigest()


def short_key(letter: str, digest: str) -> str:
    """Our own public key of a row (`R-4K2...`): a letter and 13 base-32 digits (64 bits) of a keyed hash."""
    return f"{letter}-{base64.b32encode(bytes.fromhex(digest)[:8]).decode().rstrip('=')}"


@dataclass(frozen=True)
class Keys:
    """What each purpose uses. `ring`: keys that are not the master key's own, by purpose, the one in use first.

    A purpose that is not in the ring has the sub-key of the master key: so is everything until a key is rotated
    (docs/adr/0017-keys.md). The seal is always the master key's: that it changes is what a rotation is for.
    """

    master: bytes = field(repr=False)
    ring: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict, repr=False)

    @property
    def seal(self) -> bytes:
        return derive(self.master, "seal")

    @property
    def look_up(self) -> bytes:
        return self._of(LOOK_UP)[0]

    @property
    def audit(self) -> bytes:
        return self._of(AUDIT)[0]

    def project(self, name: str) -> bytes:
        """Of its pseudonyms, UIDs and shifts of dates."""
        return self._of(PSEUDONYM, name)[0]

    def former(self, name: str) -> tuple[bytes, ...]:
        """Those that it had before, the latest first: for what was delivered then."""
        return self._of(PSEUDONYM, name)[1:]

    def under(self, master: bytes, projects: Iterable[str]) -> Keys:
        """The same of every purpose under another master key. `projects`: all that there ever were."""
        carried = {LOOK_UP: self._of(LOOK_UP), AUDIT: self._of(AUDIT)}
        carried |= {f"{PSEUDONYM}/{name}": self._of(PSEUDONYM, name) for name in projects}
        return Keys(master, {**self.ring, **carried})

    def renewed(self, project: str, key: bytes) -> Keys:
        """That project with a key of its own, from now on."""
        return Keys(self.master, {**self.ring, f"{PSEUDONYM}/{project}": (key, *self._of(PSEUDONYM, project))})

    def _of(self, *purpose: str) -> tuple[bytes, ...]:
        return self.ring.get("/".join(purpose)) or (derive(self.master, *purpose),)


def keys_from(key: bytes | Keys) -> Keys:
    """A master key that was never rotated is its own ring."""
    return key if isinstance(key, Keys) else Keys(key)

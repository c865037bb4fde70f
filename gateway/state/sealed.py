"""Sealed columns: what identifies a patient stands in a row only as AES-256-GCM (NIST SP 800-38D) under the gateway's key.

Beside each sealed column stands a keyed hash for look-up. Without the key the database says nothing about anybody.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import Fatal
from gateway.keys import Keys, keyed_hash, keys_from

NONCE_BYTES = 12
VERSION = b"\x01"


class Seal:
    """Seals and opens small records. `key`: the 32-byte master key; each use has its own sub-key of it; or all keys."""

    def __init__(self, key: bytes | Keys) -> None:
        keys = keys_from(key)
        self._aes = AESGCM(keys.seal)
        self._lookup = keys.look_up

    def close_up(self, record: Mapping[str, str], *, owner: str) -> bytes:
        """`record` encrypted; `owner` (the row's key) is authenticated, so that a value cannot be moved to another row."""
        nonce = os.urandom(NONCE_BYTES)
        text = json.dumps(dict(record), ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
        return VERSION + nonce + self._aes.encrypt(nonce, text, owner.encode())

    def open_up(self, blob: bytes | None, *, owner: str) -> dict[str, str]:
        """The record, {} when it was dropped. Raises Fatal when it was sealed with another key or changed since."""
        if blob is None:
            return {}
        nonce, text = blob[1 : 1 + NONCE_BYTES], blob[1 + NONCE_BYTES :]
        try:
            opened: dict[str, str] = json.loads(self._aes.decrypt(nonce, text, owner.encode()))
        except InvalidTag:
            mend = "the state was written with another key: put the right key back, repeat a `key rotate` that was cut short,"
            mend += " or start with an empty state_dir"
            raise Fatal("state.key", mend) from None
        return opened

    def hash(self, kind: str, *parts: str) -> str:
        """Keyed hash (32 hex digits) for look-up columns; `kind` keeps the spaces of values apart."""
        return keyed_hash(self._lookup, kind, *parts)

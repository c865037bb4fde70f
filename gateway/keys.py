"""One secret key, one sub-key per purpose, and the keyed hashes that look-ups and pseudonyms are made of.

Pure: the key comes in as an argument. Sub-keys are BLAKE2b keyed hashes of a purpose, so that no two purposes (or projects)
share one and nothing learned from one says anything about another.
"""

from __future__ import annotations

import base64
import hashlib

KEY_BYTES = 32


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

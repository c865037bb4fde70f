"""The ring: what a rotation of the master key carries over, and keys that a project was given, sealed under the master key of now.

An empty ring is that of a master key that was never rotated: everything is derived from it.
"""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import delete, insert, select
from sqlalchemy.engine import Connection

from gateway.keys import Keys
from gateway.state.db import Database
from gateway.state.sealed import Seal
from gateway.state.sharing import keyring

OWNER: Final = "keyring:"


def keys_of(database: Database, key: bytes | Keys) -> Keys:
    """`key`: the 32-byte master key; all keys there are come back as they are. Raises Fatal("state.key") for another one's ring."""
    if isinstance(key, Keys):
        return key
    with database.read() as c:
        return read(c, key)


def read(c: Connection, master: bytes) -> Keys:
    seal = Seal(master)
    rows = c.execute(select(keyring)).all()
    opened = {r.purpose: seal.open_up(r.sealed, owner=OWNER + r.purpose) for r in rows}
    return Keys(master, {purpose: _keys(told["keys"]) for purpose, told in opened.items()})


def write(c: Connection, keys: Keys) -> None:
    """In place of what was there."""
    seal = Seal(keys)
    c.execute(delete(keyring))
    for purpose, some in sorted(keys.ring.items()):
        told = {"keys": json.dumps([key.hex() for key in some])}
        c.execute(insert(keyring).values(purpose=purpose, sealed=seal.close_up(told, owner=OWNER + purpose)))


def _keys(told: str) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(key) for key in json.loads(told))

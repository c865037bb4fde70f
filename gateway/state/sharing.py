"""Tables that are about the state itself: the nodes that share it, how many rows of it there are (since
schema 7), and its keys (since schema 9)."""

from __future__ import annotations

from sqlalchemy import Column, Float, Integer, LargeBinary, MetaData, String, Table

metadata = MetaData()

node = Table(
    "node",
    metadata,
    Column("name", String, primary_key=True),
    Column("home", String, nullable=False),  # names its state_dir
    Column("lease_until", Float, nullable=False),
    Column("since", Float, nullable=False),  # since when it has never let more than half of its lease pass
)

turn = Table(
    "turn",  # what one node at a time does
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),  # a node's name
    Column("until", Float, nullable=False),
)

population = Table(
    "population",  # kept by triggers (gateway/state/population.py); the numbers of a state's slots add up to its rows
    metadata,
    Column("subject", String, primary_key=True),  # "request" or "series"
    Column("project", String, primary_key=True),
    Column("state", String, primary_key=True),
    Column("pacs", String, primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, nullable=False),
)

keyring = Table(
    "keyring",  # keys that are not derived from the master key (gateway/state/ring.py)
    metadata,
    Column("purpose", String, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),  # keys: the one in use first
)

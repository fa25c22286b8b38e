"""The tables of `mi.db`, and the revisions of this schema that this program knows.

The file is precious: with it go who may read, what every reader has acknowledged, and whom personal data was disclosed to.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

REVISIONS = ("0001",)
"""Every schema revision in order; the last is the one this program reads and writes. A test holds it against Alembic's."""

whole_number = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData()

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", String(16), primary_key=True),
    Column("reader", String(40), nullable=False, index=True),
    Column("secret_hash", String(64), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_utc_us", whole_number, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires_utc_us", whole_number, nullable=False),
    Column("revoked_utc_us", whole_number),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("reader", String(40), primary_key=True),
    Column("stream", String(32), primary_key=True),
    Column("filters", String(64), primary_key=True),
    Column("ledger_id", String(32), primary_key=True),
    Column("position", whole_number, nullable=False),
    Column("at_utc_us", whole_number, nullable=False),
    Column("token_id", String(16), nullable=False),
)

disclosures = Table(
    "disclosures",
    metadata,
    Column("disclosure", whole_number, primary_key=True, autoincrement=True),
    Column("at_utc_us", whole_number, nullable=False),
    Column("reader", String(40), nullable=False),
    Column("token_id", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("resource", String(64), nullable=False),
    Column("first_position", whole_number),
    Column("last_position", whole_number),
    Column("since_utc_us", whole_number),
    Column("until_utc_us", whole_number),
    Column("selection", Text, nullable=False),
    Column("count", whole_number, nullable=False),
    Column("numbers", Integer, nullable=False),
    Column("purpose", Text),
)
Index("ix_disclosures_at", disclosures.c.at_utc_us)

keys = Table(
    "keys",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("secret", LargeBinary, nullable=False),
)
"""Secrets of this service, made on first use. `cursors`: what cursors are signed with."""

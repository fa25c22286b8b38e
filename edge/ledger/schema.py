"""The tables of the ledger, and the revisions of this schema that this program knows.

Digests are kept as hexadecimal text, so that the chain can be recomputed with nothing but the database's own shell and
`sha256sum`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from edge.ledger.text import AnyText

REVISIONS = ("0001", "0002")
"""Every schema revision in order; the last is the one this program reads and writes. A test holds it against Alembic's."""

whole_number = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits. SQLite's rowid alias, the fastest key it has, must be spelt INTEGER."""

any_text = Text().with_variant(AnyText(), "postgresql")
"""Text that others than us may have written."""

metadata = MetaData()

facts = Table(
    "facts",
    metadata,
    Column("sequence", whole_number, primary_key=True, autoincrement=False),
    Column("kind", String(64), nullable=False),
    Column("monotonic_ns", whole_number, nullable=False),
    Column("utc_us", whole_number, nullable=False),
    Column("switch_utc_us", whole_number),
    Column("clock", String(32), nullable=False),
    Column("reason", any_text, nullable=False),
    Column("call_id", any_text, index=True),
    Column("agent", any_text),
    Column("body", Text, nullable=False),
    Column("personal_digest", String(64)),
    Column("hash", String(64), nullable=False),
)

personal = Table(
    "personal",
    metadata,
    Column("sequence", whole_number, ForeignKey("facts.sequence"), primary_key=True, autoincrement=False),
    Column("salt", String(64), nullable=False),
    Column("body", Text, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("sequence", whole_number, primary_key=True, autoincrement=False),
    Column("made_utc_us", whole_number, nullable=False),
    Column("state", LargeBinary, nullable=False),
)

meta = Table(
    "meta",
    metadata,
    Column("ledger_id", String(32), primary_key=True),
    Column("created_utc_us", whole_number, nullable=False),
    Column("head_sequence", whole_number, nullable=False),
    Column("head_hash", String(64), nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", whole_number, primary_key=True, autoincrement=False),
    Column("utc_us", whole_number, nullable=False),
    Column("who", any_text, nullable=False),
    Column("what", String(64), nullable=False),
    Column("why", any_text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)
"""Who did what to the record beside writing facts, and why: chained as facts are, never erased. It has no caller's number."""

erased = Table(
    "erased",
    metadata,
    Column("position", whole_number, primary_key=True, autoincrement=False),
    Column("sequence", whole_number, nullable=False),
    Column("audit", whole_number, ForeignKey("audit.number"), nullable=False),
)
"""Facts whose personal data was erased, in the order of erasing: copies follow it by cursor."""

holds = Table(
    "holds",
    metadata,
    Column("hold", whole_number, primary_key=True, autoincrement=False),
    Column("since_utc_us", whole_number, nullable=False),
    Column("by", any_text, nullable=False),
    Column("why", any_text, nullable=False),
    Column("number", Text),
    Column("call_id", any_text),
    Column("from_utc_us", whole_number),
    Column("until_utc_us", whole_number),
    Column("released_utc_us", whole_number),
)
"""Legal holds: what may not be erased until it is released. A released hold keeps no number."""

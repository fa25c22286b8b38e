"""The shared database: how far each ledger has come, facts, personal data apart, audits.

No foreign keys: every row is written in the transaction that moves its ledger's position, and a key checked for each of millions
of rows would halve the speed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "edge101"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "ledgers",
        sa.Column("ledger_id", sa.String(32), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_utc_us", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("head_hash", sa.String(64), nullable=False),
        sa.Column("erased", sa.BigInteger, nullable=False),
        sa.Column("audit", sa.BigInteger, nullable=False),
        sa.Column("shipped_utc_us", sa.BigInteger, nullable=False),
        sa.Column("replaced_utc_us", sa.BigInteger),
        schema=SCHEMA,
    )
    op.create_index(
        "ix_ledgers_name",
        "ledgers",
        ["name"],
        unique=True,
        schema=SCHEMA,
        postgresql_where=sa.text("replaced_utc_us IS NULL"),
    )
    op.create_table(
        "facts",
        sa.Column("ledger_id", sa.String(32), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("monotonic_ns", sa.BigInteger, nullable=False),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("switch_utc_us", sa.BigInteger),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("clock", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text),
        sa.Column("agent", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("personal_digest", sa.String(64)),
        sa.Column("hash", sa.String(64), nullable=False),
        schema=SCHEMA,
    )
    op.create_index("ix_edge101_facts_call_id", "facts", ["call_id"], schema=SCHEMA)
    op.create_table(
        "personal",
        sa.Column("ledger_id", sa.String(32), primary_key=True),
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "audit",
        sa.Column("ledger_id", sa.String(32), primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        schema=SCHEMA,
    )

"""The ledger: facts, personal data apart, checkpoints, and what the ledger says of itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

whole_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "facts",
        sa.Column("sequence", whole_number, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("monotonic_ns", whole_number, nullable=False),
        sa.Column("utc_us", whole_number, nullable=False),
        sa.Column("switch_utc_us", whole_number),
        sa.Column("clock", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("call_id", sa.Text),
        sa.Column("agent", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("personal_digest", sa.String(64)),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("ix_facts_call_id", "facts", ["call_id"])
    op.create_table(
        "personal",
        sa.Column(
            "sequence", whole_number, sa.ForeignKey("facts.sequence"), primary_key=True, autoincrement=False
        ),
        sa.Column("salt", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_table(
        "checkpoints",
        sa.Column("sequence", whole_number, primary_key=True, autoincrement=False),
        sa.Column("made_utc_us", whole_number, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "meta",
        sa.Column("ledger_id", sa.String(32), primary_key=True),
        sa.Column("created_utc_us", whole_number, nullable=False),
        sa.Column("head_sequence", whole_number, nullable=False),
        sa.Column("head_hash", sa.String(64), nullable=False),
    )

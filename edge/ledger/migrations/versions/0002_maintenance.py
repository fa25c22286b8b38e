"""Maintenance of the record: its audit, what was erased in which order, and legal holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

whole_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "audit",
        sa.Column("number", whole_number, primary_key=True, autoincrement=False),
        sa.Column("utc_us", whole_number, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_table(
        "erased",
        sa.Column("position", whole_number, primary_key=True, autoincrement=False),
        sa.Column("sequence", whole_number, nullable=False),
        sa.Column("audit", whole_number, sa.ForeignKey("audit.number"), nullable=False),
    )
    op.create_table(
        "holds",
        sa.Column("hold", whole_number, primary_key=True, autoincrement=False),
        sa.Column("since_utc_us", whole_number, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("number", sa.Text),
        sa.Column("call_id", sa.Text),
        sa.Column("from_utc_us", whole_number),
        sa.Column("until_utc_us", whole_number),
        sa.Column("released_utc_us", whole_number),
    )

"""What `edge mi` keeps: tokens, acknowledgements, disclosures, keys."""

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
        "tokens",
        sa.Column("token_id", sa.String(16), primary_key=True),
        sa.Column("reader", sa.String(40), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_utc_us", whole_number, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_utc_us", whole_number, nullable=False),
        sa.Column("revoked_utc_us", whole_number),
    )
    op.create_index("ix_tokens_reader", "tokens", ["reader"])
    op.create_table(
        "acknowledgements",
        sa.Column("reader", sa.String(40), primary_key=True),
        sa.Column("stream", sa.String(32), primary_key=True),
        sa.Column("filters", sa.String(64), primary_key=True),
        sa.Column("ledger_id", sa.String(32), primary_key=True),
        sa.Column("position", whole_number, nullable=False),
        sa.Column("at_utc_us", whole_number, nullable=False),
        sa.Column("token_id", sa.String(16), nullable=False),
    )
    op.create_table(
        "disclosures",
        sa.Column("disclosure", whole_number, primary_key=True, autoincrement=True),
        sa.Column("at_utc_us", whole_number, nullable=False),
        sa.Column("reader", sa.String(40), nullable=False),
        sa.Column("token_id", sa.String(16), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("first_position", whole_number),
        sa.Column("last_position", whole_number),
        sa.Column("since_utc_us", whole_number),
        sa.Column("until_utc_us", whole_number),
        sa.Column("selection", sa.Text, nullable=False),
        sa.Column("count", whole_number, nullable=False),
        sa.Column("numbers", sa.Integer, nullable=False),
        sa.Column("purpose", sa.Text),
    )
    op.create_index("ix_disclosures_at", "disclosures", ["at_utc_us"])
    op.create_table(
        "keys",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("secret", sa.LargeBinary, nullable=False),
    )

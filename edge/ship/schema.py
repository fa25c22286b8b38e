"""The shared database: every appliance's facts in one table, by ledger and sequence, in a schema `edge101` of their own.

Each ledger also has a schema `ledger_ID` of views, which looks as a ledger of its own does: `edge --ledger '...?ledger=ID'` reads
and verifies the copy as it does the original.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text, text

from edge.ledger import schema as ledger

REVISIONS = ("0001",)
"""Every schema revision in order; the last is the one this program writes. A test holds it against Alembic's."""

SCHEMA = "edge101"
metadata = MetaData(schema=SCHEMA)

ledgers = Table(
    "ledgers",
    metadata,
    Column("ledger_id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_utc_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("head_hash", String(64), nullable=False),
    Column("erased", BigInteger, nullable=False),
    Column("audit", BigInteger, nullable=False),
    Column("shipped_utc_us", BigInteger, nullable=False),
    Column("replaced_utc_us", BigInteger),
)
"""How far each ledger has come: the last fact with its hash, the last erasure and the last entry of its audit that are here."""

Index(
    "ix_ledgers_name",
    ledgers.c.name,
    unique=True,
    postgresql_where=text("replaced_utc_us IS NULL"),
)

facts = Table(
    "facts",
    metadata,
    Column("ledger_id", String(32), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    *(
        Column(each.name, BigInteger, nullable=False)
        for each in (ledger.facts.c.monotonic_ns, ledger.facts.c.utc_us)
    ),
    Column("switch_utc_us", BigInteger),
    Column("kind", String(64), nullable=False),
    Column("clock", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("call_id", Text, index=True),
    Column("agent", Text),
    Column("body", Text, nullable=False),
    Column("personal_digest", String(64)),
    Column("hash", String(64), nullable=False),
)

personal = Table(
    "personal",
    metadata,
    Column("ledger_id", String(32), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("salt", String(64), nullable=False),
    Column("body", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("ledger_id", String(32), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("utc_us", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", String(64), nullable=False),
    Column("why", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)

EMPTY = {
    "checkpoints": "NULL::bigint AS sequence, NULL::bigint AS made_utc_us, NULL::bytea AS state",
    "erased": "NULL::bigint AS position, NULL::bigint AS sequence, NULL::bigint AS audit",
    "holds": "NULL::bigint AS hold, NULL::bigint AS since_utc_us, NULL::text AS by, NULL::text AS why, NULL::text AS number, "
    "NULL::text AS call_id, NULL::bigint AS from_utc_us, NULL::bigint AS until_utc_us, NULL::bigint AS released_utc_us",
}
"""What an appliance keeps to itself."""


def views(ledger_id: str) -> Iterator[str]:
    """The statements that make one ledger's schema of views, or bring it up to date.

    `ledger_id`: letters and digits (`edge.ledger.postgres.LEDGER_ID`).
    """
    place, its = f"ledger_{ledger_id}", f"WHERE ledger_id = '{ledger_id}'"
    yield f"CREATE SCHEMA IF NOT EXISTS {place}"
    for table in (ledger.facts, ledger.personal, ledger.audit):
        names = ", ".join(each.name for each in table.columns)
        yield f"CREATE OR REPLACE VIEW {place}.{table.name} AS SELECT {names} FROM edge101.{table.name} {its}"  # noqa: S608
    for name, nothing in EMPTY.items():
        yield f"CREATE OR REPLACE VIEW {place}.{name} AS SELECT {nothing} WHERE false"
    its_meta = f"'{ledger_id}'::text AS ledger_id, created_utc_us, position AS head_sequence, head_hash"
    yield f"CREATE OR REPLACE VIEW {place}.meta AS SELECT {its_meta} FROM edge101.ledgers {its}"  # noqa: S608
    yield f"CREATE OR REPLACE VIEW {place}.alembic_version AS SELECT '{ledger.REVISIONS[-1]}'::text AS version_num"

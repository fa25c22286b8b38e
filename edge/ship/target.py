"""The shared database as one appliance's ledger sees it: how far its copy has come, and one transaction per batch.

The position moves in the transaction that writes the facts. So whoever is killed when, and whether or not a commit's answer came
back: the database itself says where to go on, and every fact is in it once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from edge.errors import PermanentError
from edge.ledger.chain import Head, genesis
from edge.ledger.codec import Record, Row
from edge.ledger.maintenance import AuditEntry
from edge.ledger.postgres import LEDGER_ID
from edge.ledger.text import MARK, NUL, without_nul
from edge.ports import LedgerError
from edge.ship.place import place_of
from edge.ship.schema import REVISIONS, SCHEMA, views

STATEMENT_MS = 60_000
"""A statement that takes longer is given up, and done again."""
WAIT_MS = 5000

PREPARING = "SELECT pg_advisory_xact_lock(hashtextextended('edge101 shared database', 0))"
COPY_FACTS = f"COPY edge101.facts (ledger_id, {', '.join(Row._fields)}, hash) FROM STDIN"
COPY_PERSONAL = "COPY edge101.personal (ledger_id, sequence, salt, body) FROM STDIN"
COPY_AUDIT = f"COPY edge101.audit (ledger_id, {', '.join(AuditEntry._fields)}) FROM STDIN"
ERASE = "DELETE FROM edge101.personal WHERE ledger_id = %s AND sequence = ANY(%s)"
COME_TO = "SELECT position, head_hash, erased, audit FROM edge101.ledgers WHERE ledger_id = %s FOR UPDATE"
MOVE = (
    "UPDATE edge101.ledgers SET position = %s, head_hash = %s, erased = %s, audit = %s, shipped_utc_us = %s "
    "WHERE ledger_id = %s"
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a copy has come: its last fact with the hash, the last erasure and the last entry of the audit."""

    head: Head
    erased: int = 0
    audit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What takes a copy from one progress to the next, checked."""

    after: Progress
    records: Sequence[Record]
    erased: Sequence[int]
    """Sequences whose personal data was erased at the source."""
    audit: Sequence[AuditEntry]
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """One ledger in the shared database, for a person."""

    ledger_id: str
    name: str
    position: int
    erased: int
    shipped_utc_us: int
    replaced_utc_us: int | None


class Target:
    """An open connection, and the right to write this ledger's copy. Raises `LedgerError` when the database cannot be used."""

    def __init__(self, url: str, password: str | None = None) -> None:
        self._place = place_of(url, password)
        self._connection: psycopg.Connection[Any] = self._connect()
        self._id = ""

    def __str__(self) -> str:
        return str(self._place).replace("ledger ", "shared database ", 1)

    def prepare(self) -> None:
        """Make the schema, or bring it up to date. Appliances that come at once wait for each other."""
        with self._explained(), self._connection.transaction():
            self._connection.execute(PREPARING)
            found = self._revision()
        if found == REVISIONS[-1]:
            return
        if found is not None and found not in REVISIONS:
            raise PermanentError(
                f"{self}: its schema {found} is newer than this program's {REVISIONS[-1]}; use a newer version of edge"
            )
        self._upgrade()

    def register(self, ledger_id: str, name: str, created_utc_us: int, *, replaced: bool) -> None:
        """Become the one that ships this ledger, under this name. `replaced`: it takes the place of another on purpose.

        Raises `PermanentError` when the name is another ledger's, or this one was declared replaced.
        """
        if not LEDGER_ID.fullmatch(ledger_id):
            raise PermanentError(
                f"the ledger's id {ledger_id!r} is not one that this program makes; verify it"
            )
        self._id = ledger_id
        with self._explained(), self._connection.transaction():
            self._alone(ledger_id)
            self._introduce(ledger_id, name, created_utc_us, replaced)
            for statement in views(ledger_id):
                self._connection.execute(statement)

    def progress(self) -> Progress:
        """How far the copy has come."""
        with self._explained(), self._connection.transaction():
            return self._progress()

    def put(self, batch: Batch) -> bool:
        """Write one batch and move the position, or nothing. False: the copy was not where the batch begins."""
        with self._explained(), self._connection.transaction(), self._connection.cursor() as cursor:
            if self._progress() != batch.after:
                return False
            if batch.records:
                self._copy(cursor, COPY_FACTS, map(_fact, batch.records))
            if kept := [record.personal for record in batch.records if record.personal]:
                self._copy(cursor, COPY_PERSONAL, kept)
            if batch.erased:
                cursor.execute(ERASE, (self._id, list(batch.erased)))
            if batch.audit:
                self._copy(cursor, COPY_AUDIT, map(_audited, batch.audit))
            now = batch.progress
            cursor.execute(MOVE, (*now.head, now.erased, now.audit, time.time_ns() // 1000, self._id))
        return True

    def list(self) -> list[Shipped]:
        """Every ledger in this database."""
        wanted = "SELECT ledger_id, name, position, erased, shipped_utc_us, replaced_utc_us FROM edge101.ledgers ORDER BY name"
        with self._explained(), self._connection.transaction():
            rows = self._connection.execute(wanted).fetchall() if self._revision() else []
        return [
            Shipped(
                ledger_id=row[0],
                name=row[1],
                position=row[2],
                erased=row[3],
                shipped_utc_us=row[4],
                replaced_utc_us=row[5],
            )
            for row in rows
        ]

    def close(self) -> None:
        """Let go."""
        self._connection.close()

    def _connect(self) -> psycopg.Connection[Any]:
        with self._explained():
            return psycopg.connect(**self._place.connection(WAIT_MS, STATEMENT_MS))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise LedgerError(
                str(self._place.explain_cause(error)).replace("ledger ", "shared database ", 1)
            ) from error

    def _revision(self) -> str | None:
        there = self._connection.execute(
            "SELECT to_regclass('edge101.alembic_version') IS NOT NULL"
        ).fetchone()
        if not there or not there[0]:
            return None
        found = self._connection.execute("SELECT version_num FROM edge101.alembic_version").fetchone()
        return found[0] if found else None

    def _upgrade(self) -> None:
        from edge.ledger.migrations import (
            upgrade,
        )  # Alembic takes a tenth of a second to import; few starts need it

        engine = self._place.writer()
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql(PREPARING)
                _make_schema(connection)
                upgrade(connection, Path(__file__).parent / "migrations")
        except SQLAlchemyError as error:
            raise self._place.explain(error) from error
        finally:
            engine.dispose()

    def _alone(self, ledger_id: str) -> None:
        asked = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
        found = self._connection.execute(asked, (f"edge101 ship {ledger_id}",)).fetchone()
        if not found or not found[0]:
            raise LedgerError(
                f"{self}: another `edge ship` is shipping this ledger, or the server has not yet noticed that it died; "
                "if there are two, stop one"
            )

    def _introduce(self, ledger_id: str, name: str, created_utc_us: int, replaced: bool) -> None:
        now = time.time_ns() // 1000
        ours = self._connection.execute(
            "SELECT replaced_utc_us FROM edge101.ledgers WHERE ledger_id = %s",
            (self._id,),
        ).fetchone()
        if ours and ours[0] is not None:
            raise PermanentError(
                f"{self}: this ledger ({ledger_id}) was declared replaced by another one. Ship the one that is in use, or let a "
                f"person set its replaced_utc_us in {SCHEMA}.ledgers to NULL"
            )
        other = self._connection.execute(
            "SELECT ledger_id, position FROM edge101.ledgers "
            "WHERE name = %s AND replaced_utc_us IS NULL AND ledger_id <> %s",
            (name, self._id),
        ).fetchone()
        if other and not replaced:
            raise PermanentError(
                f"{self}: under the name {name!r} another ledger was shipped until now ({other[0]}, {other[1]} facts). "
                "If its disk was lost or it was begun anew on purpose: edge ship --replaced, once. If this is another appliance: "
                "give it a name of its own ([ship] name)"
            )
        if other:
            self._connection.execute(
                "UPDATE edge101.ledgers SET replaced_utc_us = %s WHERE ledger_id = %s",
                (now, other[0]),
            )
        self._connection.execute(
            "INSERT INTO edge101.ledgers VALUES (%s, %s, %s, 0, %s, 0, 0, %s, NULL) "
            "ON CONFLICT (ledger_id) DO UPDATE SET name = excluded.name",
            (self._id, name, created_utc_us, genesis(ledger_id).hash, now),
        )

    def _progress(self) -> Progress:
        row = self._connection.execute(COME_TO, (self._id,)).fetchone()
        if row is None:
            raise LedgerError(
                f"{self}: this ledger is no longer in it; it is shipped anew from its beginning"
            )
        position, digest, erased, audit = row
        return Progress(Head(position, digest), erased, audit)

    def _copy(self, cursor: psycopg.Cursor[Any], statement: str, rows: Any) -> None:
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row((self._id, *row))


def _fact(record: Record) -> tuple[Any, ...]:
    row = record.row
    strange = f"{row.reason}{row.call_id}{row.agent}"  # the only texts in which others may have written
    if NUL in strange or MARK in strange:
        return (*(without_nul(value) if isinstance(value, str) else value for value in row), record.hash)
    return (*row, record.hash)


def _audited(entry: AuditEntry) -> tuple[Any, ...]:
    return entry._replace(who=without_nul(entry.who), why=without_nul(entry.why))


def _make_schema(connection: Connection) -> None:
    if SCHEMA not in inspect(connection).get_schema_names():
        connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")

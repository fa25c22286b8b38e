"""Everything that is particular to PostgreSQL: how to open it, how one writer keeps others out, and what its errors mean.

A ledger is seven tables in one schema of a database, named by URL alone: `postgresql+psycopg://user@host/database`. Everything of
libpq's may stand behind a `?` (`sslmode`, `options`, ...), and passwords where libpq looks for them (`~/.pgpass`, PGPASSFILE).
`?ledger=ID` reads the copy of one appliance's ledger that `edge ship` made (edge/ship/schema.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Update, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from edge.ports import LedgerError

WRITER_WAIT_MS = 200
"""Less than the 250 ms after which a commit counts as trouble (DESIGN: survival, layer 6)."""
PATIENT_WAIT_MS = 5000
CONNECT_SECONDS = 5
SILENCE_MS = 10_000
"""A server from which nothing has come for so long, while something was asked, is gone."""

NOTICE_OUR_DEATH = (
    "-ctcp_keepalives_idle=10 -ctcp_keepalives_interval=5 -ctcp_keepalives_count=3 "
    "-cidle_in_transaction_session_timeout=60000"
)
"""A lock of ours whose machine is gone must not be in our own way for two hours, TCP's default."""

LEDGER_ID = re.compile(r"[0-9a-z]{1,32}")
"""It becomes part of a schema's name. Ours are hexadecimal; those of made-up ledgers say so."""
VERIFIED = frozenset({"verify-ca", "verify-full"})
LOOPBACK = frozenset({"", "localhost", "127.0.0.1", "::1"})

UNREACHABLE = (
    "it cannot be reached",
    "see whether PostgreSQL runs and takes connections there; nothing is lost meanwhile",
)
MEANING = {
    "08": UNREACHABLE,
    "57": UNREACHABLE,
    "28": ("the server refuses this user", "look at its pg_hba.conf, and at the password in ~/.pgpass"),
    "3D": ("there is no such database", "make it: createdb --encoding=UTF8 NAME"),
    "3F": ("there is no such schema", "name one that is there in the URL's options=-csearch_path=..."),
    "42501": ("this user may not do that", "let an administrator grant it the database: GRANT ALL ON ... TO"),
    "42": (
        "its tables are not those of this program",
        "name another database, or use the version that made it",
    ),
    "53100": ("the disk is full", "free space on the server; writing goes on by itself"),
    "53300": ("the server has no free connection", "raise its max_connections, or end idle ones"),
    "53": ("the server is short of something", "look at its log"),
    "25006": (
        "the server is a stand-by and only reads",
        "name the primary, or all of them with ?target_session_attrs=read-write",
    ),
    "55P03": ("another program holds it locked", "find it in pg_stat_activity and end it"),
    "40": ("another program wrote at the same moment", "nothing was written; it can be done again"),
    "23505": ("another program has written what was to be written", "find it in pg_stat_activity and end it"),
    "58": ("the disk failed to read or write", "look at the server's log and replace the disk"),
    "XX": (
        "its files are damaged",
        "stop the server, keep its files as evidence, restore the newest copy that verifies",
    ),
}
"""By SQLSTATE, by its five characters or else by its class of two."""

HOLDER = text(
    "SELECT a.pid, coalesce(host(a.client_addr), 'this machine') FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = "
    "current_database()) AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(:name, 0)"
)
SIZE = text(
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
)


class PostgresSchema:
    """A ledger's schema in a database of a PostgreSQL server. Engines made here hide parameters: they hold personal data."""

    lingers = "PostgreSQL's write-ahead log, its archive and backups keep it until they are recycled"

    def __init__(self, url: URL) -> None:
        self._arguments = {name: _only(value) for name, value in url.query.items()}
        chosen = self._arguments.pop("ledger", None)
        self._url = url.set(drivername="postgresql+psycopg", query={})
        if not url.database:
            raise LedgerError(f"{self} names no database: write postgresql+psycopg://user@host/database")
        if chosen is not None:
            self._choose(chosen)
        self._require_privacy()

    def __str__(self) -> str:
        return f"ledger {self._url.set(drivername='postgresql', password=None).render_as_string()}"

    def _choose(self, ledger_id: str) -> None:
        if not LEDGER_ID.fullmatch(ledger_id):
            raise LedgerError(
                f"{self}: ledger={ledger_id!r} is no id of a ledger: `edge ship list` shows them"
            )
        earlier = self._arguments.get("options", "")
        self._arguments["options"] = f"{earlier} -csearch_path=ledger_{ledger_id}".strip()

    def _require_privacy(self) -> None:
        """Personal data crosses a network only where the other end has proved who it is."""
        if "service" in self._arguments or os.environ.get("PGSERVICE"):
            raise LedgerError(
                f"{self}: a service of libpq's (service, PGSERVICE) may name any machine, unseen: write host, user and database "
                "into the URL"
            )
        hosts = self._arguments.get("host") or self._url.host or os.environ.get("PGHOST", "")
        addresses = self._arguments.get("hostaddr") or os.environ.get("PGHOSTADDR", "")
        every = [*addresses.split(","), *hosts.split(",")]
        remote = [host for host in every if host not in LOOPBACK and not host.startswith("/")]
        if remote and (self._arguments.get("sslmode") or os.environ.get("PGSSLMODE")) not in VERIFIED:
            raise LedgerError(
                f"{self}: {remote[0]} is another machine, and without TLS anybody between here and there reads callers' "
                "numbers: add ?sslmode=verify-full&sslrootcert=/path/to/ca.pem to the URL"
            )

    def create(self) -> None:
        """Nothing: a database is made by its administrator."""

    def exists(self) -> bool:
        """It is found out by opening it."""
        return True

    def size_bytes(self) -> int:
        """Its tables with their indexes."""
        engine = self.reader()
        try:
            with engine.connect() as connection:
                return int(connection.execute(SIZE).scalar_one())
        finally:
            engine.dispose()

    def writer(self) -> Engine:
        """An engine for the writer; a commit is durable as far as the server's own synchronous_commit says."""
        return self._engine(WRITER_WAIT_MS)

    def eraser(self) -> Engine:
        """The same with more patience."""
        return self._engine(PATIENT_WAIT_MS)

    def reader(self, *, kept: bool = False) -> Engine:  # noqa: ARG002 - its connections are always kept
        """An engine that cannot write."""
        return self.snapshots(self._engine(PATIENT_WAIT_MS))

    def snapshots(self, engine: Engine) -> Engine:
        """Without it each statement of a transaction would see another moment."""
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def carry_out(
        self,
        connection: Connection,
        statement: Insert | Update,
        columns: tuple[str, ...],
        rows: Sequence[tuple[Any, ...]],
    ) -> None:
        """SQLAlchemy does it: PostgreSQL takes not every character (edge.ledger.text)."""
        connection.execute(statement, [dict(zip(columns, row, strict=True)) for row in rows])

    def take_turn(self, connection: Connection) -> None:
        """A lock on what only maintenance writes: the daemon's commits are not held up."""
        connection.exec_driver_sql("LOCK TABLE audit, erased, holds IN SHARE ROW EXCLUSIVE MODE")

    def lock(self) -> AdvisoryLock:
        """Keep every other writer away from this schema, until released or dead. Raises `LedgerError`."""
        return AdvisoryLock(self, "edge101 ledger")

    def tidy(self, engine: Engine) -> None:
        """The server does that by itself."""

    def purge(self, engine: Engine) -> bool:
        """Give the space of deleted rows back. False always: the server's log and backups are out of our reach."""
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM personal, checkpoints")
        return False

    def explain(self, error: SQLAlchemyError) -> LedgerError:
        """What the error means: what, where and how to mend it."""
        return self.explain_cause((error.orig if isinstance(error, DBAPIError) else None) or error)

    def explain_cause(self, cause: BaseException) -> LedgerError:
        """The same for the driver's own error. Its first line only: further ones may show the row."""
        state = getattr(cause, "sqlstate", None) or ""
        said = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        if not state and type(cause).__name__ == "OperationalError":
            what, mend = UNREACHABLE
            return LedgerError(f"{self}: {what} ({said}); {mend}")
        what, mend = MEANING.get(state) or MEANING.get(state[:2]) or (said, "run `edge ledger verify`")
        return LedgerError(f"{self}: {what} ({state or type(cause).__name__}); {mend}")

    def damaged(self, what: str) -> LedgerError:
        """Bytes that nobody wrote: the error that says so."""
        return LedgerError(f"{self}: {what}; {MEANING['XX'][1]}")

    def connection(self, wait_ms: int, statement_ms: int) -> dict[str, Any]:
        """All that libpq is told, for a connection without SQLAlchemy."""
        url, settings = self._url, self.settings(wait_ms)
        settings["options"] += f" -cstatement_timeout={statement_ms}"
        named = {
            "host": url.host,
            "port": url.port,
            "user": url.username,
            "dbname": url.database,
            "password": url.password,
        }
        return {**{name: value for name, value in named.items() if value}, **settings}

    def settings(self, wait_ms: int) -> dict[str, Any]:
        """What libpq is told beside host, user and database."""
        options = f"{self._arguments.get('options', '')} -clock_timeout={wait_ms} {NOTICE_OUR_DEATH}".strip()
        return {
            "application_name": "edge101",
            "connect_timeout": str(CONNECT_SECONDS),
            "tcp_user_timeout": str(SILENCE_MS),
            "keepalives_idle": "5",
            "keepalives_interval": "2",
            "keepalives_count": "3",
            "client_encoding": "utf8",
            **self._arguments,
            "options": options,
        }

    def _engine(self, wait_ms: int, pool: type = QueuePool) -> Engine:
        bounds = {"pool_size": 1, "max_overflow": 8, "pool_pre_ping": True} if pool is QueuePool else {}
        return create_engine(
            self._url, poolclass=pool, hide_parameters=True, connect_args=self.settings(wait_ms), **bounds
        )

    def held_connection(self) -> Connection:
        """A connection of its own for whoever holds a lock by it. Raises `SQLAlchemyError`."""
        engine = self._engine(PATIENT_WAIT_MS, NullPool)
        return engine.connect().execution_options(isolation_level="AUTOCOMMIT")


def _only(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ",".join(value)


class AdvisoryLock:
    """A session's lock on a name in this schema. The server frees it when the connection ends, however its owner dies."""

    def __init__(self, place: PostgresSchema, name: str) -> None:
        self._place, self._name = place, name
        self._connection: Connection | None = None
        self._take()

    def confirm(self) -> None:
        """Take it again if the connection was lost. Raises `LedgerError`, also when somebody else was faster."""
        try:
            if self._connection is not None:
                self._connection.exec_driver_sql("SELECT 1")
                return
        except SQLAlchemyError:
            self.release()
        self._take()

    def release(self) -> None:
        """Let others in."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _take(self) -> None:
        try:
            connection = self._place.held_connection()
        except SQLAlchemyError as error:
            raise self._place.explain(error) from error
        try:
            name = f"{self._name} {connection.exec_driver_sql('SELECT current_schema()').scalar_one()}"
            asked = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
            if connection.execute(asked, {"name": name}).scalar_one():
                self._connection = connection
                return
            holder = connection.execute(HOLDER, {"name": name}).first()
        except SQLAlchemyError as error:
            raise self._place.explain(error) from error
        finally:
            if self._connection is None:
                connection.close()
        who = "unknown" if holder is None else f"its session {holder[0]} from {holder[1]}"
        raise LedgerError(
            f"{self._place}: another daemon writes to it ({who}); stop that one first, "
            "as two daemons must never serve the same calls"
        )

"""Everything that is particular to SQLite: how to open it, how one daemon keeps others out, and what its errors mean.

WAL with synchronous=FULL: a commit is one append and one fsync of the WAL, and readers never wait for the writer nor it for
them (sqlite.org/wal.html).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, Insert, Update, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from edge.ports import DamagedError, LedgerError

WRITER_WAIT_SECONDS = 0.2
"""Less than the 250 ms after which a commit counts as trouble (DESIGN: survival, layer 6)."""
READER_WAIT_SECONDS = 5.0
ERASER_WAIT_SECONDS = 5.0
WAL_PAGES = 8_000
"""So long the WAL may grow (32 MB) until a commit itself copies it into the database: the last resort where nobody tidies. With
SQLite's own 1,000 every commit beyond them would, two fsyncs more, while readers never rest and the WAL cannot begin anew."""
READERS_KEPT = 4
"""Connections that a reader which keeps any keeps open; more are closed once they have answered."""

Wait = Callable[[int], None]
"""Locks the file of this descriptor, however long another has it locked."""

MEANING = {
    sqlite3.SQLITE_BUSY: ("another program holds it locked", "find it with `fuser` and end it"),
    sqlite3.SQLITE_LOCKED: ("another program holds it locked", "find it with `fuser` and end it"),
    sqlite3.SQLITE_READONLY: (
        "it may not be written",
        "give the daemon's user write permission on the file and its directory",
    ),
    sqlite3.SQLITE_PERM: ("access is denied", "give the daemon's user permission on the file"),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "check that the directory exists and that the user may read and write it",
    ),
    sqlite3.SQLITE_FULL: ("the disk is full", "free space on its file system; appending goes on by itself"),
    sqlite3.SQLITE_IOERR: (
        "the disk failed to read or write",
        "look at the kernel's log and replace the disk",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "the file is damaged",
        "stop the daemon, keep the file as evidence, restore the newest copy that verifies",
    ),
    sqlite3.SQLITE_NOTADB: (
        "the file is no SQLite database",
        "stop the daemon, keep the file as evidence, restore the newest copy that verifies",
    ),
}


DAMAGE = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)
"""Codes, primary or extended, of a file that cannot be read as it was written; no waiting mends it."""


class SqliteFile:
    """A ledger's database file. Engines made here hide parameters: they hold personal data and reach logs in tracebacks."""

    lingers = "another process reads the ledger; run this again when it has ended"

    def __init__(self, url: URL) -> None:
        if not url.database or url.database == ":memory:":
            raise LedgerError(
                f"{url} names no file: write sqlite:///path/to/ledger.db, or memory: for none at all"
            )
        self.path = Path(url.database).resolve()

    def __str__(self) -> str:
        return f"ledger {self.path}"

    def create(self) -> None:
        """Make the file and its directory if need be: readable by owner and group, as its numbers are personal data.

        A file that exists is not opened here: closing it would drop the locks of any connection in this process
        (sqlite.org/howtocorrupt.html, 2.2).
        """
        if self.exists():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640))
        except FileExistsError:
            return  # another daemon was faster; the lock decides between the two
        except OSError as error:
            raise LedgerError(
                f"{self}: cannot be created: {error.strerror} ({error.filename}); "
                "give the daemon's user write permission on the directory"
            ) from error

    def exists(self) -> bool:
        """Whether there is a file."""
        return self.path.is_file()

    def size_bytes(self) -> int:
        """What it takes on disk, WAL included."""
        files = (self.path, self._beside("-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def writer(self, wait_seconds: float = WRITER_WAIT_SECONDS) -> Engine:
        """An engine that writes durably and overwrites what it deletes.

        SQLite opens a file without write permission all the same, and would refuse the first fact only.
        """
        if not os.access(self.path, os.W_OK):
            raise self._meant(sqlite3.SQLITE_READONLY, "access(2)")

        def connect() -> sqlite3.Connection:
            connection = self._connect("mode=rw", wait_seconds)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            connection.execute("PRAGMA secure_delete = ON")
            return connection

        return _engine(connect, QueuePool, pool_size=1, max_overflow=8)

    def eraser(self) -> Engine:
        """The same with more patience: it waits for its turn beside a living daemon."""
        return self.writer(ERASER_WAIT_SECONDS)

    def reader(self, *, kept: bool = False) -> Engine:
        """An engine that cannot write. It opens the file for each transaction, so it never holds on to a replaced one.

        With `kept` it opens it again only when it is another one, or was written to otherwise than by its WAL: opening takes ten
        times as long as a short question does.

        A WAL database that was closed cleanly has no -wal and -shm beside it, and SQLite cannot read it where they
        cannot be made (sqlite.org/wal.html#read_only_databases); nobody writes then, so it is read as immutable.
        """

        def connect() -> sqlite3.Connection:
            at_rest = not self._beside("-wal").exists() and not os.access(self.path.parent, os.W_OK)
            files = self._files()
            connection = self._connect("mode=ro&immutable=1" if at_rest else "mode=ro", READER_WAIT_SECONDS)
            connection.files = files
            connection.execute("PRAGMA query_only = ON")
            return connection

        if not kept:
            return _engine(connect, NullPool)
        engine = _engine(connect, QueuePool, pool_size=READERS_KEPT, max_overflow=-1)
        event.listen(engine, "checkout", self._require_same_files)
        return engine

    def _require_same_files(self, connection: _Connection, _: object, __: object) -> None:
        """Asked of a kept connection. One that has just been opened is of the files as they are, however often the writer moves
        its WAL into the file meanwhile."""
        if connection.is_new:
            connection.is_new = False
        elif connection.files != self._files():
            raise DisconnectionError  # the pool's word for: open another

    def _files(self) -> tuple[tuple[int, ...], ...]:
        """What tells the file and its WAL from others in their places. The WAL is written to all the time, the file seldom."""
        return _identity(self.path, written=True), _identity(self._beside("-wal"), written=False)

    def snapshots(self, engine: Engine) -> Engine:
        """As it is: every transaction of SQLite's sees one moment."""
        return engine

    def carry_out(
        self,
        connection: Connection,
        statement: Insert | Update,
        columns: tuple[str, ...],
        rows: Sequence[tuple[Any, ...]],
    ) -> None:
        """Hand them to the driver as they are. Every agent waits for a commit, and SQLAlchemy's care for each value is a quarter
        of its cost."""
        words, order = _spelt(statement, connection.dialect)
        if order != columns:
            places = [columns.index(name) for name in order]
            rows = [tuple(row[place] for place in places) for row in rows]
        connection.exec_driver_sql(words, list(rows))

    def take_turn(self, connection: Connection) -> None:
        """Write nothing: SQLite waits for its turn only in a transaction that begins with writing."""
        connection.exec_driver_sql("DELETE FROM erased WHERE position < 0")

    def lock(self, wait: Wait | None = None) -> WriterLock:
        """Keep every other daemon away from this ledger, until released or dead. Raises `LedgerError`, or waits with `wait`."""
        return WriterLock(self._beside(".lock"), str(self), wait)

    def tidy(self, engine: Engine) -> None:
        """Copy the WAL into the database, as far as nobody reads it."""
        with suppress(sqlite3.Error):  # if anything is wrong with the disk, the next commit says what
            _move_wal(engine, "PASSIVE")

    def purge(self, engine: Engine) -> bool:
        """Copy the WAL into the database and empty it, so that erased data is in neither. False while others use it."""
        return _move_wal(engine, "TRUNCATE") == (0, 0, 0)

    def explain(self, error: SQLAlchemyError) -> LedgerError:
        """What the error means: what, where and how to mend it."""
        cause = error.orig if isinstance(error, DBAPIError) else None
        extended = getattr(cause, "sqlite_errorcode", 0)
        code = extended & 0xFF  # the primary one
        name = getattr(cause, "sqlite_errorname", type(error).__name__)
        meant = self._meant(code, name, str(cause or type(error).__name__))
        return DamagedError(str(meant)) if {code, extended} & DAMAGE else meant

    def damaged(self, what: str) -> LedgerError:
        """Bytes that nobody wrote: the error that says so."""
        _, mend = MEANING[sqlite3.SQLITE_CORRUPT]
        return DamagedError(f"{self}: {what}; {mend}")

    def _meant(self, code: int, name: str, otherwise: str = "") -> LedgerError:
        what, mend = MEANING.get(code, (otherwise, "run `edge ledger verify`"))
        return LedgerError(f"{self}: {what} ({name}); {mend}")

    def _connect(self, mode: str, wait_seconds: float) -> _Connection:
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?{mode}",
            factory=_Connection,
            uri=True,
            timeout=wait_seconds,
            isolation_level=None,  # the driver's own guesses at transactions are off: see `_begin`
            check_same_thread=False,  # the pool gives a connection to one thread at a time
        )
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


def _move_wal(engine: Engine, mode: str) -> tuple[int, int, int] | None:
    """What SQLite says of it (sqlite.org/pragma.html#pragma_wal_checkpoint): whether somebody was in the way, pages in the WAL,
    and those that are in the database too. None: it could not be done now."""
    with engine.connect() as connection:
        raw = connection.connection.cursor()  # no transaction may be open, and SQLAlchemy would begin one
        try:
            raw.execute(f"PRAGMA wal_checkpoint({mode})")
            [(busy, pages, moved)] = raw.fetchall()
        except sqlite3.OperationalError:
            return None
    return busy, pages, moved


class _Connection(sqlite3.Connection):
    """One that can be kept."""

    files: tuple[tuple[int, ...], ...] = ()
    """What was there when it was opened, or before."""
    is_new = True
    """Whether nobody has asked it anything."""


def _identity(path: Path, *, written: bool) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_mtime_ns if written else 0


@cache
def _spelt(statement: Insert | Update, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """The statement in the driver's words, and the order in which it takes its values."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), tuple(compiled.positiontup or ())


def _engine(connect: Callable[[], sqlite3.Connection], pool: type, **options: int) -> Engine:
    engine = create_engine(
        "sqlite+pysqlite://", creator=connect, poolclass=pool, hide_parameters=True, **options
    )
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


class WriterLock:
    """An flock on a file beside the ledger, holding the pid of its owner. The kernel frees it however the owner dies."""

    def __init__(self, path: Path, ledger: str, wait: Wait | None = None) -> None:
        """`wait` returns when it has locked this file, which another has; without it that is an error."""
        try:
            self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise LedgerError(
                f"{ledger}: the lock file {path} cannot be opened: {error.strerror}; "
                "give the daemon's user write permission on it and its directory"
            ) from error
        self._lock(ledger, wait)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def _lock(self, ledger: str, wait: Wait | None) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if wait is not None:
                wait(self._file)
                self._lock(ledger, None)  # no matter how often it is locked by us
                return
            holder = os.pread(self._file, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise LedgerError(
                f"{ledger}: another daemon writes to it (pid {holder}); stop that one first, "
                "as two daemons must never serve the same calls"
            ) from error

    def confirm(self) -> None:
        """Nothing to do: the kernel holds it as long as we live."""

    def release(self) -> None:
        """Let others in. The file stays: deleting it would let two owners each lock a file of their own."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

"""`mi.db`: what `edge mi` keeps of its own, opened by the service and by `edge tokens` side by side.

Blocking: call it in threads.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, String, column, insert, inspect, select, table
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from edge.ledger.sqlite import SqliteFile
from edge.mi.schema import REVISIONS, keys
from edge.ports import LedgerError

FILE = "mi.db"
WAIT_SECONDS = 5.0
"""For the other program that writes at this moment; nothing here is in a call's way."""
KEY_BYTES = 32


class StoreFile(SqliteFile):
    """The database file of MI's own data."""

    def __str__(self) -> str:
        return f"MI's own file {self.path}"


class Store:
    """The open file. Thread-safe. Raises `LedgerError`, as the ledger itself does."""

    def __init__(self, place: StoreFile, engine: Engine) -> None:
        self._place = place
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction, durable when it ends without an error."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self._place.explain(error) from error

    def key(self, name: str) -> bytes:
        """The secret of that name, made on first use."""
        wanted = select(keys.c.secret).where(keys.c.name == name)
        with self.transaction() as connection:
            statement = insert(keys).prefix_with("OR IGNORE", dialect="sqlite")
            connection.execute(statement, {"name": name, "secret": secrets.token_bytes(KEY_BYTES)})
            found: bytes = connection.execute(wanted).scalar_one()
        return found

    def close(self) -> None:
        """Release the file."""
        self._engine.dispose()


def open_store(directory: Path) -> Store:
    """The store in this folder, made or brought up to date. Raises `LedgerError`."""
    place = StoreFile(URL.create("sqlite", database=str(directory / FILE)))
    place.create()
    with _alone(place):
        engine = place.writer(WAIT_SECONDS)
        try:
            with engine.begin() as connection:
                _bring_up_to_date(connection, place)
        except SQLAlchemyError as error:
            engine.dispose()
            raise place.explain(error) from error
        except BaseException:
            engine.dispose()
            raise
    return Store(place, engine)


@contextmanager
def _alone(place: StoreFile) -> Iterator[None]:
    """Two programs that open the file for the first time migrate it one after the other."""
    try:
        lock = os.open(place.path.with_name(FILE + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise LedgerError(
            f"{place}: cannot be locked: {error.strerror}; give this user write permission on its directory"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _bring_up_to_date(connection: Connection, place: StoreFile) -> None:
    tables = inspect(connection).get_table_names()
    revision = None
    if "alembic_version" in tables:
        revision = connection.scalar(
            select(column("version_num", String)).select_from(table("alembic_version"))
        )
    elif tables:
        raise LedgerError(f"{place}: this database is not MI's; name another folder in [mi] directory")
    if revision == REVISIONS[-1]:
        return
    if revision is not None and revision not in REVISIONS:
        raise LedgerError(
            f"{place}: its schema {revision} is newer than this program's {REVISIONS[-1]}; use a newer version of edge"
        )
    from edge.ledger.migrations import (
        upgrade,
    )  # Alembic takes a tenth of a second to import; few starts need it

    upgrade(connection, Path(__file__).parent / "migrations")

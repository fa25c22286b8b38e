"""What a database must bring along to hold a ledger: `edge.ledger.sqlite` and `edge.ledger.postgres` each do it their way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Insert, Update
from sqlalchemy.exc import SQLAlchemyError

from edge.ports import LedgerError


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    return re.sub(r"(?<=//).*@", "…@", url)


class Lock(Protocol):
    """Keeps every other writer of facts away until it is released, or its owner is dead."""

    def confirm(self) -> None:
        """Make sure that it is still held. Raises `LedgerError` when somebody else has it now."""

    def release(self) -> None:
        """Let others in."""


class Place(Protocol):
    """Where a ledger is. Its engines hide parameters: they hold personal data and reach logs in tracebacks."""

    lingers: str
    """Why erased data may still stand somewhere, and until when, where `purge` could not see to it."""

    def create(self) -> None:
        """Make what is missing around the tables, if it can be made. Raises `LedgerError`."""

    def exists(self) -> bool:
        """Whether there is anything to be opened."""

    def size_bytes(self) -> int:
        """What it takes on disk."""

    def writer(self) -> Engine:
        """An engine that writes durably and waits for a lock less than 250 ms. Raises `LedgerError`."""

    def eraser(self) -> Engine:
        """An engine that writes as durably, and waits for its turn beside a living daemon."""

    def reader(self, *, kept: bool = False) -> Engine:
        """An engine that cannot write, whose every transaction sees one moment. `kept`: for many short transactions."""

    def snapshots(self, engine: Engine) -> Engine:
        """`engine`, for transactions that must see one moment."""

    def carry_out(
        self,
        connection: Connection,
        statement: Insert | Update,
        columns: tuple[str, ...],
        rows: Sequence[tuple[Any, ...]],
    ) -> None:
        """Write rows of these columns, of which none needs SQLAlchemy's care for each value."""

    def take_turn(self, connection: Connection) -> None:
        """Wait, at the beginning of a transaction of maintenance, until no other is on its way."""

    def lock(self) -> Lock:
        """Keep every other daemon away. Raises `LedgerError`."""

    def tidy(self, engine: Engine) -> None:
        """Put in its place what commits have left lying, without making anybody wait. Raises `SQLAlchemyError`."""

    def purge(self, engine: Engine) -> bool:
        """Try to drop deleted data from wherever it still stands. True: it is gone."""

    def explain(self, error: SQLAlchemyError) -> LedgerError:
        """What the error means: what, where and how to mend it."""

    def damaged(self, what: str) -> LedgerError:
        """Bytes that nobody wrote: the error that says so."""

"""Who was told what: one line per pull, durable before the first byte of the answer leaves (DPA 2018, section 62)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select

from edge.mi.schema import disclosures
from edge.mi.store import Store

PULLED = ("facts", "calls", "contacts", "callbacks", "tasks")
"""Resources that a reader follows. Who looks at the wallboard, scrapes metrics or reads this log has pulled nothing."""
NEWEST = select(func.max(disclosures.c.at_utc_us))


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """One pull. `first_position`, `last_position`: what part of the record was given, in the numbering of the resource."""

    disclosure: int = 0
    """Its number, given by the store."""
    at_utc_us: int
    reader: str
    token_id: str
    address: str
    resource: str
    first_position: int | None = None
    last_position: int | None = None
    since_utc_us: int | None = None
    until_utc_us: int | None = None
    selection: str = ""
    """Filters, as they were asked for."""
    count: int
    numbers: bool
    """Whether callers' numbers and names were in it."""
    purpose: str | None = None


class Disclosures:
    """The log of disclosures in the store. Nothing of `edge mi` changes or deletes a line; `edge ledger retain` does."""

    def __init__(self, store: Store, utc_us: Callable[[], int]) -> None:
        self._store = store
        self._utc_us = utc_us

    def record(self, disclosure: Disclosure) -> int:
        """Write it down durably; its number."""
        row = {name: getattr(disclosure, name) for name in disclosures.c.keys() if name != "disclosure"}  # noqa: SIM118
        with self._store.transaction() as connection:
            number: int = connection.execute(
                insert(disclosures), {**row, "numbers": int(disclosure.numbers)}
            ).lastrowid
        return number

    def page(self, after: int, limit: int, reader: str | None = None) -> Sequence[Disclosure]:
        """In order of their numbers."""
        query = select(disclosures).where(disclosures.c.disclosure > after)
        if reader is not None:
            query = query.where(disclosures.c.reader == reader)
        with self._store.transaction() as connection:
            rows = connection.execute(query.order_by(disclosures.c.disclosure).limit(limit)).all()
        return [_disclosure(row) for row in rows]

    def newest_utc_us(self) -> int | None:
        """When anybody was last told anything."""
        with self._store.transaction() as connection:
            return connection.execute(NEWEST).scalar()

    def last_pull_utc_us(self) -> int | None:
        """When a reader last pulled (`PULLED`), whether or not there was anything."""
        with self._store.transaction() as connection:
            return connection.execute(NEWEST.where(disclosures.c.resource.in_(PULLED))).scalar()

    def count_older(self, before_utc_us: int) -> int:
        """How many lines `erase_older` would delete."""
        with self._store.transaction() as connection:
            number: int = connection.execute(
                select(func.count()).select_from(disclosures).where(_older(before_utc_us))
            ).scalar_one()
        return number

    def erase_older(self, before_utc_us: int) -> int:
        """Delete the lines of pulls before this time; how many that were."""
        with self._store.transaction() as connection:
            return connection.execute(delete(disclosures).where(_older(before_utc_us))).rowcount


def _older(before_utc_us: int) -> ColumnElement[bool]:
    """Never the newest line: its number must not be given again, as readers go on from it."""
    newest = select(func.max(disclosures.c.disclosure)).scalar_subquery()
    return (disclosures.c.at_utc_us < before_utc_us) & (disclosures.c.disclosure < newest)


def _disclosure(row: Any) -> Disclosure:
    values = row._asdict()
    return Disclosure(**{**values, "numbers": bool(values["numbers"])})

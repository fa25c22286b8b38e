"""How far each reader says that it has the record safely: what the retention of the appliance goes by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import insert, select, update

from edge.mi.cursors import Cursor
from edge.mi.schema import acknowledgements
from edge.mi.store import FILE, Store, open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """`position`: everything up to there, of this stream of this ledger. `filters`: of a part only, where not empty."""

    reader: str
    stream: str
    filters: str
    ledger_id: str
    position: int
    at_utc_us: int
    token_id: str


class Acknowledgements:
    """Of every reader, in the store. They only ever go on: a reader that goes back keeps what it has acknowledged."""

    def __init__(self, store: Store, utc_us: Callable[[], int]) -> None:
        self._store = store
        self._utc_us = utc_us

    def note(self, reader: str, token_id: str, cursor: Cursor) -> Acknowledgement:
        """The reader has everything up to this cursor; what it has acknowledged now."""
        found = Acknowledgement(
            reader=reader,
            stream=cursor.stream,
            filters=cursor.filters,
            ledger_id=cursor.ledger_id,
            position=cursor.position,
            at_utc_us=self._utc_us(),
            token_id=token_id,
        )
        row = {name: getattr(found, name) for name in Acknowledgement.__slots__}
        own = [acknowledgements.c[name] == row[name] for name in ("reader", "stream", "filters", "ledger_id")]
        with self._store.transaction() as connection:
            further = update(acknowledgements).where(*own, acknowledgements.c.position <= found.position)
            if not connection.execute(further.values(row)).rowcount:
                known = connection.execute(select(acknowledgements).where(*own)).one_or_none()
                if known is not None:
                    return Acknowledgement(**known._asdict())
                connection.execute(insert(acknowledgements), row)
        return found

    def all(self, reader: str | None = None) -> Sequence[Acknowledgement]:
        """By reader and stream."""
        query = select(acknowledgements).order_by(acknowledgements.c.reader, acknowledgements.c.stream)
        if reader is not None:
            query = query.where(acknowledgements.c.reader == reader)
        with self._store.transaction() as connection:
            return [Acknowledgement(**row._asdict()) for row in connection.execute(query)]


def acknowledged_through(directory: Path, ledger_id: str) -> dict[str, int]:
    """Reader -> sequence of the fact up to which it has the whole record of this ledger. Empty when nobody has acknowledged any.

    Whoever pulls a part only does not count: what it never saw may not be deleted on its word.
    """
    if not (directory / FILE).is_file():
        return {}
    store = open_store(directory)
    try:
        known = Acknowledgements(store, lambda: 0).all()
    finally:
        store.close()
    whole = [
        each for each in known if each.stream == "facts" and not each.filters and each.ledger_id == ledger_id
    ]
    return {each.reader: each.position for each in whole}

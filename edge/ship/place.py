"""Where is shipped to, by its URL; nothing is opened yet, and no driver imported."""

from __future__ import annotations

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from edge.ledger.place import without_password
from edge.ledger.postgres import PostgresSchema
from edge.ports import LedgerError


def place_of(url: str, password: str | None = None) -> PostgresSchema:
    """The shared database by its URL; `password` where that has none. Raises `LedgerError`."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql" or "ledger" in parsed.query:
        raise LedgerError(
            f"{without_password(url)!r} is no place to ship to: write postgresql+psycopg://user@host/database"
        )
    return PostgresSchema(parsed if parsed.password or password is None else parsed.set(password=password))

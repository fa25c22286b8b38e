"""Rows straight from the driver, for who reads them by the million: SQLAlchemy's own cost as much again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Select

from edge.ledger.schema import any_text, facts
from edge.ledger.text import MARK, with_nul

STRANGE = frozenset(column.name for column in facts.c if column.type is any_text)
"""Columns of facts that PostgreSQL keeps in another form than they were written in (`AnyText`)."""


def rows(connection: Connection, query: Select[Any], values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """What this query finds, in plain tuples; texts are as they were written."""
    cursor = connection.execute(query, values).cursor
    assert cursor is not None
    found = list(cursor.fetchall())
    if connection.dialect.name == "postgresql":
        strange = [place for place, column in enumerate(cursor.description) if column[0] in STRANGE]
        return [_as_written(row, strange) for row in found]
    return found


def _as_written(row: tuple[Any, ...], strange: list[int]) -> tuple[Any, ...]:
    """Hardly ever another than it is: nobody writes such a text but to try us."""
    if not any(row[place] is not None and MARK in row[place] for place in strange):
        return row
    return tuple(with_nul(text) if n in strange and text is not None else text for n, text in enumerate(row))

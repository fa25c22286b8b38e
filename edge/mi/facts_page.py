"""A page of facts as it is sent: read, written in its form, and what is said of it. Blocking.

It stands apart from the routes because it is made in two places: in a thread, for who asks now, and ahead in a process of its own
(`edge.mi.page_process`), which needs nothing of HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from edge.ledger.store import SqlReader
from edge.mi.cursors import Cursor, Cursors
from edge.mi.formats import FactLine, Form, encoder, fact_csv, fact_lines, ndjson
from edge.mi.stream import SEQUENCE, Page, Selection, Start, read_page

STREAM = "facts"


class Wanted(NamedTuple):
    """All that a page depends on, beside the ledger."""

    selection: Selection
    start: Start
    limit: int
    form: Form
    filters: str
    numbers: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsMade:
    """A page of facts as it is sent, and what is said of it."""

    body: bytes
    cursor: str
    end: Start
    """Where the next one begins."""
    more: bool
    head_sequence: int
    head_hash: str
    count: int
    kept: int
    """Facts of it whose personal data is kept."""
    first: int
    last: int
    """Sequences; 0 in a page without facts."""


class FactsPage(msgspec.Struct, frozen=True):
    """`edge.mi.routes.facts.Facts`, as it is written."""

    ledger_id: str
    facts: list[FactLine]
    cursor: str
    more: bool
    head: dict[str, int | str]


def make(reader: SqlReader, cursors: Cursors, key: bytes | None, wanted: Wanted) -> FactsMade:
    """Read, and written in its form; callers are hashed with `key`. Raises `MovedError` and `LedgerError`."""
    page = read_page(reader, wanted.selection, wanted.start, wanted.limit)
    cursor = cursors.text(
        Cursor(
            stream=STREAM,
            ledger_id=page.ledger_id,
            position=page.position,
            filters=wanted.filters,
            hash=page.hash,
        )
    )
    return FactsMade(
        body=_written(wanted.form, page, cursor, key, wanted.numbers),
        cursor=cursor,
        end=Start(page.position, page.ledger_id, page.hash),
        more=page.more,
        head_sequence=page.head_sequence,
        head_hash=page.head_hash,
        count=len(page.facts),
        kept=len(page.facts) - [row[-1] for row in page.facts].count(None),
        first=page.facts[0][SEQUENCE] if page.facts else 0,
        last=page.facts[-1][SEQUENCE] if page.facts else 0,
    )


def _written(form: Form, page: Page, cursor: str, key: bytes | None, numbers: bool) -> bytes:
    lines = fact_lines(page, key, numbers=numbers)
    if form is Form.NDJSON:
        return ndjson(lines)
    if form is Form.CSV:
        return fact_csv(lines)
    return encoder.encode(
        FactsPage(
            page.ledger_id, lines, cursor, page.more, {"sequence": page.head_sequence, "hash": page.head_hash}
        )
    )

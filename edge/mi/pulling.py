"""Pages of what is folded from facts: calls, contacts, call-backs, tasks. Each thing comes again, further on, when it changes.

A position follows from the ledger alone, so a cursor is good for as long as the ledger is, whatever became of the projection.
Until the projection is level with the ledger, an answer says so (`complete`), and gives what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import Depends, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from edge.ledger.chain import is_synthetic
from edge.mi.cursors import Cursor, digest_of
from edge.mi.formats import Form, csv_bytes, encoder
from edge.mi.guard import tag_of
from edge.mi.paging import (
    MEDIA_TYPES,
    PageResponse,
    accepts_gzip,
    disclosed,
    form_of,
    moved,
    read_cursor,
    utc_us,
)
from edge.mi.projection import Projection
from edge.mi.security import Client
from edge.mi.services import Services, services
from edge.mi.stream import MovedError, Start, anchors_of, hash_at

MOST = 1000
BEGINNING = -1
"""Before the first position."""
POSITIONS_PER_FACT = 2

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A page: its rows in order, and the position of the last one looked at."""

    rows: Sequence[Row]
    position: int
    more: bool


class Page(BaseModel):
    """What every page says of itself. With NDJSON and CSV these are headers: Edge101-Cursor, Edge101-More, Edge101-Complete."""

    ledger_id: str
    synthetic: bool
    """Everything in this ledger was made up."""
    cursor: str
    """Send it for the next page; what changed since comes again."""
    more: bool
    """There is more at this moment."""
    through_sequence: int
    """The facts up to here are in the answer."""
    complete: bool
    """Whether that is all of them. While it is false, ask again later with the same cursor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The parameters that every page takes."""

    request: Request
    cursor: str | None
    limit: int
    form: Form


async def asked(
    request: Request,
    cursor: Annotated[
        str | None, Query(description="From the page before. Without it: from the beginning.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="Rows in a page at most.")] = 200,
    format: Annotated[Form | None, Query(description="In place of the header Accept.")] = None,  # noqa: A002
) -> Asked:
    """For routes."""
    return Asked(request=request, cursor=cursor, limit=limit, form=form_of(request, format))


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilters:
    """Which calls."""

    since_us: int | None = None
    until_us: int | None = None
    line: str | None = None
    queue: str | None = None
    tier: int | None = None
    in_progress: bool | None = None

    def given(self) -> dict[str, Any]:
        """As the projection takes them."""
        return {name: getattr(self, name) for name in self.__slots__}


async def call_filters(
    since: Annotated[
        str | None, Query(description="Only calls that arrived at this time or later (RFC 3339).")
    ] = None,
    until: Annotated[
        str | None, Query(description="Only calls that arrived before this time (RFC 3339).")
    ] = None,
    line: Annotated[str | None, Query(max_length=64, description="Only calls on this line.")] = None,
    queue: Annotated[str | None, Query(max_length=64, description="Only calls of this queue.")] = None,
    kind: Annotated[str | None, Query(pattern="^(999|101)$", description="Only 999, or only 101.")] = None,
    in_progress: Annotated[
        bool | None, Query(description="Only calls that go on, or only those that have ended.")
    ] = None,
) -> CallFilters:
    """For routes."""
    return CallFilters(
        since_us=utc_us(since, "since"),
        until_us=utc_us(until, "until"),
        line=line,
        queue=queue,
        tier=None if kind is None else (0 if kind == "999" else 1),
        in_progress=in_progress,
    )


Read = Callable[[Projection, int, int], Found]


async def pull(
    stream: str,
    key: str,
    columns: Sequence[str],
    how: Asked,
    filters: CallFilters,
    client: Client,
    shared: Services,
    read: Read,
    personal: Sequence[str] = (),
) -> PageResponse:
    """The answer: read, written in its form, and logged as a disclosure before it is given. `key`: of the rows in JSON.
    `personal`: the columns that there are besides for who may see numbers."""
    digest = digest_of(filters.given())
    cursor = None if how.cursor is None else read_cursor(shared.cursors, how.cursor, stream, digest)
    columns = (*columns, *personal) if client.numbers else columns
    async with AsyncExitStack() as held:
        await held.enter_async_context(shared.slots.slot(client))
        try:
            about, found = await run_in_threadpool(_found, shared, read, cursor, how.limit)
        except MovedError as error:
            raise moved(error) from error
        next_one = Cursor(
            stream=stream,
            ledger_id=about.ledger_id,
            position=found.position,
            filters=digest,
            hash=about.hash,
        )
        page = {
            "ledger_id": about.ledger_id,
            "synthetic": is_synthetic(about.ledger_id),
            "cursor": shared.cursors.text(next_one),
            "more": found.more,
            "through_sequence": about.through,
            "complete": about.through >= about.head,
        }
        body = await run_in_threadpool(written, how.form, key, page, columns, found.rows)
        await disclosed(
            shared,
            client,
            stream,
            len(found.rows),
            first_position=found.rows[0]["through_sequence"] if found.rows else None,
            last_position=found.rows[-1]["through_sequence"] if found.rows else None,
            since_utc_us=filters.since_us,
            until_utc_us=filters.until_us,
            selection=" ".join(
                f"{name}={value}"
                for name, value in filters.given().items()
                if value is not None and "_us" not in name
            ),
            numbers=client.numbers and bool(personal),
        )
        return answer(how, body, page, held.pop_all())


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """Of which ledger a page is, how far that is folded and goes, and the hash at the page's end."""

    ledger_id: str
    through: int
    head: int
    hash: str


def _found(shared: Services, read: Read, cursor: Cursor | None, limit: int) -> tuple[_About, Found]:
    """Raises `MovedError` when the cursor is of another record."""
    start = Start() if cursor is None else Start(_sequence(cursor.position), cursor.ledger_id, cursor.hash)
    projection = shared.folded()
    ledger_id, head = anchors_of(shared.reader(), start)
    through = projection.through
    found = read(projection, BEGINNING if cursor is None else cursor.position, limit)
    last = hash_at(shared.reader(), _sequence(found.position))
    return _About(ledger_id=ledger_id, through=through, head=head, hash=last), found


def _sequence(position: int) -> int:
    """Of the fact that a position follows from; below 1 before the first."""
    return position // POSITIONS_PER_FACT


def written(form: Form, key: str, page: Row, columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    """In its form. In CSV what is no single value is JSON in its cell."""
    if form is Form.NDJSON:
        return encoder.encode_lines(rows)
    if form is Form.CSV:
        return csv_bytes(columns, ([_cell(row.get(name)) for name in columns] for row in rows))
    return encoder.encode({key: rows, **page})


def _cell(value: object) -> object:
    if isinstance(value, dict) and set(value) == {"utc", "monotonic_ns"}:
        return value["utc"]
    if isinstance(value, dict | list | tuple):
        return msgspec.Raw(encoder.encode(value))
    return value


def answer(how: Asked, body: bytes, page: Row, held: AsyncExitStack | None = None) -> PageResponse:
    """With what a page says of itself in headers too."""
    headers = {"Edge101-Complete": "true" if page["complete"] else "false"}
    if page["synthetic"]:
        headers["Edge101-Synthetic"] = "true"
    if "cursor" in page:
        headers |= {"Edge101-Cursor": page["cursor"], "Edge101-More": "true" if page["more"] else "false"}
    return PageResponse(
        body,
        tag_of(body),
        MEDIA_TYPES[how.form],
        headers,
        known=how.request.headers.get("if-none-match"),
        gzip=accepts_gzip(how.request),
        held=held,
    )


Answered = dict[int | str, dict[str, Any]]


def documented(model: type[BaseModel]) -> Answered:
    """For a route's `responses`."""
    return {
        200: {
            "model": model,
            "description": "A page, as JSON, NDJSON or CSV.",
            "content": {"application/x-ndjson": {}, "text/csv": {}},
        },
        304: {"description": "You have this page already."},
    }


Shared = Annotated[Services, Depends(services)]
How = Annotated[Asked, Depends(asked)]
Filters = Annotated[CallFilters, Depends(call_filters)]

"""`/v1/facts`: the record as it was written, page by page."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from edge.core.facts import KINDS
from edge.mi import problems
from edge.mi.cursors import digest_of
from edge.mi.facts_page import STREAM, FactsMade, Wanted, make
from edge.mi.formats import Form
from edge.mi.guard import tag_of
from edge.mi.paging import (
    MEDIA_TYPES,
    PageResponse,
    accepts_gzip,
    disclosed,
    form_of,
    moved,
    read_cursor,
    read_id,
    utc_us,
)
from edge.mi.problems import ProblemError
from edge.mi.security import Client, require
from edge.mi.services import Services, services
from edge.mi.stream import PAGE_FACTS, Mark, MovedError, Selection, Start, mark_of
from edge.version import VERSION

LONGEST_WAIT_SECONDS = 25.0
VALUES_MOST = 100

router = APIRouter(
    prefix="/v1", tags=["facts"], responses={**problems.EVERYWHERE, **problems.documented(409)}
)


class Fact(BaseModel):
    """One fact. `id` never changes and never names another one: it is what doubles are known by."""

    id: str
    """The ledger's id and the sequence in it."""
    sequence: int
    kind: str
    event: str | None
    """Type of the NENA i3 LogEvent that corresponds, where one does."""
    utc: str
    monotonic_ns: int
    switch_utc: str | None
    clock: str
    """Whether the machine's clock was synchronised."""
    reason: str
    """Why it came to this, in a sentence."""
    call_id: str | None
    agent: str | None
    number_hash: str | None
    """Keyed hash of the telephone number among the personal fields: the same number always has the same."""
    erased: bool
    """Whether it had personal fields that were erased since."""
    hash: str
    """Of the chain (docs/adr/0004-ledger.md)."""
    fact: dict[str, Any]
    """What this kind of fact says."""
    personal: dict[str, Any] | None
    """Its personal fields; only with the scope numbers."""


class Head(BaseModel):
    """The newest fact of the ledger: kept by the reader, it proves that nothing up to it was changed later."""

    sequence: int
    hash: str


class Facts(BaseModel):
    """A page. `cursor`: send it for the next one. `more`: there is more at this moment."""

    ledger_id: str
    facts: list[Fact]
    cursor: str
    more: bool
    head: Head


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    selection: Selection
    start: Start
    limit: int
    wait_seconds: float
    form: Form
    filters: str


async def _asked(
    request: Request,
    shared: Annotated[Services, Depends(services)],
    cursor: Annotated[
        str | None, Query(description="From the page before. Without it: from the beginning.")
    ] = None,
    after_id: Annotated[
        str | None,
        Query(description="In place of a cursor: the id of the last fact that you have.", max_length=64),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_FACTS, description="Facts in a page at most.")] = 1000,
    kind: Annotated[
        list[str], Query(description="Only these kinds of facts; may be repeated.", max_length=VALUES_MOST)
    ] = [],  # noqa: B006 - FastAPI copies it
    line: Annotated[
        list[str], Query(description="Only facts of calls on these lines.", max_length=VALUES_MOST)
    ] = [],  # noqa: B006
    queue: Annotated[
        list[str],
        Query(description="Only facts of calls while they are in these queues.", max_length=VALUES_MOST),
    ] = [],  # noqa: B006
    since: Annotated[
        str | None, Query(description="Only facts made at this time or later (RFC 3339).")
    ] = None,
    until: Annotated[str | None, Query(description="Only facts made before this time (RFC 3339).")] = None,
    wait_seconds: Annotated[
        float,
        Query(
            ge=0,
            le=LONGEST_WAIT_SECONDS,
            description="Where nothing is new: how long to wait for it.",
        ),
    ] = 0,
    format: Annotated[Form | None, Query(description="In place of the header Accept.")] = None,  # noqa: A002
) -> _Asked:
    """The parameters, judged. Raises `ProblemError`."""
    if unknown := sorted(set(kind) - KINDS.keys()):
        raise ProblemError(
            422,
            "kind",
            f"there is no kind of fact {unknown[0][:64]!r}",
            "docs/mi.md lists them; such as CallArrived.",
        )
    selection = Selection(
        kinds=tuple(sorted(set(kind))),
        lines=tuple(sorted(set(line))),
        queues=tuple(sorted(set(queue))),
        since_utc_us=utc_us(since, "since"),
        until_utc_us=utc_us(until, "until"),
    )
    filters = digest_of({name: getattr(selection, name) for name in Selection.__slots__})
    return _Asked(
        selection=selection,
        start=_start(shared, cursor, after_id, filters),
        limit=limit,
        wait_seconds=wait_seconds,
        form=form_of(request, format),
        filters=filters,
    )


def _start(shared: Services, cursor: str | None, after_id: str | None, filters: str) -> Start:
    if cursor is not None and after_id is not None:
        raise ProblemError(422, "start", "a page has one beginning", "Send cursor or after_id, and not both.")
    if cursor is not None:
        found = read_cursor(shared.cursors, cursor, STREAM, filters)
        return Start(found.position, found.ledger_id, found.hash)
    if after_id is not None:
        ledger_id, sequence = read_id(after_id, "fact")
        return Start(sequence, ledger_id)
    return Start()


@router.get(
    "/facts",
    responses={
        200: {
            "model": Facts,
            "description": "A page. With NDJSON and CSV, cursor and more are headers: Edge101-Cursor, Edge101-More.",
            "content": {"application/x-ndjson": {}, "text/csv": {}},
        },
        304: {"description": "You have this page already."},
    },
    response_class=Response,
)
async def facts(
    request: Request,
    client: Annotated[Client, Depends(require("facts"))],
    asked: Annotated[_Asked, Depends(_asked)],
    shared: Annotated[Services, Depends(services)],
) -> Response:
    """The record from the cursor on, in order and without a gap: at least once, so drop facts whose id you have."""
    async with AsyncExitStack() as held:
        made = await _found(asked, shared, client, held)
        await _log(asked.selection, made, shared, client)
        return PageResponse(
            made.body,
            _tag(asked, made, client.numbers),
            MEDIA_TYPES[asked.form],
            {
                "Edge101-Cursor": made.cursor,
                "Edge101-More": "true" if made.more else "false",
                "Edge101-Head": f"{made.head_sequence}:{made.head_hash}",
            },
            known=request.headers.get("if-none-match"),
            gzip=accepts_gzip(request),
            held=held.pop_all(),
        )


async def _found(asked: _Asked, shared: Services, client: Client, held: AsyncExitStack) -> FactsMade:
    """The page, and its place in memory; waited for, without that place, if the reader asked so."""
    wanted = Wanted(asked.selection, asked.start, asked.limit, asked.form, asked.filters, client.numbers)
    until = time.monotonic() + asked.wait_seconds
    while True:
        async with AsyncExitStack() as slot:
            await slot.enter_async_context(shared.slots.slot(client))
            try:
                made = await _page(wanted, shared, client)
            except MovedError as error:
                raise moved(error) from error
            left = until - time.monotonic()
            if made.count or made.more or left <= 0:
                await held.enter_async_context(slot.pop_all())
                return made
        wanted = wanted._replace(start=made.end)
        if not await shared.watch.beyond(made.head_sequence, left):
            until = 0.0


async def _page(wanted: Wanted, shared: Services, client: Client) -> FactsMade:
    """The page: as it was made while the reader took the one before, if that can still be given, else made now."""
    begun = shared.ahead.take(client.token_id, wanted)
    ahead = None if begun is None else await begun
    if ahead is None:
        made = await run_in_threadpool(_made_now, shared, wanted)
        _begin_next(wanted, made, shared, client)
        return made
    _begin_next(wanted, ahead, shared, client)
    mark = await run_in_threadpool(mark_of, shared.reader(), ahead.first - 1, ahead.end.position)
    same = _as_of(ahead, mark, wanted.form)
    return await run_in_threadpool(_made_now, shared, wanted) if same is None else same


def _made_now(shared: Services, wanted: Wanted) -> FactsMade:
    return make(shared.reader(), shared.cursors, shared.caller_key(), wanted)


def _begin_next(wanted: Wanted, made: FactsMade, shared: Services, client: Client) -> None:
    """For who goes on through the whole record, which is what is long, and while there are pages to come."""
    if wanted.start.position and made.more and wanted.selection.everything:
        shared.ahead.begin(client.token_id, wanted._replace(start=made.end))


def _as_of(made: FactsMade, mark: Mark, form: Form) -> FactsMade | None:
    """The page as it would be made at this moment; None where it would be another one."""
    if (mark.ledger_id, mark.hash, mark.kept) != (made.end.ledger_id, made.end.hash, made.kept):
        return None
    if form is Form.JSON and mark.head_sequence != made.head_sequence:
        return None  # the head stands in it
    return replace(
        made,
        head_sequence=mark.head_sequence,
        head_hash=mark.head_hash,
        more=made.end.position < mark.head_sequence,
    )


def _tag(asked: _Asked, made: FactsMade, numbers: bool) -> str:
    """A strong ETag without reading the body again: the chain's hash stands for every fact up to the last, and what of their
    personal data is kept is counted."""
    end = made.end.position, made.end.hash
    bounds = (made.first, *end) if made.count else end
    parts = (*bounds, made.count, made.kept, numbers, asked.form, asked.filters, made.more, made.end.position)
    return tag_of(repr((*parts, made.head_hash if asked.form is Form.JSON else "", VERSION)).encode())


async def _log(selection: Selection, made: FactsMade, shared: Services, client: Client) -> None:
    given = {"kind": selection.kinds, "line": selection.lines, "queue": selection.queues}
    await disclosed(
        shared,
        client,
        STREAM,
        made.count,
        first_position=made.first if made.count else None,
        last_position=made.last if made.count else None,
        since_utc_us=selection.since_utc_us,
        until_utc_us=selection.until_utc_us,
        selection=" ".join(f"{name}={value}" for name, values in given.items() for value in values),
    )

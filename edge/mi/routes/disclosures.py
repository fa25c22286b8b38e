"""`/v1/disclosures`: who was told what of the record, when, and how much of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from edge.mi import problems
from edge.mi.cursors import Cursor
from edge.mi.disclosures import Disclosure
from edge.mi.paging import disclosed, read_cursor
from edge.mi.security import Client, require
from edge.mi.services import Services, services
from edge.mi.tokens import READER
from edge.views.times import rfc3339

STREAM = "disclosures"
MOST = 1000

router = APIRouter(prefix="/v1", tags=["disclosures"], responses=problems.EVERYWHERE)


class DisclosureEntry(BaseModel):
    """One pull. Positions are those of the resource: sequences for facts."""

    disclosure: int
    at: str
    reader: str
    token_id: str
    address: str
    resource: str
    first_position: int | None
    last_position: int | None
    since: str | None
    until: str | None
    selection: str
    count: int
    numbers: bool
    """Whether callers' numbers and names were in it."""
    purpose: str | None
    """As the reader gave it in the header Edge101-Purpose."""


class DisclosureList(BaseModel):
    """A page, in order of time."""

    disclosures: list[DisclosureEntry]
    cursor: str
    more: bool


@router.get("/disclosures")
async def pulls(
    client: Annotated[Client, Depends(require("admin"))],
    shared: Annotated[Services, Depends(services)],
    cursor: Annotated[str | None, Query(description="From the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    reader: Annotated[
        str | None, Query(pattern=f"^{READER.pattern}$", description="Of this reader only.")
    ] = None,
) -> DisclosureList:
    """The log of disclosures, oldest first. Looking at it is written into it, too."""
    filters = reader or ""
    after = 0 if cursor is None else read_cursor(shared.cursors, cursor, STREAM, filters).position
    found = await run_in_threadpool(shared.disclosures.page, after, limit + 1, reader)
    more, found = len(found) > limit, found[:limit]
    last = found[-1].disclosure if found else after
    await disclosed(
        shared,
        client,
        STREAM,
        len(found),
        first_position=found[0].disclosure if found else None,
        last_position=last if found else None,
        selection=f"reader={reader}" if reader else "",
        numbers=False,
    )
    made = Cursor(stream=STREAM, ledger_id="", position=last, filters=filters)
    return DisclosureList(disclosures=list(map(_shown, found)), cursor=shared.cursors.text(made), more=more)


def _shown(entry: Disclosure) -> DisclosureEntry:
    return DisclosureEntry(
        disclosure=entry.disclosure,
        at=rfc3339(entry.at_utc_us),
        reader=entry.reader,
        token_id=entry.token_id,
        address=entry.address,
        resource=entry.resource,
        first_position=entry.first_position,
        last_position=entry.last_position,
        since=None if entry.since_utc_us is None else rfc3339(entry.since_utc_us),
        until=None if entry.until_utc_us is None else rfc3339(entry.until_utc_us),
        selection=entry.selection,
        count=entry.count,
        numbers=entry.numbers,
        purpose=entry.purpose,
    )

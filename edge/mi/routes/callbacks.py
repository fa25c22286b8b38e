"""`/v1/callbacks`: every promise of a call-back, its attempts, and what became of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from edge.mi import problems
from edge.mi.projection import Projection
from edge.mi.pulling import Filters, Found, How, Page, Shared, documented, pull
from edge.mi.security import Client, require
from edge.mi.showing import CALLBACK_COLUMNS, callback_row, with_numbers

router = APIRouter(
    prefix="/v1", tags=["callbacks"], responses={**problems.EVERYWHERE, **problems.documented(409)}
)
PERSONAL = ("number",)


class Callback(BaseModel):
    """One promise; its other fields are those of `callback` in docs/cli.md."""

    model_config = ConfigDict(extra="allow")
    id: str
    call_id: str
    version: int
    through_sequence: int
    in_progress: bool
    gross_wait_seconds: float | None
    """From joining the queue until a handler talked with the person."""
    net_wait_seconds: float | None
    """The part of it that they spent on the line."""


class CallbackPage(Page):
    """A page of call-backs in the order of their last change."""

    callbacks: list[Callback]


@router.get("/callbacks", responses=documented(CallbackPage), response_class=Response)
async def callbacks(
    how: How, filters: Filters, client: Annotated[Client, Depends(require("calls"))], shared: Shared
) -> Response:
    """Promised call-backs from the cursor on."""

    def read(projection: Projection, start: int, limit: int) -> Found:
        found = projection.changes(start, limit, promised=True, **filters.given())
        rows = [callback_row(projection.ledger_id, each) for each in found]
        if client.numbers:
            with_numbers(rows, shared.reader(), PERSONAL)
        return Found(rows, found[-1].position if found else start, len(found) == limit)

    return await pull(
        "callbacks", "callbacks", CALLBACK_COLUMNS, how, filters, client, shared, read, PERSONAL
    )

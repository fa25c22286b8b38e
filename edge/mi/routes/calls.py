"""`/v1/calls`: each call in one piece, in progress or ended, again whenever it changes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from edge.ledger.chain import is_synthetic
from edge.mi import problems
from edge.mi.formats import Form, encoder
from edge.mi.paging import disclosed
from edge.mi.problems import ProblemError
from edge.mi.projection import CallVersion, Projection
from edge.mi.pulling import Filters, Found, How, Page, Shared, answer, documented, pull, written
from edge.mi.security import Client, require
from edge.mi.services import Services
from edge.mi.showing import CALL_COLUMNS, CALL_PERSONAL, call_row, with_numbers
from edge.mi.stream import anchors_of

router = APIRouter(
    prefix="/v1", tags=["calls"], responses={**problems.EVERYWHERE, **problems.documented(409)}
)
May = Annotated[Client, Depends(require("calls"))]


class Call(BaseModel):
    """One call as of its newest fact; all its fields are in docs/cli.md (`edge calls --json`)."""

    model_config = ConfigDict(extra="allow")
    id: str
    """The same for every version."""
    version: int
    """Higher with every change: of one id, keep the highest."""
    through_sequence: int
    in_progress: bool
    """It has not ended: its figures will change."""
    contact: int
    """Calls of the same need have the same."""
    call_id: str
    caller: str | None
    """Keyed hash of the number."""


class OneCall(BaseModel):
    """A call by itself."""

    ledger_id: str
    synthetic: bool
    complete: bool
    """Whether every fact of the ledger has been folded: if not, the call may have changed since."""
    call: Call


class Calls(Page):
    """A page of calls in the order of their last change."""

    calls: list[Call]


@router.get("/calls", responses=documented(Calls), response_class=Response)
async def calls(how: How, filters: Filters, client: May, shared: Shared) -> Response:
    """Calls from the cursor on. A call that changed comes again, with a higher version."""

    def read(projection: Projection, start: int, limit: int) -> Found:
        found = projection.changes(start, limit, **filters.given())
        rows = rows_of(shared, client, projection.ledger_id, found)
        return Found(rows, found[-1].position if found else start, len(found) == limit)

    return await pull("calls", "calls", CALL_COLUMNS, how, filters, client, shared, read, CALL_PERSONAL)


def rows_of(
    shared: Services, client: Client, ledger_id: str, found: list[CallVersion]
) -> list[dict[str, Any]]:
    """As this client may see them."""
    rows = [call_row(ledger_id, each) for each in found]
    if client.numbers:
        with_numbers(rows, shared.reader(), CALL_PERSONAL)
    return rows


@router.get("/calls/{call_id}", responses=documented(OneCall), response_class=Response)
async def call(
    call_id: Annotated[str, Path(max_length=200)], how: How, client: May, shared: Shared
) -> Response:
    """One call, by its `call_id` or `id`."""
    found = await run_in_threadpool(_one, shared, client, call_id)
    if found is None:
        raise ProblemError(404, "not-found", "there is no such call", "Use a call_id that /v1/calls gave.")
    page, row = found
    await disclosed(shared, client, "calls", 1, selection=f"call={row['call_id']}")
    columns = (*CALL_COLUMNS, *CALL_PERSONAL) if client.numbers else CALL_COLUMNS
    alone = encoder.encode({**page, "call": row})
    body = alone if how.form is Form.JSON else written(how.form, "call", page, columns, [row])
    return answer(how, body, page)


def _one(shared: Services, client: Client, call_id: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    projection = shared.folded()
    ledger_id, head = anchors_of(shared.reader())
    found = projection.call(call_id.removeprefix(f"{ledger_id}-"))
    if found is None:
        return None
    (row,) = rows_of(shared, client, ledger_id, [found])
    complete = projection.through >= head
    return {"ledger_id": ledger_id, "synthetic": is_synthetic(ledger_id), "complete": complete}, row

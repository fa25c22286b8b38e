"""`/v1/contacts`: the calls of one need in one piece: first call, calling again, call-back, consultation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from edge.mi import problems
from edge.mi.projection import Projection
from edge.mi.pulling import CallFilters, Found, How, Page, Shared, documented, pull
from edge.mi.security import Client, require
from edge.mi.showing import CONTACT_COLUMNS, contact_row

router = APIRouter(
    prefix="/v1", tags=["contacts"], responses={**problems.EVERYWHERE, **problems.documented(409)}
)


class Contact(BaseModel):
    """One need: calls of the same number, each within half an hour of the last one, and what handlers dialled for it."""

    model_config = ConfigDict(extra="allow")
    id: str
    contact: int
    version: int
    through_sequence: int
    in_progress: bool
    calls_count: int
    got_through: bool
    until_first_human_seconds: float | None
    """From the first call's arrival until a person answered any of them."""
    right_desk_seconds: float | None
    called_999_too: bool
    """Calls of both kinds are among them."""


class ContactPage(Page):
    """A page of contacts in the order of their last change."""

    contacts: list[Contact]


@router.get("/contacts", responses=documented(ContactPage), response_class=Response)
async def contacts(
    how: How, client: Annotated[Client, Depends(require("calls"))], shared: Shared
) -> Response:
    """Contacts from the cursor on. A contact comes again when one of its calls changes, or another joins it."""

    def read(projection: Projection, start: int, limit: int) -> Found:
        found = projection.contacts(start, limit)
        ledger_id = projection.ledger_id
        rows = [contact_row(ledger_id, position, projection.contact(contact)) for position, contact in found]
        return Found(rows, found[-1][0] if found else start, len(found) == limit)

    return await pull("contacts", "contacts", CONTACT_COLUMNS, how, CallFilters(), client, shared, read)

"""`/v1/acknowledgements`: a reader says how far it has the record safely."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from edge.mi import problems
from edge.mi.acknowledgements import Acknowledgement
from edge.mi.cursors import LONGEST
from edge.mi.paging import read_any_cursor
from edge.mi.security import Client, require
from edge.mi.services import Services, services
from edge.views.times import rfc3339

router = APIRouter(prefix="/v1", tags=["acknowledgements"], responses=problems.EVERYWHERE)


class Acknowledge(BaseModel):
    """What a reader says: everything up to this cursor is on its own disk."""

    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[str, Field(max_length=LONGEST)]


class Acknowledged(BaseModel):
    """How far a reader has come. `whole`: it takes everything, so that retention may go by it."""

    reader: str
    stream: str
    ledger_id: str
    position: int
    whole: bool
    at: str


class AcknowledgedList(BaseModel):
    """The reader's own, by stream and ledger."""

    acknowledgements: list[Acknowledged]


@router.post("/acknowledgements")
async def acknowledge(
    said: Acknowledge,
    client: Annotated[Client, Depends(require("facts", "calls"))],
    shared: Annotated[Services, Depends(services)],
) -> Acknowledged:
    """Everything up to this cursor is safe with the reader. To be sent once it is on disk there; saying it twice does no harm."""
    cursor = read_any_cursor(shared.cursors, said.cursor)
    return _shown(
        await run_in_threadpool(shared.acknowledgements.note, client.reader, client.token_id, cursor)
    )


@router.get("/acknowledgements")
async def acknowledged(
    client: Annotated[Client, Depends(require("facts", "calls"))],
    shared: Annotated[Services, Depends(services)],
) -> AcknowledgedList:
    """How far this reader has come, whatever token it used."""
    found = await run_in_threadpool(shared.acknowledgements.all, client.reader)
    return AcknowledgedList(acknowledgements=list(map(_shown, found)))


def _shown(known: Acknowledgement) -> Acknowledged:
    return Acknowledged(
        reader=known.reader,
        stream=known.stream,
        ledger_id=known.ledger_id,
        position=known.position,
        whole=not known.filters,
        at=rfc3339(known.at_utc_us),
    )

"""`/v1/gaps`: when the switch, the ledger or the clock could not be relied on. What is not known is said, never left out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from edge.mi import problems
from edge.mi.folding import HoleRecord
from edge.mi.paging import disclosed, moved, read_id, utc_us
from edge.mi.projection import Projection
from edge.mi.security import Client, require
from edge.mi.services import Services, services
from edge.mi.stream import MovedError, Start, anchors_of
from edge.views.times import rfc3339

MOST = 1000

router = APIRouter(prefix="/v1", tags=["gaps"], responses={**problems.EVERYWHERE, **problems.documented(409)})


class Gap(BaseModel):
    """One time in which something could not be relied on."""

    id: str
    """The ledger's id and the sequence of the fact that began it: the same gap has the same, also once it has ended."""
    kind: str
    """`switch`: calls were not seen. `ledger`: facts could not be written when they were made. `clock`: times may be off."""
    since: str
    until: str | None
    """None: it lasts."""
    seconds: float | None
    detail: str


class Gaps(BaseModel):
    """Gaps in order of their beginning. Those that lasted when they were given are to be asked for again."""

    ledger_id: str
    gaps: list[Gap]
    more: bool
    """Ask again with `after_id` of the last one."""
    through_sequence: int
    """The facts up to here have been looked at."""
    complete: bool
    """Whether that is all of them."""


@router.get("/gaps")
async def gaps(
    client: Annotated[Client, Depends(require("facts", "calls", "metrics"))],
    shared: Annotated[Services, Depends(services)],
    since: Annotated[
        str | None, Query(description="Only gaps that last at this time or later (RFC 3339).")
    ] = None,
    until: Annotated[
        str | None, Query(description="Only gaps that began before this time (RFC 3339).")
    ] = None,
    after_id: Annotated[
        str | None, Query(max_length=64, description="The id of the last gap that you have.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> Gaps:
    """Every gap in the record, with what is known of it."""
    since_us, until_us = utc_us(since, "since"), utc_us(until, "until")
    ledger_id, after = ("", 0) if after_id is None else read_id(after_id, "gap")
    try:
        found = await run_in_threadpool(_read, shared, (since_us, until_us), Start(after, ledger_id), limit)
    except MovedError as error:
        raise moved(error) from error
    await disclosed(
        shared, client, "gaps", len(found.gaps), since_utc_us=since_us, until_utc_us=until_us, numbers=False
    )
    return found


def _read(shared: Services, times: tuple[int | None, int | None], start: Start, limit: int) -> Gaps:
    projection = shared.folded()
    through = projection.through
    ledger_id, head = anchors_of(shared.reader(), start)
    found, more = _chosen(projection, times, start.position, limit)
    return Gaps(
        ledger_id=ledger_id,
        gaps=[_shown(ledger_id, hole) for hole in found],
        more=more,
        through_sequence=through,
        complete=through >= head,
    )


def _chosen(
    projection: Projection, times: tuple[int | None, int | None], after: int, limit: int
) -> tuple[list[HoleRecord], bool]:
    since_us, until_us = times
    chosen: list[HoleRecord] = []
    while holes := projection.holes(after, MOST):
        for hole in holes:
            if (since_us is None or hole.ended_us is None or hole.ended_us > since_us) and (
                until_us is None or hole.started_us < until_us
            ):
                if len(chosen) == limit:
                    return chosen, True
                chosen.append(hole)
        after = holes[-1].sequence
    return chosen, False


def _shown(ledger_id: str, hole: HoleRecord) -> Gap:
    return Gap(
        id=f"{ledger_id}-{hole.sequence}",
        kind=hole.hole.value,
        since=rfc3339(hole.started_us),
        until=None if hole.ended_us is None else rfc3339(hole.ended_us),
        seconds=None if hole.ended_us is None else (hole.ended_us - hole.started_us) / 1e6,
        detail=hole.detail,
    )

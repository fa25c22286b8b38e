"""`/v1/metrics`: definitions, and any figure of any period under any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from edge.ledger.chain import is_synthetic
from edge.metrics.asking import PeriodError, ask, figure_row, names_of, times_of
from edge.metrics.book import UnknownDefinitionError
from edge.metrics.compute import RefusedFigureError
from edge.metrics.periods import Every, TooManyPeriodsError
from edge.mi import problems
from edge.mi.paging import disclosed
from edge.mi.problems import ProblemError
from edge.mi.pulling import How, Shared, answer, documented, written
from edge.mi.security import Client, require
from edge.mi.services import Services
from edge.mi.stream import anchors_of

router = APIRouter(prefix="/v1", tags=["metrics"], responses=problems.EVERYWHERE)
May = Annotated[Client, Depends(require("metrics"))]
MOST_IDS = 100
MOST_FIGURES = 50_000
COLUMNS = (
    *("definition", "digest", "title", "period", "since", "until", "group", "value", "unit", "numerator"),
    *("denominator", "completeness"),
)
T = TypeVar("T")


class Definition(BaseModel):
    """How a figure is computed. `choices`: everything that decides it; `digest` tells two of one name apart."""

    id: str
    version: int
    digest: str
    title: str
    meaning: str
    unit: str
    choices: dict[str, Any]


class Definitions(BaseModel):
    """Those that hold here."""

    definitions: list[Definition]
    by_agent: bool
    """Whether this force has figures given agent by agent."""


class Figure(BaseModel):
    """One figure, with the id and version of its definition, and how far it can be relied on."""

    definition: str
    digest: str
    title: str
    period: str
    since: str
    until: str
    group: dict[str, str]
    value: float | None
    """None: nothing to divide by, or not reached."""
    unit: str
    numerator: int | None
    denominator: int | None
    completeness: dict[str, Any]


class Figures(BaseModel):
    """Figures in the order of the ids, groups and periods."""

    ledger_id: str
    synthetic: bool
    through_sequence: int
    complete: bool
    """Whether all facts of the ledger are in them."""
    figures: list[Figure]


@router.get("/metrics/definitions")
async def definitions(client: May, shared: Shared) -> Definitions:  # noqa: ARG001 - it has to be permitted
    """The definitions that hold here, ours and the force's own."""
    book = shared.book
    return Definitions(
        by_agent=book.by_agent,
        definitions=[
            Definition(
                id=name,
                version=made.version,
                digest=made.digest,
                title=made.title,
                meaning=made.meaning,
                unit=made.unit,
                choices=msgspec.to_builtins(made),
            )
            for name, made in book.definitions.items()
        ],
    )


@router.get("/metrics", responses=documented(Figures), response_class=Response)
async def metrics(
    how: How,
    client: May,
    shared: Shared,
    id: Annotated[  # noqa: A002
        list[str],
        Query(
            min_length=1,
            max_length=MOST_IDS,
            description="Definitions: ids, id@version, or patterns such as 101-*.",
        ),
    ],
    period: Annotated[
        str | None,
        Query(
            max_length=20,
            description="today, yesterday, 2026-10-25, 2026-W43, 2026-10, 2026-Q4 or 2026; local time.",
        ),
    ] = None,
    since: Annotated[
        str | None, Query(max_length=40, description="In place of period: from this time.")
    ] = None,
    until: Annotated[
        str | None, Query(max_length=40, description="With since: to this time; left out: now.")
    ] = None,
    every: Annotated[Every, Query(description="How the time is divided.")] = Every.WHOLE,
    by: Annotated[
        list[str],
        Query(max_length=7, description="Divided by tier, queue, line, force, class, language, agent."),
    ] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """Figures under these definitions. A changed definition recomputes the past."""
    zone = shared.zone()
    start_us, end_us = mended(lambda: times_of(period, since, until, zone, shared.now_utc_us()))
    page, rows = await run_in_threadpool(_figures, shared, id, (start_us, end_us), every, by)
    await disclosed(
        shared,
        client,
        "metrics",
        len(rows),
        since_utc_us=start_us,
        until_utc_us=end_us,
        selection=f"id={' '.join(id)[:200]} every={every.value} by={' '.join(by)[:100]}",
        numbers=False,
    )
    body = await run_in_threadpool(written, how.form, "figures", page, COLUMNS, rows)
    return answer(how, body, page)


def _figures(
    shared: Services, names: list[str], times: tuple[int, int], every: Every, by: list[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    projection, book, zone = shared.folded(), shared.book, shared.zone()
    ledger_id, head = anchors_of(shared.reader())
    wanted = mended(lambda: names_of(book, names))
    found = mended(
        lambda: ask(projection, book, wanted, *times, every=every, zone=zone, by=by, most=MOST_FIGURES)
    )
    through = projection.through
    page = {
        "ledger_id": ledger_id,
        "synthetic": is_synthetic(ledger_id),
        "through_sequence": through,
        "complete": through >= head,
    }
    return page, [figure_row(figure, zone) for figure in found]


def mended(what: Callable[[], T]) -> T:
    """What a client can mend, as a problem."""
    try:
        return what()
    except UnknownDefinitionError as error:
        raise ProblemError(
            422,
            "definition",
            str(error.args[0])[:300],
            "GET /v1/metrics/definitions lists those that hold here.",
        ) from error
    except RefusedFigureError as error:
        raise ProblemError(
            422, "division", str(error)[:300], "Divide the figures otherwise, or not at all."
        ) from error
    except (PeriodError, TooManyPeriodsError) as error:
        raise ProblemError(
            422, "period", str(error)[:300], "Send another period, or since and until."
        ) from error

"""`/v1/tasks`: work for humans: ring somebody back, or look."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from edge.mi import problems
from edge.mi.projection import Projection
from edge.mi.pulling import CallFilters, Found, How, Page, Shared, documented, pull
from edge.mi.security import Client, require
from edge.mi.showing import TASK_COLUMNS, task_row, with_numbers

router = APIRouter(
    prefix="/v1", tags=["tasks"], responses={**problems.EVERYWHERE, **problems.documented(409)}
)
PERSONAL = ("number",)


class Task(BaseModel):
    """One task. Only a named person closes it."""

    model_config = ConfigDict(extra="allow")
    id: str
    version: int
    through_sequence: int
    task_id: str
    call_id: str
    kind: str


class TaskPage(Page):
    """A page of tasks in the order of their last change."""

    tasks: list[Task]


@router.get("/tasks", responses=documented(TaskPage), response_class=Response)
async def tasks(
    how: How,
    client: Annotated[Client, Depends(require("calls"))],
    shared: Shared,
    open: Annotated[bool, Query(description="Only tasks that nobody has closed.")] = False,  # noqa: A002
) -> Response:
    """Ring-back tasks from the cursor on."""

    def read(projection: Projection, start: int, limit: int) -> Found:
        found = projection.tasks(start, limit, only_open=open)
        rows = [task_row(projection.ledger_id, each) for each in found]
        if client.numbers:
            with_numbers(rows, shared.reader(), PERSONAL)
        return Found(rows, found[-1].position if found else start, len(found) == limit)

    filters = CallFilters(in_progress=True if open else None)
    return await pull("tasks", "tasks", TASK_COLUMNS, how, filters, client, shared, read, PERSONAL)

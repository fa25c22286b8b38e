"""`/healthz`: the process answers. `/readyz`: it can serve. Without a token, so they tell nothing but names and yes or no."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from edge.mi import problems
from edge.mi.services import Services, services
from edge.ports import LedgerError

router = APIRouter(tags=["health"], responses=problems.documented(405, 413, 429, 500))
log = structlog.get_logger(__name__)


class Health(BaseModel):
    """`status`: `ok`, or `unready`. `checks`: what was looked at, and whether it is well."""

    status: str
    checks: dict[str, bool]


@router.get("/healthz")
async def healthz() -> Health:
    """Whether the process answers. It looks at nothing else: restart it when this fails."""
    return Health(status="ok", checks={})


@router.get("/readyz", responses={503: {"model": Health, "description": "It cannot serve"}})
async def readyz(shared: Annotated[Services, Depends(services)]) -> JSONResponse:
    """Whether the record and MI's own file can be read. 503 when one cannot: send nobody here."""
    checks = await run_in_threadpool(_look, shared)
    well = all(checks.values())
    found = Health(status="ok" if well else "unready", checks=checks)
    return JSONResponse(found.model_dump(), 200 if well else 503)


def _look(shared: Services) -> dict[str, bool]:
    looks: dict[str, Callable[[], object]] = {
        "ledger": lambda: shared.reader().head(),
        "store": shared.disclosures.newest_utc_us,
    }
    return {name: _works(name, look) for name, look in looks.items()}


def _works(name: str, look: Callable[[], object]) -> bool:
    try:
        look()
    except LedgerError as error:
        log.warning("not ready", check=name, error=str(error))
        return False
    return True

"""Keeps the projection level with the ledger, in the background and never for long at a time: pulls go on beside it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import structlog
from starlette.concurrency import run_in_threadpool

from edge.errors import PermanentError
from edge.mi.projection import Projection
from edge.mi.services import Services
from edge.ports import LedgerError

PORTION_FACTS = 1000
RESTS = 3
RESTS_BESIDE_PULLS = 15
"""So many times the time of a portion is rested after it; the second while somebody pulls, who wants the same processor."""
PAUSE_SECONDS = 0.25
TROUBLE_SECONDS = 5.0

log = structlog.get_logger(__name__)


async def keep_level(services: Services, stopping: asyncio.Event) -> None:
    """Until told to stop; never cancelled, as the thread that folds would go on with files that are being closed.

    While there is much to fold, it takes a quarter of the time, and a sixteenth of it beside a pull.
    """
    asked_before = 0
    while not stopping.is_set():
        began = time.monotonic()
        try:
            busy = await run_in_threadpool(lambda: _portion(services.projection()))
        except (LedgerError, PermanentError) as error:
            log.warning("projection waits", error=str(error))
            await _rest(stopping, TROUBLE_SECONDS)
            continue
        asked = services.slots.asked
        rest = rest_seconds(time.monotonic() - began, busy, asked != asked_before)
        asked_before = asked
        await _rest(stopping, rest)


def _portion(projection: Projection) -> bool:
    """Some facts, or what is settled of them brought together for figures; whether there was anything to do."""
    return projection.advance(PORTION_FACTS) > 0 or projection.gather()


def rest_seconds(worked_seconds: float, busy: bool, pulled: bool) -> float:
    """After a portion. `busy`: there was something to do. `pulled`: pages were asked for since the one before."""
    if not busy:
        return PAUSE_SECONDS
    return worked_seconds * (RESTS_BESIDE_PULLS if pulled else RESTS)


async def _rest(stopping: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()

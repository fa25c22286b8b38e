"""Keeps the projection level with the ledger, in the background and never for long at a time: pulls go on beside it."""

from __future__ import annotations

import asyncio
import time

import structlog
from starlette.concurrency import run_in_threadpool

from edge.errors import PermanentError
from edge.mi.services import Services
from edge.ports import LedgerError

PORTION_FACTS = 1000
RESTS = 3
PAUSE_SECONDS = 0.25
TROUBLE_SECONDS = 5.0

log = structlog.get_logger(__name__)


async def keep_level(services: Services) -> None:
    """Until cancelled. While there is much to fold, it takes a quarter of the time."""
    while True:
        began = time.monotonic()
        try:
            folded = await run_in_threadpool(lambda: services.projection().advance(PORTION_FACTS))
        except (LedgerError, PermanentError) as error:
            log.warning("projection waits", error=str(error))
            await asyncio.sleep(TROUBLE_SECONDS)
            continue
        await asyncio.sleep(RESTS * (time.monotonic() - began) if folded else PAUSE_SECONDS)

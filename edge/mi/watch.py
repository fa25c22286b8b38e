"""Waiting for new facts: one look at the ledger for all who wait, twenty times a second, and none while nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.concurrency import run_in_threadpool

from edge.ports import LedgerError

LOOK_SECONDS = 0.05


class HeadWatch:
    """Knows when the ledger has grown."""

    def __init__(self, head: Callable[[], int], look_seconds: float = LOOK_SECONDS) -> None:
        self._head = head
        self._look_seconds = look_seconds
        self._seen = 0
        self._changed = asyncio.Condition()
        self.waiting = 0
        """How many readers wait."""
        self._looking: asyncio.Task[None] | None = None

    async def beyond(self, sequence: int, seconds: float) -> bool:
        """Wait until the ledger has a fact after `sequence`, so long at most; whether it has. Raises `LedgerError`."""
        self.waiting += 1
        try:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._until(sequence)
        finally:
            self.waiting -= 1
        return self._seen > sequence

    async def _until(self, sequence: int) -> None:
        async with self._changed:
            while self._seen <= sequence:
                await self._changed.wait()

    async def _look(self) -> None:
        while self.waiting:
            try:
                seen = await run_in_threadpool(self._head)
            except LedgerError:
                seen = self._seen  # the page that is read next says what is wrong
            if seen != self._seen:
                async with self._changed:
                    self._seen = seen
                    self._changed.notify_all()
            await asyncio.sleep(self._look_seconds)

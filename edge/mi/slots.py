"""How many pages are in memory at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from edge.mi.problems import ProblemError

PAGES_AT_ONCE = 16
"""Whoever asked for them."""
PAGES_OF_TOKEN = 4
SLOT_SECONDS = 5.0


class Holder(Protocol):
    """Who may hold a page: `edge.mi.security.Client`."""

    @property
    def reader(self) -> str:
        """Its name."""

    @property
    def token_id(self) -> str:
        """Its token."""


class Slots:
    """How many pages are in memory at once, so that slow and many readers cost no more than a few."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(PAGES_AT_ONCE)
        self._of_token: Counter[str] = Counter()
        self.asked = 0
        """How many pages were asked for since the process began."""

    @property
    def under_way(self) -> int:
        """How many pages are in memory."""
        return self._of_token.total()

    @asynccontextmanager
    async def slot(self, client: Holder) -> AsyncIterator[None]:
        """One page's place. Raises `ProblemError` 429 or 503."""
        self.asked += 1
        if self._of_token[client.token_id] >= PAGES_OF_TOKEN:
            raise ProblemError(
                429,
                "at-once",
                f"{client.reader} has {PAGES_OF_TOKEN} pages under way with this token",
                "Take one page before you ask for the next; more at once are not faster.",
                {"Retry-After": "1"},
            )
        self._of_token[client.token_id] += 1
        try:
            await self._acquire()
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._of_token[client.token_id] -= 1
            if not self._of_token[client.token_id]:
                del self._of_token[client.token_id]

    async def _acquire(self) -> None:
        try:
            async with asyncio.timeout(SLOT_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise ProblemError(
                503,
                "busy",
                "too many pages are under way",
                "Ask again in a few seconds.",
                {"Retry-After": "5"},
            ) from None

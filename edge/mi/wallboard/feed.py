"""One look for all viewers: the record is read in one thread, and whoever watches is given the newest picture.

A viewer that is slow misses pictures and never delays another's. While nobody watches, nothing is read.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import structlog

from edge.core.model import Instant
from edge.mi.wallboard.live import Live
from edge.mi.wallboard.picture import picture, without_calls

LOOK_SECONDS = 0.2
"""How often the record is asked for its newest fact while somebody watches: what is committed is seen well within a second."""
REPEAT_SECONDS = 1.0
"""Ages grow without any new fact, and a viewer that hears nothing for some of these knows that the connection is cut."""
IDLE_SECONDS = 30.0
"""How often the record is read while nobody watches, so that the next who comes is shown it at once."""
VIEWERS_MOST = 200

T = TypeVar("T")
log = structlog.get_logger(__name__)


class TooManyViewersError(Exception):
    """No room for another stream."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in JSON, as each kind of viewer may see it."""

    plain: bytes
    with_calls: bytes


class Feed:
    """Owns the live fold. `run` goes on until cancelled; `watch` gives each viewer the pictures."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wallboard")
        self._newest: Picture | None = None
        self._made = 0
        self._changed = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._viewers = 0
        self._closed = False

    @property
    def viewers(self) -> int:
        """How many watch."""
        return self._viewers

    def now(self) -> Instant:
        """This moment, as the live fold has it."""
        return self._live.signs.now()

    async def run(self) -> None:
        """Look again and again. What fails is logged, and viewers are told nothing: their page then says so itself."""
        drawn = 0.0
        while not self._closed:
            try:
                changed, level = await self._in_thread(self._look)
                if changed or self._newest is None or monotonic() - drawn >= REPEAT_SECONDS:
                    drawn = monotonic()
                    await self._publish(await self._in_thread(self._draw))
            except Exception:  # the board must not end for one bad look: viewers see it as stale
                if self._closed:
                    return
                log.exception("wallboard.failed")
                level = True
            await self._pause(level)

    async def _pause(self, level: bool) -> None:
        if self._closed:
            return
        if not self._viewers:
            self._wanted.clear()
            try:
                await asyncio.wait_for(self._wanted.wait(), IDLE_SECONDS if level else LOOK_SECONDS)
            except TimeoutError:
                return
        elif level:
            await asyncio.sleep(LOOK_SECONDS)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _look(self) -> tuple[bool, bool]:
        changed = self._live.look()
        return changed, self._live.is_level

    def _draw(self) -> Picture:
        whole = picture(self._live, calls=True)
        return Picture(_json(without_calls(whole)), _json(whole))

    async def _publish(self, made: Picture) -> None:
        async with self._changed:
            self._newest, self._made = made, self._made + 1
            self._changed.notify_all()

    async def watch(self) -> AsyncGenerator[Picture]:
        """Pictures as they are made, the newest each time. Raises `TooManyViewersError`."""
        if self._viewers >= VIEWERS_MOST:
            raise TooManyViewersError
        self._viewers += 1
        seen = self._made  # made before: it may be old, and the next is on its way
        self._wanted.set()
        try:
            while not self._closed:
                newest, seen = await self._after(seen)
                if newest is not None and not self._closed:
                    yield newest
        finally:
            self._viewers -= 1

    async def _after(self, seen: int) -> tuple[Picture | None, int]:
        """The newest picture and its number, once there is one that is newer than this."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._made > seen or self._closed)
            return self._newest, self._made

    async def ask(self, question: Callable[[Live], T]) -> T:
        """Answer something from the live fold, after a look, in its thread."""

        def answer() -> T:
            self._live.look()
            return question(self._live)

        return await self._in_thread(answer)

    async def close(self) -> None:
        """Let the viewers go, and end the thread; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        self._wanted.set()
        async with self._changed:
            self._changed.notify_all()
        await self._in_thread(self._live.close)
        self._thread.shutdown(wait=False)


def _json(value: dict[str, Any]) -> bytes:
    """On one line, as an event's data must be."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")

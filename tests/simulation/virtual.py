"""Simulated time: an event loop that jumps to its next timer when nothing is ready, and a clock that can be set wrong.

Nothing sleeps and nothing runs beside: the same inputs give the same course of events, however fast the machine is.
"""

from __future__ import annotations

import asyncio
import selectors
from math import ceil
from typing import Any

from edge.core.inputs import ClockSeen
from edge.core.model import NANOSECONDS, ClockState, Instant

BEGINNING_UTC_US = 1_790_000_000_000_000
"""A September evening in 2026: every simulated night begins then."""


class StandstillError(Exception):
    """Nothing is ready and nothing will ever be: somebody waits for what nobody does."""


class _Leaper(selectors.SelectSelector):
    """Waits for no file: lets the loop's time leap instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise StandstillError("every task waits, and no timer is set")
        if timeout > 0:
            self.loop.leap()
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on simulated time, which begins at 0."""

    def __init__(self) -> None:
        leaper = _Leaper()
        super().__init__(leaper)
        leaper.loop = self
        self.now_ns = 0

    def time(self) -> float:
        """Simulated seconds."""
        return self.now_ns / NANOSECONDS

    def leap(self) -> None:
        """To the next timer."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        self.now_ns = max(self.now_ns, ceil(timers[0].when() * NANOSECONDS))

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""


async def pass_time(seconds: float) -> None:
    """Let simulated time pass: nobody waits for it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "only where time is simulated"
    over: asyncio.Future[None] = loop.create_future()
    handle = loop.call_later(seconds, over.set_result, None)
    try:
        await over
    finally:
        handle.cancel()


class SimulatedClock:
    """`edge.ports.Clock` on a virtual loop: the monotonic reading cannot be set, UTC can."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._offset_us = 0
        self._slew = 0.0
        self._slewing_since_ns = 0
        self._booted_ns = -1_000 * NANOSECONDS
        self._boots = 1
        self.state = ClockState.SYNCHRONISED

    def now(self) -> Instant:
        """Both readings."""
        return Instant(self._loop.now_ns - self._booted_ns, self.utc_us())

    def utc_us(self) -> int:
        """What the clock on the wall shows."""
        slewed_us = round((self._loop.now_ns - self._slewing_since_ns) / 1000 * self._slew)
        return BEGINNING_UTC_US + self._loop.now_ns // 1000 + self._offset_us + slewed_us

    def quality(self) -> ClockSeen:
        """What the kernel would say."""
        return ClockSeen(state=self.state, error_us=2_000)

    def boot_id(self) -> str:
        """Another one with each boot."""
        return f"boot-{self._boots}"

    def step(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self._offset_us += round(seconds * 1_000_000)

    def slew(self, rate: float) -> None:
        """From now on it gains so many seconds each second."""
        self._offset_us = self.utc_us() - BEGINNING_UTC_US - self._loop.now_ns // 1000
        self._slew, self._slewing_since_ns = rate, self._loop.now_ns

    def boot(self) -> None:
        """The machine starts anew: the monotonic reading begins again."""
        self._booted_ns = self._loop.now_ns - 20 * NANOSECONDS
        self._boots += 1

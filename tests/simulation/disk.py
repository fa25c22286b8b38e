"""The disk under the ledger: commits take simulated time, fail, and die with their process.

The ledger itself is the production one, a SQLite file; what is simulated is when it gets its turn, and whether it is let.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from random import Random

from edge.core.facts import Entry
from edge.ports import Ledger, LedgerError


@dataclass(slots=True)
class DiskState:
    """How the disk is. `seconds`: what a commit takes; `refuses`: why it takes none, "" while it does."""

    seconds: float = 0.002
    refuses: str = ""


class SimulatedDisk:
    """`CommitExecutor`: one commit after the other, each at its own time. `stored` is told of what is on disk."""

    def __init__(
        self,
        ledger: Ledger,
        state: DiskState,
        dice: Random,
        stored: Callable[[Sequence[Entry]], None],
        operate: Callable[[], bool],
    ) -> None:
        """`operate`: told before anything is asked of the disk."""
        self._ledger = ledger
        self._state = state
        self._dice = dice
        self._stored = stored
        self._operate = operate
        self._busy_until = 0.0
        self._pending: list[tuple[asyncio.TimerHandle, Callable[[], None]]] = []
        self._is_dead = False

    def submit(self, entries: Sequence[Entry]) -> Future[None]:
        """Commit `entries` when the disk has done what was asked before."""
        wanted = tuple(entries)

        def commit() -> None:
            self._ledger.append(wanted)
            self._stored(wanted)

        return self._queue(commit)

    def submit_checkpoint(self, sequence: int, state: bytes) -> Future[None]:
        """Save a checkpoint after the commits before it."""
        return self._queue(lambda: self._ledger.save_checkpoint(sequence, state))

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Commit `entries` and wait. Raises `LedgerError`."""
        await asyncio.wrap_future(self.submit(entries))

    def close(self) -> None:
        """Nothing to finish."""

    def die(self) -> None:
        """The process is killed: a commit under way has got to the disk, or has not."""
        self._is_dead = True
        for index, (handle, work) in enumerate(self._pending):
            handle.cancel()
            if index == 0 and not self._state.refuses and self._dice.random() < 0.5:
                work()
        self._pending = []

    def _queue(self, work: Callable[[], None]) -> Future[None]:
        future: Future[None] = Future()
        if not self._operate() or self._is_dead:
            return future
        loop = asyncio.get_running_loop()
        at = max(loop.time(), self._busy_until) + self._state.seconds * self._dice.uniform(0.5, 1.5)
        self._busy_until = at
        self._pending.append((loop.call_at(at, self._do, future, work), work))
        return future

    def _do(self, future: Future[None], work: Callable[[], None]) -> None:
        self._pending.pop(0)
        if not future.set_running_or_notify_cancel():
            return
        if self._state.refuses:
            why = f"simulated disk: {self._state.refuses}; wait until it is well again"
            future.set_exception(LedgerError(why))
            return
        try:
            work()
        except LedgerError as error:
            future.set_exception(error)
        else:
            future.set_result(None)

"""The executor port: where commits happen.

A thread in production, so that a slow disk never stops the loop; inline in the simulator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, Protocol

from edge.core.facts import Entry
from edge.ports import Ledger, LedgerError

P = ParamSpec("P")


class CommitExecutor(Protocol):
    """Commits batches in the order they were submitted. Failures are `LedgerError`."""

    def submit(self, entries: Sequence[Entry]) -> Future[None]:
        """Begin to commit `entries`."""

    def submit_checkpoint(self, sequence: int, state: bytes) -> Future[None]:
        """Begin to save a checkpoint, after the commits before it."""

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Commit `entries` and wait. Cancelling the waiting does not cancel the commit."""

    def close(self) -> None:
        """Finish what was submitted."""


class ThreadCommitExecutor:
    """Commits in one thread of its own."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    def submit(self, entries: Sequence[Entry]) -> Future[None]:
        """Begin to commit `entries` in the thread. Who waits for them is told before the thread tidies up."""
        committed = self._thread.submit(self._ledger.append, entries)
        self._thread.submit(self._ledger.tidy)
        return committed

    def submit_checkpoint(self, sequence: int, state: bytes) -> Future[None]:
        """Begin to save a checkpoint in the thread, after the commits before it."""
        return self._thread.submit(self._ledger.save_checkpoint, sequence, state)

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Commit `entries` and wait without blocking the loop. Raises `LedgerError`."""
        await asyncio.shield(asyncio.wrap_future(self.submit(entries)))

    def close(self) -> None:
        """Finish what was submitted, then end the thread."""
        self._thread.shutdown()


class InlineCommitExecutor:
    """Commits at once, in the caller: the simulator's time does not pass meanwhile."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def submit(self, entries: Sequence[Entry]) -> Future[None]:
        """Commit `entries`."""
        return _done(self._ledger.append, entries)

    def submit_checkpoint(self, sequence: int, state: bytes) -> Future[None]:
        """Save a checkpoint."""
        return _done(self._ledger.save_checkpoint, sequence, state)

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Commit `entries`. Raises `LedgerError`."""
        self._ledger.append(entries)

    def close(self) -> None:
        """Nothing to finish."""


def _done(work: Callable[P, None], *args: P.args, **options: P.kwargs) -> Future[None]:
    future: Future[None] = Future()
    try:
        work(*args, **options)
    except LedgerError as error:
        future.set_exception(error)
    else:
        future.set_result(None)
    return future

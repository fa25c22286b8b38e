"""Commits through the executor port, in a thread and inline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from edge.core.facts import Entry
from edge.ledger.executor import CommitExecutor, InlineCommitExecutor, ThreadCommitExecutor
from edge.ledger.measure import arrivals
from edge.ledger.memory import MemoryLedger
from edge.ports import LedgerError


class GatedLedger(MemoryLedger):
    """A ledger whose disk hangs until the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def append(self, entries: Sequence[Entry]) -> None:
        assert self.gate.wait(10)
        super().append(entries)


class UntidyLedger(MemoryLedger):
    """Tidying takes until `gate` opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def tidy(self) -> None:
        assert self.gate.wait(10)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture(params=[ThreadCommitExecutor, InlineCommitExecutor])
def executor(request: pytest.FixtureRequest, ledger: MemoryLedger) -> Iterator[CommitExecutor]:
    made: CommitExecutor = request.param(ledger)
    yield made
    made.close()


async def test_a_commit_is_on_the_ledger_when_it_returns(
    executor: CommitExecutor, ledger: MemoryLedger
) -> None:
    """Awaiting a commit is waiting for the disk."""
    await executor.commit(arrivals(1, 2))
    assert ledger.last_sequence() == 2


async def test_a_refused_commit_raises(executor: CommitExecutor) -> None:
    """Whoever waits gets the ledger's own error, and the next commit is a new one."""
    with pytest.raises(LedgerError, match="does not follow"):
        await executor.commit(arrivals(9, 1))
    await executor.commit(arrivals(1, 1))


def test_commits_keep_their_order(executor: CommitExecutor, ledger: MemoryLedger) -> None:
    """What is submitted first is committed first, checkpoints included."""
    futures = [executor.submit(arrivals(number, 1)) for number in range(1, 51)]
    futures.append(executor.submit_checkpoint(50, b"state"))
    assert [future.result(10) for future in futures] == [None] * 51
    assert (ledger.last_sequence(), ledger.load_checkpoint()) == (50, (50, b"state"))


def test_a_refused_submission_is_in_its_future(executor: CommitExecutor) -> None:
    """Submitting never raises; the future does."""
    with pytest.raises(LedgerError, match="no checkpoint at entry 1"):
        executor.submit_checkpoint(1, b"").result(10)


async def test_a_hanging_disk_does_not_stop_the_loop_and_cancelling_does_not_undo() -> None:
    """The loop runs while the disk hangs; a waiter that gives up leaves its commit in progress."""
    ledger = GatedLedger()
    executor = ThreadCommitExecutor(ledger)
    first, second = (asyncio.ensure_future(executor.commit(arrivals(number, 1))) for number in (1, 2))
    await asyncio.sleep(0)
    second.cancel()
    assert not first.done()
    ledger.gate.set()
    await first
    executor.close()
    assert ledger.last_sequence() == 2


def test_nobody_waits_for_tidying() -> None:
    """A commit is told before the thread tidies up after it."""
    ledger = UntidyLedger()
    executor = ThreadCommitExecutor(ledger)
    assert executor.submit(arrivals(1, 1)).result(5) is None
    ledger.gate.set()
    executor.close()

"""A daemon whose ledger is damaged: what was promised is kept, whether the damage is met at a start or while it serves."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from edge.clock import SystemClock
from edge.core import effects, facts, inputs
from edge.core.facts import Entry
from edge.core.model import CallState, ClockState, Instant
from edge.core.state import State, replay
from edge.ledger.executor import ThreadCommitExecutor
from edge.ledger.mending import Mended, MendingLedger, open_mended
from edge.ledger.store import SqlLedger, open_ledger, open_sql_ledger, verify
from edge.ports import Ledger, read_all
from edge.runtime import Runtime, recall
from tests.ledger.test_ledger_mending import overwrite
from tests.runtime.test_pending_callbacks import PROMISING_POLICY, Switch, daemon, waiting
from tests.runtime.test_runtime import presented
from tests.simulation.harness import quiet
from tests.simulation.night import simulate

NAMES = [f"c{number:03}" for number in range(1, 31)]
CHECKPOINT_FACTS = 60
Places = dict[str, tuple[int | None, Instant]]


@pytest.fixture(autouse=True)
def a_slow_disk_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that is busy with other tests."""
    monkeypatch.setattr("edge.recorder.COMMIT_SECONDS", 10.0)


async def promise(ledger: Ledger, runtime: Runtime, switch: Switch, names: Iterable[str] = NAMES) -> Places:
    """Everybody accepts a call-back behind one talk, and hangs up; what was promised, and when they joined."""
    await switch.until(lambda: runtime.engine.state.sight)
    runtime.post(presented("t1"))
    await switch.until(lambda: "t1" in switch.of(effects.ConnectPair))
    for number, name in enumerate(names, 1):
        runtime.post(replace(presented(name), caller_number=f"07700{number:06}"))
        for _ in range(3):  # the offer, the number, that it is safe
            runtime.post(inputs.KeyPressed(call_id=name, key="1"))
        await switch.until(lambda so_far=number: len(waiting(runtime)) == so_far)  # type: ignore[misc]
    await switch.until(lambda: ledger.last_sequence() == runtime.engine.state.sequence)
    return waiting(runtime)


def promised(state: State) -> dict[str, Instant]:
    return {call.call_id: call.queued_at for call in state.calls.values() if call.state is CallState.CALLBACK}


async def test_promises_outlive_a_damaged_file(tmp_path: Path) -> None:
    """A page of their facts is overwritten after a kill: the next daemon starts, says so, and calls them back in their order."""
    path = tmp_path / "ledger.sqlite"
    ledger = open_ledger(f"sqlite:///{path}")
    switch = Switch(ledger)
    async with daemon(ledger, switch, CHECKPOINT_FACTS) as runtime:
        before = await promise(ledger, runtime, switch)
    ledger.close()
    overwrite(path, b'"call_id":"c005"')
    whole, recalled, mended = open_mended(f"sqlite:///{path}", everything_and_recall, SystemClock().now())
    assert mended is not None
    assert mended.lost
    assert promised(recalled) == {name: at for name, (_, at) in before.items()}
    executor, switch = ThreadCommitExecutor(whole), Switch(whole)
    runtime = Runtime(
        PROMISING_POLICY, switch, whole, executor, SystemClock(), recalled=recalled, mended=str(mended)
    )
    running = asyncio.create_task(runtime.run())
    await switch.until(lambda: len(switch.of(effects.DialPerson)) >= len(NAMES))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    executor.close()
    assert switch.of(effects.DialPerson) == NAMES
    alarms = [entry.fact for entry in read_all(whole) if isinstance(entry.fact, facts.AlarmRaised)]
    assert [alarm.detail for alarm in alarms if alarm.kind == "ledger"] == [str(mended)]
    whole.close()
    assert verify(f"sqlite:///{path}").sound


def everything_and_recall(ledger: Ledger) -> State:
    """The whole record too, as a start alone reads no more than the checkpoint and what is behind it."""
    list(read_all(ledger))
    return recall(ledger)


async def test_promises_outlive_a_file_of_which_nothing_is_left(tmp_path: Path) -> None:
    """The daemon meets it while it serves, and keeps what it knows; killed after that, the next one knows it too."""
    path = tmp_path / "ledger.sqlite"
    inner = open_ledger(f"sqlite:///{path}")
    assert isinstance(inner, SqlLedger)
    told: list[Mended] = []

    def tell(mended: Mended) -> None:
        told.append(mended)
        runtime.post_from_thread(inputs.LedgerMended(detail=str(mended)))

    ledger = MendingLedger(inner, path, SystemClock().now, tell)
    switch = Switch(ledger)
    async with daemon(ledger, switch) as runtime:
        before = await promise(ledger, runtime, switch)
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.write(b"\xaa" * path.stat().st_size)
        inner.let_go()  # as if its pages had left the cache
        runtime.post(replace(presented("late"), caller_number="07700999999"))
        await switch.until(lambda: bool(told) and ledger.load_checkpoint() is not None)
    assert told[0].lost
    ledger.close()
    again = open_sql_ledger(f"sqlite:///{path}")
    assert promised(recall(again)) == {name: at for name, (_, at) in before.items()}
    assert recall(again).sequence == again.last_sequence()
    again.close()
    assert verify(f"sqlite:///{path}").sound


def test_a_record_with_holes_can_always_be_read(tmp_path: Path) -> None:
    """Whatever is missing of a night of every trouble, the rest folds, to the same state each time."""
    with quiet():
        simulate(7, 40, tmp_path)
    (path,) = tmp_path.glob("*.sqlite")
    ledger = open_sql_ledger(f"sqlite:///{path}")
    entries = list(read_all(ledger))
    ledger.close()
    dice = Random(1)
    for _ in range(50):
        first, last = sorted(dice.sample(range(1, len(entries)), 2))
        last = min(last, first + dice.choice((0, 3, 30, 300, 3000)))
        kept = [*entries[: first - 1], lost(first, last, entries[last - 1].at), *entries[last:]]
        state = replay(kept)
        assert state == replay(kept)
        assert (state.sequence, state.holes) == (len(entries), 1)


def lost(first: int, last: int, at: Instant) -> Entry:
    fact = facts.FactsLost(
        first=first, why="test", kept_as="kept", mended_at=at, until=at, previous_hash="", next_hash=""
    )
    return Entry(sequence=last, at=at, fact=fact, reason="", clock=ClockState.UNKNOWN)

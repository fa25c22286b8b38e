"""Facts commit before effects, and calls go on when the ledger does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from edge import recorder
from edge.core.effects import Effect, HangUpOffer, TellWhenDurable
from edge.core.engine import Step
from edge.core.facts import AlarmRaised, Entry, WrapUpEnded
from edge.core.inputs import Durable, Input, LedgerTrouble
from edge.core.model import ClockState, Instant
from edge.ledger import open_ledger
from edge.ledger.executor import ThreadCommitExecutor
from edge.ports import Ledger, LedgerError
from edge.recorder import BacklogFullError, Recorder


def entry(sequence: int) -> Entry:
    """Any fact."""
    return Entry(
        sequence=sequence,
        at=Instant(sequence, sequence),
        fact=WrapUpEnded(agent="4001"),
        reason="because",
        clock=ClockState.UNKNOWN,
    )


def step(sequence: int) -> Step:
    """A step of one fact and one effect that names it."""
    return Step((entry(sequence),), ((HangUpOffer(offer_id=str(sequence)), sequence),), "because")


def curious(sequence: int) -> Step:
    """A step of one fact, whose effects are to be told when it is on disk, and one more."""
    effects = (TellWhenDurable(call_id="c", token=str(sequence)), HangUpOffer(offer_id=str(sequence)))
    return Step((entry(sequence),), tuple((effect, sequence) for effect in effects), "because")


class HeldLedger:
    """A real memory ledger whose appends can be held back or refused."""

    def __init__(self) -> None:
        self.inner: Ledger = open_ledger("memory:")
        self.open = threading.Event()
        self.open.set()
        self.refusal: str | None = None

    def append(self, entries: Sequence[Entry]) -> None:
        self.open.wait(10)
        if self.refusal is not None:
            raise LedgerError(self.refusal)
        self.inner.append(entries)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


class Rig:
    """A recorder with everything around it visible."""

    def __init__(self) -> None:
        self.ledger = HeldLedger()
        self.performed: list[tuple[str, int]] = []
        self.posted: list[Input] = []
        self.changed = asyncio.Event()
        executor = ThreadCommitExecutor(self.ledger)  # type: ignore[arg-type]
        self.learnt: list[tuple[int, int]] = []
        """Sequences, each with the last that was durable when it was told."""
        self.recorder = Recorder(executor, self._perform, self._post, self._learn)

    @property
    def durable(self) -> list[str]:
        """Tokens of what was told to be durable, in order."""
        return [given.token for given in self.posted if isinstance(given, Durable)]

    def _learn(self, entries: Sequence[Entry]) -> None:
        self.learnt += [(entry.sequence, self.ledger.inner.last_sequence()) for entry in entries]

    def _perform(self, effect: Effect, cause: int) -> None:
        assert isinstance(effect, HangUpOffer)
        self.performed.append((effect.offer_id, self.ledger.inner.last_sequence()))
        self.changed.set()

    def _post(self, given: Input) -> None:
        if isinstance(given, Durable):
            assert int(given.token) <= self.ledger.inner.last_sequence(), "told before it was on disk"
        self.posted.append(given)
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    made = Rig()
    task = asyncio.create_task(made.recorder.run())
    try:
        yield made
    finally:
        made.ledger.open.set()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_effects_wait_for_their_facts() -> None:
    """No effect is performed before its fact can be read back, and nothing of a later group overtakes it."""
    async with rig() as here:
        for sequence in range(1, 101):
            here.recorder.take(step(sequence))
        await here.until(lambda: len(here.performed) == 100)

        assert [str(n) for n in range(1, 101)] == [offer for offer, _ in here.performed]
        assert all(int(offer) <= durable for offer, durable in here.performed)
        assert here.posted == []


async def test_decisions_made_during_a_commit_form_the_next_group() -> None:
    """The loop never waits for the disk."""
    async with rig() as here:
        here.ledger.open.clear()
        here.recorder.take(step(1))
        here.recorder.take(step(2))
        here.ledger.open.set()
        await here.recorder.flush()

        assert here.ledger.inner.last_sequence() == 2
        assert [offer for offer, _ in here.performed] == ["1", "2"]


async def test_a_slow_ledger_does_not_hold_a_call_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the bound effects go first; the facts follow in order, and both ends of the trouble are told to the engine."""
    monkeypatch.setattr(recorder, "COMMIT_SECONDS", 0.01)
    async with rig() as here:
        here.ledger.open.clear()
        here.recorder.take(step(1))
        await here.until(lambda: bool(here.performed))
        here.recorder.take(step(2))

        assert here.performed == [("1", 0), ("2", 0)]
        assert here.recorder.trouble is not None

        here.ledger.open.set()
        await here.until(lambda: len(here.posted) == 2)

        assert here.ledger.inner.last_sequence() == 2
        assert [type(given) for given in here.posted] == [LedgerTrouble, LedgerTrouble]
        assert [given.ok for given in here.posted if isinstance(given, LedgerTrouble)] == [False, True]
        assert here.recorder.trouble is None


async def test_a_refusing_ledger_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused facts are kept in order and committed when the ledger takes facts again."""
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.001)
    async with rig() as here:
        here.ledger.refusal = "database is locked"
        here.recorder.take(step(1))
        await here.until(lambda: here.recorder.trouble is not None)
        here.recorder.take(step(2))
        here.ledger.refusal = None
        await here.until(lambda: len(here.posted) == 2)

        assert [row.sequence for row in here.ledger.inner.read()] == [1, 2]
        assert [offer for offer, _ in here.performed] == ["1", "2"]


async def test_a_slow_commit_that_fails_in_the_end_repeats_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Effects that went ahead of a slow commit are not performed again when it is refused and tried anew."""
    monkeypatch.setattr(recorder, "COMMIT_SECONDS", 0.01)
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.001)
    async with rig() as here:
        here.ledger.open.clear()
        here.recorder.take(step(1))
        await here.until(lambda: bool(here.performed))
        here.ledger.refusal = "disk I/O error"
        here.ledger.open.set()
        here.recorder.take(step(2))
        here.ledger.refusal = None
        await here.until(lambda: len(here.posted) == 2)

        assert [offer for offer, _ in here.performed] == ["1", "2"]
        assert [row.sequence for row in here.ledger.inner.read()] == [1, 2]


async def test_durable_is_told_after_the_commit_once_and_in_order() -> None:
    """To the engine and not to the switch, whose effects go as ever."""
    async with rig() as here:
        for sequence in range(1, 51):
            here.recorder.take(curious(sequence))
        await here.recorder.flush()

        assert here.durable == [str(n) for n in range(1, 51)]
        assert [offer for offer, _ in here.performed] == here.durable
        assert {given.call_id for given in here.posted if isinstance(given, Durable)} == {"c"}


async def test_durable_is_told_of_a_fact_that_is_on_disk_already() -> None:
    """A step without a fact asks about an earlier one."""
    async with rig() as here:
        here.recorder.take(step(1))
        await here.recorder.flush()
        here.recorder.take(Step((), ((TellWhenDurable(call_id="c", token="1"), 1),), ""))
        await here.recorder.flush()

        assert here.durable == ["1"]


async def test_a_slow_commit_makes_nothing_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Effects go ahead of it; only what is on disk is told, and what was decided meanwhile waits for its own commit."""
    monkeypatch.setattr(recorder, "COMMIT_SECONDS", 0.01)
    async with rig() as here:
        here.ledger.open.clear()
        here.recorder.take(curious(1))
        await here.until(lambda: bool(here.performed))
        here.recorder.take(curious(2))
        await here.until(lambda: len(here.performed) == 2)
        assert (here.durable, here.ledger.inner.last_sequence()) == ([], 0)

        here.ledger.open.set()
        await here.recorder.flush()
        assert here.durable == ["1", "2"]


async def test_a_refused_commit_makes_nothing_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while the ledger is in trouble; once when it takes the facts again."""
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.001)
    async with rig() as here:
        here.ledger.refusal = "database is locked"
        here.recorder.take(curious(1))
        await here.until(lambda: here.recorder.trouble is not None)
        here.recorder.take(curious(2))
        assert [offer for offer, _ in here.performed] == ["1", "2"]
        assert here.durable == []

        here.ledger.refusal = None
        await here.until(lambda: len(here.durable) == 2)
        await here.recorder.flush()
        assert here.durable == ["1", "2"]


async def test_durable_is_told_although_a_text_had_to_be_cleaned() -> None:
    """The refusal of one text is no trouble of the ledger."""
    hostile = replace(entry(1), fact=WrapUpEnded(agent="40\udc8001"))
    async with rig() as here:
        asked = (TellWhenDurable(call_id="c", token="1"), 1)
        here.recorder.take(Step((hostile,), (asked,), "because"))
        await here.recorder.flush()

        assert here.durable == ["1"]


async def test_text_that_no_ledger_takes_is_cleaned_and_kept() -> None:
    """A lone surrogate in a fact neither blocks the ledger nor loses the fact."""
    hostile = WrapUpEnded(agent="40\udc8001")
    async with rig() as here:
        here.recorder.take(Step((replace(entry(1), fact=hostile),), (), "because"))
        here.recorder.take(step(2))
        await here.recorder.flush()

        assert [row.sequence for row in here.ledger.inner.read()] == [1, 2]
        assert here.ledger.inner.read()[0].fact == WrapUpEnded(agent="40?01")


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound the daemon ends by name instead of growing."""
    monkeypatch.setattr(recorder, "BACKLOG_MAXIMUM", 3)
    async with rig() as here:
        here.ledger.open.clear()
        for sequence in (1, 2, 3):
            here.recorder.take(step(sequence))
        with pytest.raises(BacklogFullError, match="switch's own queue"):
            here.recorder.take(step(4))


async def test_alarms_are_warnings_in_the_log() -> None:
    """With their kind, beside the reason of the step and not lost in it."""
    alarm = AlarmRaised(kind="999 unanswered", detail="rings the supervisors too", call_id="c1")
    async with rig() as here:
        with capture_logs() as logs:
            here.recorder.take(Step((replace(entry(1), fact=alarm),), (), "because"))
            await here.recorder.flush()

    assert [line for line in logs if line["log_level"] == "warning"] == [
        {
            "event": "alarm",
            "log_level": "warning",
            "kind": "999 unanswered",
            "detail": "rings the supervisors too",
            "call_id": "c1",
        }
    ]
    assert "because" in [line["event"] for line in logs]


async def test_what_is_committed_is_told_once_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused commit is told of when it succeeds, in order, and after it is durable."""
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.001)
    async with rig() as here:
        here.ledger.refusal = "database is locked"
        here.recorder.take(step(1))
        await here.until(lambda: here.recorder.trouble is not None)
        assert here.learnt == []
        here.recorder.take(step(2))
        here.ledger.refusal = None
        await here.recorder.flush()

    assert here.learnt == [(1, 2), (2, 2)]

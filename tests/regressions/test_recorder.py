"""Faults of the recorder that nights of the simulator have shown."""

from __future__ import annotations

import asyncio

from edge.core.effects import HangUpOffer
from edge.core.engine import Step
from edge.core.facts import Entry, WrapUpEnded
from edge.core.model import ClockState, Instant
from edge.ledger import open_ledger
from edge.ledger.executor import InlineCommitExecutor
from edge.recorder import Recorder


def step(sequence: int, *, urgent: bool) -> Step:
    """One fact, and maybe an effect that waits for it."""
    entry = Entry(
        sequence=sequence,
        at=Instant(sequence, sequence),
        fact=WrapUpEnded(agent="4001"),
        reason="because",
        clock=ClockState.UNKNOWN,
    )
    effects = ((HangUpOffer(offer_id="c1.1"), sequence),) if urgent else ()
    return Step((entry,), effects, "because")


async def test_a_recorder_that_is_cancelled_as_an_effect_arrives_ends() -> None:
    """Before Python 3.12 `wait_for` swallowed the cancellation, and the daemon never ended: seed 91 of 120 calls stood still."""
    recorder = Recorder(InlineCommitExecutor(open_ledger("memory:")), lambda *_: None, lambda _: None)
    running = asyncio.create_task(recorder.run())
    recorder.take(step(1, urgent=False))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it gathers

    recorder.take(step(2, urgent=True))
    await asyncio.sleep(0)  # the effect has woken it
    running.cancel()

    done, _ = await asyncio.wait({running}, timeout=2.0)
    assert done == {running}
    assert running.cancelled()

"""The record: callers with and without patience at eight a second, and what the ledger holds of them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from edge.core.facts import CallEnded, Entry
from edge.ledger.store import SqlReader, open_reader
from hwtest.bench.facts import CROSSED_MS, STANDS_FOR, Comparison, compare_facts
from hwtest.bench.ledger import entries_after
from hwtest.bench.results import Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, Rig, Stretch
from hwtest.statistics import percentile, summarise
from hwtest.useragent import OutgoingCall
from hwtest.useragent.call import IncomingCall

MOST_ERROR_MS = {50: 3.0, 99: 20.0}
TARGET = "error p50 <= 3, p99 <= 20 ms, none missing"
AGENTS = 4
_CALLS_PER_SECOND = 8.0
_IMPATIENT_SHARE = 0.4
_PATIENCE_SECONDS = (0.05, 1.0)
_RING_SECONDS = (0.02, 0.2)
_TALK_SECONDS = (0.1, 0.4)
_REST_SECONDS = 30.0
_LEDGER_SECONDS = 5.0


async def measure(rig: Rig, calls: int) -> Outcome:
    """`calls` callers, of whom some hang up at any point and the agents end the rest."""
    await rig.staff(min(AGENTS, len(rig.lab.agents)))
    await rig.serve_for(OURS)
    dice = random.Random("record")
    reader = open_reader(rig.lab.ledger)

    async def serve(call: IncomingCall) -> None:
        call.ring()
        if await call.lasts(dice.uniform(*_RING_SECONDS)):
            call.answer()
            if await call.lasts(dice.uniform(*_TALK_SECONDS)):
                await call.hang_up()

    try:
        before = reader.last_sequence()
        with rig.behaviour(serve):
            stretch = await Stretch.begin(rig)
            await _callers(rig, calls, dice)
            entries = await _entries(reader, before, calls)
            measured = await stretch.end()
    finally:
        reader.close()
    comparisons = compare_facts(measured.taken.records, entries, rig.caller_ports, rig.agent_ports)
    blocks = [measured.block(f"fact {each.kind}", OURS, each.errors) for each in comparisons]
    faults = [blocks[0].invalid] if blocks[0].invalid else []
    return Outcome([_figure(each, faults) for each in comparisons], blocks)


async def _callers(rig: Rig, calls: int, dice: random.Random) -> None:
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(calls):  # on a schedule, whatever becomes of those before
            await asyncio.sleep(max(0.0, started + number / _CALLS_PER_SECOND - time.monotonic()))
            patience = dice.uniform(*_PATIENCE_SECONDS) if dice.random() < _IMPATIENT_SHARE else _REST_SECONDS
            group.create_task(_one(rig.call("101_no_greeting"), patience))
    await rig.agents_idle()


async def _one(call: OutgoingCall, patience_seconds: float) -> None:
    if await call.lasts(patience_seconds):
        await call.hang_up()


async def _entries(reader: SqlReader, before: int, calls: int) -> Sequence[Entry]:
    """Everything after `before`, once every call has ended in the ledger, or it is clear that one will not."""
    deadline = time.monotonic() + _LEDGER_SECONDS
    while True:
        entries = entries_after(reader, before)
        ended = sum(isinstance(entry.fact, CallEnded) for entry in entries)
        if ended >= calls or time.monotonic() > deadline:
            return entries
        await asyncio.sleep(0.1)


def _figure(comparison: Comparison, faults: Sequence[str]) -> Figure:
    name = f"fact time, {comparison.kind}"
    if not comparison.errors:
        return unmeasured(
            name, TARGET, f"nothing to compare; missing {len(comparison.missing)}; {_left_out(comparison)}"
        )
    sizes = [abs(error) for error in comparison.errors]
    missing, extra = len(comparison.missing), len(comparison.extra)
    notes = [
        f"against {STANDS_FOR[comparison.kind]}; signed p50 {percentile(comparison.errors, 0.5):+.1f} ms",
        f"missing {missing}, extra {extra}; {_left_out(comparison)}",
        *(f"the block has {fault}" for fault in faults),
    ]
    return Figure(
        name=name,
        system=OURS,
        summary=summarise(sizes),
        target=TARGET,
        met=not missing
        and all(percentile(sizes, per_cent / 100) <= most for per_cent, most in MOST_ERROR_MS.items()),
        notes=notes,
    )


def _left_out(comparison: Comparison) -> str:
    return f"{comparison.crossed} answers left out because a hang-up crossed them within {CROSSED_MS} ms"


def not_measured(why: str) -> list[Figure]:
    """The row when it could not be measured."""
    return [unmeasured("fact time", TARGET, why)]

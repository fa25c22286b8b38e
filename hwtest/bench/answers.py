"""Answers in a rush: from the caller's INVITE to the 200 at twenty calls a second.

Callers arrive on a schedule whatever becomes of those before. Agents serve meanwhile, so that everything else which a call makes
goes on beside the answers; who is not served soon hangs up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hwtest.bench import idle
from hwtest.bench.readings import answer_latencies, arrival_rate
from hwtest.bench.results import (
    Block,
    Figure,
    Outcome,
    cap,
    compare,
    describe,
    doubted,
    null_test,
    unmeasured,
)
from hwtest.bench.rig import OURS, PLAIN_QUEUE, Rig, Stretch
from hwtest.useragent import OutgoingCall
from hwtest.useragent.call import IncomingCall

CALLS_PER_SECOND = 20.0
NAME = f"{idle.ANSWER}, {CALLS_PER_SECOND:g} calls/s"
ORDER = (OURS, PLAIN_QUEUE, PLAIN_QUEUE, OURS)
AGENTS = 4
PATIENCE_SECONDS = (0.4, 0.8)
TALK_SECONDS = (0.1, 0.3)
OFFERED_AT_LEAST = 0.95
"""Of the rate that was meant; a block with less tells of the rig, not of the switch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`calls`: of one block; `rounds`: each of four blocks."""

    calls: int
    rounds: int = 2


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """The blocks of both systems, and what they say."""
    blocks = list[Block]()
    await rig.staff(AGENTS)
    for number, system in enumerate(ORDER * plan.rounds, 1):
        blocks.append(await _block(rig, system, plan.calls, random.Random(f"{NAME} {number}")))
        rig.progress(
            f"{NAME} block {number}/{len(ORDER) * plan.rounds} {system}: n {len(blocks[-1].samples)}"
        )
    return Outcome(figures(blocks), blocks)


def figures(blocks: Sequence[Block]) -> list[Figure]:
    """The rows."""
    null = null_test(f"{NAME} null", OURS, blocks)
    return [
        describe(NAME, PLAIN_QUEUE, blocks),
        doubted(compare(NAME, OURS, PLAIN_QUEUE, blocks, idle.MOST_OF_ANSWER), null),
        doubted(cap(f"{NAME}, by itself", OURS, blocks, idle.MOST_MS_OF_ANSWER), null),
        null,
    ]


def not_measured(why: str) -> list[Figure]:
    """The row when it could not be measured."""
    return [unmeasured(NAME, f"p50 <= {idle.MOST_OF_ANSWER:g}x of {PLAIN_QUEUE}", why)]


async def _block(rig: Rig, system: str, calls: int, dice: random.Random) -> Block:
    await rig.serve_for(system)

    async def serve(call: IncomingCall) -> None:
        call.ring()
        call.answer()
        if await call.lasts(dice.uniform(*TALK_SECONDS)):
            await call.hang_up()

    with rig.behaviour(serve):
        stretch = await Stretch.begin(rig)
        await _callers(rig, idle.LINES[system], calls, dice)
        measured = await stretch.end()
        await rig.clear()
    records = measured.taken.records
    offered = arrival_rate(records, rig.caller_ports)
    if offered < OFFERED_AT_LEAST * CALLS_PER_SECOND:
        measured = measured.with_fault(f"{offered:.1f} calls/s offered")
    return measured.block(NAME, system, answer_latencies(records, rig.caller_ports))


async def _callers(rig: Rig, line: str, calls: int, dice: random.Random) -> None:
    """On a schedule; return when all have gone."""
    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            await asyncio.sleep(max(0.0, begun + number / CALLS_PER_SECOND - time.monotonic()))
            group.create_task(_stay(rig.call(line), dice.uniform(*PATIENCE_SECONDS)))


async def _stay(call: OutgoingCall, seconds: float) -> None:
    if await call.lasts(seconds):
        await call.hang_up()

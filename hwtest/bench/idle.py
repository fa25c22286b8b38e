"""An idle agent: from the caller's INVITE to the agent's, and to the caller's 200; callers come one at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from hwtest.bench.readings import answer_latencies, offer_latencies
from hwtest.bench.results import Block, Figure, Outcome, cap, compare, describe, unmeasured
from hwtest.bench.rig import OURS, PLAIN_DIAL, PLAIN_QUEUE, Rig, Stretch
from hwtest.useragent.call import IncomingCall

OFFER = "idle agent: INVITE -> agent INVITE"
ANSWER = "caller INVITE -> 200"
LINES = {OURS: "101_no_greeting", PLAIN_QUEUE: PLAIN_QUEUE, PLAIN_DIAL: PLAIN_DIAL}
ORDER = (OURS, PLAIN_QUEUE, PLAIN_DIAL, PLAIN_DIAL, PLAIN_QUEUE, OURS)
MOST_OF_OFFER = 4.0
MOST_OF_ANSWER = 2.0
MOST_MS_OF_OFFER, MOST_MS_OF_ANSWER = {50: 10.0, 95: 20.0}, {50: 6.0, 95: 15.0}
"""What the plan of benchmarks asks, whatever the others take."""
_TALK_SECONDS = 0.04
_PAUSE_SECONDS = (0.12, 0.2)
_OFFER_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Samples are per system, in blocks A B C C B A."""

    samples: int
    rounds: int = 3

    @property
    def samples_per_block(self) -> int:
        """Samples that one block has."""
        return max(2, -(-self.samples // (2 * self.rounds)))


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """The blocks of all three systems."""
    outcome = Outcome()
    await rig.staff(1)
    for number, system in enumerate(ORDER * plan.rounds, 1):
        blocks = await _measure_block(rig, system, plan.samples_per_block, random.Random(number))
        outcome.blocks += blocks
        rig.progress(
            f"idle agent block {number}/{len(ORDER) * plan.rounds} {system}: n {len(blocks[0].samples)}"
        )
    outcome.figures = figures(outcome.blocks)
    return outcome


def figures(blocks: Sequence[Block]) -> list[Figure]:
    """The rows of both latencies."""
    offers = [block for block in blocks if block.figure == OFFER]
    answers = [block for block in blocks if block.figure == ANSWER]
    return [
        describe(OFFER, PLAIN_DIAL, offers),
        describe(OFFER, PLAIN_QUEUE, offers),
        compare(OFFER, OURS, PLAIN_QUEUE, offers, MOST_OF_OFFER),
        cap(f"{OFFER}, by itself", OURS, offers, MOST_MS_OF_OFFER),
        describe(ANSWER, PLAIN_QUEUE, answers),
        compare(ANSWER, OURS, PLAIN_QUEUE, answers, MOST_OF_ANSWER),
        cap(f"{ANSWER}, by itself", OURS, answers, MOST_MS_OF_ANSWER),
    ]


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [
        unmeasured(OFFER, "p50 <= 4x of plain_queue", why),
        unmeasured(ANSWER, "p50 <= 2x of plain_queue", why),
    ]


async def _measure_block(rig: Rig, system: str, samples: int, dice: random.Random) -> list[Block]:
    await rig.serve_for(system)
    answered = asyncio.Event()

    async def serve(call: IncomingCall) -> None:
        call.ring()
        call.answer()
        answered.set()
        await call.ended(_OFFER_SECONDS)

    fault = None
    with rig.behaviour(serve):
        stretch = await Stretch.begin(rig)
        for _ in range(samples):
            await asyncio.sleep(dice.uniform(*_PAUSE_SECONDS))
            answered.clear()
            caller = rig.call(LINES[system])
            try:
                await asyncio.wait_for(answered.wait(), _OFFER_SECONDS)
            except TimeoutError:
                fault = "a caller reached no agent"
            await asyncio.sleep(_TALK_SECONDS)
            await caller.hang_up()
            await rig.agents_idle()
        measured = await stretch.end(fault)
    records = measured.taken.records
    offers = offer_latencies(records, rig.caller_ports, rig.agent_ports)
    answers = answer_latencies(records, rig.caller_ports)
    return [measured.block(OFFER, system, offers), measured.block(ANSWER, system, answers)]

"""Dispatch: from the agent's BYE to the next INVITE at the same phone, while callers wait.

One block: callers fill the line while the agents talk to the first of them; then the agents begin to hang up, each
served caller is replaced by a new one while the next conversation lasts, and so on until there are samples enough.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from edge.ledger.store import open_reader
from edge.ports import read_all
from hwtest.bench.facts import offers_in_announcement
from hwtest.bench.readings import dispatch_latencies
from hwtest.bench.results import (
    Block,
    Figure,
    Outcome,
    compare,
    compare_tail,
    describe,
    null_test,
    unmeasured,
)
from hwtest.bench.rig import OURS, PLAIN_QUEUE, Rig, RigError, Stretch
from hwtest.useragent.call import IncomingCall

RING_SECONDS = 0.015
TALK_SECONDS = (0.02, 1.02)
"""Drawn anew for each call over a whole period of app_queue's poll (1 s), so that agents become free at every phase of it.
With short or regular conversations the rig would lock to the poll and app_queue would look worse than it is: 900 ms
instead of 500 at the median."""
ORDER = (OURS, PLAIN_QUEUE, PLAIN_QUEUE, OURS)
_SECONDS_PER_SAMPLE = 3.0
_REJOIN_SECONDS = 15.0
MOST_OF_MEDIAN = 1 / 50
LEAST_IN_ANNOUNCEMENT = 0.9
MOST_OF_TAIL = 1 / 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How dispatch is measured. Samples are per system: app_queue gets fewer, since each takes it so long."""

    name: str
    line: str
    waiting: int
    agents: int
    samples: int
    plain_samples: int
    rounds: int = 3
    """Each of four blocks: A B B A."""

    def samples_per_block(self, system: str) -> int:
        """Samples that one block of `system` has."""
        samples = self.samples if system == OURS else self.plain_samples
        return max(2, -(-samples // (2 * self.rounds)))


async def measure_announcement(rig: Rig, plan: Plan) -> Outcome:
    """As `measure`, on a line with a greeting; the ledger says how many offers went out while it played."""
    reader = open_reader(rig.lab.ledger)
    try:
        before = reader.last_sequence()
        outcome = await measure(rig, plan)
        during, offers = offers_in_announcement(read_all(reader, before))
    finally:
        reader.close()
    if not offers or during / offers < LEAST_IN_ANNOUNCEMENT:
        return Outcome(
            not_measured(plan.name, f"the greeting played at {during} of {offers} offers only"),
            outcome.blocks,
        )
    outcome.figures[1].notes.append(f"the greeting played at {during} of {offers} offers")
    return outcome


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """The blocks of one population, and what they say."""
    outcome = Outcome()
    await rig.staff(plan.agents)
    for number, system in enumerate(ORDER * plan.rounds, 1):
        block = await _Block(rig, plan, system).measure()
        outcome.blocks.append(block)
        rig.progress(f"{plan.name} block {number}/{4 * plan.rounds} {_in_words(block)}")
    outcome.figures = figures(plan.name, outcome.blocks)
    return outcome


def figures(name: str, blocks: Sequence[Block]) -> list[Figure]:
    """The rows of one population."""
    return [
        describe(name, PLAIN_QUEUE, blocks),
        compare(name, OURS, PLAIN_QUEUE, blocks, MOST_OF_MEDIAN),
        compare_tail(f"{name} tail", OURS, PLAIN_QUEUE, blocks, MOST_OF_TAIL),
        null_test(f"{name} null", OURS, blocks),
    ]


def not_measured(name: str, why: str) -> list[Figure]:
    """The rows of a population that could not be measured."""
    return [
        unmeasured(name, "p50 <= 1/50 of plain_queue", why),
        unmeasured(f"{name} tail", "p99 <= 1/5 of plain_queue's p50", why),
    ]


def _in_words(block: Block) -> str:
    middle = sorted(block.samples)[len(block.samples) // 2] if block.samples else float("nan")
    fault = f", not valid: {block.invalid}" if block.invalid else ""
    return f"{block.system}: n {len(block.samples)}, p50 {middle:.1f} ms, {block.seconds:.0f} s{fault}"


class _Block:
    def __init__(self, rig: Rig, plan: Plan, system: str) -> None:
        self._rig = rig
        self._plan = plan
        self._system = system
        self._line = plan.line if system == OURS else PLAIN_QUEUE
        self._wanted = (
            plan.samples_per_block(system) + plan.agents
        )  # the last hang-ups need not find their INVITE
        self._served = 0
        self._talking = 0
        self._all_talk = asyncio.Event()
        self._begin = asyncio.Event()
        self._enough = asyncio.Event()
        self._dice = random.Random(f"{plan.name} {system}")

    async def measure(self) -> Block:
        """Fill, measure, and leave nobody behind."""
        await self._rig.serve_for(self._system)
        with self._rig.behaviour(self._serve):
            try:
                return await self._measure()
            finally:
                self._enough.set()
                await self._rig.clear()

    async def _measure(self) -> Block:
        await self._rig.fill(self._line, self._plan.waiting + self._plan.agents)
        try:
            await asyncio.wait_for(self._all_talk.wait(), _REJOIN_SECONDS)
        except TimeoutError:
            raise RigError(
                f"{self._plan.name}: {self._system} rang no phone in {_REJOIN_SECONDS:.0f} s"
            ) from None
        stretch = await Stretch.begin(self._rig)
        self._begin.set()
        fault = None
        try:
            await asyncio.wait_for(self._enough.wait(), self._wanted * _SECONDS_PER_SAMPLE + _REJOIN_SECONDS)
        except TimeoutError:
            fault = f"only {self._served} of {self._wanted} calls served in time"
        measured = await stretch.end(fault)
        samples = dispatch_latencies(measured.taken.records, self._rig.agent_ports)
        return measured.block(self._plan.name, self._system, samples)

    async def _serve(self, call: IncomingCall) -> None:
        call.ring()
        if not await call.lasts(RING_SECONDS):
            return
        call.answer()
        self._talking += 1
        if self._talking == self._plan.agents:
            self._all_talk.set()
        if not self._begin.is_set():
            await self._begin.wait()
        elif not self._enough.is_set():
            self._rig.call(self._line)  # the one just taken left a place
        if await call.lasts(self._dice.uniform(*TALK_SECONDS)) and not self._enough.is_set():
            self._count()
            await call.hang_up()

    def _count(self) -> None:
        self._served += 1
        if self._served >= self._wanted:
            self._enough.set()

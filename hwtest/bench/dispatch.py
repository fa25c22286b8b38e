"""Dispatch: from the agent's BYE to the next INVITE at the same phone, while callers wait.

One block: callers fill the line while the agents talk to the first of them; then the agents begin to hang up, each
served caller is replaced by a new one while the next conversation lasts, and so on until there are samples enough.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from edge.core.facts import Entry
from edge.ledger.store import open_reader
from hwtest.bench.facts import Stages, dispatch_stages, offers_in_announcement
from hwtest.bench.ledger import entries_after
from hwtest.bench.readings import dispatch_latencies
from hwtest.bench.results import (
    Block,
    Figure,
    Outcome,
    cap,
    compare,
    compare_tail,
    describe,
    doubted,
    null_test,
    sized,
    unmeasured,
)
from hwtest.bench.rig import OURS, PLAIN_QUEUE, PLAIN_QUEUE_DEFAULTS, Measured, Rig, RigError, Stretch
from hwtest.capture import Record
from hwtest.statistics import percentile
from hwtest.useragent.call import IncomingCall

RING_SECONDS = 0.015
TALK_SECONDS = (0.02, 1.02)
"""Drawn anew for each call over a whole period of app_queue's poll (1 s), so that agents become free at every phase of it.
With short or regular conversations the rig would lock to the poll and app_queue would look worse than it is: 900 ms
instead of 500 at the median."""
TALK_SECONDS_OF_DEFAULTS = (0.02, 5.02)
"""The same for `retry` 5, which is app_queue's own."""
REFILL_SECONDS = (0.0, 1.0)
"""After an answer; at once, callers would join at app_queue's own ticks and poll in step with each other."""
ORDER = (OURS, PLAIN_QUEUE, PLAIN_QUEUE, OURS)
_SECONDS_PER_SAMPLE = 3.0
_REJOIN_SECONDS = 15.0
MOST_OF_MEDIAN = 1 / 50
GREETING_LINE = "101"
LEAST_IN_ANNOUNCEMENT = 0.9
MOST_OF_TAIL = 1 / 5
MOST_MS = {50: 15.0, 95: 30.0, 99: 100.0}
"""What the plan of benchmarks asks, whatever app_queue takes."""


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
    least: int = 0
    """Samples of ours that the figure must have to be published."""
    comparator: str = PLAIN_QUEUE

    @property
    def order(self) -> tuple[str, ...]:
        """Systems of the blocks."""
        return tuple(OURS if system == OURS else self.comparator for system in ORDER) * self.rounds

    @property
    def talk_seconds(self) -> tuple[float, float]:
        """How long conversations last."""
        return TALK_SECONDS_OF_DEFAULTS if self.comparator == PLAIN_QUEUE_DEFAULTS else TALK_SECONDS

    def samples_per_block(self, system: str) -> int:
        """Samples that one block of `system` has."""
        samples = self.samples if system == OURS else self.plain_samples
        return max(2, -(-samples // (2 * self.rounds)))


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """The blocks of one population, and what they say."""
    blocks, ours = list[Block](), list[Record]()
    await rig.staff(plan.agents)
    reader = open_reader(rig.lab.ledger)
    try:
        before = reader.last_sequence()
        for number, system in enumerate(plan.order, 1):
            line = plan.line if system == OURS else system
            measured = await DispatchBlock(rig, plan, system, line, number).measure()
            records = measured.taken.records
            ours += records if system == OURS else []
            blocks.append(measured.block(plan.name, system, dispatch_latencies(records, rig.agent_ports)))
            rig.progress(f"{plan.name} block {number}/{4 * plan.rounds} {_in_words(blocks[-1])}")
        entries = entries_after(reader, before)
    finally:
        reader.close()
    return _judge(plan, blocks, entries, dispatch_stages(ours, entries, rig.agent_ports))


def _judge(plan: Plan, blocks: list[Block], entries: list[Entry], stages: Stages) -> Outcome:
    made = [sized(figure, plan.least, plan.samples) for figure in figures(plan.name, blocks, plan.comparator)]
    if stages.sight:
        sight, carried = percentile(stages.sight, 0.5), percentile(stages.carried, 0.5)
        made[1].notes.append(
            f"p50 from the BYE to the decision {sight:.1f} ms, from it (commit, ARI, switch) to the INVITE {carried:.1f} ms"
        )
    if plan.line != GREETING_LINE:
        return Outcome(made, blocks)
    during, offers = offers_in_announcement(entries)
    greeted = f"the greeting played at {during} of {offers} offers"
    if during < LEAST_IN_ANNOUNCEMENT * offers or not offers:
        return Outcome(not_measured(plan.name, f"{greeted} only", plan.comparator), blocks)
    made[1].notes.append(greeted)
    return Outcome(made, blocks)


def figures(name: str, blocks: Sequence[Block], comparator: str = PLAIN_QUEUE) -> list[Figure]:
    """The rows of one population."""
    null = null_test(f"{name} null", OURS, blocks)
    return [
        describe(name, comparator, blocks),
        doubted(compare(name, OURS, comparator, blocks, MOST_OF_MEDIAN), null),
        doubted(compare_tail(f"{name} tail", OURS, comparator, blocks, MOST_OF_TAIL), null),
        doubted(cap(f"{name} by itself", OURS, blocks, MOST_MS), null),
        null,
    ]


def not_measured(name: str, why: str, comparator: str = PLAIN_QUEUE) -> list[Figure]:
    """The rows of a population that could not be measured."""
    return [
        unmeasured(name, f"p50 <= 1/50 of {comparator}", why),
        unmeasured(f"{name} tail", f"p99 <= 1/5 of {comparator}'s p50", why),
    ]


def _in_words(block: Block) -> str:
    middle = sorted(block.samples)[len(block.samples) // 2] if block.samples else float("nan")
    fault = f", not valid: {block.invalid}" if block.invalid else ""
    return f"{block.system}: n {len(block.samples)}, p50 {middle:.1f} ms, {block.seconds:.0f} s{fault}"


class DispatchBlock:
    """One block: callers of one system wait on `line`, and its agents hang up until there are samples enough.

    `before` has its time when all wait and all agents talk, before the first of them hangs up.
    """

    def __init__(
        self,
        rig: Rig,
        plan: Plan,
        system: str,
        line: str,
        number: int,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._rig = rig
        self._plan = plan
        self._system = system
        self._line = line
        self._before = before
        self._wanted = (
            plan.samples_per_block(system) + plan.agents
        )  # the last hang-ups need not find their INVITE
        self._served = 0
        self._talking = 0
        self._all_talk = asyncio.Event()
        self._begin = asyncio.Event()
        self._enough = asyncio.Event()
        self._dice = random.Random(
            f"{plan.name} {number}"
        )  # as random in each block, and the same in each run

    async def measure(self) -> Measured:
        """Fill, measure, and leave nobody behind."""
        await self._rig.serve_for(self._system)
        with self._rig.behaviour(self._serve):
            try:
                return await self._measure()
            finally:
                self._enough.set()
                await self._rig.clear()

    async def _measure(self) -> Measured:
        await self._rig.fill(self._line, self._plan.waiting + 2 * self._plan.agents)
        try:
            await asyncio.wait_for(self._all_talk.wait(), _REJOIN_SECONDS)
        except TimeoutError:
            raise RigError(
                f"{self._plan.name}: {self._system} rang no phone in {_REJOIN_SECONDS:.0f} s"
            ) from None
        if self._before is not None:
            await self._before()
        stretch = await Stretch.begin(self._rig)
        self._begin.set()
        fault = None
        try:
            await asyncio.wait_for(self._enough.wait(), self._wanted * _SECONDS_PER_SAMPLE + _REJOIN_SECONDS)
        except TimeoutError:
            fault = f"only {self._served} of {self._wanted} calls served in time"
        return await stretch.end(fault)

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
            self._rig.callers.later(self._dice.uniform(*REFILL_SECONDS), self._refill)
        if await call.lasts(self._dice.uniform(*self._plan.talk_seconds)) and not self._enough.is_set():
            self._count()
            await call.hang_up()

    def _refill(self) -> None:
        """Somebody new joins for the one who was served."""
        if not self._enough.is_set():
            self._rig.call(self._line)

    def _count(self) -> None:
        self._served += 1
        if self._served >= self._wanted:
            self._enough.set()

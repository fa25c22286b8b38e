"""The durable log: how many facts a second reach the disk, and how long the commit takes that a call waits for.

A ledger of its own on the disk of the lab's, one fsync a commit, in blocks that alternate with a bare write and fsync: what the
disk costs without us.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge.ledger.measure import arrivals, commits, fsyncs, timed
from edge.ledger.store import open_ledger
from edge.ports import Ledger
from hwtest.bench.machine import LoadMeter
from hwtest.bench.pull import PERSONAL_EVERY, as_in_a_record
from hwtest.bench.results import Block, Figure, Outcome, cap, describe, sized, unmeasured
from hwtest.bench.rig import OURS, Rig
from hwtest.statistics import percentile

RATE = "log: facts on disk"
COMMIT = "log: a commit of the call path"
BARE = "write and fsync"
LEAST_PER_SECOND = 20_000
RATE_TARGET = f">= {LEAST_PER_SECOND} facts/s"
MOST_MS = 10.0
FACTS_OF_A_DECISION = 3
"""An offer that ends, the next one made, a state of the agent: about what a caller waits for."""
FACTS_OF_A_GROUP = 100
ORDER = (BARE, OURS, OURS, BARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`samples`: commits of the call path in all; `groups`: of a hundred facts each, in each of our blocks."""

    samples: int
    groups: int
    rounds: int = 3
    least: int = 0

    @property
    def samples_per_block(self) -> int:
        """Commits in one block."""
        return max(2, -(-self.samples // (2 * self.rounds)))


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """Blocks of commits and of bare writes, and what they say."""
    with tempfile.TemporaryDirectory(prefix="bench-journal-", dir=rig.lab.directory) as folder:
        blocks = await asyncio.to_thread(_measure, Path(folder), plan, rig.progress)
    return Outcome(figures(blocks, plan), blocks)


def figures(blocks: Sequence[Block], plan: Plan) -> list[Figure]:
    """The three rows."""
    rates = [block.samples[0] for block in blocks if block.figure == RATE]
    if not rates:
        return not_measured("no block")
    waits = [block for block in blocks if block.figure == COMMIT]
    how = f"{plan.groups} commits of {FACTS_OF_A_GROUP} facts, one of {PERSONAL_EVERY} with personal data, an fsync each"
    rate = Figure(
        name=RATE,
        system=OURS,
        unit="facts/s",
        value=round(percentile(rates, 0.5)),
        target=RATE_TARGET,
        met=percentile(rates, 0.5) >= LEAST_PER_SECOND,
        small=plan.samples < plan.least,
        notes=[f"median of {len(rates)} blocks of {how}; the slowest {min(rates):.0f} facts/s"],
    )
    commit = sized(cap(COMMIT, OURS, waits, {99: MOST_MS}), plan.least, plan.samples)
    commit.notes.append(f"{FACTS_OF_A_DECISION} facts in a commit, all with personal data, the dearest kind")
    return [rate, describe(COMMIT, BARE, waits), commit]


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(RATE, RATE_TARGET, why), unmeasured(COMMIT, f"p99 <= {MOST_MS:g} ms", why)]


def _measure(folder: Path, plan: Plan, progress: Callable[[str], None]) -> list[Block]:
    blocks = list[Block]()
    with closing(open_ledger(f"sqlite:///{folder}/ledger.sqlite")) as ledger:
        commits(ledger, FACTS_OF_A_GROUP, 1)  # the first makes the files
        for number, system in enumerate(ORDER * plan.rounds, 1):
            if system == BARE:
                blocks.append(_block(COMMIT, BARE, lambda: fsyncs(folder / "page", plan.samples_per_block)))
            else:
                blocks += _of_ours(ledger, plan)
            last = blocks[-1]
            progress(f"log block {number}/{len(ORDER) * plan.rounds} {system}: {_in_words(last)}")
    return blocks


def _of_ours(ledger: Ledger, plan: Plan) -> list[Block]:
    waits = _block(COMMIT, OURS, lambda: commits(ledger, FACTS_OF_A_DECISION, plan.samples_per_block))

    def rate() -> list[float]:
        first = ledger.last_sequence() + 1
        facts = [as_in_a_record(each) for each in arrivals(first, FACTS_OF_A_GROUP * plan.groups)]
        groups = [facts[at : at + FACTS_OF_A_GROUP] for at in range(0, len(facts), FACTS_OF_A_GROUP)]
        taken = timed(lambda number: ledger.append(groups[number]), plan.groups)
        return [FACTS_OF_A_GROUP * plan.groups / (sum(taken) / 1000)]

    return [waits, _block(RATE, OURS, rate)]


def _in_words(block: Block) -> str:
    unit = "facts/s" if block.figure == RATE else "ms"
    return f"p50 {percentile(block.samples, 0.5):.1f} {unit}"


def _block(name: str, system: str, work: Callable[[], list[float]]) -> Block:
    meter = LoadMeter()
    samples = work()
    load = meter.read()
    return Block(
        figure=name,
        system=system,
        samples=samples,
        seconds=load.seconds,
        load_average=load.load_average,
        steal_share=load.steal_share,
        busy_share=load.busy_share,
        retransmissions=0,
        dropped=None,
    )

"""What callers cost who wait, by how many they are: processor time, memory, and dispatch at 1, 10, 100 and 1,000 waiting.

Each block fills the line while all agents talk; then nobody does anything for some seconds, in which the daemon and the switch
are read; then the agents begin to hang up, and dispatch is measured as elsewhere. In silence first, as music is most of what a
switch with many callers does, then with music, as far as two cores send it. Silence is a class of music that says nothing: the
switch sends no packet, and still looks fifty times a second whether there is one.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwtest.bench import dispatch
from hwtest.bench.machine import Usage, usage_of
from hwtest.bench.readings import dispatch_latencies
from hwtest.bench.results import Block, Figure, Outcome, compare_p95, describe, unmeasured
from hwtest.bench.rig import OURS, Rig, RigError
from hwtest.statistics import percentile

NAME = "growth"
SILENCE, MUSIC = "silence", "music"
LINES = {SILENCE: "bench_silent", MUSIC: "101_no_greeting"}
IN_SILENCE = (1, 10, 1000, 10, 100)
"""Waiting, block by block: 1,000 between two of the 10 that it is compared with, and once only, as it fills a minute."""
IN_MUSIC = (100, 300)
"""A thousand would keep both cores of this kind of machine busy with sending music alone."""
FEW, MANY = 10, 1000
AGENTS = 4
SETTLE_SECONDS = 2.0
MOST_CPU_PERCENT = 3.0
MOST_TIMES = 2.0
CPU_TARGET = f"<= {MOST_CPU_PERCENT:g} % of a core"
DISPATCH_TARGET = f"p95 <= {MOST_TIMES:g}x of {FEW} waiting"
POLICY = "hwtest/bench/lab.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`samples`: dispatches of one block; `idle_seconds`: how long nobody does anything."""

    samples: int
    idle_seconds: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What so many callers cost while nothing happened. Shares are of one core, in per cent."""

    waiting: int
    sort: str
    daemon_percent: float
    daemon_mb: float
    switch_percent: float


def room_of(rtp_conf: str) -> int:
    """Legs that the switch has audio ports for."""
    found = dict(re.findall(r"^(rtpstart|rtpend)\s*=\s*(\d+)", rtp_conf, re.MULTILINE))
    return (int(found["rtpend"]) - int(found["rtpstart"]) + 1) // 2


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """Every number of callers, in silence and in music. RigError where the lab is not for it."""
    if rig.lab.pids.edge is None:
        raise RigError("the lab has no daemon")
    if LINES[SILENCE] not in rig.lab.lines:
        raise RigError(f"the lab has no line without music: bring it up with --policy {POLICY}")
    settings = await asyncio.to_thread(Path(rig.lab.asterisk_directory, "etc/rtp.conf").read_text)
    needed, room = MANY + 4 * AGENTS, room_of(settings)
    if room < needed:
        raise RigError(
            f"the switch has audio ports for {room} legs, {needed} are needed: `hwtest bench` without --target"
        )
    readings, blocks = list[Reading](), list[Block]()
    steps = [(SILENCE, count) for count in IN_SILENCE] + [(MUSIC, count) for count in IN_MUSIC]
    for number, (sort, count) in enumerate(steps, 1):
        reading, block = await _step(rig, plan, sort, count, number)
        readings.append(reading)
        blocks.append(block)
        rig.progress(f"{NAME} {number}/{len(steps)}, {_words(reading)}; dispatch p50 {_median(block)}")
    return Outcome(figures(readings, blocks), blocks)


def _words(reading: Reading) -> str:
    return (
        f"{reading.waiting} in {reading.sort}: daemon {reading.daemon_percent:.1f} % of a core, {reading.daemon_mb:.0f} MB, "
        f"switch {reading.switch_percent:.0f} %"
    )


def _median(block: Block) -> str:
    return f"{percentile(block.samples, 0.5):.1f} ms" if block.samples else "of nothing"


async def _step(rig: Rig, plan: Plan, sort: str, count: int, number: int) -> tuple[Reading, Block]:
    agents = min(AGENTS, count)
    await rig.staff(agents)
    how = dispatch.Plan(
        name=name_of(count, sort),
        line=LINES[sort],
        waiting=count,
        agents=agents,
        samples=2 * (plan.samples if agents > 1 else plan.samples // 2),
        plain_samples=0,
        rounds=1,
    )
    readings = list[Reading]()

    async def read() -> None:
        await asyncio.sleep(SETTLE_SECONDS)  # those who came last have settled
        before, begun = _use(rig), time.monotonic()
        await asyncio.sleep(plan.idle_seconds)
        after, seconds = _use(rig), time.monotonic() - begun
        daemon, switch = (
            100 * (later.cpu_seconds - earlier.cpu_seconds) / seconds
            for earlier, later in zip(before, after, strict=True)
        )
        readings.append(
            Reading(
                waiting=count,
                sort=sort,
                daemon_percent=daemon,
                daemon_mb=after[0].rss_mb,
                switch_percent=switch,
            )
        )

    made = await dispatch.DispatchBlock(rig, how, OURS, LINES[sort], number, before=read).measure()
    samples = dispatch_latencies(made.taken.records, rig.agent_ports)
    return readings[0], replace(made.block(how.name, OURS, samples), system=waiting_of(count))


def _use(rig: Rig) -> tuple[Usage, Usage]:
    """The daemon's and the switch's; an OSError when one has ended."""
    pids = rig.lab.pids
    assert pids.edge is not None, "looked at before"
    return usage_of(pids.edge), usage_of(pids.asterisk)


def name_of(count: int, sort: str) -> str:
    """The row of dispatch with so many waiting."""
    return f"dispatch, {count} waiting in {sort}"


def cost_of(count: int, sort: str) -> str:
    """The row of the daemon's processor time with so many waiting."""
    return f"edge run, {count} waiting in {sort}: CPU"


def waiting_of(count: int) -> str:
    """How many wait as the name of what is compared."""
    return f"{count} waiting"


def figures(readings: Sequence[Reading], blocks: Sequence[Block]) -> list[Figure]:
    """What they cost, by how many; the slope; and dispatch at each number."""
    made = list[Figure]()
    for sort in (SILENCE, MUSIC):
        of_sort = [reading for reading in readings if reading.sort == sort]
        made += [
            _cost([r for r in of_sort if r.waiting == count])
            for count in sorted({r.waiting for r in of_sort})
        ]
        if len({reading.waiting for reading in of_sort}) > 1:
            made.append(_slope(of_sort))
        for count in sorted({reading.waiting for reading in of_sort}):
            made.append(_dispatch(count, sort, blocks))
    return made


def _cost(readings: Sequence[Reading]) -> Figure:
    """The highest of several readings counts."""
    worst = max(readings, key=lambda reading: reading.daemon_percent)
    judged = worst.waiting == MANY and worst.sort == SILENCE
    return Figure(
        name=cost_of(worst.waiting, worst.sort),
        system=OURS,
        unit="%",
        value=worst.daemon_percent,
        target=CPU_TARGET if judged else "",
        met=worst.daemon_percent <= MOST_CPU_PERCENT if judged else None,
        notes=[*map(_words, readings)],
    )


def _slope(readings: Sequence[Reading]) -> Figure:
    """By least squares over all readings."""
    counts = [float(reading.waiting) for reading in readings]
    daemon = statistics.linear_regression(counts, [reading.daemon_percent for reading in readings])
    memory = statistics.linear_regression(counts, [reading.daemon_mb for reading in readings])
    switch = statistics.linear_regression(counts, [reading.switch_percent for reading in readings])
    more = f"for each 100 more the daemon takes {100 * memory.slope:.2f} MB, and {100 * daemon.slope:.3f} % of a core"
    return Figure(
        name=f"edge run, each 100 more in {readings[0].sort}: CPU",
        system=OURS,
        unit="%",
        value=100 * daemon.slope,
        notes=[
            f"a line through {len(readings)} readings from {min(counts):.0f} to {max(counts):.0f} waiting",
            f"{more} beyond its {daemon.intercept:.2f} %; the switch {100 * switch.slope:.2f} % of a core",
        ],
    )


def _dispatch(count: int, sort: str, blocks: Sequence[Block]) -> Figure:
    name = name_of(count, sort)
    if (count, sort) == (MANY, SILENCE):
        both = [block for block in blocks if block.figure in {name_of(FEW, sort), name}]
        return compare_p95(name, waiting_of(MANY), waiting_of(FEW), both, MOST_TIMES)
    return describe(name, waiting_of(count), [block for block in blocks if block.figure == name])


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [
        unmeasured(cost_of(MANY, SILENCE), CPU_TARGET, why),
        unmeasured(name_of(MANY, SILENCE), DISPATCH_TARGET, why),
    ]

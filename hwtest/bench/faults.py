"""999 under every fault of the daemon, with agents free: from the caller's INVITE to an agent's, and the seconds without any.

The daemon runs under the supervisor of the unit and between two proxies. In each run it is hurt once, some milliseconds after the
INVITE of a 999; others follow every half second, wherever the fault, the fallback and the restart stand by then. Then everything
is mended, the daemon serves again, and the next run begins. Whoever rings the agent counts, our engine or the switch's own queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hwtest.bench.readings import Reach, longest_without, reaches
from hwtest.bench.results import Block, Figure, Outcome, cap_all, count_errors, unmeasured
from hwtest.bench.rig import OURS, Measured, Rig, RigError, Stretch
from hwtest.lab import processes
from hwtest.lab.hurt import Hurt
from hwtest.lab.packages import LabError
from hwtest.useragent import OutgoingCall, answering

MOST_MS = 5_000.0
PROBES = 9
"""999 calls in one run: the first at the instant of the fault, the others after it, half a second apart."""
APART_SECONDS = (0.4, 0.6)
INSTANT_SECONDS = (0.0, 0.012)
"""From the first INVITE to the fault: the switch hands a caller over after some 3 ms, and an agent's phone rings after 10."""
PATIENCE_SECONDS = 12.0
"""How long the last 999 of a run may take before it counts as never brought to anybody."""
TALK_SECONDS = 0.05
ABSENT_CALLS = 100
ABSENT = "daemon absent: calls that reached an agent"
_ARRIVAL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`samples`: 999 calls per fault; `only`: names of faults, all if None; `absent_calls`: calls without any daemon."""

    samples: int
    only: Sequence[str] | None = None
    absent_calls: int = ABSENT_CALLS

    @property
    def runs(self) -> int:
        """So often each fault is brought about."""
        return max(1, -(-self.samples // PROBES))


Bring = Callable[[Hurt], AbstractContextManager[None]]
FAULTS: dict[str, Bring] = {
    "absent": Hurt.absent,
    "killed": lambda hurt: hurt.struck(signal.SIGKILL),
    "stopped": lambda hurt: hurt.struck(signal.SIGSTOP),
    "hung-loop": lambda hurt: hurt.struck(signal.SIGUSR1),
    "dead-application": lambda _: contextlib.nullcontext(),
    "ami-cut": lambda hurt: hurt.cut(hurt.ami),
    "ari-cut": lambda hurt: hurt.cut(hurt.ari),
    "ledger-full": Hurt.refused,
    "ledger-slow": Hurt.slow,
    "ledger-read-only": Hurt.locked,
    "restarting": lambda hurt: hurt.struck(signal.SIGTERM),
}
ABSENT_DAEMON, DEAD_APPLICATION = "absent", "dead-application"
ENDING = ("killed", "hung-loop", "restarting")
"""After these another process is the daemon."""


def name_of(fault: str) -> str:
    """The row of a fault."""
    return f"999, daemon {fault}: INVITE -> agent INVITE"


def without_of(fault: str) -> str:
    """The row of the seconds in which no 999 reached an agent."""
    return f"999, daemon {fault}: longest without an agent"


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """Every fault in turn, and the calls without a daemon."""
    try:
        return await _measure(rig, plan)
    except LabError as error:
        raise RigError(str(error)) from error


async def _measure(rig: Rig, plan: Plan) -> Outcome:
    outcome = Outcome()
    async with hurt_daemon(rig) as hurt:
        await rig.staff(len(rig.lab.agents))
        await rig.serve_for(OURS)
        with rig.behaviour(answering(talk_seconds=TALK_SECONDS)):
            for fault in FAULTS if plan.only is None else plan.only:
                blocks, gaps = await _runs(rig, hurt, fault, plan.runs)
                outcome.blocks += blocks
                outcome.figures += figures(fault, blocks, gaps)
                rig.progress(f"daemon {fault}: {_in_words(outcome.figures[-2], gaps)}")
            if plan.absent_calls:
                outcome.figures.append(await _all_by_fallback(rig, hurt, plan.absent_calls))
    return outcome


def figures(fault: str, blocks: Sequence[Block], gaps: Sequence[float]) -> list[Figure]:
    """The rows of one fault."""
    row = cap_all(name_of(fault), OURS, blocks, MOST_MS)
    if row.summary is None:
        return [row, unmeasured(without_of(fault), "", "nothing was measured")]
    without = Figure(name=without_of(fault), system=OURS, unit="s", value=max(gaps))
    return [row, without]


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(name_of(fault), f"all <= {MOST_MS:g} ms", why) for fault in FAULTS]


def _in_words(row: Figure, gaps: Sequence[float]) -> str:
    if row.summary is None:
        return "not measured"
    return f"n {row.summary.n}, worst {row.summary.maximum / 1000:.2f} s, without any agent {max(gaps):.2f} s"


@asynccontextmanager
async def hurt_daemon(rig: Rig) -> AsyncIterator[Hurt]:
    """Our daemon in the place of the lab's own, which is started again in the end."""
    for running in processes.running(rig.lab.commands["edge"]):
        running.stop(10)
    hurt = Hurt(rig.lab)
    try:
        hurt.start()
        await hurt.serving()
        yield hurt
    finally:
        hurt.close()
        processes.start(rig.lab.commands["edge"], Path(rig.lab.directory, "log/edge.log"))


async def _runs(rig: Rig, hurt: Hurt, fault: str, count: int) -> tuple[list[Block], list[float]]:
    blocks, gaps = list[Block](), list[float]()
    for number in range(count):
        await hurt.serving()
        dice = random.Random(f"{fault} {number}")
        stretch = await Stretch.begin(rig)
        before = hurt.daemon
        calls = []
        if fault != ABSENT_DAEMON:
            calls.append(rig.call("999"))
            await asyncio.sleep(dice.uniform(*INSTANT_SECONDS))
        with FAULTS[fault](hurt):
            if fault == DEAD_APPLICATION:
                await hurt.deafen()
            await _probe(rig, dice, calls)
            measured = await stretch.end()
        found = reaches(measured.taken.records, rig.caller_ports, rig.agent_ports)
        blocks.append(_block(fault, measured, found))
        gaps.append(longest_without(found, time.time_ns()))
        await rig.clear()
        if fault in ENDING:
            await hurt.replaced(before)
    await hurt.serving()
    return blocks, gaps


async def _probe(rig: Rig, dice: random.Random, calls: list[OutgoingCall]) -> None:
    """999 calls, one after the other, after those `calls`; return when each was answered or has waited too long."""
    while len(calls) < PROBES:
        calls.append(rig.call("999"))
        await asyncio.sleep(dice.uniform(*APART_SECONDS))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            for call in calls:
                await call.ended(PATIENCE_SECONDS)


def _block(fault: str, measured: Measured, found: Sequence[Reach]) -> Block:
    """One run. App_queue's own calls and retransmissions are what a fault is like: they make nothing invalid; a capture that lost
    packets does, as who was not seen to reach anybody counts with the whole time that they waited."""
    waited = PATIENCE_SECONDS * 1000
    samples = [waited if reach.milliseconds is None else reach.milliseconds for reach in found]
    block = measured.block(name_of(fault), OURS, samples)
    faults = [*measured.faults_of_the_meter()]
    if len(found) != PROBES:
        faults.append(f"{len(found)} of {PROBES} calls on the wire")
    return dataclasses.replace(block, invalid=", ".join(faults) or None)


async def _all_by_fallback(rig: Rig, hurt: Hurt, count: int) -> Figure:
    """Calls without a daemon, ten a second: each must reach an agent."""
    with hurt.absent():
        stretch = await Stretch.begin(rig)
        calls = []
        for _ in range(count):
            calls.append(rig.call("101_no_greeting"))
            await asyncio.sleep(_ARRIVAL_SECONDS)
        with contextlib.suppress(TimeoutError):
            for call in calls:
                await call.ended(PATIENCE_SECONDS)
        measured = await stretch.end()
    found = reaches(measured.taken.records, rig.caller_ports, rig.agent_ports)
    await rig.clear()
    missing = [place for place, reach in enumerate(found, 1) if reach.offered_ns is None]
    figure = count_errors(ABSENT, OURS, missing, len(found), "calls that reached nobody")
    figure.notes.append(f"{len(found) - len(missing)} of {count} reached an agent by the switch's own queue")
    return figure

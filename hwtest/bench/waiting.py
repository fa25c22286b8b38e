"""What the daemon costs while callers wait and nobody serves them."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from hwtest.bench.machine import Usage, usage_of
from hwtest.bench.results import Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, Rig, Stretch
from hwtest.useragent import OutgoingCall

CALLERS = 200
SECONDS = 20.0
MOST_CPU_PERCENT = 3.0
MOST_RSS_MB = 150.0
_SETTLE_SECONDS = 3.0
_LINE = "101_no_greeting"
_LEAST_PACKETS_PER_SECOND = 40
CPU, RSS = f"edge run, {CALLERS} waiting: CPU", f"edge run, {CALLERS} waiting: memory"
CPU_TARGET, RSS_TARGET = f"< {MOST_CPU_PERCENT:g} % of a core", f"< {MOST_RSS_MB:g} MB"


class _Reading(NamedTuple):
    """What had been used at one moment."""

    monotonic: float
    daemon: Usage
    switch: Usage
    packets_heard: int

    @classmethod
    def now(cls, daemon: int, switch: int, listener: OutgoingCall) -> _Reading:
        """The present reading; FileNotFoundError when a process has ended."""
        return cls(time.monotonic(), usage_of(daemon), usage_of(switch), listener.leg.packets)


async def measure(rig: Rig, seconds: float = SECONDS) -> Outcome:
    """CPU and resident memory of `edge run` with all callers in music."""
    pids = rig.lab.pids
    if pids.edge is None:
        return Outcome(not_measured("the lab has no daemon"))
    await rig.sign_out()
    try:
        await rig.fill(_LINE, CALLERS - 1)
        listener = rig.call(_LINE, media="silence")  # one of them hears: the music is real
        await asyncio.sleep(_SETTLE_SECONDS)
        stretch = await Stretch.begin(rig)
        before = _Reading.now(pids.edge, pids.asterisk, listener)
        await asyncio.sleep(seconds)
        after = _Reading.now(pids.edge, pids.asterisk, listener)
        waiting = len(rig.callers.calls)
        measured = await stretch.end()
    finally:
        await rig.clear()
    block = measured.block(
        CPU, OURS, [_cpu_percent(before.daemon, after.daemon, after.monotonic - before.monotonic)]
    )
    return Outcome(_figures(before, after, waiting), [block])


def _figures(before: _Reading, after: _Reading, waiting: int) -> list[Figure]:
    seconds = after.monotonic - before.monotonic
    heard = (after.packets_heard - before.packets_heard) / seconds
    cpu = _cpu_percent(before.daemon, after.daemon, seconds)
    notes = [
        f"over {seconds:.0f} s, {waiting} callers at the end, one of them heard {heard:.0f} packets/s",
        f"Asterisk meanwhile {_cpu_percent(before.switch, after.switch, seconds):.0f} % of a core",
    ]
    if waiting < CALLERS or heard < _LEAST_PACKETS_PER_SECOND:
        return not_measured("; ".join(["callers were lost or heard no music", *notes]))
    rss = after.daemon.rss_mb
    return [
        Figure(
            name=CPU,
            system=OURS,
            unit="%",
            value=cpu,
            target=CPU_TARGET,
            met=cpu < MOST_CPU_PERCENT,
            notes=notes,
        ),
        Figure(name=RSS, system=OURS, unit="MB", value=rss, target=RSS_TARGET, met=rss < MOST_RSS_MB),
    ]


def _cpu_percent(before: Usage, after: Usage, seconds: float) -> float:
    """Of one core."""
    return 100 * (after.cpu_seconds - before.cpu_seconds) / seconds


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(CPU, CPU_TARGET, why), unmeasured(RSS, RSS_TARGET, why)]

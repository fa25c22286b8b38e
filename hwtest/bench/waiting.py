"""What the daemon costs while callers wait and nobody serves them."""

from __future__ import annotations

import asyncio
import time

from hwtest.bench.machine import usage_of
from hwtest.bench.results import Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, Rig, Stretch

CALLERS = 200
SECONDS = 20.0
MOST_CPU_PERCENT = 3.0
MOST_RSS_MB = 150.0
_SETTLE_SECONDS = 3.0
_LINE = "101_no_greeting"
_LEAST_PACKETS = 10
CPU, RSS = f"edge run, {CALLERS} waiting: CPU", f"edge run, {CALLERS} waiting: memory"
CPU_TARGET, RSS_TARGET = f"< {MOST_CPU_PERCENT:g} % of a core", f"< {MOST_RSS_MB:g} MB"


async def measure(rig: Rig, seconds: float = SECONDS) -> Outcome:
    """CPU and resident memory of `edge run` with all callers in music."""
    pid = rig.lab.pids.edge
    if pid is None:
        return Outcome(not_measured("the lab has no daemon"))
    await rig.sign_out()
    try:
        await rig.fill(_LINE, CALLERS - 1)
        listener = rig.call(_LINE, media="silence")
        await asyncio.sleep(_SETTLE_SECONDS)
        stretch = await Stretch.begin(rig)
        switch = rig.lab.pids.asterisk
        before, switch_before, packets, started = (
            usage_of(pid),
            usage_of(switch),
            listener.leg.packets,
            time.monotonic(),
        )
        await asyncio.sleep(seconds)
        after, switch_after, elapsed = usage_of(pid), usage_of(switch), time.monotonic() - started
        heard, waiting = listener.leg.packets - packets, len(rig.callers.calls)
        measured = await stretch.end()
    finally:
        await rig.clear()
    cpu = 100 * (after.cpu_seconds - before.cpu_seconds) / elapsed
    switch_cpu = 100 * (switch_after.cpu_seconds - switch_before.cpu_seconds) / elapsed
    notes = [
        f"over {elapsed:.0f} s, {waiting} callers at the end, one of them heard {heard / elapsed:.0f} packets/s",
        f"Asterisk meanwhile {switch_cpu:.0f} % of a core",
    ]
    block = measured.block(CPU, OURS, [cpu])
    if waiting < CALLERS or heard < _LEAST_PACKETS:
        return Outcome(not_measured("; ".join(["callers were lost or heard no music", *notes])), [block])
    return Outcome(
        [
            Figure(
                name=CPU,
                system=OURS,
                unit="%",
                value=cpu,
                target=CPU_TARGET,
                met=cpu < MOST_CPU_PERCENT,
                notes=notes,
            ),
            Figure(
                name=RSS,
                system=OURS,
                unit="MB",
                value=after.rss_mb,
                target=RSS_TARGET,
                met=after.rss_mb < MOST_RSS_MB,
            ),
        ],
        [block],
    )


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(CPU, CPU_TARGET, why), unmeasured(RSS, RSS_TARGET, why)]

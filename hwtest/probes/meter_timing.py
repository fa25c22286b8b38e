"""Probe 1: is the measuring machine itself good enough to measure milliseconds?"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from hwtest.bench.machine import Load, LoadMeter
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Probe, Threshold
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.statistics import percentile
from hwtest.useragent.transport import Endpoint, SocketAddress, Stamp

SLEEPS = 200
SLEEP_SECONDS = 0.005
DATAGRAMS = 200
ECHO_SECONDS = 1.0
GIVE_UP_AFTER = 3
"""Datagrams of which none comes back: a firewall on this machine, and the others would take a second each."""
LATE_MS = 5.0
"""The 99th percentile of either; beyond it no figure in milliseconds can be believed."""
LOOKS = 3
"""At most."""


async def measure(site: Site, sheet: Sheet) -> None:
    """Sleeps of ours beside the clock, datagrams to ourselves and back, and what else the machine did meanwhile.

    A machine that was disturbed while it was looked at is looked at again; one that is unfit is so each time.
    """
    looks = [await _look(site)]
    while looks[-1].is_late and len(looks) < LOOKS:
        looks.append(await _look(site))
    seen = looks[-1]
    evidence = [look.evidence for look in looks]
    again = f"look {len(looks)} of at most {LOOKS}: late before" if len(looks) > 1 else ""
    sheet.distribution("sleep_overshoot", "ms", seen.overshoots, note=again, evidence=evidence)
    sheet.distribution(
        "loopback_round_trip",
        "ms",
        seen.round_trips,
        note=f"{seen.lost} lost on this machine itself",
        evidence=evidence,
    )
    sheet.value("steal", "%", 100 * seen.load.steal_share, evidence=evidence)
    sheet.value("busy", "%", 100 * seen.load.busy_share, evidence=evidence)


@dataclass(frozen=True, slots=True)
class _Look:
    """What the machine was like for a second or two; times in milliseconds."""

    overshoots: list[float]
    round_trips: list[float]
    lost: int
    load: Load

    @property
    def is_late(self) -> bool:
        """Whether it would be called unfit."""
        return any(
            percentile(times, 0.99) > LATE_MS for times in (self.overshoots, self.round_trips) if times
        )

    @property
    def evidence(self) -> Evidence:
        return Evidence(
            text=f"during {self.load.seconds:.1f} s: load average {self.load.load_average:.2f}, processors busy "
            f"{self.load.busy_share:.0%}, stolen by other guests {self.load.steal_share:.1%}; sleeps late by "
            f"{percentile(self.overshoots, 0.99):.1f} ms (p99)"
        )


async def _look(site: Site) -> _Look:
    load = LoadMeter()
    site.say("sleeping")
    overshoots = [await _overshoot_ms() for _ in range(SLEEPS)]
    site.say("datagrams to ourselves")
    round_trips, lost = await _round_trips_ms(site.target.local_address)
    return _Look(overshoots, round_trips, lost, load.read())


async def _overshoot_ms() -> float:
    """How much later than asked for the event loop goes on: every time that we stamp may be late by so much."""
    begun = time.monotonic_ns()
    await asyncio.sleep(SLEEP_SECONDS)
    return max(0.0, (time.monotonic_ns() - begun) / 1e6 - 1000 * SLEEP_SECONDS)


async def _round_trips_ms(host: str) -> tuple[list[float], int]:
    arrived = asyncio.Queue[Stamp]()

    def echo(datagram: bytes, source: SocketAddress, _stamp: Stamp) -> None:
        far.send(datagram, source)

    far = Endpoint(host, 0, echo)
    near = Endpoint(host, 0, lambda _datagram, _source, stamp: arrived.put_nowait(stamp))
    samples, lost = list[float](), 0
    try:
        for number in range(DATAGRAMS):
            if lost >= GIVE_UP_AFTER and not samples:
                break
            sent = near.send(number.to_bytes(4, "big"), far.address)
            try:
                stamp = await asyncio.wait_for(arrived.get(), ECHO_SECONDS)
            except TimeoutError:
                lost += 1
            else:
                samples.append(max(0.0, (stamp.monotonic_ns - sent.monotonic_ns) / 1e6))
    finally:
        near.close()
        far.close()
    return samples, lost


PROBE = Probe(
    name="meter.timing",
    number=1,
    title="This machine can measure milliseconds",
    level=Level.SAFE,
    seconds=2.0,
    term="instrument error",
    reference="RFC 6076 §3 (errors of an interval should be under ±1 ms)",
    meaning=(
        "Every later figure is measured with this machine's clock and by programs that must be woken in time. If they are "
        "woken late, a fast switch looks slow."
    ),
    thresholds=(
        Threshold(
            figure="sleep_overshoot",
            statistic="p99",
            passes=2.0,
            warns=LATE_MS,
            unit="ms",
            clause="own",
            code="meter.timing.late",
        ),
        Threshold(
            figure="loopback_round_trip",
            statistic="p99",
            passes=2.0,
            warns=LATE_MS,
            unit="ms",
            clause="own",
            code="meter.timing.late",
        ),
        Threshold(
            figure="steal",
            statistic="value",
            passes=2.0,
            warns=10.0,
            unit="%",
            clause="own",
            code="meter.timing.stolen",
        ),
        Threshold(
            figure="busy",
            statistic="value",
            passes=85.0,
            warns=100.0,
            unit="%",
            clause="own",
            code="meter.timing.busy",
        ),
    ),
    explanations=(
        Explanation(
            code="meter.timing.late",
            layer=Layer.METER,
            meaning="Programs on this machine are woken too late for figures in milliseconds to be believed.",
            caller_notices="Nothing: this is about the measuring machine, not about the appliance.",
            causes=(
                "something else uses the processors",
                "the machine is a virtual one on a crowded host",
                "the processor saves power: on battery, or with a slow governor",
            ),
            confirm="top; cat /proc/pressure/cpu; cpupower frequency-info",
            mend="End what uses the processors, or measure from another machine; then run this again.",
        ),
        Explanation(
            code="meter.timing.stolen",
            layer=Layer.METER,
            meaning="The host under this virtual machine gives its processors to others for part of the time.",
            caller_notices="Nothing, if the appliance does not share the host. If it does, everything is late now and then.",
            causes=("too many virtual machines on the host", "a limit of processor time on this one"),
            confirm="vmstat 1 5 (column st)",
            mend="Move it to a quieter host, or have processors reserved for it.",
        ),
        Explanation(
            code="meter.timing.busy",
            layer=Layer.METER,
            meaning="The processors of this machine were almost wholly in use while it measured.",
            caller_notices="Nothing: this is about the measuring machine, unless it is the appliance itself.",
            causes=("another program runs here", "a load test is running, and this is the appliance itself"),
            confirm="top -b -n 1 | head -20",
            mend="Measure when it is quiet; figures from a busy machine say little about the appliance.",
        ),
    ),
    measure=measure,
)

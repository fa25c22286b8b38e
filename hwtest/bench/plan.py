"""The plan of benchmarks: B1 to B14, each with what it is measured against and what is asked of it.

A row of a run is told apart by its number here. What the plan asks for and no measurement gives stands in the document as not
measured, with the reason: a benchmark that is left out must not look like one that was met.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hwtest.bench import idle


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One line of the plan."""

    number: str
    title: str
    comparator: str
    """What the figure stands beside; empty where there is nothing like it."""
    asked: str
    """The plan's target. A row's own target may be stricter, or put it as a ratio."""
    measurements: tuple[str, ...] = ()
    """Names on the command line that give it."""
    figure: str = ""
    """Where a measurement has rows of several benchmarks: how the names of this one's rows begin."""
    lacking: str = ""
    """What the plan asks for and no measurement gives yet."""


PLAN = (
    Benchmark(
        number="B1",
        title="dispatch: agent's BYE to the next agent INVITE, callers waiting",
        comparator="plain_queue with retry 1, and with app_queue's own times (retry 5), in alternating blocks",
        asked="p50 <= 15 ms, p95 <= 30 ms, p99 <= 100 ms; p50 <= 1/20 of plain_queue",
        measurements=("dispatch-20", "dispatch-200", "announcement", "one-agent", "defaults"),
    ),
    Benchmark(
        number="B2",
        title="idle agent: caller's INVITE to agent's INVITE",
        comparator="plain_queue, plain_dial",
        asked="p50 <= 10 ms, p95 <= 20 ms",
        measurements=("idle",),
        figure=idle.OFFER,
    ),
    Benchmark(
        number="B3",
        title="answer: caller's INVITE to 200",
        comparator="plain_queue",
        asked="p50 <= 6 ms, p95 <= 15 ms",
        measurements=("idle", "answers"),
        figure=idle.ANSWER,
    ),
    Benchmark(
        number="B4",
        title="time in the log against time on the wire, by kind of fact",
        comparator="the wire",
        asked="p50 <= 3 ms, p99 <= 20 ms, none missing",
        measurements=("facts",),
    ),
    Benchmark(
        number="B5",
        title="order errors under priority",
        comparator="the order that the configuration gives, worked out apart from the daemon; plain_queue by its own priority",
        asked="0 in 1,000 mixed calls, 5 agents",
        measurements=("order",),
    ),
    Benchmark(
        number="B6",
        title="cost of callers who wait",
        comparator="1, 10, 100 and 1,000 waiting beside each other",
        asked="<= 3 % of a core at 1,000 waiting; B1's p95 there <= 2x of that at 10",
        measurements=("waiting", "growth"),
        lacking="1,000 with music, whose packets alone would keep both cores busy: 300 at most",
    ),
    Benchmark(
        number="B7",
        title="switch events digested, with a journal, no event waiting longer than 100 ms",
        comparator="",
        asked=">= 10,000 events/s",
        measurements=("events",),
        lacking="from a played switch, without sockets; not live",
    ),
    Benchmark(
        number="B8",
        title="durable log: facts on disk before their effects",
        comparator="a bare write and fsync on the same disk",
        asked=">= 20,000 facts/s; a commit of the call path p99 <= 10 ms",
        measurements=("journal",),
    ),
    Benchmark(
        number="B9",
        title="pull of the log, and what it costs a caller",
        comparator="dispatch without a pull",
        asked=">= 100,000 facts/s; visible within 250 ms (p95); dispatch within 10 % during a pull",
        measurements=("pull", "beside"),
    ),
    Benchmark(
        number="B10",
        title="zero-failure rate (RFC 7502), daemon against app_queue",
        comparator="plain_queue",
        asked=">= 20 calls/s and >= 0.7 of app_queue",
        measurements=("rate",),
    ),
    Benchmark(
        number="B11",
        title="kill -9 with callers waiting: dispatch again, nobody lost, order kept",
        comparator="",
        asked="<= 2 s, 0 lost, order kept",
        measurements=("restart",),
    ),
    Benchmark(
        number="B12",
        title="mouth-to-ear delay that the appliance adds",
        comparator="the phones' own delay, subtracted; plain_dial",
        asked="<= 25 ms one way (p95)",
        measurements=("mouth",),
    ),
    Benchmark(
        number="B13",
        title="call-back: agent free to its INVITE, and its place",
        comparator="",
        asked="p95 <= 50 ms; 0 place errors",
        measurements=("callback",),
    ),
    Benchmark(
        number="B14",
        title="hwtest itself: seeded faults found, false reds in clean runs",
        comparator="",
        asked="12 of 12 found, 0 false reds in 20 clean runs",
        measurements=("finding",),
        lacking="12 faults, and short probes in the clean runs: make endure has all; sip-doctor is not beside it",
    ),
)


def number_of(measurement: str, figure: str) -> str:
    """The number of one row of a measurement; empty for what is beside the plan."""
    for benchmark in PLAN:
        if measurement in benchmark.measurements and figure.startswith(benchmark.figure):
            return benchmark.number
    return ""


def chosen(measurement: str, only: Collection[str]) -> bool:
    """Whether a run of `only` these (names or numbers; none: everything) has this measurement in it."""
    numbers = {benchmark.number for benchmark in PLAN if measurement in benchmark.measurements}
    return not only or measurement in only or not numbers.isdisjoint(only)


NUMBERS = tuple(benchmark.number for benchmark in PLAN if benchmark.measurements)
"""What can be chosen."""

"""How fast metrics are over a month of a large force: made up, folded, and asked for the figures of a standard report."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.ledger.store import open_reader
from edge.ledger.synthesise import synthesise
from edge.metrics.asking import ask, period_of
from edge.metrics.book import read_book
from edge.metrics.periods import Every
from edge.mi.projection import Projection
from hwtest.bench.machine import LoadMeter
from hwtest.bench.results import Block, Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, Progress
from hwtest.statistics import percentile

MADE, FOLDED, MONTH, DAY = "facts made up", "facts folded", "figures of a month", "figures of a day"
TARGETS = {MONTH: 10.0, DAY: 0.5}
"""Seconds at most."""
KEY = b"benchmark" * 4
ZONE = ZoneInfo("Europe/London")
FIRST = datetime(2026, 10, 1, tzinfo=UTC)
BY_DAY = (
    *(
        "offered",
        "answered",
        "abandoned",
        "999-in-10",
        "999-mean",
        "101-in-30",
        "101-mean",
        "101-p90",
        "101-p90-waited",
    ),
    *("101-abandonment", "occupancy", "handling"),
)
BY_QUEUE = ("offered", "101-in-30", "101-mean", "101-p90-waited", "101-abandonment")
REPORTS, DAYS = 3, 10
"""How often each is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A month of so many calls."""

    calls: int


async def measure(progress: Progress, plan: Plan) -> Outcome:
    """Every definition over the whole month, twelve of them day by day, five by queue; and the same for single days."""
    try:
        with tempfile.TemporaryDirectory(prefix="edge101-bench-figures-") as folder:
            blocks = await asyncio.to_thread(lambda: list(_blocks(Path(folder), plan, progress)))
    except OSError as error:
        return Outcome(not_measured(str(error)))
    return Outcome([_figure(block, plan) for block in blocks], blocks)


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(name, f"<= {seconds:g} s", why) for name, seconds in TARGETS.items()]


def _blocks(folder: Path, plan: Plan, progress: Progress) -> Iterator[Block]:
    ledger = folder / "ledger.db"
    facts = 0

    def make() -> None:
        nonlocal facts
        facts = synthesise(ledger, plan.calls, 1, FIRST, 31)

    yield _timed(MADE, make, 1)
    progress(f"{facts} facts of {plan.calls} calls made up")
    with _folded(ledger, folder) as projection:
        yield _timed(FOLDED, projection.catch_up, 1)
        progress("folded")
        book = read_book()
        month, day = (period_of(words, ZONE, 0) for words in ("2026-10", "2026-10-15"))

        def report(times: tuple[int, int], every: Every) -> None:
            ask(projection, book, list(book.definitions), *times, zone=ZONE)
            ask(projection, book, BY_DAY, *times, every=every, zone=ZONE)
            ask(projection, book, BY_QUEUE, *times, zone=ZONE, by=["queue"])

        yield _timed(MONTH, lambda: report(month, Every.DAY), REPORTS)
        yield _timed(DAY, lambda: report(day, Every.HALF_HOUR), DAYS)


@contextmanager
def _folded(ledger: Path, folder: Path) -> Iterator[Projection]:
    with closing(open_reader(f"sqlite:///{ledger}")) as reader:
        projection = Projection(reader, folder / "projection.db", KEY)
        try:
            yield projection
        finally:
            projection.close()


def _timed(name: str, do: Callable[[], None], times: int) -> Block:
    meter, samples = LoadMeter(), []
    for _ in range(times):
        begun = time.perf_counter()
        do()
        samples.append(1000 * (time.perf_counter() - begun))
    load = meter.read()
    return Block(
        figure=name,
        system=OURS,
        samples=samples,
        seconds=load.seconds,
        load_average=load.load_average,
        steal_share=load.steal_share,
        busy_share=load.busy_share,
        retransmissions=0,
        dropped=None,
    )


def _figure(block: Block, plan: Plan) -> Figure:
    seconds = percentile(block.samples, 0.5) / 1000
    most = TARGETS.get(block.figure)
    note = f"{plan.calls} calls, n={len(block.samples)}, the slowest {max(block.samples) / 1000:.2f} s"
    return Figure(
        name=block.figure,
        system=OURS,
        unit="s",
        value=round(seconds, 3),
        target="" if most is None else f"<= {most:g} s",
        met=None if most is None else seconds <= most,
        small=most is not None and plan.calls < 1_000_000,
        notes=[note],
    )

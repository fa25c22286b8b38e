"""How fast metrics are over a month of a large force: made up, folded, its standard report made, and asked for its figures."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from edge.metrics.asking import ask, period_of
from edge.metrics.book import read_book
from edge.metrics.periods import Every
from edge.ports import LedgerError
from hwtest.bench import month as months
from hwtest.bench.machine import LoadMeter
from hwtest.bench.month import Month, in_parts
from hwtest.bench.results import Block, Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, Progress
from hwtest.lab import configuration, processes
from hwtest.lab.contract import Lab
from hwtest.lab.packages import LabError
from hwtest.statistics import summarise

MADE, FOLDED = "facts made up", "facts folded"
REPORT, MONTH, DAY = "report of a month", "figures of a month", "figures of a day"
TARGETS = {REPORT: 10.0, MONTH: 10.0, DAY: 0.5}
"""Seconds at most, each time."""
ZONE = ZoneInfo("Europe/London")
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
REPORTS, DAYS = 5, 20
"""How often each is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A month of so many calls."""

    calls: int


async def measure(lab: Lab, progress: Progress, plan: Plan) -> Outcome:
    """`edge report month` as a person runs it; every definition over the whole month, twelve of them day by day, five by queue;
    and the same for single days. What was made earlier is not made again, and has no row."""
    try:
        blocks = await asyncio.to_thread(lambda: list(_blocks(lab, plan, progress)))
    except (LabError, LedgerError, OSError) as error:
        return Outcome(not_measured(str(error)))
    return Outcome([_figure(block, plan, notes) for block, notes in blocks], [block for block, _ in blocks])


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(name, f"each <= {seconds:g} s", why) for name, seconds in TARGETS.items()]


def _blocks(lab: Lab, plan: Plan, progress: Progress) -> Iterator[tuple[Block, list[str]]]:
    making = list[Block]()
    with (
        months.kept(plan.calls, progress, lambda make: making.append(_timed(MADE, make, 1))) as month,
        month.projection() as projection,
    ):
        facts = month.facts()
        yield from ((block, [_rate(block, facts)]) for block in making)
        missing = facts - projection.through
        if missing:
            told = in_parts(progress, f"{missing} facts are folded, once")
            folding = _timed(FOLDED, lambda: projection.catch_up(told), 1)
            yield folding, [_rate(folding, missing)]
        projection.catch_up()  # an older program may have folded it, and gathered nothing
        progress(f"reports over {plan.calls} calls, {facts} facts")
        yield _reports(lab, month)
        book = read_book()
        whole, day = (period_of(words, ZONE, 0) for words in (months.NAME, f"{months.NAME}-15"))

        def figures(times: tuple[int, int], every: Every) -> None:
            ask(projection, book, list(book.definitions), *times, zone=ZONE)
            ask(projection, book, BY_DAY, *times, every=every, zone=ZONE)
            ask(projection, book, BY_QUEUE, *times, zone=ZONE, by=["queue"])

        yield _timed(MONTH, lambda: figures(whole, Every.DAY), REPORTS), []
        yield _timed(DAY, lambda: figures(day, Every.HALF_HOUR), DAYS), []


def _rate(block: Block, facts: int) -> str:
    return f"{facts} facts, {facts / (block.samples[0] / 1000):.0f} a second"


def _reports(lab: Lab, month: Month) -> tuple[Block, list[str]]:
    """The report again and again, each by a process of its own, with what the largest of them took of memory."""
    document = tomllib.loads(Path(lab.config).read_text(encoding="utf-8"))
    mi = {**document.get("mi", {}), "directory": str(month.mi)}
    made = {**document, "ledger": {"url": month.url}, "mi": mi}
    file = Path(lab.directory, "month.toml")
    file.touch(mode=0o600)
    file.write_text(configuration.to_toml(made), encoding="utf-8")
    memory_mib = list[float]()
    with tempfile.TemporaryDirectory(prefix="edge101-bench-report-") as folder:
        log, out = Path(folder, "log"), Path(folder, "report.html")
        asked = ("report", "month", months.NAME, "--out", str(out))
        command = (sys.executable, "-m", "edge", "--config", str(file), *asked)

        def report() -> None:
            making = processes.start(command, log)
            _, status, used = os.wait4(making.pid, 0)
            making.returncode = os.waitstatus_to_exitcode(status)
            memory_mib.append(used.ru_maxrss / 1024)
            if making.returncode or not out.exists():
                raise LabError(f"edge report ended with {making.returncode}: {log.read_text().strip()}")

        block = _timed(REPORT, report, REPORTS)
    file.unlink()
    return block, [f"a process of its own each time, at most {max(memory_mib):.0f} MiB of memory"]


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


def _figure(block: Block, plan: Plan, notes: list[str]) -> Figure:
    notes, slowest = [f"{plan.calls} calls", *notes], max(block.samples)
    most = TARGETS.get(block.figure)
    if most is None:
        return Figure(name=block.figure, system=OURS, unit="s", value=round(slowest / 1000, 3), notes=notes)
    return Figure(
        name=block.figure,
        system=OURS,
        summary=summarise(block.samples),
        target=f"each <= {most:g} s",
        met=slowest <= most * 1000,
        small=plan.calls < 1_000_000,
        notes=notes,
    )

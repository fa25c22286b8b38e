"""How fast `edge ship` copies a ledger into PostgreSQL: a real server, durable, on this machine, which both share."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import closing
from dataclasses import dataclass

from edge.ledger.measure import arrivals
from edge.ledger.store import open_sql_ledger
from edge.ship.shipping import BATCH, Shipper, Source
from edge.ship.target import Target
from hwtest.bench.machine import LoadMeter
from hwtest.bench.results import Block, Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, Progress
from hwtest.lab.packages import LabError
from hwtest.lab.postgres import Server, server
from hwtest.statistics import percentile

RATE = "ship into PostgreSQL"
LEAST_PER_SECOND = 20_000
TARGET = f">= {LEAST_PER_SECOND} facts/s"
APPENDED_AT_ONCE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """So many ledgers, each of so many facts, one after the other. Each fact has personal data, the dearest kind."""

    ledgers: int
    facts: int


async def measure(progress: Progress, plan: Plan) -> Outcome:
    """Facts per second of each ledger, its first connection and the making of the tables not counted."""
    blocks: list[Block] = []
    try:
        with server() as running:
            database = running.database()
            for number in range(1, plan.ledgers + 1):
                blocks.append(await asyncio.to_thread(_ship_one, running, database, number, plan.facts))
                progress(f"ledger {number}/{plan.ledgers}: {blocks[-1].samples[0]:.0f} facts/s")
    except LabError as error:
        return Outcome(not_measured(str(error)))
    return Outcome(figures(blocks, plan), blocks)


def figures(blocks: list[Block], plan: Plan) -> list[Figure]:
    """The one row: the median of the ledgers."""
    if faults := [block.invalid for block in blocks if block.invalid]:
        return not_measured("; ".join(faults))
    median = percentile([block.samples[0] for block in blocks], 0.5)
    slowest = min(block.samples[0] for block in blocks)
    note = f"{plan.ledgers} ledgers of {plan.facts} facts, chain checked, fsync on; the slowest {slowest:.0f} facts/s"
    return [
        Figure(
            name=RATE,
            system=OURS,
            unit="facts/s",
            value=round(median),
            target=TARGET,
            met=median >= LEAST_PER_SECOND,
            notes=[note],
        )
    ]


def not_measured(why: str) -> list[Figure]:
    """The row when it could not be measured."""
    return [unmeasured(RATE, TARGET, why)]


def _ship_one(running: Server, database: str, number: int, facts: int) -> Block:
    with tempfile.TemporaryDirectory(prefix="edge101-bench-ship-") as folder:
        url = f"sqlite:///{folder}/ledger.sqlite"
        with closing(open_sql_ledger(url)) as ledger:
            for first in range(1, facts + 1, APPENDED_AT_ONCE):
                ledger.append(arrivals(first, min(APPENDED_AT_ONCE, facts + 1 - first)))
        shipper = Shipper(Source(url, f"appliance {number}"), lambda: Target(database), lambda _: False)
        try:
            shipper.step()
            meter = LoadMeter()
            shipped = shipper.run_until_level().head.sequence - BATCH  # the first one was before the meter
            load = meter.read()
        finally:
            shipper.close()
    with running.connect(database.partition("@/")[2].partition("?")[0]) as connection:
        (there,) = connection.execute(
            "SELECT position FROM edge101.ledgers ORDER BY shipped_utc_us DESC LIMIT 1"
        ).fetchone() or (0,)
    return Block(
        figure=RATE,
        system=OURS,
        samples=[shipped / load.seconds],
        seconds=load.seconds,
        load_average=load.load_average,
        steal_share=load.steal_share,
        busy_share=load.busy_share,
        retransmissions=0,
        dropped=None,
        invalid=None if there == facts else f"{there} of {facts} facts arrived",
    )

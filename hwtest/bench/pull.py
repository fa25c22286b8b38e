"""How fast a central system pulls the record from `edge mi`, how deep it may be, and how soon a new fact is seen there.

A real `edge mi` on loopback serves a ledger of its own, one page after the other on one connection, as docs/mi.md has it. The
reader shares the machine with it.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edge.config.sections import MiSection
from edge.core.facts import Entry, OfferEnded, OfferMade, OfferRang
from edge.core.model import OfferOutcome
from edge.ledger.measure import arrivals
from edge.ledger.store import SqlLedger, open_sql_ledger
from edge.mi.services import open_services
from edge.views.caller import ensure_key
from hwtest.bench.machine import LoadMeter
from hwtest.bench.results import Block, Figure, Outcome, unmeasured
from hwtest.bench.rig import OURS, Progress
from hwtest.lab import configuration as lab_configuration
from hwtest.lab import daemon, management, processes
from hwtest.lab.contract import Lab
from hwtest.lab.packages import LabError
from hwtest.lab.processes import ProcessIdentity
from hwtest.statistics import percentile

RATE = "pull as NDJSON"
DEPTH = "pull, deep over shallow"
MEMORY = "pull, memory grown"
FRESH = "fact visible after commit, p95"
LEAST_PER_SECOND = 100_000
RATE_TARGET = f">= {LEAST_PER_SECOND} facts/s"
LEAST_DEPTH_RATIO = 0.8
DEPTH_TARGET = f">= {LEAST_DEPTH_RATIO}"
MOST_MEMORY_MIB = 64.0
MEMORY_TARGET = f"<= {MOST_MEMORY_MIB:.0f} MiB"
MOST_FRESH_MS = 250.0
FRESH_TARGET = f"<= {MOST_FRESH_MS:.0f} ms"
APPENDED_AT_ONCE = 4800
PERSONAL_EVERY = 16
"""One fact of so many is a call's arrival with a number, as in a record of real calls."""
PORT_ABOVE_MI = 1
PARTS = 5
TIMEOUT_SECONDS = 60.0
ENDING_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A ledger of so many facts, pulled whole with each size of page; then so many single facts waited for."""

    facts: int
    pages: tuple[int, ...] = (1000, 2500, 5000)
    fresh: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """One pull of everything. `rates`: facts per second of each fifth of it, the first facts first."""

    facts: int
    seconds: float
    rates: Sequence[float]


async def measure(lab: Lab, progress: Progress, plan: Plan) -> Outcome:
    """Rates by size of page, and what a commit takes to be visible."""
    try:
        return await asyncio.to_thread(_measure, lab, progress, plan)
    except LabError as error:
        return Outcome(not_measured(str(error)))


def not_measured(why: str) -> list[Figure]:
    """The rows when it could not be measured."""
    targets = {RATE: RATE_TARGET, DEPTH: DEPTH_TARGET, MEMORY: MEMORY_TARGET, FRESH: FRESH_TARGET}
    return [unmeasured(name, target, why) for name, target in targets.items()]


def _measure(lab: Lab, progress: Progress, plan: Plan) -> Outcome:
    outcome = Outcome()
    with (
        tempfile.TemporaryDirectory(prefix="edge101-bench-pull-") as folder,
        closing(open_sql_ledger(url := f"sqlite:///{folder}/ledger.sqlite")) as ledger,
    ):
        ensure_key(url)
        fill(ledger, plan.facts)
        with served(lab, url, Path(folder)) as (reader, pid):
            reader.pull_all(max(plan.pages))  # what is measured does not begin cold
            grown_from = _resident_mib(pid)
            rates = []
            for size in plan.pages:
                meter = LoadMeter()
                pulled = reader.pull_all(size)
                rates.append(pulled)
                outcome.blocks.append(_block(RATE, [pulled.facts / pulled.seconds], meter))
                progress(f"pages of {size}: {pulled.facts / pulled.seconds:.0f} facts/s")
            grown = _resident_mib(pid) - grown_from
            meter = LoadMeter()
            fresh = _freshness(ledger, reader, plan)
            outcome.blocks.append(_block(FRESH, fresh, meter))
    outcome.figures = figures(rates, fresh, grown, plan)
    return outcome


def figures(pulls: Sequence[Pull], fresh: Sequence[float], grown_mib: float, plan: Plan) -> list[Figure]:
    """The rows: the slowest size of page counts."""
    rates = [pull.facts / pull.seconds for pull in pulls]
    sizes = ", ".join(f"{size}: {rate:.0f}" for size, rate in zip(plan.pages, rates, strict=True))
    depth = min(pull.rates[-1] / pull.rates[0] for pull in pulls)
    p95 = percentile(list(fresh), 0.95)
    return [
        Figure(
            name=RATE,
            system=OURS,
            unit="facts/s",
            value=round(min(rates)),
            target=RATE_TARGET,
            met=min(rates) >= LEAST_PER_SECOND,
            notes=[f"{plan.facts} facts, by facts in a page: {sizes}; disclosures written, one connection"],
        ),
        Figure(
            name=DEPTH,
            system=OURS,
            unit="",
            value=round(depth, 2),
            target=DEPTH_TARGET,
            met=depth >= LEAST_DEPTH_RATIO,
            notes=["rate in the last fifth of the record over that in the first, the worst of the sizes"],
        ),
        Figure(
            name=MEMORY,
            system=OURS,
            unit="MiB",
            value=round(grown_mib, 1),
            target=MEMORY_TARGET,
            met=grown_mib <= MOST_MEMORY_MIB,
            notes=[
                f"resident memory of edge mi, with its process for pages, over {len(pulls)} pulls, after one before them"
            ],
        ),
        Figure(
            name=FRESH,
            system=OURS,
            unit="ms",
            value=round(p95, 1),
            target=FRESH_TARGET,
            met=p95 <= MOST_FRESH_MS,
            notes=[f"{len(fresh)} facts waited for; median {percentile(list(fresh), 0.5):.1f} ms"],
        ),
    ]


def fill(ledger: SqlLedger, facts: int) -> None:
    """Append so many facts: offers of calls, and an arrival among every sixteen."""
    for first in range(1, facts + 1, APPENDED_AT_ONCE):
        ledger.append([as_in_a_record(e) for e in arrivals(first, min(APPENDED_AT_ONCE, facts + 1 - first))])


def as_in_a_record(arrival: Entry) -> Entry:
    """The arrival itself, one of sixteen; else a fact of an offer in its place."""
    if arrival.sequence % PERSONAL_EVERY == 1:
        return arrival
    call_id, agent = f"call-{arrival.sequence // PERSONAL_EVERY:012d}", "4001"
    offer_id = f"offer-{arrival.sequence // 3:012d}"
    facts = (
        OfferMade(
            offer_id=offer_id, call_id=call_id, agent=agent, phone="desk1", ring_seconds=15, waited_seconds=4
        ),
        OfferRang(offer_id=offer_id, call_id=call_id, agent=agent),
        OfferEnded(offer_id=offer_id, call_id=call_id, agent=agent, outcome=OfferOutcome.MISSED, cause="19"),
    )
    return Entry(
        sequence=arrival.sequence,
        at=arrival.at,
        fact=facts[arrival.sequence % 3],
        reason=arrival.reason,
        clock=arrival.clock,
    )


class Reader:
    """A central system, as lean as one can be: what it does not do is not ours to measure."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/x-ndjson"}
        self.cursor = ""

    def page(self, limit: int, wait_seconds: float = 0.0) -> tuple[int, bool]:
        """Facts of the next page, and whether there is more."""
        cursor = f"&cursor={self.cursor}" if self.cursor else ""
        path = f"/v1/facts?limit={limit}&wait_seconds={wait_seconds}{cursor}"
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise LabError(f"edge mi answered {answer.status}: {json.loads(body)['detail']}")
        self.cursor = answer.headers["Edge101-Cursor"]
        return body.count(b"\n"), answer.headers["Edge101-More"] == "true"

    def pull_all(self, limit: int) -> Pull:
        """Everything from the beginning."""
        self.cursor, more = "", True
        times, counts = [time.perf_counter()], [0]
        while more:
            count, more = self.page(limit)
            times.append(time.perf_counter())
            counts.append(counts[-1] + count)
        ends = [max(1, (len(times) - 1) * part // PARTS) for part in range(PARTS + 1)]
        ends[0] = 0
        rates = [
            (counts[end] - counts[start]) / (times[end] - times[start])
            for start, end in pairwise(ends)
            if end > start
        ]
        return Pull(facts=counts[-1], seconds=times[-1] - times[0], rates=rates)


@contextmanager
def served(lab: Lab, url: str, folder: Path) -> Iterator[tuple[Reader, int]]:
    """A further `edge mi`, over this ledger and with its own files in `folder`, configured as the lab is."""
    document = tomllib.loads(Path(lab.config).read_text(encoding="utf-8"))
    port = document.get("mi", {}).get("port", lab.ami.port) + PORT_ABOVE_MI
    unlimited = {"requests_per_minute": 1_000_000, "requests_per_minute_of_address": 1_000_000}
    own = folder / "mi"
    made = {**document, "ledger": {"url": url}, "mi": {"port": port, "directory": str(own), **unlimited}}
    file = Path(lab.directory, "pull.toml")
    file.touch(mode=0o600)
    file.write_text(lab_configuration.to_toml(made), encoding="utf-8")
    services = open_services(url, MiSection(directory=own))
    token = services.tokens.add("bench", ["facts"], 1.0, "hwtest bench")[1]
    services.close()
    command = (*daemon.command(Path(lab.directory))[:2], "edge", "--config", str(file), "mi")
    started = processes.start(command, folder / "mi.log")
    try:
        management.wait_until_ready(port, started, folder / "mi.log")
        yield Reader(port, token), started.pid
    finally:
        ProcessIdentity.of(started.pid).stop(ENDING_SECONDS)
        file.unlink()


def _freshness(ledger: SqlLedger, reader: Reader, plan: Plan) -> list[float]:
    """Milliseconds from the return of a commit until the reader has the fact, which it waits for."""
    taken = []
    sequence = ledger.last_sequence()
    for _ in range(plan.fresh):
        committed: list[float] = []
        sequence += 1
        entries = [as_in_a_record(entry) for entry in arrivals(sequence, 1)]

        def commit(entries: list[Entry] = entries, committed: list[float] = committed) -> None:
            ledger.append(entries)
            committed.append(time.perf_counter())

        writing = threading.Timer(0.03, commit)  # the reader waits by then
        writing.start()
        count = 0
        while not count:
            count, _ = reader.page(100, wait_seconds=20.0)
        seen = time.perf_counter()
        writing.join()
        taken.append(max(0.0, seen - committed[0]) * 1000)
    return taken


def _resident_mib(pid: int) -> float:
    """Of the process and of those that it has started."""
    process = Path(f"/proc/{pid}")
    status = Path(process, "status").read_text(encoding="ascii")
    own = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    children = Path(process, "task", str(pid), "children").read_text(encoding="ascii").split()
    return own + sum(map(_resident_mib, map(int, children)))


def _block(name: str, samples: list[float], meter: LoadMeter) -> Block:
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

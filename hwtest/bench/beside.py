"""What MI costs a caller: dispatch while the record is pulled at full speed and a month's report is made, beside dispatch alone.
Beside both stands dispatch on cores that are kept busy with nothing.

One switch, one daemon, alternating blocks. The pull is of the daemon's own ledger, the report of a month made up. The reader and
the report have the two cores' leftovers in common with everything else, as nothing runs on a machine of its own here.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from edge.housekeeping import give_way
from edge.ledger.synthesise import synthesise
from hwtest.bench import dispatch
from hwtest.bench.burner import LOWEST, every_core_busy
from hwtest.bench.pull import Reader, served
from hwtest.bench.readings import dispatch_latencies
from hwtest.bench.results import Block, Figure, Outcome, compare_p95, describe, sized, unmeasured
from hwtest.bench.rig import OURS, Rig, RigError
from hwtest.lab import configuration, processes
from hwtest.lab.packages import LabError

NAME = "dispatch, MI at work"
ALONE, BESIDE, BUSY = OURS, "ours, MI at work", "ours, cores kept busy"
"""With every core kept busy by what is worth nothing and gives way to everything: what of the ratio is the machine's."""
ORDER = (ALONE, BESIDE, BUSY, BUSY, BESIDE, ALONE)
MOST = 1.1
TARGET = f"p95 <= {MOST:g}x of {ALONE}"
PAGE = 5000
FAR_NICENESS = LOWEST
"""The reader is another machine's in truth: here it takes what the others leave."""
BEGIN_SECONDS = 30.0
FIRST, MONTH, DAYS = datetime(2026, 10, 1, tzinfo=UTC), "2026-10", 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Dispatch as it is planned, and how many calls the month has of which reports are made."""

    dispatch: dispatch.Plan
    calls: int


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """Blocks alone and beside MI, and what they say."""
    blocks = list[Block]()
    await rig.staff(plan.dispatch.agents)
    try:
        with tempfile.TemporaryDirectory(prefix="edge101-bench-beside-") as name:
            folder = Path(name)
            rig.progress(f"a month of {plan.calls} calls is made up and folded")
            report = await asyncio.to_thread(_report, rig, plan.calls, folder)
            with served(rig.lab, rig.lab.ledger, folder) as (reader, _):
                for number, system in enumerate(ORDER * plan.dispatch.rounds, 1):
                    with _meanwhile(system, reader, report, folder):
                        made = dispatch.DispatchBlock(rig, plan.dispatch, OURS, plan.dispatch.line, number)
                        measured = await made.measure()
                    samples = dispatch_latencies(measured.taken.records, rig.agent_ports)
                    blocks.append(replace(measured.block(NAME, OURS, samples), system=system))
                    rig.progress(f"{NAME} block {number}/{len(ORDER) * plan.dispatch.rounds} {system}")
            pulled, reported = _count(folder / "pulled"), _count(folder / "reported")
    except LabError as error:
        return Outcome(not_measured(str(error)))
    return Outcome(figures(blocks, plan, pulled, reported), blocks)


def figures(blocks: Sequence[Block], plan: Plan, pulled: int, reported: int) -> list[Figure]:
    """The three rows. Without a pull and a report meanwhile nothing was measured."""
    seconds = sum(block.seconds for block in blocks if block.system == BESIDE)
    work = f"meanwhile {pulled} facts were pulled and {reported} reports begun, in {seconds:.0f} s"
    if not pulled or not reported:
        return not_measured(work)
    compared = sized(
        compare_p95(NAME, BESIDE, ALONE, blocks, MOST), plan.dispatch.least, plan.dispatch.samples
    )
    compared.notes.append(f"{work}; a report is of {plan.calls} calls")
    machine = replace(compare_p95(NAME, BUSY, ALONE, blocks, MOST), target="", met=None)
    machine.notes.append(
        "a burner on each core, at the lowest priority: what a scheduler and caches cost, whoever is at work"
    )
    return [describe(NAME, ALONE, blocks), compared, machine]


def not_measured(why: str) -> list[Figure]:
    """The row when it could not be measured."""
    return [unmeasured(NAME, TARGET, why)]


def _report(rig: Rig, calls: int, folder: Path) -> list[str]:
    """Make the month up and have its projection folded; the command that makes its report."""
    ledger = folder / "month" / "ledger.db"
    ledger.parent.mkdir()
    synthesise(ledger, calls, 1, FIRST, DAYS)
    document = tomllib.loads(Path(rig.lab.config).read_text(encoding="utf-8"))
    file = Path(rig.lab.directory, "report.toml")
    file.touch(mode=0o600)
    file.write_text(
        configuration.to_toml({**document, "ledger": {"url": f"sqlite:///{ledger}"}}), encoding="utf-8"
    )
    out = folder / "report.html"
    command = [
        sys.executable,
        "-m",
        "edge",
        "--config",
        str(file),
        "report",
        "month",
        MONTH,
        "--out",
        str(out),
    ]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RigError(f"edge report ended with {made.returncode}: {made.stderr.strip()}")
    return command


def _meanwhile(
    system: str, reader: Reader, report: Sequence[str], folder: Path
) -> AbstractContextManager[object]:
    """What goes on while a block of this system is measured."""
    if system == BESIDE:
        return _at_work(reader, report, folder)
    return every_core_busy() if system == BUSY else nullcontext()


@contextmanager
def _at_work(reader: Reader, report: Sequence[str], folder: Path) -> Iterator[None]:
    """A reader pulls the whole record again and again, and report after report is made."""
    command = (sys.executable, "-m", __name__, str(reader.port), str(folder / "pulled"))
    over, reported = threading.Event(), folder / "reported"

    def reports() -> None:
        while not over.is_set():
            making = processes.start(report, folder / "report.log")
            _add(reported, 1)
            while making.poll() is None and not over.wait(0.05):
                pass
            if making.poll() is None:
                making.kill()
                making.wait()

    pulling = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert pulling.stdin is not None
    with pulling.stdin:
        pulling.stdin.write(reader.token.encode())
    thread = threading.Thread(target=reports, name="reports")
    before = _count(folder / "pulled")
    thread.start()
    try:
        _until(lambda: _count(folder / "pulled") > before)
        yield
    finally:
        over.set()
        pulling.kill()
        pulling.wait()
        thread.join()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BEGIN_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise RigError(f"the reader pulled nothing in {BEGIN_SECONDS:.0f} s")
        time.sleep(0.05)


def _count(file: Path) -> int:
    """A writer may be at it: nothing, then."""
    return int(file.read_text(encoding="ascii") or 0) if file.exists() else 0


def _add(file: Path, count: int) -> None:
    file.write_text(str(_count(file) + count), encoding="ascii")


def main() -> None:
    """The reader's process: port and file to count in by argument, token by standard input. It pulls until it is killed."""
    give_way(FAR_NICENESS)
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    reader = Reader(port, sys.stdin.read())
    while True:
        reader.cursor, more = "", True
        while more:
            count, more = reader.page(PAGE)
            _add(file, count)


if __name__ == "__main__":
    main()

"""hwtest itself: are faults that are seeded into a lab found and blamed on their layer, and is a lab without any blamed?

A lab of its own, with the pull API. Twelve faults, one at a time, each looked for by the probes that are to find it as
`hwtest run` would, until one does; then clean runs of the short ones of those probes. A probe that could not measure has found
nothing. All faults that there are, and clean runs of more probes, are the matter of `make endure`.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from hwtest.bench.machine import LoadMeter
from hwtest.bench.results import Block, Figure, Outcome, count_errors, unmeasured
from hwtest.bench.rig import OURS, Progress, RigError
from hwtest.lab import stack
from hwtest.lab.faults import FAULTS, Fault, seeded
from hwtest.lab.packages import LabError
from hwtest.probes.contract import Probe, Verdict
from hwtest.probes.registry import choose
from hwtest.report.result import ProbeResult
from hwtest.running import run
from hwtest.site import Site
from hwtest.target import open_target

MISSED, FALSE = "seeded faults not found, or blamed on another", "clean runs with something blamed"
MISSED_TARGET, FALSE_TARGET = "0 missed", "0 false reds"
SEEDED = (
    "one-way-audio",
    "late-media",
    "sip-loss",
    "wrong-codec",
    "wrong-context",
    "trunk-refusing",
    "phones-gone",
    "rtp-range-small",
    "events-unstamped",
    "ari-cut",
    "clock-step",
    "disk-slow",
)
"""Of each sort that the plan names (one-way audio, late media, the clock, a drop, a slow disk), and what is misconfigured."""
CLEAN = ("sip.options", "sip.register", "ctl.link", "call.one")
AGENTS = 4
FOUND = (Verdict.FAIL, Verdict.WARN)
LEAST_CLEAN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which faults, and how many runs without any."""

    faults: Sequence[str] = SEEDED
    clean: int = LEAST_CLEAN


class Silent:
    """Watches nothing."""

    def started(self, probe: Probe) -> None:
        """A probe begins."""

    def progress(self, words: str) -> None:
        """How far it is."""

    def finished(self, result: ProbeResult) -> None:
        """It is done."""


async def measure(progress: Progress, plan: Plan) -> Outcome:
    """All faults, then the clean runs. RigError where the lab fails."""
    meter = LoadMeter()
    try:
        with tempfile.TemporaryDirectory(prefix="edge101-bench-finding-") as name:
            place = Path(name, "lab")
            async with _lab(place, progress):
                missed = await _seed(place, plan, progress)
                blamed = await _clean(place, plan, progress)
    except LabError as error:
        raise RigError(str(error)) from error
    load = meter.read()
    block = Block(
        figure=MISSED,
        system=OURS,
        samples=[],
        seconds=load.seconds,
        load_average=load.load_average,
        steal_share=load.steal_share,
        busy_share=load.busy_share,
        retransmissions=0,
        dropped=None,
    )
    return Outcome(figures(missed, blamed, plan), [block])


@asynccontextmanager
async def _lab(place: Path, progress: Progress) -> AsyncIterator[None]:
    wishes = stack.Wishes(directory=place, agents=AGENTS, mi=True)
    await asyncio.to_thread(stack.up, wishes, progress)
    try:
        yield
    finally:
        await asyncio.to_thread(stack.down, place)


@asynccontextmanager
async def _in_thread(block: AbstractContextManager[Fault]) -> AsyncIterator[Fault]:
    """A block that blocks: a daemon is stopped and started in it."""
    fault = await asyncio.to_thread(block.__enter__)
    try:
        yield fault
    finally:
        await asyncio.to_thread(block.__exit__, None, None, None)


async def _seed(place: Path, plan: Plan, progress: Progress) -> list[str]:
    """What was not found: in words, one for each fault."""
    missed = list[str]()
    for name in plan.faults:
        async with _in_thread(seeded(place, name)) as fault:
            said = await _look_for(place, fault)
        if said:
            missed.append(said)
        progress(f"fault {name}: {said or f'found, and the {fault.layer} blamed'}")
    return missed


async def _look_for(place: Path, fault: Fault) -> str:
    """By one probe after the other, until one has found it."""
    results, said = list[ProbeResult](), ""
    for probe in fault.found_by:
        results += await _probe(place, [probe], len(results))
        said = judge(fault, results)
        if not said:
            break
    return said


def judge(fault: Fault, results: Sequence[ProbeResult]) -> str:
    """Empty when somebody blames the layer that is at fault; else what was said instead."""
    found = [finding for result in results for finding in result.findings if finding.verdict in FOUND]
    if any(finding.layer.value == fault.layer for finding in found):
        return ""
    told = ", ".join(f"{finding.code} ({finding.layer.value})" for finding in found)
    reasons = "; ".join(result.reason for result in results if result.reason)
    return (
        f"{fault.name} is the {fault.layer}'s: {told or 'nothing found'}{f'; {reasons}' if reasons else ''}"
    )


async def _clean(place: Path, plan: Plan, progress: Progress) -> list[str]:
    """What was blamed without a reason, or could not be measured: in words, one for each run."""
    blamed = list[str]()
    for number in range(1, plan.clean + 1):
        results = await _probe(place, CLEAN, number)
        said = blames(results)
        if said:
            blamed.append(f"run {number}: {said}")
        progress(f"clean run {number}/{plan.clean}: {said or 'nothing blamed'}")
    return blamed


def blames(results: Sequence[ProbeResult]) -> str:
    """What a run that has nothing to find says all the same; a probe that could not measure is no clean run either."""
    red = [
        finding.code for result in results for finding in result.findings if finding.verdict is Verdict.FAIL
    ]
    unable = [
        f"{each.name} not measured ({each.reason})"
        for each in results
        if each.verdict is Verdict.NOT_MEASURED
    ]
    return ", ".join([*red, *unable])


async def _probe(place: Path, names: Sequence[str], seed: int) -> Sequence[ProbeResult]:
    with tempfile.TemporaryDirectory(prefix="edge101-bench-probe-") as folder:
        async with Site(open_target(place), Path(folder), lab_allowed=True, seed=seed) as site:
            return (await run(site, choose(names), Silent(), names, seed)).probes


def figures(missed: Sequence[str], blamed: Sequence[str], plan: Plan) -> list[Figure]:
    """The two rows."""
    found = count_errors(MISSED, OURS, range(len(missed)), len(plan.faults), "missed")
    clean = count_errors(FALSE, OURS, range(len(blamed)), plan.clean, "false reds")
    probes = sorted({probe for name in plan.faults for probe in FAULTS[name].found_by})
    return [
        _noted(found, [f"seeded: {', '.join(plan.faults)}", f"looked for by {', '.join(probes)}", *missed]),
        _noted(clean, [f"each of {', '.join(CLEAN)}", *blamed], small=plan.clean < LEAST_CLEAN),
    ]


def _noted(figure: Figure, notes: list[str], *, small: bool = False) -> Figure:
    return replace(figure, notes=notes, small=small)


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(MISSED, MISSED_TARGET, why), unmeasured(FALSE, FALSE_TARGET, why)]

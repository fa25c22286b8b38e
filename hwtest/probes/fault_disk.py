"""Probe 33: the record's disk is full, then slow. Do calls go on, and is it said that the record was in trouble?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from edge.config import load
from edge.core.facts import CallEnded, Entry, LedgerTroubleBegan, LedgerTroubleEnded
from hwtest.bench.readings import Reach, reaches
from hwtest.bench.rig import OURS
from hwtest.lab.contract import Lab
from hwtest.lab.hurt import Hurt
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, Need, Probe, Threshold, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.rehearsal import LINE, Stage, staged
from hwtest.site import Site
from hwtest.useragent import answering

AGENTS = 4
CALLS_EACH = 3
"""Each agent takes so many calls while the disk is hurt."""
TALK_SECONDS = 0.2
SPARE_SECONDS = 15.0
RECORD_SECONDS = 20.0
FAULTS: dict[str, tuple[str, Callable[[Hurt], AbstractContextManager[None]]]] = {
    "full": ("the disk takes nothing", Hurt.refused),
    "slow": ("a commit waits 0.2 s", Hurt.slow),
}


async def measure(site: Site, sheet: Sheet) -> None:
    """Calls while the disk is full, then while it is slow; afterwards what the record says of it."""
    async with staged(site) as stage:
        rig = stage.rig
        await rig.staff(min(AGENTS, len(rig.lab.agents)))
        await rig.serve_for(OURS)
        wrap_up = await asyncio.to_thread(_wrap_up_seconds, rig.lab)
        for name, (words, hurt) in FAULTS.items():
            await stage.hurt.serving()
            await _hurt(site, sheet, stage, name, words, hurt, wrap_up)
            await asyncio.sleep(wrap_up)


async def _hurt(
    site: Site,
    sheet: Sheet,
    stage: Stage,
    name: str,
    words: str,
    hurt: Callable[[Hurt], AbstractContextManager[None]],
    wrap_up: float,
) -> None:
    rig = stage.rig
    before = stage.reader.last_sequence()
    calls = CALLS_EACH * len(rig.agents)
    await rig.wire.take()
    with rig.behaviour(answering(talk_seconds=TALK_SECONDS)), hurt(stage.hurt):
        site.say(f"{words}: {calls} callers")
        placed = [rig.call(LINE) for _ in range(calls)]
        loop = asyncio.get_running_loop()
        until = loop.time() + CALLS_EACH * (wrap_up + TALK_SECONDS) + SPARE_SECONDS
        for call in placed:
            await call.lasts(max(0.1, until - loop.time()))
        records = await stage.records()
    await rig.clear()
    site.say("the disk is mended: what does the record say?")
    entries = await stage.told(before, (LedgerTroubleBegan, LedgerTroubleEnded), RECORD_SECONDS)
    judge(sheet, name, reaches(records, rig.caller_ports, rig.agent_ports), entries, calls, len(rig.agents))


def _wrap_up_seconds(lab: Lab) -> float:
    from pathlib import Path

    configuration = load(Path(lab.config))
    return max(queue.wrap_up_seconds for queue in configuration.queues.values())


def judge(
    sheet: Sheet, name: str, found: Sequence[Reach], entries: Sequence[Entry], calls: int, agents: int
) -> None:
    """`entries`: facts from before the fault until it was said to be over, or was not."""
    reached = [reach.milliseconds for reach in found if reach.milliseconds is not None]
    told = Evidence(text=f"{calls} callers, {len(reached)} rang an agent's phone")
    sheet.value(f"{name}_calls_lost", "calls", calls - len(reached), n=calls, evidence=[told])
    first = sorted(reached)[:agents]
    note = "INVITE to the agent's INVITE, of those for whom an agent was free at once"
    sheet.distribution(f"{name}_reach", "ms", first, note=note, evidence=[told])
    ended = sum(isinstance(entry.fact, CallEnded) for entry in entries)
    sheet.value(f"{name}_calls_in_record", "calls", ended, n=calls, note="once the disk was mended")
    if not any(isinstance(entry.fact, LedgerTroubleBegan) for entry in entries):
        words = f"nothing in the record says that it was in trouble while the disk was {name}"
        if name == "slow" and ended >= calls:
            sheet.note(f"{words}: each commit was still made in time, and no call is missing.")
        else:
            sheet.find(
                "fault.disk.unsaid",
                Verdict.FAIL,
                words,
                Evidence(text=f"{len(entries)} facts, no LedgerTroubleBegan among them"),
            )


def _thresholds(name: str) -> tuple[Threshold, ...]:
    return (
        Threshold(
            figure=f"{name}_calls_lost",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="calls",
            clause="own",
            code="fault.disk.lost",
        ),
        Threshold(
            figure=f"{name}_reach",
            statistic="max",
            passes=1000.0,
            warns=5000.0,
            unit="ms",
            clause="own",
            code="fault.disk.slow",
        ),
    )


PROBE = Probe(
    name="fault.disk",
    number=33,
    title="A full or slow disk stops no call, and the record says that it was in trouble",
    level=Level.LAB,
    needs=frozenset({Need.RECORD}),
    seconds=70.0,
    term="service while the record cannot be written",
    reference="own; docs/adr/0002-facts-before-effects.md, docs/adr/0004-ledger.md",
    meaning=(
        "The record comes before the effect, but a caller comes before the record: when the disk is full or slow, calls must go "
        "on from memory, and afterwards the record must say what it may lack."
    ),
    thresholds=tuple(threshold for name in FAULTS for threshold in _thresholds(name)),
    explanations=(
        Explanation(
            code="fault.disk.lost",
            layer=Layer.DAEMON,
            meaning="Callers reached no agent while the disk was hurt, although agents were there.",
            caller_notices="Music for ever, or the call drops.",
            causes=(
                "the daemon waits for its disk before it moves a call",
                "the daemon ended itself, and cannot start on a full disk",
            ),
            confirm="edge status; journalctl -u edge101; df -h",
            mend="Report it with the bundle of this run to those who maintain the daemon; keep the ledger's disk apart.",
        ),
        Explanation(
            code="fault.disk.slow",
            layer=Layer.DAEMON,
            meaning="Callers for whom an agent was free waited for the disk.",
            caller_notices="A pause before the agent's phone rings.",
            causes=(
                "facts are waited for longer than the daemon's patience with its disk says",
                "the machine was busy: look at meter.timing",
            ),
            confirm="hwtest run meter.timing queue.dispatch; edge status",
            mend="Report it with the bundle of this run to those who maintain the daemon.",
        ),
        Explanation(
            code="fault.disk.unsaid",
            layer=Layer.RECORD,
            meaning="The record could not be written for a while, and nothing in it says so.",
            caller_notices="Nothing. Later nobody knows that something may be missing.",
            causes=(
                "the daemon ended before it could say so",
                "the trouble was not recognised: writes were slow rather than refused",
            ),
            confirm="edge gaps; edge status",
            mend="Report it with the bundle of this run to those who maintain the daemon.",
        ),
    ),
    measure=measure,
)

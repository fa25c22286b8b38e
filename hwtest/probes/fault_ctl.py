"""Probe 29: a control link is cut while people wait. Do they hear something, and does the dialplan bring them to an agent?"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from edge.config import load
from hwtest.bench.readings import Reach, reaches
from hwtest.bench.rig import OURS
from hwtest.lab.contract import Lab
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, NotMeasuredError, Probe, Threshold
from hwtest.probes.sheet import Sheet
from hwtest.rehearsal import LINE, Stage, staged
from hwtest.site import Site
from hwtest.useragent import CallEnded, CallState, IncomingCall, OutgoingCall

AGENTS = 4
LISTEN_SECONDS, LISTEN_MOST_SECONDS = 2.0, 5.0
"""All are listened to for so long, and who hears nothing then for longer: past what is a failure, or it would never be one."""
HEARD_DBM0 = -60.0
TALK_SECONDS = 0.1
SERVED_SECONDS = 25.0
TALKING_SECONDS = 20.0
_GAP_SECONDS = 0.1
LINKS = ("ami", "ari")
WAITING = 2
"""Callers of each line."""
EMERGENCY = "999"


async def measure(site: Site, sheet: Sheet) -> None:
    """Each link in turn: callers of 101 and of 999 wait, it is cut, they are listened to, agents become free."""
    async with staged(site, EMERGENCY) as stage:
        await stage.rig.staff(min(AGENTS, len(stage.rig.lab.agents)))
        dead_man = await asyncio.to_thread(_dead_man_seconds, stage.rig.lab)
        for link in LINKS:
            await stage.hurt.serving()
            await stage.no_tasks()  # callers of the first link whom nobody served left some
            await stage.rig.sign_out()
            await _cut(site, sheet, stage, link, dead_man)


async def _cut(site: Site, sheet: Sheet, stage: Stage, link: str, dead_man: float) -> None:
    rig, proxy = stage.rig, stage.hurt.ami if link == "ami" else stage.hurt.ari
    free, answered = asyncio.Event(), asyncio.Semaphore(0)

    async def serve(call: IncomingCall) -> None:
        """The first talk lasts until the link is cut, those after it a moment."""
        if not free.is_set() and call.header("X-Edge-Call") is None:
            call.reject(486)  # a task of somebody who hung up earlier: we are here for callers
            return
        call.ring()
        call.answer()
        answered.release()
        if not free.is_set():
            await free.wait()
        else:
            await call.lasts(TALK_SECONDS)
        await call.hang_up()

    await rig.serve_for(OURS)
    with rig.behaviour(serve):
        site.say(f"all agents talk, callers wait, then {link.upper()} is cut")
        try:
            talking = [rig.call(LINE) for _ in rig.agents]
            async with asyncio.timeout(TALKING_SECONDS):
                for _ in rig.agents:
                    await answered.acquire()
            await rig.wire.take()
            calls = [rig.call(LINE, "silence") for _ in range(WAITING)]
            for call in calls:
                await call.answered(10)
            emergencies = [rig.call(EMERGENCY, "silence") for _ in range(WAITING)]
            for call in emergencies:
                await call.ringing(10)
        except (CallEnded, TimeoutError):
            raise NotMeasuredError(
                "callers are not answered even while everything is well", "hwtest run call.one"
            ) from None
        await asyncio.sleep(1.0)
        cut_ns = time.time_ns()
        with stage.hurt.cut(proxy):
            site.say(f"{link.upper()} is cut: what do callers hear?")
            silences = await _listen(calls)
            gone = sum(call.state is CallState.ENDED for call in (*calls, *emergencies, *talking))
            sheet.distribution(
                f"{link}_silence",
                "s",
                silences,
                uncertainty=_GAP_SECONDS,
                note=f"longest without audible audio in the {LISTEN_SECONDS:g} to {LISTEN_MOST_SECONDS:g} s after the cut, "
                "of callers of 101",
                evidence=[Evidence(text=f"{len(calls)} callers listened; {gone} of all were cut off")],
            )
            site.say(f"{link.upper()} is cut: agents become free")
            free_ns = time.time_ns()
            free.set()
            await _served([*calls, *emergencies])
            records = await stage.records()
    found = reaches(records, rig.caller_ports, rig.agent_ports)
    judge(sheet, link, found[:WAITING], found[WAITING:], cut_ns + round(dead_man * 1e9), free_ns)
    await rig.clear()


async def _listen(calls: list[OutgoingCall]) -> list[float]:
    """The longest silence of each call: no packet, or packets of silence."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    longest, since, before = (
        [0.0] * len(calls),
        [began] * len(calls),
        [call.leg.packets for call in calls],
    )
    now = began
    while now < began + LISTEN_SECONDS or (min(since) < now < began + LISTEN_MOST_SECONDS):
        await asyncio.sleep(_GAP_SECONDS)
        now = loop.time()
        for place, call in enumerate(calls):
            heard = call.leg.packets > before[place] and call.leg.level_dbm0 > HEARD_DBM0
            before[place] = call.leg.packets
            call.leg.forget_heard()  # the level is that of the last second: a sound before would hide a silence now
            if heard:
                since[place] = now
            longest[place] = max(longest[place], now - since[place])
    return longest


async def _served(calls: list[OutgoingCall]) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + SERVED_SECONDS
    for call in calls:
        await call.lasts(max(0.1, until - loop.time()))


def _dead_man_seconds(lab: Lab) -> float:
    """After so long without a sign of the daemon the switch takes a caller of 101 back."""
    number = lab.lines[LINE]
    lines = load(Path(lab.config)).lines.values()
    return next(line.renewed_within for line in lines if line.number == number)


def judge(
    sheet: Sheet, link: str, others: list[Reach], emergencies: list[Reach], due_ns: int, free_ns: int
) -> None:
    """`due_ns`: the end of the dead-man of 101. `free_ns`: when agents became free; in UTC. Sooner counts as nought."""
    for name, found, since, words in (
        ("999", emergencies, free_ns, "from the agents' hanging up"),
        ("101", others, max(due_ns, free_ns), "from the end of the line's dead-man"),
    ):
        reached = [max(0.0, (r.offered_ns - since) / 1e9) for r in found if r.offered_ns is not None]
        told = Evidence(
            text=f"{len(found)} callers of {name} waited when {link.upper()} was cut, {len(reached)} rang an agent's phone"
        )
        note = f"{words}, with the link cut, to the INVITE at an agent's phone"
        sheet.distribution(f"{link}_fallback_{name}", "s", reached, note=note, evidence=[told])
        sheet.value(f"{link}_lost_{name}", "callers", WAITING - len(reached), n=WAITING, evidence=[told])


def _thresholds(link: str) -> tuple[Threshold, ...]:
    def made(
        figure: str, statistic: str, passes: float, warns: float, unit: str, clause: str, code: str
    ) -> Threshold:
        return Threshold(
            figure=f"{link}_{figure}",
            statistic=statistic,
            passes=passes,
            warns=warns,
            unit=unit,
            clause=clause,
            code=code,
        )

    return (
        made("silence", "max", 2.0, 4.0, "s", "own; no dead air of more than 2 s", "fault.ctl.silence"),
        made("fallback_999", "max", 5.0, 10.0, "s", "own", "fault.ctl.late"),
        made("fallback_101", "max", 5.0, 10.0, "s", "own; docs/runbook.md: dead-man", "fault.ctl.late"),
        made("lost_999", "value", 0.0, 0.0, "callers", "own", "fault.ctl.lost"),
        made("lost_101", "value", 0.0, 0.0, "callers", "own", "fault.ctl.lost"),
    )


PROBE = Probe(
    name="fault.ctl",
    number=29,
    title="A control link is cut with callers waiting: they hear something, and the dialplan finds them an agent",
    level=Level.LAB,
    seconds=60.0,
    term="survivability: fallback to the switch's own queue",
    reference="own; docs/adr/0010-emergency.md (fallback), NENA-STA-020 for the times that calls must be answered in",
    meaning=(
        "The daemon moves calls by its links to the switch. When one of them is cut, those who wait must not fall silent, "
        "and the switch's own queue must bring them to an agent without it."
    ),
    thresholds=tuple(threshold for link in LINKS for threshold in _thresholds(link)),
    explanations=(
        Explanation(
            code="fault.ctl.silence",
            layer=Layer.DIALPLAN,
            meaning="Callers who wait hear nothing for a while after a control link was cut.",
            caller_notices="Dead air: people take the call for lost and hang up.",
            causes=(
                "the survivable dialplan answers without music or an announcement",
                "the switch notices late that the daemon is gone, and nothing plays meanwhile",
                "the music is missing on the switch's disk",
            ),
            confirm="asterisk -rx 'dialplan show edge-fallback'; asterisk -rx 'moh show classes'",
            mend="Install the generated dialplan again (edge dialplan), with its prompts and music, and reload it.",
        ),
        Explanation(
            code="fault.ctl.late",
            layer=Layer.DIALPLAN,
            meaning="The switch's own queue takes long to ring an agent for those who waited when the link was cut.",
            caller_notices="A longer wait while agents are free.",
            causes=(
                "the queue's `retry` is its default of 5 s",
                "agents who sign in are not made members of the switch's queue by the dialplan",
                "the daemon goes on renewing the dead-man of callers whom it cannot move",
            ),
            confirm="asterisk -rx 'queue show'; edge status",
            mend="Install the generated queues.conf and dialplan again and reload them (retry = 1).",
        ),
        Explanation(
            code="fault.ctl.lost",
            layer=Layer.DIALPLAN,
            meaning="Callers who waited when a control link was cut rang no agent's phone at all.",
            caller_notices="Music for ever, or the call drops.",
            causes=(
                "the dialplan has no step after the daemon's application, or was changed",
                "the switch's own queue has no members",
                "the switch's calls were ended with the daemon's application",
            ),
            confirm="asterisk -rx 'queue show'; asterisk -rx 'dialplan show edge-lines'; look at Asterisk's log",
            mend="Install the generated dialplan again (edge dialplan) and reload it; run this again.",
        ),
    ),
    measure=measure,
)

"""Probe 29: a control link is cut while people wait. Do they hear something, and does the dialplan bring them to an agent?"""

from __future__ import annotations

import asyncio
import time

from hwtest.bench.readings import Reach, reaches
from hwtest.bench.rig import OURS
from hwtest.probes.contract import Evidence, Explanation, Layer, Level, NotMeasuredError, Probe, Threshold
from hwtest.probes.sheet import Sheet
from hwtest.rehearsal import LINE, Stage, staged
from hwtest.site import Site
from hwtest.useragent import CallEnded, OutgoingCall, answering

AGENTS = 4
LISTEN_SECONDS = 2.0
HEARD_DBM0 = -60.0
TALK_SECONDS = 0.1
SERVED_SECONDS = 20.0
_GAP_SECONDS = 0.1
LINKS = ("ami", "ari")


async def measure(site: Site, sheet: Sheet) -> None:
    """Each link in turn: as many wait as there are agents, it is cut, they are listened to, agents sign in."""
    async with staged(site) as stage:
        await stage.rig.staff(min(AGENTS, len(stage.rig.lab.agents)))
        for link in LINKS:
            await stage.hurt.serving()
            await stage.rig.sign_out()
            await _cut(site, sheet, stage, link)


async def _cut(site: Site, sheet: Sheet, stage: Stage, link: str) -> None:
    rig, proxy = stage.rig, stage.hurt.ami if link == "ami" else stage.hurt.ari
    await rig.wire.take()
    site.say(f"callers come before {link.upper()} is cut")
    calls = [rig.call(LINE, "silence") for _ in rig.agents]
    try:
        for call in calls:
            await call.answered(10)
    except (CallEnded, TimeoutError):
        raise NotMeasuredError(
            "callers are not answered even while everything is well", "hwtest run call.one"
        ) from None
    await asyncio.sleep(1.0)
    with rig.behaviour(answering(talk_seconds=TALK_SECONDS)), stage.hurt.cut(proxy):
        site.say(f"{link.upper()} is cut: what do callers hear?")
        silences = await _listen(calls)
        gone = sum(call.state.name == "ENDED" for call in calls)
        sheet.distribution(
            f"{link}_silence",
            "s",
            silences,
            uncertainty=_GAP_SECONDS,
            note=f"longest without audible audio in the {LISTEN_SECONDS:g} s after the cut",
            evidence=[Evidence(text=f"{len(calls)} callers; {gone} of them were cut off")],
        )
        site.say(f"{link.upper()} is cut: agents sign in")
        begun = time.monotonic()
        await rig.serve_for(OURS)
        ready_ns = time.time_ns()
        sheet.value(
            f"{link}_sign_in",
            "s",
            time.monotonic() - begun,
            note="the code, with its prompts, for all agents at once",
        )
        await _served(calls)
        records = (await rig.wire.take()).records
    judge(sheet, link, reaches(records, rig.caller_ports, rig.agent_ports), ready_ns, len(calls))
    await rig.clear()


async def _listen(calls: list[OutgoingCall]) -> list[float]:
    """The longest silence of each call: no packet, or packets of silence."""
    loop = asyncio.get_running_loop()
    longest, since, before = (
        [0.0] * len(calls),
        [loop.time()] * len(calls),
        [call.leg.packets for call in calls],
    )
    until = loop.time() + LISTEN_SECONDS
    while loop.time() < until:
        await asyncio.sleep(_GAP_SECONDS)
        now = loop.time()
        for place, call in enumerate(calls):
            heard = call.leg.packets > before[place] and call.leg.level_dbm0 > HEARD_DBM0
            before[place] = call.leg.packets
            if heard:
                since[place] = now
            longest[place] = max(longest[place], now - since[place])
    return longest


async def _served(calls: list[OutgoingCall]) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + SERVED_SECONDS
    for call in calls:
        await call.lasts(max(0.1, until - loop.time()))


def judge(sheet: Sheet, link: str, found: list[Reach], ready_ns: int, callers: int) -> None:
    """`ready_ns`: when the last agent had signed in, in UTC. Who was offered before it counts with nought."""
    reached = [max(0.0, (r.offered_ns - ready_ns) / 1e9) for r in found if r.offered_ns is not None]
    told = Evidence(
        text=f"{callers} waited when {link.upper()} was cut, {len(reached)} of them rang an agent's phone"
    )
    note = "from the end of the agents' signing in, with the link cut, to the INVITE at an agent's phone"
    sheet.distribution(f"{link}_fallback", "s", reached, note=note, evidence=[told])
    sheet.value(f"{link}_lost", "callers", callers - len(reached), n=callers, evidence=[told])


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
        made("fallback", "max", 5.0, 10.0, "s", "own", "fault.ctl.late"),
        made("lost", "value", 0.0, 0.0, "callers", "own", "fault.ctl.lost"),
    )


PROBE = Probe(
    name="fault.ctl",
    number=29,
    title="A control link is cut with callers waiting: they hear something, and the dialplan finds them an agent",
    level=Level.LAB,
    seconds=50.0,
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
                "the daemon holds on to callers although it cannot move them",
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

"""Probe 21: an agent hangs up. How long until their phone rings again, beside app_queue; and how long until both talk?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwtest.audio.hearing import Hearing
from hwtest.audio.prompt import document_of, line_of
from hwtest.audio.signal import LEG_FREQUENCIES_HZ
from hwtest.bench import dispatch
from hwtest.bench.readings import dispatch_latencies
from hwtest.bench.rig import OURS, PLAIN_QUEUE, Rig, RigError
from hwtest.bench.rig import rig as rig_of
from hwtest.desks import Room, desks, lab_of, put_back
from hwtest.lab.contract import Lab
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Probe,
    Threshold,
    Verdict,
)
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.statistics import percentile
from hwtest.useragent import CallState
from hwtest.useragent.media import Media

LINE = "101_no_greeting"
AGENTS = 4
WAITING = 10
SAMPLES, PLAIN_SAMPLES = 24, 16
JOINS = 5
"""Calls by which answer to two-way audio is measured."""
RING_SECONDS = 0.3
HEAR_SECONDS = 2.0
OFFER_SECONDS = 10.0
CALLER_HZ, AGENT_HZ = LEG_FREQUENCIES_HZ[1], LEG_FREQUENCIES_HZ[5]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """What the blocks gave, in milliseconds; wrap-up, which is on purpose, is taken off ours."""

    ours: Sequence[float]
    plain: Sequence[float]
    wrap_up_seconds: float
    faults: Sequence[str] = ()
    """Why blocks are doubtful."""
    by_capture: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Joins:
    """From each agent's 200 until the other's tone was there, in milliseconds; None: it was not heard."""

    heard_by_caller: Sequence[float | None]
    heard_by_agent: Sequence[float | None]

    @property
    def both(self) -> list[float]:
        """Until both heard each other, of the calls in which they did."""
        pairs = zip(self.heard_by_caller, self.heard_by_agent, strict=True)
        return [max(caller, agent) for caller, agent in pairs if caller is not None and agent is not None]

    @property
    def deaf(self) -> int:
        """Calls in which one did not hear the other."""
        return len(self.heard_by_caller) - len(self.both)


async def measure(site: Site, sheet: Sheet) -> None:
    """Joins one by one, then blocks of dispatch: ours, app_queue, app_queue, ours."""
    lab = lab_of(site, "queue.dispatch")
    site.interlock.admit_harm("queue.dispatch")
    async with desks(site, 1, "queue.dispatch", Media("tone", AGENT_HZ)) as room:
        judge_joins(sheet, await _joins(site, room))
    agents = min(AGENTS, len(lab.agents))
    try:
        async with put_back(site), rig_of(lab, site.say) as rig:
            for line in (LINE, PLAIN_QUEUE):
                site.interlock.check(lab.lines[line])
            dispatched = await _blocks(lab, rig, agents)
    except RigError as error:
        sheet.find(
            STUCK, Verdict.FAIL, f"{error}", Evidence(text="callers waited, and the agents were signed in")
        )
        return
    judge_dispatch(sheet, dispatched)


async def _joins(site: Site, room: Room) -> Joins:
    desk, to_caller, to_agent = room.desks[0], list[float | None](), list[float | None]()
    await room.sign_in(desk)
    for number in range(1, JOINS + 1):
        site.say(f"answer to two-way audio {number} of {JOINS}")
        call = await room.call(LINE, Media("tone", CALLER_HZ))
        try:
            offer = await desk.rung(OFFER_SECONDS)
        except TimeoutError:
            raise NotMeasuredError(
                f"the agent was signed in and was not rung within {OFFER_SECONDS:.0f} s",
                "edge status; hwtest run queue.order --lab",
            ) from None
        by_caller, by_agent = Hearing.of(call.leg), Hearing.of(offer.leg)
        if not await offer.lasts(RING_SECONDS):
            raise NotMeasuredError("the offer was taken back while the phone rang", "edge why CALL")
        offer.answer()
        await offer.lasts(HEAR_SECONDS)
        sent = offer.stamp_of("200", direction="sent")
        assert sent is not None, "who has answered has sent a 200"
        for into, hearing, hz in ((to_caller, by_caller, AGENT_HZ), (to_agent, by_agent, CALLER_HZ)):
            at_ns = hearing.first_tone_ns(hz, sent.monotonic_ns)
            into.append(None if at_ns is None else (at_ns - sent.monotonic_ns) / 1e6)
        for leg in (offer, call):
            if leg.state is CallState.ANSWERED:
                await leg.hang_up()
        await room.ready(desk)
    return Joins(heard_by_caller=to_caller, heard_by_agent=to_agent)


async def _blocks(lab: Lab, rig: Rig, agents: int) -> Dispatched:
    plan = dispatch.Plan(
        name="dispatch",
        line=LINE,
        waiting=WAITING,
        agents=agents,
        samples=SAMPLES,
        plain_samples=PLAIN_SAMPLES,
        rounds=1,
    )
    document = document_of(lab)
    queue = document.get("queue", {}).get(line_of(document, LINE).get("queue", ""), {})
    wrap_up = float(queue.get("wrap_up_seconds", 30.0))
    found: dict[str, list[float]] = {OURS: [], PLAIN_QUEUE: []}
    faults = list[str]()
    try:
        await rig.staff(agents)
    except RigError as error:
        raise NotMeasuredError(
            f"the agents' phones could not be staffed: {error}", "edge agents; edge status"
        ) from None
    for number, system in enumerate(dispatch.ORDER, 1):
        rig.progress(f"block {number} of {len(dispatch.ORDER)}: {system}")
        line = LINE if system == OURS else PLAIN_QUEUE
        try:
            measured = await dispatch.DispatchBlock(rig, plan, system, line, number).measure()
        except RigError as error:
            if system == OURS:
                raise
            faults.append(f"block {number} ({system}): {error}")  # app_queue is for comparison alone
            continue
        samples = dispatch_latencies(measured.taken.records, rig.agent_ports)
        block = measured.block(plan.name, system, samples)
        found[system] += samples
        if block.invalid:
            faults.append(f"block {number} ({system}): {block.invalid}")
    return Dispatched(
        ours=[sample - 1000 * wrap_up for sample in found[OURS]],
        plain=found[PLAIN_QUEUE],
        wrap_up_seconds=wrap_up,
        faults=faults,
        by_capture=rig.captured,
    )


def judge_joins(sheet: Sheet, joins: Joins) -> None:
    """Answer to two-way audio."""
    tones = Evidence(text=f"the caller's tone has {CALLER_HZ} Hz, the agent's {AGENT_HZ} Hz")
    sheet.distribution(
        "two_way_audio",
        "ms",
        joins.both,
        uncertainty=20.0,
        note="the agent's 200 until each hears the other's tone; packets of 20 ms",
        evidence=(tones,),
    )
    if joins.deaf:
        caller = sum(at is None for at in joins.heard_by_caller)
        agent = sum(at is None for at in joins.heard_by_agent)
        words = (
            f"in {joins.deaf} of {len(joins.heard_by_caller)} calls there was no two-way audio within "
            f"{HEAR_SECONDS:.0f} s: {caller} times the caller heard nothing, {agent} times the agent"
        )
        sheet.find(DEAF, Verdict.FAIL, words, tones)


def judge_dispatch(sheet: Sheet, dispatched: Dispatched) -> None:
    """Dispatch beside app_queue."""
    taken_off = (
        f", less the wrap-up of {dispatched.wrap_up_seconds:g} s" if dispatched.wrap_up_seconds else ""
    )
    stamps = "by the kernel's stamps of the wire" if dispatched.by_capture else "by the phones' own stamps"
    ours, plain = dispatched.ours, dispatched.plain
    beside = Evidence(
        text=(
            f"app_queue with retry 1 on the same switch and phones: p50 {percentile(plain, 0.5):.0f} ms (n {len(plain)})"
            if plain
            else "app_queue gave no sample"
        )
    )
    sheet.distribution(
        "dispatch_latency",
        "ms",
        ours,
        note=f"the agent's BYE to the next INVITE at that phone{taken_off}; {stamps}",
        evidence=(beside,),
    )
    sheet.distribution("app_queue_latency", "ms", plain, note="the same of app_queue with retry 1, wrap-up 0")
    ratio = (
        percentile(plain, 0.5) / percentile(ours, 0.5)
        if ours and plain and percentile(ours, 0.5) > 0
        else None
    )
    sheet.value(
        "times_faster",
        "times",
        ratio,
        n=min(len(ours), len(plain)),
        note="ratio of the medians; blocks A B B A",
    )
    for fault in dispatched.faults:
        sheet.note(f"Doubtful: {fault}.")


SLOW, STUCK, DEAF, LATE = (f"queue.dispatch.{word}" for word in ("slow", "stuck", "deaf", "late"))

PROBE = Probe(
    name="queue.dispatch",
    number=21,
    title="An agent who becomes free is rung at once, and hears the caller at once",
    level=Level.LAB,
    needs=frozenset({Need.CONTROL, Need.CAPTURE}),
    seconds=90.0,
    term="dispatch latency; answer to two-way audio",
    reference="own (dispatch); through-connection delay after ITU-T Q.543 (two-way audio)",
    meaning=(
        "Every moment between an agent's hang-up and the next ring is a moment in which a caller waits and an agent sits idle. "
        "A queue that looks around once a second wastes half a second on every call; app_queue runs beside it for comparison."
    ),
    thresholds=(
        Threshold(
            figure="dispatch_latency",
            statistic="p95",
            passes=50.0,
            warns=200.0,
            unit="ms",
            clause="own",
            code=SLOW,
        ),
        Threshold(
            figure="two_way_audio",
            statistic="p95",
            passes=250.0,
            warns=1000.0,
            unit="ms",
            clause="250 own, after the through-connection delay of ITU-T Q.543; 1000 own",
            code=LATE,
        ),
    ),
    explanations=(
        Explanation(
            code=SLOW,
            layer=Layer.DAEMON,
            meaning="An agent became free while callers waited, and their phone rang late.",
            caller_notices="They wait longer than they have to, on every call.",
            causes=(
                "the daemon does not get its turn: the machine is overloaded, or something stops it again and again",
                "each decision waits for a slow disk",
                "the daemon runs with a longer wrap-up than its configuration's file says",
            ),
            confirm="hwtest run meter.timing ctl.link; edge why CALL; compare with app_queue's figure beside it",
            mend="Lighten the machine or mend its disk; reload the daemon after a change of its configuration.",
        ),
        Explanation(
            code=STUCK,
            layer=Layer.DAEMON,
            meaning="Callers waited, agents were signed in and free, and no phone rang.",
            caller_notices="They wait though somebody is free.",
            causes=(
                "the daemon does not run, hangs, or has lost the switch",
                "signing in by the feature code does not work",
                "the switch refuses the calls to the agents' phones",
            ),
            confirm="edge status; edge agents; asterisk -rx 'queue show'; asterisk -rx 'pjsip show contacts'",
            mend="Start the daemon or what it lacks; keep the log of one that hung.",
        ),
        Explanation(
            code=DEAF,
            layer=Layer.SWITCH,
            meaning="The agent answered, and one of the two did not hear the other.",
            caller_notices="An agent who says nothing, or who does not hear them.",
            causes=(
                "the switch did not join the two: no ports for audio left, no codec in common",
                "a firewall or a wrong address stops audio one way",
                "the daemon lost the switch between answer and join",
            ),
            confirm="hwtest run audio.twoway; edge why CALL; asterisk -rx 'bridge show all'",
            mend="Mend codecs, ports or addresses as audio.twoway names them.",
        ),
        Explanation(
            code=LATE,
            layer=Layer.DAEMON,
            meaning="The agent answered, and it took long until both heard each other.",
            caller_notices="The agent's first words are cut off; both say hello twice.",
            causes=(
                "the daemon joins the two late: it is overloaded or waits for the disk",
                "the switch sets up the bridge slowly, or translates between codecs",
            ),
            confirm="hwtest run audio.start ctl.link; edge why CALL",
            mend="Lighten the machine; give both sides the same codec.",
        ),
    ),
    measure=measure,
)

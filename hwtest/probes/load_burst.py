"""Probe 37: a major incident. A hundred people call within a second: is every call taken, and is the order kept?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.core.facts import CallQueued, OfferMade
from edge.ledger.store import open_reader
from hwtest.bench.ledger import entries_after
from hwtest.bench.numbers import comparable
from hwtest.bench.readings import is_new_call, services
from hwtest.capture import Record
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Layer,
    Level,
    Need,
    NotMeasuredError,
    Plot,
    Probe,
    Series,
    Threshold,
)
from hwtest.probes.sheet import Sheet
from hwtest.sipp.room import channels, lab_of, ports_of, queue_line, quiet, serving, wrap_up_seconds
from hwtest.sipp.sessions import REDIRECTED, Session, sessions, statuses, tally
from hwtest.sipp.traffic import QUEUE_CALLER, Outcome, Traffic, load, program
from hwtest.site import Site, whole
from hwtest.useragent import answering

CALLS = 100
SECONDS = 1.0
MOST_AGENTS = 4
TALK_SECONDS = 0.5
"""Longer than a loaded machine takes to join caller and agent: a call that ends before is offered again."""
PATIENCE_SECONDS = 60.0
SETTLE_SECONDS = 5.0
_NANOSECONDS = 1e9
SAME_MOMENT_NS = 250_000_000
"""Two callers who arrive within this time may join the queue in either order: the switch handles several calls at once, and on
a loaded machine one of them is held up by so much."""
JOINED_TOGETHER_NS = 50_000_000
"""Within the daemon's own record: two who join while two agents are idle are offered at the same moment."""
IN_FLIGHT_NS = 1_000_000_000
"""So long a request to an agent's phone may be on its way on a loaded machine (twice T1): others that were decided later may
ring before it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Of one call, by the daemon's record."""

    joined_ns: int
    offered: int | None = None
    """Place of the first offer in the record."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What the wire and SIPp told of it."""

    found: Sequence[Session]
    records: Sequence[Record]
    agent_ports: Collection[int]
    outcome: Outcome
    decided: Mapping[str, Decision] | None
    """What the daemon decided, by call; None where its record cannot be read."""
    left: int
    """Calls that the switch had when all was over and had not had before."""


async def measure(site: Site, sheet: Sheet) -> None:
    """Agents sign in, a hundred callers come in a second, and each is served."""
    lab, number = lab_of(site), queue_line(site)
    await program(site)
    agents = min(MOST_AGENTS, len(lab.agents))
    if not agents:
        raise NotMeasuredError("the lab has no agents, so nobody can be served", "hwtest lab up --agents 4")
    _refuse_what_cannot_be(agents, wrap_up_seconds(site))
    traffic = Traffic(
        scenario=QUEUE_CALLER,
        calls=CALLS,
        number=number,
        rate=CALLS / SECONDS,
        patience_seconds=PATIENCE_SECONDS,
        limit_seconds=PATIENCE_SECONDS + 15,
    )
    site.say(f"{agents} agents sign in")
    async with (
        site.capture() as capture,
        serving(site, agents, answering(talk_seconds=TALK_SECONDS)) as phones,
    ):
        before, written = await channels(site), _last_entry(site.target.ledger)
        await capture.take()
        async with load(site, sheet, "burst", traffic) as running:
            site.say(f"{CALLS} calls in {SECONDS:g} s, {agents} agents serve them")
            outcome = await running.ended()
        left = max(0, await quiet(site, SETTLE_SECONDS, before) - before)
        taken = await capture.take()
        ports = ports_of(phones)
    decided = decisions(site.target.ledger, written)
    if outcome.trouble:
        raise NotMeasuredError(outcome.trouble, "hwtest run meter.timing")
    records = whole(taken)
    found = sessions(records, {running.port})
    judge(sheet, Burst(found, records, ports, outcome, decided, left))


def _refuse_what_cannot_be(agents: int, wrap_up: float) -> None:
    """Callers whom agents cannot reach for their own wrap-up are no fault of the switch or the daemon."""
    needed = CALLS / agents * (TALK_SECONDS + wrap_up)
    if needed > PATIENCE_SECONDS:
        raise NotMeasuredError(
            f"{agents} agents who wrap up for {wrap_up:g} s after each call need {needed:.0f} s for {CALLS} callers, "
            f"who wait for {PATIENCE_SECONDS:.0f} s",
            f"a lab with hwtest lab up --agents {MOST_AGENTS} --wrap-up 0",
        )


def judge(sheet: Sheet, burst: Burst) -> None:
    """Write down what became of the burst."""
    found, counted = burst.found, tally(burst.found)
    took = (found[-1].invited_ns - found[0].invited_ns) / _NANOSECONDS if found else None
    sheet.value("offered_within", "s", took, n=len(found), note=f"{len(found)} calls, first INVITE to last")
    sheet.share("isa", len(counted.ineffective), counted.requests, evidence=_evidence(counted.ineffective))
    sheet.share("ser", counted.successful, counted.not_redirected, note=f"failed: {statuses(counted.failed)}")
    sheet.share(
        "audio_refused", len(counted.exhausted), counted.requests, evidence=_evidence(counted.exhausted)
    )
    others = [*counted.phone, *counted.refused, *(one for one in found if one.status in REDIRECTED)]
    sheet.share("refused", len(others), counted.requests, note=statuses(others), evidence=_evidence(others))
    answers = [session.answer_seconds for session in found if session.answer_seconds is not None]
    sheet.distribution("answer_delay", "s", answers, uncertainty=0.0001, note="INVITE to its 200")
    served = services(burst.records, burst.agent_ports)
    reached = {who for who, _ in served}
    waiting = [session for session in found if session.succeeded]
    unserved = [session for session in waiting if comparable(session.number) not in reached]
    if counted.exhausted:
        sheet.share(
            "unserved_without_ports",
            len(unserved),
            len(waiting),
            note="not judged: without audio ports nobody can be joined to an agent either",
        )
    else:
        sheet.share("unserved", len(unserved), len(waiting), evidence=_evidence(unserved))
    _judge_order(sheet, burst, waiting, served)
    sheet.value(
        "left_behind",
        "calls",
        float(burst.left),
        note="channels that the switch still had 5 s later, and had not had before",
    )
    repeated = sum(session.repeated for session in found)
    sheet.value("repeated", "messages", float(repeated), note="sent again; not judged on a loaded machine")
    _plot(sheet, found, served)
    if burst.outcome.asked is not None and len(found) < burst.outcome.asked:
        raise NotMeasuredError(
            f"SIPp offered {len(found)} of {burst.outcome.asked} calls",
            "hwtest run meter.timing meter.capture",
        )


def _judge_order(
    sheet: Sheet, burst: Burst, waiting: Sequence[Session], served: Sequence[tuple[str, int]]
) -> None:
    arrived = [(comparable(session.number), session.invited_ns) for session in waiting]
    rung = dict[str, int]()
    for who, instant in served:
        rung.setdefault(who, instant)
    without = fallback(burst, set(rung) & {who for who, _ in arrived})
    sheet.share(
        "served_by_fallback",
        len(without),
        len(rung),
        note="agents' phones were rung for them by the switch's own queue, not by the daemon",
    )
    if without:
        sheet.note("the switch's own queue keeps order to within a few places, so order was not judged here")
        return
    wire = out_of_turn(arrived, rung, IN_FLIGHT_NS)
    sheet.value(
        "out_of_turn",
        "callers",
        float(len(wire)),
        n=len(rung),
        note="by the wire: rang an agent more than 1 s after somebody who had called more than 250 ms later",
        evidence=[_told(one) for one in wire[:3]],
    )
    if burst.decided is None:
        sheet.note("the daemon's record cannot be read here: in which order it decided was not compared")
        return
    joined = sorted(burst.decided.items(), key=lambda item: item[1].joined_ns)
    decided = out_of_turn(
        [(call, decision.joined_ns) for call, decision in joined],
        {call: decision.offered for call, decision in joined if decision.offered is not None},
        0,
        same_moment_ns=JOINED_TOGETHER_NS,
    )
    sheet.value(
        "decided_out_of_turn",
        "callers",
        float(len(decided)),
        n=len(joined),
        note="by the daemon's record: offered to an agent after somebody who had joined more than 50 ms later",
        evidence=[_told(one) for one in decided[:3]],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtaken:
    """Somebody who had to wait for a caller who had called clearly later. Places are of the order of arrival, from 1."""

    place: int
    by: int
    later_seconds: float
    """So much later the other had called."""


def out_of_turn(
    arrived: Sequence[tuple[str, int]],
    served: Mapping[str, int],
    within: int,
    same_moment_ns: int = SAME_MOMENT_NS,
) -> list[Overtaken]:
    """Who was overtaken, and by whom first; served up to `within` later is no overtaking.

    `arrived`: who and when, in nanoseconds; `served`: in which order, or when; who is not in it does not count.
    """
    known = [(place, served[who], came) for place, (who, came) in enumerate(arrived, 1) if who in served]
    wrong = list[Overtaken]()
    for place, turn, came in known:
        before = [
            (other_turn, other_place, other_came)
            for other_place, other_turn, other_came in known
            if other_came > came + same_moment_ns and other_turn < turn - within
        ]
        if before:
            _, other_place, other_came = min(before)
            wrong.append(
                Overtaken(place=place, by=other_place, later_seconds=(other_came - came) / _NANOSECONDS)
            )
    return wrong


def fallback(burst: Burst, callers: Collection[str]) -> set[str]:
    """Callers for whom no agent's phone was ever rung by the daemon: its requests carry its own name of the call."""
    to_agents = [record for record in burst.records if is_new_call(record, burst.agent_ports)]
    ours = {comparable(record.from_user) for record in to_agents if record.edge_call is not None}
    return set(callers) - ours


def _told(one: Overtaken) -> Evidence:
    return Evidence(
        text=f"caller {one.place} was overtaken by caller {one.by}, who had called {one.later_seconds:.2f} s later"
    )


def decisions(ledger: str | None, after: int) -> dict[str, Decision] | None:
    """When each call joined and in which order they were offered to agents, by the daemon's record. None without one."""
    if ledger is None:
        return None
    reader = open_reader(ledger)
    try:
        made = dict[str, Decision]()
        for entry in entries_after(reader, after):
            fact = entry.fact
            if isinstance(fact, CallQueued):
                made.setdefault(fact.call_id, Decision(fact.queued_at.monotonic_ns))
            elif isinstance(fact, OfferMade) and fact.call_id in made and made[fact.call_id].offered is None:
                made[fact.call_id] = replace(made[fact.call_id], offered=entry.sequence)
        return made
    finally:
        reader.close()


def _last_entry(ledger: str | None) -> int:
    if ledger is None:
        return 0
    reader = open_reader(ledger)
    try:
        return reader.last_sequence()
    finally:
        reader.close()


def _evidence(found: Sequence[Session]) -> list[Evidence]:
    return [
        Evidence(text=f"a call ended {statuses([session])}", call_id=session.call_id) for session in found[:3]
    ]


def _plot(sheet: Sheet, found: Sequence[Session], served: Sequence[tuple[str, int]]) -> None:
    if not found:
        return
    start = found[0].invited_ns

    def counted(instants: Sequence[int]) -> tuple[tuple[float, float], ...]:
        return tuple(
            ((instant - start) / _NANOSECONDS, float(place))
            for place, instant in enumerate(sorted(instants), 1)
        )

    first = dict[str, int]()
    for who, instant in served:
        first.setdefault(who, instant)
    sheet.plot(
        Plot(
            title="Callers of a major incident",
            x_label="seconds since the first call",
            y_label="callers",
            series=(
                Series(name="called", points=counted([session.invited_ns for session in found])),
                Series(
                    name="answered",
                    points=counted(
                        [session.final_ns for session in found if session.succeeded and session.final_ns]
                    ),
                ),
                Series(name="with an agent", points=counted(list(first.values()))),
            ),
        )
    )


PROBE = Probe(
    name="load.burst",
    number=37,
    title="A hundred people call within a second",
    level=Level.LAB,
    needs=frozenset({Need.SIPP, Need.CAPTURE, Need.CONTROL}),
    seconds=40.0,
    term="ineffective session attempts (ISA) and order of service under a burst",
    reference="RFC 6076 §4.8; order: own",
    meaning=(
        "After a crash on the motorway everybody who sees it calls. The appliance must take every one of these calls at once "
        "and serve them in the order in which they came; a call that is refused then is a call for help that was lost."
    ),
    thresholds=(
        Threshold(
            figure="offered_within",
            statistic="value",
            passes=1.5,
            warns=60.0,
            unit="s",
            clause="own: slower than this it was no burst",
            code="load.burst.meter",
        ),
        Threshold(
            figure="isa",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own, of RFC 6076 §4.8: none",
            code="load.burst.ineffective",
        ),
        Threshold(
            figure="audio_refused",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own: what was taken once is taken again",
            code="load.burst.audio",
        ),
        Threshold(
            figure="refused",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own, of RFC 6076 §4.6: none",
            code="load.burst.refused",
        ),
        Threshold(
            figure="answer_delay",
            statistic="p95",
            passes=1.0,
            warns=6.0,
            unit="s",
            clause="1 own; 6 is ITU-T E.721 table 2, local calls, 95 %",
            code="load.burst.slow",
        ),
        Threshold(
            figure="unserved",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="%",
            clause="own: everybody who waits reaches an agent",
            code="load.burst.unserved",
        ),
        Threshold(
            figure="served_by_fallback",
            statistic="value",
            passes=0.0,
            warns=100.0,
            unit="%",
            clause="own: served all the same, hence a warning",
            code="load.burst.fallback",
        ),
        Threshold(
            figure="out_of_turn",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="callers",
            clause="own: who called first is served first",
            code="load.burst.order",
        ),
        Threshold(
            figure="decided_out_of_turn",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="callers",
            clause="own: who called first is offered first",
            code="load.burst.order",
        ),
        Threshold(
            figure="left_behind",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="calls",
            clause="own: none",
            code="load.burst.left",
        ),
    ),
    explanations=(
        Explanation(
            code="load.burst.meter",
            layer=Layer.METER,
            meaning="This machine could not place the calls as fast as it should: what was measured was no burst.",
            caller_notices="Nothing: it is the measurement that falls short.",
            causes=(
                "this machine was busy with something else",
                "it has too few processors to load and to serve at once",
            ),
            confirm="hwtest run meter.timing; look at the load beside the result",
            mend="Stop what else runs here, or run hwtest on another machine; then repeat it.",
        ),
        Explanation(
            code="load.burst.ineffective",
            layer=Layer.SWITCH,
            meaning="The switch could not handle some calls of the burst: 408, 500, 503, 504, or no final answer.",
            caller_notices="The call is not put through, at the very moment at which everybody needs help.",
            causes=(
                "file descriptors run out (maxfiles)",
                "each call looks up a name that does not resolve, and the switch is busy waiting",
                "a limit of calls on the trunk (device_state, max_audio_streams, call-limit of the provider)",
            ),
            confirm="the switch's log/messages at that time; asterisk -rx 'rtp show settings'; 'core show taskprocessors'",
            mend="Raise maxfiles in asterisk.conf, give the host its name in /etc/hosts; then repeat it.",
        ),
        Explanation(
            code="load.burst.audio",
            layer=Layer.SWITCH,
            meaning="The switch refused the audio of some calls (488) and took the same from others: it had no ports left.",
            caller_notices="Some callers are not put through while others are.",
            causes=(
                "the RTP port range is too small: each call takes two ports, with its agent four",
                "ports stay taken by calls that have ended",
                "another program holds ports of that range",
            ),
            confirm="the switch's log/messages: 'No RTP ports remaining'; asterisk -rx 'rtp show settings'; ss -lun",
            mend="Widen rtpstart to rtpend in rtp.conf to four ports for each call at once, and reload res_rtp_asterisk.",
        ),
        Explanation(
            code="load.burst.refused",
            layer=Layer.DIALPLAN,
            meaning="The switch understood some calls of the burst and refused them.",
            caller_notices="Engaged tone, or an announcement.",
            causes=(
                "a limit in the dialplan or in the daemon's policy: the queue counts as full",
                "the line is not in the dialplan that callers reach",
            ),
            confirm="edge why CALL for one of the Call-IDs; asterisk -rx 'dialplan show'",
            mend="Raise the limit; overflow belongs to a message and another queue, never to a refusal.",
        ),
        Explanation(
            code="load.burst.slow",
            layer=Layer.SWITCH,
            meaning="Calls of the burst were answered late.",
            caller_notices="Silence after dialling, for a second or more.",
            causes=(
                "the switch's task processors queue up",
                "the daemon answers calls one after the other and something slow stands between them (disk, name look-up)",
                "this machine is loaded by the test itself: compare with the load beside the result",
            ),
            confirm="asterisk -rx 'core show taskprocessors'; edge top meanwhile",
            mend="Give the appliance more processors, or take from it what else runs there.",
        ),
        Explanation(
            code="load.burst.unserved",
            layer=Layer.DAEMON,
            meaning="Some callers were answered and never reached an agent, though agents served callers all the time.",
            caller_notices="Waiting without end while others are served.",
            causes=(
                "the daemon lost sight of a call: an event of the switch was missed under load",
                "the control link was cut because the daemon read too slowly",
                "agents' phones refused calls, or the switch had no audio ports left for their legs",
            ),
            confirm="edge why CALL; edge gaps; the daemon's log at that time",
            mend="See in edge gaps whether the link was cut; else report the call's story (edge call).",
        ),
        Explanation(
            code="load.burst.fallback",
            layer=Layer.DAEMON,
            meaning="The daemon was too late for some callers, and the switch's own queue brought them to agents.",
            caller_notices="Little: they were served, in order to within a few places, without the policy's finer points.",
            causes=(
                "the machine is too busy for daemon, switch and this test together: see the load beside the result",
                "commits to the record are slow: the disk",
                "the control link was cut meanwhile",
            ),
            confirm="edge gaps; the daemon's log at that time; hwtest run meter.timing",
            mend="Repeat it on a quiet machine; if it stays, give the appliance more processors and its ledger a fast disk.",
        ),
        Explanation(
            code="load.burst.order",
            layer=Layer.DAEMON,
            meaning="Somebody was served after a caller who had clearly called later.",
            caller_notices="Others who called later are helped first.",
            causes=(
                "events of the switch were handled in another order than they came",
                "priorities differ: a caller's class or known number puts them first, which is meant",
                "an agent did not take a call, and the next caller was offered to another",
            ),
            confirm="edge why CALL for both calls",
            mend="If edge why shows no reason for it, report both calls; otherwise the policy does what it says.",
        ),
        Explanation(
            code="load.burst.left",
            layer=Layer.SWITCH,
            meaning="Calls stay in the switch although everybody has hung up.",
            caller_notices="Nothing at first; after some bursts no new call is taken.",
            causes=(
                "a call that the switch was moving from one place to another when it ended",
                "channels that were never hung up",
                "a BYE that was lost and not sent again",
            ),
            confirm="asterisk -rx 'core show channels verbose'",
            mend="asterisk -rx 'channel request hangup CHANNEL' for each; those that stay go with its next restart.",
        ),
    ),
    measure=measure,
)

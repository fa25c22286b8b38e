"""Probe 22: an agent's phone refuses, rings in vain, says nothing, or is unplugged. Who is rung next, when, and for whom?"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hwtest.audio.prompt import document_of, line_of
from hwtest.desks import Desk, Room, desks, lab_of
from hwtest.ladder import Leg, ladder_of
from hwtest.probes.contract import (
    Evidence,
    Explanation,
    Ladder,
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
from hwtest.useragent import CallEnded, CallState, OutgoingCall, ignoring, rejecting
from hwtest.useragent.call import IncomingCall

LINE = "101_no_greeting"
REJECTS, RINGS_OUT, IGNORES, UNPLUGGED = "rejects", "rings in vain", "says nothing", "is unplugged"
BUSY = 486
RING_BEFORE_REFUSAL_SECONDS = 0.5
UNREACHABLE_SECONDS = 3.0
"""What the daemon takes where the configuration does not say."""
OFFER_SECONDS = 15.0
OFFER_SECONDS_999 = 4.0
ANSWER_SECONDS = 8.0
LATE_SECONDS = 8.0
"""So much longer than it should take the next ring is waited for."""
TALK_SECONDS = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One caller, one phone that does not answer, and the phone beside it."""

    fate: str
    next_rung: float | None
    """Seconds from the instant at which the first phone was to be given up until the next rang; None: it did not."""
    rang: float | None = None
    """How long the first phone rang, where it rang in vain."""
    wanted_ring: float | None = None
    """How long it should have, by the configuration."""
    kept: bool
    """Whether the next ring was for the same caller, who was on the line all the time."""
    call_id: str = ""


async def measure(site: Site, sheet: Sheet) -> None:
    """Each fate once, with another phone free; then one refusal with somebody waiting behind."""
    lab = lab_of(site, "queue.noanswer")
    document = document_of(lab)
    async with desks(site, 4, "queue.noanswer") as room:
        bad_by_fate = zip((REJECTS, IGNORES, UNPLUGGED, RINGS_OUT), (0, 1, 2, 0), strict=True)
        trials = list[Trial]()
        for fate, index in bad_by_fate:
            site.say(f"a phone that {fate}")
            trial, ladder = await _trial(room, document, fate, room.desks[index])
            trials.append(trial)
            sheet.ladder(ladder)
        site.say("a refusal with somebody behind")
        kept = await _refused_with_somebody_behind(room)
    judge(sheet, trials, kept_in_front=kept)


async def _trial(room: Room, document: dict[str, Any], fate: str, bad: Desk) -> tuple[Trial, Ladder]:
    good = room.desks[3]
    bad.treat = {
        REJECTS: rejecting(BUSY, RING_BEFORE_REFUSAL_SECONDS),
        IGNORES: ignoring,
    }.get(fate, _ring)
    good.treat = _ring
    await room.sign_in(bad)
    await room.sign_in(good)  # has been idle for a shorter time: is rung second
    if fate == UNPLUGGED:
        await bad.unplug()
    try:
        call = await room.call(LINE)
        first = None if fate == UNPLUGGED else await _rung(bad, ANSWER_SECONDS)
        patience = ring_seconds(document) if fate == RINGS_OUT else unreachable_seconds(document)
        second = await _rung(good, patience + LATE_SECONDS)
        if fate == RINGS_OUT and first is not None and second is not None:
            with contextlib.suppress(TimeoutError):
                await first.ended(ANSWER_SECONDS)  # its CANCEL and the next INVITE are on their way at once
        trial = trial_of(fate, call, first, second, document, same=_same(room, second, call))
        legs = [
            Leg("caller", call),
            *(Leg(name, leg) for name, leg in (("first phone", first), ("next phone", second)) if leg),
        ]
        await _serve(second, call)
    finally:
        if fate == UNPLUGGED:
            await bad.plug_in()
        await room.sign_out(bad)
        await room.sign_out(good)
    return trial, ladder_of(f"The first phone {fate}, times in milliseconds", legs)


async def _ring(call: IncomingCall) -> None:
    call.ring()


async def _rung(desk: Desk, within_seconds: float) -> IncomingCall | None:
    try:
        return await desk.rung(within_seconds)
    except TimeoutError:
        return None


def _same(room: Room, second: IncomingCall | None, call: OutgoingCall) -> bool:
    return second is not None and room.caller_of(second) is call and call.state is not CallState.ENDED


async def _serve(offer: IncomingCall | None, call: OutgoingCall) -> None:
    if offer is not None:
        try:
            offer.answer()
            await offer.lasts(TALK_SECONDS)
        except CallEnded:
            pass
    for leg in (call, offer):
        if leg is not None and leg.state is not CallState.ENDED:
            await leg.hang_up()


def ring_seconds(document: dict[str, Any]) -> float:
    """How long a phone rings for a caller of this line, by the configuration's file."""
    name = line_of(document, LINE).get("queue", "")
    lines = document.get("line", {}).values()
    emergency = any(line.get("queue") == name and line.get("tier") == "999" for line in lines)
    default = OFFER_SECONDS_999 if emergency else OFFER_SECONDS
    return float(document.get("queue", {}).get(name, {}).get("offer_seconds", default))


def unreachable_seconds(document: dict[str, Any]) -> float:
    """After how long a phone that says nothing is given up, by the configuration's file."""
    return float(document.get("timing", {}).get("unreachable_seconds", UNREACHABLE_SECONDS))


def trial_of(
    fate: str,
    call: OutgoingCall,
    first: IncomingCall | None,
    second: IncomingCall | None,
    document: dict[str, Any],
    *,
    same: bool,
) -> Trial:
    """From the stamps of the three legs."""

    def at(leg: OutgoingCall | IncomingCall | None, label: str, method: str | None = None) -> float | None:
        stamp = leg.stamp_of(label, method) if leg is not None else None
        return None if stamp is None else stamp.monotonic_ns / 1e9

    began = at(first, "INVITE") if first is not None else at(call, "INVITE")
    if fate != UNPLUGGED and first is None:
        raise NotMeasuredError(
            f"the phone that {fate} was not rung, so nothing is known of what comes after it",
            "hwtest run queue.dispatch queue.order --lab",
        )
    given_up, rang = None, None
    if fate == REJECTS:
        given_up = at(first, str(BUSY))
    elif fate == RINGS_OUT:
        cancelled = at(first, "CANCEL")
        rang = None if cancelled is None or began is None else cancelled - began
        given_up = cancelled if cancelled is not None or began is None else began + ring_seconds(document)
    elif began is not None:
        given_up = began + unreachable_seconds(document)
    rings = at(second, "INVITE")
    return Trial(
        fate=fate,
        next_rung=None if rings is None or given_up is None else max(0.0, rings - given_up),
        rang=rang,
        wanted_ring=ring_seconds(document) if fate == RINGS_OUT else None,
        kept=same,
        call_id=call.dialog.call_id,
    )


async def _refused_with_somebody_behind(room: Room) -> bool | None:
    """Whether the refused caller is first again, before who joined later; None where nobody was rung."""
    bad, good = room.desks[0], room.desks[3]  # who said nothing may still hold that call
    bad.treat = rejecting(BUSY, RING_BEFORE_REFUSAL_SECONDS)
    calls = list[OutgoingCall]()
    for _ in range(2):
        calls.append(call := await room.call(LINE))
        await call.answered(ANSWER_SECONDS)
    await room.sign_in(bad)
    refused = await _rung(bad, ANSWER_SECONDS + LATE_SECONDS)
    if refused is None:
        return None
    bad.treat = _ring
    await refused.ended(ANSWER_SECONDS)
    await room.sign_in(good)
    await _rung(good, ANSWER_SECONDS)
    again = [offer for offer in (*bad.calls, *good.calls) if _rang_at(offer) > _rang_at(refused)]
    first = min(again, key=_rang_at, default=None)  # who refused may be asked again before the other is there
    kept = None if first is None else room.caller_of(first) is room.caller_of(refused) is calls[0]
    for call in calls:
        await call.hang_up()
    return kept


def _rang_at(offer: IncomingCall) -> int:
    stamp = offer.stamp_of("INVITE", direction="received")
    return 0 if stamp is None else stamp.monotonic_ns


def judge(sheet: Sheet, trials: Sequence[Trial], *, kept_in_front: bool | None) -> None:
    """Figures and findings."""
    told = [Evidence(text=f"the phone that {trial.fate}", call_id=trial.call_id) for trial in trials]
    delays = [trial.next_rung for trial in trials if trial.next_rung is not None]
    each = ", ".join(
        f"{trial.fate}: {'never' if trial.next_rung is None else f'{trial.next_rung:.3f} s'}"
        for trial in trials
    )
    sheet.distribution(
        "next_rung",
        "s",
        delays,
        uncertainty=0.005,
        note=f"from the instant at which the first phone is given up to the next INVITE; {each}",
        evidence=told,
    )
    for trial, evidence in zip(trials, told, strict=True):
        if trial.next_rung is None:
            words = f"a phone {trial.fate}, and the free phone beside it was not rung"
            sheet.find(STUCK, Verdict.FAIL, words, evidence)
        elif not trial.kept:
            sheet.find(
                LOST,
                Verdict.FAIL,
                f"a phone {trial.fate}, and the next ring was not for the same caller",
                evidence,
            )
        if trial.rang is not None and trial.wanted_ring is not None:
            sheet.value(
                "ring_time_off",
                "s",
                abs(trial.rang - trial.wanted_ring),
                uncertainty=0.005,
                note=f"rang for {trial.rang:.2f} s, {trial.wanted_ring:g} s by the configuration",
                evidence=(evidence,),
            )
    lost = None if kept_in_front is None else int(not kept_in_front)
    sheet.value(
        "places_lost",
        "callers",
        lost,
        n=2,
        note="after a refusal, with somebody waiting behind" if lost is not None else "nobody was rung",
        evidence=(Evidence(text="two callers, the first of whom was refused once"),),
    )


SLOW, STUCK, LOST, RING_TIME, PLACE = (
    f"queue.noanswer.{word}" for word in ("slow", "stuck", "lost", "ring-time", "place")
)


PROBE = Probe(
    name="queue.noanswer",
    number=22,
    title="A phone that does not answer costs the caller nothing but the ring",
    level=Level.LAB,
    needs=frozenset({Need.CONTROL}),
    seconds=45.0,
    term="re-offer after refusal, no answer and unreachable phone",
    reference="own",
    meaning=(
        "Agents leave their desks, phones are switched off. The caller must not notice: the next free phone rings, and their "
        "place is kept."
    ),
    thresholds=(
        Threshold(
            figure="next_rung", statistic="max", passes=1.0, warns=2.0, unit="s", clause="own", code=SLOW
        ),
        Threshold(
            figure="ring_time_off",
            statistic="value",
            passes=0.5,
            warns=1.0,
            unit="s",
            clause="own; offer_seconds of the queue",
            code=RING_TIME,
        ),
        Threshold(
            figure="places_lost",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="callers",
            clause="own; who is refused keeps the time of joining",
            code=PLACE,
        ),
    ),
    explanations=(
        Explanation(
            code=SLOW,
            layer=Layer.DAEMON,
            meaning="A phone was given up, another was free, and it rang late.",
            caller_notices="They wait longer each time that an agent does not answer.",
            causes=(
                "the daemon is overloaded or stopped again and again",
                "the daemon runs with a longer unreachable_seconds than its configuration's file says",
                "the free agent was resting after a refusal of their own",
            ),
            confirm="look at the ladder; edge why CALL; edge agents",
            mend="Lighten the machine; reload the daemon after a change of [timing].",
        ),
        Explanation(
            code=STUCK,
            layer=Layer.DAEMON,
            meaning="A phone did not answer, another was free, and nobody was rung any more.",
            caller_notices="They wait for ever behind one phone that is broken.",
            causes=(
                "the daemon hangs or has lost the switch",
                "the free agent counts as busy, not ready or unavailable",
                "the switch's own queue serves, which tries the same phone again first",
            ),
            confirm="edge why CALL; edge agents; asterisk -rx 'queue show'",
            mend="Restart a daemon that hangs, keeping its log; set the agent ready.",
        ),
        Explanation(
            code=LOST,
            layer=Layer.DAEMON,
            meaning="After a phone had not answered, the next ring was for somebody else, or the caller's call had ended.",
            caller_notices="They are cut off or overtaken because an agent did not pick up.",
            causes=(
                "the call was ended with the offer",
                "somebody of a higher class or a 999 called meanwhile, beside the test",
            ),
            confirm="edge why CALL; look at the end of the ladder",
            mend="Test when nobody else calls; otherwise keep the ledger and report it.",
        ),
        Explanation(
            code=RING_TIME,
            layer=Layer.DAEMON,
            meaning="The phone of an agent who does not answer rang for another time than the configuration's file says.",
            caller_notices="Too short: calls go round before anybody can answer. Too long: they wait behind an empty desk.",
            causes=(
                "the daemon runs with another configuration than the file: it was not reloaded",
                "the phone or the switch gives up by itself before",
                "the switch's own queue serves, with its own time",
            ),
            confirm="edge check; edge why CALL; asterisk -rx 'queue show'",
            mend="Set offer_seconds of the queue and reload the daemon (systemctl reload edge101).",
        ),
        Explanation(
            code=PLACE,
            layer=Layer.DAEMON,
            meaning="Somebody was refused by an agent, and another who had joined later was served before them.",
            caller_notices="They lose their place though they did nothing.",
            causes=(
                "the refused call was put at the end of the queue",
                "the daemon does not serve, and the switch's own queue does",
            ),
            confirm="edge why CALL of both; edge status",
            mend="Start the daemon if it does not run; otherwise keep the ledger and report it.",
        ),
    ),
    measure=measure,
)

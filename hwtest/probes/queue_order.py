"""Probe 20: callers of mixed priority, one agent. Are they served in the order that the configuration gives?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hwtest.audio.prompt import document_of
from hwtest.desks import Desk, Room, desks, lab_of
from hwtest.policing import Joined, Kind, expected, kinds_of, overtaken
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
from hwtest.useragent import CallEnded, OutgoingCall
from hwtest.useragent.call import IncomingCall

CALLERS = 10
APART_SECONDS = 0.15
"""Between two who join: far more than the order of two messages on the wire can be in doubt."""
TIE_SECONDS = 0.05
ANSWER_SECONDS = 8.0
RING_SECONDS = 12.0
"""From an agent's hang-up until the next caller rings: wrap-up is ended by `ready`, as an agent does it."""
TALK_SECONDS = 0.2
READY_EVERY_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What became of all of them."""

    joined: Sequence[Joined]
    served: Sequence[str]
    """Who, in order; each once."""
    repeated: int
    """How often a phone rang for somebody who had been served already, or whom nobody knows."""
    by_switch: int
    """How many of those calls the switch's own queue sent, and not the daemon."""
    lost: int
    """Callers whose calls ended before an agent had them."""


async def measure(site: Site, sheet: Sheet) -> None:
    """Let ten callers join, then one agent serve them all."""
    lab = lab_of(site, "queue.order")
    async with desks(site, 1, "queue.order") as room:
        desk = room.desks[0]
        kinds = kinds_of(document_of(lab), desk.agent.skills)
        if len(kinds) < 2:
            raise NotMeasuredError(
                "the lab has but one sort of caller that its first agent may serve, so there is no order to look at",
                f"hwtest lab up --dir {lab.directory} without a policy, or with a line of 999",
            )
        joined, calls = await _join(site, room, kinds)
        await room.sign_in(desk)
        service = await _serve(site, room, desk, joined, calls)
    judge(sheet, service)


async def _join(site: Site, room: Room, kinds: Sequence[Kind]) -> tuple[list[Joined], list[OutgoingCall]]:
    """Each caller when the one before has a place; every sort comes, in the order of the dice."""
    order = [kinds[index % len(kinds)] for index in range(CALLERS)]
    site.dice.shuffle(order)
    joined, calls = list[Joined](), list[OutgoingCall]()
    for number, kind in enumerate(order, 1):
        site.say(f"caller {number} of {CALLERS}: {kind.words}")
        call = await room.call(kind.line)
        try:
            await (call.ringing if kind.emergency else call.answered)(ANSWER_SECONDS)
        except (CallEnded, TimeoutError) as error:
            raise NotMeasuredError(
                f"a caller of line {kind.line} got no place: {error or 'no answer in time'}",
                "hwtest run queue.greet call.one",
            ) from None
        invite = call.stamp_of("INVITE", direction="sent")
        assert invite is not None, "a call has an INVITE"
        joined.append(Joined(who=room.number_of(call), kind=kind, at=invite.monotonic_ns / 1e9))
        calls.append(call)
        await asyncio.sleep(APART_SECONDS)
    return joined, calls


async def _serve(
    site: Site, room: Room, desk: Desk, joined: Sequence[Joined], calls: Sequence[OutgoingCall]
) -> Service:
    served, repeated, by_switch = list[str](), 0, 0
    known = {caller.who for caller in joined}
    while len(served) < len(joined) and repeated <= len(joined):
        try:
            offer = await _next_offer(room, desk, first=not served)
        except TimeoutError:
            break
        caller = room.caller_of(offer)
        who = room.number_of(caller) if caller is not None else ""
        by_switch += offer.header("X-Edge-Call") is None
        if who in known and who not in served:
            served.append(who)
        else:
            repeated += 1
        site.say(f"{len(served)} of {len(joined)} served")
        await _talk(offer)
    places = [joined.index(caller) for caller in joined if caller.who not in served]
    lost = sum(calls[place].ended_by == "remote" for place in places)
    return Service(joined=joined, served=served, repeated=repeated, by_switch=by_switch, lost=lost)


async def _next_offer(room: Room, desk: Desk, *, first: bool) -> IncomingCall:
    """The next call at the phone; meanwhile the agent says again and again that the wrap-up is over."""
    async with asyncio.timeout(RING_SECONDS):
        while True:
            try:
                return await desk.rung(READY_EVERY_SECONDS if not first else RING_SECONDS)
            except TimeoutError:
                await room.ready(desk)


async def _talk(offer: IncomingCall) -> None:
    try:
        offer.answer()
        await offer.until(lambda: offer.acknowledged, ANSWER_SECONDS)
        await offer.lasts(TALK_SECONDS)
        await offer.hang_up()
    except CallEnded:
        return  # the other side was faster: it counts as served, and what it means stands in the figures


def judge(sheet: Sheet, service: Service) -> None:
    """Figures and findings."""
    faults = overtaken(service.joined, service.served, TIE_SECONDS)
    places = {caller.who: place for place, caller in enumerate(service.joined, 1)}
    by_name = {caller.who: caller for caller in service.joined}

    def in_words(who: str) -> str:
        return f"{places[who]} ({by_name[who].kind.words})"

    wanted = ", ".join(in_words(caller.who) for caller in expected(service.joined))
    seen = ", ".join(in_words(who) for who in service.served) or "nobody"
    sheet.note(f"By the place at which they joined: expected {wanted}; served {seen}.")
    orders = Evidence(text=f"by the place at which they joined: expected {wanted}; served {seen}")
    sheet.value(
        "place_errors",
        "callers",
        len(faults) if service.served else None,
        n=len(service.joined),
        note=f"{len({caller.kind for caller in service.joined})} sorts of callers, one agent",
        evidence=(
            orders,
            *(
                Evidence(text=f"{in_words(early.who)} was served before {in_words(passed.who)}")
                for early, passed in faults[:3]
            ),
        ),
    )
    sheet.value("rung_again", "calls", service.repeated, n=len(service.served), evidence=(orders,))
    missing = len(service.joined) - len(service.served)
    if missing:
        ended = f", the switch had ended the calls of {service.lost}" if service.lost else ""
        sheet.find(
            LEFT, Verdict.FAIL, f"{missing} of {len(service.joined)} callers were not served{ended}", orders
        )
    if service.by_switch:
        words = f"{service.by_switch} of {len(service.served)} calls came from the switch's own queue, not from the daemon"
        sheet.find(FALLBACK, Verdict.FAIL, words, orders)


OVERTAKEN, AGAIN, LEFT, FALLBACK = (
    f"queue.order.{word}" for word in ("overtaken", "again", "left", "fallback")
)


PROBE = Probe(
    name="queue.order",
    number=20,
    title="Callers are served in the order that the configuration gives",
    level=Level.LAB,
    needs=frozenset({Need.CONTROL}),
    seconds=20.0,
    term="order of service under priority",
    reference="own; 999 before all others, then by time of joining less the head start of the class",
    meaning=(
        "A 999 that waits behind a 101 is the worst fault that a control room can have, and a queue that is not fair cannot "
        "be explained to anybody. The order expected is worked out from the configuration's file, not taken from the daemon."
    ),
    thresholds=(
        Threshold(
            figure="place_errors",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="callers",
            clause="own; the order is exact",
            code=OVERTAKEN,
        ),
        Threshold(
            figure="rung_again",
            statistic="value",
            passes=0.0,
            warns=0.0,
            unit="calls",
            clause="own",
            code=AGAIN,
        ),
    ),
    explanations=(
        Explanation(
            code=OVERTAKEN,
            layer=Layer.DAEMON,
            meaning="Somebody was served before another who should have come first by the configuration.",
            caller_notices="They wait longer than those who called after them; a 999 may be the one who waits.",
            causes=(
                "the daemon runs with another configuration than the file: it was changed and not reloaded",
                "the line has another class or tier than one thinks",
                "the callers' numbers are on the number list, or have called often, and have a head start of their own",
            ),
            confirm="edge check; edge calls --last 10; edge why CALL of both of them",
            mend="Reload the daemon (systemctl reload edge101), or correct line and class in its configuration.",
        ),
        Explanation(
            code=AGAIN,
            layer=Layer.DAEMON,
            meaning="An agent's phone rang for somebody who had been served already, or who never called.",
            caller_notices="Nothing; but an agent answers to nobody while others wait.",
            causes=(
                "people call in this lab beside the test",
                "the daemon holds a call open that has ended",
            ),
            confirm="edge calls --last 20; asterisk -rx 'core show channels concise'",
            mend="Test when nobody else calls; if the switch has no such channel, keep the ledger and report it.",
        ),
        Explanation(
            code=LEFT,
            layer=Layer.DAEMON,
            meaning="An agent was free and ready, callers waited, and no phone rang any more.",
            caller_notices="They wait for ever though somebody is free.",
            causes=(
                "the agent was set not ready, or is still in wrap-up",
                "the daemon hangs, or does not see the agent's phone as free",
                "the callers had hung up or were turned away",
            ),
            confirm="edge agents; edge status; edge why CALL",
            mend="Set the agent ready; restart a daemon that hangs, keeping its log.",
        ),
        Explanation(
            code=FALLBACK,
            layer=Layer.DAEMON,
            meaning="The switch queued callers by itself: the daemon did not serve them.",
            caller_notices="They are served, but classes count for nothing, and no call-back is offered.",
            causes=(
                "the daemon does not run or has lost the switch",
                "the daemon hung, and the switch took its callers back",
            ),
            confirm="edge status; systemctl status edge101; asterisk -rx 'ari show apps'",
            mend="Start the daemon; keep the log of one that hung.",
        ),
    ),
    measure=measure,
)

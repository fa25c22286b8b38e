"""Who is served next and by whom: order of joining, classes, skills, offers that are refused."""

from __future__ import annotations

from edge.core import facts
from edge.core.model import AgentState, CallState, OfferOutcome
from hwtest.useragent import IncomingCall, answering, ignoring, rejecting
from tests.live.room import Room

LINE = "101_no_greeting"


async def test_twenty_callers_are_served_in_the_order_of_joining(room: Room) -> None:
    """One agent serves 20 waiting callers exactly in the order in which they joined."""
    callers = await room.queue_up(20, LINE)
    ann = await room.agent(1)
    assert [await room.serve(ann) for _ in callers] == callers


async def test_a_class_has_its_head_start_and_999_comes_first(
    room: Room, expected_warnings: list[str]
) -> None:
    """A vulnerable caller with 60 s head start passes those who joined just before; a 999 passes everybody."""
    expected_warnings += ["no 999 agent", "999 unanswered"]
    routine = await room.queue_up(3, LINE)
    [vulnerable] = await room.queue_up(1, "vulnerable")
    [emergency] = await room.queue_up(1, "999")
    ann = await room.agent(1)
    assert [await room.serve(ann) for _ in range(5)] == [emergency, vulnerable, *routine]


async def test_skills_decide_and_relax_with_time(room: Room) -> None:
    """A call that needs Welsh passes an agent without it, until 3 s later its need relaxes."""
    ann = await room.agent(1)
    welsh = room.caller("welsh")
    await room.reaches(welsh, CallState.WAITING)
    call = await ann.offered(6)
    waited = room.record(welsh).offers[0].made_at.since(room.record(welsh).queued_at)
    assert 3.0 <= waited < 3.2
    call.answer()
    await room.reaches(welsh, CallState.TALKING)
    await welsh.hang_up()
    await room.ended(welsh)


async def test_a_skilled_agent_gets_the_call_at_once(room: Room) -> None:
    """With an agent who has Welsh the call waits for no relaxation, however long the other has been idle."""
    await room.agent(1)
    bob = await room.agent(2)
    welsh = room.caller("welsh")
    assert await room.serve(bob, 2) is welsh


async def test_the_agent_who_is_idle_longest_is_offered_first(room: Room) -> None:
    """Three calls one after the other go to three agents in turn, in the order in which they became idle."""
    desks = [await room.agent(index) for index in (3, 1, 4)]
    for desk in [*desks, desks[0]]:
        caller = room.caller(LINE)
        assert await room.serve(desk) is caller


async def test_a_rejected_call_goes_to_another_and_not_back(room: Room) -> None:
    """486 and 603 pass the call on at once; who rejected it is not asked again while another may take it."""
    ann = await room.agent(1, rejecting(486, after_seconds=0.3))
    bob = await room.agent(2, rejecting(603))
    jo = room.caller(LINE)
    await room.until(lambda: (found := room.find(jo)) is not None and len(found.offers) == 2)
    cat = await room.agent(3)
    call = await cat.offered()
    call.answer()
    await room.reaches(jo, CallState.TALKING)
    await call.hang_up()
    record = await room.ended(jo)
    assert [(offer.agent, offer.outcome) for offer in record.offers][:2] == [
        (ann.number, OfferOutcome.REJECTED),
        (bob.number, OfferOutcome.REJECTED),
    ]
    assert record.offers[-1].agent == cat.number


async def test_a_missed_call_goes_to_the_next_agent(room: Room) -> None:
    """A phone that rings unanswered for its 4 s is given up, and the next agent rings; the caller hears nothing of it."""
    ann = await room.agent(1)
    bob = await room.agent(2)
    jo = room.caller(LINE)
    missed = await ann.offered()
    assert await room.serve(bob, 6) is jo
    assert missed.cancelled
    offers = room.record(jo).offers
    assert [offer.outcome for offer in offers] == [OfferOutcome.MISSED, OfferOutcome.ANSWERED]
    assert 3.9 < offers[1].made_at.since(offers[0].made_at) < 4.3


async def test_a_phone_that_sends_nothing_is_unreachable_after_three_seconds(room: Room) -> None:
    """A phone that is switched off costs the caller 3 s, not the time of a ring; it rests, its agent stays signed in."""
    await room.agent(1, ignoring)
    bob = await room.agent(2)
    jo = room.caller(LINE)
    assert await room.serve(bob, 6) is jo
    offers = room.record(jo).offers
    assert [offer.outcome for offer in offers] == [OfferOutcome.UNREACHABLE, OfferOutcome.ANSWERED]
    assert 2.9 < offers[1].made_at.since(offers[0].made_at) < 3.3


async def test_a_phone_that_is_still_clearing_its_last_call_is_rung_again_at_once(room: Room) -> None:
    """486 without a ring from a phone that the switch shows idle: nobody has refused anything, and the caller loses 0.1 s."""
    first, second = await room.queue_up(2, LINE)
    ann = await room.agent(1)
    call = await ann.answers()
    await room.reaches(first, CallState.TALKING)

    async def clear_the_line_first(offer: IncomingCall) -> None:
        ann.phone.behaviour = answering()
        offer.reject(486)

    ann.phone.behaviour = clear_the_line_first
    await first.hang_up()
    await call.ended(5)
    await room.reaches(second, CallState.TALKING)
    crossed, answered = room.record(second).offers
    assert crossed.outcome is OfferOutcome.CROSSED
    assert answered.made_at.since(crossed.made_at) < 0.5


async def test_a_phone_that_vanished_while_talking_leaves_nobody_stuck(room: Room) -> None:
    """An agent's phone loses its power: when the caller hangs up the call has its end and the agent no call."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    await ann.phone.vanish()
    await jo.hang_up()
    await room.ended(jo)
    await room.becomes(ann, AgentState.READY)


async def test_the_first_answer_wins_when_an_offer_is_withdrawn_as_it_is_answered(room: Room) -> None:
    """The first phone answers in the moment when the second begins to ring, and the second answers at once: one of them
    has the caller, the other's leg is over and gives no wrap-up."""

    async def answer_both(call: IncomingCall) -> None:
        ann.calls[0].answer()
        call.answer()

    ann = await room.agent(1)
    bob = await room.agent(2, answer_both)
    jo = room.caller("thorough")
    await room.reaches(jo, CallState.TALKING)
    loser = ann.calls[0] if room.record(jo).agent == bob.number else bob.calls[0]
    await loser.ended(5)
    await jo.hang_up()
    await room.ended(jo)
    assert [fact.agent for fact in room.facts(facts.WrapUpStarted)] == [room.record(jo).agent]


async def test_an_answer_at_the_deadline_of_its_offer(room: Room) -> None:
    """The phone answers as its 4 s run out: it has the caller or the next phone has, and nobody else talks or wraps up."""
    ann = await room.agent(1)
    bob = await room.agent(2, answering())
    jo = room.caller("thorough")
    first = await ann.offered()
    await first.lasts(3.995)
    first.answer()
    await room.reaches(jo, CallState.TALKING)
    others = [call for desk in (ann, bob) for call in desk.calls if room.record(jo).agent != desk.number]
    for call in others:
        await call.ended(3)
    await jo.hang_up()
    await room.ended(jo)
    assert len(room.facts(facts.WrapUpStarted)) == 1

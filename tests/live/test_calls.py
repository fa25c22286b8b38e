"""One call from INVITE to its end, on 101 and on 999, judged from the wire and then compared with the record."""

from __future__ import annotations

import re

import pytest

from edge.core import facts
from edge.core.model import AgentState, CallOutcome, CallState, OfferOutcome, Side, Stage
from hwtest.useragent import CallEnded, IncomingCall, OutgoingCall
from hwtest.useragent import CallState as Wire
from tests.live.room import Desk, Room, milliseconds


async def talk(room: Room, caller: OutgoingCall, desk: Desk) -> IncomingCall:
    """The desk answers this caller, and the record has them talking."""
    call = await desk.answers()
    assert call.caller_number == room.numbers[caller]
    await room.reaches(caller, CallState.TALKING)
    return call


async def test_101_is_answered_at_once_and_hears_greeting_then_music(room: Room) -> None:
    """A 101 caller is answered on arrival, hears the greeting at once and music after it."""
    jo = room.caller("brief", hears=True)
    await jo.answered(5)
    assert milliseconds(jo, "INVITE", jo, "200") < 500
    await jo.until(lambda: jo.leg.level_dbm0 > -40, 3)
    await room.until(lambda: room.facts(facts.AnnouncementEnded), 20)
    assert [fact.completed for fact in room.facts(facts.AnnouncementEnded)] == [True]
    jo.leg.forget_heard()
    await jo.until(lambda: jo.leg.level_dbm0 > -45, 5)
    await jo.hang_up()
    record = await room.ended(jo)
    assert (record.outcome, record.stage, record.side) == (CallOutcome.ABANDONED, Stage.QUEUE, Side.CALLER)


async def test_the_agents_phone_shows_caller_line_class_and_wait(room: Room) -> None:
    """The INVITE to the agent carries the caller's number, line, class and wait, and our call id in a header."""
    ann = await room.agent(1)
    jo = room.caller("101")
    call = await ann.offered()
    record = await room.reaches(jo, CallState.OFFERED)
    assert call.caller_number == room.numbers[jo]
    assert call.caller_name == b"101 standard 0:00"
    shown = {name: call.header(f"X-Edge-{name}") for name in ("Call", "Line", "Class", "Wait")}
    assert shown == {"Call": record.call_id, "Line": "101", "Class": "standard", "Wait": "0"}
    await jo.hang_up()
    await room.ended(jo)


async def test_caller_and_agent_hear_each_other(room: Room) -> None:
    """After the answer each side hears the other's tone, and the caller no music any more."""
    ann = await room.agent(1, tone_hz=600)
    jo = room.caller("101_no_greeting", tone_hz=1000)
    call = await talk(room, jo, ann)
    await jo.until(lambda: jo.leg.hears(600), 3)
    await call.until(lambda: call.leg.hears(1000), 3)
    await call.hang_up()
    await jo.ended(3)


@pytest.mark.parametrize("side", [Side.CALLER, Side.AGENT])
async def test_the_side_that_hangs_up_is_recorded(room: Room, side: Side) -> None:
    """Whoever hangs up, the other leg gets BYE, the record names the side, and with wrap-up 0 the agent is ready."""
    ann = await room.agent(1)
    jo = room.caller("101_no_greeting")
    call = await talk(room, jo, ann)
    first, other = (jo, call) if side is Side.CALLER else (call, jo)
    await first.hang_up()
    await other.ended(3)
    assert other.ended_by == "remote"
    record = await room.ended(jo)
    assert (record.outcome, record.side, record.agent) == (CallOutcome.ANSWERED, side, ann.number)
    assert [(offer.outcome, offer.agent) for offer in record.offers] == [(OfferOutcome.ANSWERED, ann.number)]
    await room.becomes(ann, AgentState.READY)


@pytest.mark.quiet
async def test_an_announcement_never_delays_an_offer(room: Room) -> None:
    """An agent who frees while the next caller's greeting plays is rung within 100 ms, and connected before its end."""
    ann = await room.agent(1, tone_hz=600)
    jo = room.caller("101_no_greeting")
    first = await talk(room, jo, ann)
    flo = room.caller("101", hears=True)
    await flo.answered(5)
    await room.until(lambda: room.facts(facts.AnnouncementStarted))
    await first.hang_up()
    second = await ann.answers()
    assert milliseconds(first, "BYE", second, "INVITE") < 100
    await flo.until(lambda: flo.leg.hears(600), 3)
    assert [fact.completed for fact in room.facts(facts.AnnouncementEnded)] in ([], [False])
    await room.reaches(flo, CallState.TALKING)
    await flo.hang_up()
    await room.ended(flo)


async def test_999_rings_until_an_agent_answers(room: Room) -> None:
    """A 999 caller hears ringing and gets no 200 before the agent's; the phone shows 999."""
    ann = await room.agent(1, tone_hz=600)
    jo = room.caller("999", tone_hz=1000)
    await jo.ringing(3)
    call = await ann.offered()
    assert (jo.state, call.caller_name) == (Wire.RINGING, b"999 standard 0:00")
    assert call.header("X-Edge-Class") == "999"
    call.answer()
    await jo.answered(3)
    assert milliseconds(call, "200", jo, "200") > 0
    await jo.until(lambda: jo.leg.hears(600), 3)
    await call.until(lambda: call.leg.hears(1000), 3)
    record = await room.reaches(jo, CallState.TALKING)
    assert record.answered_by is Side.AGENT
    await jo.hang_up()
    await room.ended(jo)


async def test_999_comes_before_101_callers_who_waited_longer(
    room: Room, expected_warnings: list[str]
) -> None:
    """When the agent frees, a 999 that came last is served first."""
    expected_warnings += ["no 999 agent", "999 unanswered"]
    routine = await room.queue_up(3, "101_no_greeting")
    emergency = room.caller("999")
    await room.reaches(emergency, CallState.WAITING)
    ann = await room.agent(1)
    assert [await room.serve(ann) for _ in range(4)] == [emergency, *routine]


async def test_a_by_agent_line_stays_unanswered_through_missed_offers(room: Room) -> None:
    """Two agents who miss a 999 do not answer it: it rings on, at everybody's phone after 8 s, and is answered by the third."""
    missing = [await room.agent(1), await room.agent(2)]
    jo = room.caller("999")
    await missing[0].offered()
    await missing[1].offered(6)
    cat = await room.agent(3)
    call = await cat.offered(6)
    assert jo.state is Wire.RINGING
    call.answer()
    await jo.answered(3)
    await room.reaches(jo, CallState.TALKING)
    await jo.hang_up()
    record = await room.ended(jo)
    outcomes = [offer.outcome for offer in record.offers]
    assert outcomes[:2] == [OfferOutcome.MISSED, OfferOutcome.MISSED]
    assert set(outcomes[2:]) == {OfferOutcome.ANSWERED, OfferOutcome.WITHDRAWN}


async def test_a_caller_who_hangs_up_while_the_phone_rings_has_abandoned(room: Room) -> None:
    """The agent's phone stops ringing (CANCEL) and the agent is ready again, without wrap-up."""
    ann = await room.agent(1)
    jo = room.caller("101_no_greeting")
    call = await ann.offered()
    await jo.hang_up()
    await call.ended(2)
    assert call.cancelled
    record = await room.ended(jo)
    assert (record.outcome, record.stage) == (CallOutcome.ABANDONED, Stage.RINGING)
    await room.becomes(ann, AgentState.READY)
    assert room.facts(facts.WrapUpStarted) == []


async def test_an_answer_in_the_same_moment_as_the_callers_hang_up(room: Room) -> None:
    """Whichever the switch saw first, the call has one end, both legs are over and the agent is ready."""
    ann = await room.agent(1)
    for caller_first in (True, False):
        jo = room.caller("101_no_greeting")
        await jo.answered(3)
        call = await ann.offered()
        hanging_up = jo.hang_up() if caller_first else None
        call.answer()
        await (hanging_up or jo.hang_up())
        await call.ended(5)
        await room.ended(jo)
        await room.becomes(ann, AgentState.READY)


async def test_a_999_caller_who_gives_up_as_the_agent_answers(room: Room) -> None:
    """The CANCEL of an unanswered caller crosses the agent's answer: one end, nothing left ringing."""
    ann = await room.agent(1)
    jo = room.caller("999")
    call = await ann.offered()
    jo.cancel()
    call.answer()
    await jo.ended(5)
    await call.ended(5)
    await room.ended(jo)
    await room.becomes(ann, AgentState.READY)


def unseen(room: Room) -> bool:
    """Whether the answer was over before it was seen: then the phone has refused the call."""
    return any(fact.outcome is OfferOutcome.REJECTED for fact in room.facts(facts.OfferEnded))


async def test_an_agents_leg_gone_at_the_hand_over_returns_the_caller_to_their_place(room: Room) -> None:
    """An agent who hangs up in the moment of the answer: the caller goes on waiting, first in line, and is served."""
    ann = await room.agent(1)
    bob = await room.desk(2)
    jo = room.caller("101_no_greeting")
    call = await ann.offered()
    later = room.caller("101_no_greeting")
    await later.answered(3)
    call.answer()
    await call.hang_up()
    await room.until(lambda: room.facts(facts.CallReturned, facts.CallConnected) or unseen(room))
    if not room.facts(facts.CallConnected):  # else they were joined for a moment, and the talk is over
        assert room.record(jo).returned_at or unseen(room)
        if unseen(
            room
        ):  # to the daemon she has refused: who is first in line rings again when she has rested
            assert await room.serve(ann) is jo
        else:
            assert (await ann.offered()).caller_number == room.numbers[later]
            await room.sign_in(bob)
            assert await room.serve(bob) is jo
    assert (await room.ended(jo)).side is Side.AGENT
    await later.hang_up()
    await room.ended(later)


async def test_hold_and_resume_are_recorded(room: Room) -> None:
    """The agent's hold gives the caller music and the resume the conversation; both stand in the record."""
    ann = await room.agent(1, tone_hz=600)
    jo = room.caller("101_no_greeting", tone_hz=1000)
    call = await talk(room, jo, ann)
    await jo.until(lambda: jo.leg.hears(600), 3)
    assert await call.hold() == 200
    await room.until(lambda: room.facts(facts.CallHeld))
    jo.leg.forget_heard()
    await jo.until(lambda: jo.leg.level_dbm0 > -45 and not jo.leg.hears(600), 3)
    assert await call.resume() == 200
    await room.until(lambda: room.facts(facts.CallResumed))
    await jo.until(lambda: jo.leg.hears(600), 3)
    await call.hang_up()
    record = await room.ended(jo)
    assert len(record.holds) == 1
    assert record.held_seconds > 0


async def test_edge_call_tells_the_story(room: Room) -> None:
    """`edge call` and `edge why` give the call's steps with their reasons, and no raw fault."""
    ann = await room.agent(1)
    jo = room.caller("101_no_greeting")
    call = await talk(room, jo, ann)
    await call.hang_up()
    record = await room.ended(jo)
    for command in ("call", "why"):
        told = room.live.edge(command, record.call_id)
        assert told.returncode == 0, told.stderr
        assert re.search(rf"\b{ann.number}\b", told.stdout)


@pytest.mark.quiet
async def test_a_fact_time_is_close_to_the_wire(room: Room) -> None:
    """Offer, answer and end stand in the record within 100 ms of the wire."""
    ann = await room.agent(1)
    jo = room.caller("101_no_greeting")
    call = await talk(room, jo, ann)
    await call.hang_up()
    record = await room.ended(jo)
    offer = record.offers[0]
    assert offer.answered_at is not None
    assert record.ended_at is not None
    pairs = (
        (offer.made_at.utc_us, call.stamp_of("INVITE")),
        (offer.answered_at.utc_us, call.stamp_of("200")),
        (record.ended_at.utc_us, call.stamp_of("BYE")),
    )
    for recorded_us, stamp in pairs:
        assert stamp is not None
        assert abs(recorded_us - stamp.utc_ns / 1000) < 100_000
    with pytest.raises(CallEnded):
        await jo.until(lambda: False, 1)

"""Agents at their phones: feature codes, PINs, the command line, registration, wrap-up, phones behind a trunk."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge.core import facts
from edge.core.model import AgentState, CallState, OfferOutcome, PhoneState
from edge.pbx.asterisk.control import AgentControl, connected
from hwtest.useragent import Media, OutgoingCall, UserAgent
from tests.live.conftest import POLICY
from tests.live.room import WITHIN_SECONDS, Desk, Room, until

LINE = "101_no_greeting"
FRAMES_OF_DIGIT = 7
"""Packets that a leg sends for one digit; in the gap after it there are none."""


async def edge(room: Room, *arguments: str) -> str:
    """What `edge …` prints; it must succeed."""
    done = await asyncio.to_thread(room.live.edge, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def dial_with_digits(room: Room, desk: Desk, number: str, *pins: str) -> OutgoingCall:
    """Dial a code that asks for a PIN and press each of `pins` as RFC 4733 digits, one after each question."""
    call = desk.phone.agent.invite(room.uri(number), media=Media("silence"))
    await call.answered(5)
    for pin in pins:
        call.leg.forget_heard()
        await call.until(lambda: call.leg.level_dbm0 > -45, 8)
        call.leg.send_digits(pin + "#")
        spoken = call.leg.sent + FRAMES_OF_DIGIT * (len(pin) + 1)
        await until(lambda spoken=spoken: call.leg.sent >= spoken, 8)  # type: ignore[misc]
    await call.ended(30)
    return call


async def test_the_usual_agent_signs_in_and_out_by_code(room: Room) -> None:
    """*22 alone signs the phone's usual agent in and ready, *23 out; each answers, speaks and hangs up."""
    desk = await room.desk(1)
    signing_in = await desk.dial("*22")
    assert (signing_in.status, signing_in.ended_by) == (200, "remote")
    await room.becomes(desk, AgentState.READY)
    assert room.facts(facts.AgentSignedIn) == [facts.AgentSignedIn(agent="4001", phone="agent1")]
    await desk.dial("*23")
    await room.becomes(desk, AgentState.SIGNED_OUT)


async def test_ready_and_not_ready_by_code(room: Room) -> None:
    """*25 alone, *251 with the first reason and *24: the state follows, and no call comes while not ready."""
    ann = await room.agent(1)
    await ann.dial("*25")
    await room.becomes(ann, AgentState.NOT_READY)
    await ann.dial("*251")
    await room.until(lambda: len(room.facts(facts.AgentBecameNotReady)) == 2)
    assert [fact.reason for fact in room.facts(facts.AgentBecameNotReady)] == ["unspecified", "break"]
    jo = room.caller(LINE)
    await room.reaches(jo, CallState.WAITING)
    assert ann.calls == []
    await ann.dial("*24")
    assert await room.serve(ann) is jo


async def test_an_agent_signs_in_elsewhere_with_the_right_pin(room: Room) -> None:
    """*22<number> and the PIN, pressed during the prompt: the agent moves to that phone, and is rung there."""
    ann = await room.agent(1)
    other = await room.desk(3)
    pin = room.lab.agents[0].pin
    assert pin is not None
    await dial_with_digits(room, other, "*22" + ann.number, pin)
    await room.until(lambda: facts.AgentSignedIn(agent="4001", phone="agent3") in room.facts())
    jo = room.caller(LINE)
    assert await room.serve(other) is jo
    assert (ann.calls, room.record(jo).agent) == ([], "4001")


async def test_three_wrong_pins_sign_nobody_in(room: Room) -> None:
    """A wrong PIN is asked for again; the right one then signs in. Without it nothing changes and the call ends."""
    desk = await room.desk(3)
    pin = room.lab.agents[0].pin
    assert pin is not None
    wrong = f"{(int(pin) + 1) % 10_000:04}"
    await dial_with_digits(room, desk, "*224001", wrong, wrong, wrong)
    assert room.facts(facts.AgentSignedIn) == []
    await dial_with_digits(room, desk, "*224001", wrong, pin)
    await room.until(lambda: facts.AgentSignedIn(agent="4001", phone="agent3") in room.facts())


async def test_one_agent_at_one_phone(room: Room) -> None:
    """Whoever signs in at a phone where another sits signs the other out."""
    ann = await room.agent(1)
    bob = await room.desk(2)
    await edge(room, "agent", "sign-in", bob.number, "--phone", "agent1")
    await room.becomes(ann, AgentState.SIGNED_OUT)
    assert facts.AgentSignedIn(agent=bob.number, phone="agent1") in room.facts()


async def test_the_command_line_does_what_the_codes_do(room: Room) -> None:
    """`edge agent` signs in, sets not ready with a reason, ready, and signs out, seen by the daemon and in `edge agents`."""
    desk = await room.desk(1)
    await edge(room, "agent", "sign-in", desk.number)
    await room.becomes(desk, AgentState.READY)
    await edge(room, "agent", "not-ready", desk.number, "--reason", "training")
    await room.becomes(desk, AgentState.NOT_READY)
    shown = json.loads(await edge(room, "agents", "--json"))
    assert "training" in json.dumps(shown)
    await edge(room, "agent", "ready", desk.number)
    await room.becomes(desk, AgentState.READY)
    await edge(room, "agent", "sign-out", desk.number)
    await room.becomes(desk, AgentState.SIGNED_OUT)


async def test_not_ready_while_the_phone_rings(room: Room) -> None:
    """Who becomes not ready while a call rings loses that call at once: it waits on, and this agent gets no other."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    call = await ann.offered()
    async with connected(
        room.live.configuration
    ) as link:  # as `edge agent not-ready`, which may start slower than it rings
        await AgentControl(link, room.live.configuration).not_ready(ann.number)
    await call.ended(WITHIN_SECONDS)
    assert call.cancelled
    flo = room.caller(LINE)
    await room.reaches(flo, CallState.WAITING)
    await room.becomes(ann, AgentState.NOT_READY)
    assert len(ann.calls) == 1
    assert [room.record(caller).state for caller in (jo, flo)] == [CallState.WAITING, CallState.WAITING]
    assert [offer.outcome for offer in room.record(jo).offers] == [OfferOutcome.WITHDRAWN]


async def test_ready_by_code_reaches_a_queue_that_the_agent_serves_no_more(room: Room) -> None:
    """A membership that outlived its configuration is unpaused with the others: the fallback offers from it too."""
    ann = await room.agent(1)
    member = "PJSIP/agent1"
    room.live.asterisk.cli(f"queue add member {member} to edge-welsh")
    room.live.asterisk.cli(f"queue pause member {member} queue edge-welsh")
    assert "(paused" in room.live.asterisk.cli("queue show edge-welsh")
    await ann.dial("*24")
    assert "(paused" not in room.live.asterisk.cli("queue show edge-welsh")
    await ann.dial("*23")
    assert member not in room.live.asterisk.cli("queue show edge-welsh")


async def test_wrap_up_lasts_until_ready_is_pressed(room: Room) -> None:
    """On a line with wrap-up the agent gets no call after a talk; *24 ends it early and the next caller rings at once."""
    ann = await room.agent(1)
    jo, flo = room.caller("thorough"), room.caller("thorough")
    await flo.answered(5)
    await jo.answered(5)
    first = await room.serve(ann)
    await room.becomes(ann, AgentState.WRAP_UP)
    assert [fact.seconds for fact in room.facts(facts.WrapUpStarted)] == [60.0]
    assert len(ann.calls) == 1
    await ann.dial("*24")
    assert {first, await room.serve(ann)} == {jo, flo}


async def test_a_phone_that_unregisters_is_offered_nothing(room: Room) -> None:
    """Registration loss is seen: the agent stays signed in, calls wait, and ring when the phone is back."""
    ann = await room.agent(1)
    await ann.phone.agent.unregister()
    await room.until(lambda: room.live.state.phones["agent1"] is PhoneState.UNAVAILABLE)
    jo = room.caller(LINE)
    await room.reaches(jo, CallState.WAITING)
    assert room.record(jo).offers == []
    await ann.phone.start()
    assert await room.serve(ann) is jo
    assert room.facts(facts.AgentSignedOut) == []


async def test_a_phone_that_is_in_use_is_offered_nothing(room: Room) -> None:
    """An agent who telephones on their own account is not rung; afterwards they are."""
    ann = await room.agent(1)
    async with UserAgent(port=room.lab.callee.port) as friend:
        private = ann.phone.agent.invite(room.uri("01632960998"))
        (await friend.next_invite(5)).answer()
        await private.answered(5)
        await room.until(lambda: room.live.state.phones["agent1"] is PhoneState.BUSY)
        jo = room.caller(LINE)
        await room.reaches(jo, CallState.WAITING)
        assert room.record(jo).offers == []
        await private.hang_up()
        assert await room.serve(ann) is jo


async def test_an_agent_at_a_phone_behind_a_trunk(room: Room) -> None:
    """A phone that is a number behind a trunk is rung at that number and serves like any other; 603 is a rejection."""
    number = POLICY["phone"]["home1"]["number"]
    async with UserAgent(port=room.lab.callee.port, user=number) as home:
        await edge(room, "agent", "sign-in", "4009")
        await room.until(lambda: room.live.state.agents["4009"].phone == "home1")
        jo = room.caller(LINE)
        refused = await home.next_invite(5)
        assert refused.invite.uri.startswith(f"sip:{number}@")
        refused.reject(603)
        call = await home.next_invite(5)
        assert call.caller_number == room.numbers[jo]
        call.ring()
        call.answer()
        await room.reaches(jo, CallState.TALKING)
        await call.hang_up()
        record = await room.ended(jo)
    assert record.agent == "4009"
    assert [offer.outcome for offer in record.offers] == [OfferOutcome.REJECTED, OfferOutcome.ANSWERED]


@pytest.mark.usefixtures("daemon_runs")
async def test_agents_are_changed_while_the_daemon_is_down(room: Room) -> None:
    """With the daemon stopped `edge agent` works all the same; when it is back it knows who is signed in."""
    desk, other = await room.desk(1), await room.agent(2)
    running = room.live.daemon
    assert running is not None
    await asyncio.to_thread(running.stop, 5.0)
    await edge(room, "agent", "sign-in", desk.number)
    await edge(room, "agent", "not-ready", desk.number, "--reason", "break")
    await edge(room, "agent", "sign-out", other.number)
    await room.live.start_daemon()
    await room.becomes(desk, AgentState.NOT_READY)
    await room.becomes(other, AgentState.SIGNED_OUT)
    await until(lambda: "running" in room.live.edge("status").stdout, what="edge status")

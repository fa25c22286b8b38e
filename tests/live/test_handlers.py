"""What handlers and supervisors do with a caller, on the wire: hold, transfers that fail or succeed, whisper and barge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from edge.core import facts
from edge.core.model import AgentState, CallState, OfferOutcome, Side
from hwtest.lab.configuration import merged
from hwtest.useragent import Call, Media
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room, until

LINE = "101_no_greeting"
HANDLER_HZ, COLLEAGUE_HZ, CALLER_HZ, SUPERVISOR_HZ = 600, 900, 1000, 1700
pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, whose handlers may send callers back to a second queue."""
    own = {
        "queue": {"second": {"skills": ["101"], "wrap_up_seconds": 0.0}},
        "triage": {"queues": ["101", "second"]},
    }
    lab = LiveLab.up(tmp_path_factory.mktemp("handlers"), merged(POLICY, own))
    yield lab
    finish(lab)


async def hears(call: Call, frequency_hz: int) -> None:
    """Return when this leg hears the tone, and no other as loud, for a second."""
    call.leg.forget_heard()
    await until(lambda: call.leg.hears(frequency_hz), what=f"{frequency_hz} Hz")


async def test_a_transfer_to_nobody_gives_the_caller_back_after_a_talk(room: Room) -> None:
    """Agent 4003 is not signed in: the caller is at their place again, and the handler has answered them and had their talk."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    call = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    assert [await call.hold(), await call.resume()] == [200, 200]
    await room.until(lambda: room.facts(facts.CallHeld) and room.facts(facts.CallResumed))
    assert await call.refer(room.uri("4003")) == 202
    await room.until(lambda: room.facts(facts.CallReturned))
    await call.hang_up()
    await room.until(lambda: room.facts(facts.OfferEnded))
    assert room.facts(facts.OfferEnded)[0].outcome is OfferOutcome.ANSWERED
    assert "could not be connected" not in room.reasons(jo)
    await jo.hang_up()
    await room.ended(jo)


async def test_the_colleague_who_was_given_a_caller_sends_them_back(room: Room) -> None:
    """After an attended transfer the record names the colleague, not the agent who had answered."""
    ann, bob = await room.agent(1, tone_hz=HANDLER_HZ), await room.agent(2, tone_hz=COLLEAGUE_HZ)
    await bob.dial("*251")
    await room.becomes(bob, AgentState.NOT_READY)
    jo = room.caller(LINE, tone_hz=CALLER_HZ)
    call = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    consultation = ann.phone.agent.invite(room.uri(bob.number))
    far = await bob.answers()
    await consultation.answered(5)
    assert await call.refer(consultation) == 202
    await room.until(lambda: room.facts(facts.CallTakenOver))
    [passed], [asked] = room.facts(facts.CallPassedOn), room.facts(facts.CallConsulted)
    assert (passed.agent, passed.to_agent, asked.with_agent) == (ann.number, bob.number, bob.number)
    assert room.agent_state(bob) is AgentState.TALKING
    await asyncio.gather(hears(jo, COLLEAGUE_HZ), hears(far, CALLER_HZ))
    await asyncio.gather(call.hang_up(), consultation.hang_up())
    await ann.dial("*251")
    assert await far.refer(room.uri("*302")) == 202
    await room.until(lambda: room.facts(facts.CallSentBack))
    assert [(fact.agent, fact.queue) for fact in room.facts(facts.CallSentBack)] == [(bob.number, "second")]
    await far.hang_up()
    await room.becomes(bob, AgentState.NOT_READY)
    await jo.hang_up()
    await room.ended(jo)


async def test_the_colleague_has_the_call_and_then_the_wrap_up(room: Room) -> None:
    """A blind transfer: until the colleague answers nobody has the caller; then they are shown with the call and rung for no
    other, their talk and who ended it are in the record, and wrap-up begins when they leave."""
    ann = await room.agent(1)
    jo = room.caller("thorough")
    call = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    bob = await room.agent(2)
    assert await call.refer(room.uri(bob.number)) == 202
    await call.hang_up()
    far = await bob.offered()
    await room.becomes(ann, AgentState.WRAP_UP)
    far.answer()
    await room.becomes(bob, AgentState.TALKING)
    record = room.record(jo)
    shown = json.loads(room.live.edge("agents", "--json").stdout)["agents"]
    assert [a["call_id"] for a in shown if a["agent"] == bob.number] == [record.call_id]
    [waiting] = await room.queue_up(1, LINE)
    assert await far.lasts(1.5)
    assert len(bob.calls) == 1
    await far.hang_up()
    record = await room.ended(jo)
    assert (record.agent, record.side) == (bob.number, Side.AGENT)
    assert [connection.agent for connection in record.connections] == [ann.number, bob.number]
    assert record.ended_at is not None
    since_taken = record.ended_at.since(record.connections[1].at)
    assert record.talked_seconds == pytest.approx(since_taken, abs=0.1)
    await room.becomes(bob, AgentState.WRAP_UP)
    await waiting.hang_up()
    await room.ended(waiting)


async def test_a_call_to_a_line_for_a_caller_is_of_the_same_contact(room: Room) -> None:
    """The handler dials a line from the second line of the phone and gives the caller the place there: both calls name each
    other, and the handler's own is in no figure."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    call = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    consultation = ann.phone.agent.invite(room.uri("thorough"))
    await consultation.answered(5)
    await room.until(lambda: room.facts(facts.CallConsulted))
    [asked] = room.facts(facts.CallConsulted)
    assert (asked.call_id, asked.agent, asked.line) == (room.record(jo).call_id, ann.number, "thorough")
    own = room.live.calls.calls[asked.consultation or ""]
    assert (own.consultation_of, own.counts) == (asked.call_id, False)
    assert await call.refer(consultation) == 202
    await room.until(lambda: room.facts(facts.CallSentBack))
    assert [(fact.call_id, fact.queue) for fact in room.facts(facts.CallSentBack)] == [
        (asked.call_id, "thorough")
    ]
    await asyncio.gather(call.hang_up(), consultation.hang_up())
    shown = json.loads(room.live.edge("call", asked.call_id, "--json").stdout)["call"]["consultations"]
    assert [each["call_id"] for each in shown] == [own.call_id]
    await jo.hang_up()
    await room.ended(jo)


def loud(call: Call, frequency_hz: int) -> bool:
    """Whether this leg hears the tone, whatever else it hears."""
    return call.leg.tone_level_dbm0(frequency_hz) > -30.0


async def test_a_handler_brings_a_supervisor_into_the_talk(room: Room) -> None:
    """*34 and a supervisor's number on the second line: the supervisor's usual phone rings, and on answer all three hear each
    other; over with the conversation, and asked, come and gone in the record."""
    ann = await room.agent(1, tone_hz=HANDLER_HZ)
    supervisor = await room.supervisor(tone_hz=SUPERVISOR_HZ)
    jo = room.caller(LINE, tone_hz=CALLER_HZ)
    call = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    assert await call.hold() == 200
    await ann.dial("*344900")
    assert await call.resume() == 200
    joined = await supervisor.offered()
    assert joined.caller_number == ann.number
    await room.until(lambda: room.facts(facts.SupervisorInvited))
    assert room.facts(facts.SupervisionBegan) == []
    joined.answer()
    tones = {jo: CALLER_HZ, call: HANDLER_HZ, joined: SUPERVISOR_HZ}
    heard = [(by, tone) for by in tones for of, tone in tones.items() if of is not by]
    await until(lambda: all(loud(by, tone) for by, tone in heard), what="all three hear each other")
    await jo.hang_up()
    await joined.ended(5)
    await room.until(lambda: room.facts(facts.SupervisionEnded))
    record = await room.ended(jo)
    assert [(asked.agent, asked.supervisor) for asked in record.invitations] == [(ann.number, "4900")]
    [seen] = record.supervisions
    assert (seen.supervisor, seen.agent, seen.mode) == ("4900", ann.number, "conference")
    assert seen.ended_at is not None
    shown = json.loads(room.live.edge("call", record.call_id, "--json").stdout)
    assert "agent 4001 asked supervisor 4900 into the conversation" in [
        line["what"] for line in shown["story"]
    ]
    assert [seen["mode"] for seen in shown["call"]["supervisions"]] == ["conference"]


async def test_a_conference_needs_a_supervisor_and_a_conversation(room: Room) -> None:
    """Neither who is no supervisor nor a supervisor without a talk is rung."""
    ann, bob = await room.agent(1), await room.agent(2)
    supervisor = await room.supervisor()
    await ann.dial("*344900")
    await bob.dial("*251")
    await room.becomes(bob, AgentState.NOT_READY)
    jo = room.caller(LINE)
    await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    await ann.dial(f"*34{bob.number}")
    await jo.hang_up()
    await room.ended(jo)
    assert (bob.calls, supervisor.calls, room.facts(facts.SupervisorInvited)) == ([], [], [])


async def test_a_whisper_reaches_the_handler_alone_and_a_barge_both(room: Room) -> None:
    """Each by its own tone; and both modes stand in the record of the call."""
    ann = await room.agent(1)
    supervisor = await room.supervisor()
    await supervisor.dial("*22")
    jo = room.caller(LINE, hears=True)
    call = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    for code, reaches_caller in (("*32", False), ("*33", True)):
        talking = supervisor.phone.agent.invite(
            room.uri(f"{code}{ann.number}"), media=Media("tone", SUPERVISOR_HZ)
        )
        await talking.answered(5)
        jo.leg.forget_heard()
        await hears(call, SUPERVISOR_HZ)
        assert await talking.lasts(1.0)
        assert jo.leg.hears(SUPERVISOR_HZ) is reaches_caller
        await talking.hang_up()
    await room.until(lambda: len(room.facts(facts.SupervisionEnded)) == 2)
    await jo.hang_up()
    assert [seen.mode for seen in (await room.ended(jo)).supervisions] == ["whisper", "barge"]

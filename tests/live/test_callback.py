"""Call-backs on the wire: offered, accepted by keys, promised, kept at their place by a human voice; never twice, never lost."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import AgentState, CallOutcome, CallState
from edge.core.promise import Asked, AttemptOutcome, TaskKind
from hwtest.lab.configuration import merged
from hwtest.useragent import CallState as Wire
from hwtest.useragent import IncomingCall, Media, SipError, UserAgent
from tests.live.conftest import POLICY, finish
from tests.live.people import (
    People,
    accept,
    at_most_one_at_a_time,
    cancel_callbacks,
    close_tasks,
    dialled,
    is_asked_for,
    is_offered,
    reaches_state,
)
from tests.live.room import Desk, LiveLab, Room, milliseconds, until

LINE = "101_no_greeting"
SPACING_SECONDS = 1.0
RING_SECONDS = 15.0
pytestmark = pytest.mark.usefixtures("daemon_runs")


def _policy() -> dict[str, Any]:
    soon = {
        "enabled": True,
        "offer_above_seconds": 0.0,  # the talks of tests are so short that no long wait is expected
        "offer_below_seconds": 0.0,
        "offer_every_seconds": 5.0,
        "handling_seconds": 60.0,
        "spacing_seconds": SPACING_SECONDS,
        "ring_seconds": RING_SECONDS,
        "attempts": 2,
    }
    own: dict[str, Any] = {
        "callback": {"idle_agents": 0, "preemptions": 2, "trunk_rest_seconds": 1.0},
        "queue": {
            "101": {"callback": soon},
            "caller-first": {
                "skills": ["101"],
                "wrap_up_seconds": 0.0,
                "offer_seconds": 4.0,
                "callback": {**soon, "first": "caller"},
            },
        },
        "line": {"caller-first": {"number": "1031", "tier": "101", "queue": "caller-first"}},
        "tasks": {"abandoned_101_after_seconds": 30.0},
    }
    return merged(POLICY, own)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own: everybody who waits is offered a call-back."""
    lab = LiveLab.up(tmp_path_factory.mktemp("callback"), _policy())
    yield lab
    finish(lab)


@pytest.fixture(autouse=True)
async def no_promise_is_left(room: Room, daemon_runs: None) -> AsyncIterator[None]:
    """What a test leaves on the list is cancelled, so that the next begins with none."""
    yield
    await cancel_callbacks(room.live)
    await close_tasks(room.live)


@pytest.fixture
async def people(live: LiveLab) -> AsyncIterator[People]:
    """The far end of the trunk; persons speak a tone of 700 Hz."""
    async with UserAgent(
        live.lab.callee.host, live.lab.callee.port, user="people", media=Media("tone", 700)
    ) as far:
        yield People(far)


async def _busy_agent(room: Room, index: int = 1, tone_hz: int | None = 440) -> tuple[Desk, IncomingCall]:
    """An agent who talks, so that the next caller waits."""
    desk = await room.agent(index, tone_hz=tone_hz)
    caller = room.caller(LINE)
    call = await desk.answers()
    await room.reaches(caller, CallState.TALKING)
    return desk, call


async def _ended(room: Room, call_id: str, within_seconds: float = 8.0) -> facts.CallEnded:
    await room.until(
        lambda: any(f.call_id == call_id for f in room.facts(facts.CallEnded)), within_seconds, "ended"
    )
    return next(fact for fact in room.facts(facts.CallEnded) if fact.call_id == call_id)


# ---------------------------------------------------------------------- the main way


async def test_a_human_voice_answers_at_the_place(room: Room, people: People) -> None:
    """Accepted by three keys; who comes free is rung for it before a later live caller, and the person hears them."""
    ann, talk = await _busy_agent(room)
    jo = room.caller(LINE, hears=True)
    call_id = await accept(room, jo)
    kim = room.caller(LINE)
    await kim.answered(5)
    await room.reaches(kim, CallState.WAITING)
    await talk.hang_up()
    offer = await ann.offered()
    assert offer.caller_name.startswith(b"CALL-BACK")
    assert offer.header("X-Edge-Call") == call_id
    offer.answer()
    person = await people.rung()
    assert person.caller_number == (room.lab.callback.show_number if room.lab.callback else "")
    assert dialled(person) == room.numbers[jo]
    assert milliseconds(offer, "200", person, "INVITE") < 500
    await until(lambda: offer.leg.level_dbm0 > -50, what="the agent hears it ring")
    person.answer()
    await room.until(lambda: room.live.state.calls[call_id].state is CallState.TALKING)
    for leg in (person.leg, offer.leg):
        leg.forget_heard()
    await until(lambda: person.leg.hears(440), what="the person hears the agent")
    await until(lambda: offer.leg.hears(700), what="the agent hears the person")
    assert room.record(kim).state is CallState.WAITING
    await person.hang_up()
    ended = await _ended(room, call_id)
    assert (ended.outcome, ended.agent) == (CallOutcome.ANSWERED, "4001")
    assert len(people.calls) == 1
    assert room.live.state.promises.out_of_turn == 0
    await room.serve(ann)


async def test_a_withheld_caller_keys_a_number(room: Room, people: People) -> None:
    """Digits as RFC 4733 events, with nines in them; read back, confirmed, and dialled: not the number of the caller."""
    ann, talk = await _busy_agent(room)
    jo = room.caller(LINE, hears=True, from_user="anonymous")
    await jo.answered(5)
    await room.until(lambda: room.facts(facts.CallbackOffered), 12)
    [call_id] = {fact.call_id for fact in room.facts(facts.CallbackOffered)}
    jo.leg.send_digits("1")

    async def asked(what: Asked) -> None:
        await room.until(lambda: room.live.state.calls[call_id].asked is what, 8, f"asked for {what}")

    await asked(Asked.KEY)
    jo.leg.send_digits("07700900999#")
    await asked(Asked.KEYED)
    jo.leg.send_digits("1")
    await asked(Asked.SAFE)
    jo.leg.send_digits("1")
    await room.until(lambda: room.facts(facts.CallbackConfirmed))
    await jo.ended(30)  # let go once it was said
    await reaches_state(room, call_id, CallState.CALLBACK)
    await talk.hang_up()
    await ann.answers()
    person = await people.rung()
    assert dialled(person) == "07700900999"
    person.answer()
    await reaches_state(room, call_id, CallState.TALKING)
    await person.hang_up()
    await _ended(room, call_id)


@pytest.mark.parametrize("keys", ["9", "*9"])
async def test_the_emergency_key_while_a_number_is_keyed(room: Room, keys: str) -> None:
    """As the first key, or after a star: among the 999 at once."""
    await _busy_agent(room)
    jo = room.caller(LINE, hears=True, from_user="anonymous")
    await jo.answered(5)
    await room.until(lambda: room.facts(facts.CallbackOffered), 12)
    [call_id] = {fact.call_id for fact in room.facts(facts.CallbackOffered)}
    jo.leg.send_digits("1")
    await room.until(lambda: room.live.state.calls[call_id].asked is Asked.KEY)
    if keys == "*9":
        jo.leg.send_digits("077")
    jo.leg.send_digits(keys)
    await room.until(lambda: [f.call_id for f in room.facts(facts.CallUpgraded)] == [call_id])


async def test_storms_of_keys_and_garbage_leave_the_caller_waiting(room: Room) -> None:
    """Stars and hashes, then numbers that are none: told so, and still waiting in place."""
    await _busy_agent(room)
    jo = room.caller(LINE, hears=True, from_user="anonymous")
    await jo.answered(5)
    await room.until(lambda: room.facts(facts.CallbackOffered), 12)
    [call_id] = {fact.call_id for fact in room.facts(facts.CallbackOffered)}
    jo.leg.send_digits("1")
    await room.until(lambda: room.live.state.calls[call_id].asked is Asked.KEY)
    jo.leg.send_digits("*#*#**##")
    await room.until(lambda: room.facts(facts.CallbackDeclined), 20)
    assert room.live.state.calls[call_id].state is CallState.WAITING
    assert jo.state is Wire.ANSWERED


async def test_who_hangs_up_before_the_promise_is_a_task(room: Room, people: People) -> None:
    """Nothing was promised, nobody is dialled: a human looks, with the number at hand; only a named person closes it."""
    ann, talk = await _busy_agent(room)
    jo = room.caller(LINE, hears=True)
    await is_offered(room, jo)
    jo.leg.send_digits("1")
    await is_asked_for(room, jo, Asked.NUMBER)
    await jo.hang_up()
    record = await room.ended(jo)
    assert record.outcome is CallOutcome.ABANDONED
    task = room.live.state.tasks[record.call_id]
    assert task.kind is TaskKind.ABANDONED_101
    await talk.hang_up()
    await room.becomes(ann, AgentState.READY)
    listed = json.loads(room.live.edge("tasks", "--json").stdout)["tasks"]
    assert record.call_id in {item["task_id"] for item in listed}
    closed = room.live.edge(
        "tasks", "close", record.call_id, "--outcome", "reached", "--by", "Sue Example", "--note", "rang back"
    )
    assert closed.returncode == 0, closed.stderr
    await room.until(lambda: record.call_id not in room.live.state.tasks)
    assert people.calls == []


# ---------------------------------------------------------------------- persons who are not reached


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(486, AttemptOutcome.BUSY), (603, AttemptOutcome.REJECTED), (404, AttemptOutcome.INVALID)],
)
async def test_who_is_not_reached_is_told_apart_and_ends_as_a_task(
    room: Room, people: People, status: int, outcome: AttemptOutcome
) -> None:
    """Busy and rejected are tried again at their place after the spacing, twice in all; no such number never."""
    ann, talk = await _busy_agent(room)
    jo = room.caller(LINE, hears=True)
    call_id = await accept(room, jo)
    people.refuse_with = status
    await talk.hang_up()
    attempts = 1 if outcome is AttemptOutcome.INVALID else 2
    for _ in range(attempts):
        await ann.answers()
        await people.rung()
    ended = await _ended(room, call_id)
    assert ended.outcome is CallOutcome.UNREACHED
    assert [f.outcome for f in room.facts(facts.CallbackAttemptEnded)] == [outcome] * attempts
    assert room.live.state.tasks[call_id].kind is TaskKind.UNREACHED_CALLBACK
    assert len(people.calls) == attempts
    await room.becomes(ann, AgentState.READY)


async def test_no_answer_rings_for_fifteen_seconds(room: Room, people: People) -> None:
    """From the ringing on the wire to our CANCEL; the agent hears it and is free again afterwards."""
    ann, talk = await _busy_agent(room)
    call_id = await accept(room, room.caller(LINE, hears=True))
    await talk.hang_up()
    await ann.answers()
    person = await people.rung()
    await person.ended(RING_SECONDS + 3)
    rang_seconds = milliseconds(person, "180", person, "CANCEL") / 1000
    assert RING_SECONDS - 0.1 <= rang_seconds <= RING_SECONDS + 1.0
    await room.until(
        lambda: [f.outcome for f in room.facts(facts.CallbackAttemptEnded)] == [AttemptOutcome.NO_ANSWER]
    )
    assert room.live.state.calls[call_id].state in (CallState.CALLBACK, CallState.RESERVING)


async def test_a_trunk_that_refuses_rests_and_places_are_kept(
    room: Room, people: People, expected_warnings: list[str]
) -> None:
    """503: no attempt counts; the trunk rests ever longer, the third failure is an alarm; then the person is reached."""
    expected_warnings.append("trunk fails")
    ann, talk = await _busy_agent(room)
    call_id = await accept(room, room.caller(LINE, hears=True))
    queued_at = room.live.state.calls[call_id].queued_at
    people.refuse_with = 503
    await talk.hang_up()
    for _ in range(3):
        await ann.answers(12)
        await people.rung()
    await room.until(lambda: "trunk fails" in {f.kind for f in room.facts(facts.AlarmRaised)})
    people.refuse_with = None
    await ann.answers(15)
    person = await people.rung()
    person.answer()
    await reaches_state(room, call_id, CallState.TALKING)
    assert room.live.state.calls[call_id].queued_at == queued_at
    assert not any(fact.counted for fact in room.facts(facts.CallbackAttemptEnded))
    await person.hang_up()
    await _ended(room, call_id)


async def test_a_machine_in_the_handlers_judgement(room: Room, people: People) -> None:
    """`edge callbacks machine` while they talk: the attempt counts, the talk ends, the place is kept for the next."""
    ann, talk = await _busy_agent(room)
    call_id = await accept(room, room.caller(LINE, hears=True))
    await talk.hang_up()
    offer = await ann.answers()
    person = await people.rung()
    person.answer()
    await reaches_state(room, call_id, CallState.TALKING)
    judged = room.live.edge("callbacks", "machine", call_id, "--by", "4001")
    assert judged.returncode == 0, judged.stderr
    await person.ended(5)
    await offer.ended(5)
    await room.until(
        lambda: [f.outcome for f in room.facts(facts.CallbackAttemptEnded)] == [AttemptOutcome.MACHINE]
    )
    await ann.answers()
    again = await people.rung()
    again.answer()
    await reaches_state(room, call_id, CallState.TALKING)
    await again.hang_up()
    await _ended(room, call_id)


async def test_the_agent_who_hangs_up_ends_the_ringing(room: Room, people: People) -> None:
    """The person's phone stops, the place is kept; it rang in vain, so it counts."""
    ann, talk = await _busy_agent(room)
    call_id = await accept(room, room.caller(LINE, hears=True))
    await talk.hang_up()
    offer = await ann.answers()
    person = await people.rung()
    await offer.hang_up()
    await person.ended(5)
    await room.until(
        lambda: (
            [(f.outcome, f.counted) for f in room.facts(facts.CallbackAttemptEnded)]
            == [(AttemptOutcome.AGENT_LEFT, True)]
        )
    )
    assert call_id in room.live.state.calls


# ---------------------------------------------------------------------- 999 first


async def test_a_999_takes_the_agent_while_the_person_is_rung(room: Room, people: People) -> None:
    """The person's phone gets CANCEL and the agent the 999; the place is kept; the second such ring makes a task."""
    ann, talk = await _busy_agent(room)
    call_id = await accept(room, room.caller(LINE, hears=True))
    await talk.hang_up()
    for count in (1, 2):
        await ann.answers()
        person = await people.rung()
        sos = room.caller("999")
        await person.ended(5)
        emergency = await ann.answers()
        assert emergency.caller_number == room.numbers[sos]
        assert milliseconds(sos, "INVITE", emergency, "INVITE") < 1000
        await room.reaches(sos, CallState.TALKING)
        if count == 1:
            assert room.live.state.calls[call_id].state is CallState.CALLBACK
        await emergency.hang_up()
        await room.ended(sos)
    ended = await _ended(room, call_id)
    assert ended.outcome is CallOutcome.UNREACHED
    assert call_id in room.live.state.tasks


async def test_every_999_that_nobody_answered_is_a_task(room: Room, expected_warnings: list[str]) -> None:
    """With its number, and shown to the handler of the next call from it."""
    expected_warnings += ["no 999 agent", "999 unanswered"]
    sos = room.caller("999")
    await sos.ringing(5)
    await room.reaches(sos, CallState.WAITING)
    await sos.hang_up()
    record = await room.ended(sos)
    assert room.live.state.tasks[record.call_id].kind is TaskKind.ABANDONED_999
    ann = await room.agent(1)
    jo = room.caller(LINE, from_user=room.numbers[sos])
    offer = await ann.offered()
    assert "task abandoned 999" in (offer.header("X-Edge-Notes") or "")
    offer.answer()
    await until(lambda: jo.state is Wire.ANSWERED)
    assert record.call_id in room.live.state.tasks


# ---------------------------------------------------------------------- the same number


async def test_the_same_number_takes_the_better_place_and_nobody_is_told(room: Room, people: People) -> None:
    """Before a caller who came in between; the handler sees both; *35 closes the call-back, and nobody is dialled."""
    ann, talk = await _busy_agent(room)
    jo = room.caller(LINE, hears=True)
    call_id = await accept(room, jo)
    kim = room.caller(LINE)
    await kim.answered(5)
    await room.reaches(kim, CallState.WAITING)
    again = room.caller(LINE, from_user=room.numbers[jo])
    await again.answered(5)
    await room.until(lambda: [f.call_id for f in room.facts(facts.CallbackMatched)] == [call_id])
    await talk.hang_up()
    offer = await ann.answers()
    assert offer.caller_number == room.numbers[jo]
    assert "call-back waits" in (offer.header("X-Edge-Notes") or "")
    done = await ann.dial(room.lab.codes["callback_done"])
    assert done.ended_by == "remote"
    ended = await _ended(room, call_id)
    assert ended.outcome is CallOutcome.CANCELLED
    await again.hang_up()
    await room.serve(ann)
    assert people.calls == []


async def test_paused_and_cancelled_by_a_supervisor(room: Room, people: People) -> None:
    """Pausing stops the offers, not the promises; cancelling is audited."""
    ann, talk = await _busy_agent(room)
    call_id = await accept(room, room.caller(LINE, hears=True))
    assert room.live.edge("callbacks", "pause", "--by", "Sue").returncode == 0
    await room.until(lambda: room.live.state.offering_paused)
    offered = len(room.facts(facts.CallbackOffered))
    kim = room.caller(LINE)
    await kim.answered(5)
    assert await kim.lasts(2.0)
    assert len(room.facts(facts.CallbackOffered)) == offered
    assert room.live.edge("callbacks", "resume", "--by", "Sue").returncode == 0
    cancelled = room.live.edge("callbacks", "cancel", call_id, "--by", "Sue", "--why", "spoke to them")
    assert cancelled.returncode == 0, cancelled.stderr
    ended = await _ended(room, call_id)
    assert (ended.outcome, ended.cause) == (CallOutcome.CANCELLED, "Sue: spoke to them")
    await talk.hang_up()
    await room.serve(ann)
    assert people.calls == []


# ---------------------------------------------------------------------- caller first


async def test_caller_first_with_an_agent_kept(room: Room, people: People) -> None:
    """By policy: the person is rung first, presses 1, and the agent who was kept answers."""
    ann = await room.agent(1, tone_hz=440)
    busy = room.caller(LINE)
    talk = await ann.answers()
    await room.reaches(busy, CallState.TALKING)
    call_id = await accept(room, room.caller("1031", hears=True))
    await talk.hang_up()
    person = await people.rung()
    assert len(ann.calls) == 1
    person.answer()
    await reaches_state(room, call_id, CallState.CHECKING)
    await until(lambda: person.leg.level_dbm0 > -50, what="the person is told what to press")
    person.leg.send_digits("1")
    offer = await ann.answers()
    await reaches_state(room, call_id, CallState.TALKING)
    person.leg.forget_heard()
    await until(lambda: person.leg.hears(440), what="the person hears the agent")
    await offer.hang_up()
    await _ended(room, call_id)


# ---------------------------------------------------------------------- killed at every step

STEPS = ("waiting", "agent rings", "person rings", "person answers")


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_every_step(
    room: Room, people: People, step: str, expected_warnings: list[str]
) -> None:
    """kill -9: the promise stands at its place, at most one phone of theirs rings at a time, and in the end they are reached."""
    live = room.live
    ann, talk = await _busy_agent(room)
    jo = room.caller(LINE, hears=True)
    call_id = await accept(room, jo)
    queued_at = live.state.calls[call_id].queued_at
    if step != "waiting":
        await talk.hang_up()
        offer = await ann.offered()
    if step in ("person rings", "person answers"):
        offer.answer()
        person = await people.rung()
        await room.until(lambda: room.facts(facts.CallbackRang))
    live.signal_daemon(signal.SIGKILL)
    if step == "person answers":
        person.answer()
    await live.start_daemon()
    live.follow()
    assert live.state.calls[call_id].queued_at == queued_at or step == "person answers"
    if step == "waiting":
        await talk.hang_up()
    await _serve_in_the_end(room, people, ann, call_id)
    assert at_most_one_at_a_time(people.calls)
    if step == "waiting":
        assert len(people.calls) == 1


async def _serve_in_the_end(room: Room, people: People, ann: Desk, call_id: str) -> None:
    """Whoever rings is answered, until the call is over."""

    def serve() -> bool:
        for leg in (*ann.calls, *people.calls):
            if leg.state in (Wire.TRYING, Wire.RINGING):
                with contextlib.suppress(SipError):
                    leg.answer()
        room.live.follow()
        call = room.live.state.calls.get(call_id)
        return call is None or call.connected_at is not None

    await until(serve, 25, "the person is reached")
    for call in people.calls:
        if call.state is Wire.ANSWERED:
            await call.hang_up()
    await room.until(lambda: call_id not in room.live.state.calls, 8)

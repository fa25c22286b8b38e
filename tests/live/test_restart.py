"""Death and return of the daemon, with callers waiting, ringing, answered and talking; a full room is in test_crash.py."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Iterator

import pytest

from edge.core import facts
from edge.core.model import AgentState, CallOutcome, CallState, Side
from hwtest.useragent import CallState as Wire
from hwtest.useragent import IncomingCall, OutgoingCall
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room, until

LINE = "101_no_greeting"
DEAD_MAN_SECONDS = 2.8
"""A little less than a 999 waits for a daemon that says nothing any more."""
pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own: here things are killed."""
    lab = LiveLab.up(tmp_path_factory.mktemp("restart"), POLICY)
    yield lab
    finish(lab)


async def test_a_caller_who_comes_while_the_daemon_is_dead_is_served(room: Room) -> None:
    """Nobody runs: the caller goes to the switch's own queue at once, and has their end in the record afterwards."""
    await room.live.lose_daemon()
    jo = room.caller(LINE)
    await jo.answered(5)
    await room.live.start_daemon()
    ann = await room.agent(1)
    call = await ann.answers()
    assert room.who(call) is jo
    await room.until(lambda: room.facts(facts.CallConnected, facts.FallbackConnected))
    await call.hang_up()
    assert (await room.ended(jo)).outcome is CallOutcome.ANSWERED


async def test_a_talk_begun_while_the_daemon_is_dead_is_a_talk_in_the_record(room: Room) -> None:
    """The switch's own queue connected the caller before the daemon came back: it names the agent, and the call counts
    as answered."""
    await room.live.lose_daemon()
    jo = room.caller(LINE)
    ann = await room.agent(1)
    call = await ann.answers()
    await room.live.start_daemon()
    await room.until(lambda: room.facts(facts.FallbackConnected))
    assert room.facts(facts.FallbackConnected)[0].agent == ann.number
    await call.hang_up()
    record = await room.ended(jo)
    assert (record.outcome, record.agent) == (CallOutcome.ANSWERED, ann.number)


async def test_a_caller_who_hangs_up_while_the_daemon_is_dead_has_an_end(room: Room) -> None:
    """The end was not seen: it is recorded as unknown, with the instants between which it fell, until the switch's own record
    tells what it was."""
    jo = room.caller(LINE)
    await room.reaches(jo, CallState.WAITING)
    room.live.signal_daemon(signal.SIGKILL)
    await jo.hang_up()
    await room.live.start_daemon()
    await room.ended(jo)
    [ended] = room.facts(facts.CallEnded)
    assert (ended.outcome, ended.unseen_since is None) == (CallOutcome.ENDED_UNKNOWN, False)
    await room.until(lambda: room.facts(facts.CallTraced))
    record = room.record(jo)
    assert (record.outcome, record.side, record.unseen_since) == (CallOutcome.ABANDONED, Side.CALLER, None)


async def test_a_daemon_killed_while_a_phone_rings(room: Room) -> None:
    """After the restart that ringing is ended, the caller is offered again from their place and is served."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    call = await ann.offered()
    await room.until(lambda: room.facts(facts.OfferRang))
    room.live.signal_daemon(signal.SIGKILL)
    await room.live.start_daemon()
    await call.ended(5)
    assert call.cancelled
    assert await room.serve(ann) is jo


async def test_a_daemon_killed_between_answer_and_hand_over(room: Room) -> None:
    """The agent answered and nobody was there to connect: after the restart the caller is connected, then or again."""
    ann = await room.agent(1, tone_hz=600)
    jo = room.caller(LINE, tone_hz=1000)
    call = await ann.offered()
    await room.until(lambda: room.facts(facts.OfferRang))
    room.live.signal_daemon(signal.SIGSTOP)
    call.answer()
    await call.until(lambda: call.acknowledged, 5)
    room.live.signal_daemon(signal.SIGKILL)
    await room.live.start_daemon()
    await until(lambda: jo.leg.hears(600) or len(ann.calls) > 1)
    if call.state is Wire.ENDED:
        call = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    await jo.until(lambda: jo.leg.hears(600), 3)
    await call.hang_up()
    assert (await room.ended(jo)).agent == ann.number


async def test_a_daemon_that_is_stopped_and_started_keeps_the_room(room: Room) -> None:
    """SIGTERM and a start: waiting callers, the agent's state and the order are as before."""
    waiting = await room.queue_up(3, LINE)
    ann = await room.agent(1)
    call = await ann.answers()
    await room.reaches(waiting[0], CallState.TALKING)
    room.live.signal_daemon(signal.SIGTERM)
    await room.live.start_daemon()
    assert room.agent_state(ann) is AgentState.TALKING
    await call.hang_up()
    assert [await room.serve(ann) for _ in range(2)] == waiting[1:]


async def test_a_999_does_not_wait_for_its_dead_man_when_the_daemon_is_stopped(room: Room) -> None:
    """SIGTERM, with no daemon in reserve: a ringing 999 rings by the switch's own queue before its dead-man could have fired."""
    ann = await room.agent(1)
    jo = room.caller("999")
    await room.until(lambda: room.facts(facts.OfferRang))
    stopped = time.monotonic()
    room.live.signal_daemon(signal.SIGTERM)
    await until(lambda: len(ann.calls) > 1, DEAD_MAN_SECONDS, "the phone rings again")
    print(f"999 at SIGTERM: rings again after {time.monotonic() - stopped:.2f} s")  # noqa: T201
    ann.calls[-1].answer()
    await until(lambda: jo.state is Wire.ANSWERED, 5)
    await room.live.start_daemon()
    await room.until(lambda: room.facts(facts.FallbackEntered))
    await ann.calls[-1].hang_up()
    assert (await room.ended(jo)).outcome is CallOutcome.ANSWERED


async def test_a_busy_room_whose_daemon_keeps_dying(room: Room, expected_warnings: list[str]) -> None:
    """40 callers, four agents of every temper, and the daemon killed three times: every call that a living daemon could
    see has its end in the record, and it is recorded as answered exactly if an agent talked to its caller."""
    expected_warnings.append("link|refused")
    dice = random.Random(101)

    async def temper(call: IncomingCall) -> None:
        if (mood := dice.random()) < 0.1:
            call.reject(dice.choice([480, 486, 503, 603]))
        elif mood < 0.9 and await call.lasts(mood / 5):
            call.ring()
            call.answer()
            if mood < 0.5 and await call.lasts(mood):
                await call.hang_up()

    async def visit(caller: OutgoingCall) -> None:
        if await caller.lasts(dice.choice([0.2, 0.6, 5.0, 5.0])):
            await caller.hang_up()

    desks = [await room.agent(index, temper) for index in (1, 2, 3, 4)]
    visits: list[asyncio.Task[None]] = []
    deaths = list[int]()
    for count in range(40):
        caller = room.caller(dice.choice(["101", LINE, LINE, "vulnerable", "999"]))
        visits.append(asyncio.create_task(visit(caller)))
        await caller.lasts(0.1)
        if count in (10, 20, 30):
            deaths.append(time.monotonic_ns())
            room.live.signal_daemon(signal.SIGKILL)
            await room.live.start_daemon()
    await asyncio.gather(*visits)
    await room.until(lambda: not room.live.state.calls, 15, "every call ended")

    seen_again = [e.at.monotonic_ns for e in room.live.entries if isinstance(e.fact, facts.SwitchRestored)][
        -3:
    ]
    blind = list(zip(deaths, seen_again, strict=True))
    legs = [(desk.number, leg) for desk in desks for leg in desk.calls if leg.reached is Wire.ANSWERED]
    for caller, number in room.numbers.items():
        record = room.find(caller)
        talks = [(agent, leg) for agent, leg in legs if leg.caller_number == number]
        if record is None:
            begun, over = caller.trace[0].monotonic_ns, caller.trace[-1].monotonic_ns
            assert any(begun < end and over > start for start, end in blind), "a call that was in sight"
        elif record.outcome is CallOutcome.ANSWERED:
            assert record.agent in {agent for agent, _ in talks}
        elif record.outcome is CallOutcome.ABANDONED:
            assert all(seconds_lasted(leg) < 0.2 for _, leg in talks), room.reasons(caller)


def seconds_lasted(leg: IncomingCall) -> float:
    """From the answer of a leg to the last message of it."""
    answered = leg.stamp_of("200")
    assert answered is not None
    return (leg.trace[-1].monotonic_ns - answered.monotonic_ns) / 1e9

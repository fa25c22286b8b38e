"""The switch's own queue: without a daemon, with one that hangs, and when it comes back.

The lab of this module starts without the daemon. Each test says whether it begins with one.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import CallOutcome, CallState
from hwtest.lab.configuration import merged
from hwtest.useragent import CallState as Wire
from hwtest.useragent import IncomingCall, OutgoingCall, answering
from tests.live.conftest import POLICY, finish
from tests.live.room import Desk, LiveLab, Room, until

LINE = "101_no_greeting"
without_daemon = pytest.mark.usefixtures("daemon_absent")
with_daemon = pytest.mark.usefixtures("daemon_runs")
PLACE_SECONDS = 0.1
"""The resolution of QUEUE_PRIO: who joined in the same tenth of a second is served as they came into the fallback."""
DEAD_MAN: dict[str, Any] = {
    "line": {name: {"dead_man_seconds": 3.0} for name in ("101", "101-no-greeting", "999")},
    "emergency": {"supervisors_after_seconds": 0.0, "buddy_after_seconds": 0.0},
}
"""And nobody but the agents for a 999: test_fallback_999 has the others."""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab without its daemon, and with a dead-man of 3 s."""
    policy = merged(POLICY, DEAD_MAN)
    lab = LiveLab.up(tmp_path_factory.mktemp("fallback"), policy, with_daemon=False)
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """A 999 has nobody but the agents here, and for a while not even them."""
    return ["an unanswered 999 has nowhere", "no 999 agent"]


async def served(room: Room, desks: list[Desk], count: int, within_seconds: float) -> list[OutgoingCall]:
    """The callers of the first `count` answered INVITEs at these desks, in the order on the wire."""

    def answered() -> list[tuple[int, OutgoingCall]]:
        calls = [call for desk in desks for call in desk.calls if call.reached is Wire.ANSWERED]
        stamps = [(call.stamp_of("INVITE"), call) for call in calls]
        return sorted((stamp.monotonic_ns, room.who(call)) for stamp, call in stamps if stamp is not None)

    await until(lambda: len(answered()) >= count, within_seconds, f"{count} calls answered")
    return [caller for _, caller in answered()[:count]]


async def sign_in_by_code(room: Room, index: int, **behaviour: Any) -> Desk:
    """An agent who dials *22: this needs no daemon."""
    desk = await room.desk(index, answering(**behaviour) if behaviour else None)
    await desk.dial("*22")
    return desk


@without_daemon
async def test_without_a_daemon_callers_are_served_in_the_order_of_joining(room: Room) -> None:
    """No daemon at all: one agent signed in by code gets the waiting callers one by one as they joined."""
    callers = await room.queue_up(5, LINE, apart_seconds=PLACE_SECONDS)
    ann = await sign_in_by_code(room, 1, talk_seconds=0.05)
    assert await served(room, [ann], 5, 15) == callers


@without_daemon
async def test_without_a_daemon_twenty_callers_all_reach_an_agent(room: Room) -> None:
    """Three agents take 20 waiting callers, in order but for a few places: app_queue lets each caller look for a free
    agent once a second, at a moment of its own."""
    callers = await room.queue_up(20, LINE)
    desks = await asyncio.gather(*(sign_in_by_code(room, n, talk_seconds=0.05) for n in (1, 2, 3)))
    order = await served(room, list(desks), 20, 40)
    assert sorted(map(callers.index, order)) == list(range(20))
    moved = [abs(position - callers.index(caller)) for position, caller in enumerate(order)]
    assert max(moved) <= 2 * len(desks) - 1


@without_daemon
async def test_without_a_daemon_999_is_first_and_unanswered_until_the_agent_answers(room: Room) -> None:
    """A 999 that came last is rung first; its caller hears ringing and gets no 200 before the agent's."""
    routine = await room.queue_up(3, LINE, apart_seconds=PLACE_SECONDS)
    emergency = room.caller("999")
    await emergency.ringing(5)
    ann = await sign_in_by_code(room, 1)
    call = await ann.offered()
    assert (room.who(call), emergency.state) == (emergency, Wire.RINGING)
    call.answer()
    await emergency.answered(5)
    await call.hang_up()
    following = await ann.answers()
    assert room.who(following) is routine[0]


@without_daemon
async def test_a_999_missed_without_a_daemon_rings_on(room: Room) -> None:
    """An unattended phone costs the 999 caller one ring; it stays unanswered and reaches the next agent."""
    ann = await sign_in_by_code(room, 1)
    emergency = room.caller("999")
    missed = await ann.offered()
    bob = await sign_in_by_code(room, 2)
    call = await bob.offered(14)
    assert (emergency.state, missed.cancelled) == (Wire.RINGING, True)
    call.answer()
    await emergency.answered(5)


@without_daemon
async def test_a_daemon_that_starts_finds_the_callers_in_the_fallback(room: Room) -> None:
    """Callers queued without the daemon are known to it once it starts, and each gets its terminal state."""
    callers = await room.queue_up(3, LINE, apart_seconds=PLACE_SECONDS)
    await room.live.start_daemon()
    for caller in callers:
        await room.until(lambda caller=caller: room.find(caller) is not None)  # type: ignore[misc]
    ann = await room.agent(1, answering(talk_seconds=0.1))
    assert await served(room, [ann], 3, 15) == callers
    for caller in callers:
        assert (await room.ended(caller)).outcome is CallOutcome.ANSWERED


@with_daemon
async def test_the_dead_man_moves_callers_from_a_hung_daemon(
    room: Room, expected_warnings: list[str]
) -> None:
    """A stopped daemon: within 3 s the switch queues its callers itself and they are served in order, 999 first; when
    the daemon goes on it records where they went, every call ends, and the one who still waited is answered."""
    expected_warnings.append("link")

    async def first_three_briefly(call: IncomingCall) -> None:
        call.ring()
        call.answer()
        if len(ann.calls) < 4 and await call.lasts(0.1):
            await call.hang_up()

    routine = await room.queue_up(3, LINE, apart_seconds=PLACE_SECONDS)
    [emergency] = await room.queue_up(1, "999")
    for caller in (*routine, emergency):
        await room.reaches(caller, CallState.WAITING)
    room.live.signal_daemon(signal.SIGSTOP)
    try:
        await until(lambda: room.live.channels().count("!Queue!") == 4, 4, "all four in the fallback")
        ann = await room.desk(1, first_three_briefly)
        await ann.dial("*22")
        assert await served(room, [ann], 3, 20) == [emergency, *routine[:2]]
    finally:
        room.live.signal_daemon(signal.SIGCONT)
    assert await served(room, [ann], 4, 10) == [emergency, *routine]
    still_waiting = routine[2]
    await room.until(lambda: room.record(still_waiting).connected_at is not None, 15)
    await ann.calls[3].hang_up()
    for caller in (emergency, *routine):
        await room.ended(caller, 15)
    why = {fact.why for fact in room.facts(facts.FallbackEntered)}
    assert why in ({"dead-man"}, {"dead-man", "entry"})
    assert room.record(still_waiting).outcome is CallOutcome.ANSWERED
    assert {room.record(caller).outcome for caller in (emergency, *routine)} <= {
        CallOutcome.ANSWERED,
        CallOutcome.ENDED_UNKNOWN,
    }


@with_daemon
async def test_a_talk_begun_in_the_fallback_is_recorded_when_the_daemon_goes_on(
    room: Room, expected_warnings: list[str]
) -> None:
    """A caller connected by the switch while the daemon hung: FallbackEntered, FallbackConnected and the end are recorded."""
    expected_warnings.append("link")
    jo = room.caller(LINE)
    await room.reaches(jo, CallState.WAITING)
    room.live.signal_daemon(signal.SIGSTOP)
    try:
        ann = await sign_in_by_code(room, 1)
        call = await ann.answers(10)
    finally:
        room.live.signal_daemon(signal.SIGCONT)
    await room.until(lambda: room.facts(facts.FallbackConnected), 10)
    assert [fact.why for fact in room.facts(facts.FallbackEntered)] == ["dead-man"]
    assert [fact.agent for fact in room.facts(facts.FallbackConnected)] == [ann.number]
    await call.hang_up()
    record = await room.ended(jo)
    assert (record.outcome, record.agent) == (CallOutcome.ANSWERED, ann.number)


@with_daemon
async def test_the_daemon_serves_again_after_the_fallback(room: Room) -> None:
    """The next caller is the daemon's, with no trace of the trouble before."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    assert await room.serve(ann) is jo
    assert room.facts(facts.FallbackEntered) == []

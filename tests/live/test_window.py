"""From an agent's answer to the native bridge, with the daemon killed at a random instant: nobody is left in silence.

Heard with ears: the caller hears music until they hear the agent, and the agent who is left alone is let go. Once both are in the
native bridge nothing of ours touches them.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

import pytest

from edge.core import facts
from edge.core.model import CallOutcome, CallState
from hwtest.useragent import CallState as Wire
from hwtest.useragent import IncomingCall, OutgoingCall
from tests.live.conftest import POLICY, finish
from tests.live.room import Desk, LiveLab, Room, until

LINE = "101_no_greeting"
WINDOW_SECONDS = 0.012
"""From the agent's 200 to the native bridge it takes some 5 ms, a few times that on a busy machine."""
SILENCE_DBM0 = -45.0
HEARD_WITHIN_SECONDS = 3.0

pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own: its daemon is killed over and over."""
    lab = LiveLab.up(tmp_path_factory.mktemp("window"), POLICY)
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """Of links that die."""
    return ["link", "outcome_unknown", "refused"]


async def kill_in_the_window(
    room: Room, ann: Desk, after_seconds: float
) -> tuple[OutgoingCall, IncomingCall]:
    """A caller, an agent who answers, and the daemon's death so long after it."""
    jo = room.caller(LINE, tone_hz=1000)
    call = await ann.offered(12)
    await jo.until(lambda: jo.leg.level_dbm0 > SILENCE_DBM0, 5)
    call.answer()
    await call.lasts(after_seconds)
    room.live.signal_daemon(signal.SIGKILL)
    return jo, call


async def hears_somebody(jo: OutgoingCall) -> None:
    """Music or the agent, now."""
    jo.leg.forget_heard()
    await until(
        lambda: jo.leg.level_dbm0 > SILENCE_DBM0, HEARD_WITHIN_SECONDS, "the caller hears music or the agent"
    )


async def try_once(room: Room, ann: Desk, after_seconds: float) -> bool:
    """One death in the window; whether the pair was together by then. In the end the caller has talked to the agent."""
    jo, call = await kill_in_the_window(room, ann, after_seconds)
    await hears_somebody(jo)
    await room.live.start_daemon()
    await until(lambda: jo.leg.hears(600) or call.state is Wire.ENDED, 8, "together, or the agent is let go")
    together = call.state is not Wire.ENDED
    await hears_somebody(jo)
    if not together:
        call = await ann.answers(8)
    await until(lambda: jo.leg.hears(600), 5, "the caller hears the agent")
    await until(lambda: call.leg.hears(1000), 5, "and the agent the caller")
    await room.reaches(jo, CallState.TALKING)
    await call.hang_up()
    assert (await room.ended(jo)).outcome is CallOutcome.ANSWERED
    return together


async def test_killed_between_answer_and_bridge(room: Room) -> None:
    """Three times, from the very answer on."""
    await many_times(room, 3, random.Random(7))


@pytest.mark.endurance
async def test_killed_between_answer_and_bridge_many_times(room: Room) -> None:
    """A hundred times at random instants."""
    await many_times(room, 100, random.Random())


async def many_times(room: Room, count: int, dice: random.Random) -> None:
    """So many deaths; each caller and agent finds the other, and nobody hears nothing for long."""
    ann = await room.agent(1, tone_hz=600)
    kept = 0
    for number in range(count):
        kept += await try_once(room, ann, dice.uniform(0.0, WINDOW_SECONDS) if number else 0.0)
    print(f"\n{count} deaths between answer and bridge: {kept} pairs together all the same")  # noqa: T201
    assert room.facts(facts.FallbackEntered) == []


async def test_a_conversation_outlives_everything_of_ours(room: Room) -> None:
    """In the native bridge: both hear each other through kill -9, SIGSTOP and SIGTERM of the daemon, and while none runs."""
    ann = await room.agent(1, tone_hz=600)
    jo = room.caller(LINE, tone_hz=1000)
    call = await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM):
        room.live.signal_daemon(number)
        for leg in (jo.leg, call.leg):
            leg.forget_heard()
        await until(lambda: jo.leg.hears(600) and call.leg.hears(1000), 3, "both hear each other")
        if number is signal.SIGSTOP:
            room.live.signal_daemon(signal.SIGCONT)
        else:
            await room.live.start_daemon()
    await call.hang_up()
    record = await room.ended(jo)
    assert (record.outcome, record.agent) == (CallOutcome.ANSWERED, ann.number)

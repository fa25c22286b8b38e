"""Too much at once, on the real switch: calls, events of either link, and a daemon that reads too slowly. docs/overload.md."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator

import aiohttp
import pytest

from edge.core import facts
from edge.core.model import CallOutcome, CallState
from edge.pbx.asterisk.ari.client import open_session
from hwtest.lab.configuration import merged
from hwtest.useragent import CallState as Wire
from hwtest.useragent import answering
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room, until
from tests.live.test_survival import prints

LINE = "101_no_greeting"
CALLS = 100
EVENTS = 10_000
SESSIONS, ON_THEIR_WAY = 4, 200
"""Of the flood: connections, and requests on their way at a time in each."""
TALK_SECONDS = 4.0
"""Longer than the daemon lags behind in a flood: who hangs up before it has heard of their answer has talked with nobody."""

pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own, which is flooded."""
    quiet = {"emergency": {"supervisors_after_seconds": 0.0, "buddy_after_seconds": 0.0}}
    lab = LiveLab.up(tmp_path_factory.mktemp("overload"), merged(POLICY, quiet))
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """A flood may cost the link."""
    return [
        "link",
        "an unanswered 999 has nowhere",
        "no 999 agent",
        "outcome_unknown",
        "probe.failed",
        "caller.not_taken",
    ]


@pytest.mark.endurance
async def test_a_hundred_calls_in_one_second(room: Room) -> None:
    """Every one is answered by the switch, has one place in the record, and is served in the order of the record; a 999 among
    them comes first."""
    callers = []
    began = time.monotonic()
    for number in range(CALLS):
        callers.append(room.caller("999" if number == CALLS // 2 else LINE))
        await callers[-1].lasts(max(0.0, began + (number + 1) / CALLS - time.monotonic()))
    took = time.monotonic() - began
    emergency = callers[CALLS // 2]
    routine = [caller for caller in callers if caller is not emergency]
    for caller in routine:
        await caller.answered(20)
    await room.until(
        lambda: len(room.facts(facts.CallQueued)) >= CALLS - _taken(room), 20, "everybody has a place"
    )
    prints(room, f"{CALLS} calls", within_seconds=took, taken_by_the_switchs_own_queue=_taken(room))
    desks = [await room.agent(index, answering(talk_seconds=0.05)) for index in (1, 2, 3, 4)]
    await until(lambda: all(caller.state is Wire.ENDED for caller in callers), 60, "everybody was served")
    reached = [room.who(call) for desk in desks for call in desk.calls if call.reached is Wire.ANSWERED]
    assert set(reached) == set(callers)
    await room.until(lambda: not room.live.state.calls, 15)
    records = [
        record for record in room.live.calls.calls.values() if record.caller_number in room.numbers.values()
    ]
    assert len(records) == CALLS
    assert {record.outcome for record in records} == {CallOutcome.ANSWERED}
    first = min((call for desk in desks for call in desk.calls), key=lambda call: call.trace[0].monotonic_ns)
    assert room.who(first) is emergency


def _taken(room: Room) -> int:
    """Callers whom nobody claimed in time."""
    return len(room.facts(facts.FallbackEntered))


async def flood_of_ari(live: LiveLab, count: int) -> float:
    """User events for our application, asked for over websockets of others (ARI's REST over websocket, which costs the switch a
    third of a request by HTTP), as fast as it takes them; events per second."""
    login, app = live.lab.ari, live.configuration.switch.app
    request = {"type": "RESTRequest", "method": "POST", "uri": f"events/user/Flood?application={app}"}
    each = count // SESSIONS

    async def flood(session: aiohttp.ClientSession, name: str) -> None:
        address = f"http://{login.host}:{login.port}/ari/events"
        room_for_one = asyncio.Semaphore(ON_THEIR_WAY)
        async with session.ws_connect(address, params={"app": name}, max_msg_size=0) as socket:

            async def read() -> None:
                done = 0
                while done < each:
                    answer = await socket.receive_json()
                    if answer["type"] == "RESTResponse":
                        assert answer["status_code"] == 204
                        done += 1
                        room_for_one.release()

            reading = asyncio.create_task(read())
            async with asyncio.timeout(60):
                for number in range(each):
                    await room_for_one.acquire()
                    await socket.send_json({**request, "request_id": str(number)})
                await reading

    async with open_session(login.user, login.password, SESSIONS) as session:
        began = time.monotonic()
        await asyncio.gather(*(flood(session, f"flood{number}") for number in range(SESSIONS)))
        return count / (time.monotonic() - began)


async def flood_of_ami(live: LiveLab, count: int) -> float:
    """User events that pass the manager's filter, in one connection and without waiting for answers; events per second."""
    login = live.lab.ami
    reader, writer = await asyncio.open_connection(login.host, login.port)
    hello = f"Action: Login\r\nUsername: {login.user}\r\nSecret: {login.password}\r\nEvents: off\r\n\r\n"
    writer.write(hello.encode())
    began = time.monotonic()
    done = 0

    async def read() -> None:
        nonlocal done
        while done <= count:
            done += (await reader.readuntil(b"\r\n\r\n")).count(b"Response: Success")

    reading = asyncio.create_task(read())
    for start in range(0, count, 100):
        writer.write(b"Action: UserEvent\r\nUserEvent: EdgeFlood\r\n\r\n" * min(100, count - start))
        await writer.drain()
    await asyncio.wait_for(reading, 60)
    writer.close()
    return count / (time.monotonic() - began)


FLOODS = {"ARI": flood_of_ari, "AMI": flood_of_ami}


@pytest.mark.endurance
@pytest.mark.parametrize("which", FLOODS)
async def test_a_flood_of_events(room: Room, which: str) -> None:
    """Ten thousand events as fast as the switch sends them: callers who come meanwhile are answered and reach an agent, those who
    waited keep their places, and the daemon is the same afterwards."""
    running = room.live.daemon
    waiting = await room.queue_up(3, LINE)
    for caller in waiting:
        await room.reaches(caller, CallState.WAITING)
    flood = asyncio.create_task(FLOODS[which](room.live, EVENTS))
    late = room.caller(LINE)
    ann = await room.agent(1, answering(talk_seconds=TALK_SECONDS))
    for caller in (*waiting, late):
        await caller.ended(30)
    rate = await flood
    prints(room, f"flood of {which}", events_per_second=rate)
    served = [room.who(call) for call in ann.calls if call.reached is Wire.ANSWERED]
    people = [*waiting, late]
    assert set(served) == set(people)
    connected = [fact.call_id for fact in room.facts(facts.CallConnected)]
    assert connected == [room.record(caller).call_id for caller in people]
    assert room.live.daemon == running
    for caller in people:
        assert (await room.ended(caller)).outcome is CallOutcome.ANSWERED
    assert [
        c for c in people if room.record(c).call_id in {f.call_id for f in room.facts(facts.FallbackEntered)}
    ] == []


@pytest.mark.endurance
async def test_a_daemon_that_reads_too_slowly(room: Room) -> None:
    """Stopped in the middle of a flood, with more unread than the switch holds back for it: the switch ends the connection; woken
    up, the daemon looks again, and whoever is still there has the old place."""
    running = room.live.daemon
    waiting = await room.queue_up(3, LINE)
    for caller in waiting:
        await room.reaches(caller, CallState.WAITING)
    room.live.signal_daemon(signal.SIGSTOP)
    try:
        rate = await flood_of_ari(room.live, 3 * EVENTS)
    finally:
        room.live.signal_daemon(signal.SIGCONT)
    prints(room, "flood at a daemon that is stopped", events_per_second=rate)
    jo = room.caller(LINE)
    ann = await room.agent(1, answering(talk_seconds=TALK_SECONDS))
    for caller in (*waiting, jo):
        await caller.ended(30)
    served = [room.who(call) for call in ann.calls if call.reached is Wire.ANSWERED]
    assert [caller for caller in served if caller is not jo] == waiting
    assert (
        jo in served
    )  # maybe before them: who comes while the daemon catches up is the switch's own queue's
    assert room.live.daemon == running
    for caller in served:
        assert (await room.ended(caller, 15)).outcome is CallOutcome.ANSWERED

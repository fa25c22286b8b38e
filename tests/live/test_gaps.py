"""Times without sight of the switch: calls that come and go in them are in the record, once, with the switch's own times.

One lab, whose daemon is killed. Times of the record are compared with the stamps of the phones' own messages on the wire.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import Blindness, Bound, CallOutcome, CallState, Side
from edge.core.promise import TaskKind
from edge.heartbeat import Heartbeat
from hwtest.useragent import Call
from tests.live.conftest import POLICY, finish
from tests.live.room import LiveLab, Room

LINE = "101_no_greeting"
WIRE_SECONDS = 0.05
"""How far the record may be from the wire."""
pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own: here the daemon is killed."""
    lab = LiveLab.up(tmp_path_factory.mktemp("gaps"), POLICY)
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """A 999 that nobody answers, and the tasks that come of it."""
    return ["alarm", "link"]


def utc_seconds(told: dict[str, Any] | None) -> float:
    """A time of the command line's JSON."""
    assert told is not None
    return datetime.fromisoformat(told["utc"]).timestamp()


def wire_seconds(call: Call, label: str, method: str | None = None) -> float:
    """When the first such message of a call was on the wire, or the last of its trace for `label` "end"."""
    stamp = call.trace[-1] if label == "end" else call.stamp_of(label, method)
    assert stamp is not None, f"no {label} on the wire"
    return stamp.utc_ns / 1e9


def signs_of_life_since_last_fact(live: LiveLab) -> bool:
    """Whether the daemon has left one beside the ledger."""
    heartbeat = Heartbeat.beside(live.lab.ledger)
    sign = None if heartbeat is None else heartbeat.read()
    return sign is not None and sign.at.monotonic_ns > live.entries[-1].at.monotonic_ns


async def calls_of(room: Room) -> dict[str, dict[str, Any]]:
    """`edge calls --json`, by the caller's number."""
    shown = await asyncio.to_thread(room.live.edge, "calls", "--json", "--numbers", "--last", "50")
    return {call["caller_number"]: call for call in json.loads(shown.stdout)["calls"]}


@pytest.fixture
async def told(room: Room) -> int:
    """How many gaps have been traced before the test: the daemon that started just now has a gap of its own."""
    await room.until(lambda: not room.live.state.untraced, 15, "every gap is traced")
    return len(room.facts(facts.GapTraced))


async def traced(room: Room, before: int) -> list[facts.GapTraced]:
    """What was read of the gaps since then, when it was."""
    await room.until(lambda: len(room.facts(facts.GapTraced)) > before, 15, "the trace is read")
    await room.until(lambda: not room.live.state.untraced, 15, "every gap is traced")
    return room.facts(facts.GapTraced)[before:]


async def test_three_calls_that_nobody_saw(room: Room, told: int) -> None:
    """The daemon is dead: one caller is answered by an agent, one gives up, a 999 gives up. All three are in the record with the
    times of the wire, marked with their source; the 999 is a task for a human; a second reading adds nothing."""
    ann = await room.agent(1)
    await room.until(
        lambda: signs_of_life_since_last_fact(room.live), 5, "a sign of life after the last fact"
    )
    await room.live.lose_daemon()
    jo = room.caller(LINE)
    served = await ann.answers()
    assert await jo.lasts(0.7)
    await served.hang_up()
    await jo.until(lambda: jo.state.name == "ENDED", 5)
    await ann.dial("*251")
    quitter = room.caller(LINE)
    await quitter.answered(5)
    assert await quitter.lasts(1.2)
    await quitter.hang_up()
    emergency = room.caller("999")
    await emergency.ringing(5)
    assert await emergency.lasts(1.0)
    await emergency.hang_up()
    await room.live.start_daemon()
    [gap] = await traced(room, told)
    assert (gap.calls_added, gap.calls_unknown, gap.complete, gap.detail) == (3, 0, True, "")
    ended = room.facts(facts.GapEnded)[-1]
    assert (ended.why, ended.bound, ended.calls) == (Blindness.DAEMON_DEAD, Bound.HEARTBEAT, ())

    found = await calls_of(room)
    for caller in (jo, quitter, emergency):
        call = found[room.numbers[caller]]
        assert (call["traced_by"], call["came_unseen"]) == ("CEL", True)
        assert utc_seconds(call["arrived"]) == pytest.approx(wire_seconds(caller, "INVITE"), abs=WIRE_SECONDS)
        hung_up = wire_seconds(caller, "CANCEL" if caller is emergency else "BYE")
        assert utc_seconds(call["ended"]) == pytest.approx(hung_up, abs=WIRE_SECONDS)
    call = found[room.numbers[jo]]
    assert (call["outcome"], call["agent"], call["side"]) == ("answered", "4001", "agent")
    assert utc_seconds(call["connected"]) == pytest.approx(
        wire_seconds(served, "200", "INVITE"), abs=WIRE_SECONDS
    )
    talked = wire_seconds(served, "BYE") - wire_seconds(served, "200", "INVITE")
    assert call["talked_seconds"] == pytest.approx(talked, abs=WIRE_SECONDS)
    call = found[room.numbers[quitter]]
    assert (call["outcome"], call["side"], call["stage"]) == ("abandoned", "caller", "fallback")
    call = found[room.numbers[emergency]]
    assert (call["outcome"], call["tier"]) == ("abandoned", "999")
    [task] = room.facts(facts.TaskOpened)
    assert (task.kind, task.number) == (TaskKind.ABANDONED_999, f"+44{room.numbers[emergency][1:]}")

    before = len(room.facts(facts.CallTraced))
    await room.live.lose_daemon()
    await room.live.start_daemon()
    [again] = await traced(room, told + 1)
    assert (again.calls_added, again.calls_corrected) == (0, 0)
    assert len(room.facts(facts.CallTraced)) == before
    assert sorted(await calls_of(room)) == sorted(found)
    shown = json.loads((await asyncio.to_thread(room.live.edge, "gaps", "--json")).stdout)
    assert shown["completeness"]["calls_traced"] >= 3
    assert 0.0 < shown["completeness"]["seen_share"] < 1.0
    story = await asyncio.to_thread(room.live.edge, "call", call["call_id"], "--json")
    assert "known from the switch's own record (CEL)" in story.stdout


async def test_what_became_of_those_whom_the_daemon_knew(room: Room, told: int) -> None:
    """Killed with one talking and one waiting: the talk ends, and who waited gives up. Both get their real ends."""
    ann = await room.agent(1)
    talking = room.caller(LINE)
    call = await ann.answers()
    await room.reaches(talking, CallState.TALKING)
    await ann.dial("*251")
    waiting = room.caller(LINE)
    await room.reaches(waiting, CallState.WAITING)
    room.live.signal_daemon(signal.SIGKILL)
    assert await waiting.lasts(0.5)
    await talking.hang_up()
    await waiting.hang_up()
    await call.ended(5)
    await room.live.start_daemon()
    [gap] = await traced(room, told)
    assert (gap.calls_added, gap.calls_corrected, gap.calls_unknown) == (0, 2, 0)
    found = await calls_of(room)
    for caller, outcome in ((talking, "answered"), (waiting, "abandoned")):
        shown = found[room.numbers[caller]]
        assert (shown["outcome"], shown["side"], shown["unseen_since"]) == (outcome, "caller", None)
        assert (shown["traced_by"], shown["came_unseen"]) == ("CEL", False)
        assert utc_seconds(shown["ended"]) == pytest.approx(wire_seconds(caller, "BYE"), abs=WIRE_SECONDS)


@pytest.mark.endurance
async def test_a_999_that_the_fallback_answered_is_offered_to_nobody_as_lost(room: Room, told: int) -> None:
    """Killed while it waited, answered in the switch's own queue, over when the daemon is back: a task of who answered."""
    emergency = room.caller("999")
    await room.reaches(emergency, CallState.WAITING)
    await room.live.lose_daemon()
    ann = await room.agent(1)
    call = await ann.answers(30)
    assert room.who(call) is emergency
    assert await emergency.lasts(0.5)
    await call.hang_up()
    await room.live.start_daemon()
    await traced(room, told)
    call_id = room.record(emergency).call_id
    assert room.live.state.tasks[call_id].kind is TaskKind.LOST
    assert room.live.state.tasks[call_id].assigned_to == ann.number
    assert [made for made in room.facts(facts.TaskOffered) if made.task_id == call_id] == []


async def test_a_talk_that_goes_on_began_when_it_began(room: Room, told: int) -> None:
    """Connected by the fallback while the daemon was dead, and talking still when it is back: the times are the real ones."""
    await room.live.lose_daemon()
    jo = room.caller(LINE)
    ann = await room.agent(1)
    call = await ann.answers()
    assert await jo.lasts(1.0)
    await room.live.start_daemon()
    await traced(room, told)
    await call.hang_up()
    await room.ended(jo)
    shown = (await calls_of(room))[room.numbers[jo]]
    assert utc_seconds(shown["connected"]) == pytest.approx(
        wire_seconds(call, "200", "INVITE"), abs=WIRE_SECONDS
    )
    assert utc_seconds(shown["arrived"]) == pytest.approx(wire_seconds(jo, "INVITE"), abs=WIRE_SECONDS)
    talked = wire_seconds(call, "BYE") - wire_seconds(call, "200", "INVITE")
    assert shown["talked_seconds"] == pytest.approx(talked, abs=2 * WIRE_SECONDS)
    assert (shown["outcome"], shown["agent"]) == ("answered", ann.number)


async def test_a_daemon_that_stood_still_has_a_gap(room: Room, told: int) -> None:
    """Stopped for two seconds and let go on: the time is a gap, and who called meanwhile is in the record."""
    await room.until(lambda: room.live.state.sight)
    room.live.signal_daemon(signal.SIGSTOP)
    jo = room.caller(LINE)
    await jo.answered(5)
    assert await jo.lasts(1.5)
    await jo.hang_up()
    room.live.signal_daemon(signal.SIGCONT)
    hung = Blindness.DAEMON_HUNG
    await room.until(
        lambda: [gap for gap in room.facts(facts.GapEnded) if gap.why is hung and gap.seconds > 1.5], 10
    )
    await traced(room, told)
    record = await room.ended(jo)
    assert (record.outcome, record.side) == (CallOutcome.ABANDONED, Side.CALLER)

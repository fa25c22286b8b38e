"""Ring-back tasks on the wire: at handlers' phones in order, 999 first, and nobody dialled but by a handler's key."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import AgentState, CallState, TaskOfferState
from edge.core.promise import TaskAttemptOutcome, TaskKind, TaskOutcome
from hwtest.lab.configuration import merged
from hwtest.useragent import IncomingCall, Media, OutgoingCall, UserAgent
from tests.live.conftest import POLICY, finish
from tests.live.room import Desk, LiveLab, Room, milliseconds, until

LINE = "101_no_greeting"
AGAIN_SECONDS = 2.0
OWN: dict[str, Any] = {
    "callback": {"idle_agents": 0},
    "tasks": {
        "abandoned_101_after_seconds": 0.5,
        "offered": ["lost", "abandoned_999", "abandoned_101"],
        "again_seconds": AGAIN_SECONDS,
        "offer_seconds": 6.0,
        "choose_seconds": 8.0,
        "dial_seconds": 6.0,
    },
    "emergency": {"supervisors_after_seconds": 0.0, "buddy_after_seconds": 0.0},
}
pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own: what callers leave behind comes to handlers' phones."""
    lab = LiveLab.up(tmp_path_factory.mktemp("tasks"), merged(POLICY, OWN))
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """Of a switch that was killed, and of a 999 that has nobody but the agents."""
    return ["link", "no 999 agent", "an unanswered 999", "outcome_unknown", "task overdue", "probe.failed"]


@pytest.fixture(autouse=True)
async def no_task_is_left(room: Room, daemon_runs: None) -> AsyncIterator[None]:
    """What a test leaves on the list is closed, so that the next begins with none."""
    yield
    room.live.follow()
    for task_id in list(room.live.state.tasks):
        room.live.edge("tasks", "close", task_id, "--outcome", "no_need", "--by", "test")
    await room.until(lambda: not room.live.state.tasks)


class People:
    """The persons behind public numbers: every call that comes to the lab's callee, in order."""

    def __init__(self, agent: UserAgent) -> None:
        self.calls: list[IncomingCall] = []
        self._taken = 0
        self.refuse_with: int | None = None
        agent.on_invite = self._take

    def _take(self, call: IncomingCall) -> None:
        self.calls.append(call)
        if self.refuse_with is None:
            call.ring()
        else:
            call.reject(self.refuse_with)

    async def rung(self) -> IncomingCall:
        """The next call to any of them."""
        await until(lambda: len(self.calls) > self._taken, 8, "a person's phone rings")
        self._taken += 1
        return self.calls[self._taken - 1]


@pytest.fixture
async def people(live: LiveLab) -> AsyncIterator[People]:
    """The far end of the trunk; persons speak a tone of 700 Hz."""
    async with UserAgent(
        live.lab.callee.host, live.lab.callee.port, user="people", media=Media("tone", 700)
    ) as far:
        yield People(far)


async def gives_up(room: Room, line: str = LINE) -> tuple[str, OutgoingCall]:
    """A caller waits a second, and hangs up: a task. Returns its id."""
    caller = room.caller(line)
    await (caller.ringing if line == "999" else caller.answered)(5)
    await room.reaches(caller, CallState.WAITING)
    assert await caller.lasts(0.8)
    await caller.hang_up()
    record = await room.ended(caller)
    await room.until(lambda: record.call_id in room.live.state.tasks)
    return record.call_id, caller


async def asked(room: Room, desk: Desk) -> IncomingCall:
    """The desk answers for a task, and is asked what to do."""
    call = await desk.answers()
    await room.until(
        lambda: any(
            offer.agent == desk.number and offer.state is TaskOfferState.CHOOSING
            for offer in room.live.state.task_offers.values()
        )
    )
    return call


def dialled(person: IncomingCall) -> str:
    """The number to which a person's phone was rung."""
    return person.invite.uri.removeprefix("sip:").partition("@")[0]


async def test_key_1_rings_the_person_and_the_handler_talks_with_them(room: Room, people: People) -> None:
    """The phone shows what it is; the agent hears it ring; both hear each other; the handler closes it by code."""
    task_id, jo = await gives_up(room)
    ann = await room.agent(1, tone_hz=440)
    offer = await ann.offered()
    assert offer.caller_name.startswith(b"RING BACK 101 abandoned")
    assert offer.header("X-Edge-Task") == task_id
    assert offer.caller_number == room.numbers[jo]
    offer.answer()
    await until(lambda: offer.leg.level_dbm0 > -50, what="the agent hears what it is")
    await room.until(lambda: room.facts(facts.TaskOfferAnswered))
    assert people.calls == []
    offer.leg.send_digits("1")
    person = await people.rung()
    assert dialled(person) == room.numbers[jo]
    assert room.live.configuration.callback is not None
    assert person.caller_number == room.live.configuration.callback.show_number
    offer.leg.forget_heard()
    await until(lambda: offer.leg.level_dbm0 > -50, what="the agent hears it ring")
    person.answer()
    await room.until(lambda: room.facts(facts.TaskReached))
    for leg in (person.leg, offer.leg):
        leg.forget_heard()
    await until(lambda: person.leg.hears(440), what="the person hears the agent")
    await until(lambda: offer.leg.hears(700), what="the agent hears the person")
    await person.hang_up()
    await offer.ended(5)
    await room.becomes(ann, AgentState.READY)
    [ended] = room.facts(facts.TaskAttemptEnded)
    assert (ended.outcome, ended.talked_seconds > 0) == (TaskAttemptOutcome.SPOKEN, True)
    shown = json.loads(room.live.edge("tasks", "show", task_id, "--json").stdout)
    assert [attempt["outcome"] for attempt in shown["rung"]] == ["spoken"]
    await ann.dial("*38")
    await room.until(lambda: task_id not in room.live.state.tasks)
    [closed] = room.facts(facts.TaskClosed)
    assert (closed.by, closed.outcome) == (ann.number, TaskOutcome.REACHED)
    assert len(people.calls) == 1


@pytest.mark.parametrize(
    ("status", "outcome"), [(486, TaskAttemptOutcome.BUSY), (404, TaskAttemptOutcome.FAILED)]
)
async def test_a_person_who_is_not_reached_is_a_fact_on_the_task(
    room: Room, people: People, status: int, outcome: TaskAttemptOutcome
) -> None:
    """It is offered again after a while, and rung again only by another key."""
    people.refuse_with = status
    task_id, _ = await gives_up(room)
    ann = await room.agent(1)
    for attempt in (1, 2):
        offer = await asked(room, ann)
        offer.leg.send_digits("1")
        await offer.ended(5)
        await room.until(lambda n=attempt: len(room.facts(facts.TaskOfferEnded)) == n)  # type: ignore[misc]
        assert len(people.calls) == attempt
    assert [ended.outcome for ended in room.facts(facts.TaskAttemptEnded)] == [outcome] * 2
    assert room.live.state.tasks[task_id].assigned_to is None

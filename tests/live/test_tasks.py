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
from hwtest.useragent import CallEnded, IncomingCall, Media, OutgoingCall, SipError, UserAgent
from hwtest.useragent import CallState as Wire
from tests.live.conftest import POLICY, finish
from tests.live.people import People, close_tasks, dialled
from tests.live.room import Desk, LiveLab, Room, milliseconds, until

LINE = "101_no_greeting"
AGAIN_SECONDS = 2.0
OWN: dict[str, Any] = {
    "callback": {"idle_agents": 0},
    "tasks": {
        "abandoned_101_after_seconds": 0.5,
        "offered": ["lost", "abandoned_999", "abandoned_101"],
        "again_seconds": AGAIN_SECONDS,
        "offer_seconds": 15.0,
        "choose_seconds": 12.0,
        "dial_seconds": 30.0,
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
    await close_tasks(room.live)


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
    """The desk answers for a task, and is asked what to do. Raises CallEnded where it is withdrawn as it is answered."""
    call = await desk.answers()

    def is_asked() -> bool:
        return any(
            offer.agent == desk.number and offer.state is TaskOfferState.CHOOSING
            for offer in room.live.state.task_offers.values()
        )

    await room.until(lambda: is_asked() or call.state is Wire.ENDED)
    if not is_asked():
        raise CallEnded(call.status)
    return call


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


async def test_key_2_takes_the_task_and_a_hang_up_leaves_it_for_the_next(room: Room, people: People) -> None:
    """Nobody is dialled by either; who has declined it is not asked again before somebody else."""
    task_id, _ = await gives_up(room)
    ann = await room.agent(1)
    first = await asked(room, ann)
    await first.hang_up()
    await room.until(lambda: room.facts(facts.TaskOfferEnded))
    bob = await room.agent(2)
    second = await asked(room, bob)
    second.leg.send_digits("2")
    await second.ended(5)
    await room.until(lambda: room.live.state.tasks[task_id].assigned_to == bob.number)
    assert (len(ann.calls), len(bob.calls), people.calls) == (1, 1, [])


async def test_without_a_key_it_goes_back_to_its_place(room: Room, people: People) -> None:
    """The agent is let go, and asked again after a while."""
    await gives_up(room)
    ann = await room.agent(1)
    first = await asked(room, ann)
    await first.ended(15)
    await room.becomes(ann, AgentState.READY)
    await ann.offered()
    assert people.calls == []


async def test_a_withheld_number_cannot_be_rung(room: Room, people: People) -> None:
    """The phone shows that it is withheld; key 1 rings nobody, key 2 takes it."""
    room.caller(LINE, from_user="anonymous")
    await room.until(lambda: room.live.state.calls)
    [call_id] = room.live.state.calls
    caller = next(iter(room.callers.calls.values()))
    assert isinstance(caller, OutgoingCall)
    await caller.answered(5)
    assert await caller.lasts(0.8)
    await caller.hang_up()
    await room.until(lambda: call_id in room.live.state.tasks)
    ann = await room.agent(1)
    offer = await asked(room, ann)
    assert offer.caller_number == "withheld"
    offer.leg.send_digits("12")
    await offer.ended(5)
    await room.until(lambda: room.live.state.tasks[call_id].assigned_to == ann.number)
    assert people.calls == []


async def test_a_999_takes_the_agent_who_is_asked(room: Room, people: People) -> None:
    """Their phone is free at once and rings for it; the task keeps its place."""
    task_id, _ = await gives_up(room)
    ann = await room.agent(1)
    offer = await asked(room, ann)
    emergency = room.caller("999")
    call = await ann.answers()
    await room.reaches(emergency, CallState.TALKING)
    assert milliseconds(emergency, "INVITE", call, "INVITE") < 2000
    assert room.live.state.tasks[task_id].declined_by == {}
    await offer.ended(5)
    await call.hang_up()
    await room.ended(emergency)
    again = await asked(room, ann)
    again.leg.send_digits("2")
    await again.ended(5)
    assert people.calls == []


async def test_a_handler_who_asks_has_the_next_at_once(room: Room, people: People) -> None:
    """By code, also while not ready: the phone rings as soon as the code's own call is over."""
    ann = await room.agent(1)
    await ann.dial("*25")
    await room.becomes(ann, AgentState.NOT_READY)
    task_id, _ = await gives_up(room)
    assert ann.calls == []
    await ann.dial("*37")
    offer = await asked(room, ann)
    assert offer.header("X-Edge-Task") == task_id
    offer.leg.send_digits("2")
    await offer.ended(5)
    await room.until(lambda: room.live.state.tasks[task_id].assigned_to == ann.number)
    assert people.calls == []


async def test_a_task_that_is_taken_elsewhere_stops_ringing(room: Room) -> None:
    """Assigned or closed at the command line while it rings and while it is asked about."""
    task_id, _ = await gives_up(room)
    other_id, _ = await gives_up(room)
    ann = await room.agent(1)
    ringing = await ann.offered()
    room.live.edge("tasks", "assign", task_id, "--to", "Sue", "--by", "Sue")
    await ringing.ended(5)
    choosing = await asked(room, ann)
    room.live.edge("tasks", "close", other_id, "--outcome", "no_need", "--by", "Sue")
    await choosing.ended(5)
    await room.becomes(ann, AgentState.READY)


@pytest.mark.parametrize(
    "stage",
    [
        pytest.param("rings", marks=pytest.mark.endurance),
        "asked",
        "dialling",
        pytest.param("talking", marks=pytest.mark.endurance),
    ],
)
async def test_the_daemon_is_killed_at_every_step(room: Room, people: People, stage: str) -> None:
    """kill -9: never a second dial. What rang or asked is begun anew; what is dialled is the switch's own, and goes on."""
    task_id, _ = await gives_up(room)
    ann = await room.agent(1, tone_hz=440)
    offer = await ann.offered()
    if stage != "rings":
        offer.answer()
        await room.until(lambda: room.facts(facts.TaskOfferAnswered))
    person = None
    if stage in ("dialling", "talking"):
        offer.leg.send_digits("1")
        person = await people.rung()
    if stage == "talking" and person is not None:
        person.answer()
        await room.until(lambda: room.facts(facts.TaskReached))
    room.live.signal_daemon(signal.SIGKILL)
    await room.live.start_daemon()
    if person is None:
        await offer.ended(8)
        again = await asked(room, ann)
        assert again.header("X-Edge-Task") == task_id
        again.leg.send_digits("2")
        await again.ended(5)
        assert people.calls == []
        return
    if stage == "dialling":
        person.answer()
        await room.until(lambda: room.facts(facts.TaskReached))
    person.leg.forget_heard()
    await until(lambda: person.leg.hears(440), what="the person hears the agent")
    await person.hang_up()
    await offer.ended(5)
    await room.until(lambda: room.facts(facts.TaskAttemptEnded))
    assert [ended.outcome for ended in room.facts(facts.TaskAttemptEnded)] == [TaskAttemptOutcome.SPOKEN]
    assert room.live.state.tasks[task_id].assigned_to == ann.number
    assert len(people.calls) == 1


@pytest.mark.parametrize(
    "delays_seconds",
    [
        pytest.param((0.12, 0.16, 0.3), id="three times"),
        pytest.param((0.1, 0.12, 0.14, 0.16, 0.2, 0.3), marks=pytest.mark.endurance, id="six times"),
    ],
)
async def test_the_daemon_is_killed_as_the_key_is_pressed(
    room: Room, people: People, delays_seconds: tuple[float, ...]
) -> None:
    """Again and again, at the worst moment: for each intent at most one INVITE, whatever the disk and the switch had of it."""
    people.refuse_with = 486
    callers = dict([await gives_up(room) for _ in range(3)])
    ann = await room.agent(1)
    for delay_seconds in delays_seconds:
        offer = await _asked_at_last(room, ann)
        offer.leg.send_digits("1")
        with contextlib.suppress(SipError):
            await offer.lasts(delay_seconds)
        room.live.signal_daemon(signal.SIGKILL)
        await room.live.start_daemon()
        await offer.ended(10)
    rung = [dialled(person) for person in people.calls]
    for task_id, caller in callers.items():
        attempts = [fact for fact in room.facts(facts.TaskDialled) if fact.task_id == task_id]
        meant = [fact for fact in room.facts(facts.TaskAttempted) if fact.task_id == task_id]
        assert rung.count(room.numbers[caller]) <= len(attempts) <= len(meant)
    assert len(rung) <= len(delays_seconds)


async def _asked_at_last(room: Room, desk: Desk) -> IncomingCall:
    """The next INVITE for a task that is not withdrawn before it is answered."""
    while True:
        with contextlib.suppress(SipError):
            return await asked(room, desk)


async def _takes_tasks(room: Room, desk: Desk, people: People, emergency: str) -> None:
    """The handler answers each task: rings the person of the 999, takes the others."""
    while True:
        offer = await desk.answers(20)
        offer_id = f"task-{offer.header('X-Edge-Task')}.1"
        await room.until(
            lambda offer_id=offer_id: (  # type: ignore[misc]
                (at := room.live.state.task_offers.get(offer_id)) is not None
                and at.state is TaskOfferState.CHOOSING
            )
        )
        if offer.header("X-Edge-Task") == emergency:
            offer.leg.send_digits("1")
            person = await people.rung()
            person.answer()
            await room.until(lambda: room.facts(facts.TaskReached))
            await person.hang_up()
        else:
            offer.leg.send_digits("2")
        await offer.ended(5)


async def test_the_switch_dies_with_everybody_on_it(room: Room, people: People) -> None:
    """kill -9 of Asterisk with five waiting and two talking: the agents' phones have the tasks in order, 999 first; key 1 of one
    reaches the person, key 2 of the others takes them; nobody is dialled by a machine."""
    ann, bob = await room.agent(1), await room.agent(2)
    talking = []
    for desk in (ann, bob):
        talking.append(caller := room.caller(LINE))
        await desk.answers()
        await room.reaches(caller, CallState.TALKING)
    waiting = await room.queue_up(2, LINE) + await room.queue_up(1, "999") + await room.queue_up(2, LINE)
    for caller in waiting:
        await room.reaches(caller, CallState.WAITING)
    for desk in (ann, bob):
        await until(lambda desk=desk: room.live.has_kept(desk.number))  # type: ignore[misc]
    joined = [room.record(caller).call_id for caller in (*talking, *waiting)]
    emergency = room.record(waiting[2]).call_id
    room.live.asterisk.kill()
    await room.until(lambda: room.facts(facts.SwitchLost))
    for phone in (room.callers, ann.phone.agent, bob.phone.agent):
        for lost in list(phone.calls.values()):
            lost.abandon()
    await room.live.start_asterisk()
    await room.until(lambda: room.facts(facts.SwitchRestored), 15)
    work = [asyncio.create_task(_takes_tasks(room, desk, people, emergency)) for desk in (ann, bob)]
    try:
        await asyncio.gather(ann.phone.start(), bob.phone.start())
        await room.until(
            lambda: (
                len(room.live.state.tasks) == len(joined)
                and all(task.assigned_to for task in room.live.state.tasks.values())
            ),
            60,
            "every task is somebody's",
        )
    finally:
        for task in work:
            task.cancel()
        ended = await asyncio.gather(*work, return_exceptions=True)
    assert [end for end in ended if not isinstance(end, asyncio.CancelledError)] == []
    assert {task.kind for task in room.facts(facts.TaskOpened)} == {TaskKind.LOST}
    order = [emergency, *(call_id for call_id in joined if call_id != emergency)]
    assert [offered.task_id for offered in room.facts(facts.TaskOffered)] == order
    assert [dialled(person) for person in people.calls] == [room.numbers[waiting[2]]]
    assert room.live.state.tasks[emergency].attempts[0].outcome is TaskAttemptOutcome.SPOKEN

"""A full room, and what may happen to it at once: the daemon killed, the daemon stopped, the switch killed.

The sizes are those of a bad night: 101 callers on the line, agents whose phones ring, pairs who talk, call-backs in every state.
Verdicts are counts and orders; the one time that is judged (dispatch again within 2 s) is measured where nothing runs beside it.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from edge.core import facts
from edge.core.model import CallOutcome, CallState, TaskOfferState
from edge.core.promise import TaskKind
from hwtest.bench.numbers import comparable
from hwtest.lab.configuration import merged
from hwtest.useragent import CallState as Wire
from hwtest.useragent import IncomingCall, OutgoingCall, UserAgent, answering
from tests.live.conftest import POLICY, finish
from tests.live.people import (
    People,
    accept,
    at_most_one_at_a_time,
    cancel_callbacks,
    close_tasks,
    dialled,
    press_through,
    reaches_state,
)
from tests.live.room import Desk, LiveLab, Room, until
from tests.live.test_fallback import PLACE_SECONDS, served
from tests.live.test_survival import prints

LINE = "101_no_greeting"
MASS, BRIEF, PROMISED = "1041", "1042", "1043"
"""Lines whose queues have agents of their own: 4001 to 4004 (the second line with a brief dead-man), and 4005 to 4008."""
DEAD_MAN_SECONDS = 5.0
CALLERS = 101
AGENTS = 12
FLEETING = 0.05
"""How long a talk lasts that is only there to be over."""


def _policy() -> dict[str, Any]:
    soon = {
        "enabled": True,
        "offer_above_seconds": 0.0,  # the talks of tests are so short that no long wait is expected
        "offer_below_seconds": 0.0,
        "offer_every_seconds": 5.0,
        "handling_seconds": 60.0,
        "spacing_seconds": 1.0,
        "ring_seconds": 30.0,
        "attempts": 5,
    }
    skills = {str(4001 + index): "mass" if index < 4 else "promised" for index in range(8)}
    own: dict[str, Any] = {
        "callback": {"idle_agents": 0},
        "emergency": {"supervisors_after_seconds": 0.0, "buddy_after_seconds": 0.0},
        "queue": {
            "mass": {"skills": ["mass"], "wrap_up_seconds": 0.0, "offer_seconds": 30.0},
            "promised": {
                "skills": ["promised"],
                "wrap_up_seconds": 0.0,
                "offer_seconds": 30.0,
                "callback": soon,
            },
        },
        "line": {
            "mass": {"number": MASS, "tier": "101", "queue": "mass"},
            "brief-dead-man": {
                "number": BRIEF,
                "tier": "101",
                "queue": "mass",
                "dead_man_seconds": DEAD_MAN_SECONDS,
            },
            "promised": {"number": PROMISED, "tier": "101", "queue": "promised"},
        },
        "agent": {number: {"skills": {skill: 1}} for number, skill in skills.items()},
    }
    return merged(POLICY, own)


pytestmark = pytest.mark.usefixtures("daemon_runs")


@pytest.fixture
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab of its own with twelve agents, for each test: after another's fleeting talks no long wait is expected, and nobody is
    offered a call-back."""
    lab = LiveLab.up(tmp_path_factory.mktemp("crash"), _policy(), agents=AGENTS)
    yield lab
    finish(lab)


@pytest.fixture
def expected_warnings() -> list[str]:
    """Of links that die and daemons that wake up."""
    return [
        "an unanswered 999 has nowhere",
        "link",
        "caller.not_taken",
        "outcome_unknown",
        "probe.failed",
        "refused",
        "no 999 agent",
        "999 unanswered",
    ]


@pytest.fixture(autouse=True)
async def no_promise_is_left(room: Room, daemon_runs: None) -> AsyncIterator[None]:
    """What a test leaves on the lists is cancelled and closed, so that the next begins with none."""
    yield
    await cancel_callbacks(room.live)
    await close_tasks(room.live)


@pytest.fixture
async def people(live: LiveLab) -> AsyncIterator[People]:
    """Who is called back."""
    async with UserAgent(live.lab.callee.host, live.lab.callee.port, user="people") as far:
        yield People(far)


def first_offers(room: Room, after: int, callers: list[OutgoingCall]) -> list[str]:
    """Call ids of these callers in the order in which an agent was first found for each, after this sequence."""
    wanted = {room.record(caller).call_id for caller in callers}
    order: dict[str, None] = {}
    for entry in room.live.entries:
        if (
            entry.sequence > after
            and isinstance(entry.fact, facts.OfferMade)
            and entry.fact.call_id in wanted
        ):
            order.setdefault(entry.fact.call_id)
    return list(order)


@dataclass(kw_only=True)
class Promises:
    """Call-backs in every state, in order: talking, dialled, reserved, waiting, waiting; and one that is being confirmed."""

    desks: list[Desk]
    callers: list[OutgoingCall]
    ids: list[str]
    talking: IncomingCall


async def promises_in_every_state(room: Room, people: People) -> Promises:
    """Four agents and five persons, brought there one by one."""
    desks = [await room.agent(index, tone_hz=440) for index in (5, 6, 7, 8)]
    busy = []
    for desk in desks:
        caller = room.caller(PROMISED)
        busy.append(await desk.answers())
        await room.reaches(caller, CallState.TALKING)
    callers = [await one_more(room) for _ in range(5)]
    ids = [await accept(room, caller) for caller in callers]
    await busy[0].hang_up()
    await desks[0].answers()
    talking = await people.rung()
    talking.answer()
    await reaches_state(room, ids[0], CallState.TALKING)
    await busy[1].hang_up()
    await desks[1].answers()
    await people.rung()
    await room.until(lambda: room.facts(facts.CallbackRang)[1:])
    await busy[2].hang_up()
    await desks[2].offered()
    await reaches_state(room, ids[2], CallState.RESERVING)
    return Promises(desks=desks, callers=callers, ids=ids, talking=talking)


@dataclass(kw_only=True)
class Crowd:
    """Three who talk, one whose agent's phone rings, and a hundred behind."""

    desks: list[Desk]
    talking: list[OutgoingCall]
    waiting: list[OutgoingCall]

    @property
    def legs(self) -> list[IncomingCall]:
        """Every INVITE that came to an agent."""
        return [call for desk in self.desks for call in desk.calls]


async def crowd(room: Room) -> Crowd:
    """The line `mass`, full."""
    desks = [await room.agent(index, tone_hz=600) for index in (1, 2, 3)]
    talking = []
    for desk in desks:
        talking.append(caller := room.caller(MASS, tone_hz=1000))
        await desk.answers()
        await room.reaches(caller, CallState.TALKING)
    desks.append(await room.agent(4))
    waiting = [room.caller(MASS, hears=True)]
    await desks[3].offered()
    await waiting[0].answered(5)
    waiting += await room.queue_up(CALLERS - 1, MASS)
    await room.reaches(waiting[-1], CallState.WAITING)
    return Crowd(desks=desks, talking=talking, waiting=waiting)


@pytest.mark.quiet
async def test_a_full_room_whose_daemon_is_killed(room: Room, people: People) -> None:
    """kill -9 with 101 on the line, a ringing agent, four who talk, and call-backs confirmed, waiting, reserved, dialled and
    talking: nobody is dropped, the order stays, no phone of a person rings twice, and dispatch goes on within 2 s."""
    live = room.live
    promises = await promises_in_every_state(room, people)
    mass = await crowd(room)
    confirmed = room.caller(PROMISED, hears=True)
    await press_through(room, confirmed)
    promises.callers.append(confirmed)
    promises.ids.append((await room.reaches(confirmed, CallState.PROMISED)).call_id)
    assert [live.state.calls[call_id].state for call_id in promises.ids] == [
        CallState.TALKING,
        CallState.DIALLING,
        CallState.RESERVING,
        CallState.CALLBACK,
        CallState.CALLBACK,
        CallState.PROMISED,
    ]
    places = [live.state.calls[call_id].queued_at for call_id in promises.ids]
    last, known = live.state.sequence, set(live.state.calls)
    await dispatch_after_death(room, mass)
    restored = room.facts(facts.SwitchRestored)[-1]
    assert (restored.calls_missing, restored.calls_adopted) == (0, 0)
    assert known <= set(live.state.calls)
    assert [live.state.calls[call_id].queued_at for call_id in promises.ids] == places
    on_the_line = (*mass.waiting, *mass.talking, confirmed)
    assert [caller for caller in on_the_line if caller.state is not Wire.ANSWERED] == []
    for caller in (mass.talking[0], mass.waiting[0]):
        caller.leg.forget_heard()
    await until(lambda: mass.talking[0].leg.hears(600), 3, "the agent is heard")
    await until(lambda: mass.waiting[0].leg.level_dbm0 > -45, 3, "music is heard")
    await serve_crowd(room, mass)
    assert first_offers(room, last, mass.waiting) == [room.record(caller).call_id for caller in mass.waiting]

    assert promises.talking.state is Wire.ANSWERED
    await promises.desks[3].calls[0].hang_up()  # who talked to a caller before them
    await confirmed.hang_up()
    await serve_promises(room, people, promises.desks, tuple(promises.ids))
    numbers = [room.numbers[caller] for caller in promises.callers]
    rung = {number: [call for call in people.calls if dialled(call) == number] for number in numbers}
    assert sum(map(len, rung.values())) == len(people.calls), "nobody else was dialled"
    assert all(rung.values())
    assert all(map(at_most_one_at_a_time, rung.values()))
    assert rung[numbers[0]] == [promises.talking], "who talked is not dialled again"
    assert room.facts(facts.FallbackEntered) == []
    assert live.state.promises.out_of_turn == 0
    sequences = [entry.sequence for entry in live.entries]
    assert all(later == earlier + 1 for earlier, later in pairwise(sequences)), "a fact is missing"


async def dispatch_after_death(room: Room, mass: Crowd) -> None:
    """kill -9, a new daemon, and the next INVITE to an agent; the time of our own part is judged."""
    live, offers, last = room.live, len(mass.legs), room.live.state.sequence

    def after(kind: type[facts.Fact]) -> list[facts.Entry]:
        return [entry for entry in live.entries if entry.sequence > last and isinstance(entry.fact, kind)]

    live.signal_daemon(signal.SIGKILL)
    killed = time.monotonic()
    await live.start_daemon(wait=False)
    await until(lambda: len(mass.legs) > offers, 20, "an agent's phone rings again")
    whole = time.monotonic() - killed
    await room.until(lambda: after(facts.OfferMade), 5)
    ours = after(facts.OfferMade)[0].at.since(after(facts.DaemonStarted)[0].at)
    prints(room, f"kill -9 with {CALLERS} on the line: INVITE again after", seconds=whole, of_them_ours=ours)
    assert ours < 1.5  # of the 2 s; the rest is Python's own start, which other programs slow down


async def serve_crowd(room: Room, mass: Crowd) -> None:
    """Everybody is served, each by one agent."""
    for desk in mass.desks:
        desk.phone.behaviour = answering(talk_seconds=FLEETING)
    for call in [call for call in mass.legs if call.state in (Wire.RINGING, Wire.ANSWERED)]:
        if call.state is Wire.RINGING:
            call.answer()
            await room.reaches(mass.waiting[0], CallState.TALKING)
        await call.hang_up()
    await room.until(
        lambda: all(room.record(caller).state is CallState.ENDED for caller in mass.waiting), 60, "all served"
    )
    everybody = [*mass.waiting, *mass.talking]
    assert {room.record(caller).outcome for caller in everybody} == {CallOutcome.ANSWERED}
    answered = [room.who(call) for call in mass.legs if call.reached is Wire.ANSWERED]
    assert set(answered) == set(
        everybody
    )  # who answers and is gone before the bridge has the caller offered again
    joined = [fact.call_id for fact in room.facts(facts.CallConnected)]
    assert [joined.count(room.record(caller).call_id) for caller in everybody] == [1] * len(everybody)


async def one_more(room: Room) -> OutgoingCall:
    """A caller who waits behind those before, in another tenth of a second."""
    caller = room.caller(PROMISED, hears=True)
    await room.reaches(caller, CallState.WAITING)
    assert await caller.lasts(PLACE_SECONDS)
    return caller


async def serve_promises(room: Room, people: People, desks: list[Desk], ids: tuple[str, ...]) -> None:
    """Everybody who was promised a call-back talks to somebody: whoever rings is answered, and hangs up after a moment. Tasks
    that stand before them come to the same phones: handlers take them, by key 2, and nobody is dialled."""
    taken = set[str]()

    def ringing() -> list[IncomingCall]:
        legs = (*[leg for desk in desks for leg in desk.calls], *people.calls)
        return [leg for leg in legs if leg.state in (Wire.TRYING, Wire.RINGING)]

    def asked() -> list[tuple[str, IncomingCall]]:
        choosing = {
            (offer.agent, offer.task_id): offer.offer_id
            for offer in room.live.state.task_offers.values()
            if offer.state is TaskOfferState.CHOOSING and offer.offer_id not in taken
        }
        legs = [(desk, leg) for desk in desks for leg in desk.calls if leg.state is Wire.ANSWERED]
        found = [(choosing.get((desk.number, leg.header("X-Edge-Task") or "")), leg) for desk, leg in legs]
        return [(offer_id, leg) for offer_id, leg in found if offer_id is not None]

    def talking() -> list[IncomingCall]:
        open_calls = [room.live.state.calls[call_id] for call_id in ids if call_id in room.live.state.calls]
        numbers = {
            comparable(call.callback.number)
            for call in open_calls
            if call.connected_at and call.callback is not None
        }
        return [
            leg for leg in people.calls if leg.state is Wire.ANSWERED and comparable(dialled(leg)) in numbers
        ]

    while any(call_id in room.live.state.calls for call_id in ids):
        await room.until(
            lambda: (
                ringing()
                or asked()
                or talking()
                or not any(call_id in room.live.state.calls for call_id in ids)
            ),
            20,
            "somebody rings, is asked or talks",
        )
        for leg in ringing():
            leg.answer()
        for offer_id, leg in asked():
            taken.add(offer_id)
            leg.leg.send_digits("2")
        for leg in talking():
            await leg.hang_up()


@pytest.mark.endurance
async def test_a_daemon_that_is_stopped_with_fifty_waiting(room: Room) -> None:
    """SIGSTOP: all are in the switch's own queue within the dead-man + 5 s and stand there in order; agents get them without the
    daemon; woken up, it leaves them there, serves who comes new, and the rest are answered, too."""
    live = room.live
    waiting = await room.queue_up(50, BRIEF)
    await room.reaches(waiting[-1], CallState.WAITING)
    live.signal_daemon(signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        await until(
            lambda: (
                sum(row.split("!")[2] == "fallback" for row in live.channels().splitlines()) == len(waiting)
            ),
            DEAD_MAN_SECONDS + 5.0,
            "all in the switch's own queue",
        )
        prints(
            room,
            "SIGSTOP with 50 waiting: all in the switch's own queue after",
            seconds=time.monotonic() - stopped,
        )
        place = {number: position for position, number in enumerate(standing(room))}
        joined = {room.numbers[c]: live.state.calls[room.record(c).call_id].queued_at for c in waiting}
        assert place.keys() == joined.keys()
        ahead = [(one, other) for one in place for other in place if place[one] < place[other]]
        assert [pair for pair in ahead if joined[pair[0]].since(joined[pair[1]]) >= PLACE_SECONDS] == []
        desks = [await room.agent(index, answering(talk_seconds=FLEETING)) for index in (1, 2, 3, 4)]
        await served(room, desks, 10, 30)  # while nobody of ours is there
    finally:
        live.signal_daemon(signal.SIGCONT)
    taken = {room.record(caller).call_id for caller in waiting}
    await room.until(
        lambda: {fact.call_id for fact in room.facts(facts.FallbackEntered)} == taken, 15, "it notices"
    )
    everybody = await served(room, desks, len(waiting), 60)
    assert sorted(map(waiting.index, everybody)) == list(range(len(waiting)))
    for caller in waiting:
        await caller.ended(5)
    for caller in waiting:
        await room.ended(caller, 15)
    jo = room.caller(BRIEF)
    await room.until(
        lambda: (found := room.find(jo)) is not None and found.outcome is CallOutcome.ANSWERED, 8
    )
    assert room.record(jo).call_id in {fact.call_id for fact in room.facts(facts.OfferMade)}


def standing(room: Room) -> list[str]:
    """The callers' numbers in the switch's own queue, as they stand there (`queue show`)."""
    by_channel = {row.split("!")[0]: row.split("!")[7] for row in room.live.channels().splitlines()}
    lines = room.live.asterisk.cli("queue show").splitlines()
    found = [re.match(r"\s+\d+\. (\S+) \(wait", line) for line in lines]
    return [by_channel[match[1]] for match in found if match is not None]


def offered_after(room: Room, sequence: int, ids: set[str]) -> list[str]:
    """Whose call-back or task came to a handler's phone after this sequence, in order, each once."""
    order: dict[str, None] = {}
    for entry in room.live.entries:
        match entry.fact:
            case facts.OfferMade(call_id=ident) | facts.TaskOffered(task_id=ident):
                if entry.sequence > sequence and ident in ids:
                    order.setdefault(ident)
            case _:
                pass
    return list(order)


async def tasks_at_the_reconnect(room: Room, ids: list[str]) -> list[facts.TaskOpened]:
    """The switch is started again; the tasks of these calls, once all stand in the ledger. How long that takes from the moment in
    which the daemon is back at the switch is judged."""

    def opened() -> list[facts.TaskOpened]:
        return [task for task in room.facts(facts.TaskOpened) if task.call_id in ids]

    await room.live.start_asterisk()  # returns when it is booted
    await until(lambda: room.live.has_application, 15, "the daemon is back at the switch")
    seen_again = time.monotonic()
    await room.until(lambda: len(opened()) >= len(ids), 15, "the tasks stand")
    whole = time.monotonic() - seen_again
    prints(room, "switch back: the last of the tasks stands in the ledger after", seconds=whole)
    assert whole < 2.0
    return opened()


@pytest.mark.endurance
async def test_the_switch_is_killed_under_a_full_room(room: Room, people: People) -> None:
    """kill -9 of Asterisk with ten who talk (two of them 999), fifty who wait (one 999 among them) and two call-backs: at the
    reconnect each is an agreed call-back at its place or a ring-back task, 999 first and then in order, and nobody is dialled
    twice; who calls again has the old place, and the room goes on."""
    live = room.live
    desks = [await room.agent(index) for index in range(1, 11)]
    lines = ["999", "999", *[LINE] * 2, *[PROMISED] * 4, *[LINE] * 2]
    talking = []
    for line in lines:
        talking.append(caller := room.caller(line))
        await room.until(lambda: any(leg.state is Wire.RINGING for desk in desks for leg in desk.calls))
        for leg in [leg for desk in desks for leg in desk.calls if leg.state is Wire.RINGING]:
            leg.answer()
        await room.reaches(caller, CallState.TALKING)
    agreed = [await accept(room, room.caller(PROMISED, hears=True)) for _ in range(2)]
    places = [live.state.calls[call_id].queued_at for call_id in agreed]
    waiting = await room.queue_up(49, MASS)
    [emergency] = await room.queue_up(1, "999")
    for caller in (waiting[-1], emergency):
        await room.reaches(caller, CallState.WAITING)
    everybody = [*talking[:2], emergency, *talking[2:], *waiting]
    ids = [room.record(caller).call_id for caller in everybody]
    await until(lambda: live.has_kept(desks[0].number))
    live.asterisk.kill()
    died = live.state.sequence
    await room.until(lambda: room.facts(facts.SwitchLost))
    assert "NOT SEEN" in (await asyncio.to_thread(live.edge, "status")).stdout
    for phone in (room.callers, *[desk.phone.agent for desk in desks]):
        for lost in list(phone.calls.values()):
            lost.abandon()
    opened = await tasks_at_the_reconnect(room, ids)
    await room.until(lambda: room.facts(facts.SwitchRestored))
    await room.until(lambda: all(live.calls.calls[call_id].state is CallState.ENDED for call_id in ids))
    for record in [live.calls.calls[call_id] for call_id in ids]:
        assert (record.outcome, record.unseen_since is None) == (CallOutcome.ENDED_UNKNOWN, False)
    assert [task.call_id for task in opened] == ids
    assert {task.kind for task in opened} == {TaskKind.LOST}
    assert {live.state.calls[call_id].state for call_id in agreed} <= {
        CallState.CALLBACK,
        CallState.RESERVING,
    }
    assert [live.state.calls[call_id].queued_at for call_id in agreed] == places
    assert people.calls == []

    again = room.caller(MASS, from_user=room.numbers[waiting[7]])
    await again.answered(5)
    cut = room.record(waiting[7]).call_id
    await room.until(lambda: cut in {fact.task_id for fact in room.facts(facts.TaskLinked)})
    [back] = [call for call in live.state.calls.values() if call.callback is None]
    assert back.queued_at == live.state.tasks[cut].queued_at
    await again.hang_up()
    for desk in desks[4:8]:
        await desk.phone.start()
    assert room.facts(facts.AgentSignedOut) == []
    await serve_promises(room, people, desks[4:8], tuple(agreed))
    order = offered_after(room, died, {*ids, *agreed})
    assert order[:3] == ids[:3]  # the 999
    those_of_101, promised = [*ids[3:5], *ids[9:11]], [*ids[5:9], *agreed]
    for alike in (
        those_of_101,
        promised,
    ):  # by skill: an agent who is free is offered the first whom they can serve
        assert [ident for ident in order if ident in alike] == alike
    assert sorted(map(dialled, people.calls)) == sorted(set(map(dialled, people.calls)))

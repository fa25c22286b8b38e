"""Call-backs as tables that a dispatcher can read. The language is described in `room.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge.core import effects, facts, inputs
from edge.core.engine import SETTLING_SECONDS
from edge.core.expectation import SAMPLES_NEEDED
from edge.core.model import (
    Activity,
    CallState,
    ClockState,
    Emergency,
    MajorIncident,
    OpeningHours,
    Queue,
    Relaxation,
    Side,
)
from edge.core.ordering import skills_needed
from edge.core.promise import AttemptOutcome, First, TaskKind, TaskOutcome, Tasks
from edge.core.state import apply, replay
from tests.core.callbacks import ACCEPTED, CALLBACKS, PLAN, SHOWN, SmallPlan, callback_room, promised_room
from tests.core.room import NOON, Room, happen, line, play

ANN = ("ann 101 999",)
BOTH = ("ann 101 999", "bob 101 999")
TALKING = """
    t0 calls 101 -> serve t0, ring ann for t0
    ann answers -> connect t0.1
    t0 joined
"""
Scenario = tuple[dict[str, Any], str]

DIALOGUES: dict[str, Scenario] = {
    "another number is keyed, read back, and confirmed": (
        {},
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 2 -> quiet for c1, collect digits of c1, announce callback-key to c1
        c1 hears to the end
        c1 keys 01632960777 -> no more digits of c1, announce callback-keyed to c1
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        c1 presses 1 -> quiet for c1, await disk for c1, announce callback-promised to c1
        """,
    ),
    "a withheld caller is asked to key one": (
        {},
        """
        c1 calls 101 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, collect digits of c1, announce callback-key to c1
        c1 keys 07700900009 -> quiet for c1, no more digits of c1, announce callback-keyed to c1
        c1 presses 2 -> quiet for c1, collect digits of c1, announce callback-key to c1
        """,
    ),
    "garbage twice: goes on waiting": (
        {},
        """
        c1 calls 101 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, collect digits of c1, announce callback-key to c1
        c1 keys ###12 -> quiet for c1, collect digits of c1, announce callback-key to c1
        c1 keys 0909 -> quiet for c1, no more digits of c1, announce callback-not-possible to c1
        c1 presses 3
        = c1 waiting
        """,
    ),
    "a number that is never dialled is asked to be replaced": (
        {},
        """
        c1 calls 101 from 09098790000 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, collect digits of c1, announce callback-key to c1
        """,
    ),
    "no other number by policy": (
        {"plan": replace(PLAN, may_key_number=False)},
        """
        c1 calls 101 -> serve c1
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        c2 presses 1 -> quiet for c2, announce callback-number to c2
        c2 presses 2 -> quiet for c2, announce callback-not-possible to c2
        """,
    ),
    "silence: asked once more, then goes on waiting": (
        {},
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 hears to the end
        wait 7
        wait 1 -> announce callback-number to c1
        c1 hears to the end
        wait 8
        = c1 waiting
        """,
    ),
    "star: would rather wait": (
        {},
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses * -> quiet for c1
        c1 presses *
        c1 presses #
        = c1 waiting
        """,
    ),
    "not safe: another number": (
        {},
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        c1 presses 2 -> quiet for c1, collect digits of c1, announce callback-key to c1
        """,
    ),
    "the emergency key ends the dialogue": (
        {},
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 9 -> note c1 in 999, quiet for c1
        c1 presses 1
        """,
    ),
    "the emergency key after the promise": (
        {},
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        c1 presses 1 -> quiet for c1, await disk for c1, announce callback-promised to c1
        c1 presses 9 -> note c1 in 999, quiet for c1, serve c1
        = c1 waiting
        """,
    ),
    "an agent comes free in the middle: answered at once": (
        {},
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        t0 hangs up -> ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        = c1 talking
        """,
    ),
    "offered again at intervals": (
        {},
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 hears to the end
        wait 59
        wait 1 -> announce callback-offer to c1
        """,
    ),
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name: str) -> None:
    """One agent, who talks; another caller waits."""
    settings, table = DIALOGUES[name]
    room = callback_room(*ANN, **settings)
    play(room, TALKING)
    play(room, table)
    assert replay(room.entries) == room.engine.state


def test_agent_first_and_nobody_in_between() -> None:
    """The agent comes free, is reserved and told; the person is rung and joined at the moment of the answer."""
    room = promised_room(*ANN)
    play(
        room,
        """
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        t0 hangs up -> ring ann for c1
        ann rings
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 rings
        person c1 answers -> connect c1.1
        c1 joined
        = c1 talking; ann talking; c2 waiting
        c1 hangs up -> ring ann for c2
        = c1 answered talking
        """,
    )
    [offer] = [e for e in room.asked if isinstance(e, effects.MakeOffer) and e.call_id == "c1"]
    assert offer.callback
    [dial] = [e for e in room.asked if isinstance(e, effects.DialPerson)]
    assert (dial.offer_id, dial.show_number, dial.trunk) == ("c1.1", SHOWN, "gateway")
    counter = room.engine.state.promises
    assert (counter.made, counter.kept, counter.became_tasks) == (1, 1, 0)
    assert replay(room.entries) == room.engine.state


def test_nothing_is_said_before_the_disk_has_it() -> None:
    """The confirmation waits for the disk; so does the dialling."""
    room = callback_room(*ANN)
    play(room, TALKING)
    room.disk = False
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        c1 presses 1 -> quiet for c1, await disk for c1
        wait 9
        """,
    )
    room.catch_up()
    assert isinstance(room.asked[-1], effects.Announce)
    play(
        room,
        """
        c1 hangs up
        = c1 callback
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1
        = c1 dialling
        """,
    )
    room.catch_up()
    assert isinstance(room.asked[-1], effects.DialPerson)


def test_a_promise_that_the_disk_does_not_take_is_none() -> None:
    """After ten seconds the caller waits on, and is told so."""
    room = callback_room(*ANN)
    play(room, TALKING)
    room.disk = False
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        c1 presses 1 -> quiet for c1, await disk for c1
        wait 10 -> announce callback-not-possible to c1
        = c1 waiting
        """,
    )
    room.catch_up()
    assert room.state_of("c1") == "waiting"
    assert room.engine.state.promises.made == 0


ATTEMPTS: dict[str, tuple[str, AttemptOutcome, bool]] = {
    "no answer": ("wait 20", AttemptOutcome.NO_ANSWER, True),
    "busy": ("person c1 busy", AttemptOutcome.BUSY, True),
    "rejected": ("person c1 rejected", AttemptOutcome.REJECTED, True),
    "agent hangs up": ("ann hangs up", AttemptOutcome.AGENT_LEFT, True),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_that_reaches_nobody(name: str) -> None:
    """The agent is free again at once, without wrap-up; the place is kept, and the next attempt keeps its distance."""
    what, outcome, counted = ATTEMPTS[name]
    room = promised_room(*ANN)
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 rings
        """,
    )
    place = room.engine.state.calls["c1"].queued_at
    happen(room, what)
    [ended] = room.recorded(facts.CallbackAttemptEnded)
    assert (ended.outcome, ended.counted) == (outcome, counted)
    call = room.engine.state.calls["c1"]
    assert (call.state, call.queued_at) == (CallState.CALLBACK, place)
    if outcome is not AttemptOutcome.AGENT_LEFT:
        play(room, "ann ends")
        assert room.state_of("ann") == "ready"
        room.wait(119.0)
        assert room.state_of("c1") == "callback"
        room.wait(1.0)
        assert room.state_of("c1") == "reserving"


def test_three_attempts_then_a_human() -> None:
    """The call ends as unreached, and is a task with the number, on the list until a named person closes it."""
    room = promised_room(*ANN)
    play(room, "t0 hangs up -> ring ann for c1")
    for attempt in (1, 2, 3):
        play(
            room,
            f"""
            ann answers -> await disk for c1, dial 07700900001 for c1
            person c1 rings
            wait 20 -> end attempt {attempt} of c1, hang up c1.{attempt}
            ann ends
            """,
        )
        if attempt < 3:
            play(room, "wait 120 -> ring ann for c1")
    play(room, "= c1 unreached callback")
    [task] = room.engine.state.tasks.values()
    assert (task.kind, task.number) == (TaskKind.UNREACHED_CALLBACK, "+447700900001")
    room.tell(inputs.TaskClosed(task_id="c1", by="", outcome=TaskOutcome.REACHED))
    assert room.engine.state.tasks
    room.tell(inputs.TaskAssigned(task_id="c1", to="sue", by="joe"))
    room.tell(inputs.TaskClosed(task_id="c1", by="sue", outcome=TaskOutcome.REACHED))
    assert not room.engine.state.tasks
    assert room.engine.state.promises.became_tasks == 1


def test_no_such_number_is_a_task_at_once() -> None:
    """Nobody can be reached there."""
    room = promised_room(*ANN)
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 invalid -> hang up c1.1
        = c1 unreached callback
        """,
    )


def test_a_number_that_becomes_forbidden_is_not_dialled() -> None:
    """Between acceptance and dialling."""
    numbers = SmallPlan()
    room = promised_room(*ANN, numbers=numbers)
    play(room, "t0 hangs up -> ring ann for c1")
    numbers.forbidden.add("07700900001")
    play(
        room,
        """
        ann answers -> hang up c1.1
        = c1 unreached callback
        """,
    )
    assert not [effect for effect in room.asked if isinstance(effect, effects.DialPerson)]


def test_a_failing_trunk_rests_ever_longer_and_keeps_places() -> None:
    """5, 10, 20 s; the third is an alarm; ringing anybody ends it."""
    room = promised_room(*ANN)
    play(room, "t0 hangs up -> ring ann for c1")
    for number, rest in enumerate((5, 10, 20), start=1):
        play(
            room,
            f"""
            ann answers -> await disk for c1, dial 07700900001 for c1
            person c1 network -> hang up c1.{number}
            ann ends
            wait {rest} -> ring ann for c1
            """,
        )
    assert [fact.kind for fact in room.recorded(facts.AlarmRaised)] == ["trunk fails"]
    play(
        room,
        """
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 rings
        """,
    )
    assert room.engine.state.trunk_failures == 0


def test_it_begins_only_while_somebody_stays_free_for_a_999() -> None:
    """With one of two free nobody is rung, and the later caller does not get them either; with both, it begins."""
    room = promised_room(*BOTH, callbacks=replace(CALLBACKS, idle_agents=1))
    play(
        room,
        """
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        t0 hangs up
        = c1 callback; c2 waiting; ann ready
        t1 hangs up -> ring ann for c1
        = c2 waiting; bob ready
        ann answers -> await disk for c1, dial 07700900001 for c1
        e1 calls 999 -> serve e1, ring bob for e1
        """,
    )


def test_a_999_takes_the_agent_while_the_person_is_rung() -> None:
    """The place is kept and the attempt not counted; the second time it is a task."""
    room = promised_room(*ANN)
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 rings
        e1 calls 999 -> serve e1, end attempt 1 of c1, hang up c1.1
        ann ends -> ring ann for e1
        = c1 callback
        ann answers -> connect e1.1
        e1 joined
        e1 hangs up
        = c1 callback; ann wrap-up
        wait 60 -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 rings
        e2 calls 999 -> serve e2, end attempt 2 of c1, hang up c1.2
        = c1 unreached callback
        """,
    )
    assert [f.counted for f in room.recorded(facts.CallbackAttemptEnded)] == [False, False]
    assert room.engine.state.tasks["c1"].kind is TaskKind.UNREACHED_CALLBACK


def test_a_999_takes_a_ringing_agent_before_the_person_is_rung() -> None:
    """A reservation is an offer like any other."""
    room = promised_room(*ANN)
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann rings
        e1 calls 999 -> serve e1, withdraw c1.1
        = c1 callback
        ann ends -> ring ann for e1
        """,
    )


def test_caller_first_with_a_key_and_an_agent_kept() -> None:
    """The person is rung while ann is kept for them; after the key her phone rings, and nobody else's turn comes first."""
    room = promised_room(*ANN, plan=replace(PLAN, first=First.CALLER))
    play(
        room,
        """
        c2 calls vulnerable from 07700900002 -> serve c2, announce callback-offer to c2
        c2 hangs up
        t0 hangs up -> await disk for c1, dial 07700900001 for c1
        = c1 dialling; ann offered
        c3 calls vulnerable from 07700900003 -> serve c3, announce callback-offer to c3
        person c1 rings
        person c1 answers -> serve c1, announce callback-press-key to c1
        = c1 checking
        c1 presses 1 -> quiet for c1, ring ann for c1
        ann answers -> connect c1.1
        c1 joined
        = c1 talking; c3 waiting
        """,
    )


def test_caller_first_and_no_key() -> None:
    """A machine presses nothing: the attempt counts, and ann serves the next."""
    room = promised_room(*ANN, plan=replace(PLAN, first=First.CALLER))
    play(
        room,
        """
        t0 hangs up -> await disk for c1, dial 07700900001 for c1
        person c1 answers -> serve c1, announce callback-press-key to c1
        c1 hears to the end
        wait 10 -> let c1 go
        = c1 callback; ann ready
        c1 hangs up
        = c1 callback
        """,
    )


def test_a_machine_in_the_handlers_judgement() -> None:
    """The attempt counts, the talk ends, the place is kept; the handler has their wrap-up."""
    room = promised_room(*ANN, queue={"wrap_up_seconds": 30.0})
    play(
        room,
        """
        t0 hangs up
        wait 30 -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 answers -> connect c1.1
        c1 joined
        """,
    )
    room.tell(inputs.PersonJudged(outcome=AttemptOutcome.MACHINE, by="4001", agent="ann"))
    play(
        room,
        """
        = c1 callback
        ann hangs up
        = ann wrap-up
        c1 hangs up
        = c1 callback
        """,
    )


def test_a_person_who_cannot_be_joined_waits_at_their_place_and_is_not_lost() -> None:
    """The agent's leg is gone at the moment of the answer: a caller on the line again; who then hangs up keeps the promise."""
    room = promised_room(*ANN)
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 answers -> connect c1.1
        ann hangs up
        c1 returned -> serve c1, ring ann for c1
        c1 hangs up -> withdraw c1.2
        = c1 callback
        """,
    )


def test_hanging_up_before_the_promise_is_a_task_and_no_call_back() -> None:
    """They asked for one: a human looks. They are never dialled by a machine."""
    room = callback_room(*ANN)
    play(room, TALKING)
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        c1 hangs up
        = c1 abandoned announcement
        """,
    )
    assert room.engine.state.tasks["c1"].kind is TaskKind.ABANDONED_101


def test_the_same_number_takes_the_better_place_without_a_word() -> None:
    """A second call from the number of a waiting call-back; the handler sees both; the call-back waits until it is cancelled."""
    room = promised_room(*ANN)
    play(
        room,
        """
        wait 1
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        wait 1
        c3 calls 101 from 07700900001 -> note c3 in 101, serve c3, announce callback-offer to c3
        t0 hangs up -> ring ann for c3
        ann answers -> connect c3.1
        c3 joined
        """,
    )
    [offer] = [e for e in room.asked if isinstance(e, effects.MakeOffer) and e.call_id == "c3"]
    assert any(note.startswith("call-back waits") for note in offer.notes)
    room.tell(inputs.CallbackOrdered(order=inputs.Order.CANCEL, by="4001", why="spoke", agent="ann"))
    play(room, "= c1 cancelled callback")


def test_two_of_one_number_go_on_as_one() -> None:
    """The later one hears the same words; the earlier keeps the place for both."""
    room = promised_room(*ANN)
    play(room, ACCEPTED.replace("c1", "c2").replace("serve c2,", "note c2 in 101, serve c2,"))
    play(
        room,
        """
        = c1 callback; c2 merged callback
        t0 hangs up -> ring ann for c1
        """,
    )
    assert len([e for e in room.recorded(facts.CallbackPromised) if e.into is None]) == 1


def test_withheld_callers_are_never_one() -> None:
    """Two withheld callers, two numbers keyed."""
    room = callback_room(*ANN)
    play(room, TALKING)
    for name, number in (("c1", "07700900001"), ("c2", "07700900002")):
        play(
            room,
            f"""
            {name} calls 101 -> serve {name}, announce callback-offer to {name}
            {name} presses 1 -> quiet for {name}, collect digits of {name}, announce callback-key to {name}
            {name} keys {number} -> quiet for {name}, no more digits of {name}, announce callback-keyed to {name}
            {name} presses 1 -> quiet for {name}, announce callback-safe to {name}
            {name} presses 1 -> quiet for {name}, await disk for {name}, announce callback-promised to {name}
            {name} hangs up
            """,
        )
    play(room, "= c1 callback; c2 callback")


def test_a_999_from_the_number_flags_the_call_back() -> None:
    """It stays; the handler of either sees it."""
    room = promised_room(*BOTH)
    play(room, "e1 calls 999 from 07700900001 -> serve e1")
    call = room.engine.state.calls["c1"]
    assert call.callback is not None and call.callback.emergency_since is not None
    assert "999 and call-back" in {fact.kind for fact in room.recorded(facts.AlarmRaised)}


NEVER: dict[str, tuple[dict[str, Any], tuple[inputs.Input, ...]]] = {
    "a major incident": ({"incident": MajorIncident()}, (inputs.IncidentSet(active=True, by="sue"),)),
    "paused": ({}, (inputs.CallbackOfferingSet(active=False, by="sue"),)),
    "the clock": ({}, (inputs.ClockSeen(state=ClockState.UNSYNCHRONISED),)),
    "the ledger": ({}, (inputs.LedgerTrouble(ok=False, detail="full"),)),
    "closing soon": (
        {
            "queue": {
                "hours": OpeningHours(
                    name="day", changes=((0, True), (NOON.plus(200.0).utc_us, False), (NOON.utc_us * 2, True))
                )
            }
        },
        (),
    ),
    "not at this hour": (
        {
            "queue": {
                "callback_hours": OpeningHours(name="day", changes=((0, False), (NOON.utc_us * 2, True)))
            }
        },
        (),
    ),
    "the list is full": ({"plan": replace(PLAN, list_maximum=0)}, ()),
    "another class": ({"plan": replace(PLAN, classes=("vulnerable",))}, ()),
    "too few agents": ({"plan": replace(PLAN, agents_minimum=2)}, ()),
    "nobody left for a 999": ({"callbacks": replace(CALLBACKS, idle_agents=1)}, ()),
    "a short wait": ({"plan": replace(PLAN, offer_above_seconds=90.0)}, ()),
}


@pytest.mark.parametrize("name", NEVER)
def test_not_offered(name: str) -> None:
    """What could not be kept, or is not wanted, is not offered."""
    settings, told = NEVER[name]
    room = callback_room(*ANN, **settings)
    play(room, TALKING)
    for given in told:
        room.tell(given)
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1
        wait 61
        = c1 waiting
        """,
    )


def test_not_offered_when_nobody_is_signed_in() -> None:
    """There is nothing to expect."""
    room = callback_room()
    play(room, "c1 calls 101 from 07700900001 -> serve c1")


def test_never_to_999_nor_to_relay_callers() -> None:
    """Nor after an upgrade."""
    room = callback_room(*ANN, more=(line("relay", "101", assisted=True),))
    play(room, TALKING)
    play(
        room,
        """
        e1 calls 999 from 07700900009 -> serve e1
        c1 calls relay from 07700900001 -> serve c1
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        c2 presses 9 -> note c2 in 999, quiet for c2
        c2 presses 1
        wait 3
        """,
    )


def test_offered_by_expected_wait_with_hysteresis() -> None:
    """Three agents, 20 s a place: on from 50 s; still on at 32, when two of five have given up; off when who joins expects 29."""
    plan = replace(PLAN, offer_above_seconds=50.0, offer_below_seconds=30.0, offer_every_seconds=3600.0)
    room = callback_room("ann 101 999", "bob 101", "cat 101", plan=plan)
    for number, agent in enumerate(("ann", "bob", "cat")):
        play(
            room,
            f"""
            t{number} calls 101 from 0770090001{number} -> serve t{number}, ring {agent} for t{number}
            {agent} answers -> connect t{number}.1
            t{number} joined
            """,
        )
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1
        c2 calls 101 from 07700900002 -> serve c2
        c3 calls 101 from 07700900003 -> serve c3, announce callback-offer to c3
        c2 hangs up
        c3 hangs up
        c4 calls 101 from 07700900004 -> serve c4, announce callback-offer to c4
        c1 hangs up
        c4 hangs up
        c5 calls 101 from 07700900005 -> serve c5
        """,
    )
    assert [fact.active for fact in room.recorded(facts.CallbackOfferingTurned)] == [True, False]


@pytest.mark.parametrize(("threshold", "offered"), [(0.0, True), (1.0, False)])
def test_offered_to_whoever_waits(threshold: float, offered: bool) -> None:
    """However short the talks have been: by thresholds of 0; and by no other."""
    plan = replace(PLAN, offer_above_seconds=threshold, offer_below_seconds=threshold)
    room = callback_room("ann 101 999", plan=plan)
    for number in range(1, SAMPLES_NEEDED + 1):
        play(
            room,
            f"""
            t{number} calls 101 from 0770090001{number} -> serve t{number}, ring ann for t{number}
            ann answers -> connect t{number}.1
            t{number} joined
            wait 0.5
            ann hangs up
            t{number} hangs up
            """,
        )
    play(room, TALKING)
    play(room, "c1 calls 101 from 07700900001 -> serve c1" + ", announce callback-offer to c1" * offered)


def test_every_999_that_nobody_answered_is_a_task_that_ages() -> None:
    """And a 101 by the policy's rule; a later call from the number is linked and shown, and closes nothing."""
    room = callback_room(
        *ANN, tasks=Tasks(abandoned_101_after_seconds=60.0, alarm_999_seconds=120.0, alarm_101_seconds=3600.0)
    )
    play(room, TALKING)
    play(
        room,
        """
        e1 calls 999 from 07700900009 -> serve e1
        e1 hangs up
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        wait 30
        c1 hangs up
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        wait 61
        c2 hangs up
        """,
    )
    kinds = {task.task_id: task.kind for task in room.engine.state.tasks.values()}
    assert kinds == {"e1": TaskKind.ABANDONED_999, "c2": TaskKind.ABANDONED_101}
    room.wait(40.0)
    assert "task overdue" in {fact.kind for fact in room.recorded(facts.AlarmRaised)}
    room.tell(inputs.CallerGone(call_id="t0", side=Side.CALLER, cause="16"))
    play(room, "c3 calls 101 from 07700900009 -> serve c3, ring ann for c3")
    [offer] = [e for e in room.asked if isinstance(e, effects.MakeOffer) and e.call_id == "c3"]
    assert "task abandoned 999" in offer.notes
    assert "e1" in room.engine.state.tasks


RESTARTS: dict[str, tuple[str, str]] = {
    "waiting": ("= c1 callback", "seen t0:connected:t0.1 t0.1+"),
    "reserving": (
        """
        t0 hangs up -> ring ann for c1
        """,
        "seen -> ring ann for c1",
    ),
    "dialling, both there": (
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        """,
        "seen c1.1+ c1!1",
    ),
    "dialling, nobody there": (
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        """,
        "seen",
    ),
    "dialling, the agent has left": (
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        """,
        "seen c1!1 -> end attempt 1 of c1",
    ),
    "dialling, answered meanwhile": (
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        """,
        "seen c1:held c1.1+ -> connect c1.1",
    ),
    "dialling, answered and alone": (
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        """,
        "seen c1:held -> serve c1, ring ann for c1",
    ),
    "dialling, in the switch's own queue": (
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        """,
        "seen c1:fallback c1.1+ -> hang up c1.1",
    ),
    "joined, unseen": (
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 answers -> connect c1.1
        """,
        "seen c1:connected:c1.1 c1.1+",
    ),
}


@pytest.mark.parametrize("name", RESTARTS)
def test_killed_at_every_step(name: str) -> None:
    """The promise is kept, nobody is dialled twice, and whatever is left over is ended."""
    before, after = RESTARTS[name]
    room = promised_room(*ANN)
    play(room, before)
    dialled = [effect for effect in room.asked if isinstance(effect, effects.DialPerson)]
    room.restart()
    play(room, after)
    assert replay(room.entries) == room.engine.state
    room.wait(60.0)
    again = [effect for effect in room.asked if isinstance(effect, effects.DialPerson)]
    assert again == dialled
    assert "c1" in room.engine.state.calls


def test_a_caller_who_vanished_after_the_promise_is_called_back() -> None:
    """The link was lost while they heard the confirmation."""
    room = callback_room(*ANN)
    play(room, TALKING)
    play(room, "\n".join(ACCEPTED.strip().splitlines()[:4]))
    play(
        room,
        """
        link lost
        seen t0:connected:t0.1 t0.1+
        = c1 callback
        """,
    )


def test_a_keyed_number_is_dialled_and_not_the_callers_own() -> None:
    """What is confirmed is what is dialled."""
    room = callback_room(*ANN)
    play(room, TALKING)
    play(room, DIALOGUES["another number is keyed, read back, and confirmed"][1])
    play(
        room,
        """
        c1 hangs up
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 01632960777 for c1
        """,
    )


def test_limits_of_dialling() -> None:
    """One in flight at a time: the second waits for its turn, and the later caller is told nothing of it."""
    room = promised_room(*BOTH, callbacks=replace(CALLBACKS, concurrent=1))
    play(room, ACCEPTED.replace("c1", "c2").replace("07700900001", "07700900002"))
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        t1 hangs up
        = c1 reserving; c2 callback
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 answers -> connect c1.1, ring bob for c2
        c1 joined
        """,
    )
    assert [fact.why for fact in room.recorded(facts.CallbackBarred)] == ["1 are being rung", ""]


def test_a_place_given_up_by_policy() -> None:
    """keep_place off: after a counted attempt it stands behind whoever waits."""
    room = promised_room(*ANN, plan=replace(PLAN, keep_place=False, spacing_seconds=1.0))
    play(
        room,
        """
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 busy -> hang up c1.1
        ann ends -> ring ann for c2
        """,
    )


def test_an_overdue_promise_is_an_alarm() -> None:
    """Half an hour after the promise, and again."""
    room = promised_room(*ANN)
    room.wait(3600.0)
    overdue = [fact for fact in room.recorded(facts.AlarmRaised) if fact.kind == "call-back overdue"]
    assert len(overdue) == 2


def test_moved_by_a_person_with_audit() -> None:
    """To another class: a better place."""
    room = promised_room(*ANN)
    room.tell(
        inputs.CallbackOrdered(
            order=inputs.Order.MOVE, by="sue", why="at risk", call_id="c1", priority_class="vulnerable"
        )
    )
    [moved] = room.recorded(facts.CallbackMoved)
    assert (moved.by, moved.why, moved.priority_class) == ("sue", "at risk", "vulnerable")


def test_emergency_without_a_queue_of_its_own_needs_no_reserve() -> None:
    """A site without 999."""
    room = promised_room(*ANN, callbacks=replace(CALLBACKS, idle_agents=1), emergency=Emergency())
    assert isinstance(room, Room)
    play(room, "t0 hangs up -> ring ann for c1")


def _judge_machine(room: Room, agent: str) -> None:
    room.tell(inputs.PersonJudged(outcome=AttemptOutcome.MACHINE, by="4001", agent=agent))


REACHED = """
    t0 hangs up -> ring ann for c1
    ann answers -> await disk for c1, dial 07700900001 for c1
    person c1 answers -> connect c1.1
    c1 joined
"""


def test_who_turns_out_to_come_through_a_relay_is_dialled_by_nobody() -> None:
    """A handler marked the call after the promise: a human rings them."""
    room = promised_room(*ANN)
    room.tell(inputs.CallMarkedAssisted(call_id="c1", by="4001"))
    play(
        room,
        """
        t0 hangs up
        = c1 unreached callback
        """,
    )
    assert room.engine.state.tasks["c1"].kind is TaskKind.UNREACHED_CALLBACK


def test_two_of_one_number_after_a_machine_was_taken_for_the_person() -> None:
    """While c1 talks, c2 of the same number is promised one; then it was a machine: one goes on for both."""
    room = promised_room(*ANN)
    play(room, REACHED)
    play(room, ACCEPTED.replace("c1", "c2"))
    assert room.state_of("c2") == "callback"
    _judge_machine(room, "ann")
    play(room, "= c1 callback; c2 merged callback")


def test_who_was_to_go_on_with_another_goes_on_alone_when_that_one_is_cancelled() -> None:
    """Two of one number, and the first is cancelled while the second still hears the confirmation: the promise stands."""
    room = promised_room(*ANN)
    rows = ACCEPTED.replace("c1", "c2").replace("serve c2,", "note c2 in 101, serve c2,")
    play(room, "\n".join(rows.strip().splitlines()[:4]))
    room.tell(inputs.CallbackOrdered(order=inputs.Order.CANCEL, by="4001", why="spoke", call_id="c1"))
    play(
        room,
        """
        c2 hangs up
        = c1 cancelled callback; c2 callback
        """,
    )


def test_who_takes_the_place_of_a_call_back_is_not_sent_away_for_its_wait() -> None:
    """The call-back waited longer than the queue lets a caller wait; the one who calls now has not."""
    room = promised_room(*ANN, queue={"maximum_wait_seconds": 40.0})
    play(
        room,
        """
        wait 60
        c2 calls 101 from 07700900001 -> note c2 in 101, serve c2, announce callback-offer to c2
        = c2 waiting
        """,
    )


def test_nobody_is_sent_away_in_the_middle_of_a_question() -> None:
    """The longest wait ends while the caller is asked: the answer counts."""
    room = callback_room(*ANN, queue={"maximum_wait_seconds": 40.0})
    play(room, TALKING)
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        wait 39
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        wait 2
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        c1 presses 1 -> quiet for c1, await disk for c1, announce callback-promised to c1
        """,
    )


def test_a_promised_caller_who_waited_again_has_used_up_no_attempt() -> None:
    """To the switch's own queue and back, and then gone: nobody has been rung yet, so the turn comes at once."""
    room = callback_room(*ANN)
    play(room, TALKING)
    play(room, "\n".join(ACCEPTED.strip().splitlines()[:4]))
    play(
        room,
        """
        c1 in-fallback
        c1 returned -> serve c1
        c1 hangs up
        = c1 callback
        t0 hangs up -> ring ann for c1
        """,
    )
    assert not room.recorded(facts.CallbackAttemptEnded)


def test_a_confirmation_that_nobody_heard_is_said_again() -> None:
    """The link was lost before it could be played, and the disk had told meanwhile."""
    room = callback_room(*ANN)
    play(room, TALKING)
    play(room, "\n".join(ACCEPTED.strip().splitlines()[:4]))
    play(
        room,
        """
        link lost
        seen c1:held t0:connected:t0.1 t0.1+ -> serve c1, announce callback-promised to c1
        c1 hears to the end -> let c1 go
        """,
    )


def test_nothing_is_confirmed_or_dialled_while_blind() -> None:
    """The disk tells while the switch is not seen: what it would ask could not be done, and would count as an attempt."""
    room = promised_room(*ANN)
    room.disk = False
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1
        link lost
        """,
    )
    room.catch_up()
    play(room, "seen c1.1+ -> hang up c1.1")
    [ended] = room.recorded(facts.CallbackAttemptEnded)
    assert not ended.counted
    assert not room.recorded(facts.CallbackDialled)


def test_a_person_rung_while_blind_is_not_rung_for_ever() -> None:
    """The time of the ringing ran out while nothing was seen, and the phone still rings when the switch is seen again."""
    room = promised_room(*ANN)
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 rings
        link lost
        """,
    )
    room.wait(300.0)
    assert room.engine.state.calls["c1"].state is CallState.DIALLING
    play(room, "seen c1!1 c1.1+")
    room.wait(SETTLING_SECONDS)
    assert effects.EndAttempt(call_id="c1", attempt=1) in room.asked
    [ended] = room.recorded(facts.CallbackAttemptEnded)
    assert ended.outcome is AttemptOutcome.NO_ANSWER


def test_a_promised_caller_found_again_is_let_go_at_last() -> None:
    """Nobody tells of the end of what is played to them: they are let go when it must be over."""
    room = callback_room(*ANN)
    play(room, TALKING)
    play(room, "\n".join(ACCEPTED.strip().splitlines()[:4]))
    play(room, "link lost")
    room.wait(120.0)
    play(room, "seen c1:held t0:connected:t0.1 t0.1+ -> serve c1, announce callback-promised to c1")
    room.wait(room.engine.state.calls["c1"].promise_seconds + 0.001)
    assert any(isinstance(effect, effects.HangUpCaller) and effect.call_id == "c1" for effect in room.asked)


def test_a_call_back_waits_for_no_announcement_to_relax() -> None:
    """With nobody on the line to hear it, fewer skills do when their time has come."""
    relaxed = (Relaxation(after_seconds=30.0, skills=(), prompt="no-welsh"),)
    room = promised_room(*ANN, queue={"relaxations": relaxed})
    room.wait(31.0)
    call = room.engine.state.calls["c1"]
    assert skills_needed(call, room.policy.queues["101"], room.now) == ()


def test_moved_while_being_rung_and_returned() -> None:
    """The leg was dialled for another place: it is noted anew."""
    room = promised_room(*ANN)
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        """,
    )
    room.tell(
        inputs.CallbackOrdered(
            order=inputs.Order.MOVE, by="sue", why="at risk", call_id="c1", priority_class="vulnerable"
        )
    )
    play(
        room,
        """
        person c1 answers -> connect c1.1
        ann hangs up
        c1 returned -> serve c1, note c1 in 101, ring ann for c1
        """,
    )


def test_a_person_in_the_switchs_own_queue_is_not_rung_again() -> None:
    """They answered in the instant in which the attempt was given up, unheard: who serves them there is not cut off."""
    room = promised_room(*ANN)
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 rings
        wait 20 -> end attempt 1 of c1, hang up c1.1
        ann ends
        link lost
        seen c1:fallback
        = c1 fallback
        c1 answered-in-fallback-by ann
        c1 hangs up
        = c1 answered talking
        """,
    )


def test_the_switchs_own_queue_ends_the_dialogue() -> None:
    """Nobody is asked anything there."""
    room = callback_room(*ANN)
    play(room, TALKING)
    play(
        room,
        """
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 in-fallback
        wait 20
        """,
    )


def test_one_bar_is_noted_once() -> None:
    """Many wait while the most are being rung: a fact for each in each match would flood the ledger."""
    room = promised_room(*BOTH, callbacks=replace(CALLBACKS, concurrent=1))
    for number in range(2, 9):
        play(room, ACCEPTED.replace("c1", f"c{number}").replace("07700900001", f"0770090000{number}"))
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        t1 hangs up
        """,
    )
    assert [fact.call_id for fact in room.recorded(facts.CallbackBarred)] == ["c2"]


def test_the_phone_of_a_kept_agent_rings_for_nobody_else() -> None:
    """Another has signed in there."""
    room = promised_room("ann 101 999", "bob 101", plan=replace(PLAN, first=First.CALLER))
    play(
        room,
        """
        bob signs in at ann
        t0 hangs up -> await disk for c1, dial 07700900001 for c1
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        t1 hangs up
        = c2 waiting
        """,
    )


def test_not_moved_to_where_the_same_number_waits() -> None:
    """There would be two."""
    other = Queue(name="other", skills=("101",), callback=PLAN)
    room = promised_room(*ANN, more=(other, line("other", "other")))
    play(room, ACCEPTED.replace("c1", "c2").replace("calls 101", "calls other"))
    room.tell(inputs.CallbackOrdered(order=inputs.Order.MOVE, by="sue", why="", call_id="c2", queue="101"))
    assert room.engine.state.calls["c2"].queue == "other"


def test_a_person_who_answers_as_they_are_given_up_is_served_at_once() -> None:
    """The answer was on its way when the time was over: a caller on the line, at their place."""
    room = promised_room(*ANN)
    play(
        room,
        """
        t0 hangs up -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 rings
        wait 20 -> end attempt 1 of c1, hang up c1.1
        person c1 answers -> serve c1
        ann ends -> ring ann for c1
        = c1 offered
        """,
    )


def talked_and_sent_back(*agents: str) -> Room:
    """c1 was called back and talked with ann, who sent them to the queue again; other agents are busy."""
    room = promised_room(*agents, queue={"wrap_up_seconds": 30.0})
    play(
        room,
        """
        t0 hangs up
        wait 30 -> ring ann for c1
        ann answers -> await disk for c1, dial 07700900001 for c1
        person c1 answers -> connect c1.1
        c1 joined
        """,
    )
    room.tell(inputs.CallSentBack(call_id="c1", queue="101"))
    return room


def test_who_was_reached_sent_back_and_hung_up_is_not_dialled_again() -> None:
    """The promise was kept when they talked; what they abandoned then is a queue like anybody's."""
    room = talked_and_sent_back(*ANN)
    play(
        room,
        """
        c1 hangs up
        = c1 abandoned queue
        """,
    )
    assert (room.engine.state.promises.kept, room.engine.state.promises.became_tasks) == (1, 0)


def test_a_reserve_of_two_is_kept_while_a_call_back_waits_for_it() -> None:
    """One agent is kept for it and the others for a 999: a later caller gets none of them."""
    three = (*BOTH, "cat 101 999", "dan 101 999")
    room = promised_room(*three, callbacks=replace(CALLBACKS, idle_agents=2))
    play(
        room,
        """
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        t0 hangs up
        t1 hangs up
        = c1 callback; c2 waiting
        t2 hangs up -> ring ann for c1
        = c2 waiting
        """,
    )


def test_the_live_counter_sees_who_is_served_out_of_turn() -> None:
    """It counts from facts alone, whoever made them: an engine that overtook a promise would show."""
    room = promised_room(*BOTH)
    room.wait(1.0)
    play(room, "c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2")
    room.tell(inputs.CallerGone(call_id="t0", side=Side.CALLER, cause="16"))
    assert room.engine.state.promises.out_of_turn == 0
    state = replay(room.entries)
    wrong = facts.OfferMade(
        offer_id="c2.1", call_id="c2", agent="bob", phone="bob", ring_seconds=15.0, waited_seconds=0.0
    )
    state.agents["bob"].activity = Activity.IDLE
    state.calls["c1"].state = CallState.CALLBACK
    apply(
        state,
        facts.Entry(
            sequence=state.sequence + 1, at=room.now, fact=wrong, reason="wrong", clock=ClockState.UNKNOWN
        ),
    )
    assert state.promises.out_of_turn == 1


KEPT_AND_LEFT: dict[str, str] = {
    "cancelled": "cancel",
    "the number becomes forbidden": "forbid",
    "served by the switch's own queue": "fallback",
}


@pytest.mark.parametrize("name", KEPT_AND_LEFT)
def test_an_agent_who_was_kept_is_free_again_whatever_ends_it(name: str) -> None:
    """Caller first: a 999 that comes afterwards is offered to her at once."""
    numbers = SmallPlan()
    room = promised_room(*ANN, plan=replace(PLAN, first=First.CALLER), numbers=numbers)
    room.disk = name != "the number becomes forbidden"
    happen(room, "t0 hangs up")
    assert room.engine.state.agents["ann"].activity is Activity.RESERVED
    match KEPT_AND_LEFT[name]:
        case "cancel":
            order = inputs.CallbackOrdered(order=inputs.Order.CANCEL, by="sue", why="spoke", call_id="c1")
            room.tell(order)
        case "forbid":
            numbers.forbidden.add("07700900001")
            room.catch_up()
        case _:
            room.tell(inputs.FallbackTook(call_id="c1", line="101", leg_id="c1-back", why="dead-man"))
    happen(room, "e1 calls 999")
    assert room.state_of("e1") == "offered"


def test_a_kept_agent_who_signs_out_ends_the_ringing() -> None:
    """Nobody is put through to a desk that nobody sits at."""
    room = promised_room(*ANN, plan=replace(PLAN, first=First.CALLER))
    play(
        room,
        """
        t0 hangs up -> await disk for c1, dial 07700900001 for c1
        ann signs out -> end attempt 1 of c1
        = c1 callback
        """,
    )


def test_who_talked_and_vanished_unseen_is_not_dialled_again() -> None:
    """The promise was kept; what they wait for then is a queue like anybody's."""
    room = talked_and_sent_back(*BOTH)
    happen(room, "ann hangs up")
    play(
        room,
        """
        link lost
        seen t1:connected:t1.1 t1.1+
        = c1 ended_unknown queue
        """,
    )
    room = talked_and_sent_back(*BOTH)
    happen(room, "ann hangs up")
    room.tell(inputs.FallbackTook(call_id="c1", line="101", leg_id="c1-back", why="dead-man"))
    play(room, "c1 hangs up")
    assert room.state_of("c1") == "abandoned fallback"


def test_only_who_talks_with_it_judges_what_answered() -> None:
    """A handler who had the caller before cuts nobody's conversation."""
    room = talked_and_sent_back(*BOTH)
    happen(room, "ann hangs up")
    play(
        room,
        """
        ann not ready
        t1 hangs up
        wait 30 -> ring bob for c1
        bob answers -> connect c1.2
        c1 joined
        """,
    )
    room.tell(inputs.PersonJudged(outcome=AttemptOutcome.MACHINE, by="ann", agent="ann"))
    play(room, "= c1 talking")


def test_two_deadlines_in_one_step_of_which_one_ends_the_call() -> None:
    """The last attempt and the age of the promise: nothing is looked up that is over."""
    plan = replace(PLAN, attempts=1, age_alarm_seconds=100.0)
    room = promised_room(*ANN, plan=plan)
    room.wait(79.0)
    for row in ("t0 hangs up", "ann answers", "person c1 rings"):
        happen(room, row)
    room.now = room.now.plus(21.5)
    room.tell(inputs.Woken())
    assert room.state_of("c1") == "unreached callback"


def test_two_of_one_number_have_the_better_place_of_both() -> None:
    """A withheld caller who joined first keys the number of a call-back that joined later: the place is the first's."""
    room = callback_room(*ANN)
    play(room, TALKING)
    play(room, "c1 calls 101 -> serve c1, announce callback-offer to c1")
    joined = room.engine.state.calls["c1"].queued_at
    room.wait(1.0)
    play(room, ACCEPTED.replace("c1", "c2"))
    for row in ("c1 presses 1", "c1 keys 07700900001", "c1 presses 1", "c1 presses 1", "c1 hangs up"):
        happen(room, row)
    play(room, "= c1 merged callback; c2 callback")
    assert room.engine.state.calls["c2"].queued_at == joined


def test_ringing_back_the_number_that_we_show_is_matched_whatever_its_queue() -> None:
    """Although it is a number of our own, which nobody dials."""
    room = promised_room(*ANN, more=(replace(line("back", "brief"), number=SHOWN),))
    happen(room, "c2 calls back from 07700900001")
    [matched] = room.recorded(facts.CallbackMatched)
    assert (matched.call_id, matched.by_call) == ("c1", "c2")


def test_who_rings_us_while_the_agent_is_being_rung_is_not_dialled() -> None:
    """Looked at again when the agent is on the line."""
    room = promised_room(*ANN)
    for row in ("t0 hangs up", "c2 calls 101 from 07700900001", "ann answers"):
        happen(room, row)
    assert not [effect for effect in room.asked if isinstance(effect, effects.DialPerson)]
    play(room, "= c1 callback; c2 waiting")


def test_lines_that_are_being_rung_count_towards_the_trunk() -> None:
    """Two of the trunk's channels are for 101: with two being rung the third waits."""
    three = ("ann 101 999", "bob 101 999", "cat 101 999")
    room = promised_room(*three, callbacks=replace(CALLBACKS, channels=2))
    for name in ("c2", "c3"):
        play(room, ACCEPTED.replace("c1", name).replace("07700900001", f"0770090000{name[1]}"))
    for row in ("t0 hangs up", "t1 hangs up", "t2 hangs up"):
        happen(room, row)
    states = [room.state_of(name) for name in ("c1", "c2", "c3")]
    assert states.count("reserving") == 2


def test_a_person_who_is_rung_for_a_task_has_a_line_of_the_trunk() -> None:
    """One of its channels is for 101: the call-back begins when the task's is free again."""
    room = promised_room(
        "ann 101 999",
        "bob 101 999",
        callbacks=replace(CALLBACKS, channels=1),
        tasks=Tasks(abandoned_101_after_seconds=1.0),
    )
    happen(room, "c7 calls 101 from 07700900007")
    room.wait(5.0)
    for row in (
        "c7 hangs up",
        "bob wants a task",
        "ann not ready",
        "t0 hangs up",
        "t1 hangs up",
        "bob rings",
        "bob answers",
        "bob presses 1",
        "ann ready",
    ):
        happen(room, row)
    play(room, "= c1 callback")
    happen(room, "task c7 person no-answer")
    play(room, "= c1 reserving")

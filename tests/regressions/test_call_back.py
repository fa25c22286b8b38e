"""Faults of call-back that nights of the simulator have shown, each as the shortest course of events that shows it."""

from __future__ import annotations

from dataclasses import replace

from edge.core import effects, facts
from edge.core.model import Queue, Relaxation
from edge.core.promise import First, TaskKind
from tests.core.callbacks import PLAN, callback_room, promised_room
from tests.core.room import Room, happen, play

ANN = ("ann 101 999",)
ASKED = """
    t0 calls 101 -> serve t0, ring ann for t0
    ann answers -> connect t0.1
    t0 joined
    c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
    c1 presses 1 -> quiet for c1, announce callback-number to c1
    c1 hears to the end
    c1 in-fallback
"""


def test_a_caller_of_the_switchs_own_queue_is_not_asked_again() -> None:
    """Nobody who is not in our hands is spoken to: seed 31 of 80 calls asked the question again."""
    room = callback_room(*ANN)
    play(room, ASKED)

    room.wait(30.0)

    assert [e for e in room.asked if isinstance(e, effects.Announce)][-1].prompt == "callback-number"
    assert room.engine.state.calls["c1"].announcement is None


def test_who_asked_for_a_call_back_and_gave_up_in_the_switchs_own_queue_is_a_task() -> None:
    """They asked for one before the switch took them: a human looks."""
    room = callback_room(*ANN)
    play(room, ASKED)

    happen(room, "c1 hangs up")

    assert [fact.kind for fact in room.recorded(facts.TaskOpened)] == [TaskKind.ABANDONED_101]


def test_a_dialogue_that_the_switchs_own_queue_cut_is_over() -> None:
    """Taken back, the caller waits, and is offered a call-back again in time: nobody knows what was heard."""
    room = callback_room(*ANN)
    play(room, ASKED)

    happen(room, "c1 calls 101")
    room.wait(61.0)

    assert [fact.why for fact in room.recorded(facts.CallbackDeclined)] == ["interrupted"]
    assert len([f for f in room.recorded(facts.CallbackOffered) if f.call_id == "c1"]) == 2


def test_nobody_is_on_the_line_of_a_call_back_to_be_told_of_a_relaxation() -> None:
    """Fewer skills do in time for a call-back too, though it cannot be told so: seed 57 of 80 calls left it waiting for ever."""
    room = room_with_welsh_call_back()

    room.wait(40.0)

    [offer] = [fact for fact in room.recorded(facts.OfferMade) if fact.call_id == "c1"]
    assert offer.agent == "ann"


def room_with_welsh_call_back() -> Room:
    """Ann is free. Call-back c1 waits for somebody who speaks Welsh, of whom none is at work any more."""
    relaxed = Relaxation(after_seconds=30.0, skills=("101",), prompt="no-welsh")
    room = callback_room("ann 101 999", "dai 101 999 welsh")
    welsh = Queue(name="welsh", skills=("101", "welsh"), relaxations=(relaxed,), callback=replace(PLAN))
    room.policy = replace(room.policy, queues=dict(room.policy.queues) | {"welsh": welsh})
    room.restart()
    room.look()
    play(
        room,
        """
        t0 calls welsh -> serve t0, ring dai for t0
        dai answers -> connect t0.1
        t0 joined
        c1 calls welsh from 07700900001 -> serve c1, announce callback-offer to c1
        c1 presses 1 -> quiet for c1, announce callback-number to c1
        c1 presses 1 -> quiet for c1, announce callback-safe to c1
        c1 presses 1 -> quiet for c1, await disk for c1, announce callback-promised to c1
        c1 hears to the end -> let c1 go
        c1 hangs up
        """,
    )
    return room


def test_a_999_gets_the_agent_who_is_kept_for_a_person_who_presses_the_key() -> None:
    """Nothing begins at an agent whom a waiting 999 needs: seed 105 of 120 calls rang the agent for the 101 instead."""
    room = promised_room(*ANN, plan=replace(PLAN, first=First.CALLER))
    play(
        room,
        """
        t0 hangs up -> await disk for c1, dial 07700900001 for c1
        person c1 rings
        person c1 answers -> serve c1, announce callback-press-key to c1
        e1 calls 999 -> serve e1
        c1 presses 1 -> quiet for c1, ring ann for e1
        = c1 waiting; e1 offered
        """,
    )

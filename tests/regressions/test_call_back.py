"""Faults of call-back that nights of the simulator have shown, each as the shortest course of events that shows it."""

from __future__ import annotations

from dataclasses import replace

from edge.core import effects, facts, inputs
from edge.core.model import Queue, Relaxation
from edge.core.promise import AttemptOutcome, First
from edge.core.ringing_back import LEG_MARGIN_SECONDS
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
        e1 calls 999 -> serve e1, quiet for c1, serve c1, ring ann for e1
        c1 presses 1
        = c1 waiting; e1 offered
        """,
    )


DIALLED = """
    t0 hangs up -> ring ann for c1
    ann answers -> await disk for c1, dial 07700900001 for c1
"""


def test_nobody_is_rung_again_until_the_first_ringing_must_have_ended() -> None:
    """To ask for its end may be in vain: seed 1040 of 150 calls had two attempts in flight, five seconds apart."""
    room = promised_room(*ANN)
    play(room, DIALLED)
    room.wait(12.0)  # it has not rung: given up, and the end of its leg asked for
    happen(room, "c1.1 ends")

    room.wait(PLAN.ring_seconds)
    assert len([fact for fact in room.recorded(facts.OfferMade) if fact.call_id == "c1"]) == 1

    room.wait(LEG_MARGIN_SECONDS)
    assert len([fact for fact in room.recorded(facts.OfferMade) if fact.call_id == "c1"]) == 2


def test_who_is_seen_to_ring_no_more_need_not_wait_for_it() -> None:
    """A call-back that gave its agent to a 999 was passed over for half a minute by whoever had joined later."""
    room = promised_room(*ANN)
    play(room, DIALLED)
    happen(room, "e1 calls 999")
    happen(room, "c1.1 ends")
    happen(room, "ann answers")
    happen(room, "e1 joined")
    gone = inputs.PersonGone(call_id="c1", attempt=1, outcome=AttemptOutcome.NO_ANSWER, cause="16")
    room.tell(gone)
    [silent] = room.recorded(facts.CallbackSilent)
    assert (silent.attempt, silent.not_before) == (1, room.now)
    room.tell(gone)
    assert len(room.recorded(facts.CallbackSilent)) == 1

    happen(room, "e1 hangs up")
    room.wait(room.policy.queues["999"].wrap_up_seconds)
    assert len([fact for fact in room.recorded(facts.OfferMade) if fact.call_id == "c1"]) == 2


def given_up() -> Room:
    """The person of call-back c1 was taken for a machine, and waits to be called back again."""
    room = promised_room(*ANN)
    play(room, DIALLED)
    play(
        room,
        """
        person c1 answers -> connect c1.1
        c1 joined
        """,
    )
    room.tell(inputs.PersonJudged(outcome=AttemptOutcome.MACHINE, by="ann", call_id="c1"))
    assert room.state_of("c1") == "callback"
    return room


def test_who_was_given_up_and_sent_back_is_not_left_on_the_line() -> None:
    """Judged and sent back in one breath: seed 9 of 80 calls rang the person a second time beside."""
    room = given_up()

    play(room, "c1 sent-back-to 101 -> let c1 go")


def test_who_was_given_up_and_is_in_the_switchs_own_queue_is_not_rung_beside() -> None:
    """A human serves them there; it is looked at whether they are still there, since the word may be an old one."""
    room = given_up()

    play(room, "c1 in-fallback -> inspect c1")
    room.wait(300.0)

    assert room.state_of("c1") == "fallback"
    assert len([effect for effect in room.asked if isinstance(effect, effects.DialPerson)]) == 1


def test_a_second_promise_while_the_person_is_asked_for_a_key_goes_on_as_one() -> None:
    """One open call-back for one number: seed 1102 of 150 calls made a second beside one that was asked for a key."""
    room = promised_room(*ANN, plan=replace(PLAN, first=First.CALLER))
    play(
        room,
        """
        t0 hangs up -> await disk for c1, dial 07700900001 for c1
        person c1 answers -> serve c1, announce callback-press-key to c1
        c2 calls 101 -> serve c2, announce callback-offer to c2
        c2 presses 1 -> quiet for c2, collect digits of c2, announce callback-key to c2
        c2 keys 07700900001 -> quiet for c2, no more digits of c2, announce callback-keyed to c2
        c2 presses 1 -> quiet for c2, announce callback-safe to c2
        c2 presses 1 -> quiet for c2, await disk for c2, announce callback-promised to c2
        """,
    )

    assert [fact.into for fact in room.recorded(facts.CallbackPromised)] == [None, "c1"]

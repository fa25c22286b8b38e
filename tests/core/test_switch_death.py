"""The switch dies with everybody on it: what was promised stands, and everybody else becomes work for a human, in order."""

from __future__ import annotations

from dataclasses import replace

from edge.core import effects, facts, inputs
from edge.core.model import CallState, PhoneState, Side
from edge.core.promise import TaskKind, Tasks
from edge.core.state import replay
from tests.core.callbacks import callback_room, promised_room
from tests.core.room import Room, happen, play

ANN = ("ann 101 999",)
BOTH = ("ann 101 999", "bob 101 999")


def boots(room: Room, name: str) -> None:
    """The switch is seen, in this life, and there is nobody on it."""
    room.tell(
        inputs.Reconciled(
            agents=tuple(inputs.AgentSeen(agent=agent, phone=agent) for agent in room.policy.agents),
            phones=tuple(
                inputs.PhoneSeen(phone=phone, state=PhoneState.IDLE) for phone in room.policy.phones
            ),
            switch_boot=name,
        )
    )


def full_room() -> Room:
    """c1 was promised a call-back; t0 and t1 talk, c2 and a 999 wait, c3 is an upgraded 101 that rang first."""
    room = promised_room(*BOTH)
    room.engine.state.switch_boot = "monday"
    room.entries.clear()
    play(
        room,
        """
        wait 1
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        wait 1
        e1 calls 999 from 07700900009 -> serve e1
        """,
    )
    return room


def test_everybody_is_work_in_hand_and_999_comes_first() -> None:
    """Who agreed keeps the place; who waited or talked is a task, the 999 first, then by joining; nobody is dialled for it."""
    room = full_room()
    room.tell(inputs.LinkLost(link="ami", error="reset"))
    boots(room, "tuesday")
    opened = room.recorded(facts.TaskOpened)
    assert [task.call_id for task in opened] == ["e1", "t0", "t1", "c2"]
    assert {task.kind for task in opened} == {TaskKind.LOST}
    assert [task.emergency for task in opened] == [True, False, False, False]
    [restored] = room.recorded(facts.SwitchRestored)
    assert restored.restarted
    assert room.engine.state.calls["c1"].state in (CallState.CALLBACK, CallState.RESERVING)
    assert list(room.engine.state.calls) == ["c1"]
    assert not [effect for effect in room.asked if isinstance(effect, effects.DialPerson)]


def test_while_the_switch_lives_who_talked_has_hung_up() -> None:
    """The same sight without another life: only who was not answered is looked after, a 101 by the rule."""
    room = callback_room(*ANN, tasks=Tasks(abandoned_101_after_seconds=10.0))
    boots(room, "monday")
    play(
        room,
        """
        t0 calls 101 -> serve t0, ring ann for t0
        ann answers -> connect t0.1
        t0 joined
        c1 calls 101 from 07700900001 -> serve c1, announce callback-offer to c1
        wait 11
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        e1 calls 999 from 07700900009 -> serve e1
        """,
    )
    room.tell(inputs.LinkLost(link="ami", error="reset"))
    boots(room, "monday")
    kinds = {task.call_id: task.kind for task in room.recorded(facts.TaskOpened)}
    assert kinds == {"e1": TaskKind.LOST, "c1": TaskKind.ABANDONED_101}


def test_who_calls_again_soon_has_the_time_of_joining_that_the_fault_took() -> None:
    """Within fifteen minutes, from the number that was presented; later, or withheld, they join like anybody."""
    room = full_room()
    joined = room.engine.state.calls["c2"].queued_at
    boots(room, "tuesday")
    room.wait(60.0)
    happen(room, "c9 calls 101 from 07700900002")
    assert room.engine.state.calls["c9"].queued_at == joined
    assert "c2" in room.engine.state.tasks
    assert room.engine.state.tasks["c2"].linked == ["c9"]
    room.tell(replace(inputs.CallerGone(call_id="c9", side=Side.CALLER, cause="16")))
    room.wait(900.0)
    happen(room, "c10 calls 101 from 07700900002")
    assert room.engine.state.calls["c10"].queued_at == room.now


def test_a_999_that_the_network_cuts_in_a_talk_is_a_task() -> None:
    """Nobody hung up: somebody rings back."""
    room = callback_room(*ANN)
    play(
        room,
        """
        e1 calls 999 from 07700900009 -> serve e1, ring ann for e1
        ann answers -> connect e1.1
        e1 joined
        """,
    )
    room.tell(inputs.CallerGone(call_id="e1", side=Side.UNKNOWN, cause="38", cut=True))
    assert room.engine.state.tasks["e1"].kind is TaskKind.LOST
    assert replay(room.entries) == room.engine.state

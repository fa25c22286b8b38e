"""Ring-back tasks at handlers' phones: in order, 999 first, and nobody dialled but by a handler's key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge.core import effects, facts, inputs
from edge.core.model import Activity, TaskOfferState
from edge.core.promise import TaskAttemptOutcome, TaskKind, TaskOutcome, Tasks
from edge.core.state import replay
from edge.core.task_at_phone import NOT_NOW
from tests.core.callbacks import CALLBACKS, SmallPlan, callback_room, promised_room
from tests.core.room import Room, arrival, happen, play

ANN = ("ann 101 999",)
BOTH = ("ann 101 999", "bob 101 999")
NUMBER = "07700900001"


def died_room(*agents: str, calls: str = "101 101", **more: Any) -> Room:
    """Callers c1, c2, ... of these lines waited, with numbers, while nobody was there; the switch died and all sign in again."""
    room = callback_room(*agents, **more)
    room.look(boot="monday")
    for agent in room.policy.agents:
        happen(room, f"{agent} not ready")
    for index, line in enumerate(calls.split(), start=1):
        room.wait(1.0)
        number = f"0770090000{index}"
        room.tell(replace(arrival(f"c{index}", line), caller_number=number, number_withheld=False))
    room.wait(1.0)
    room.look(boot="tuesday")
    room.asked.clear()
    return room


def offers(room: Room) -> list[tuple[str, str]]:
    """Task and agent of each offer so far."""
    return [(made.task_id, made.agent) for made in room.recorded(facts.TaskOffered)]


def dials(room: Room) -> list[str]:
    """The numbers that the switch was asked to ring for a task."""
    return [asked.number for asked in room.asked if isinstance(asked, effects.DialForTask)]


def talk(room: Room, agent: str, task_id: str) -> None:
    """The agent answers, rings the person by key 1, and they talk."""
    for row in (f"{agent} rings", f"{agent} answers", f"{agent} presses 1", f"task {task_id} person answers"):
        happen(room, row)


def test_key_1_rings_the_person_and_the_talk_leaves_the_task_to_who_talked() -> None:
    """Durable first, one dial; what it came to is a fact; the handler closes it, by code."""
    room = died_room(*ANN, calls="101")
    assert offers(room) == [("c1", "ann")]
    play(
        room,
        """
        ann rings
        ann answers     -> ask task-c1.1 task-lost task-choose
        ann presses 1   -> await disk for task-c1.1, dial for task-c1.1
        task c1 person answers
        = ann talking
        wait 40
        task c1 person spoken
        ann hangs up
        """,
    )
    [ended] = room.recorded(facts.TaskAttemptEnded)
    assert (ended.outcome, ended.talked_seconds, ended.attempt) == (TaskAttemptOutcome.SPOKEN, 40.0, 1)
    assert dials(room) == ["07700900001"]
    assert room.engine.state.tasks["c1"].assigned_to == "ann"
    room.wait(600.0)
    assert len(offers(room)) == 1
    happen(room, "ann spoke with them")
    [closed] = room.recorded(facts.TaskClosed)
    assert (closed.by, closed.outcome) == ("ann", TaskOutcome.REACHED)
    assert replay(room.entries) == room.engine.state


def test_after_the_talk_there_is_wrap_up_as_after_every_talk() -> None:
    """That of the queue in which the caller waited."""
    room = died_room(*ANN, calls="101", queue={"wrap_up_seconds": 30.0})
    talk(room, "ann", "c1")
    happen(room, "ann hangs up")
    assert room.engine.state.agents["ann"].activity is Activity.WRAP_UP
    room.wait(30.0)
    assert room.state_of("ann") == "ready"


def test_key_2_takes_the_task_and_dials_nobody() -> None:
    """It is the agent's own work, and offered to nobody else."""
    room = died_room(*BOTH, calls="101")
    [(_, agent)] = offers(room)
    play(
        room,
        f"""
        {agent} rings
        {agent} answers   -> ask task-c1.1 task-lost task-choose
        {agent} presses 2 -> hang up task-c1.1
        {agent} ends
        wait 300
        """,
    )
    assert room.engine.state.tasks["c1"].assigned_to == agent
    assert (offers(room), dials(room)) == ([("c1", agent)], [])


@pytest.mark.parametrize("how", ["hangs up", "rejects", "rings-out", "no key"])
def test_who_does_not_take_it_leaves_it_at_its_place_for_another(how: str) -> None:
    """After a while, and to somebody else first; nobody is dialled."""
    room = died_room(*BOTH, calls="101")
    [(_, first)] = offers(room)
    [second] = {"ann", "bob"} - {first}
    happen(room, f"{first} rings")
    if how in ("hangs up", "no key"):
        happen(room, f"{first} answers")
    if how == "no key":
        room.wait(room.policy.tasks.choose_seconds)
        happen(room, f"{first} ends")
    else:
        happen(room, f"{first} {how}")
    room.wait(59.0)
    assert len(offers(room)) == 1
    room.wait(1.0)
    assert offers(room) == [("c1", first), ("c1", second)]
    assert dials(room) == []


def test_999_first_then_by_the_time_of_joining_in_one_order_with_callers() -> None:
    """A task stands where its caller stood: before a live caller who joined later, behind one who joined earlier."""
    room = died_room(*ANN, calls="101 101 999")
    happen(room, "c9 calls 101 from 07700900009")
    taken = []
    for _ in range(4):
        record = room.engine.state.agents["ann"]
        offer_id = record.offer_id or ""
        taken.append(offer_id.rpartition(".")[0])
        if offer_id.startswith("task-"):
            for row in ("ann rings", "ann answers", "ann presses 2", "ann ends"):
                happen(room, row)
    assert taken == ["task-c3", "task-c1", "task-c2", "c9"]


def test_a_call_back_that_becomes_a_task_comes_before_the_tasks_behind_it() -> None:
    """In the very step in which its number turns out to be forbidden: it had the earlier place."""
    numbers = SmallPlan()
    kinds = (TaskKind.UNREACHED_CALLBACK, TaskKind.ABANDONED_101)
    room = promised_room(*ANN, numbers=numbers, tasks=Tasks(offered=kinds))
    play(
        room,
        """
        wait 1
        c2 calls 101 from 07700900002 -> serve c2, announce callback-offer to c2
        c2 presses 1 -> quiet for c2, announce callback-number to c2
        c2 hangs up
        """,
    )
    numbers.forbidden.add(NUMBER)
    play(room, "ann hangs up -> ring ann for task c1")
    assert set(room.engine.state.tasks) == {"c1", "c2"}


def test_a_waiting_999_comes_before_every_task() -> None:
    """No task is offered to who could take it, even one of a 999."""
    room = died_room(*ANN, calls="999")
    play(
        room,
        """
        e1 calls 999 -> serve e1, hang up task-c1.1
        ann ends     -> ring ann for e1
        """,
    )


@pytest.mark.parametrize("stage", ["rings", "chooses", "meant", "dials"])
def test_a_999_takes_the_agent_at_every_step_before_somebody_answers(stage: str) -> None:
    """The phone stops ringing, or the person's does; the task keeps its place, and nobody has declined it."""
    room = died_room(*ANN, calls="101")
    happen(room, "ann rings")
    if stage != "rings":
        happen(room, "ann answers")
    if stage in ("meant", "dials"):
        room.disk = stage == "dials"
        happen(room, "ann presses 1")
    room.asked.clear()
    happen(room, "e1 calls 999")
    [end] = [a for a in room.asked if isinstance(a, effects.HangUpOffer | effects.GiveUpDial)]
    assert isinstance(end, effects.GiveUpDial) == (stage == "dials")
    happen(room, "ann ends")
    assert room.engine.state.calls["e1"].live_offers
    room.catch_up()
    task = room.engine.state.tasks["c1"]
    assert (task.declined_by, task.offer_id, len(dials(room))) == ({}, None, 0)


def test_a_talk_is_never_cut_for_a_999() -> None:
    """From the answer on it is a conversation; also where the answer crossed the giving up."""
    room = died_room(*ANN, calls="101")
    talk(room, "ann", "c1")
    room.asked.clear()
    happen(room, "e1 calls 999")
    assert not [a for a in room.asked if isinstance(a, effects.HangUpOffer | effects.GiveUpDial)]

    room = died_room(*ANN, calls="101")
    for row in ("ann rings", "ann answers", "ann presses 1", "e1 calls 999", "task c1 person answers"):
        happen(room, row)
    room.asked.clear()
    room.wait(120.0)
    assert not [a for a in room.asked if isinstance(a, effects.HangUpOffer | effects.GiveUpDial)]
    happen(room, "ann hangs up")
    assert room.engine.state.tasks["c1"].attempts[-1].talked_seconds == 120.0


def test_a_task_is_offered_only_while_somebody_stays_free_for_999() -> None:
    """The reserve of call-backs: one who can take a 999 beside the one who is asked; until then an agent is kept for it."""
    room = died_room(*BOTH, calls="101 101", callbacks=replace(CALLBACKS, idle_agents=1))
    assert len(offers(room)) == 1
    [(_, first)] = offers(room)
    [second] = {"ann", "bob"} - {first}
    for row in (f"{first} rings", f"{first} answers", f"{first} presses 2"):
        happen(room, row)
    happen(room, f"{second} not ready")
    happen(room, f"{first} ends")
    assert len(offers(room)) == 1
    happen(room, f"{second} ready")
    assert len(offers(room)) == 2


@pytest.mark.parametrize(("agents", "talks"), [(ANN, False), (BOTH, True)])
def test_a_lost_999_does_not_wait_for_the_reserve(agents: tuple[str, ...], talks: bool) -> None:
    """Who is kept free for the next 999 is rung for this one, alone at work or beside one who talks: it gives way to a caller."""
    room = died_room(*agents, calls="999", callbacks=replace(CALLBACKS, idle_agents=1))
    if talks:
        [(_, first)] = offers(room)
        for row in (f"{first} rings", f"{first} rejects", f"{first} not ready", "wait 60"):
            happen(room, row)
    assert {agent for _, agent in offers(room)} == set(room.policy.agents)


@pytest.mark.parametrize("trouble", ["", "ledger", "trunk"])
def test_nobody_is_kept_for_a_task_whose_person_cannot_be_rung_now(trouble: str) -> None:
    """While the ledger takes no facts, or no line of the trunk is left, later callers are served; then it is the task's turn."""
    channels = 1 if trouble == "trunk" else None
    room = died_room(*BOTH, calls="101", callbacks=replace(CALLBACKS, idle_agents=1, channels=channels))
    for row in ("ann rings", "ann rejects", "c8 calls 101"):
        happen(room, row)
    [made] = room.recorded(facts.OfferMade)
    for row in (f"{made.agent} answers", "c8 joined"):
        happen(room, row)
    if trouble == "ledger":
        room.tell(inputs.LedgerTrouble(ok=False, detail="full"))
    room.wait(60.0)
    happen(room, "c9 calls 101")
    assert bool(room.engine.state.calls["c9"].live_offers) == bool(trouble)
    assert offers(room) == [("c1", "ann")]
    room.tell(inputs.LedgerTrouble(ok=True, detail=""))
    for row in ("c9 hangs up", "c9.1 ends", "c8 hangs up", f"{made.agent} hangs up"):
        happen(room, row)
    assert len(offers(room)) == 2


def test_a_withheld_number_is_looked_up_and_not_dialled() -> None:
    """The prompt says so; key 1 does nothing, key 2 takes it."""
    room = callback_room(*ANN)
    room.look(boot="monday")
    play(room, "ann not ready\nc1 calls 101 -> serve c1")
    room.look(boot="tuesday")
    play(
        room,
        """
        ann rings
        ann answers   -> ask task-c1.1 task-lost task-look-up
        ann presses 1 -> ask task-c1.1 task-look-up
        ann presses 2 -> hang up task-c1.1
        ann ends
        """,
    )
    assert (room.engine.state.tasks["c1"].assigned_to, dials(room)) == ("ann", [])


def test_the_number_is_judged_at_the_key_and_again_before_the_dial() -> None:
    """One that became forbidden while the intent was being written is not dialled."""
    numbers = SmallPlan()
    room = died_room(*ANN, calls="101", numbers=numbers)
    room.disk = False
    for row in ("ann rings", "ann answers", "ann presses 1"):
        happen(room, row)
    numbers.forbidden.add(NUMBER)
    room.catch_up()
    [ended] = room.recorded(facts.TaskAttemptEnded)
    assert (ended.outcome, dials(room)) == (TaskAttemptOutcome.NOT_DIALLED, [])


def test_nobody_is_dialled_before_the_intent_is_on_disk() -> None:
    """A disk that does not take it in time means that nothing was dialled, whatever it says later."""
    room = died_room(*ANN, calls="101")
    room.disk = False
    for row in ("ann rings", "ann answers", "ann presses 1"):
        happen(room, row)
    assert dials(room) == []
    room.wait(10.0)
    room.catch_up()
    assert dials(room) == []
    [ended] = room.recorded(facts.TaskAttemptEnded)
    assert ended.outcome is TaskAttemptOutcome.NOT_DIALLED


def test_who_calls_again_is_not_rung() -> None:
    """While somebody calls from the number its task is offered to nobody, and key 1 says: not now."""
    room = died_room(*ANN, calls="101")
    play(
        room,
        """
        ann rings
        ann answers   -> ask task-c1.1 task-lost task-choose
        c9 calls 101 from 07700900001 -> note c9 in 101, serve c9, announce callback-offer to c9
        ann presses 1 -> ask task-c1.1 task-not-now
        """,
    )
    assert dials(room) == []


@pytest.mark.parametrize("order", ["task c1 assigned to bob", "task c1 closed by sue"])
@pytest.mark.parametrize("stage", ["rings", "chooses"])
def test_a_task_that_is_taken_or_closed_meanwhile_is_withdrawn(stage: str, order: str) -> None:
    """The phone stops ringing; nobody has declined anything."""
    room = died_room(*ANN, calls="101")
    happen(room, "ann rings")
    if stage == "chooses":
        happen(room, "ann answers")
    play(room, f"{order} -> hang up task-c1.1\nann ends\nwait 300")
    assert len(offers(room)) == 1
    assert room.state_of("ann") == "ready"


def test_a_task_closed_while_its_person_rings_does_not_cut_them_off() -> None:
    """A talk that came of it is a talk."""
    room = died_room(*ANN, calls="101")
    for row in ("ann rings", "ann answers", "ann presses 1"):
        happen(room, row)
    play(room, "task c1 closed by sue")
    room.tell(inputs.TaskPersonAnswered(offer_id="task-c1.1"))
    room.wait(20.0)
    happen(room, "ann hangs up")
    assert room.recorded(facts.TaskAttemptEnded)[0].talked_seconds == 20.0
    assert replay(room.entries) == room.engine.state


@pytest.mark.parametrize(
    ("said", "outcome"), [("no-answer", "no_answer"), ("busy", "busy"), ("failed", "failed")]
)
def test_a_person_who_is_not_reached_is_rung_again_only_by_another_key(said: str, outcome: str) -> None:
    """It is a fact on the task, which is offered again after a while."""
    room = died_room(*ANN, calls="101")
    for row in ("ann rings", "ann answers", "ann presses 1", f"task c1 person {said}", "ann ends"):
        happen(room, row)
    assert [attempt.outcome for attempt in room.engine.state.tasks["c1"].attempts] == [outcome]
    room.wait(60.0)
    assert len(offers(room)) == 2
    for row in ("ann rings", "ann answers", "ann presses 1"):
        happen(room, row)
    assert (len(dials(room)), room.engine.state.tasks["c1"].attempt) == (2, 2)


def test_only_kinds_that_are_offered_ring_by_themselves() -> None:
    """By default those that a fault cut: the list has the others, and who asks for the next."""
    room = callback_room(*ANN, tasks=Tasks(offered=()))
    room.look(boot="monday")
    play(room, "ann not ready\nc1 calls 101 -> serve c1")
    room.look(boot="tuesday")
    room.wait(100.0)
    assert offers(room) == []
    play(room, "ann wants a task -> ring ann for task c1")
    assert Tasks().offered == (TaskKind.LOST,)


@pytest.mark.parametrize("rows", [("signs out", "signs in"), ("not ready", "ready")])
def test_who_declined_and_begins_afresh_is_offered_the_next_at_once(rows: tuple[str, str]) -> None:
    """Signed in again, or ready again: whatever they declined is forgotten, as what they missed is."""
    room = died_room(*ANN, calls="101 101")
    for row in ("rings", "rejects"):
        happen(room, f"ann {row}")
    room.wait(5.0)
    assert offers(room) == [("c1", "ann")]
    for row in rows:
        happen(room, f"ann {row}")
    assert offers(room) == [("c1", "ann"), ("c2", "ann")]


@pytest.mark.parametrize(("line", "is_dialled"), [("101", False), ("999", True)])
def test_a_line_of_the_trunk_that_is_left_for_999_is_dialled_for_those_alone(
    line: str, is_dialled: bool
) -> None:
    """One 101 at once, and a caller has it: the handler is told, and may press the key again."""
    room = died_room(*ANN, calls=line, callbacks=replace(CALLBACKS, channels=1))
    for row in ("ann rings", "ann answers", "c9 calls 101", "ann presses 1"):
        happen(room, row)
    assert len(dials(room)) == is_dialled
    told = [asked.sounds for asked in room.asked if isinstance(asked, effects.AskAgent)]
    assert ((NOT_NOW,) in told) == (not is_dialled)
    happen(room, "c9 hangs up")
    happen(room, "ann presses 1")
    assert len(dials(room)) == 1


def test_two_tasks_share_one_line_of_the_trunk_one_after_the_other() -> None:
    """A person who is rung or talked with for a task is on it."""
    room = died_room(*BOTH, calls="101 101", callbacks=replace(CALLBACKS, channels=1))
    (first, one), (second, other) = offers(room)
    talk(room, one, first)
    for row in ("rings", "answers", "presses 1"):
        happen(room, f"{other} {row}")
    assert len(dials(room)) == 1
    happen(room, f"task {first} person spoken")
    happen(room, f"{other} presses 1")
    assert (len(dials(room)), second in room.engine.state.tasks) == (2, True)


def test_who_asks_has_the_next_as_soon_as_the_phone_is_free() -> None:
    """Not while the code's own call occupies it; not ready does not matter; somebody else's task is not given."""
    room = died_room(*ANN, calls="101 101", tasks=Tasks(offered=()))
    play(
        room,
        """
        task c1 assigned to bob
        ann not ready
        ann phone busy
        ann wants a task
        ann phone idle -> ring ann for task c2
        ann rings
        ann answers    -> ask task-c2.1 task-lost task-choose
        """,
    )


def test_a_phone_still_in_the_codes_own_call_is_rung_again_when_its_line_is_clear() -> None:
    """The switch shows it idle a moment before it is: nobody has declined, and the asking stands."""
    room = died_room(*ANN, calls="101", tasks=Tasks(offered=()))
    play(
        room,
        """
        ann not ready
        ann wants a task -> ring ann for task c1
        ann is-busy
        wait 0.09
        wait 0.01        -> ring ann for task c1
        ann rings
        ann answers      -> ask task-c1.2 task-lost task-choose
        """,
    )
    assert room.engine.state.tasks["c1"].declined_by == {}


def test_a_phone_that_is_busy_again_and_again_has_declined_the_task() -> None:
    room = died_room(*ANN, calls="101", tasks=Tasks(offered=()))
    play(
        room,
        """
        ann wants a task -> ring ann for task c1
        ann is-busy
        wait 0.1 -> ring ann for task c1
        ann is-busy
        wait 0.2 -> ring ann for task c1
        ann is-busy
        wait 0.4 -> ring ann for task c1
        ann is-busy
        wait 59
        """,
    )
    assert set(room.engine.state.tasks["c1"].declined_by) == {"ann"}


def test_who_asks_in_vain_is_not_rung_much_later() -> None:
    """Their asking is forgotten when the phone stays busy, or there is nothing."""
    room = died_room(*ANN, calls="101", tasks=Tasks(offered=()))
    play(
        room,
        "ann phone busy\nann wants a task\nwait 31\nann phone idle\ntask c1 closed by sue\nann wants a task",
    )
    assert offers(room) == []


def test_an_agent_who_leaves_while_it_rings_has_declined_nothing() -> None:
    """It goes to the next at once."""
    room = died_room(*BOTH, calls="101")
    [(_, first)] = offers(room)
    [second] = {"ann", "bob"} - {first}
    play(room, f"{first} not ready -> hang up task-c1.1\n{first} ends -> ring {second} for task c1")


# ---------------------------------------------------------------------- the daemon dies, sight is lost


@pytest.mark.parametrize("stage", ["calling", "rings", "chooses"])
def test_killed_while_it_rings_or_asks_the_task_keeps_its_place(stage: str) -> None:
    """The leg is ended, nobody is dialled, and it is offered again."""
    room = died_room(*ANN, calls="101")
    if stage != "calling":
        happen(room, "ann rings")
    if stage == "chooses":
        happen(room, "ann answers")
    happen(room, "killed")
    leg = "task-c1.1+" if stage == "chooses" else "task-c1.1"
    play(room, f"seen {leg} -> hang up task-c1.1\nann ends -> ring ann for task c1")
    assert dials(room) == []


@pytest.mark.parametrize("is_meant_only", [True, False])
def test_killed_between_the_key_and_the_dial_nothing_is_dialled_again(is_meant_only: bool) -> None:
    """Found in our hands: nobody was rung, and nobody will be but by another key."""
    room = died_room(*ANN, calls="101")
    room.disk = not is_meant_only
    for row in ("ann rings", "ann answers", "ann presses 1"):
        happen(room, row)
    room.asked.clear()
    room.restart()
    play(room, "seen task-c1.1+ -> hang up task-c1.1\nann ends")
    room.catch_up()
    assert dials(room) == []
    [ended] = room.recorded(facts.TaskAttemptEnded)
    assert ended.outcome is TaskAttemptOutcome.NOT_DIALLED


def test_killed_while_the_person_rings_or_talks_it_goes_on() -> None:
    """The switch rings by itself; what came of it is learned from where the leg is."""
    room = died_room(*ANN, calls="101")
    for row in ("ann rings", "ann answers", "ann presses 1"):
        happen(room, row)
    room.asked.clear()
    room.restart()
    away = inputs.SeenOffer(offer_id="task-c1.1", answered=True, away=True)
    room.look(offers=(away,))
    assert room.asked == []
    room.restart()
    room.look(offers=(replace(away, talking=True),))
    assert room.asked == []
    room.wait(30.0)
    happen(room, "ann hangs up")
    [ended] = room.recorded(facts.TaskAttemptEnded)
    assert (ended.outcome, ended.talked_seconds) == (TaskAttemptOutcome.SPOKEN, 30.0)


def test_a_dial_whose_end_nobody_saw_is_not_made_again() -> None:
    """The task is open, and offered again after a while; a key rings anew."""
    room = died_room(*ANN, calls="101")
    for row in ("ann rings", "ann answers", "ann presses 1", "killed"):
        happen(room, row)
    room.asked.clear()
    happen(room, "seen")
    assert room.engine.state.tasks["c1"].attempts[0].outcome is TaskAttemptOutcome.UNSEEN
    room.wait(60.0)
    assert (len(offers(room)), dials(room)) == (2, [])


@pytest.mark.parametrize("stage", ["rings", "chooses", "dials", "talks"])
def test_the_death_of_the_switch_leaves_the_task_open(stage: str) -> None:
    """Whatever was going on for it; who talked has it."""
    room = died_room(*ANN, calls="101")
    rows = ["ann rings", "ann answers", "ann presses 1", "task c1 person answers"]
    for row in rows[: ["rings", "chooses", "dials", "talks"].index(stage) + 1]:
        happen(room, row)
    room.look(boot="wednesday")
    task = room.engine.state.tasks["c1"]
    assert task.assigned_to == ("ann" if stage == "talks" else None)
    assert len(dials(room)) == (stage in ("dials", "talks"))
    assert replay(room.entries) == room.engine.state


def test_a_talk_of_which_the_ledger_knows_nothing_is_left_alone() -> None:
    """A leg of a task whose offer is over, with somebody: nobody cuts it."""
    room = Room(*ANN)
    talking = inputs.SeenOffer(offer_id="task-c7.1", answered=True, away=True, talking=True)
    idle = inputs.SeenOffer(offer_id="task-c8.1", answered=True)
    room.asked.clear()
    room.look(offers=(talking, idle))
    assert room.asked == [effects.HangUpOffer(offer_id="task-c8.1")]


def test_a_number_that_a_call_back_rings_is_not_rung_for_a_task_nor_the_other_way_round() -> None:
    """Two would ring one phone: whoever is first has it, and the other waits."""
    room = promised_room(*BOTH)
    room.look(boot="monday")
    happen(room, "c7 calls 101 from 07700900001")
    room.look(boot="tuesday")
    for _ in range(40):
        for agent in ("ann", "bob"):
            offer_id = room.engine.state.agents[agent].offer_id
            if offer_id is None:
                continue
            for row in (f"{agent} rings", f"{agent} answers"):
                happen(room, row)
            if offer_id.startswith("task-"):
                happen(room, f"{agent} presses 1")
        flying = [
            call for call in room.engine.state.calls.values() if call.callback and call.callback.in_flight
        ]
        rung = [o for o in room.engine.state.task_offers.values() if o.state is TaskOfferState.DIALLING]
        numbers = [call.callback.number for call in flying if call.callback]
        numbers += [room.engine.state.tasks[offer.task_id].number for offer in rung]
        assert len(numbers) == len(set(numbers))
        room.wait(5.0)
    assert len(dials(room)) + len([a for a in room.asked if isinstance(a, effects.DialPerson)]) > 0

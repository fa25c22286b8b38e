"""Times without sight of the switch: why, since when, and what its own record tells of them; and clocks that are set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core import effects, facts, inputs
from edge.core.engine import Engine
from edge.core.model import (
    BUDDY,
    MICROSECONDS,
    Blindness,
    Bound,
    CallOutcome,
    ClockState,
    Emergency,
    Instant,
    Side,
    Stage,
)
from edge.core.promise import TaskKind, TaskOutcome, Tasks
from edge.core.state import LOOK_UP_SECONDS, State, replay
from edge.core.tracing import MARGIN_SECONDS, SOMEBODY
from edge.ledger.codec import decode_state, encode_state
from tests.core.callbacks import SmallPlan, callback_room
from tests.core.room import Room, arrival, happen, play

ANN = ("ann 101 999",)


def us(at: Instant, seconds: float = 0.0) -> int:
    """UTC of an instant, or of so many seconds after it."""
    return at.utc_us + round(seconds * MICROSECONDS)


def seen_again(room: Room, *calls: inputs.SeenCall, boot: str = "", agents: bool = True) -> None:
    """The switch is looked at; its clock is ours."""
    people = tuple(inputs.AgentSeen(agent=name, phone=name) for name in room.policy.agents) if agents else ()
    room.tell(inputs.Reconciled(calls=calls, agents=people, switch_boot=boot, switch_utc_us=room.now.utc_us))


def traced(call_id: str, at: Instant, **more: Any) -> inputs.TracedCall:
    """A caller who came at `at` and gave up five seconds later, in the switch's own record."""
    told: dict[str, Any] = {
        "leg_id": f"leg-{call_id}",
        "line": "101",
        "caller_number": "07700900001",
        "number_withheld": False,
        "joined_utc_us": us(at),
        "arrived_utc_us": us(at),
        "answered_utc_us": us(at, 0.001),
        "fallback_utc_us": us(at, 0.7),
        "connected_utc_us": None,
        "ended_utc_us": us(at, 5.0),
        "latest_utc_us": us(at, 5.0),
        "side": Side.CALLER,
        "cause": "16",
        "source": "CEL",
    }
    return inputs.TracedCall(call_id=call_id, **(told | more))


def read(
    room: Room, *calls: inputs.TracedCall, gap: int | None = None, **more: Any
) -> facts.GapTraced | None:
    """The trace of the last gap (or this one) is read; the fact that says so, if there is one."""
    number = room.traces[-1].gap if gap is None else gap
    before = len(room.recorded(facts.GapTraced))
    room.tell(inputs.TraceRead(gap=number, calls=calls, complete=True, **more))
    told = room.recorded(facts.GapTraced)[before:]
    return told[0] if told else None


def blind_room(*agents: str, seconds: float = 60.0, **more: Any) -> tuple[Room, Instant]:
    """A room that lost the link, and so many seconds later sees the switch again; and when it lost it."""
    room = Room(*(agents or ANN), destinations=SmallPlan(), **more)
    room.wait(5.0)
    lost = room.now
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(seconds)
    seen_again(room)
    return room, lost


# ---------------------------------------------------------------------- why, and since when


def test_a_lost_link_is_a_gap() -> None:
    """From the loss, which was seen, to the next look."""
    room, lost = blind_room()
    gap = room.recorded(facts.GapEnded)[-1]
    assert (gap.why, gap.since, gap.bound, gap.seconds) == (Blindness.LINK_LOST, lost, Bound.SEEN, 60.0)
    asked = room.traces[-1]
    assert (asked.from_utc_us, asked.until_utc_us) == (us(lost, -MARGIN_SECONDS), us(room.now))


def test_the_first_start_and_a_stop_and_a_kill_are_gaps() -> None:
    """Each by its name. A kill: since the last fact."""
    room = Room(*ANN)
    assert [gap.why for gap in room.recorded(facts.GapEnded)] == [Blindness.FIRST_START]
    room.tell(inputs.Stopping(why="SIGTERM"))
    stopped = room.now
    room.now = room.now.plus(30.0)
    room.restart()
    seen_again(room)
    gap = room.recorded(facts.GapEnded)[-1]
    assert (gap.why, gap.since, gap.bound) == (Blindness.DAEMON_STOPPED, stopped, Bound.SEEN)
    room.wait(10.0)
    last_fact = room.entries[-1].at
    room.now = room.now.plus(3600.0)
    room.restart()
    seen_again(room)
    gap = room.recorded(facts.GapEnded)[-1]
    assert (gap.why, gap.since, gap.bound) == (Blindness.DAEMON_DEAD, last_fact, Bound.LAST_FACT)
    assert gap.gap == 3


@pytest.mark.parametrize(
    ("alive_seconds", "boot_id", "bound"),
    [
        (20.0, "boot-1", Bound.HEARTBEAT),
        (-20.0, "boot-1", Bound.LAST_FACT),  # older than the last fact
        (90_000.0, "boot-1", Bound.LAST_FACT),  # of the future
        (20.0, "boot-9", Bound.LAST_FACT),  # of a boot that this ledger knows nothing of
    ],
)
def test_a_sign_of_life_bounds_the_gap_if_it_can_be_true(
    alive_seconds: float, boot_id: str, bound: Bound
) -> None:
    """It stands in a file that anybody may have written."""
    room = Room(*ANN)
    room.wait(5.0)
    alive = room.now.plus(alive_seconds)
    room.now = room.now.plus(3600.0)
    room.engine = Engine(room.policy, replay(room.entries))
    room.tell(
        inputs.Started(
            version="2", policy_digest="", boot_id="boot-1", alive_at=alive, alive_boot_id=boot_id, hung=True
        )
    )
    seen_again(room)
    gap = room.recorded(facts.GapEnded)[-1]
    assert (gap.why, gap.bound) == (Blindness.DAEMON_HUNG, bound)
    assert gap.since == (alive if bound is Bound.HEARTBEAT else room.entries[0].at)


def test_over_a_boot_the_sign_of_life_is_carried_over_by_utc() -> None:
    """The monotonic clock began anew; the gap is as long as UTC says."""
    room = Room(*ANN)
    alive = room.now.plus(20.0)
    room.now = Instant(5_000_000_000, us(room.now, 600.0))
    room.engine = Engine(room.policy, replay(room.entries))
    room.tell(
        inputs.Started(
            version="2", policy_digest="", boot_id="boot-2", alive_at=alive, alive_boot_id="boot-1"
        )
    )
    seen_again(room)
    gap = room.recorded(facts.GapEnded)[-1]
    assert (gap.bound, gap.seconds) == (Bound.HEARTBEAT, 580.0)


def test_another_life_of_the_switch_is_its_death() -> None:
    """Whatever we called the loss while it lasted."""
    room = Room(*ANN)
    seen_again(room, boot="monday")
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(9.0)
    seen_again(room, boot="tuesday")
    assert room.recorded(facts.GapEnded)[-1].why is Blindness.SWITCH_DEAD


def test_a_daemon_that_stood_still_and_the_link_lost_in_it() -> None:
    """A gap at once, with sight; a link that is found lost just afterwards was lost since the standstill began."""
    room = Room(*ANN)
    room.wait(5.0)
    before = room.now
    room.now = room.now.plus(4.0)
    room.tell(inputs.StoodStill(since=before))
    gap = room.recorded(facts.GapEnded)[-1]
    assert (gap.why, gap.since, gap.seconds) == (Blindness.DAEMON_HUNG, before, 4.0)
    assert room.engine.state.sight
    room.wait(1.0)
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    seen_again(room)
    gap = room.recorded(facts.GapEnded)[-1]
    assert (gap.why, gap.since) == (Blindness.DAEMON_HUNG, before)


def test_open_calls_are_named() -> None:
    """Those that were there when sight was lost, and those found."""
    room = Room(*ANN)
    play(room, "c1 calls 101 -> serve c1, ring ann for c1")
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(2.0)
    seen_again(room, inputs.SeenCall(call_id="c2", leg_id="c2", line="101", standing=inputs.Standing.HELD))
    assert room.recorded(facts.GapEnded)[-1].calls == ("c1", "c2")


# ---------------------------------------------------------------------- callers of whom nobody knew


def test_who_gave_up_unseen_is_in_the_record() -> None:
    """With the switch's own time on each fact, and all times in the one that names the source."""
    room, lost = blind_room()
    came = lost.plus(20.0)
    told = read(room, traced("c1", came))
    assert told == facts.GapTraced(
        gap=2, complete=True, detail="", calls_seen=1, calls_added=1, calls_corrected=0, calls_unknown=0
    )
    stamps = {type(e.fact): e.switch_utc_us for e in room.entries if getattr(e.fact, "call_id", "") == "c1"}
    assert stamps[facts.CallArrived] == us(came)
    assert stamps[facts.FallbackEntered] == us(came, 0.7)
    assert stamps[facts.CallEnded] == us(came, 5.0)
    [ended] = room.recorded(facts.CallEnded)
    assert (ended.outcome, ended.stage, ended.side) == (CallOutcome.ABANDONED, Stage.FALLBACK, Side.CALLER)
    assert (ended.waited_seconds, ended.unseen_since) == (5.0, None)
    [fact] = room.recorded(facts.CallTraced)
    assert (fact.added, fact.source, fact.gap) == (True, "CEL", 2)
    assert (fact.arrived_at, fact.fallback_at, fact.ended_at) == (came, came.plus(0.7), came.plus(5.0))
    assert room.recorded(facts.TaskOpened) == []
    assert list(room.engine.state.untraced) == [1]


def test_who_was_answered_unseen_was_answered() -> None:
    """By the agent whom the record names, else by who sits where the call was taken."""
    room, lost = blind_room("ann 101 999", "bob 101")
    talk = {"connected_utc_us": us(lost, 12.0), "ended_utc_us": us(lost, 72.0), "side": Side.AGENT}
    read(
        room,
        traced("c1", lost, **talk, agent="bob"),
        traced("c2", lost, **talk, phone="ann"),
        traced("c3", lost, **talk, agent="4711", phone="elsewhere"),
    )
    ended = {fact.call_id: fact for fact in room.recorded(facts.CallEnded)}
    assert {call: (e.outcome, e.agent) for call, e in ended.items()} == {
        "c1": (CallOutcome.ANSWERED, "bob"),
        "c2": (CallOutcome.ANSWERED, "ann"),
        "c3": (CallOutcome.ANSWERED, None),
    }
    assert (ended["c1"].waited_seconds, ended["c1"].talked_seconds) == (12.0, 60.0)


def test_a_999_that_gave_up_unseen_is_a_task_and_one_that_the_buddy_took_is_not() -> None:
    """It has waited for nobody, or talked to another force."""
    room, lost = blind_room(emergency=Emergency(queue="999", buddy_phone="elsewhere"))
    e2 = {"connected_utc_us": us(lost, 9.0), "phone": "elsewhere"}
    read(room, traced("e1", lost, line="999"), traced("e2", lost, line="999", **e2))
    [task] = room.recorded(facts.TaskOpened)
    assert (task.call_id, task.kind, task.emergency) == ("e1", TaskKind.ABANDONED_999, True)
    assert {fact.call_id: fact.agent for fact in room.recorded(facts.CallEnded)} == {"e1": None, "e2": BUDDY}


def test_a_999_that_the_network_cut_unseen_is_a_task() -> None:
    """As one that is seen to be cut."""
    room, lost = blind_room()
    read(room, traced("e1", lost, line="999", connected_utc_us=us(lost, 2.0), cut=True))
    [task] = room.recorded(facts.TaskOpened)
    assert (task.kind, task.detail) == (TaskKind.LOST, "a 999 that the network cut")


def test_an_upgraded_a_refused_a_synthetic_and_a_strange_caller() -> None:
    """Each as what it is; whoever came by a line that is no longer configured is in the record too."""
    room, lost = blind_room()
    refused = {"refused": True, "answered_utc_us": None, "fallback_utc_us": None, "side": Side.SYSTEM}
    told = read(
        room,
        traced("c1", lost, upgraded=True),
        traced("c2", lost, **refused),
        traced("c3", lost, line="trial"),
        traced("c4", lost, line="gone"),
    )
    assert told is not None
    assert told.calls_added == 4
    ended = {fact.call_id: (fact.outcome, fact.stage) for fact in room.recorded(facts.CallEnded)}
    assert ended["c2"] == (CallOutcome.REFUSED, Stage.ENTRY)
    assert [task.call_id for task in room.recorded(facts.TaskOpened)] == ["c1"]
    assert {fact.call_id for fact in room.recorded(facts.CallUpgraded)} == {"c1"}
    assert [fact.call_id for fact in room.recorded(facts.CallArrived) if fact.test] == ["c3"]


def test_a_record_without_an_end() -> None:
    """The end fell between the last line and the end of the gap; when the switch died with them, they are work for a human."""
    room, lost = blind_room()
    cut_short = {"ended_utc_us": None, "latest_utc_us": us(lost, 3.0), "side": Side.UNKNOWN}
    told = read(room, traced("c1", lost, **cut_short))
    assert told is not None
    assert (told.calls_added, told.calls_unknown) == (1, 1)
    [ended] = room.recorded(facts.CallEnded)
    assert (ended.outcome, ended.unseen_since) == (CallOutcome.ENDED_UNKNOWN, lost.plus(3.0))
    assert room.recorded(facts.TaskOpened) == []
    seen_again(room, boot="monday")
    lost = room.now
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(9.0)
    seen_again(room, boot="tuesday")
    read(room, traced("c2", lost, **cut_short | {"latest_utc_us": us(lost, 3.0)}))
    [task] = room.recorded(facts.TaskOpened)
    assert (task.call_id, task.kind) == ("c2", TaskKind.LOST)


# ---------------------------------------------------------------------- once, and nothing twice


def test_nothing_is_added_twice() -> None:
    """The same answer again, a caller twice in it, callers who are open, ended or known to the ledger, and who came later."""
    room, lost = blind_room()
    play(room, "c5 calls 101 -> serve c5, ring ann for c5")
    play(room, "c6 calls 101 -> serve c6")
    play(room, "c6 hangs up")
    later = traced("c4", room.now.plus(1.0))
    one = traced("c1", lost)
    known = traced("c2", lost, known=True)
    told = read(room, one, one, known, later, traced("c5", room.now), traced("c6", room.now))
    assert told is not None
    assert (told.calls_seen, told.calls_added) == (5, 1)
    count = len(room.entries)
    assert read(room, one, known, gap=2) is None
    assert read(room, one, gap=99) is None
    assert len(room.entries) == count


def test_who_was_seen_just_before_the_loss_is_not_told_of_twice() -> None:
    """Ended live, an instant before; the record tells of them as well. Nobody is forgotten until the trace was read."""
    room = Room(*ANN)
    play(room, "c1 calls 101 -> serve c1, ring ann for c1")
    play(room, "c1 hangs up -> withdraw c1.1")
    ended = room.now
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.now = room.now.plus(7200.0)
    room.tell(inputs.Woken())
    seen_again(room)
    room.tell(arrival("c2"))
    room.wait(100.0)
    room.tell(inputs.CallerGone(call_id="c2", side=Side.CALLER, cause="16"))  # would make room in memory
    told = read(room, traced("c1", ended.plus(-5.0)))
    assert told is not None
    assert told.calls_added == 0
    assert len(room.recorded(facts.CallArrived)) == 2


def test_a_long_answer_comes_in_portions_and_a_death_between_them_doubles_nothing() -> None:
    """The fact about the gap comes with the last, and counts them all; after a death those told are known to the ledger."""
    room, lost = blind_room()
    read(room, gap=1)
    first, second = traced("c1", lost), traced("c2", lost.plus(1.0), ended_utc_us=None)
    room.tell(inputs.TraceRead(gap=2, calls=(first,), complete=True, more=True))
    assert len(room.recorded(facts.GapTraced)) == 1
    room.now = room.now.plus(100.0)
    room.restart()
    seen_again(room)
    told = read(room, replace(first, known=True), second, gap=2, calls_seen=7)
    assert told is not None
    assert (told.calls_seen, told.calls_added, told.calls_unknown) == (7, 2, 1)
    assert [fact.call_id for fact in room.recorded(facts.CallArrived)] == ["c1", "c2"]


def test_a_daemon_that_died_before_it_read_asks_again() -> None:
    """The gap stays in the state, and in a checkpoint of it; both gaps are asked for."""
    room, lost = blind_room()
    state = decode_state(encode_state(room.engine.state), State)
    assert state == room.engine.state
    read(room, gap=1)
    room.traces.clear()
    room.now = room.now.plus(5.0)
    room.restart()
    seen_again(room)
    assert [asked.gap for asked in room.traces] == [2, 3]
    first, second = read(room, traced("c1", lost), gap=2), read(room, traced("c1", lost), gap=3)
    assert first is not None
    assert second is not None
    assert (first.calls_added, second.calls_added) == (1, 0)


# ---------------------------------------------------------------------- calls of ours


def test_who_ended_unseen_gets_the_real_end() -> None:
    """One talked and one waited. Where an unanswered 999 was made a task it stays one."""
    room = Room(*ANN, tasks=Tasks(abandoned_101_after_seconds=60.0))
    play(
        room,
        """
        t0 calls 101 -> serve t0, ring ann for t0
        ann answers -> connect t0.1
        t0 joined
        c1 calls 101 -> serve c1
        e1 calls 999 -> serve e1
        """,
    )
    lost = room.now
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(300.0)
    seen_again(room)
    assert {fact.outcome for fact in room.recorded(facts.CallEnded)} == {CallOutcome.ENDED_UNKNOWN}
    assert [task.call_id for task in room.recorded(facts.TaskOpened)] == ["e1"]
    began = {"joined_utc_us": us(lost), "arrived_utc_us": None, "known": True}
    told = read(
        room,
        traced("t0", lost, **began, ended_utc_us=us(lost, 30.0), side=Side.AGENT),
        traced("c1", lost, **began, ended_utc_us=us(lost, 90.0)),
        traced("e1", lost, **began, line="999", ended_utc_us=us(lost, 8.0)),
    )
    assert told is not None
    assert (told.calls_added, told.calls_corrected, told.calls_unknown) == (0, 3, 0)
    fixed = {fact.call_id: fact for fact in room.recorded(facts.CallTraced)}
    assert (fixed["t0"].outcome, fixed["t0"].talked_seconds, fixed["t0"].agent) == (
        CallOutcome.ANSWERED,
        30.0,
        "ann",
    )
    assert (fixed["c1"].outcome, fixed["c1"].waited_seconds) == (CallOutcome.ABANDONED, 90.0)
    assert [task.call_id for task in room.recorded(facts.TaskOpened)] == ["e1", "c1"]  # it waited for 90 s
    assert set(room.engine.state.tasks) == {"e1", "c1"}


def test_a_task_closed_before_the_record_is_read_is_not_opened_anew() -> None:
    """Though its offer is not over: the phone still rings out."""
    room, lost = lost_999_room()
    room.wait(LOOK_UP_SECONDS)
    for row in ("ann rings", "ann answers"):
        happen(room, row)
    room.tell(inputs.TaskClosed(task_id="e1", by="bob", outcome=TaskOutcome.NO_NEED))
    assert room.engine.state.task_offers
    began = {"joined_utc_us": us(lost), "arrived_utc_us": None, "known": True}
    told = read(room, traced("e1", lost, **began, line="999", ended_utc_us=us(lost, 8.0)))
    assert told is not None
    assert told.calls_corrected == 1
    assert [task.call_id for task in room.recorded(facts.TaskOpened)] == ["e1"]
    assert not room.engine.state.tasks


# ---------------------------------------------------------------------- tasks that a gap made


def lost_999_room() -> tuple[Room, Instant]:
    """A 999 waited when the switch was lost, and is gone when it is seen again: a task; and when it was lost."""
    room = callback_room(*ANN)
    for row in ("ann not ready", "e1 calls 999 from 07700900001"):
        happen(room, row)
    lost = room.now
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(300.0)
    seen_again(room)
    assert room.engine.state.tasks["e1"].kind is TaskKind.LOST
    return room, lost


def answered_by(lost: Instant, agent: str | None, **more: Any) -> inputs.TracedCall:
    """The switch's own queue connected e1 to this agent."""
    began = {"joined_utc_us": us(lost), "arrived_utc_us": None, "known": True, "line": "999"}
    return traced("e1", lost, **began, connected_utc_us=us(lost, 4.0), agent=agent, **more)


def offered(room: Room) -> list[str]:
    """The tasks that were offered so far."""
    return [made.task_id for made in room.recorded(facts.TaskOffered)]


@pytest.mark.parametrize(("agent", "to"), [("ann", "ann"), (None, SOMEBODY)])
def test_who_was_answered_unseen_is_offered_to_nobody(agent: str | None, to: str) -> None:
    """The task waits for the record, and is theirs then who answered: open, and closed by a person."""
    room, lost = lost_999_room()
    room.wait(1.0)
    happen(room, "c1 calls 101")
    assert [made.call_id for made in room.recorded(facts.OfferMade)] == ["c1"]  # nobody is kept free for it
    read(room, answered_by(lost, agent))
    happen(room, "ann rejects")
    happen(room, "c1 hangs up")
    room.wait(600.0)
    assert offered(room) == []
    assert room.engine.state.tasks["e1"].assigned_to == to
    assert replay(room.entries) == room.engine.state


def test_who_was_answered_by_nobody_is_offered_once_the_record_says_so() -> None:
    """At once then, and not before."""
    room, lost = lost_999_room()
    room.wait(1.0)
    assert offered(room) == []
    began = {"joined_utc_us": us(lost), "arrived_utc_us": None, "known": True}
    read(room, traced("e1", lost, **began, line="999", ended_utc_us=us(lost, 8.0)))
    assert offered(room) == ["e1"]


@pytest.mark.parametrize("asks", [False, True])
def test_a_record_that_is_not_read_holds_a_task_up_for_five_seconds(asks: bool) -> None:
    """Also where somebody asks for the next task, and over a daemon that dies meanwhile; who is answered late is let go."""
    room, lost = lost_999_room()
    if asks:
        happen(room, "ann wants a task")
    room.wait(LOOK_UP_SECONDS - 0.001)
    assert offered(room) == []
    room.restart()
    seen_again(room)
    room.wait(LOOK_UP_SECONDS - 0.001)
    assert offered(room) == []
    room.wait(0.001)
    assert offered(room) == ["e1"]
    room.asked.clear()
    read(room, answered_by(lost, "ann"), gap=room.traces[-2].gap)
    assert room.asked == [effects.HangUpOffer(offer_id="task-e1.1")]


def test_a_999_that_the_network_cut_in_its_talk_is_rung_all_the_same() -> None:
    """It was answered, and not ended by anybody."""
    room, lost = lost_999_room()
    read(room, answered_by(lost, "ann", side=Side.UNKNOWN, cause="38", cut=True))
    assert offered(room) == ["e1"]


def test_a_call_whose_end_is_not_in_the_record_stays_unknown() -> None:
    """And counts as that."""
    room = Room(*ANN)
    play(room, "c1 calls 101 -> serve c1, ring ann for c1")
    lost = room.now
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(30.0)
    seen_again(room)
    told = read(room, traced("c1", lost, ended_utc_us=None, known=True))
    assert told is not None
    assert (told.calls_corrected, told.calls_unknown) == (0, 1)
    assert room.recorded(facts.CallTraced) == []


def test_a_talk_in_the_fallback_that_goes_on_began_when_the_record_says() -> None:
    """Found there late: the state counts from when it really began, and so does the end."""
    room = Room(*ANN)
    lost = room.now
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(60.0)
    joined = lost.plus(10.0)
    seen_again(
        room,
        inputs.SeenCall(
            call_id="c1", leg_id="c1", line="101", standing=inputs.Standing.FALLBACK, joined_utc_us=us(joined)
        ),
    )
    room.tell(inputs.FallbackAnswered(call_id="c1", agent="ann"))
    told = read(
        room,
        traced("c1", joined, connected_utc_us=us(joined, 20.0), ended_utc_us=None, agent="ann", known=True),
    )
    assert told is not None
    assert told.calls_corrected == 1
    assert room.engine.state.calls["c1"].connected_at == joined.plus(20.0)
    room.wait(10.0)
    play(room, "c1 hangs up")
    [ended] = room.recorded(facts.CallEnded)
    assert (ended.waited_seconds, ended.talked_seconds) == (20.0, 40.0)


# ---------------------------------------------------------------------- clocks


def set_clock(room: Room, seconds: float) -> None:
    """UTC is set; the monotonic clock is not."""
    room.now = Instant(room.now.monotonic_ns, us(room.now, seconds))


@pytest.mark.parametrize("seconds", [5.0, -5.0, 3600.0, -3600.0])
def test_a_step_is_a_fact_with_its_size_and_direction(seconds: float) -> None:
    """In sight, and while the daemon was dead."""
    room = Room(*ANN)
    room.wait(3.0)
    set_clock(room, seconds)
    room.tell(inputs.Woken())
    assert [fact.seconds for fact in room.recorded(facts.ClockStepped)] == [pytest.approx(seconds)]
    room.now = room.now.plus(600.0)
    set_clock(room, -seconds)
    room.restart()
    assert [fact.seconds for fact in room.recorded(facts.ClockStepped)] == [
        pytest.approx(seconds),
        pytest.approx(-seconds),
    ]
    assert room.recorded(facts.ClockSlewed) == []


@pytest.mark.parametrize("seconds", [5.0, -5.0, 3600.0, -3600.0])
def test_a_clock_that_was_set_while_the_daemon_was_dead_hides_no_gap(seconds: float) -> None:
    """It begins at the last fact of the life before, not at the one that tells of the step; who came in it is in the record."""
    room = Room(*ANN)
    room.wait(3.0)
    last = room.entries[-1].at
    room.now = room.now.plus(20.0)
    came = room.now
    room.now = room.now.plus(20.0)
    set_clock(room, seconds)
    room.restart()
    seen_again(room)
    gap = room.recorded(facts.GapEnded)[-1]
    assert (gap.why, gap.since, gap.bound) == (Blindness.DAEMON_DEAD, last, Bound.LAST_FACT)
    told = read(room, traced("c1", came))
    assert told is not None
    assert told.calls_added == 1


@pytest.mark.parametrize("rate", [500e-6, -500e-6, 1 / 12])
def test_slewing_is_a_fact_each_time_it_has_come_to_something(rate: float) -> None:
    """The facts together tell how far the clock was turned."""
    room = Room(*ANN)
    for _ in range(90):
        room.now = room.now.plus(10.0)
        set_clock(room, rate * 10.0)
        room.tell(inputs.Woken())
    slewed = room.recorded(facts.ClockSlewed)
    assert sum(fact.seconds for fact in slewed) == pytest.approx(rate * 900.0, abs=0.1)
    assert all(fact.over_seconds > 0 for fact in slewed)
    assert room.recorded(facts.ClockStepped) == []


@pytest.mark.parametrize("seconds", [5.0, -5.0, 3600.0, -3600.0])
def test_who_came_unseen_while_the_clock_was_set_is_in_the_record(seconds: float) -> None:
    """Before the step and after it, each at their own reading of the clock."""
    room = Room(*ANN)
    room.wait(5.0)
    lost = room.now
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(30.0)
    before = lost.plus(10.0)
    set_clock(room, seconds)
    room.tell(inputs.Woken())
    room.wait(30.0)
    after = room.now.plus(-10.0)
    seen_again(room)
    asked = room.traces[-1]
    assert asked.from_utc_us <= min(us(before), us(after))
    assert asked.until_utc_us >= max(us(before, 5.0), us(after, 5.0))
    told = read(room, traced("c1", before), traced("c2", after))
    assert told is not None
    assert told.calls_added == 2
    fixed = {fact.call_id: fact.arrived_at for fact in room.recorded(facts.CallTraced)}
    apart = (
        abs(seconds) if abs(seconds) < 60.0 else 0.0
    )  # what is shorter than the gap cannot be told apart from it
    assert fixed["c1"].since(before) == pytest.approx(0.0, abs=apart + 1e-6)
    assert fixed["c2"].since(after) == pytest.approx(0.0, abs=apart + 1e-6)


def test_who_came_after_a_gap_in_which_the_clock_was_set_back_keeps_their_arrival() -> None:
    """The clock shows the times of the gap a second time: who was seen to come is not sent back into it, nor is their talk."""
    room = Room(*ANN)
    room.wait(5.0)
    room.tell(inputs.LinkLost(link="ari", error="reset"))
    room.wait(10.0)
    set_clock(room, -21.0)
    seen_again(room)
    room.wait(13.0)
    came, number = room.now, room.traces[-1].gap
    play(room, "c1 calls 101 -> serve c1, ring ann for c1")
    room.wait(2.0)
    room.tell(inputs.FallbackTook(call_id="c1", line="101", leg_id="c1", why="dead-man"))
    room.tell(inputs.FallbackAnswered(call_id="c1", agent="ann"))
    talks = room.now
    told = read(
        room,
        traced("c1", came, connected_utc_us=us(talks), ended_utc_us=None, agent="ann", known=True),
        gap=number,
    )
    assert told is not None
    assert told.calls_corrected == 0
    call = room.engine.state.calls["c1"]
    assert (call.arrived_at, call.connected_at) == (came, talks)


SCENE = """
c1 calls 101
c2 calls vulnerable
ann answers
c1 joined
e1 calls 999
wait 7
c3 calls 101
ann hangs up
wait 31
ann presses ready
ann answers
e1 joined
wait 3
e1 hangs up
wait 61
c2 hangs up
""".strip().splitlines()


def pass_time(room: Room, seconds: float) -> None:
    """As `Room.wait`, by the monotonic clock: what UTC shows then is not what it was to show."""
    until_ns, apart_us = room.now.plus(seconds).monotonic_ns, room.now.utc_us - room.now.monotonic_ns // 1000
    while (at := room.engine.next_deadline()) is not None and at.monotonic_ns <= until_ns:
        room.now = Instant(at.monotonic_ns, at.monotonic_ns // 1000 + apart_us)
        room.tell(inputs.Woken())
    room.now = Instant(until_ns, until_ns // 1000 + apart_us)
    room.tell(inputs.Woken())


def course(steps: list[float]) -> list[tuple[Any, int]]:
    """What is decided, and when by the monotonic clock, while UTC is set by so many seconds before each row."""

    room = Room(*ANN)
    room.is_checked = False
    for row, seconds in zip(SCENE, steps, strict=True):
        set_clock(room, seconds)
        if row.startswith("wait"):
            pass_time(room, float(row.split()[1]))
        else:
            happen(room, row)
    return [
        (_without_utc(entry.fact), entry.at.monotonic_ns)
        for entry in room.entries
        if not isinstance(entry.fact, facts.ClockStepped | facts.ClockSlewed)
    ]


def _without_utc(fact: facts.Fact) -> facts.Fact:
    """Instants within a fact by their monotonic reading alone."""
    changes: dict[str, Any] = {
        name: Instant(value.monotonic_ns, 0)
        for name in fact.__dataclass_fields__
        if isinstance(value := getattr(fact, name), Instant)
    }
    return replace(fact, **changes)


@given(
    st.lists(
        st.sampled_from([0.0, 0.0, 5.0, -5.0, 3600.0, -3600.0, 0.03]),
        min_size=len(SCENE),
        max_size=len(SCENE),
    )
)
def test_durations_and_order_do_not_change_however_the_clock_is_set(steps: list[float]) -> None:
    """The same facts in the same order at the same monotonic instants, with the same durations."""
    assert course(steps) == course([0.0] * len(SCENE))


def test_a_state_of_the_clock_is_a_fact_when_it_changes() -> None:
    """With the kernel's estimate of its error."""

    room = Room(*ANN)
    for state in (ClockState.UNSYNCHRONISED, ClockState.UNSYNCHRONISED, ClockState.SYNCHRONISED):
        room.tell(inputs.ClockSeen(state=state, error_us=16_000_000))
    assert [fact.state for fact in room.recorded(facts.ClockChanged)] == [
        ClockState.UNSYNCHRONISED,
        ClockState.SYNCHRONISED,
    ]

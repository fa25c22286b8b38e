"""What the facts say: seconds, sides, stages and reasons, as evidence."""

from __future__ import annotations

from edge.core import facts, inputs
from edge.core.engine import LEDGER_ALARM_AGAIN_SECONDS, LEDGER_ALARM_ALWAYS_SECONDS
from edge.core.facts import CallEnded
from edge.core.model import CallOutcome, ClockState, OfferOutcome, Side, Stage
from tests.core.room import Room, arrival, play

TALK = "c1 calls 101 -> serve c1, ring ann for c1\nwait 2.5\nann answers -> connect c1.1\nc1 joined\n"


def test_waiting_and_talking_are_measured_to_the_end_of_each() -> None:
    """Waited: joining to connection. Talked: connection to the first party's hang-up, though the caller's leg ends later."""
    room = Room("ann 101")
    play(room, TALK + "wait 60\nann hangs up\nwait 1.5\nc1 hangs up")
    assert room.recorded(CallEnded) == [
        CallEnded(
            call_id="c1",
            outcome=CallOutcome.ANSWERED,
            stage=Stage.TALKING,
            side=Side.CALLER,
            cause="16",
            waited_seconds=2.5,
            talked_seconds=60.0,
            agent="ann",
        )
    ]


def test_an_abandoned_call_names_its_wait_and_no_agent() -> None:
    """A caller who hangs up while the phone rings has waited until then."""
    room = Room("ann 101")
    play(room, "c1 calls 101 -> serve c1, ring ann for c1\nwait 2\nc1 hangs up -> withdraw c1.1")
    (ended,) = room.recorded(CallEnded)
    assert (ended.outcome, ended.stage, ended.waited_seconds, ended.talked_seconds, ended.agent) == (
        CallOutcome.ABANDONED,
        Stage.RINGING,
        2.0,
        0.0,
        None,
    )


def test_a_101_is_answered_on_arrival_and_a_999_by_its_agent() -> None:
    """Charging runs from the answer: the switch answers a 101, only a human answers a 999."""
    room = Room("ann 101 999")
    play(room, "e1 calls 999 -> serve e1, ring ann for e1\nann answers -> connect e1.1")
    room.tell(arrival("c1"))
    play(room, "e1 joined")
    assert [(fact.call_id, fact.by) for fact in room.recorded(facts.CallAnswered)] == [
        ("c1", Side.SYSTEM),
        ("e1", Side.AGENT),
    ]


def test_the_story_of_a_call_reads_as_sentences() -> None:
    """Each step says why."""
    room = Room("ann 101", "bob 101")
    play(
        room,
        "c1 calls 101 -> serve c1, ring ann for c1\nann rings\nwait 15 -> withdraw c1.1, ring bob for c1",
    )
    story = [
        entry.reason
        for entry in room.entries
        if isinstance(entry.fact, facts.CallArrived | facts.OfferMade | facts.OfferWithdrawn)
    ]
    assert story == [
        "call c1 arrived on line 101",
        (
            "101 (routine) call c1 offered to agent ann after 0.0 s: of 2 free agents the best skilled, idle longest "
            "with 101 (idle 0 s); next in order of service"
        ),
        "agent ann did not answer call c1 within 15 s: it goes to the next agent",
        (
            "101 (routine) call c1 offered to agent bob after 15.0 s: the only free agent with 101 (idle 15 s); "
            "next in order of service"
        ),
    ]


def test_a_refusal_is_told_where_it_decides() -> None:
    """Somebody better skilled who has just refused is not passed over in silence."""
    room = Room("ann 101", "bob 101=2")
    play(room, "c1 calls 101 -> serve c1, ring ann for c1\nann rejects -> ring bob for c1")
    assert room.entries[-1].reason == (
        "101 (routine) call c1 offered to agent bob after 0.0 s: the only free agent with 101 "
        "but for 1 who refused a call just now (idle 0 s); next in order of service"
    )


def test_offers_count_as_what_happened_to_the_agent() -> None:
    """Missed is rung and not answered; a phone that never rang is unreachable; ours to withdraw is nobody's fault."""
    room = Room("ann 101")
    play(
        room, "c1 calls 101 -> serve c1, ring ann for c1\nann rings\nann rings-out\nwait 2 -> ring ann for c1"
    )
    play(room, "ann rings-out\nwait 10 -> ring ann for c1\nc1 hangs up -> withdraw c1.3\nc1.3 ends")
    assert [fact.outcome for fact in room.recorded(facts.OfferEnded)] == [
        OfferOutcome.MISSED,
        OfferOutcome.UNREACHABLE,
        OfferOutcome.WITHDRAWN,
    ]


def test_an_agents_state_counts_from_its_change() -> None:
    """Going not ready or moving phone while talking does not restart the time talked."""
    room = Room("ann 101")
    play(room, TALK)
    talking_since = room.now
    play(room, "wait 20\nann not ready\nwait 20\nann ready")
    assert room.engine.state.agents["ann"].since == talking_since


def test_the_switchs_own_time_stands_beside_what_the_switch_told() -> None:
    """Facts that follow from a message carry its stamp; what we decide in the same step does not."""
    room = Room("ann 101")
    step = room.tell(arrival("c1", switch_utc_us=77))
    stamps = {type(entry.fact).__name__: entry.switch_utc_us for entry in step.entries}
    assert stamps == {"CallArrived": 77, "CallAnswered": 77, "CallQueued": 77, "OfferMade": None}


def test_the_state_of_the_clock_stands_with_every_fact() -> None:
    """A fact says whether the clock was synchronised when it was made; the same state twice is told once."""
    room = Room()
    for _ in range(2):
        room.tell(inputs.ClockSeen(state=ClockState.SYNCHRONISED, error_us=120))
    step = room.tell(arrival("c1"))
    assert len(room.recorded(facts.ClockChanged)) == 1
    assert {entry.clock for entry in step.entries} == {ClockState.SYNCHRONISED}


def test_trouble_with_the_ledger_is_told_once_and_ends_once() -> None:
    """A hole in the ledger has a beginning and an end."""
    room = Room()
    for ok in (True, False, False, True, True):
        room.tell(inputs.LedgerTrouble(ok=ok, detail="disk full"))
    kinds = [type(entry.fact).__name__ for entry in room.entries if "Ledger" in type(entry.fact).__name__]
    assert kinds == ["LedgerTroubleBegan", "LedgerTroubleEnded"]


def test_trouble_with_the_ledger_is_an_alarm_once_it_is_over() -> None:
    """With how long it lasted and why. A disk that is slow again and again raises one in ten minutes; what lasts always does."""
    room = Room()

    def trouble(seconds: float) -> None:
        room.tell(inputs.LedgerTrouble(ok=False, detail="the disk is full"))
        assert room.recorded(facts.AlarmRaised) == alarms
        room.wait(seconds)
        room.tell(inputs.LedgerTrouble(ok=True, detail="kept"))

    alarms: list[facts.AlarmRaised] = []
    for seconds, alarm, pause in (
        (93.0, True, 1.0),
        (0.4, False, LEDGER_ALARM_AGAIN_SECONDS - 1.5),
        (0.0, False, 1.0),
        (0.5, True, 20.0),
        (LEDGER_ALARM_ALWAYS_SECONDS, True, 0.0),
    ):
        trouble(seconds)
        found = room.recorded(facts.AlarmRaised)
        assert len(found) == len(alarms) + alarm
        if alarm:
            assert (found[-1].kind, found[-1].call_id) == ("ledger", None)
            assert found[-1].detail.startswith(f"for {seconds:.1f} s until now: the disk is full; ")
        alarms = found
        room.wait(pause)
    assert len(room.recorded(facts.LedgerTroubleEnded)) == 5


def test_stopping_is_recorded_and_blinds_the_engine() -> None:
    """After `Stopping` nobody is offered anything."""
    room = Room("ann 101")
    room.tell(inputs.Stopping(why="update"))
    play(room, "c1 calls 101 -> serve c1\n= c1 waiting; ann ready")
    assert room.recorded(facts.DaemonStopped) == [facts.DaemonStopped(why="update")]


def test_the_position_of_a_caller_is_that_of_the_order() -> None:
    """1 is served next; who does not wait has no position."""
    room = Room("ann 101")
    play(
        room,
        "c1 calls 101 -> serve c1, ring ann for c1\nc2 calls 101 -> serve c2\nv1 calls vulnerable -> serve v1",
    )
    assert [room.engine.position(name) for name in ("c1", "c2", "v1", "nobody")] == [None, 2, 1, None]

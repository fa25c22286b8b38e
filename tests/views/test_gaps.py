"""Completeness as a figure, and calls that are known by the switch's own record alone."""

from __future__ import annotations

from edge.core import facts
from edge.core.model import (
    MICROSECONDS,
    Blindness,
    Bound,
    CallOutcome,
    ClockState,
    Instant,
    Side,
    Stage,
)
from edge.core.state import State
from edge.views.calls import CallRecord, fold_calls
from edge.views.gaps import Completeness, TroubleRecord, completeness, fold_gaps, fold_troubles, open_gap
from edge.views.shift import summarise
from edge.views.story import outcome_sentence, tell

NOON = Instant(10**12, 1_795_000_000 * MICROSECONDS)


def at(seconds: float) -> Instant:
    """So long after noon."""
    return NOON.plus(seconds)


def entries(*told: tuple[float, facts.Fact]) -> list[facts.Entry]:
    """A ledger of these facts, each recorded so many seconds after noon."""
    return [
        facts.Entry(sequence=n, at=at(seconds), fact=fact, reason="", clock=ClockState.SYNCHRONISED)
        for n, (seconds, fact) in enumerate(told, start=1)
    ]


def gap(number: int, since: float, until: float, **more: object) -> tuple[float, facts.Fact]:
    """A gap that was over at `until`."""
    fact = facts.GapEnded(
        gap=number,
        why=Blindness.LINK_LOST,
        since=at(since),
        bound=Bound.SEEN,
        seconds=until - since,
        calls=("c1",),
    )
    return until, fact


def trace(
    number: int, when: float, *, complete: bool = True, added: int = 0, unknown: int = 0
) -> tuple[float, facts.Fact]:
    """It was read."""
    return when, facts.GapTraced(
        gap=number,
        complete=complete,
        detail="",
        calls_seen=added,
        calls_added=added,
        calls_corrected=0,
        calls_unknown=unknown,
    )


def figures(told: list[facts.Entry], begin: float, end: float) -> Completeness:
    """Of a period in seconds after noon."""
    return completeness(fold_gaps(told), at(begin).utc_us, at(end).utc_us)


def test_seconds_seen_of_seconds() -> None:
    """Clipped to the period; what overlaps counts once."""
    told = entries(
        gap(1, 0, 10), trace(1, 11, added=3), gap(2, 20, 40), gap(3, 30, 50), trace(3, 51, unknown=2)
    )
    whole = figures(told, -50, 50)
    assert (whole.seconds, whole.seen_seconds, whole.gaps, whole.untraced) == (100.0, 60.0, 3, 1)
    assert (whole.calls_traced, whole.calls_unknown, whole.seen_share) == (3, 2, 0.6)
    assert figures(told, 5, 25).seen_seconds == 10.0
    assert figures(told, 60, 70).gaps == 0
    assert figures(told, 60, 60).seen_share is None


def test_a_trace_that_is_not_whole_is_not_wholly_known() -> None:
    """It counts with those that were not read at all."""
    assert figures(entries(gap(1, 0, 10), trace(1, 11, complete=False)), 0, 100).untraced == 1


def test_the_gap_that_lasts() -> None:
    """By the daemon's own word, or because it is not there any more."""
    seen = State(sight=True, sight_since=at(0), latest_at=at(100), gaps=4)
    assert open_gap(seen, at(130), alive=True) is None
    dead = open_gap(seen, at(130), alive=False)
    assert dead is not None
    assert (dead.gap, dead.why, dead.since, dead.seconds) == (5, Blindness.DAEMON_DEAD, at(100), 30.0)
    blind = State(sight=False, sight_since=at(0), blind_by=Blindness.LINK_LOST, latest_at=at(100))
    lost = open_gap(blind, at(130), alive=True)
    assert lost is not None
    assert (lost.why, lost.since) == (Blindness.LINK_LOST, at(0))
    assert completeness([lost], at(0).utc_us, at(130).utc_us).seen_seconds == 0.0


def ended(outcome: CallOutcome, unseen: float | None = None, **more: object) -> facts.CallEnded:
    """The end of c1, as the engine records it."""
    return facts.CallEnded(
        call_id="c1",
        outcome=outcome,
        stage=Stage.QUEUE,
        side=Side.UNKNOWN,
        cause="not seen",
        waited_seconds=3.0,
        talked_seconds=0.0,
        agent=None,
        unseen_since=None if unseen is None else at(unseen),
    )


def traced(**more: object) -> facts.CallTraced:
    """What the record told of c1."""
    told: dict[str, object] = {
        "added": True,
        "arrived_at": at(10),
        "answered_at": at(10.1),
        "fallback_at": at(10.7),
        "connected_at": at(20),
        "agent": "ann",
        "ended_at": at(50),
        "outcome": CallOutcome.ANSWERED,
        "side": Side.AGENT,
        "cause": "16",
        "waited_seconds": 10.0,
        "talked_seconds": 30.0,
    }
    return facts.CallTraced(call_id="c1", gap=1, source="CEL", **(told | more))  # type: ignore[arg-type]


def arrived(queued: float = 10) -> list[tuple[float, facts.Fact]]:
    """c1 as it is recorded at 100 s."""
    return [
        (
            100,
            facts.CallArrived(call_id="c1", leg_id="l", line="101", number_withheld=True, adopted=True),
        ),
        (100, facts.CallAnswered(call_id="c1", by=Side.SYSTEM)),
        (
            100,
            facts.CallQueued(
                call_id="c1", queue="101", priority_class="standard", tier=1, queued_at=at(queued)
            ),
        ),
    ]


def folded(*told: tuple[float, facts.Fact]) -> CallRecord:
    """The record of c1."""
    return fold_calls(entries(*told))["c1"]


def test_a_call_that_came_unseen_has_the_switchs_times() -> None:
    """Not those at which it was written down; and it says where it is from."""
    told = [
        *arrived(),
        (100.0, facts.FallbackEntered(call_id="c1", why="without us")),
        (100.0, facts.FallbackConnected(call_id="c1", agent="ann")),
        (100.0, ended(CallOutcome.ANSWERED)),
        (100.0, traced()),
    ]
    call = folded(*told)
    assert (call.arrived_at, call.answered_at, call.fallback_at) == (at(10), at(10.1), at(10.7))
    assert (call.connected_at, call.ended_at, call.agent) == (at(20), at(50), "ann")
    assert (call.first_human_seconds, call.waited_seconds, call.talked_seconds) == (10.0, 10.0, 30.0)
    assert (call.connections[0].at, call.traced_by, call.came_unseen) == (at(20), "CEL", True)
    assert summarise([call], 30.0).traced == 1
    assert "unseen, and known from the switch's own record, CEL" in outcome_sentence(call)
    assert "ended at" in tell(entries(*told))[-1].what


def test_an_end_that_was_unknown_is_corrected() -> None:
    """A caller who waited, and one who was connected unseen."""
    lost = (100.0, ended(CallOutcome.ENDED_UNKNOWN, 90))
    nothing = dict.fromkeys(("arrived_at", "answered_at", "fallback_at", "connected_at", "agent"))
    gave_up = traced(
        **nothing,
        added=False,
        outcome=CallOutcome.ABANDONED,
        side=Side.CALLER,
        talked_seconds=0.0,
        waited_seconds=40.0,
    )
    call = folded(*arrived(), lost, (101.0, gave_up))
    assert (call.outcome, call.side, call.ended_at, call.unseen_since) == (
        CallOutcome.ABANDONED,
        Side.CALLER,
        at(50),
        None,
    )
    assert (call.waited_seconds, call.came_unseen, call.arrived_at) == (40.0, False, at(100))
    assert (summarise([call], 30.0).unknown, summarise([call], 30.0).abandoned) == (0, 1)
    served = folded(*arrived(), lost, (101.0, traced(added=False, arrived_at=None)))
    assert (served.first_human_seconds, served.talked_seconds, served.stage) == (10.0, 30.0, Stage.TALKING)


def test_a_talk_that_was_seen_to_begin_is_not_moved() -> None:
    """The record has it as well; ours was first."""
    told = [
        *arrived(),
        (
            15.0,
            facts.CallConnected(call_id="c1", offer_id="c1.1", agent="ann", waited_seconds=5.0),
        ),
        (100.0, ended(CallOutcome.ENDED_UNKNOWN, 90)),
        (101.0, traced(added=False, connected_at=at(15.02), waited_seconds=5.0, talked_seconds=35.0)),
    ]
    call = folded(*told)
    assert (len(call.connections), call.connections[0].at, call.talked_seconds) == (1, at(15), 35.0)


def test_trouble_with_the_ledger_has_two_ends() -> None:
    """One that began before what is looked at, one in which the daemon died, and one that lasts."""
    began, started = (
        facts.LedgerTroubleBegan(detail="full"),
        facts.DaemonStarted(version="", policy_digest="", boot_id=""),
    )
    told: list[tuple[float, facts.Fact]] = [
        (0.0, facts.LedgerTroubleEnded(detail="kept")),
        (5.0, began),
        (8.0, facts.LedgerTroubleEnded(detail="kept: full")),
        (9.0, facts.LedgerTroubleEnded(detail="once more")),
        (10.0, began),
        (11.0, started),
        (12.0, began),
    ]
    lost = "full; the daemon ended in it, and what it had only in memory is lost"
    assert fold_troubles(entries(*told)) == [
        TroubleRecord(since=None, until=at(0), detail="kept"),
        TroubleRecord(since=at(5), until=at(8), detail="kept: full"),
        TroubleRecord(since=at(10), until=at(11), detail=lost),
        TroubleRecord(since=at(12), until=None, detail="full"),
    ]
    assert [trouble.seconds for trouble in fold_troubles(entries(*told))] == [None, 3.0, 1.0, None]

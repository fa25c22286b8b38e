"""What is read out of deaths of the daemon."""

from __future__ import annotations

from edge.core.facts import DaemonStarted, Entry, Fact, OfferMade, SwitchRestored
from edge.core.model import ClockState, Instant
from hwtest.bench.restart import LEAST, Death, Room, figures, stages_of
from hwtest.bench.results import Block
from hwtest.bench.rig import OURS

STARTED = DaemonStarted(version="1", policy_digest="", boot_id="")
RESTORED = SwitchRestored(calls_adopted=20, calls_kept=0, calls_missing=0)
OFFERED = OfferMade(
    call_id="a", offer_id="a.1", agent="4001", phone="desk1", ring_seconds=20.0, waited_seconds=1.0
)
KILLED_NS = 1_000_000_000_000


def entry(fact: Fact, milliseconds: int, sequence: int = 1) -> Entry:
    """A fact, so long after the kill."""
    at = Instant(0, KILLED_NS // 1000 + milliseconds * 1000)
    return Entry(sequence=sequence, at=at, fact=fact, reason="", clock=ClockState.SYNCHRONISED)


def death(milliseconds: float, fault: str = "", stages: tuple[float, ...] = ()) -> Death:
    """One that took so long."""
    block = Block(
        figure="", system=OURS, samples=[milliseconds], seconds=1.0, load_average=0.5,
        steal_share=0.0, busy_share=0.1, retransmissions=0, dropped=0,
    )  # fmt: skip
    return Death(block=block, stages=stages, fault=fault)


def test_stages_are_those_after_the_kill_in_their_order() -> None:
    """What the daemon before had recorded in the same moment is not the next one's."""
    entries = [entry(OFFERED, -5), entry(STARTED, 300), entry(RESTORED, 400), entry(OFFERED, 410)]
    assert stages_of(entries, KILLED_NS, KILLED_NS + 450_000_000) == [300.0, 400.0, 410.0, 450.0]
    assert stages_of(entries[:2], KILLED_NS, KILLED_NS + 450_000_000) == [300.0, 450.0]


def test_one_that_takes_too_long_misses_the_target() -> None:
    """All count, and the stages stand beside them."""
    quick, slow = figures(Room(20), [death(400.0, stages=(1.0, 2.0, 3.0, 400.0))] * LEAST), [death(2000.1)]
    assert (quick[0].met, quick[0].small, quick[1].met) == (True, False, True)
    assert quick[0].notes == [
        "p50 in ms from the signal: started 1, switch seen 2, decided 3, on the wire 400"
    ]
    assert figures(Room(20), [death(400.0)] * LEAST + slow)[0].met is False
    assert figures(Room(20), [death(400.0)])[0].small


def test_who_is_dropped_or_passed_over_is_counted() -> None:
    """However quick it was; and without a reserve only this is judged."""
    rows = figures(Room(200, reserve=False), [death(9000.0), death(9000.0, "1 dropped")])
    assert [row.met for row in rows] == [None, False]
    assert "1 dropped" in rows[1].notes

"""What a hole is folded from, where `/v1/gaps` alone does not show it (tests/mi/test_routes.py)."""

from __future__ import annotations

from edge.core import facts
from edge.core.model import ClockState, Instant
from edge.mi.folding import Hole, HoleFold, HoleRecord

STARTED = facts.DaemonStarted(version="1", policy_digest="", boot_id="b")


def test_a_daemon_that_died_in_trouble_with_the_ledger() -> None:
    """It cannot have said that the trouble was over: the next one ends it, and the next trouble is one of its own."""
    fold, ended = HoleFold(), list[HoleRecord]()
    told: tuple[facts.Fact, ...] = (
        STARTED,
        facts.LedgerTroubleBegan(detail="slow"),
        STARTED,
        facts.LedgerTroubleBegan(detail="full"),
    )
    for sequence, fact in enumerate((*told, facts.LedgerTroubleEnded(detail="kept")), 1):
        at = Instant(sequence * 10**9, sequence * 10**6)
        entry = facts.Entry(sequence=sequence, at=at, fact=fact, reason="", clock=ClockState.SYNCHRONISED)
        ended += [hole for hole in fold.add(entry) if hole.hole is Hole.LEDGER and hole.ended_us is not None]
    assert [(hole.sequence, hole.started_us, hole.ended_us, hole.detail) for hole in ended] == [
        (2, 2_000_000, 3_000_000, "slow; the daemon ended in it, and what it had only in memory is lost"),
        (4, 4_000_000, 5_000_000, "full; kept"),
    ]

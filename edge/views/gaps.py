"""How complete the record is: the times in which the switch was not seen, and what its own record told of them afterwards.

Definition of seen: the seconds of a period in which the daemon saw the switch, of all its seconds. Times are UTC; gaps that
overlap (a standstill and the link that was lost in it) count once. A period begins no earlier than the record itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from edge.core import facts
from edge.core.model import MICROSECONDS, Blindness, Bound, Instant
from edge.core.state import State


@dataclass(slots=True, kw_only=True)
class GapRecord:
    """One time without sight of the switch. What was read of it afterwards is None until it was read."""

    gap: int
    why: Blindness
    bound: Bound
    since: Instant
    until: Instant | None
    """None: the switch is not seen now."""
    seconds: float
    calls: tuple[str, ...]
    """Calls that were open then."""
    traced_at: Instant | None = None
    complete: bool = False
    """The switch's own record of it had no hole and no damage that could be seen."""
    detail: str = ""
    calls_seen: int | None = None
    calls_added: int | None = None
    calls_corrected: int | None = None
    calls_unknown: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """The figures of a period."""

    seconds: float
    seen_seconds: float
    gaps: int
    untraced: int
    """Gaps whose trace has not been read, or was not whole."""
    calls_traced: int
    """Callers who came and went unseen, and are in the record by the switch's own."""
    calls_corrected: int
    calls_unknown: int
    """Calls whose end nobody knows."""

    @property
    def seen_share(self) -> float | None:
        """Of all seconds; None of an empty period."""
        return self.seen_seconds / self.seconds if self.seconds > 0 else None


@dataclass(slots=True, kw_only=True)
class TroubleRecord:
    """One time in which the ledger was slow or took no facts. What was decided in it is in the record, or named in `detail`."""

    since: Instant | None
    """None: before what was looked at."""
    until: Instant | None
    """None: it lasts."""
    detail: str

    @property
    def seconds(self) -> float | None:
        """None where an end of it is not known."""
        return self.until.since(self.since) if self.since is not None and self.until is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRecord:
    """Facts that a damaged file of the ledger lost: `first` to `last`, recorded between `since` and `until`."""

    first: int
    last: int
    since: Instant
    """When the fact before them was recorded; where there is none, the one after them."""
    until: Instant | None
    """None: nothing followed."""
    mended_at: Instant
    why: str
    kept_as: str


LOSS_FACTS = (facts.FactsLost,)
"""Kinds of facts that tell of facts that were lost."""
TROUBLE_FACTS = (facts.LedgerTroubleBegan, facts.LedgerTroubleEnded, facts.DaemonStarted)
"""Kinds of facts that tell of trouble with the ledger. A daemon that died in it cannot have said that it was over."""
GAP_FACTS = (facts.GapEnded, facts.GapTraced)
"""Kinds of facts that gaps are folded from."""


class GapFold:
    """Folds facts, one by one, into gaps in their order."""

    def __init__(self) -> None:
        self.gaps: dict[int, GapRecord] = {}

    def add(self, entry: facts.Entry) -> None:
        """Fold one fact."""
        match entry.fact:
            case facts.GapEnded() as fact:
                self.gaps[fact.gap] = GapRecord(
                    gap=fact.gap,
                    why=fact.why,
                    bound=fact.bound,
                    since=fact.since,
                    until=entry.at,
                    seconds=fact.seconds,
                    calls=fact.calls,
                )
            case facts.GapTraced() as fact if (gap := self.gaps.get(fact.gap)) is not None:
                gap.traced_at, gap.complete, gap.detail = entry.at, fact.complete, fact.detail
                gap.calls_seen, gap.calls_added = fact.calls_seen, fact.calls_added
                gap.calls_corrected, gap.calls_unknown = fact.calls_corrected, fact.calls_unknown
            case _:
                pass


def fold_gaps(entries: Iterable[facts.Entry]) -> list[GapRecord]:
    """The gaps that are over, oldest first."""
    fold = GapFold()
    for entry in entries:
        fold.add(entry)
    return list(fold.gaps.values())


def fold_troubles(entries: Iterable[facts.Entry]) -> list[TroubleRecord]:
    """Times of trouble with the ledger, oldest first."""
    found: list[TroubleRecord] = []
    for entry in entries:
        lasting = found[-1] if found and found[-1].until is None else None
        match entry.fact:
            case facts.LedgerTroubleBegan(detail=detail) if lasting is None:
                found.append(TroubleRecord(since=entry.at, until=None, detail=detail))
            case facts.LedgerTroubleEnded(detail=detail):
                if lasting is not None:
                    lasting.until, lasting.detail = entry.at, detail
                elif not found:
                    found.append(TroubleRecord(since=None, until=entry.at, detail=detail))
            case facts.DaemonStarted() if lasting is not None:
                lasting.until = entry.at
                lasting.detail += "; the daemon ended in it, and what it had only in memory is lost"
            case _:
                pass
    return found


def losses(entries: Iterable[facts.Entry]) -> list[LossRecord]:
    """The holes in the record itself, in their order."""
    return [
        LossRecord(
            first=entry.fact.first,
            last=entry.sequence,
            since=entry.at,
            until=entry.fact.until,
            mended_at=entry.fact.mended_at,
            why=entry.fact.why,
            kept_as=entry.fact.kept_as,
        )
        for entry in entries
        if isinstance(entry.fact, facts.FactsLost)
    ]


def open_gap(state: State, at: Instant, alive: bool) -> GapRecord | None:
    """The time without sight that lasts: the daemon says so itself, or it is not there to say anything (`alive`)."""
    since = state.latest_at if state.sight and not alive else state.sight_since
    if since is None or (state.sight and alive):
        return None
    return GapRecord(
        gap=state.gaps + 1,
        why=Blindness.DAEMON_DEAD if state.sight else state.blind_by,
        bound=Bound.LAST_FACT if state.sight else state.blind_bound,
        since=since,
        until=None,
        seconds=max(0.0, (at.utc_us - since.utc_us) / MICROSECONDS),
        calls=tuple(sorted(state.calls)),
    )


def completeness(gaps: Iterable[GapRecord], begin_utc_us: int, end_utc_us: int) -> Completeness:
    """The figures of this period. A gap belongs to it when any of it does; its calls count where it ended."""
    inside = [
        gap
        for gap in gaps
        if gap.since.utc_us < end_utc_us and (gap.until is None or gap.until.utc_us >= begin_utc_us)
    ]
    blind_us, reached = 0, begin_utc_us
    for gap in sorted(inside, key=lambda gap: gap.since.utc_us):
        until = end_utc_us if gap.until is None else min(gap.until.utc_us, end_utc_us)
        blind_us += max(0, until - max(gap.since.utc_us, reached))
        reached = max(reached, until)
    whole_us = max(0, end_utc_us - begin_utc_us)
    return Completeness(
        seconds=whole_us / MICROSECONDS,
        seen_seconds=max(0, whole_us - blind_us) / MICROSECONDS,
        gaps=len(inside),
        untraced=sum(not gap.complete for gap in inside),
        calls_traced=sum(gap.calls_added or 0 for gap in inside),
        calls_corrected=sum(gap.calls_corrected or 0 for gap in inside),
        calls_unknown=sum(gap.calls_unknown or 0 for gap in inside),
    )

"""The figures of a shift. Each says how it is defined; another definition is another function, never another flag."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from edge.core.model import CallOutcome
from edge.views.calls import CallRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long calls waited, in seconds; every figure but `count` is None when there were none."""

    count: int
    mean_seconds: float | None
    median_seconds: float | None
    p90_seconds: float | None
    """The shortest wait that at least 90 % did not exceed (nearest rank)."""
    longest_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A shift. offered = answered + abandoned + unknown + waiting."""

    offered: int
    """Calls that arrived."""
    answered: int
    """Calls that were connected to a person, whether or not they are over."""
    abandoned: int
    unknown: int
    """Calls whose end was not seen, and that nobody was seen to answer."""
    waiting: int
    """Calls that are open and have not been connected."""
    open: int
    """Calls that have no terminal state yet: those waiting, and those talking."""
    fallback: int
    """Calls that the switch's own queue had at some time."""
    waits: Waits
    """Of answered calls, from joining the queue to the connection."""
    abandoned_waits: Waits
    """Of abandoned calls, from joining the queue to the hang-up."""
    target_seconds: float
    answered_within_target: int
    """Answered in less than the target: 10.000 s is not under 10 s."""
    service_level: float | None
    """answered_within_target / (answered + abandoned + unknown), None before there is any (DOMAIN: SL3, all abandons bad)."""


def summarise(records: Iterable[CallRecord], target_seconds: float) -> Summary:
    """The figures of these calls."""
    records = list(records)
    answered = [record for record in records if record.connected_at is not None]
    missed = [record for record in records if record.connected_at is None]
    abandoned = [record for record in missed if record.outcome is CallOutcome.ABANDONED]
    unknown = [record for record in missed if record.outcome is CallOutcome.ENDED_UNKNOWN]
    waits = [record.waited_seconds or 0.0 for record in answered]
    within = sum(seconds < target_seconds for seconds in waits)
    results = len(answered) + len(abandoned) + len(unknown)
    return Summary(
        offered=len(records),
        answered=len(answered),
        abandoned=len(abandoned),
        unknown=len(unknown),
        waiting=len(missed) - len(abandoned) - len(unknown),
        open=sum(record.outcome is None for record in records),
        fallback=sum(record.fallback_at is not None for record in records),
        waits=measure(waits),
        abandoned_waits=measure([record.waited_seconds or 0.0 for record in abandoned]),
        target_seconds=target_seconds,
        answered_within_target=within,
        service_level=within / results if results else None,
    )


def measure(seconds: Sequence[float]) -> Waits:
    """The figures of these waits."""
    if not seconds:
        return Waits(count=0, mean_seconds=None, median_seconds=None, p90_seconds=None, longest_seconds=None)
    ordered = sorted(seconds)
    return Waits(
        count=len(ordered),
        mean_seconds=statistics.fmean(ordered),
        median_seconds=statistics.median(ordered),
        p90_seconds=ordered[ceil(0.9 * len(ordered)) - 1],
        longest_seconds=ordered[-1],
    )

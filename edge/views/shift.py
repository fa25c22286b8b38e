"""The figures of a shift. Each says how it is defined; another definition is another function, never another flag."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
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


WAITED_TOO_LONG = "waited too long"
"""Why a 101 that had waited as long as its queue allows was turned away or sent elsewhere (`CallTurnedAway.why`)."""


class Fate(StrEnum):
    """What a call counts as: exactly one of these."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    TURNED_AWAY = "turned away"
    OVERFLOWED = "overflowed"
    UNREACHED = "unreached"
    CANCELLED = "cancelled"
    MERGED = "merged"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A shift. offered = answered + abandoned + unknown + refused + turned_away + overflowed + unreached + cancelled + merged +
    waiting. No test call is in it. A call-back is the call that it was promised to: it is answered when its person is."""

    offered: int
    """Calls that arrived."""
    answered: int
    """Calls that were connected to a person, whether or not they are over, and whatever became of them afterwards."""
    abandoned: int
    unknown: int
    """Calls whose end was not seen, and that nobody was seen to answer."""
    refused: int
    """101 that the switch had no channel to spare for: they never had a place."""
    turned_away: int
    """101 who were told why they could not be served (closed, full, waited too long), whoever hung up then."""
    overflowed: int
    """101 who were sent to another number."""
    unreached: int
    """Promised call-backs whose person could not be reached: each became a task for a human."""
    cancelled: int
    """Promised call-backs that a named person cancelled or closed."""
    merged: int
    """Promised call-backs that went on as an earlier one of the same number."""
    promised: int
    """Call-backs promised, whatever became of them."""
    kept: int
    """Of `answered`: call-backs whose person was reached."""
    callbacks_waiting: int
    """Of `waiting`: call-backs that have not been connected."""
    let_go_after_waiting: int
    """Of `turned_away` and `overflowed`: those who had waited as long as the queue allows."""
    waiting: int
    """Calls that are open and have not been connected."""
    open: int
    """Calls that have no terminal state yet: those waiting, and those talking."""
    fallback: int
    """Calls that the switch's own queue had at some time."""
    traced: int
    """Calls that came and went unseen: they are here by the switch's own record alone."""
    upgraded: int
    """101 whose caller pressed the emergency key: they are 101 in every figure."""
    sent_back: int
    """Calls that a handler sent to a queue again."""
    abandoned_in_transfer: int
    """Of `answered`: those who gave up waiting for another desk after they had been sent back."""
    wrap_ups_broken: int
    """Wrap-ups that a 999 ended."""
    test: int
    """Synthetic calls, left out of every other figure."""
    waits: Waits
    """Of answered calls, from joining the queue to the first person, where that was seen; of a call-back too (gross)."""
    on_line_waits: Waits
    """Of the same calls, the time on the line alone (net): off the line nobody listens to music."""
    right_desk_waits: Waits
    """Of answered calls, the waits for each person in turn added up, the talk between them left out."""
    abandoned_waits: Waits
    """Of abandoned calls, from joining the queue to the hang-up."""
    waits_by_language: Mapping[str, Waits]
    """`waits` by the language of the call."""
    target_seconds: float
    answered_within_target: int
    """Answered in less than the target: 10.000 s is not under 10 s."""
    service_level: float | None
    """answered_within_target / (answered + abandoned + unknown + unreached + let_go_after_waiting), None before there is any.

    All abandons are bad (DOMAIN: SL3). Who was refused, turned away or sent elsewhere without having waited is in neither
    part: shown beside it, so that closing a queue neither mends nor spoils the figure. Who had waited in vain is a loss.
    Nor is a call-back that was cancelled or merged: a person decided about it, or the one that goes on is counted.
    """


def summarise(records: Iterable[CallRecord], target_seconds: float) -> Summary:
    """The figures of these calls."""
    everything = list(records)
    counted = [record for record in everything if record.counts]
    by_fate: dict[Fate, list[CallRecord]] = {fate: [] for fate in Fate}
    for record in counted:
        by_fate[fate_of(record)].append(record)
    answered = by_fate[Fate.ANSWERED]
    in_vain = sum(waited_in_vain(r) for r in (*by_fate[Fate.TURNED_AWAY], *by_fate[Fate.OVERFLOWED]))
    waits = known(record.first_human_seconds for record in answered)
    within = sum(seconds < target_seconds for seconds in waits)
    results = len(answered) + sum(map(is_lost, counted))
    promised = [record for record in counted if record.callback is not None]
    return Summary(
        offered=len(counted),
        answered=len(answered),
        abandoned=len(by_fate[Fate.ABANDONED]),
        unknown=len(by_fate[Fate.UNKNOWN]),
        refused=len(by_fate[Fate.REFUSED]),
        turned_away=len(by_fate[Fate.TURNED_AWAY]),
        overflowed=len(by_fate[Fate.OVERFLOWED]),
        unreached=len(by_fate[Fate.UNREACHED]),
        cancelled=len(by_fate[Fate.CANCELLED]),
        merged=len(by_fate[Fate.MERGED]),
        promised=len(promised),
        kept=sum(fate_of(record) is Fate.ANSWERED for record in promised),
        callbacks_waiting=sum(fate_of(record) is Fate.WAITING for record in promised),
        let_go_after_waiting=in_vain,
        waiting=len(by_fate[Fate.WAITING]),
        open=sum(record.outcome is None for record in counted),
        fallback=sum(record.fallback_at is not None for record in counted),
        traced=sum(record.came_unseen for record in counted),
        upgraded=sum(record.upgraded_at is not None for record in counted),
        sent_back=sum(bool(record.sent_back) for record in counted),
        abandoned_in_transfer=sum(record.outcome is CallOutcome.ABANDONED for record in answered),
        wrap_ups_broken=sum(len(record.wrap_ups_broken) for record in counted),
        test=len(everything) - len(counted),
        waits=measure(waits),
        on_line_waits=measure(
            known(r.on_line_seconds for r in answered if r.first_human_seconds is not None)
        ),
        right_desk_waits=measure(known(record.right_desk_seconds for record in answered)),
        abandoned_waits=measure(known(record.waited_seconds for record in by_fate[Fate.ABANDONED])),
        waits_by_language={
            language: measure(known(r.first_human_seconds for r in answered if r.language == language))
            for language in sorted({record.language for record in answered})
        },
        target_seconds=target_seconds,
        answered_within_target=within,
        service_level=within / results if results else None,
    )


def known(seconds: Iterable[float | None]) -> list[float]:
    """Those that are known."""
    return [value for value in seconds if value is not None]


def fate_of(record: CallRecord) -> Fate:
    """What this call counts as."""
    if record.first_human_seconds is not None:
        return Fate.ANSWERED
    match record.outcome:
        case None:
            return Fate.WAITING
        case CallOutcome.OVERFLOWED:
            return Fate.OVERFLOWED
        case CallOutcome.REFUSED:
            return Fate.TURNED_AWAY if record.departures else Fate.REFUSED
        case CallOutcome.ENDED_UNKNOWN:
            return Fate.UNKNOWN
        case CallOutcome.ANSWERED:
            return Fate.ANSWERED
        case CallOutcome.UNREACHED:
            return Fate.UNREACHED
        case CallOutcome.CANCELLED:
            return Fate.CANCELLED
        case CallOutcome.MERGED:
            return Fate.MERGED
        case CallOutcome.ABANDONED:
            return Fate.TURNED_AWAY if record.leaving else Fate.ABANDONED


def is_lost(record: CallRecord) -> bool:
    """Whether it counts against the service level: abandoned, end unknown, unreached, or let go after it had waited in vain."""
    match fate_of(record):
        case Fate.ABANDONED | Fate.UNKNOWN | Fate.UNREACHED:
            return True
        case Fate.TURNED_AWAY | Fate.OVERFLOWED:
            return waited_in_vain(record)
        case _:
            return False


def waited_in_vain(record: CallRecord) -> bool:
    """Whether this 101 was let go after it had waited as long as its queue allows."""
    return bool(record.departures) and record.departures[-1].why == WAITED_TOO_LONG


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

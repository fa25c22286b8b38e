"""The figures of a shift, against slow and obvious code."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.core.model import CallOutcome, Instant
from edge.views.calls import CallRecord
from edge.views.shift import measure, summarise

AT = Instant(0, 0)


def record(waited_seconds: float, outcome: CallOutcome | None, connected: bool) -> CallRecord:
    """A call with what the figures look at."""
    return CallRecord(
        call_id="c",
        line="main",
        arrived_at=AT,
        adopted=False,
        number_withheld=True,
        caller_number=None,
        caller_name=None,
        queued_at=AT,
        connected_at=AT.plus(waited_seconds) if connected else None,
        first_human_seconds=waited_seconds if connected else None,
        ended_at=None if outcome is None else AT,
        outcome=outcome,
        waited_seconds=waited_seconds if connected or outcome is not None else None,
    )


def test_ten_seconds_is_not_under_ten() -> None:
    """A wait of exactly the target is not within it."""
    answered = [record(wait, CallOutcome.ANSWERED, True) for wait in (9.999_999_999, 10.0, 10.000_000_001)]
    summary = summarise(answered, 10.0)
    assert (summary.answered_within_target, summary.service_level) == (1, 1 / 3)


def test_an_empty_shift_has_no_figures_and_no_division_by_zero() -> None:
    """Nothing arrived: counts are 0, everything else is unknown."""
    summary = summarise([], 10.0)
    assert (summary.offered, summary.service_level, summary.waits.p90_seconds) == (0, None, None)


def test_p90_is_the_nearest_rank() -> None:
    """Of ten waits the ninth, of eleven the tenth."""
    assert measure(range(1, 11)).p90_seconds == 9
    assert measure(range(1, 12)).p90_seconds == 10


OUTCOMES = st.sampled_from(
    [
        (CallOutcome.ANSWERED, True),
        (CallOutcome.ABANDONED, False),
        (CallOutcome.ENDED_UNKNOWN, True),
        (CallOutcome.REFUSED, False),
        (CallOutcome.OVERFLOWED, False),
        (CallOutcome.ENDED_UNKNOWN, False),
        (None, True),
        (None, False),
    ]
)
WAITS = st.one_of(st.floats(0, 3600), st.sampled_from([9.999999999, 10.0, 10.000000001]))


@given(st.lists(st.tuples(WAITS, OUTCOMES), max_size=60), st.sampled_from([0.0, 10.0, 30.0]))
def test_the_figures_are_those_of_slow_and_obvious_code(
    given_calls: list[tuple[float, tuple[CallOutcome | None, bool]]], target_seconds: float
) -> None:
    """Every count and every wait, one at a time."""
    records = [record(wait, outcome, connected) for wait, (outcome, connected) in given_calls]
    summary = summarise(records, target_seconds)
    answered = abandoned = unknown = refused = overflowed = waiting = within = still_open = 0
    waits = []
    for wait, (outcome, connected) in given_calls:
        if outcome is None:
            still_open += 1
        if connected:
            answered += 1
            waits.append(wait)
            if wait < target_seconds:
                within += 1
        elif outcome is None:
            waiting += 1
        elif outcome is CallOutcome.ABANDONED:
            abandoned += 1
        elif outcome is CallOutcome.REFUSED:
            refused += 1
        elif outcome is CallOutcome.OVERFLOWED:
            overflowed += 1
        else:
            unknown += 1
    waits.sort()
    assert (summary.answered, summary.abandoned, summary.unknown, summary.waiting, summary.open) == (
        answered,
        abandoned,
        unknown,
        waiting,
        still_open,
    )
    assert (summary.refused, summary.overflowed, summary.turned_away) == (refused, overflowed, 0)
    assert summary.offered == len(given_calls)
    assert summary.offered == answered + abandoned + unknown + refused + overflowed + waiting
    assert summary.answered_within_target == within
    lost = abandoned + unknown
    assert summary.service_level == (within / (answered + lost) if answered + lost else None)
    if waits:
        middle = len(waits) // 2
        median = waits[middle] if len(waits) % 2 else (waits[middle - 1] + waits[middle]) / 2
        p90 = next(w for w in waits if sum(v <= w for v in waits) * 10 >= len(waits) * 9)
        assert summary.waits.median_seconds == median
        assert summary.waits.p90_seconds == p90
        assert summary.waits.longest_seconds == waits[-1]
        assert summary.waits.mean_seconds is not None
        assert abs(summary.waits.mean_seconds - sum(waits) / len(waits)) < 1e-6

"""Periods of local time: days of 23 and 25 hours, weeks, months; nothing twice, nothing left out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.metrics.periods import Every, TooManyPeriodsError, divide, midnight, utc_us

LONDON = ZoneInfo("Europe/London")
HOUR_US = 3600 * 1_000_000


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)])
def test_a_day_has_the_hours_that_it_has(day: str, hours: int) -> None:
    """When the clocks change, an hour is missing or comes twice, each with its own offset."""
    start = midnight(date.fromisoformat(day), LONDON)
    end = midnight(date.fromisoformat(day) + timedelta(days=1), LONDON)
    assert end - start == hours * HOUR_US
    names = [period.name for period in divide(start, end, Every.HALF_HOUR, LONDON)]
    assert len(names) == len(set(names)) == 2 * hours
    (one,) = divide(start, end, Every.DAY, LONDON)
    assert (one.start_us, one.end_us, one.name) == (start, end, day)


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    """01:00 in summer time, then 01:00 again."""
    start = midnight(date(2026, 10, 25), LONDON)
    names = [period.name for period in divide(start, start + 4 * HOUR_US, Every.HOUR, LONDON)]
    assert names == [
        "2026-10-25T00:00+01:00",
        "2026-10-25T01:00+01:00",
        "2026-10-25T01:00+00:00",
        "2026-10-25T02:00+00:00",
    ]


def test_weeks_months_and_quarters_begin_at_local_midnight() -> None:
    """Monday, the first of the month, the first of January, April, July and October."""
    start, end = (utc_us(datetime(2026, month, 15, 12, tzinfo=UTC)) for month in (3, 5))
    for every, names in (
        (Every.MONTH, ["2026-03", "2026-04", "2026-05"]),
        (Every.QUARTER, ["2026-Q1", "2026-Q2"]),
    ):
        periods = divide(start, end, every, LONDON)
        assert [period.name for period in periods] == names
        assert (periods[0].start_us, periods[-1].end_us) == (start, end)
    weeks = divide(start, end, Every.WEEK, LONDON)
    assert weeks[0].name == "2026-W11"
    assert all(
        period.start_us == midnight(date.fromisocalendar(2026, 11 + n, 1), LONDON)
        for n, period in enumerate(weeks)
        if n
    )


@settings(max_examples=100)
@given(
    start=st.integers(1_546_300_800, 2_051_222_400),
    length=st.integers(1, 40 * 24 * HOUR_US),
    every=st.sampled_from(list(Every)),
    zone=st.sampled_from(["Europe/London", "UTC", "Australia/Lord_Howe", "America/Sao_Paulo"]),
)
def test_periods_cover_the_time_without_gap_or_overlap(
    start: int, length: int, every: Every, zone: str
) -> None:
    """Whatever is asked for, in whatever zone."""
    begin = start * 1_000_000 + 1
    periods = divide(begin, begin + length, every, ZoneInfo(zone))
    assert periods[0].start_us == begin
    assert periods[-1].end_us == begin + length
    assert all(one.end_us == next_.start_us for one, next_ in pairwise(periods))
    assert all(period.start_us < period.end_us for period in periods)


def test_too_fine_a_division_is_refused() -> None:
    """Half hours of a century."""
    with pytest.raises(TooManyPeriodsError, match="longer periods"):
        divide(0, 100 * 366 * 24 * HOUR_US, Every.HALF_HOUR, LONDON)

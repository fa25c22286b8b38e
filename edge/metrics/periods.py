"""Periods of local time as instants of UTC. A day has 23 or 25 hours when the clocks change, each hour is one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HALF_HOUR_US = 1800 * 1_000_000
MOST_PERIODS = 100_000
"""In one question: five years of half hours."""


class Every(StrEnum):
    """How a time is divided."""

    WHOLE = "whole"
    """Not at all."""
    HALF_HOUR = "half_hour"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    """From Monday."""
    MONTH = "month"
    QUARTER = "quarter"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_us` to just before `end_us`, microseconds of UTC. `name`: in local time, such as `2026-10-25T01:30+01:00`."""

    start_us: int
    end_us: int
    name: str


class TooManyPeriodsError(ValueError):
    """So fine a division of so long a time is refused."""


def utc_us(moment: datetime) -> int:
    """Whole microseconds of UTC, without a float on the way."""
    return (moment - EPOCH) // MICROSECOND


def midnight(day: date, zone: ZoneInfo) -> int:
    """When this day begins. Where the clocks skip midnight: when the day's first instant is."""
    return utc_us(datetime.combine(day, time(), zone).astimezone(UTC))


def local(at_us: int, zone: ZoneInfo) -> datetime:
    """Local time with its offset."""
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def divide(start_us: int, end_us: int, every: Every, zone: ZoneInfo) -> list[Period]:
    """The periods that touch this time, the first and last cut at its ends. Raises `TooManyPeriodsError`."""
    if end_us <= start_us:
        return []
    if every is Every.WHOLE:
        return [Period(start_us, end_us, f"{_minute(start_us, zone)}/{_minute(end_us, zone)}")]
    if (end_us - start_us) // _shortest_us(every) > MOST_PERIODS:
        raise TooManyPeriodsError(
            f"that is more than {MOST_PERIODS} periods of one {every.value.replace('_', ' ')}: ask for a shorter time, or "
            "for longer periods"
        )
    cuts, at_us = [], _begin(start_us, every, zone)
    while at_us < end_us:
        cuts.append(at_us)
        at_us = _next(at_us, every, zone)
    cuts.append(at_us)
    return [
        Period(max(begin, start_us), min(end, end_us), _name(begin, every, zone))
        for begin, end in pairwise(cuts)
    ]


def _shortest_us(every: Every) -> int:
    return {Every.HALF_HOUR: 1, Every.HOUR: 2}.get(every, 46) * HALF_HOUR_US


def _begin(at_us: int, every: Every, zone: ZoneInfo) -> int:
    """Of the period that this instant is in."""
    moment = local(at_us, zone)
    day = moment.date()
    match every:
        case Every.HALF_HOUR | Every.HOUR:
            past = timedelta(
                minutes=moment.minute % (30 if every is Every.HALF_HOUR else 60),
                seconds=moment.second,
                microseconds=moment.microsecond,
            )
            return at_us - past // MICROSECOND
        case Every.WEEK:
            day -= timedelta(days=day.weekday())
        case Every.MONTH:
            day = day.replace(day=1)
        case Every.QUARTER:
            day = day.replace(day=1, month=day.month - (day.month - 1) % 3)
    return midnight(day, zone)


def _next(at_us: int, every: Every, zone: ZoneInfo) -> int:
    """Begin of the period after the one that begins here."""
    if every in (Every.HALF_HOUR, Every.HOUR):
        return at_us + (HALF_HOUR_US if every is Every.HALF_HOUR else 2 * HALF_HOUR_US)
    day = local(at_us, zone).date()
    match every:
        case Every.DAY:
            day += timedelta(days=1)
        case Every.WEEK:
            day += timedelta(days=7)
        case _:
            months = day.year * 12 + day.month - 1 + (1 if every is Every.MONTH else 3)
            day = date(months // 12, months % 12 + 1, 1)
    return midnight(day, zone)


def _minute(at_us: int, zone: ZoneInfo) -> str:
    return local(at_us, zone).isoformat(timespec="minutes")


def _name(begin_us: int, every: Every, zone: ZoneInfo) -> str:
    moment = local(begin_us, zone)
    match every:
        case Every.HALF_HOUR | Every.HOUR:
            return moment.isoformat(timespec="minutes")
        case Every.DAY:
            return moment.date().isoformat()
        case Every.WEEK:
            year, week, _ = moment.isocalendar()
            return f"{year}-W{week:02}"
        case Every.MONTH:
            return f"{moment.year}-{moment.month:02}"
        case _:
            return f"{moment.year}-Q{(moment.month + 2) // 3}"

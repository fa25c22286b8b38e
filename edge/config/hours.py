"""Opening hours: local hours, bank holidays and clock changes worked out into instants, so that the engine only looks up.

What counts is the wall clock. A queue is open when the clock on the wall of the site's time zone stands within a range of
hours of its day, or of one that began the day before. So on the night when the clock goes forward, an opening at 01:30
happens at 02:00, when the clock first shows that it is past; on the night when it goes back, the clock shows 01:30 twice
and a range that begins then begins twice.

A range belongs to the day on which it begins: closing on a date leaves alone what began the evening before.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from edge.core.model import OpeningHours

Nation: TypeAlias = Literal["england", "wales", "scotland", "northern-ireland"]
Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Minutes from midnight, (from, to), in order; `to` beyond 1440 reaches into the next day."""

YEARS_BEFORE = 1
YEARS_AHEAD = 5
DAY_MINUTES = 24 * 60
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_SUBDIVISIONS = {"england": "ENG", "wales": "WLS", "scotland": "SCT", "northern-ireland": "NIR"}
assert set(_SUBDIVISIONS) == set(get_args(Nation))
_RANGE = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_CLOSED = "closed"
_SHAPE = 'must be hours such as "07:00-22:00", several as "07:00-12:00, 13:00-22:00", all day as "00:00-24:00", or "closed"'


def parse_ranges(text: str) -> Ranges:
    """The ranges that `text` says; none for "closed". Raises ValueError saying what it must be."""
    if text.strip() == _CLOSED:
        return ()
    ranges = sorted(_parse_range(part.strip()) for part in text.split(","))
    for (_, end), (start, _) in pairwise(ranges):
        if start < end:
            raise ValueError("must not name the same time twice: two of its ranges overlap")
    return tuple(ranges)


def _parse_range(text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(_SHAPE)
    hours = [int(part) for part in match.groups()]
    start, end = 60 * hours[0] + hours[1], 60 * hours[2] + hours[3]
    if end > DAY_MINUTES:
        raise ValueError("must end at 24:00 at the latest; past midnight is written 22:00-06:00")
    if start == end:
        raise ValueError("must end at another time than it begins; all day is 00:00-24:00")
    return start, end if end > start else end + DAY_MINUTES


def bank_holidays(nation: Nation, years: range) -> frozenset[date]:
    """The bank holidays of these years: those that fall on a weekend, and the substitute days for them."""
    from holidays import country_holidays  # 50 ms: only where somebody asks for them

    return frozenset(country_holidays("GB", subdiv=_SUBDIVISIONS[nation], years=years))


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """Hours as a site gives them. `week`: from Monday. `days` come before bank holidays, and those before the week.

    `nation`: whose bank holidays have the hours `on_bank_holidays`; None for no regard to them.
    """

    week: tuple[Ranges, ...]
    nation: Nation | None = None
    on_bank_holidays: Ranges = ()
    days: Mapping[date, Ranges] = field(default_factory=dict)

    @property
    def ever_open(self) -> bool:
        """Whether there is any time in the week at which it is open."""
        return any(self.week)

    def opening_hours(self, name: str, zone: ZoneInfo, year: int) -> OpeningHours:
        """As instants, from the year before `year` to the fifth after it; beyond, it is open (see `OpeningHours`)."""
        calendar = _Calendar(self, zone, range(year - YEARS_BEFORE, year + YEARS_AHEAD + 1))
        return OpeningHours(name=name, changes=tuple(calendar.changes()))


class _Calendar:
    """One timetable over some years."""

    def __init__(self, timetable: Timetable, zone: ZoneInfo, years: range) -> None:
        self._timetable = timetable
        self._zone = zone
        self._first, self._end = date(years[0], 1, 1), date(years[-1] + 1, 1, 1)
        nation = timetable.nation
        self._holidays = bank_holidays(nation, years) if nation else frozenset()

    def changes(self) -> Iterator[tuple[int, bool]]:
        """(microseconds of UTC, open from then on), from the first day to the last, after which it is open."""
        is_open = True
        for at in sorted(self._moments()):
            if (now_open := self._is_open(at)) is not is_open:
                is_open = now_open
                yield _utc_us(at), is_open
        if not is_open:
            yield _utc_us(self._utc(self._end, 0)), True

    def _moments(self) -> set[datetime]:
        """Every moment at which something may change: midnight first, the ends of ranges, the changes of the clock."""
        moments = {self._utc(self._first, 0)}
        day = self._first - timedelta(days=1)
        while day < self._end:
            for minute in {minute for both in self._ranges(day) for minute in both}:
                moments |= {self._utc(day, minute, fold) for fold in (0, 1)}
            moments |= self._clock_changes(day)
            day += timedelta(days=1)
        first, end = self._utc(self._first, 0), self._utc(self._end, 0)
        return {moment for moment in moments if first <= moment < end}

    def _clock_changes(self, day: date) -> set[datetime]:
        """The second at which the zone's distance from UTC changes on this day, if it does."""
        start, end = self._utc(day, 0), self._utc(day + timedelta(days=1), 0)
        before = self._offset(start)
        if self._offset(end) == before:
            return set()
        seconds = range(int((end - start).total_seconds()) + 1)
        changed = bisect_left(
            seconds, True, key=lambda s: self._offset(start + timedelta(seconds=s)) != before
        )
        return {start + timedelta(seconds=changed)}

    def _offset(self, moment: datetime) -> timedelta | None:
        return moment.astimezone(self._zone).utcoffset()

    def _utc(self, day: date, minute: int, fold: int = 0) -> datetime:
        wall = datetime(day.year, day.month, day.day, tzinfo=self._zone) + timedelta(minutes=minute)
        return wall.replace(fold=fold).astimezone(UTC)

    def _is_open(self, moment: datetime) -> bool:
        wall = moment.astimezone(self._zone)
        minute, today = 60 * wall.hour + wall.minute, wall.date()
        return any(start <= minute < end for start, end in self._ranges(today)) or any(
            start <= minute + DAY_MINUTES < end for start, end in self._ranges(today - timedelta(days=1))
        )

    def _ranges(self, day: date) -> Ranges:
        if (special := self._timetable.days.get(day)) is not None:
            return special
        if day in self._holidays:
            return self._timetable.on_bank_holidays
        return self._timetable.week[day.weekday()]


def _utc_us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def this_year() -> int:
    """The year that it is now, in UTC."""
    return datetime.now(UTC).year

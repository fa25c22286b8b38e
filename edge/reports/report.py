"""A report computed: every figure of its period beside the same of the period before, over time, by queue and by language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from edge.metrics.book import Book
from edge.metrics.compute import Calculator, Figure
from edge.metrics.periods import Every, Period, divide, local, midnight
from edge.mi.folding import HoleRecord, MarkRecord
from edge.reports.chapters import BY_LANGUAGE, BY_QUEUE, CHAPTERS, OUTCOMES, TRENDS

if TYPE_CHECKING:
    from edge.mi.projection import Figures, Projection

MOST_OUTCOME_DAYS = 366
DAY_US = 86_400_000_000
LONGER_THAN_ANY = timedelta(days=100)
"""Than any period."""


class Kind(StrEnum):
    """How long a report's period is."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"

    @property
    def every(self) -> Every:
        """The same, for dividing time."""
        return Every(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A figure of the period, and the same of the one before."""

    now: Figure
    before: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Figures of as many days before a change as after it."""

    day: date
    days: int
    figures: Mapping[str, Pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a page or a table shows."""

    site: str
    zone: ZoneInfo
    kind: Kind
    period: Period
    before: Period
    made_us: int
    """When it was made."""
    figures: Mapping[str, Pair]
    """By id of the definition."""
    trends: Mapping[str, Sequence[Figure]]
    """By id: one figure for each day, or for each week of a quarter."""
    by_hour: Sequence[Figure]
    """Calls offered in each hour of the period."""
    by_queue: Mapping[str, Sequence[Figure]]
    by_language: Mapping[str, Sequence[Figure]]
    holes: Sequence[HoleRecord]
    """What touches the period and cannot be relied on."""
    marks: Sequence[MarkRecord]
    """What happened in it that explains figures: major incidents, alarms, a clock that was set."""
    clock_changes: Sequence[date]
    """Local days of 23 or 25 hours in it."""
    outcome: Outcome | None
    synthetic: bool
    """Whether the calls were made up."""
    meanings: Mapping[str, str]
    """Plain words by id of the definition."""

    @property
    def name(self) -> str:
        """As in 2026-10, 2026-W43 or 2026-Q4."""
        return self.period.name


def compute(
    projection: Projection,
    book: Book,
    site: str,
    zone: ZoneInfo,
    kind: Kind,
    at_us: int,
    *,
    made_us: int,
    synthetic: bool,
    go_live: date | None = None,
) -> Report:
    """The report of the period that `at_us` is in. The projection is read once for it (once more for an outcome)."""
    before, period = _two_periods(kind, at_us, zone)
    figures = projection.figures(before.start_us, period.end_us, "completion")
    two = Calculator(figures, book, [before, period])
    one = two.over([period])
    parts = divide(period.start_us, period.end_us, Every.WEEK if kind is Kind.QUARTER else Every.DAY, zone)
    along = two.over(parts)
    hours = two.over(divide(period.start_us, period.end_us, Every.HOUR, zone))
    shown = [name for chapter in CHAPTERS for name in chapter.definitions]
    return Report(
        site=site,
        zone=zone,
        kind=kind,
        period=period,
        before=before,
        made_us=made_us,
        figures={name: _pair(two, name) for name in shown},
        trends={name: along.compute(name) for name in TRENDS},
        by_hour=hours.compute("offered"),
        by_queue={name: one.compute(name, ("queue",)) for name in BY_QUEUE},
        by_language={name: one.compute(name, ("language",)) for name in BY_LANGUAGE},
        holes=[hole for hole in figures.holes if _touches(hole, period, figures)],
        marks=[mark for mark in figures.marks if _touches(mark, period, figures)],
        clock_changes=_clock_changes(period, zone),
        outcome=None
        if go_live is None
        else _outcome(projection, book, go_live, min(period.end_us, figures.last_us), zone),
        synthetic=synthetic,
        meanings={name: book[name].meaning for name in {*shown, *TRENDS, *BY_QUEUE, *BY_LANGUAGE, *OUTCOMES}},
    )


def begin_of(kind: Kind, at_us: int, zone: ZoneInfo) -> int:
    """When the period of this kind begins that an instant is in."""
    return _two_periods(kind, at_us, zone)[1].start_us


def _two_periods(kind: Kind, at_us: int, zone: ZoneInfo) -> tuple[Period, Period]:
    """The whole period that this instant is in, and the one before it."""
    day = local(at_us, zone).date()
    around = divide(
        midnight(day - 2 * LONGER_THAN_ANY, zone), midnight(day + LONGER_THAN_ANY, zone), kind.every, zone
    )
    index = next(i for i, period in enumerate(around) if period.start_us <= at_us < period.end_us)
    return around[index - 1], around[index]


def _pair(two: Calculator, name: str) -> Pair:
    before, now = two.compute(name)
    return Pair(now=now, before=before)


def _touches(span: HoleRecord | MarkRecord, period: Period, figures: Figures) -> bool:
    ended = figures.last_us if span.ended_us is None else span.ended_us
    at_once = ended == span.started_us >= period.start_us
    return span.started_us < period.end_us and (ended > period.start_us or at_once)


def _clock_changes(period: Period, zone: ZoneInfo) -> list[date]:
    days = divide(period.start_us, period.end_us, Every.DAY, zone)
    return [local(day.start_us, zone).date() for day in days if day.end_us - day.start_us != DAY_US]


def _outcome(projection: Projection, book: Book, day: date, until_us: int, zone: ZoneInfo) -> Outcome:
    """As many days before as after, up to the end of the report's period or of what is known."""
    end = local(until_us, zone).date()
    days = max(1, min(MOST_OUTCOME_DAYS, (end - day).days))
    cuts = [midnight(day + timedelta(days=shift), zone) for shift in (-days, 0, days)]
    spans = [
        Period(cuts[0], cuts[1], f"{days} days before"),
        Period(cuts[1], cuts[2], f"{days} days from {day.isoformat()}"),
    ]
    two = Calculator(projection.figures(cuts[0], cuts[2], "completion"), book, spans)
    return Outcome(day=day, days=days, figures={name: _pair(two, name) for name in OUTCOMES})

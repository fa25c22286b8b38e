"""Figures for a person or a program that asks: a period in words, definitions by name or pattern, the answer as rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from edge.ledger.chain import is_synthetic
from edge.metrics.book import Book, UnknownDefinitionError
from edge.metrics.periods import Every, Period, TooManyPeriodsError, divide, local, midnight, utc_us

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.metrics.compute import Completeness, Figure
    from edge.mi.projection import Projection
    from edge.views.reading import Reader


class PeriodError(ValueError):
    """It is no period; the message says how to write one."""


def period_of(words: str, zone: ZoneInfo, now_us: int) -> tuple[int, int]:
    """Begin and end of `today`, `yesterday`, `2026-10-25`, `2026-W43`, `2026-10`, `2026-Q4` or `2026`, in local time.

    Raises `PeriodError`.
    """
    today = local(now_us, zone).date()
    try:
        first, last = _days(words.strip(), today)
        _in_reach(first.year, last.year)
    except (ValueError, OverflowError) as error:
        raise PeriodError(
            f"{words!r} is no period: write today, yesterday, 2026-10-25, 2026-W43, 2026-10, 2026-Q4 or 2026"
        ) from error
    return midnight(first, zone), midnight(last, zone)


def _days(words: str, today: date) -> tuple[date, date]:
    """The first day, and the day after the last."""
    one = timedelta(days=1)
    if words in ("today", "yesterday"):
        day = today if words == "today" else today - one
        return day, day + one
    if found := re.fullmatch(r"(\d{4})-W(\d{2})", words):
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return monday, monday + 7 * one
    if found := re.fullmatch(r"(\d{4})-Q([1-4])", words):
        return _months(int(found[1]), 3 * int(found[2]) - 2, 3)
    if found := re.fullmatch(r"(\d{4})-(\d{2})", words):
        return _months(int(found[1]), int(found[2]), 1)
    if re.fullmatch(r"\d{4}", words):
        return _months(int(words), 1, 12)
    day = date.fromisoformat(words)
    return day, day + one


def _in_reach(*years: int) -> None:
    """Raises `ValueError` for times at which no call can have been."""
    if not all(1971 <= year <= 2500 for year in years):
        raise ValueError("out of reach")


def _months(year: int, month: int, count: int) -> tuple[date, date]:
    after = year * 12 + month - 1 + count
    return date(year, month, 1), date(after // 12, after % 12 + 1, 1)


def moment_of(words: str, zone: ZoneInfo) -> int:
    """RFC 3339, or local time without an offset, as microseconds of UTC. Raises `PeriodError`."""
    try:
        moment = datetime.fromisoformat(words)
        _in_reach(moment.year)
        return utc_us(moment if moment.tzinfo is not None else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError) as error:
        raise PeriodError(f"{words!r} is no time such as 2026-10-25T14:00 or 2026-10-25T14:00:00Z") from error


def times_of(
    period: str | None, since: str | None, until: str | None, zone: ZoneInfo, now_us: int
) -> tuple[int, int]:
    """Of a period in words (None: today), or else from `since` until `until` (None: now). Raises `PeriodError`."""
    if since is None:
        if until is not None:
            raise PeriodError("until goes with since")
        return period_of(period or "today", zone, now_us)
    if period is not None:
        raise PeriodError("give period or since, and not both")
    start_us, end_us = moment_of(since, zone), now_us if until is None else moment_of(until, zone)
    if end_us <= start_us:
        raise PeriodError("until must be later than since")
    return start_us, end_us


def names_of(book: Book, wanted: Sequence[str]) -> list[str]:
    """Ids that these ids or patterns (101-*) name, each once, in their order. Raises `UnknownDefinitionError`."""
    found: dict[str, None] = {}
    for each in wanted:
        if any(mark in each for mark in "*?["):
            matching = [name for name in book.definitions if fnmatchcase(name, each)]
            if not matching:
                raise UnknownDefinitionError(f"no definition matches {each!r}: see `edge metrics list`")
            found |= dict.fromkeys(matching)
        else:
            _ = book[each]
            found[each] = None
    return list(found)


def ask(
    projection: Projection,
    book: Book,
    names: Sequence[str],
    start_us: int,
    end_us: int,
    *,
    every: Every = Every.WHOLE,
    zone: ZoneInfo,
    by: Sequence[str] = (),
    most: int | None = None,
) -> list[Figure]:
    """Figures of each definition, period and group; not more than `most`. The projection is read once, as it is at this moment.

    Raises `UnknownDefinitionError`, `RefusedFigureError`, `TooManyPeriodsError`.
    """
    from edge.metrics.compute import Calculator

    periods = divide(start_us, end_us, every, zone)
    calculator = Calculator(projection.figures(start_us, end_us, "completion"), book, periods)
    found: list[Figure] = []
    for name in names:
        found += calculator.compute(name, by)
        if most is not None and len(found) > most:
            raise TooManyPeriodsError(
                f"that is more than {most} figures: ask for fewer definitions, longer periods, or fewer divisions"
            )
    return found


@contextmanager
def projection_of(
    reader: Reader,
    directory: Path | None,
    key: bytes | None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Projection]:
    """The projection of a ledger, level with it: that of `edge mi` where there is one and it may be written, else one of our own.

    One of our own is folded from the first fact, which takes a while for a large ledger.
    """
    import os

    from edge.mi.projection import Projection, projection_file

    usable = directory is not None and os.access(directory, os.W_OK)
    projection = Projection(
        reader, projection_file(directory) if directory is not None and usable else None, key
    )
    try:
        projection.catch_up(progress)
        yield projection
    finally:
        projection.close()


def figure_row(figure: Figure, zone: ZoneInfo) -> dict[str, Any]:
    """For programs: one flat row, the same in JSON and CSV but for groups, which CSV has as columns."""
    return {
        "definition": figure.definition,
        "digest": figure.digest,
        "title": figure.title,
        "period": figure.period.name,
        "since": _time(figure.period.start_us, zone),
        "until": _time(figure.period.end_us, zone),
        "group": dict(figure.group),
        "value": figure.value,
        "unit": figure.unit,
        "numerator": figure.numerator,
        "denominator": figure.denominator,
        "completeness": completeness_row(figure.completeness, zone),
    }


def completeness_row(found: Completeness, zone: ZoneInfo) -> dict[str, Any]:
    """For programs."""
    return {
        "whole": found.is_whole,
        "seen_share": found.seen_share,
        "untraced_gaps": found.untraced_gaps,
        "known_to_end": found.known_to_end,
        "known_until": _time(found.known_until_us, zone),
        "calls_in_progress": found.in_progress,
        "calls_unknown": found.unknown,
        "calls_adopted": found.adopted,
        "ledger_trouble": found.ledger_trouble,
        "clock_share": found.clock_share,
    }


def _time(at_us: int, zone: ZoneInfo) -> str:
    return local(at_us, zone).isoformat()


def is_made_up(projection: Projection) -> bool:
    """Whether the ledger behind it is synthetic."""
    return is_synthetic(projection.ledger_id)


def period_name(period: Period, zone: ZoneInfo) -> str:
    """For a person."""
    return (
        period.name
        if "/" not in period.name
        else f"{_minutes(period.start_us, zone)} to {_minutes(period.end_us, zone)}"
    )


def _minutes(at_us: int, zone: ZoneInfo) -> str:
    return local(at_us, zone).strftime("%Y-%m-%d %H:%M")

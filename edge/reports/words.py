"""Figures in words and digits, the same on a page, in a plot and in a table."""

from __future__ import annotations

import math
from datetime import date

from edge.metrics.compute import Completeness, Figure

NOTHING = "none"
"""In place of a figure that there is nothing to compute of."""


def value(figure: Figure) -> str:
    """A share in percent, cut and never rounded up to a target; seconds as minutes where there are many."""
    return written(figure.value, figure.unit)


def written(number: float | None, unit: str) -> str:
    """The same of a bare number."""
    if number is None:
        return NOTHING
    match unit:
        case "share":
            return f"{math.floor(number * 1000 + 1e-9) / 10:.1f} %"
        case "seconds":
            return seconds(number)
        case "calls" | "contacts" | "callers" if float(number).is_integer():
            return f"{int(number):,}"
    return f"{number:,.2f}"


def seconds(number: float) -> str:
    """`12.3 s`, `4 min 05 s`, `3 h 07 min`; with its sign."""
    sign, whole = ("-" if number < 0 else ""), abs(number)
    if whole < 60:
        return f"{sign}{whole:.1f} s"
    if whole < 3600:
        return f"{sign}{int(whole) // 60} min {int(whole) % 60:02d} s"
    return f"{sign}{int(whole) // 3600:,} h {int(whole) // 60 % 60:02d} min"


def change(now: Figure, before: Figure) -> str:
    """What became of it since the period before: in points for a share, else in percent."""
    if now.value is None or before.value is None:
        return ""
    if now.unit == "share":
        points = 100 * (now.value - before.value)
        return "the same" if abs(points) < 0.05 else f"{points:+.1f} points"
    if before.value == 0:
        return "the same" if now.value == 0 else "from nothing"
    percent = 100 * (now.value - before.value) / abs(before.value)
    return "the same" if abs(percent) < 0.05 else f"{percent:+.1f} %"


def basis(figure: Figure) -> str:
    """Of how many."""
    if figure.unit == "share" and figure.denominator is not None:
        return f"{figure.numerator:,} of {figure.denominator:,}"
    if figure.unit == "calls" or figure.denominator is None:
        return ""
    return f"of {figure.denominator:,}"


def completeness(found: Completeness) -> str:
    """How far the figures of a period can be relied on, in one sentence."""
    if found.is_whole:
        seen = "the switch was seen all the time"
        if found.seen_share is not None and found.seen_share < 1:
            share = written(found.seen_share, "share")
            seen = f"the switch was seen {share} of the time, and its own record tells of the rest"
        return f"Complete: {seen}, every call has ended, and every end is known."
    parts = []
    if found.seen_share is None:
        return "The period has not begun."
    if found.seen_share < 1:
        parts.append(f"the switch was seen {written(found.seen_share, 'share')} of the time")
    if found.untraced_gaps and found.seen_share < 1:
        parts.append("of the rest its own record does not tell everything")
    if not found.known_to_end:
        parts.append("its end is not known yet")
    if found.in_progress:
        parts.append(f"{found.in_progress:,} calls have not ended")
    if found.unknown:
        parts.append(f"the end of {found.unknown:,} calls was not seen")
    if found.ledger_trouble:
        parts.append("facts could not be written for some time")
    return f"Not complete: {'; '.join(parts)}."


def day(given: date) -> str:
    """As people write it."""
    return f"{given.day} {given:%B %Y}"

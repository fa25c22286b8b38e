"""Statistics of whole numbers in many cells at once (a cell: one period of one group). Exact: sums and ranks are of integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    Array = numpy.ndarray[Any, Any]

A_BILLIONTH = 1e-9
"""What a product of a million fractions may be off by."""


def count(cell: Array, cells: int) -> list[int]:
    """How many there are in each cell."""
    counted: list[int] = numpy.bincount(cell, minlength=cells).tolist()
    return counted


def split(cell: Array, values: Array, cells: int) -> Iterator[tuple[int, Array]]:
    """Each cell that has any, with its values in ascending order."""
    if len(cell) == 0:
        return
    if cells == 1:
        yield 0, numpy.sort(values)
        return
    order = numpy.lexsort((values, cell))
    sorted_cell, sorted_values = cell[order], values[order]
    starts = numpy.flatnonzero(numpy.diff(sorted_cell, prepend=sorted_cell[0] - 1))
    for start, end in zip(starts, [*starts[1:], len(cell)], strict=True):
        yield int(sorted_cell[start]), sorted_values[start:end]


def total(ordered: Array) -> float:
    """The sum."""
    return int(ordered.sum())


def mean(ordered: Array) -> float:
    """The sum divided by how many there are."""
    return int(ordered.sum()) / len(ordered)


def median(ordered: Array) -> float:
    """The middle one, or the mean of the two in the middle."""
    length = len(ordered)
    return (int(ordered[(length - 1) // 2]) + int(ordered[length // 2])) / 2


def p90(ordered: Array) -> float:
    """The smallest that at least 90 of 100 do not exceed (nearest rank)."""
    return int(ordered[(9 * len(ordered) + 9) // 10 - 1])


def longest(ordered: Array) -> float:
    """The largest."""
    return int(ordered[-1])


STATISTICS: dict[str, Callable[[Array], float]] = {
    "mean": mean,
    "median": median,
    "p90": p90,
    "longest": longest,
    "total": total,
}


def censored_quantile(waits: Array, answered: Array, share: float) -> float | None:
    """The wait within which this share is answered, by Kaplan and Meier; None where the waits do not reach so far.

    `answered`: whether the wait ended with an answer; otherwise an answer would have taken longer than it.
    """
    order = numpy.argsort(waits, kind="stable")
    ordered, events = waits[order], answered[order]
    instants, first = numpy.unique(ordered, return_index=True)
    at_risk = len(ordered) - first
    at_each = numpy.add.reduceat(events.astype(numpy.int64), first) if len(first) else first
    left = numpy.cumprod(1.0 - at_each / at_risk)
    reached = numpy.flatnonzero((left <= 1.0 - share + A_BILLIONTH) & (at_each > 0))
    return None if len(reached) == 0 else int(instants[reached[0]])


def merged(starts: Array, ends: Array) -> tuple[Array, Array]:
    """The same time as spans that do not overlap, in order."""
    if len(starts) == 0:
        return starts, ends
    order = numpy.argsort(starts, kind="stable")
    starts, ends = starts[order], numpy.maximum.accumulate(ends[order])
    begins = numpy.concatenate(([True], starts[1:] > ends[:-1]))
    lasts = numpy.concatenate((begins[1:], [True]))
    return starts[begins], ends[lasts]


def within(starts: Array, ends: Array, cuts: Array) -> Array:
    """How much of spans that do not overlap lies between each cut and the next."""
    if len(starts) == 0:
        return numpy.zeros(max(0, len(cuts) - 1), dtype=numpy.int64)
    lengths = numpy.concatenate(([0], numpy.cumsum(ends - starts)))
    begun = numpy.searchsorted(starts, cuts, side="right")
    before = lengths[numpy.maximum(begun - 1, 0)] * (begun > 0)
    last = numpy.maximum(begun - 1, 0)
    partly = numpy.clip(cuts, starts[last], ends[last]) - starts[last]
    return numpy.diff(before + numpy.where(begun > 0, partly, 0))

"""Statistics of whole numbers in many cells at once (a cell: one period of one group). Exact: sums and ranks are of integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    Array = numpy.ndarray[Any, Any]

A_BILLIONTH = 1e-9
"""What a product of a million fractions may be off by."""
FEW = 2**16
AT_ONCE = 2**20
"""Places looked at in one go: five years of half hours of every agent would not be in memory together."""


def count(cell: Array, cells: int) -> list[int]:
    """How many there are in each cell."""
    counted: list[int] = numpy.bincount(cell, minlength=cells).tolist()
    return counted


def split(cell: Array, values: Array, cells: int) -> Iterator[tuple[int, Array]]:
    """Each cell that has any, with its values in no order."""
    if len(cell) == 0:
        return
    if cells == 1:
        yield 0, values
        return
    if bool((cell[1:] < cell[:-1]).any()):
        order = order_of(cell, cells)
        cell, values = cell[order], values[order]
    starts = numpy.flatnonzero(numpy.diff(cell, prepend=cell[0] - 1))
    for start, end in zip(starts, [*starts[1:], len(cell)], strict=True):
        yield int(cell[start]), values[start:end]


def order_of(numbers: Array, most: int) -> Array:
    """That puts numbers from 0 to below `most` in order, and leaves equal ones in theirs."""
    # Numpy puts small ones in order without comparing them.
    small = numbers.astype(numpy.uint16) if most <= FEW else numbers
    return numpy.argsort(small, kind="stable")


def total(values: Array) -> float:
    """The sum."""
    return int(values.sum())


def mean(values: Array) -> float:
    """The sum divided by how many there are."""
    return int(values.sum()) / len(values)


def median(values: Array) -> float:
    """The middle one, or the mean of the two in the middle."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    parted = numpy.partition(values, (low, high))
    return (int(parted[low]) + int(parted[high])) / 2


def p90(values: Array) -> float:
    """The smallest that at least 90 of 100 do not exceed (nearest rank)."""
    rank = (9 * len(values) + 9) // 10 - 1
    return int(numpy.partition(values, rank)[rank])


def longest(values: Array) -> float:
    """The largest."""
    return int(values.max())


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
    both = numpy.sort(2 * waits + answered)
    ordered, events = both >> 1, both & 1
    first = numpy.flatnonzero(numpy.diff(ordered, prepend=ordered[:1] - 1))
    at_risk = len(ordered) - first
    at_each = numpy.add.reduceat(events, first) if len(first) else first
    left = numpy.cumprod(1.0 - at_each / at_risk)
    reached = numpy.flatnonzero((left <= 1.0 - share + A_BILLIONTH) & (at_each > 0))
    return None if len(reached) == 0 else int(ordered[first[reached[0]]])


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


@dataclass(frozen=True, slots=True)
class Lines:
    """Many persons' times, one person's behind the other's on one line, so that all of them are measured at once."""

    persons: int
    begin: int
    """Of what each person has of the line."""
    length: int
    """Of the same. Nobody has a time that ends as late as this after the begin."""

    def at(self, person: Array, times: Array) -> Array:
        """Where these times of these persons (by number) are."""
        places: Array = person * self.length + (times - self.begin)
        return places

    def of(self, places: Array) -> tuple[Array, Array]:
        """Whose times are there, and which."""
        return places // self.length, places % self.length + self.begin

    def within(self, starts: Array, ends: Array, cuts: Array) -> Array:
        """`within` for each person: a row of each, with how much lies between each cut of time and the next.

        `starts` and `ends`: in order, each between the begin of what a person has of the line and its end.
        """
        found = numpy.zeros((self.persons, max(0, len(cuts) - 1)), dtype=numpy.int64)
        own = numpy.clip(cuts - self.begin, 0, self.length - 1)
        some = max(1, AT_ONCE // max(1, len(cuts)))
        for first in range(0, self.persons, some):
            last = min(first + some, self.persons)
            here = slice(*numpy.searchsorted(starts, (first * self.length, last * self.length)))
            theirs = (numpy.arange(first, last)[:, None] * self.length + own).ravel()
            between = numpy.append(within(starts[here], ends[here], theirs), 0)[: len(theirs)]
            found[first:last] = between.reshape(last - first, len(cuts))[:, :-1]
        return found

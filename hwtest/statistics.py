"""Percentiles and their uncertainty, for figures that are compared in blocks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

RESAMPLES = 2000
CONFIDENCE = 0.95
Blocks = Sequence[Sequence[float]]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of `values` lies, linear between neighbours; ValueError without values."""
    if not values or not 0 <= share <= 1:
        raise ValueError("a percentile needs values and a share from 0 to 1")
    ordered = sorted(values)
    below, fraction = divmod(share * (len(ordered) - 1), 1)
    low, high = ordered[int(below)], ordered[min(int(below) + 1, len(ordered) - 1)]
    return low if low == high else low + (high - low) * fraction


@dataclass(frozen=True, slots=True)
class Summary:
    """A distribution in the figures that are published of it; never a mean alone."""

    n: int
    p50: float
    p95: float
    p99: float
    maximum: float


def summarise(values: Sequence[float]) -> Summary | None:
    """The summary of `values`, None when there are none."""
    if not values:
        return None
    p50, p95, p99 = (percentile(values, share) for share in (0.5, 0.95, 0.99))
    return Summary(len(values), p50, p95, p99, max(values))


def pooled(blocks: Blocks) -> list[float]:
    """Every value of every block."""
    return [value for block in blocks for value in block]


def ratio_of_percentiles(ours: Blocks, theirs: Blocks, share: float = 0.5) -> float | None:
    """Our pooled percentile by theirs, the median by default; None where undefined (RFC 6076 §3: a ratio by zero is not zero)."""
    above, below = pooled(ours), pooled(theirs)
    if not above or not below:
        return None
    divisor = percentile(below, share)
    return percentile(above, share) / divisor if divisor > 0 else None


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def bootstrap_ratio(ours: Blocks, theirs: Blocks, share: float = 0.5, seed: int = 101) -> Interval | None:
    """95 % percentile-bootstrap interval of `ratio_of_percentiles`; None where that is undefined.

    Whole blocks are drawn, not values: what disturbs a machine disturbs a block, so its values are not independent.
    """
    ours, theirs = [block for block in ours if block], [block for block in theirs if block]
    dice = random.Random(seed)
    drawn = (
        ratio_of_percentiles(dice.choices(ours, k=len(ours)), dice.choices(theirs, k=len(theirs)), share)
        for _ in range(RESAMPLES if ours and theirs else 0)
    )
    ratios = [ratio for ratio in drawn if ratio is not None]
    if not ratios:
        return None
    tail = (1 - CONFIDENCE) / 2
    return Interval(percentile(ratios, tail), percentile(ratios, 1 - tail))

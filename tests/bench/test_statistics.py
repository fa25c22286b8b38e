"""Percentiles, ratios and their intervals."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtest.statistics import Summary, bootstrap_ratio, percentile, ratio_of_percentiles, summarise

VALUES = st.lists(st.floats(0, 1e6), min_size=2, max_size=50)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.99, 5.0),
        ([1.0, 2.0], 0.5, 1.5),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.0, 1.0),
        ([1.0, 2.0, 3.0, 4.0], 1.0, 4.0),
        ([0.0, 10.0], 0.95, 9.5),
    ],
)
def test_percentile(values: list[float], share: float, expected: float) -> None:
    """A percentile lies linearly between its neighbours, whatever the order of the values."""
    assert percentile(values, share) == pytest.approx(expected)


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.1), ([1.0], -0.1)])
def test_no_percentile(values: list[float], share: float) -> None:
    """Without values, or for a share that is none, there is no percentile."""
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


@given(VALUES)
def test_percentile_is_the_library_s(values: list[float]) -> None:
    """Each percentile is the inclusive quantile of the standard library."""
    expected = statistics.quantiles(values, n=20, method="inclusive")
    assert [percentile(values, step / 20) for step in range(1, 20)] == pytest.approx(expected)


@given(VALUES)
def test_summary_is_in_order(values: list[float]) -> None:
    """The figures of a summary never cross."""
    summary = summarise(values)
    assert summary is not None
    assert min(values) <= summary.p50 <= summary.p95 <= summary.p99 <= summary.maximum == max(values)


def test_summary() -> None:
    """A summary has the number of values and no mean; nothing has none."""
    assert summarise([2.0]) == Summary(1, 2.0, 2.0, 2.0, 2.0)
    assert summarise([]) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ([[1.0], [3.0]], [[4.0]], 0.5),
        ([[1.0]], [[0.0]], None),
        ([[]], [[1.0]], None),
        ([[1.0]], [], None),
    ],
)
def test_ratio(ours: list[list[float]], theirs: list[list[float]], expected: float | None) -> None:
    """The ratio is that of pooled medians, and undefined rather than zero without either."""
    assert ratio_of_percentiles(ours, theirs) == expected


def test_interval_of_equal_blocks() -> None:
    """Blocks that do not differ leave no doubt."""
    assert bootstrap_ratio([[1.0, 1.0]] * 3, [[2.0]] * 3) == (0.5, 0.5)


def test_no_interval_without_blocks() -> None:
    """No block of either side, no interval."""
    assert bootstrap_ratio([[]], [[1.0]]) is None


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_interval_of_the_same(blocks: list[list[float]]) -> None:
    """A system against itself, when its blocks agree, is 1 within the interval."""
    interval = bootstrap_ratio(blocks, blocks)
    assert interval is None or interval.low <= interval.high

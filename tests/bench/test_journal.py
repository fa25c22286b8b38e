"""The durable log: blocks on a real disk, and what is said of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwtest.bench.journal import BARE, COMMIT, RATE, Plan, _measure, figures, not_measured
from hwtest.bench.rig import OURS
from tests.bench.test_report import block

PLAN = Plan(samples=4, groups=2, rounds=1)


def test_a_real_ledger(tmp_path: Path) -> None:
    """Alternating blocks of a real ledger and a bare file, and three rows from them."""
    blocks = _measure(tmp_path, PLAN, lambda _: None)
    assert [(made.figure, made.system, len(made.samples)) for made in blocks] == [
        (COMMIT, BARE, 2),
        *[(COMMIT, OURS, 2), (RATE, OURS, 1)] * 2,
        (COMMIT, BARE, 2),
    ]
    assert all(sample > 0 for made in blocks for sample in made.samples)
    assert [(row.name, row.system, row.measured) for row in figures(blocks, PLAN)] == [
        (RATE, OURS, True),
        (COMMIT, BARE, True),
        (COMMIT, OURS, True),
    ]


@pytest.mark.parametrize(
    ("rates", "waits", "met"),
    [
        ([20_000.0], [10.0], (True, True)),
        ([19_999.0], [1.0] * 99 + [900.0], (False, True)),
        ([1e6, 1.0, 1.0], [1.0] * 90 + [10.1] * 10, (False, False)),
    ],
)
def test_targets(rates: list[float], waits: list[float], met: tuple[bool, bool]) -> None:
    """The median block must reach the rate; of the call path's commits one in a hundred may be slow."""
    blocks = [replace(block(OURS, [rate]), figure=RATE) for rate in rates]
    rate, _, commit = figures([*blocks, replace(block(OURS, waits), figure=COMMIT)], PLAN)
    assert (rate.met, commit.met) == met


def test_few_are_marked_and_none_is_not_measured() -> None:
    """A quick run says so, and nothing at all is no pass."""
    blocks = [replace(block(OURS, [1.0]), figure=name) for name in (RATE, COMMIT)]
    assert figures(blocks, replace(PLAN, least=3000))[2].small
    assert {row.measured for row in (*figures([], PLAN), *not_measured("why"))} == {False}

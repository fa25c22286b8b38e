"""Seeds of nights that broke a promise once, with their number of calls. Each fault has its shortest table in this directory
too: a seed leads elsewhere as soon as the course of a night changes, so it is kept as one more night, not as proof."""

from __future__ import annotations

import pytest

from tests.simulation.harness import one_night

SEEDS = ((31, 80), (57, 80), (91, 120), (105, 120), (4038, 120))


@pytest.mark.parametrize(("seed", "calls"), SEEDS)
def test_a_night_that_was_bad_once(seed: int, calls: int) -> None:
    """All promises are kept."""
    one_night(seed, calls)

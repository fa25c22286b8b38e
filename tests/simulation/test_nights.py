"""Nights of the simulator: the production code against a whole switch in memory, with everything that can go wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.harness import one_night

ROOT = Path(__file__).parents[2]
SEEDS = range(1, 29)
CALLS = 80


@pytest.mark.parametrize("seed", SEEDS)
def test_every_promise_is_kept_in_a_night_of_trouble(seed: int) -> None:
    """Watched after each step, at each command, at each start, and at the end."""
    night = one_night(seed, CALLS)

    assert night.calls >= CALLS * 0.9  # nobody calls a switch that is down
    assert sum(night.outcomes.by_name.values()) > 0


def test_the_same_seed_gives_the_same_facts() -> None:
    """Byte for byte, in another process with another order of hashes too."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", "7", "--calls", "40"]
    told = {
        subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()[0]
        for hashes in ("1", "2")
    }

    assert told == {f"seed 7: facts {one_night(7, 40).digest}"}


def test_another_seed_is_another_night() -> None:
    """The digest tells them apart."""
    assert one_night(7, 20).digest != one_night(8, 20).digest

"""Failures inside the helpers show what differed."""

import pytest

pytest.register_assert_rewrite("tests.core.room", "tests.core.invariants", "tests.simulation.world")

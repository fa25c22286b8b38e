"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from hwtest.lab.postgres import Server

# Here, before anything can have imported them: failures inside these helpers show what differed.
pytest.register_assert_rewrite("tests.core.room", "tests.core.invariants", "tests.simulation.world")

# How long an example takes is the machine's doing, which the tests share; none promises a time.
settings.register_profile("edge101", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edge101")

FOLDERS_OF_LIVE_TESTS = ("tests/shift", "tests/lab", "tests/live", "tests/contract")
"""Where the live passes of `make test` look, what takes long first; live tests elsewhere are refused, lest they are never run."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Live tests stand where `make test` looks for them."""
    for item in items:
        _check_place(item)


def _check_place(item: pytest.Item) -> None:
    if not any(item.get_closest_marker(mark) for mark in ("live", "quiet")):
        return
    root = item.config.rootpath
    if not any(root / folder in item.path.parents for folder in FOLDERS_OF_LIVE_TESTS):
        raise pytest.UsageError(
            f"{item.nodeid}: a live test in a folder that `make test` does not search for them. "
            "Move it, or add the folder to FOLDERS_OF_LIVE_TESTS in tests/conftest.py."
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL server, one for all tests of this process."""
    from hwtest.lab.postgres import server

    with server(durable=False) as running:
        yield running

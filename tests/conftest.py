"""What holds for all tests."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A live test has one second try: it measures milliseconds on a machine that it shares. The summary shows each (-ra).

    Tests of everything that is ours alone have none.
    """
    for item in items:
        if item.get_closest_marker("live") or "trouble" in item.path.parts:
            item.add_marker(pytest.mark.flaky(reruns=1))

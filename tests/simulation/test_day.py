"""A day with too few people: every promise comes to an end that somebody can point at."""

from __future__ import annotations

import pytest

from tests.simulation.day import Day


def judge(day: Day) -> None:
    """What must be true of any day, however bad."""
    day.live()
    counter = day.engine.state.promises
    print(day.report())  # noqa: T201
    assert day.engine.state.calls == {}
    assert (
        counter.made
        == counter.kept + counter.merged + counter.cancelled + counter.upgraded + counter.became_tasks
    )
    assert counter.kept > 0
    assert counter.out_of_turn == 0
    assert day.place_errors == 0
    assert day.overtaken_999 == 0
    assert day.replayed_as_lived()
    arrived = day.seen["answered"] + day.seen["abandoned"] + day.seen["unreached"] + day.seen["merged"]
    assert arrived == day.callers
    assert day.close_tasks() >= counter.became_tasks


def test_a_short_day() -> None:
    """Of a small force."""
    judge(Day(callers=1000, seed=1))


@pytest.mark.endurance
def test_a_day_of_twenty_thousand() -> None:
    """Of a large one."""
    judge(Day(callers=20_000, seed=1))

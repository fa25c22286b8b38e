"""The row of `edge ship`."""

from __future__ import annotations

import pytest

from hwtest.bench import ship
from hwtest.bench.results import Block

PLAN = ship.Plan(ledgers=3, facts=10_000)


def block(rate: float, invalid: str | None = None) -> Block:
    return Block(
        figure=ship.RATE,
        system="ours",
        samples=[rate],
        seconds=1.0,
        load_average=0.0,
        steal_share=0.0,
        busy_share=0.0,
        retransmissions=0,
        dropped=None,
        invalid=invalid,
    )


@pytest.mark.parametrize(
    ("rates", "value", "met"), [((25e3, 20e3, 19e3), 20_000, True), ((25e3, 19_999, 10e3), 19_999, False)]
)
def test_the_median_decides(rates: tuple[float, ...], value: int, met: bool) -> None:
    """Of the ledgers; the slowest is shown beside it."""
    (figure,) = ship.figures([block(rate) for rate in rates], PLAN)
    assert (figure.value, figure.met, f"{min(rates):.0f} facts/s" in figure.notes[0]) == (value, met, True)


def test_facts_that_did_not_arrive_are_no_speed() -> None:
    """It is not measured then."""
    (figure,) = ship.figures([block(90e3), block(90e3, "9000 of 10000 facts arrived")], PLAN)
    assert (figure.measured, figure.notes) == (False, ["9000 of 10000 facts arrived"])


async def test_it_is_measured() -> None:
    """On a real server, with few facts."""
    said: list[str] = []
    outcome = await ship.measure(said.append, ship.Plan(ledgers=1, facts=6000))
    assert (len(outcome.blocks), outcome.blocks[0].invalid, len(said)) == (1, None, 1)

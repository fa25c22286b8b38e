"""What callers cost by how many wait, worked out of readings made by hand."""

from dataclasses import replace

import pytest

from hwtest.bench.growth import (
    MUSIC,
    SILENCE,
    Reading,
    cost_of,
    figures,
    name_of,
    room_of,
    waiting_of,
)
from hwtest.bench.results import Block, Figure
from tests.bench.test_report import block


def reading(waiting: int, daemon: float, sort: str = SILENCE) -> Reading:
    """One reading; the switch takes ten times as much, and memory grows by a megabyte for each 10."""
    return Reading(
        waiting=waiting,
        sort=sort,
        daemon_percent=daemon,
        daemon_mb=100 + waiting / 10,
        switch_percent=10 * daemon,
    )


def dispatches(waiting: int, samples: list[float]) -> Block:
    """One block of dispatch with so many waiting in silence."""
    return replace(block(waiting_of(waiting), samples), figure=name_of(waiting, SILENCE))


def row(made: list[Figure], name: str) -> Figure:
    """The one of this name."""
    (found,) = [figure for figure in made if figure.name == name]
    return found


@pytest.mark.parametrize(("daemon", "met"), [(3.0, True), (3.1, False)])
def test_the_highest_reading_at_a_thousand_is_judged(daemon: float, met: bool) -> None:
    """And no other, however much music costs."""
    readings = [reading(10, 0.5), reading(1000, 1.0), reading(1000, daemon), reading(300, 9.0, MUSIC)]
    made = figures(readings, [])
    assert (row(made, cost_of(1000, SILENCE)).value, row(made, cost_of(1000, SILENCE)).met) == (daemon, met)
    assert {row(made, cost_of(10, SILENCE)).met, row(made, cost_of(300, MUSIC)).met} == {None}


def test_the_slope_is_of_all_readings() -> None:
    """Two thousandths of a core for each hundred callers, and what each says in words."""
    made = row(figures([reading(0, 1.0), reading(1000, 3.0)], []), "edge run, each 100 more in silence: CPU")
    assert made.value == pytest.approx(0.2)
    assert "takes 10.00 MB, and 0.200 % of a core beyond its 1.00 %; the switch 2.00 %" in made.notes[1]


@pytest.mark.parametrize(("many", "met"), [(20.0, True), (20.2, False)])
def test_dispatch_at_a_thousand_is_compared_with_ten(many: float, met: bool) -> None:
    """Its p95 may be twice as much."""
    blocks = [dispatches(10, [10.0] * 9), dispatches(1000, [many] * 9)]
    made = row(figures([reading(10, 1.0), reading(1000, 1.0)], blocks), name_of(1000, SILENCE))
    assert (made.met, made.system) == (met, "1000 waiting")


def test_the_switchs_audio_ports() -> None:
    """Two for a leg, as rtp.conf has them."""
    assert room_of("[general]\nrtpstart = 41000\nrtpend=43999\nicesupport = no\n") == 1500

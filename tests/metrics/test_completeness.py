"""How far figures can be relied on, and that they do not depend on how long a time is asked for with them."""

from __future__ import annotations

from contextlib import closing
from zoneinfo import ZoneInfo

import pytest

from edge.core import facts
from edge.core.model import Blindness, Bound
from edge.metrics.asking import ask, completeness_row
from edge.metrics.book import Book, read_book
from edge.metrics.compute import Calculator, Completeness
from edge.metrics.definition import Occupancy
from edge.metrics.periods import Every, Period
from edge.mi.projection import Projection
from edge.reports import words
from tests.metrics.calls import KEY, SECOND, START_US, Told, figures_of, instant, ledger_of

MINUTE = 60 * SECOND
LONDON = ZoneInfo("Europe/London")
HOUR = Period(START_US, START_US + 3600 * 1_000_000, "the hour")
ONE_CALL = [Told(arrives=MINUTE)]
OPENING = (0, facts.SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=0))


def of_the_hour(*more: tuple[int, facts.Fact], until: int, period: Period = HOUR) -> Completeness:
    """Of an hour with one call in it, of which the ledger knows up to this time."""
    figures = figures_of(ONE_CALL, OPENING, *more, until=until)
    return Calculator(figures, read_book(), [period]).completeness[0]


def test_a_period_half_over_is_not_complete() -> None:
    """Though everything that is known of it was seen, and every call has ended."""
    found = of_the_hour(until=30 * MINUTE)
    assert (found.seen_share, found.in_progress, found.unknown) == (1.0, 0, 0)
    assert not found.known_to_end
    assert not found.is_whole
    assert words.completeness(found) == "Not complete: its end is not known yet."
    assert completeness_row(found, LONDON)["known_to_end"] is False
    assert of_the_hour(until=60 * MINUTE).is_whole


def test_a_time_before_the_record_is_not_complete() -> None:
    """Nothing can tell what was then."""
    earlier = Period(HOUR.start_us - 1, HOUR.end_us, "earlier")
    assert not of_the_hour(until=60 * MINUTE, period=earlier).is_whole


@pytest.mark.parametrize("complete", [True, False])
def test_a_gap_is_made_good_by_its_trace_alone(complete: bool) -> None:
    """Where the switch's own record told all that happened in it, nothing is missing."""
    gap = facts.GapEnded(
        gap=1,
        why=Blindness.LINK_LOST,
        since=instant(10 * MINUTE),
        bound=Bound.SEEN,
        seconds=60.0,
        calls=(),
    )
    trace = facts.GapTraced(
        gap=1,
        complete=complete,
        detail="",
        calls_seen=0,
        calls_added=0,
        calls_corrected=0,
        calls_unknown=0,
    )
    found = of_the_hour((11 * MINUTE, gap), (12 * MINUTE, trace), until=60 * MINUTE)
    assert found.seen_share == pytest.approx(59 / 60)
    assert found.untraced_gaps == (0 if complete else 1)
    assert found.is_whole is complete
    said = words.completeness(found)
    assert ("its own record tells of the rest" if complete else "does not tell everything") in said


def test_a_half_hour_is_the_same_asked_alone_or_with_the_one_before() -> None:
    """The call ended before it, its wrap-up went on into it."""
    call = Told(arrives=20 * MINUTE, talks=5 * MINUTE, wraps=15 * MINUTE)
    signed_in = (0, facts.AgentSignedIn(agent="4001", phone="p1"))
    book = Book(definitions={"x": Occupancy(version=1, title="t", meaning="m", of="signed_in")})
    half, end = START_US + 1800 * 1_000_000, START_US + 3600 * 1_000_000
    with closing(Projection(ledger_of([call], signed_in, until=60 * MINUTE), None, KEY)) as projection:
        projection.catch_up()
        (alone,) = ask(projection, book, ["x"], half, end, zone=LONDON)
        both = ask(projection, book, ["x"], START_US, end, every=Every.HALF_HOUR, zone=LONDON)
    assert alone.value == both[1].value == pytest.approx(10 / 30)

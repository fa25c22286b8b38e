"""Who calls when."""

from itertools import islice

from hwtest.shift.plan import (
    AWAY_SHARE,
    BUSY_SHARE,
    arrivals_end_seconds,
    callers,
    handlings,
    mean_gap_seconds,
    reaction,
)


def test_the_same_seed_gives_the_same_shift() -> None:
    """So that what was seen once can be seen again."""
    assert list(islice(callers(7, 8, 5.0), 50)) == list(islice(callers(7, 8, 5.0), 50))
    assert list(islice(handlings(7, "4001"), 50)) == list(islice(handlings(7, "4001"), 50))


def test_another_seed_gives_another_shift() -> None:
    """And agents differ from each other."""
    assert list(islice(callers(7, 8, 5.0), 50)) != list(islice(callers(8, 8, 5.0), 50))
    assert list(islice(handlings(7, "4001"), 50)) != list(islice(handlings(7, "4002"), 50))


def test_callers_come_in_order_and_from_numbers_that_belong_to_nobody() -> None:
    """Ofcom's numbers for drama, each used once before it is used again."""
    drawn = list(islice(callers(1, 8, 5.0), 1000))
    assert drawn == sorted(drawn, key=lambda caller: caller.at_seconds)
    assert len({caller.number for caller in drawn}) == 1000
    assert all(caller.number.startswith(("07700900", "02079460", "01632960")) for caller in drawn)


def test_the_mean_gap_is_the_planned_one() -> None:
    """Over many callers, within 5 %."""
    drawn = list(islice(callers(1, 8, 5.0), 20_000))
    assert abs(drawn[-1].at_seconds / len(drawn) / mean_gap_seconds(8, 5.0) - 1) < 0.05


def test_the_last_caller_comes_early_enough_to_be_served() -> None:
    """A minute's shift takes callers for 35 s, a short one for half of it."""
    assert [arrivals_end_seconds(seconds) for seconds in (60, 10)] == [35, 5]


def test_no_999_takes_a_call_back() -> None:
    """Nor is any offered one; of the others most would."""
    drawn = list(islice(callers(1, 8, 5.0), 1000))
    assert {caller.emergency for caller in drawn if caller.accepts} == {False}
    assert 400 < sum(caller.accepts for caller in drawn) < 600


def test_persons_are_busy_or_away_as_often_as_planned() -> None:
    """Whatever was seen once is seen again, and nobody is away twice: a shift comes to its end."""
    numbers = [f"0770090{n:04}" for n in range(4000)]
    first, second = ([reaction(7, number, attempt) for number in numbers] for attempt in (1, 2))
    assert first == [reaction(7, number, 1) for number in numbers]
    assert abs(sum(how.busy for how in first) / len(numbers) - BUSY_SHARE) < 0.03
    assert abs(sum(how.away for how in first) / len(numbers) - AWAY_SHARE) < 0.03
    assert not any(how.away for how in second)
    assert not any(how.busy and how.away for how in first)

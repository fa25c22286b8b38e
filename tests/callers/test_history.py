"""What is known of a number by the calls of the last 30 days."""

import itertools
import time
from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import history
from edge.core import facts
from edge.core.model import CallerKnowledge, CallOutcome, ClockState, Instant, Side, Stage
from edge.directory import Listing
from edge.history import DAY_US, MONTH_US, History

ANN, BRYN = "01632960111", "01632960222"
MINUTE_US = 60_000_000
NOW_US = 1_790_000_000_000_000


@pytest.fixture
def tape() -> "Tape":
    return Tape()


class Tape:
    """Calls, as the ledger has them, folded into a history as they come."""

    def __init__(self) -> None:
        self.history = History()
        self._sequence = itertools.count(1)

    def fold(self, fact: facts.Fact, utc_us: int) -> None:
        self.history.add(
            facts.Entry(
                sequence=next(self._sequence),
                at=Instant(0, utc_us),
                fact=fact,
                reason="",
                clock=ClockState.UNKNOWN,
            )
        )

    def arrives(self, number: str | None, utc_us: int, *, withheld: bool = False, test: bool = False) -> str:
        call_id = f"call-{next(self._sequence)}"
        arrived = facts.CallArrived(
            call_id=call_id,
            leg_id="leg",
            line="public",
            number_withheld=withheld,
            adopted=False,
            test=test,
            caller_number=number,
        )
        self.fold(arrived, utc_us)
        return call_id

    def ends(self, call_id: str, outcome: CallOutcome, utc_us: int) -> None:
        ended = facts.CallEnded(
            call_id=call_id,
            outcome=outcome,
            stage=Stage.QUEUE,
            side=Side.CALLER,
            cause="",
            waited_seconds=1,
            talked_seconds=0,
            agent=None,
        )
        self.fold(ended, utc_us)

    def call(
        self,
        number: str | None,
        utc_us: int,
        outcome: CallOutcome = CallOutcome.ANSWERED,
        *,
        withheld: bool = False,
        test: bool = False,
    ) -> None:
        self.ends(self.arrives(number, utc_us, withheld=withheld, test=test), outcome, utc_us)


def test_nobody_is_known_at_first(tape: Tape) -> None:
    """And one who called is known however the number is written."""
    assert tape.history.lookup(ANN, NOW_US) is None
    tape.call(ANN, NOW_US - MINUTE_US)
    assert tape.history.lookup("+44 1632 960111", NOW_US) == CallerKnowledge(calls_in_day=1, calls_in_month=1)
    assert tape.history.lookup(BRYN, NOW_US) is None


def test_calls_count_by_day_and_by_30_days(tape: Tape) -> None:
    """Each to its own number, the limits included."""
    for ago_us in (MONTH_US + 1, MONTH_US, 2 * DAY_US, DAY_US + 1, DAY_US, 1):
        tape.call(ANN, NOW_US - ago_us)
    tape.call(BRYN, NOW_US)
    assert tape.history.lookup(ANN, NOW_US) == CallerKnowledge(calls_in_day=2, calls_in_month=5)


@pytest.mark.parametrize("outcome", list(CallOutcome))
def test_only_who_gave_up_counts_as_given_up(tape: Tape, outcome: CallOutcome) -> None:
    """A call that was refused, sent elsewhere or lost sight of is a call, and no giving up."""
    tape.call(ANN, NOW_US - MINUTE_US, outcome)
    known = tape.history.lookup(ANN, NOW_US, 10)
    given_up = int(outcome is CallOutcome.ABANDONED)
    assert known == CallerKnowledge(
        calls_in_day=1, calls_in_month=1, abandons_in_month=given_up, recent_abandons=given_up
    )


def test_recent_is_within_the_policy_s_minutes_of_giving_up(tape: Tape) -> None:
    """Counted from when the caller hung up, not from when they called."""
    call = tape.arrives(ANN, NOW_US - 60 * MINUTE_US)
    tape.ends(call, CallOutcome.ABANDONED, NOW_US - 10 * MINUTE_US)
    tape.call(ANN, NOW_US - 11 * MINUTE_US, CallOutcome.ABANDONED)
    known = tape.history.lookup(ANN, NOW_US, 10)
    assert known is not None
    assert (known.abandons_in_month, known.recent_abandons) == (2, 1)
    without = tape.history.lookup(ANN, NOW_US)
    assert without is not None
    assert without.recent_abandons == 0


@pytest.mark.parametrize("number", [None, "", "anonymous", "unknown", "101", "4001", "Restricted"])
def test_callers_without_a_number_have_nothing_in_common(tape: Tape, number: str | None) -> None:
    """Nobody is matched with anybody by what stands there in place of a number."""
    tape.call(number, NOW_US - 1, CallOutcome.ABANDONED)
    assert tape.history.lookup(number, NOW_US, 10) is None
    assert len(tape.history) == 0


def test_a_withheld_number_is_not_remembered(tape: Tape) -> None:
    """Even where the trunk tells it to us."""
    tape.call(ANN, NOW_US - 1, CallOutcome.ABANDONED, withheld=True)
    assert tape.history.lookup(ANN, NOW_US, 10) is None


def test_test_calls_do_not_count(tape: Tape) -> None:
    """They are out of every figure."""
    tape.call(ANN, NOW_US - 1, CallOutcome.ABANDONED, test=True)
    assert tape.history.lookup(ANN, NOW_US, 10) is None


def test_the_end_of_an_unknown_call_changes_nothing(tape: Tape) -> None:
    """It arrived before the 30 days began."""
    tape.ends("before", CallOutcome.ABANDONED, NOW_US)
    assert len(tape.history) == 0


def test_what_the_list_says_is_added() -> None:
    """For a caller without a past too, and before the past is there."""
    listing = Listing(
        number="+441632960111",
        kind="vulnerable",
        priority_class="urgent",
        language="cy",
        assisted=True,
        added=date(2026, 1, 1),
        added_by="x",
        until=date(2027, 1, 1),
    )
    assert History().lookup(ANN, NOW_US, 10, listing) == CallerKnowledge(
        listing="vulnerable", listed_class="urgent", assisted=True, language="cy"
    )


def test_whoever_has_not_called_for_30_days_is_forgotten(tape: Tape) -> None:
    """Memory is given back as others call."""
    tape.call(ANN, NOW_US)
    tape.call(BRYN, NOW_US + MONTH_US)
    assert len(tape.history) == 2
    tape.call(BRYN, NOW_US + MONTH_US + 1)
    assert len(tape.history) == 1


def test_memory_is_bounded_by_numbers(tape: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who called last is kept: a machine that calls from ever new numbers pushes out the oldest."""
    monkeypatch.setattr(history, "MOST_NUMBERS", 10)
    tape.call(ANN, NOW_US)
    for n in range(9):
        tape.call(f"0163296{n:04}", NOW_US + n)
    tape.call(ANN, NOW_US + 10)
    for n in range(100, 109):
        tape.call(f"0163296{n:04}", NOW_US + n)
    assert len(tape.history) == 10
    assert tape.history.lookup(ANN, NOW_US + 200) == CallerKnowledge(calls_in_day=2, calls_in_month=2)
    assert tape.history.lookup("01632960008", NOW_US + 200) is None


def test_memory_is_bounded_for_one_number_and_for_calls_without_an_end(
    tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that redials is "a hundred calls", and pushes nobody out."""
    monkeypatch.setattr(history, "MOST_OPEN", 5)
    tape.call(BRYN, NOW_US)
    calls = [tape.arrives(ANN, NOW_US + n) for n in range(3 * history.MOST_OF_ONE_NUMBER)]
    for call in calls:
        tape.ends(call, CallOutcome.ABANDONED, NOW_US + 1000)
    known = tape.history.lookup(ANN, NOW_US + 1000, 10)
    assert known is not None
    assert (known.calls_in_day, known.abandons_in_month) == (history.MOST_OF_ONE_NUMBER, 5)
    assert tape.history.lookup(BRYN, NOW_US + 1000) is not None


calls = st.lists(
    st.tuples(
        st.sampled_from([ANN, "+44 1632 960111", BRYN, None, "anonymous"]),
        st.integers(0, 40 * DAY_US),
        st.sampled_from([CallOutcome.ANSWERED, CallOutcome.ABANDONED]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)


@given(calls)
def test_agrees_with_counting_all_calls(
    given_calls: list[tuple[str | None, int, CallOutcome, bool, bool]],
) -> None:
    """For any history in order of time."""
    tape = Tape()
    ordered = sorted(given_calls, key=lambda call: call[1])
    for number, at, outcome, withheld, test in ordered:
        tape.call(number, at, outcome, withheld=withheld, test=test)
    now = 40 * DAY_US

    def count(within_us: int, *outcomes: CallOutcome) -> int:
        return sum(
            number in (ANN, "+44 1632 960111")
            and at >= now - within_us
            and outcome in outcomes
            and not withheld
            and not test
            for number, at, outcome, withheld, test in ordered
        )

    both = tuple(CallOutcome)
    expected = CallerKnowledge(
        calls_in_day=count(DAY_US, *both),
        calls_in_month=count(MONTH_US, *both),
        abandons_in_month=count(MONTH_US, CallOutcome.ABANDONED),
        recent_abandons=count(30 * MINUTE_US, CallOutcome.ABANDONED),
    )
    assert (tape.history.lookup(ANN, now, 30) or CallerKnowledge()) == expected


def full(numbers: Iterator[str]) -> Tape:
    tape = Tape()
    for at, number in enumerate(numbers):
        tape.call(number, NOW_US + at)
    return tape


def test_looking_up_costs_a_moment() -> None:
    """In a full history: far below what a caller could notice (here 1 ms, on a busy machine; it takes some microseconds)."""
    tape = full(f"01632{n:06}" for n in range(20_000))
    best_seconds = min(_timed(tape, f"01632{n:06}") for n in range(100))
    assert best_seconds < 0.001


def _timed(tape: Tape, number: str) -> float:
    start = time.perf_counter()
    tape.history.lookup(number, NOW_US)
    return time.perf_counter() - start

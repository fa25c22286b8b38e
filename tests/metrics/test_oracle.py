"""Every measure against a slow, obvious oracle that knows the calls as a person would tell them, and nothing of columns."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edge.core import facts
from edge.metrics import compute, statistic
from edge.metrics.book import Book
from edge.metrics.compute import Calculator
from edge.metrics.definition import (
    Abandonment,
    Attribution,
    Band,
    Callback,
    Callbacks,
    Clock,
    Contact,
    Definition,
    Demand,
    Handling,
    Occupancy,
    Prediction,
    ServiceLevel,
    Volume,
    Wait,
    Waiting,
)
from edge.metrics.periods import Period
from tests.metrics.calls import SECOND, START_US, Told, figures_of

HALF_HOUR = 1800 * SECOND
PERIODS = [
    Period(START_US + n * HALF_HOUR // 1000, START_US + (n + 1) * HALF_HOUR // 1000, str(n)) for n in range(4)
]
LONGER = Period(PERIODS[0].start_us - 1, PERIODS[-1].end_us + HALF_HOUR // 1000, "all of them and more")
FATES = (
    "answered",
    "answered",
    "answered",
    "abandoned",
    "abandoned",
    "unknown",
    "refused",
    "closed",
    "in vain",
    "overflowed",
)
INTERNAL_LINE, FAILURE_CODE = "desk", "chasing"
LOSSES = ("unknown", "unreached", "in vain")

BOUNDARIES = (10 * SECOND, 10 * SECOND - 1, 10 * SECOND + 1, 5 * SECOND, 5 * SECOND - 1, 60 * SECOND)


def a_call(dice: Random) -> Told:
    """Any call, but for what no ledger could have."""

    def seconds(most: int) -> int:
        return dice.randrange(most) * SECOND

    told = Told(
        arrives=seconds(6900),
        joins=dice.choice([0, 0, SECOND, 3 * SECOND]),
        waits=dice.choice([seconds(900), seconds(60), *BOUNDARIES[:: dice.choice([1, -1])][:2]]),
        fate=dice.choice(FATES),
        line=dice.choice(["main", "main", INTERNAL_LINE]),
        queue=dice.choice(["general", "crime"]),
        tier=dice.choice([1, 1, 0]),
        number=dice.choice(["+441632960123", "+441632960124", "4711", None]),
        test=dice.random() < 0.2,
        talks=seconds(400),
        wraps=seconds(400),
        code=dice.choice([None, FAILURE_CODE, "burglary"]),
        quoted=dice.choice([None, (0.0, 20.0), (30.0, 90.0)]),
    )
    if dice.random() < 0.5:
        told = replace(told, held=told.talks // 2, second_desk=dice.choice([None, 9 * SECOND]))
    if dice.random() < 0.5:
        told = replace(told, greeting=told.waits // 3, answered_at=told.waits // 4)
    if told.fate in ("answered", "unknown") and dice.random() < 0.3:
        fate = "unreached" if told.fate == "unknown" else "answered"
        told = replace(told, fate=fate, promised=told.waits // 2, failed=dice.randrange(3))
    return told


def a_shift(seed: int, size: int) -> tuple[list[Told], int]:
    """Calls in the order of their arrival, no two at the same microsecond, and when the ledger ends."""
    dice = Random(seed)
    told = sorted((a_call(dice) for _ in range(size)), key=lambda each: each.arrives)
    apart = [
        replace(each, arrives=each.arrives + 1000 * (index + 1), agent=f"40{index:02}")
        for index, each in enumerate(told)
    ]
    return apart, dice.choice([7100, 5000, 20_000]) * SECOND


@dataclass(frozen=True)
class Seen:
    """What is known of a call when the ledger ends. Times are nanoseconds after the start, None: not happened."""

    told: Told
    number: int
    person: int | None
    ended: int | None
    fate: str

    until: int

    @property
    def has_joined(self) -> bool:
        """Whether it had a place by then: a refused call never has."""
        return self.fate != "refused" and self.joined <= self.until

    @property
    def queue(self) -> str:
        """Where, if anywhere."""
        return self.told.queue if self.has_joined else ""

    @property
    def tier(self) -> int:
        """What has no place is a 101."""
        return self.told.tier if self.has_joined else 1

    @property
    def joined(self) -> int:
        """When."""
        return self.told.arrives + self.told.joins

    @property
    def decided(self) -> int | None:
        """When somebody answered, or it ended."""
        return self.ended if self.person is None else self.person

    def wait(self, definition: Definition) -> int | None:
        """By its clock."""
        told = self.told
        if self.fate == "waiting":
            return None
        if self.fate == "refused":
            return 0
        queue = told.waits
        if definition.clock is Clock.TRUNK:
            queue += told.joins
        elif definition.clock is Clock.AFTER_ANNOUNCEMENT:
            queue -= told.greeting or 0
        elif definition.clock is Clock.ANSWER:
            by_person = told.answered_at is None or (
                self.fate == "answered" and told.answered_at >= told.waits
            )
            queue = 0 if by_person or told.answered_at is None else queue - told.answered_at
        if definition.callbacks is Callbacks.NET and told.promised is not None:
            queue -= told.waits - told.promised
        return max(0, queue)


def see(number: int, told: Told, until: int) -> Seen | None:
    """What of it is known then."""
    if told.arrives > until:
        return None
    decided = told.arrives + told.joins + (0 if told.fate == "refused" else told.waits)
    if decided > until:
        return Seen(told, number, None, None, "waiting", until)
    if told.fate != "answered":
        return Seen(told, number, None, decided, told.fate, until)
    end = decided + told.talks
    if told.second_desk is not None:
        end += told.second_desk + 7 * SECOND
    return Seen(told, number, decided, end if end <= until else None, "answered", until)


def place(time: int | None) -> int | None:
    """The period that it is in, by microseconds."""
    if time is None:
        return None
    index = (time // 1000) // (HALF_HOUR // 1000)
    return index if 0 <= index < len(PERIODS) else None


def attributed(definition: Definition, seen: Seen) -> int | None:
    """The period of a call."""
    match definition.attribution:
        case Attribution.ARRIVAL:
            return place(seen.told.arrives)
        case Attribution.COMPLETION:
            return place(seen.ended)
    return place(seen.decided)


def is_internal(told: Told) -> bool:
    """From inside."""
    return told.line == INTERNAL_LINE or told.number == "4711"


def concerns(definition: Definition, seen: Seen) -> bool:
    """Whether a definition is about this call at all."""
    told = seen.told
    promised = told.promised is not None and seen.joined + told.promised <= seen.until
    return (
        (definition.tests or not told.test)
        and (definition.tier is None or definition.tier == ("101" if seen.tier else "999"))
        and (definition.queues is None or seen.queue in definition.queues)
        and (definition.internal or not is_internal(told))
        and (definition.callbacks is not Callbacks.OUT or not promised)
    )


def share(part: int, whole: int) -> float | None:
    """None of nothing."""
    return part / whole if whole else None


def figure(statistic: str, values: Iterable[int]) -> float | None:
    """In seconds."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    found = {
        "mean": sum(ordered) / len(ordered),
        "median": ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2,
        "p90": ordered[math.ceil(Fraction(9, 10) * len(ordered)) - 1],
        "longest": ordered[-1],
        "total": sum(ordered),
    }
    return found[statistic] / SECOND


def kaplan_meier(waited: Sequence[tuple[int, bool]], quantile: Fraction) -> float | None:
    """The first wait at which at most this share is still unanswered, in exact fractions."""
    left = Fraction(1)
    for instant in sorted({wait for wait, answered in waited if answered}):
        at_risk = sum(wait >= instant for wait, _ in waited)
        events = sum(wait == instant and answered for wait, answered in waited)
        left *= 1 - Fraction(events, at_risk)
        if left <= 1 - quantile:
            return instant / SECOND
    return None


Oracle = Callable[[Any, list[Seen], int], list[float | None]]


def by_period(of: Callable[[Any, list[Seen], int], float | None]) -> Oracle:
    """An oracle that looks at each period's calls by themselves."""

    def every(definition: Any, seen: list[Seen], until: int) -> list[float | None]:
        return [
            of(definition, [each for each in seen if attributed(definition, each) == index], until)
            for index in range(len(PERIODS))
        ]

    return every


def volume(definition: Volume, seen: list[Seen], until: int) -> float:
    """So many."""
    names = {"closed": "turned away", "in vain": "turned away"}
    match definition.which:
        case "offered":
            return len(seen)
        case "withheld":
            return sum(each.told.number is None for each in seen)
        case "sent back":
            return sum(
                each.told.second_desk is not None
                and each.fate == "answered"
                and each.joined + each.told.waits + each.told.talks <= until
                for each in seen
            )
    return sum(names.get(each.fate, each.fate) == definition.which for each in seen)


def service_level(definition: ServiceLevel, seen: list[Seen], until: int) -> list[float | None]:
    """Call by call: in which period, good or not, in the base or not."""
    threshold = round(definition.threshold_seconds * SECOND)
    good: defaultdict[int, int] = defaultdict(int)
    base: defaultdict[int, int] = defaultdict(int)
    for each in seen:
        wait = each.wait(definition)
        inside = wait is not None and (
            wait < threshold or (definition.boundary == "up_to" and wait == threshold)
        )
        index = attributed(definition, each)
        if definition.attribution is Attribution.EVENT:
            index = place(event_of(definition, each, wait, inside, threshold, until))
        short = round((definition.short_abandon_seconds or 0) * SECOND)
        is_short = each.fate == "abandoned" and wait is not None and wait < short
        lost = definition.losses == "bad" and each.fate in LOSSES
        lost = lost or (definition.attribution is Attribution.EVENT and each.fate == "waiting")
        answered, abandoned = each.fate == "answered", each.fate == "abandoned"
        in_base = answered or abandoned or lost
        is_good = answered and inside
        match definition.formula:
            case "sl1":
                is_good = is_good or (abandoned and inside)
            case "sl2":
                in_base = answered
            case "sl4":
                in_base = in_base and not (abandoned and inside)
            case "sl5":
                is_good = is_good or is_short
            case "sl5_base":
                in_base = in_base and not is_short
            case "offered":
                in_base = each.fate != "waiting" or lost
        if index is not None:
            good[index] += is_good
            base[index] += in_base
    return [share(good[index], base[index]) for index in range(len(PERIODS))]


def event_of(
    definition: ServiceLevel, seen: Seen, wait: int | None, inside: bool, threshold: int, until: int
) -> int | None:
    """When it was decided in time, or when the threshold passed."""
    if inside:
        return seen.decided
    if wait is None:
        start = seen.told.arrives if definition.clock is Clock.TRUNK else seen.joined
        passes = start // 1000 * 1000 + threshold
        return passes if passes <= until else None
    assert seen.decided is not None
    passes = (seen.decided // 1000 - wait // 1000) * 1000 + threshold // 1000 * 1000
    return min(passes, seen.decided)


def wait_of(definition: Wait, seen: list[Seen], until: int) -> float | None:
    """Of the calls of a period."""
    if definition.of == "waited":
        waited = [
            (
                until // 1000 * 1000 - each.joined // 1000 * 1000 if wait is None else wait,
                each.fate == "answered",
            )
            for each in seen
            if each.fate in ("answered", "abandoned", "waiting", *LOSSES)
            for wait in [each.wait(definition)]
        ]
        if definition.statistic == "longest":
            return figure("longest", (wait for wait, _ in waited))
        return kaplan_meier(waited, Fraction(9, 10) if definition.statistic == "p90" else Fraction(1, 2))
    of_those = [each for each in seen if each.fate == definition.of]
    if definition.desk == "right":
        return figure(definition.statistic, (right_desk(each, until) for each in of_those))
    return figure(
        definition.statistic, (wait for each in of_those if (wait := each.wait(definition)) is not None)
    )


def right_desk(seen: Seen, until: int) -> int:
    """The waits for every person who was there by then."""
    told = seen.told
    if told.second_desk is None or seen.joined + told.waits + told.talks + told.second_desk > until:
        return told.waits
    return told.waits + told.second_desk


def band(definition: Band, seen: list[Seen], until: int) -> float | None:
    """Between two waits."""
    of_those = [
        wait for each in seen if each.fate == definition.of and (wait := each.wait(definition)) is not None
    ]
    inside = [
        wait
        for wait in of_those
        if wait >= definition.from_seconds * SECOND
        and (definition.under_seconds is None or wait < definition.under_seconds * SECOND)
    ]
    return len(inside) if definition.show == "count" else share(len(inside), len(of_those))


def abandonment(definition: Abandonment, seen: list[Seen], until: int) -> float | None:
    """By call, or by caller."""
    answered = [each for each in seen if each.fate == "answered"]
    abandoned = [
        each
        for each in seen
        if each.fate == "abandoned"
        and not (
            definition.short == "out"
            and (each.wait(definition) or 0) < definition.short_abandon_seconds * SECOND
        )
    ]
    if definition.by == "call":
        return share(len(abandoned), len(answered) + len(abandoned))
    through = {each.told.number or each.number for each in answered}
    gave_up = {each.told.number or each.number for each in abandoned}
    return share(len(gave_up - through), len(gave_up | through))


def waiting(definition: Waiting, seen: list[Seen], until: int) -> list[float | None]:
    """At the end of each period."""
    found: list[float | None] = []
    for period in PERIODS:
        at = min((period.end_us - START_US) * 1000, until)
        waits = [
            (at - each.joined // 1000 * 1000)
            for each in seen
            if each.joined <= at and (each.decided is None or each.decided // 1000 * 1000 > at)
            for promised in [each.told.promised is not None and each.joined + each.told.promised <= at]
            if definition.only == "all" or promised == (definition.only == "callbacks")
        ]
        found.append(len(waits) if definition.show == "count" else figure("longest", waits))
    return found


def work_of(seen: Seen, until: int) -> list[tuple[int, int | None, int, int | None, int | None]]:
    """Of each person: begin of talk, its length (None while it lasts), hold, begin of wrap-up, its length."""
    told = seen.told
    if seen.person is None:
        return []
    first_end = seen.person + told.talks
    wrap: tuple[int | None, int | None] = (
        (seen.ended, told.wraps) if seen.ended is not None and told.wraps else (None, None)
    )
    if wrap[0] is not None and wrap[0] + told.wraps > until:
        wrap = (wrap[0], None)
    if told.second_desk is None:
        return [(seen.person, told.talks if first_end <= until else None, told.held, *wrap)]
    rows: list[tuple[int, int | None, int, int | None, int | None]] = [
        (seen.person, told.talks if first_end <= until else None, told.held, None, None)
    ]
    again = first_end + told.second_desk
    if again <= until:
        rows.append((again, 7 * SECOND if again + 7 * SECOND <= until else None, 0, *wrap))
    return rows


def handling(definition: Handling, seen: list[Seen], until: int) -> list[float | None]:
    """Work by the period in which its talk began."""
    values = defaultdict(list)
    for each in seen:
        for start, talked, held, wrap_start, wrapped in work_of(each, until):
            if talked is None or (definition.part == "wrap_up" and (wrap_start is None or wrapped is None)):
                continue
            value = {"all": talked + (wrapped or 0), "talk": talked, "hold": held, "wrap_up": wrapped or 0}
            values[place(start)].append(value[definition.part])
    return [figure(definition.statistic, values[index]) for index in range(len(PERIODS))]


def callback(definition: Callback, seen: list[Seen], until: int) -> float | None:
    """Of those that were promised by then."""
    promised = [
        each for each in seen if each.told.promised is not None and each.joined + each.told.promised <= until
    ]
    decided = [each for each in promised if each.fate != "waiting"]
    reached = [each for each in decided if each.fate == "answered"]
    attempts = [each.told.failed + (each.fate == "answered") for each in decided]

    def promise_wait(each: Seen) -> int:
        return each.told.waits - (each.told.promised or 0)

    def in_window(each: Seen) -> bool:
        _, high = each.told.quoted or (0, 0)
        return promise_wait(each) <= max(0, high * SECOND - (each.told.promised or 0))

    quoted = [each for each in decided if each.told.quoted is not None]
    match definition.show:
        case "offered" | "promised":
            return len(promised)
        case "accepted":
            return 0
        case "take_up":
            return share(len(promised), len(promised))
        case "reached":
            return share(len(reached), len(decided))
        case "reached_at_first":
            return share(sum(each.told.failed == 0 for each in reached), len(reached))
        case "kept":
            return share(sum(each.fate == "answered" and in_window(each) for each in quoted), len(quoted))
        case "unreached":
            return share(sum(each.fate == "unreached" for each in decided), len(decided))
        case "attempts":
            rung = [count for count in attempts if count]
            return sum(rung) / len(rung) if rung else None
        case "promise_wait":
            return figure(definition.statistic or "", map(promise_wait, reached))
    return figure(definition.statistic or "", (0 for _ in reached))


def prediction(definition: Prediction, seen: list[Seen], until: int) -> float | None:
    """The range against what came."""
    known = [
        (each.told.quoted, each.told.waits) for each in seen if each.told.quoted and each.fate == "answered"
    ]
    pairs = [(quoted[0] * SECOND, quoted[1] * SECOND, wait) for quoted, wait in known if quoted]
    if definition.show == "inside":
        return share(sum(low <= wait <= high for low, high, wait in pairs), len(pairs))
    off = [wait - (low + high) / 2 for low, high, wait in pairs]
    off = [abs(each) for each in off] if definition.show == "error" else off
    return sum(off) / len(off) / SECOND if off else None


def demand(definition: Demand, seen: list[Seen], until: int) -> float | None:
    """From inside, by code, or again."""
    if definition.show == "internal":
        return share(sum(is_internal(each.told) for each in seen), len(seen))
    if definition.show == "failure":
        coded = [
            each.told.code
            for each in seen
            if each.told.code and each.told.wraps and each.ended is not None and each.fate == "answered"
        ]
        return share(sum(code == FAILURE_CODE for code in coded), len(coded))
    numbers = [each.told.number for each in seen if each.told.number]
    return share(len(numbers) - len(set(numbers)), len(numbers))


def contact(definition: Contact, seen: list[Seen], until: int) -> list[float | None]:
    """Half an hour after the last call of a number arrived or ended, it is another need."""
    needs: list[list[Seen]] = []
    for each in sorted(seen_by_all, key=lambda one: one.told.arrives):
        number, arrived = each.told.number, each.told.arrives
        before = [
            one for one in sorted(seen_by_all, key=lambda one: one.told.arrives) if one.told.arrives < arrived
        ]
        same = [
            one
            for one in before
            if number and one.told.number == number and not one.told.test and not each.told.test
        ]
        last = max(
            (
                time
                for one in same
                for time in (one.told.arrives, one.ended)
                if time is not None and time <= arrived
            ),
            default=None,
        )
        if last is not None and arrived // 1000 - last // 1000 <= 1800 * 1_000_000:
            recent = max(
                same,
                key=lambda one: max(
                    time for time in (one.told.arrives, one.ended) if time is not None and time <= arrived
                ),
            )
            next(need for need in needs if recent in need).append(each)
        else:
            needs.append([each])
    kept = [[each for each in need if concerns(definition, each)] for need in needs]
    found: list[float | None] = []
    for index in range(len(PERIODS)):
        own = [need for need in kept if need and attributed(definition, need[0]) == index]
        through = [need for need in own if any(each.fate == "answered" for each in need)]
        undecided = [
            need for need in own if need not in through and any(each.fate == "waiting" for each in need)
        ]
        sizes = [len(need) for need in own]
        found.append(
            {
                "contacts": len(own),
                "got_through": share(len(through), len(own) - len(undecided)),
                "later": share(sum(need[0].fate != "answered" for need in through), len(through)),
                "calls": sum(sizes) / len(sizes) if sizes else None,
            }[definition.show]
        )
    return found


seen_by_all: list[Seen] = []
"""Every call, for the oracle that looks beyond what its definition is about."""

ORACLES: dict[type[Definition], Oracle] = {
    Volume: by_period(volume),
    ServiceLevel: service_level,
    Wait: by_period(wait_of),
    Band: by_period(band),
    Abandonment: by_period(abandonment),
    Waiting: waiting,
    Handling: handling,
    Callback: by_period(callback),
    Prediction: by_period(prediction),
    Demand: by_period(demand),
    Contact: contact,
}


def near(value: float | None) -> float | None:
    """To the nanosecond: a mean of floats and one of whole numbers may differ in the last bit."""
    return None if value is None else round(value, 9)


CHOICES: dict[str, Sequence[Any]] = {
    "tier": [None, None, "101", "999"],
    "queues": [None, None, ("general",)],
    "internal": [True, False],
    "tests": [True, False],
    "attribution": list(Attribution),
    "clock": list(Clock),
    "callbacks": list(Callbacks),
}
OWN_CHOICES: dict[type[Definition], dict[str, Sequence[Any]]] = {
    Volume: {
        "which": [
            *(
                "offered",
                "answered",
                "abandoned",
                "unknown",
                "refused",
                "turned away",
                "overflowed",
                "unreached",
            ),
            *("waiting", "withheld", "sent back"),
        ]
    },
    ServiceLevel: {
        "formula": ["sl1", "sl2", "sl3", "sl4", "sl5", "sl5_base", "offered"],
        "threshold_seconds": [10, 30, 60],
        "short_abandon_seconds": [None, 5, 30],
        "losses": ["bad", "out"],
        "boundary": ["under", "under", "up_to"],
    },
    Wait: {
        "statistic": ["mean", "median", "p90", "longest"],
        "of": ["answered", "abandoned", "waited"],
        "desk": ["first", "first", "right"],
    },
    Band: {
        "from_seconds": [0, 10],
        "under_seconds": [None, 60],
        "show": ["count", "share"],
        "of": ["answered", "abandoned"],
    },
    Abandonment: {"short_abandon_seconds": [0, 5, 30], "short": ["in", "out"], "by": ["call", "caller"]},
    Waiting: {"show": ["count", "oldest"], "only": ["all", "on the line", "callbacks"]},
    Handling: {
        "statistic": ["mean", "median", "p90", "longest", "total"],
        "part": ["all", "talk", "hold", "wrap_up"],
    },
    Callback: {
        "show": [
            *(
                "offered",
                "accepted",
                "promised",
                "take_up",
                "reached",
                "reached_at_first",
                "kept",
                "unreached",
            ),
            *("attempts", "promise_wait", "reconnect_wait"),
        ],
        "statistic": [None, "mean", "median", "p90", "longest"],
        "callbacks": [Callbacks.GROSS],
    },
    Prediction: {"show": ["error", "bias", "inside"]},
    Demand: {"show": ["internal", "failure", "again"]},
    Contact: {"show": ["contacts", "got_through", "later", "calls"]},
}


def a_definition(kind: type[Definition], dice: Random) -> Definition:
    """Any of this measure that is not contradictory."""
    while True:
        values = {name: dice.choice(choices) for name, choices in {**CHOICES, **OWN_CHOICES[kind]}.items()}
        definition = kind(version=1, title="t", meaning="m", **values)
        if definition.complaint() is None:
            return definition


@settings(max_examples=60, deadline=None, derandomize=True, phases=[Phase.generate])
@given(seed=st.integers(0, 2**32), size=st.integers(0, 25))
def test_every_measure_is_what_the_oracle_says(seed: int, size: int) -> None:
    """Whatever the calls, whenever the ledger ends, under many definitions of every measure."""
    told, until = a_shift(seed, size)
    figures, dice = figures_of(told, until=until), Random(seed)
    everything = [each for number, one in enumerate(told) if (each := see(number, one, until)) is not None]
    seen_by_all[:] = everything
    asked = {
        f"{kind}-{number}": (a_definition(kind, dice), oracle)
        for kind, oracle in ORACLES.items()
        for number in range(8)
    }
    book = Book(
        definitions={name: definition for name, (definition, _) in asked.items()},
        internal_lines=frozenset({INTERNAL_LINE}),
        failure_codes=frozenset({FAILURE_CODE}),
    )
    calculator = dice.choice(
        [Calculator(figures, book, PERIODS), Calculator(figures, book, [LONGER]).over(PERIODS)]
    )
    kept = dice.choice([1, compute.MOST_KEPT])
    for name, (definition, oracle) in asked.items():
        with patch.object(compute, "MOST_KEPT", kept):
            found = [each.value for each in calculator.compute(name)]
        concerned = [each for each in everything if concerns(definition, each)]
        assert list(map(near, found)) == list(map(near, oracle(definition, concerned, until))), definition


def test_occupancy_is_what_the_oracle_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instant by instant: at work on a call or on its wrap-up, ready for one, or neither. Whoever is found, and nobody else."""
    monkeypatch.setattr(statistic, "AT_ONCE", 3 * (len(PERIODS) + 1))  # three of them at a time
    dice = Random(11)
    wrap_ups = 0
    for _ in range(10):
        told, until = a_shift(dice.randrange(10**6), 12)
        told = _shared_out([replace(each, second_desk=None) for each in told])
        moments = sorted(dice.sample(range(7000), 6))
        hours = [
            *((moment * SECOND, fact) for moment, fact in zip(moments, _hours("4001"), strict=True)),
            (0, facts.AgentSignedIn(agent="4002", phone="p2")),
        ]
        figures = figures_of(told, *hours, until=until)
        seen = [each for number, one in enumerate(told) if (each := see(number, one, until)) is not None]
        wrap_ups += sum(each.ended is not None and each.told.wraps > 0 for each in seen)
        agents = {"4001", "4002", *(each.agent for each in told)}
        for of in ("ready", "signed_in"):
            book = Book(definitions={"x": Occupancy(version=1, title="t", meaning="m", of=of)}, by_agent=True)
            by_agent = {
                (dict(each.group)["agent"], each.period.name): near(each.value)
                for each in Calculator(figures, book, PERIODS).compute("x", ["agent"])
                if each.value is not None
            }
            expected = {
                (agent, period.name): near(value)
                for agent in agents
                for period in PERIODS
                if (value := _occupied(agent, period, seen, moments, of, until)) is not None
            }
            assert by_agent == expected
    assert wrap_ups > 10


def _shared_out(told: Sequence[Told]) -> list[Told]:
    """Each call to an agent who has none then, nor a wrap-up: 4001 or 4002, else somebody who never signed in."""
    free_from = {"4001": 0, "4002": 0}
    shared = []
    for each in sorted(told, key=lambda each: each.arrives + each.joins + each.waits):
        start = each.arrives + each.joins + each.waits
        agent = next((agent for agent, since in free_from.items() if since < start), f"5{each.agent}")
        if agent in free_from:
            free_from[agent] = start + each.talks + each.wraps
        shared.append(replace(each, agent=agent))
    return sorted(shared, key=lambda each: each.arrives)


def _hours(agent: str) -> list[facts.Fact]:
    return [
        facts.AgentSignedIn(agent=agent, phone="p1"),
        facts.AgentBecameNotReady(agent=agent, reason="break"),
        facts.AgentBecameReady(agent=agent),
        facts.AgentSignedOut(agent=agent),
        facts.AgentSignedIn(agent=agent, phone="p1"),
        facts.AgentBecameNotReady(agent=agent, reason="meeting"),
    ]


def _occupied(
    agent: str, period: Period, seen: list[Seen], moments: list[int], of: str, until: int
) -> float | None:
    """By looking at the middle of every stretch between two things that happen."""
    talks = [
        (each.person, until if each.ended is None else each.ended)
        for each in seen
        if each.told.agent == agent and each.person is not None
    ]
    in_, rest, back, out, again, meeting = (moment * SECOND for moment in moments)
    wrap_ups = [
        (each.ended, each.ended + each.told.wraps)
        for each in seen
        if each.told.agent == agent and each.person is not None and each.ended is not None
    ]
    if agent == "4001":  # whoever signs out has done with it
        wrap_ups = [(start, min(end, out) if start <= out else end) for start, end in wrap_ups]
    if agent == "4002":
        signed_in = ready = [(0, until)]
    elif agent != "4001":
        signed_in = ready = []
    else:
        signed_in = [(in_, out), (again, until)]
        ready = [(in_, rest), (back, out), (again, meeting)]
    start, end = ((time - START_US) * 1000 for time in (period.start_us, period.end_us))
    busy_spans = [*talks, *wrap_ups]
    spans = [*busy_spans, *(ready if of == "ready" else signed_in)]
    spans = [(min(a, until), min(b, until)) for a, b in spans]
    cuts = sorted({start, end, *(min(max(time, start), end) for span in spans for time in span)})
    busy = there = 0
    for one, other in pairwise(cuts):
        middle = (one + other) / 2
        is_busy = any(a <= middle < b for a, b in busy_spans)
        is_there = is_busy or any(a <= middle < b for a, b in spans)
        busy += (other // 1000 - one // 1000) * is_busy
        there += (other // 1000 - one // 1000) * is_there
    return share(busy, there)

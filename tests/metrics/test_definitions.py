"""Definitions are data: ours are whole, a force's are checked, and the worked example comes out exactly."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge.metrics.book import Book, DefinitionsError, UnknownDefinitionError, read_book
from edge.metrics.compute import Calculator, RefusedFigureError
from edge.metrics.guide import page
from edge.metrics.periods import Every, divide
from tests.metrics.calls import SECOND, START_US, Told, figures_of

LONDON = ZoneInfo("Europe/London")
DAY_US = 86_400_000_000


def test_the_worked_example_of_the_field() -> None:
    """Answered 1000, of them 860 in time; abandoned 60: 20 in time, of them 10 short, 40 later. The five service levels."""
    waits = [
        ("answered", 860, 3),
        ("answered", 140, 45),
        ("abandoned", 10, 2),
        ("abandoned", 10, 20),
        ("abandoned", 40, 50),
    ]
    calls = [
        Told(arrives=0, fate=fate, waits=seconds * SECOND)
        for fate, count, seconds in waits
        for _ in range(count)
    ]
    calculator = Calculator(
        figures_of(calls), read_book(), divide(START_US, START_US + DAY_US, Every.WHOLE, LONDON)
    )
    found = {}
    for formula in ("sl1", "sl2", "sl3", "sl4", "sl5", "sl5-base"):
        (figure,) = calculator.compute(f"{formula}-101-30")
        assert figure.numerator is not None
        assert figure.denominator is not None
        found[formula] = Fraction(figure.numerator, figure.denominator)
    assert found == {
        "sl1": Fraction(880, 1060),
        "sl2": Fraction(860, 1000),
        "sl3": Fraction(860, 1060),
        "sl4": Fraction(860, 1040),
        "sl5": Fraction(870, 1060),
        "sl5-base": Fraction(860, 1050),
    }
    assert [round(100 * float(level), 1) for level in found.values()] == [83.0, 86.0, 81.1, 82.7, 82.1, 81.9]


def test_ours_have_every_kind_and_no_two_are_the_same() -> None:
    """Each definition decides something that no other does."""
    definitions = read_book().definitions
    assert len({made.digest for made in definitions.values()}) == len(definitions)
    assert {made.measure for made in definitions.values()} == {
        "volume", "service_level", "wait", "band", "abandonment", "waiting", "occupancy", "handling", "callback",
        "prediction", "demand", "contact",
    }  # fmt: skip


def book_of(tmp_path: Path, text: str) -> Book:
    """With this as the force's own file."""
    file = tmp_path / "metrics.toml"
    file.write_text(text, encoding="utf-8")
    return read_book(file)


OWN = """
[policy]
by_agent = true
[demand]
internal_lines = ["internal"]
[force.west]
lines = ["main"]
[metric.ours]
version = 1
measure = "service_level"
formula = "sl3"
threshold_seconds = 40
title = "Ours"
meaning = "Forty seconds."
[metric.101-in-30]
version = 2
measure = "service_level"
formula = "sl1"
threshold_seconds = 30
title = "As we count"
meaning = "Early abandons are good."
"""


def test_a_force_adds_and_replaces(tmp_path: Path) -> None:
    """What it replaces has a new version and another digest; the rest stays."""
    book = book_of(tmp_path, OWN)
    assert book.own == {"ours", "101-in-30"}
    assert book["101-in-30"].version == 2
    assert book["101-in-30@2"].digest != read_book()["101-in-30"].digest
    assert book.by_agent
    assert dict(book.force_of_line) == {"main": "west"}
    assert book["999-in-10"] == read_book()["999-in-10"]
    for unknown in ("nobody's", "ours@2"):
        with pytest.raises(UnknownDefinitionError):
            book[unknown]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "threshold_seconds = 40",
            'threshold_seconds = "40"',
            "metrics.toml:12: metric.ours.threshold_seconds: Expected `float`, got `str`. Write a number from 0 to 86400.",
        ),
        (
            "threshold_seconds = 40",
            "threshold_second = 40",
            "metric.ours.threshold_second: unknown key. Did you mean threshold_seconds?",
        ),
        (
            "threshold_seconds = 40",
            "",
            "metric.ours.threshold_seconds: is missing. Add it: a number from 0 to 86400.",
        ),
        (
            'formula = "sl3"',
            'formula = "sl9"',
            'metrics.toml:11: metric.ours.formula: Invalid enum value \'sl9\'. Write one of "offered", "sl1",',
        ),
        (
            'title = "Ours"',
            'title = ""',
            "metric.ours.title: Expected `str` of length >= 1. Write text in quotes, of 1 to 100 characters.",
        ),
        (
            'title = "Ours"',
            'title = "Ours"\nqueues = "general"',
            'metric.ours.queues: Expected `array | null`, got `str`. Write a list such as ["general"]',
        ),
        (
            "[metric.ours]",
            "[metric]\nours = 1\n[metric.more]",
            "metrics.toml:9: metric.ours: is no table. Write it as [metric.ours]",
        ),
        ('formula = "sl3"', 'formula = "sl5"', "sl5 needs short_abandon_seconds"),
        (
            'measure = "service_level"\nformula = "sl3"',
            'measure = "servicelevel"',
            "metric.ours.measure: Invalid value 'servicelevel'. Write one of abandonment, band,",
        ),
        (
            "version = 2",
            "version = 1",
            "16: metric.101-in-30.version: it replaces ours of version 1, so its version must be higher. Write version = 2.",
        ),
        (
            "by_agent = true",
            "by_agent = 1",
            "metrics.toml:3: policy.by_agent: is not true or false. Write true or false.",
        ),
        ("by_agent = true", "by_agents = true", "policy.by_agents: there is no such key"),
        (
            'lines = ["main"]',
            'lines = "main"',
            "force.west: has not exactly a list of lines. Write [force.west] lines",
        ),
        ("[metric.ours]", "[metric.OURS]", "metric.OURS: an id is made of a-z, 0-9 and -"),
        ("[policy]", "[polices]", "polices: there is no such section"),
        ("[policy]", "[policy", "is not TOML"),
    ],
)
def test_a_slip_is_named_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    """What is wrong, where, and how to mend it."""
    assert old in OWN
    with pytest.raises(DefinitionsError) as raised:
        book_of(tmp_path, OWN.replace(old, new, 1))
    assert said in str(raised.value)
    assert "metrics.toml" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "by", "said"), [("handling", "language", "only by tier"), ("occupancy", "queue", "agent alone")]
)
def test_what_cannot_be_divided_is_refused(name: str, by: str, said: str) -> None:
    """Work on a call has not all that a call has."""
    figures = figures_of([Told(arrives=0)])
    calculator = Calculator(figures, read_book(), divide(START_US, START_US + DAY_US, Every.WHOLE, LONDON))
    with pytest.raises(RefusedFigureError, match=said):
        calculator.compute(name, [by])


def test_a_part_of_a_time_is_what_it_is_alone() -> None:
    """Every definition, by hours of the second half of a day: asked beside the whole day, or by themselves."""
    dice = random.Random(3)
    told = [
        Told(
            arrives=dice.randrange(86_400) * SECOND,
            waits=dice.randrange(900) * SECOND,
            fate=dice.choice(["answered", "answered", "abandoned"]),
            tier=dice.choice([0, 1]),
            number=f"+4416329600{dice.randrange(30):02}",
            talks=300 * SECOND,
            wraps=60 * SECOND,
        )
        for _ in range(60)
    ]
    figures, book = figures_of(sorted(told, key=lambda each: each.arrives)), read_book()
    halves = divide(START_US, START_US + DAY_US, Every.HALF_HOUR, LONDON)
    day, hours = divide(START_US, START_US + DAY_US, Every.WHOLE, LONDON), halves[24:]
    whole = Calculator(figures, book, day)
    part, alone = whole.over(hours), Calculator(figures, book, hours)
    for name in book.definitions:
        whole.compute(name)
        assert part.compute(name) == alone.compute(name)
    with pytest.raises(ValueError, match="not within"):
        part.over(divide(START_US - 1, START_US, Every.WHOLE, LONDON))


def test_the_page_is_made_from_the_definitions() -> None:
    """docs/metrics.md says what the definitions say."""
    assert (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8") == page() + "\n"

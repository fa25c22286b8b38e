"""A report against calls that a person can count, and against hostile names and quiet months."""

from __future__ import annotations

import csv
import io
import random
import re
from contextlib import closing
from datetime import date
from html import unescape
from zoneinfo import ZoneInfo

import pytest

from edge.core import facts
from edge.core.model import ClockState
from edge.metrics.book import read_book
from edge.metrics.periods import midnight
from edge.mi.projection import Projection
from edge.reports import words
from edge.reports.chapters import BY_LANGUAGE, BY_QUEUE, CHAPTERS, OUTCOMES, TRENDS
from edge.reports.page import page
from edge.reports.report import Kind, Report, begin_of, compute
from edge.reports.table import COLUMNS, table
from tests.metrics.calls import KEY, SECOND, START_US, Told, ledger_of

LONDON = ZoneInfo("Europe/London")
DAY = 86_400 * SECOND
OCTOBER, NOVEMBER = midnight(date(2026, 10, 1), LONDON), midnight(date(2026, 11, 1), LONDON)
NASTY = "=cmd|' /C calc'!A0<script>alert(1)</script>"


def after_start(day: date, hour: float = 12.0) -> int:
    """Nanoseconds after the ledger's start, at noon of a local day."""
    return (midnight(day, LONDON) - START_US) * 1000 + int(hour * 3600) * SECOND


def calls() -> list[Told]:
    """Two months: 101 got better in November, one 999 a day; a queue and a language with nasty names."""
    chance, told = random.Random(7), []
    for month, wait in ((10, 60), (11, 20)):
        for number in range(1, 29):
            told += [
                Told(
                    arrives=after_start(date(2026, month, number), hour),
                    waits=int((wait + chance.random() * 10) * SECOND),
                    fate="abandoned" if number % 7 == 0 and hour == 21.0 else "answered",
                    number=f"+44163296{number:04}",
                    language="cy" if hour == 14.5 else "en",
                    queue=NASTY if number == 3 else "general",
                    quoted=(10.0, 90.0),
                    promised=5 * SECOND if hour == 9.0 and number % 5 == 0 else None,
                )
                for hour in (9.0, 14.5, 21.0)
            ]
            told.append(
                Told(
                    arrives=after_start(date(2026, month, number), 3.0),
                    waits=(4 if month == 11 else 12) * SECOND,
                    line="emergency",
                    queue="emergency",
                    tier=0,
                )
            )
    return told


def made(
    told: list[Told],
    kind: Kind = Kind.MONTH,
    at_us: int = NOVEMBER,
    *more: tuple[int, facts.Fact],
    go_live: date | None = None,
    synthetic: bool = False,
) -> Report:
    """The report of these calls."""
    end = after_start(date(2026, 12, 2))
    with closing(Projection(ledger_of(told, *more, until=end), None, KEY)) as projection:
        projection.catch_up()
        return compute(
            projection,
            read_book(),
            "Test <room>",
            LONDON,
            kind,
            at_us,
            made_us=midnight(date(2026, 12, 2), LONDON),
            synthetic=synthetic,
            go_live=go_live,
        )


@pytest.fixture(scope="module")
def november() -> Report:
    """The report of the better month, with the day on which it became better."""
    return made(calls(), go_live=date(2026, 11, 1))


def test_figures_and_those_of_the_month_before(november: Report) -> None:
    """Counted by hand: 28 days of three 101 and one 999."""
    assert (november.name, november.before.name) == ("2026-11", "2026-10")
    figures = november.figures
    assert (figures["offered"].now.value, figures["offered"].before.value) == (112, 112)
    assert figures["abandoned"].now.value == 4
    assert (figures["999-in-10"].now.value, figures["999-in-10"].before.value) == (1.0, 0.0)
    assert figures["999-10-to-60"].before.value == 28
    assert figures["101-in-30"].now.value == pytest.approx(80 / 84)
    assert figures["101-in-30"].before.value == 0.0
    assert figures["callbacks-promised"].now.value == 5
    assert all(pair.now.completeness.is_whole for pair in figures.values())


def test_over_time_by_queue_and_language(november: Report) -> None:
    """Thirty days of November, two of them without calls; every group adds up."""
    offered = november.trends["offered"]
    assert len(offered) == 30
    assert [figure.value for figure in offered[:28]] == [4] * 28
    assert len(november.by_hour) == 30 * 24
    assert sum(figure.value or 0 for figure in november.by_hour) == 112
    queues = {dict(f.group)["queue"]: f.value for f in november.by_queue["offered"]}
    assert queues == {"emergency": 28, "general": 81, NASTY: 3}
    languages = {dict(f.group)["language"]: f.value for f in november.by_language["offered"]}
    assert languages == {"en": 84, "cy": 28}


def test_before_and_after_a_go_live(november: Report) -> None:
    """As many days on either side as are known after it, all of them counted."""
    assert november.outcome is not None
    assert november.outcome.days == 30
    pair = november.outcome.figures["101-in-30"]
    assert pair.before.value == 0.0
    assert pair.now.value == pytest.approx(80 / 84)
    assert pair.before.period.name == "30 days before"


def test_the_page_says_everything_in_plain_words(november: Report) -> None:
    """Every figure with its meaning and definition; plots that stand in the file; nothing that runs or is fetched."""
    text = page(november)
    shown = unescape(re.sub(r"<[^>]+>", " ", text))
    for chapter in CHAPTERS:
        assert chapter.title in shown
        for name in chapter.definitions:
            assert november.meanings[name] in shown
            assert november.figures[name].now.definition in shown
    assert text.count("<svg") == len([n for c in CHAPTERS for n in c.definitions if n in TRENDS]) + 2
    assert text.count('role="img"') == text.count("<svg")
    assert "95.2 %" in shown
    assert "+95.2 points" in shown
    assert "Before and after 1 November 2026" in shown
    assert "Complete: the switch was seen all the time" in shown
    assert "2026-10, beside it: Not complete: the switch was seen 99.8 % of the time" in shown
    for wrong in ("<script", "<link", "<img", "src=", "@import", "url(http"):
        assert wrong not in text, wrong
    assert "Test &lt;room&gt;" in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_table_is_no_formula(november: Report) -> None:
    """Every row has every column, and no text is computed by a spreadsheet."""
    rows = list(csv.DictReader(io.StringIO(table(november), newline="")))
    assert tuple(rows[0]) == COLUMNS
    parts = {row["part"] for row in rows}
    assert parts == {
        "period",
        "period before",
        "over time",
        "by hour",
        "by queue",
        "by language",
        "before go-live",
        "after go-live",
    }
    [nasty] = {row["group"] for row in rows if "cmd" in row["group"]}
    assert nasty == f"'{NASTY}"
    assert not [v for row in rows for v in row.values() if v.startswith(("=", "+", "@", "\t"))]
    [one] = [r for r in rows if r["part"] == "period" and r["definition"].startswith("101-in-30@")]
    assert (one["numerator"], one["denominator"], one["unit"]) == ("80", "84", "share")


def test_a_quarter_that_changes_its_clocks_and_was_not_all_seen() -> None:
    """Trends by week; the long day is named; the hole is listed, drawn, and takes the figures their completeness."""
    lost = after_start(date(2026, 10, 20), 10.0)
    hole = (
        (lost, facts.SwitchLost(link="ari", error="gone")),
        (lost + DAY, facts.SwitchRestored(calls_adopted=0, calls_kept=0, calls_missing=0)),
    )
    report = made(calls(), Kind.QUARTER, NOVEMBER, *hole)
    assert report.name == "2026-Q4"
    assert report.clock_changes == [date(2026, 10, 25)]
    assert len(report.trends["offered"]) == 14
    assert report.holes[-1].detail == "ari was lost"
    text = page(report)
    assert "The clocks changed on 2026-10-25" in text
    assert "ari was lost" in text
    assert "1970" not in text
    assert re.search("Not complete: the switch was seen 98.[34] % of the time", text)


def test_what_happened_is_marked_and_listed() -> None:
    """An incident of two days on every plot, alarms by kind, a clock that was set; the month before had others."""
    begun = after_start(date(2026, 11, 10))
    told = (
        (after_start(date(2026, 10, 5)), facts.AlarmRaised(kind="trunk fails", detail="4 dials failed")),
        (begun, facts.IncidentDeclared(by="4001")),
        (begun + DAY, facts.AlarmRaised(kind="999 unanswered", detail="rings everybody", call_id="c1")),
        (begun + DAY, facts.AlarmRaised(kind="999 unanswered", detail="rings everybody", call_id="c1")),
        (begun + 2 * DAY, facts.IncidentEnded(by="4002")),
        (begun + 3 * DAY, facts.ClockStepped(seconds=-2.5)),
        (begun + 3 * DAY, facts.ClockChanged(state=ClockState.UNSYNCHRONISED, error_us=None)),
        (begun + 4 * DAY, facts.ClockChanged(state=ClockState.SYNCHRONISED, error_us=10)),
    )
    report = made(calls(), Kind.MONTH, NOVEMBER, *told)
    assert [mark.mark.value for mark in report.marks] == ["incident", "alarm", "alarm", "clock"]
    text, plain = page(report), page(made(calls()))
    assert text.count(">major incident<") == len(TRENDS)
    assert text.count('id="alarms"') == len(TRENDS)
    assert text.count("<pattern") == 2 * len(TRENDS)
    for mark in (">major incident<", 'id="alarms"', "<pattern"):
        assert mark not in plain
    shown = re.sub(r"<[^>]+>", " ", text)
    assert "a major incident was declared  2026-11-10 12:00:00  2026-11-12 12:00:00" in shown
    assert "the clock was set by -2.500 s" in shown
    assert "Alarms: 999 unanswered 2." in shown
    assert "4001" not in shown
    assert "There was no alarm." in plain


def test_an_incident_that_lasts_is_marked_to_the_end() -> None:
    """Also where it was declared in the month before."""
    declared = (after_start(date(2026, 10, 30)), facts.IncidentDeclared(by="4001"))
    report = made(calls(), Kind.MONTH, NOVEMBER, declared)
    assert [mark.ended_us for mark in report.marks] == [None]
    assert page(report).count(">major incident<") == len(TRENDS)


def test_a_month_without_calls() -> None:
    """Has a report too, which invents nothing."""
    report = made([], at_us=OCTOBER)
    assert report.figures["offered"].now.value == 0
    assert report.figures["101-mean"].now.value is None
    assert words.value(report.figures["101-mean"].now) == "none"
    assert "none" in page(report)
    assert table(report).count("\n") > 100


def test_made_up_calls_are_called_so() -> None:
    """On the page and in every row."""
    report = made(calls()[:4], synthetic=True, at_us=OCTOBER)
    assert "SYNTHETIC: every call in this report was made up" in page(report)
    assert all(line.startswith("SYNTHETIC ") for line in table(report).splitlines()[1:])


def test_periods() -> None:
    """The whole one that a moment is in."""
    at = midnight(date(2026, 11, 26), LONDON)
    assert begin_of(Kind.WEEK, at, LONDON) == midnight(date(2026, 11, 23), LONDON)
    assert begin_of(Kind.MONTH, at, LONDON) == midnight(date(2026, 11, 1), LONDON)
    assert begin_of(Kind.QUARTER, at, LONDON) == midnight(date(2026, 10, 1), LONDON)


def test_every_chapter_names_definitions_that_there_are() -> None:
    """Each once."""
    named = [name for chapter in CHAPTERS for name in chapter.definitions]
    assert len(named) == len(set(named))
    book = read_book()
    for name in (*named, *TRENDS, *BY_QUEUE, *BY_LANGUAGE, *OUTCOMES):
        assert book[name].meaning
    assert set(TRENDS) <= set(named)


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (0.89999, "share", "89.9 %"),
        (0.9, "share", "90.0 %"),
        (1.0, "share", "100.0 %"),
        (12.34, "seconds", "12.3 s"),
        (245.0, "seconds", "4 min 05 s"),
        (11220.0, "seconds", "3 h 07 min"),
        (-3.0, "seconds", "-3.0 s"),
        (1234567, "calls", "1,234,567"),
        (1.5, "calls", "1.50"),
        (None, "share", "none"),
    ],
)
def test_figures_as_people_read_them(number: float | None, unit: str, text: str) -> None:
    """A share is never rounded up to a target."""
    assert words.written(number, unit) == text

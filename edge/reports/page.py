"""A report as one HTML file that needs nothing else: styles and plots stand in it, and nothing in it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edge.metrics.compute import Figure
from edge.metrics.periods import local
from edge.mi.folding import Mark
from edge.reports import plots, words
from edge.reports.chapters import CHAPTERS
from edge.reports.report import Outcome, Pair, Report
from edge.version import VERSION

TITLES = {"week": "Week", "month": "Month", "quarter": "Quarter"}
LISTED_HOLES = 50
BANDS = {
    "999-under-10": "under 10 s",
    "999-10-to-60": "10 to under 60 s",
    "999-60-and-over": "60 s and over",
}


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(report: Report) -> str:
    """The file."""
    whole = next(iter(report.figures.values()))
    return (
        _templates()
        .get_template("report.html")
        .render(
            report=report,
            title=f"{TITLES[report.kind.value]} {report.name}",
            since=words.day(local(report.period.start_us, report.zone).date()),
            until=words.day(local(report.period.end_us - 1, report.zone).date()),
            before=report.before.name,
            made=f"{local(report.made_us, report.zone):%d %B %Y %H:%M %Z}",
            version=VERSION,
            completeness=words.completeness(whole.now.completeness),
            before_completeness=None
            if whole.before.completeness.is_whole
            else words.completeness(whole.before.completeness),
            headlines=[
                _line(report, name)
                for name in ("999-in-10", "101-in-30", "101-abandonment", "101-p90-waited")
            ],
            chapters=[
                {
                    "chapter": chapter,
                    "lines": [_line(report, name) for name in chapter.definitions],
                    "plots": _plots(report, chapter.definitions, chapter.name),
                }
                for chapter in CHAPTERS
            ],
            tables=[
                ("Queue by queue", _table(report.by_queue)),
                ("Language by language", _table(report.by_language)),
            ],
            outcome=_outcome(report.outcome, report.meanings),
            happened=_happened(report)[:LISTED_HOLES],
            happened_more=max(0, len(_happened(report)) - LISTED_HOLES),
            alarms=Counter(mark.detail for mark in report.marks if mark.mark is Mark.ALARM).most_common(),
            holes=_holes(report),
            holes_more=max(0, len(report.holes) - LISTED_HOLES),
        )
    )


def _line(report: Report, name: str) -> dict[str, Any]:
    return _compared(report.figures[name], report.meanings[name])


def _compared(pair: Pair, meaning: str) -> dict[str, Any]:
    now, before = pair.now, pair.before
    return {
        "title": now.title,
        "now": words.value(now),
        "basis": words.basis(now),
        "before": words.value(before),
        "change": words.change(now, before),
        "meaning": meaning,
        "definition": now.definition,
    }


def _plots(report: Report, definitions: Sequence[str], chapter: str) -> list[dict[str, Any]]:
    go_live = None if report.outcome is None else report.outcome.day
    drawn = [
        _plot(
            report.trends[name][0].title,
            plots.trend(
                report.trends[name], report.zone, report.holes, report.clock_changes, go_live, report.marks
            ),
        )
        for name in definitions
        if name in report.trends
    ]
    if chapter == "volume":
        drawn.append(_plot("Calls offered, by hour of the day", plots.hours(report.by_hour, report.zone)))
    if chapter == "999":
        values = [report.figures[name].now.value or 0.0 for name in BANDS]
        title = "Answered 999 calls by how long they waited"
        drawn.append(_plot(title, plots.bars(list(BANDS.values()), values, title, "calls")))
    return drawn


def _plot(title: str, svg: str) -> dict[str, Any]:
    return {"title": title, "svg": Markup(svg)}  # noqa: S704 - drawn by us, its texts escaped by the library


def _table(groups: Mapping[str, Sequence[Figure]]) -> dict[str, Any]:
    """A row for each group, a column for each figure."""
    titles = {name: next((f.title for f in figures), name) for name, figures in groups.items()}
    labels = sorted({figure.group for figures in groups.values() for figure in figures})
    values = {(name, f.group): f for name, figures in groups.items() for f in figures}
    return {
        "columns": list(titles.values()),
        "rows": [
            (
                ", ".join(of for _, of in label) or "(none)",
                [words.value(found) if (found := values.get((name, label))) else "" for name in groups],
            )
            for label in labels
        ],
    }


def _outcome(outcome: Outcome | None, meanings: Mapping[str, str]) -> dict[str, Any] | None:
    if outcome is None:
        return None
    return {
        "day": words.day(outcome.day),
        "days": outcome.days,
        "lines": [_compared(pair, meanings[name]) for name, pair in outcome.figures.items()],
    }


def _happened(report: Report) -> list[dict[str, str]]:
    """All but alarms, which are counted by their kind."""
    return [
        {
            "what": "a major incident was declared"
            if mark.mark is Mark.INCIDENT
            else f"the clock was {mark.detail}",
            "since": _second(mark.started_us, report),
            "until": "now" if mark.ended_us is None else _second(mark.ended_us, report),
        }
        for mark in report.marks
        if mark.mark is not Mark.ALARM
    ]


def _second(at_us: int, report: Report) -> str:
    return f"{local(at_us, report.zone):%Y-%m-%d %H:%M:%S}"


def _holes(report: Report) -> list[dict[str, str]]:
    kinds = {
        "switch": "calls were not seen",
        "ledger": "facts could not be written",
        "clock": "the clock was in doubt",
    }
    return [
        {
            "what": kinds[hole.hole.value],
            "since": _second(max(hole.started_us, report.period.start_us), report),
            "until": "now" if hole.ended_us is None else _second(hole.ended_us, report),
            "detail": hole.detail,
        }
        for hole in report.holes[:LISTED_HOLES]
    ]

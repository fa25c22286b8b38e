"""A report as CSV, for spreadsheets: one row a figure, none of whose texts a spreadsheet takes for a formula."""

from __future__ import annotations

from collections.abc import Iterator

from edge.metrics.compute import Figure
from edge.metrics.periods import local
from edge.mi.formats import csv_bytes
from edge.reports.report import Report

COLUMNS = (
    "part",
    "definition",
    "digest",
    "title",
    "group",
    "period",
    "since",
    "until",
    "value",
    "unit",
    "numerator",
    "denominator",
    "complete",
    "seen_share",
    "calls_in_progress",
    "calls_unknown",
)


def table(report: Report) -> str:
    """Everything in it, the parts one after the other."""
    return csv_bytes(COLUMNS, (_row(part, figure, report) for part, figure in _figures(report))).decode()


def _figures(report: Report) -> Iterator[tuple[str, Figure]]:
    for pair in report.figures.values():
        yield "period", pair.now
        yield "period before", pair.before
    for along in report.trends.values():
        yield from (("over time", figure) for figure in along)
    yield from (("by hour", figure) for figure in report.by_hour)
    for part, groups in (("by queue", report.by_queue), ("by language", report.by_language)):
        for figures in groups.values():
            yield from ((part, figure) for figure in figures)
    if report.outcome is not None:
        for pair in report.outcome.figures.values():
            yield "before go-live", pair.before
            yield "after go-live", pair.now


def _row(part: str, figure: Figure, report: Report) -> tuple[object, ...]:
    found = figure.completeness
    return (
        f"SYNTHETIC {part}" if report.synthetic else part,
        figure.definition,
        figure.digest,
        figure.title,
        " ".join(name for _, name in figure.group),
        figure.period.name,
        local(figure.period.start_us, report.zone).isoformat(),
        local(figure.period.end_us, report.zone).isoformat(),
        figure.value,
        figure.unit,
        figure.numerator,
        figure.denominator,
        "yes" if found.is_whole else "no",
        found.seen_share,
        found.in_progress,
        found.unknown,
    )

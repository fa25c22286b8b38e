"""`edge report`: what a police and crime commissioner is shown."""

from __future__ import annotations

import time
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from edge.cli import Failure, output
from edge.cli.places import site
from edge.cli.projected import projected

if TYPE_CHECKING:
    from edge.reports.report import Kind, Report

HEADLINES = ("999-in-10", "101-in-30", "101-mean", "101-p90-waited", "101-abandonment", "callbacks-kept")


@click.command("report")
@click.argument("kind", type=click.Choice(("week", "month", "quarter")))
@click.argument("period", required=False, metavar="[PERIOD]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The HTML file. [edge101-PERIOD.html here]",
)
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A CSV file too.",
)
@click.option(
    "--go-live",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="Put as many days before and from this date on side by side.",
)
@click.option(
    "--definitions",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The force's own definitions. [metrics.toml beside the configuration, if it is there]",
)
def command(
    kind: str,
    period: str | None,
    out: Path | None,
    csv_file: Path | None,
    go_live: datetime | None,
    definitions: Path | None,
) -> None:
    """A report as one HTML file with plots, and as CSV: figures of 999 and 101, call-backs, people at work, each in plain words.

    PERIOD: 2026-W43, 2026-10, 2026-Q4, or a date in it. [the last that is over]
    """
    from edge.reports.page import page
    from edge.reports.report import Kind

    report = _compute(Kind(kind), period, None if go_live is None else go_live.date(), definitions)
    file = out or Path(f"edge101-{report.name}.html")
    _write(file, page(report))
    if csv_file is not None:
        from edge.reports.table import table

        _write(csv_file, table(report))
    _say(report, [file, *([csv_file] if csv_file is not None else [])])


def _compute(kind: Kind, period: str | None, go_live: date | None, definitions: Path | None) -> Report:
    from edge.metrics.asking import PeriodError, is_made_up, period_of
    from edge.metrics.book import read_book
    from edge.reports.report import begin_of, compute

    here, now_us = site(), output.now().utc_us
    zone = ZoneInfo(here.timezone)
    if period is None:
        at_us = begin_of(kind, now_us, zone) - 1
    else:
        try:
            at_us = period_of(period, zone, now_us)[0]
        except PeriodError as error:
            raise Failure(str(error), 2) from error
    book = read_book(definitions or here.definitions)
    with projected(here) as made:
        return compute(
            made,
            book,
            here.name,
            zone,
            kind,
            at_us,
            made_us=time.time_ns() // 1000,
            synthetic=is_made_up(made),
            go_live=go_live,
        )


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise Failure(
            f"{file}: cannot be written: {error.strerror}; name another place by --out and --csv", 1
        ) from error


def _say(report: Report, files: list[Path]) -> None:
    from edge.reports import words

    pairs: dict[str, object] = {
        report.figures[name].now.title: f"{words.value(report.figures[name].now)} ({report.before.name}: "
        f"{words.value(report.figures[name].before)})"
        for name in HEADLINES
    }
    console = output.console()
    console.print(output.text(f"{report.site}, {report.kind.value} {report.name}", "bold"))
    console.print(output.pairs(pairs))
    console.print(words.completeness(report.figures[HEADLINES[0]].now.completeness))
    for file in files:
        console.print(f"written: {file}")

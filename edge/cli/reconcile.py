"""`edge reconcile`: where this record and another party's do not agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from edge.cli import Failure, output
from edge.cli.places import Site, reading, site
from edge.cli.projected import projected
from edge.core.model import MICROSECONDS

if TYPE_CHECKING:
    from edge.reports.reconcile import Comparison

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("reconcile")
@click.option(
    "--cdr",
    type=FILE,
    metavar="FILE",
    help="Asterisk's cdr-custom/edge101.csv or Master.csv, or the same with a header; compared call by call.",
)
@click.option(
    "--bt",
    type=FILE,
    metavar="FILE",
    help="Figures of 999 by period: period,answered,under_10,from_10_to_60,over_60,mean_seconds.",
)
@click.option("--utc", is_flag=True, help="The times of --cdr are in UTC (usegmtime = yes), and not local.")
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="By how much times of --cdr may differ.",
)
@output.json_option
def command(cdr: Path | None, bt: Path | None, utc: bool, tolerance: float, as_json: bool) -> None:
    """Differences between this record and another party's counts, call by call where it can be.

    Exit code 1 when there are any. Neither side is taken to be right.
    """
    if (cdr is None) == (bt is None):
        raise click.UsageError("name one of --cdr FILE and --bt FILE")
    here = site()
    if cdr is not None:
        found = _calls(here, cdr, utc, tolerance)
    else:
        assert bt is not None
        found = _figures(here, bt)
    if as_json:
        output.emit(_json(found))
    else:
        _print(found, "calls" if cdr is not None else "figures")
    if found.differences:
        raise SystemExit(1)


def _calls(here: Site, file: Path, utc: bool, tolerance: float) -> Comparison:
    from edge.reports.others import read_cdr
    from edge.reports.reconcile import compare_calls, our_calls

    theirs = read_cdr(file, None if utc else ZoneInfo(here.timezone))
    if not theirs:
        raise Failure(f"{file}: there is no call in it", 1)
    since = min(call.started_us for call in theirs.values())
    until = max(call.started_us for call in theirs.values()) + MICROSECONDS  # their seconds are whole
    margin = int(tolerance * MICROSECONDS)
    with reading(here.ledger_url) as reader:
        ours = our_calls(reader, since - margin, until + margin)
    return compare_calls(ours, theirs, since, until, tolerance)


def _figures(here: Site, file: Path) -> Comparison:
    from edge.metrics.book import read_book
    from edge.reports.others import read_bt
    from edge.reports.reconcile import compare_figures

    theirs = read_bt(file)
    with projected(here) as made:
        book, now_us = read_book(here.definitions), output.now().utc_us
        return compare_figures(made, book, theirs, ZoneInfo(here.timezone), now_us)


def _json(found: Comparison) -> dict[str, object]:
    return {
        "ours": found.ours,
        "theirs": found.theirs,
        "matched": found.matched,
        "differences": [
            {"subject": d.subject, "what": d.what, "ours": d.ours, "theirs": d.theirs}
            for d in found.differences
        ],
    }


def _print(found: Comparison, what: str) -> None:
    console = output.console()
    if found.differences:
        columns = ("=call or period", "what", "here", "there")
        rows = [(d.subject, d.what, d.ours, d.theirs) for d in found.differences]
        console.print(output.table(columns, rows))
    console.print(
        f"{found.ours} {what} here, {found.theirs} there, {found.matched} "
        + ("the same ones" if what == "calls" else "agree")
        + f"; {len(found.differences)} differences"
    )

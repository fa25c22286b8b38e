"""`hwtest compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from edge.cli import output
from hwtest.commands.probing import EXIT_NOT_MEASURED
from hwtest.report.result import SCHEMA_VERSION, Run
from hwtest.report.words import number

if TYPE_CHECKING:
    from hwtest.comparison import Comparison, FigureChange


class UnreadableError(Exception):
    """A file is no result of hwtest."""


@click.command("compare")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(before: Path, after: Path, as_json: bool) -> None:
    """What a change did: two results (--json of a run), figure by figure, with 95 % intervals.

    Of twenty figures that are the same, one seems different by chance: look whether the next run says so too. A distribution of
    too few samples for what is judged of it is compared by its p50.

    Exit status 0: nothing is worse; 1: a figure is, or a finding is new; 2: a probe fails that did not; 3: something is not
    measured that was.
    """
    from hwtest.comparison import compare

    try:
        made = compare(read_result(before), read_result(after))
    except UnreadableError as error:
        click.echo(f"hwtest: {error}", err=True)
        sys.exit(EXIT_NOT_MEASURED)
    if as_json:
        output.emit(msgspec.to_builtins(made))
    else:
        _show(made)
    sys.exit(made.exit_status)


def read_result(file: Path) -> Run:
    """A result that was written by --json. Raises UnreadableError."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{file}: cannot be read: {error.strerror}.") from None
    try:
        version = msgspec.json.decode(content, type=dict).get("schema_version")
        if version != SCHEMA_VERSION:
            raise UnreadableError(f"{file}: has schema {version!r}, this hwtest reads {SCHEMA_VERSION}.")
        return msgspec.json.decode(content, type=Run)
    except msgspec.DecodeError as error:
        raise UnreadableError(f"{file}: is no result of `hwtest run --json` ({error}).") from None


def _show(made: Comparison) -> None:
    from hwtest.comparison import Change

    console = output.console()
    if not made.compared:
        console.print(output.text("Nothing that stands in both results was measured."))
        return
    if not made.same_machine:
        console.print(
            output.text("Measured on different machines: their times differ by themselves.", "yellow")
        )
    if not made.same_configuration:
        console.print(output.text("The target's configuration has changed in between."))
    for change in made.verdicts:
        console.print(
            output.text(f"{change.probe}: {change.before.words} before, {change.after.words} now", "bold")
        )
    for words, codes in (("found now", made.found), ("not found any more", made.mended)):
        if codes:
            console.print(output.text(f"{words}: {', '.join(codes)}"))
    rows = [
        (
            figure.probe,
            figure.figure.replace("_", " "),
            "" if figure.statistic == "value" else figure.statistic,
            _value(figure.before, figure.n_before),
            _value(figure.after, figure.n_after),
            figure.unit,
            "n/a" if figure.ratio is None else f"x {number(figure.ratio)}",
            _interval(figure),
            figure.change.value,
        )
        for figure in made.figures
    ]
    columns = ("=probe", "figure", "of it", ">before (n)", ">after (n)", "unit", ">ratio", "95 %", "=change")
    console.print(output.table(columns, rows))
    console.print()
    for when, names in (("before", made.only_before), ("after", made.only_after)):
        if names:
            console.print(output.text(f"only {when}, and not compared: {' '.join(names)}"))
    counts = ((change, sum(figure.change is change for figure in made.figures)) for change in Change)
    console.print(output.text(", ".join(f"{count} {change.value}" for change, count in counts if count)))


def _value(value: float | None, n: int) -> str:
    return "n/a" if value is None else f"{number(value)} ({n})"


def _interval(figure: FigureChange) -> str:
    if figure.low is None or figure.high is None:
        return ""
    sign = "" if figure.unit != "%" else " points"
    return f"{number(figure.low)} to {number(figure.high)}{sign}"

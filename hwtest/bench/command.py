"""`hwtest bench`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from hwtest.bench import document, report
from hwtest.bench.callbacks import POLICY
from hwtest.bench.plan import NUMBERS
from hwtest.bench.run import AGENTS_OF_LAB, NAMES, QUICK_SAMPLES, SAMPLES, run
from hwtest.lab import stack
from hwtest.lab.command import default_directory
from hwtest.lab.contract import Lab
from hwtest.lab.packages import LabError


def default_file() -> Path:
    """Where a result is kept when no other file is named: beside the user's lab, by the time in UTC."""
    return default_directory().parent / "bench" / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice((*NAMES, *NUMBERS)),
    help="Only this measurement, by its name or its number in the plan; may be repeated.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=10),
    default=SAMPLES,
    show_default=True,
    help="Samples of ours per figure.",
)
@click.option(
    "--quick",
    is_flag=True,
    help=f"{QUICK_SAMPLES} samples per figure: to see that it works, not for the record.",
)
@click.option(
    "--lab",
    "directory",
    type=click.Path(path_type=Path),
    help=f"A lab that is up with --wrap-up 0 --no-callbacks --policy {POLICY}. [default: its own]",
)
@click.option(
    "--json",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=default_file,
    show_default="bench/<UTC time>.json in the user's state folder",
    help="Write figures and blocks there.",
)
@click.option(
    "--document",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the figures there as a page too (Markdown); docs/benchmarks.md is one.",
)
@click.option(
    "--from",
    "source",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Measure nothing: --document is made from this result (JSON).",
)
def command(
    only: tuple[str, ...],
    samples: int,
    quick: bool,
    directory: Path | None,
    file: Path,
    page: Path | None,
    source: Path | None,
) -> None:
    """Measure the daemon beside app_queue on one switch: real calls, times from the wire.

    Exit status 0: every target met; 1: one is not; 3: one could not be measured, or only
    on fewer samples than are asked for. With --from: 0 when the page is written.
    """
    if source is not None:
        sys.exit(_document(source, page))
    try:
        with _lab(directory) as lab:
            made = asyncio.run(run(lab, only, QUICK_SAMPLES if quick else samples, _say))
    except LabError as error:
        click.echo(f"hwtest: {error}", err=True)
        sys.exit(report.NOT_MEASURED)
    show(made)
    made.write(file)
    click.echo(f"  written to {file}")
    if page is not None:
        document.write(made, page)
    sys.exit(made.exit_status)


def _document(source: Path, page: Path | None) -> int:
    """The page of a result that is there; exit status: whether it could be made."""
    if page is None:
        raise click.UsageError(
            "--from says where the figures are; --document FILE is needed to say where the page goes."
        )
    try:
        document.write(report.Report.read(source), page)
    except (report.ReportError, OSError) as error:
        click.echo(f"hwtest: {error}", err=True)
        return report.NOT_MEASURED
    click.echo(f"  written to {page}")
    return report.MET


def _say(line: str) -> None:
    click.echo(f"· {line}", err=True)


@contextmanager
def _lab(directory: Path | None) -> Iterator[Lab]:
    """The lab in `directory`, or one of our own that ends with us."""
    if directory is not None:
        found = Lab.read(directory)
        if found is None:
            options = f"--dir {directory} --wrap-up 0 --no-callbacks --policy {POLICY}"
            raise LabError(f"No lab is up in {directory}: hwtest lab up {options} starts one.")
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="edge101-bench-") as folder:
        place = Path(folder, "lab")
        started = stack.up(
            stack.Wishes(
                directory=place,
                agents=AGENTS_OF_LAB,
                wrap_up_seconds=0,
                callbacks=False,
                policy=Path(__file__).with_name("lab.toml"),
            ),
            _say,
        )
        try:
            yield started
        finally:
            stack.down(place)


def show(made: report.Report) -> None:
    """The table, what it has no room for, and the machine."""
    console = Console(width=None if sys.stdout.isatty() else 170)
    console.print(report.table(made.figures))
    for note in report.notes(made.figures):
        console.print(f"  {note}", markup=False, highlight=False)
    machine, load = made.machine, made.load
    console.print(
        f"{machine.processor}, {machine.cores} cores, {machine.memory_mb} MB, Linux {machine.kernel}, "
        f"Python {machine.python}, Asterisk {machine.asterisk}; {made.wire}; {load.seconds:.0f} s, "
        f"load {load.load_average:.2f}, busy {load.busy_share:.0%}, steal {load.steal_share:.1%}",
        markup=False,
        highlight=False,
    )

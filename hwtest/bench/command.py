"""`hwtest bench`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Iterator, Sequence
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

AUDIO = range(41000, 44000)
"""Audio ports of a lab of our own: a thousand callers wait there, more than the usual ports of a lab are enough for."""


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
    help="Measure nothing: --document is made from this result (JSON), and of those named after it.",
)
@click.argument("more", nargs=-1, type=click.Path(dir_okay=False, path_type=Path), metavar="[MORE.json]...")
def command(
    only: tuple[str, ...],
    samples: int,
    quick: bool,
    directory: Path | None,
    file: Path,
    page: Path | None,
    source: Path | None,
    more: tuple[Path, ...],
) -> None:
    """Measure the daemon beside app_queue on one switch: real calls, times from the wire.

    Each measurement is written as it comes. Exit status 0: every target met; 1: one is not; 3: one could not be measured, or only
    on fewer samples than are asked for. With --from: 0 when the page is written; of a measurement that several results
    have, the one in the last of them counts.
    """
    if source is not None:
        sys.exit(_document((source, *more), page))
    if more:
        raise click.UsageError(f"{more[0]}: results are read with --from FILE [MORE.json ...] alone.")
    try:
        with _lab(directory) as lab:
            wanted = QUICK_SAMPLES if quick else samples
            made = asyncio.run(run(lab, only, wanted, _say, lambda report: report.write(file)))
    except LabError as error:
        click.echo(f"hwtest: {error}", err=True)
        sys.exit(report.NOT_MEASURED)
    except KeyboardInterrupt:
        if file.exists():
            click.echo(f"hwtest: what was measured until now is in {file}", err=True)
        raise
    show(made)
    click.echo(f"  written to {file}")
    if page is not None:
        document.write(made, page)
    sys.exit(made.exit_status)


def _document(sources: Sequence[Path], page: Path | None) -> int:
    """The page of results that are there; exit status: whether it could be made."""
    if page is None:
        raise click.UsageError(
            "--from says where the figures are; --document FILE is needed to say where the page goes."
        )
    try:
        document.write(report.merged([report.Report.read(source) for source in sources]), page)
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
                audio=AUDIO,
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
    console.print(made.machine.words, markup=False, highlight=False)
    for part in made.parts:
        console.print(
            f"{part.name}: {part.wire}; {part.load.words}, commit {part.commit}",
            markup=False,
            highlight=False,
        )

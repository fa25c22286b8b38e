"""`hwtest bench`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from hwtest.bench import document, report
from hwtest.bench.callbacks import POLICY
from hwtest.bench.plan import NUMBERS
from hwtest.bench.run import AGENTS_OF_LAB, NAMES, QUICK_SAMPLES, SAMPLES, run
from hwtest.lab import stack
from hwtest.lab.contract import Lab
from hwtest.lab.packages import LabError
from hwtest.options import check_file, lab_option, named_lab, page_options, result_option

MADE_WITH = f"--wrap-up 0 --no-callbacks --policy {POLICY}"
"""What a lab must have been started with to be measured."""
AUDIO = range(41000, 44000)
"""Audio ports of a lab of our own: a thousand callers wait there, more than the usual ports of a lab are enough for."""


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
@lab_option(MADE_WITH)
@result_option("bench")
@page_options("docs/benchmarks.md")
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

    Each measurement is written as it comes, and Ctrl-C costs the one that runs. Exit status 0: every target met; 1: one is not;
    3: one could not be measured, or only on fewer samples than are asked for. With --from the same of what the results say; of
    a measurement that several results have, the one in the last of them counts.
    """
    if source is not None:
        sys.exit(_again((source, *more), page))
    if more:
        raise click.UsageError(f"{more[0]}: results are read with --from FILE [MORE.json ...] alone.")
    check_file(file)
    begun = time.time()
    try:
        with _lab(directory) as lab:
            wanted = QUICK_SAMPLES if quick else samples
            made = asyncio.run(run(lab, only, wanted, _say, lambda report: report.write(file)))
    except LabError as error:
        click.echo(f"hwtest: {error}", err=True)
        sys.exit(report.NOT_MEASURED)
    except KeyboardInterrupt:
        if file.exists() and file.stat().st_mtime >= begun:
            click.echo(f"hwtest: what was measured until now is in {file}", err=True)
        raise
    show(made)
    click.echo(f"  written to {file}")
    if page is not None:
        document.write(made, page)
    sys.exit(made.exit_status)


def _again(sources: Sequence[Path], page: Path | None) -> int:
    """Results that are there: the table, and the page where one is asked for."""
    try:
        made = report.merged([report.Report.read(source) for source in sources])
        if page is not None:
            document.write(made, page)
    except (report.ReportError, OSError) as error:
        click.echo(f"hwtest: {error}", err=True)
        return report.NOT_MEASURED
    if page is not None:
        click.echo(f"  written to {page}")
    else:
        show(made)
    return made.exit_status


def _say(line: str) -> None:
    click.echo(f"· {line}", err=True)


@contextmanager
def _lab(directory: Path | None) -> Iterator[Lab]:
    """The lab in `directory`, or one of our own that ends with us."""
    if directory is not None:
        yield named_lab(directory, MADE_WITH)
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

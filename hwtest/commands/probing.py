"""What every command that runs probes shares: its options, the run from target to report, and the end by Ctrl-C."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge.cli.output import clean
from hwtest.lab.command import default_directory
from hwtest.options import seed_option
from hwtest.probes.contract import Probe, Verdict, worst
from hwtest.probes.registry import UnknownProbeError, choose
from hwtest.report.result import ProbeResult, Run
from hwtest.report.stream import Stream
from hwtest.report.terminal import Live, show
from hwtest.report.writing import Outputs, check, write
from hwtest.running import Watcher, run
from hwtest.signals import on_first_signal
from hwtest.site import Site
from hwtest.target import Target, TargetError, open_target

EXIT_NOT_MEASURED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options, as they were given."""

    target: Path
    lab: bool
    seed: int
    numbers: bool
    dry_run: bool
    verbose: bool
    json: Path | None
    ndjson: Path | None
    junit: Path | None
    html: Path | None
    bundle: Path | None

    @property
    def outputs(self) -> Outputs:
        """Where reports go."""
        return Outputs(
            json=self.json, ndjson=self.ndjson, junit=self.junit, html=self.html, bundle=self.bundle
        )


def _file_option(*names: str, words: str) -> Callable[[Any], Any]:
    return click.option(*names, type=click.Path(path_type=Path), metavar="FILE", help=words)


def target_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--target`, as every command about a target has it."""
    return click.option(
        "--target",
        "-t",
        type=click.Path(path_type=Path),
        default=default_directory,
        show_default="the user's lab",
        metavar="FILE",
        help="lab.json, the folder of a lab, or an appliance's profile (TOML).",
    )(command)


def probing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that runs probes."""
    for option in reversed(
        (
            target_option,
            click.option(
                "--lab", is_flag=True, help="Allow load and faults; only on a target that is a lab."
            ),
            _file_option("--json", "-j", words="The result as JSON; `hwtest run --schema` describes it."),
            _file_option("--ndjson", words="Events and results while it runs, one JSON object a line."),
            _file_option("--junit", "-x", words="JUnit XML."),
            _file_option("--html", words="A page that needs nothing else and prints on A4."),
            _file_option("--bundle", words="A ZIP of all of these with captures and recordings."),
            seed_option("the same dice"),
            click.option(
                "--numbers", is_flag=True, help="Show whole numbers in reports. They may be people's."
            ),
            click.option(
                "--verbose", "-v", is_flag=True, help="Every figure and ladder in the terminal, too."
            ),
            click.option("--dry-run", is_flag=True, help="Say what would run, and run nothing."),
        )
    ):
        command = option(command)
    return command


class Together:
    """Several watchers of one run."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def started(self, probe: Probe) -> None:
        """A probe begins."""
        for watcher in self._watchers:
            watcher.started(probe)

    def progress(self, words: str) -> None:
        """How far it is."""
        for watcher in self._watchers:
            watcher.progress(words)

    def finished(self, result: ProbeResult) -> None:
        """It is done."""
        for watcher in self._watchers:
            watcher.finished(result)


def tell(error: Exception) -> None:
    """What is wrong with the command, the target or the names, a line for each."""
    for line in str(error).splitlines():
        click.echo(f"hwtest: {line.removeprefix('error: ')}", err=True)


def perform(names: Sequence[str], wishes: Wishes) -> int:
    """Run and report; the exit status."""
    try:
        probes = choose(names)
        target = open_target(wishes.target)
        check(wishes.outputs)
    except (UnknownProbeError, TargetError) as error:
        tell(error)
        return EXIT_NOT_MEASURED
    if wishes.dry_run:
        click.echo(f"{target.name} ({target.kind.value}): {' '.join(probe.name for probe in probes)}")
        return 0
    with tempfile.TemporaryDirectory(prefix="hwtest-") as folder:
        try:
            made = _run_and_tell(names, probes, target, wishes, Path(folder))
        except OSError as error:  # the file of --ndjson, before anything has run
            click.echo(f"hwtest: {clean(error.filename)}: {error.strerror or error}", err=True)
            return EXIT_NOT_MEASURED
        # Files come before the terminal, whose other end may be gone (`| head`).
        lost = write(made, wishes.outputs, target, Path(folder), numbers=wishes.numbers)
        # Rich ends a program whose reader has gone: with 1, which here is a warning.
        with suppress(SystemExit, BrokenPipeError):
            show(made, numbers=wishes.numbers, verbose=wishes.verbose)
    for line in lost:
        click.echo(f"hwtest: {clean(line)}", err=True)
    if wishes.outputs.files and not lost:
        names_of = " ".join(clean(file) for file in wishes.outputs.files)
        click.echo(f"hwtest: written, readable by you alone: {names_of}", err=True)
    return worst([made.verdict, *([Verdict.NOT_MEASURED] if lost else [])]).exit_status


def _run_and_tell(
    names: Sequence[str], probes: Sequence[Probe], target: Target, wishes: Wishes, folder: Path
) -> Run:
    stream = Stream(wishes.ndjson, numbers=wishes.numbers) if wishes.ndjson is not None else None
    with Live() as live:
        watcher = Together(live, *([stream] if stream else []))
        site = Site(target, folder, lab_allowed=wishes.lab, seed=wishes.seed)
        made = asyncio.run(_until_interrupted(_run(site, probes, watcher, names, wishes.seed)))
    if stream is not None:
        stream.end(made)
    return made


async def _run(site: Site, probes: Sequence[Probe], watcher: Watcher, names: Sequence[str], seed: int) -> Run:
    """What was measured is reported, whatever becomes of the closing: a person may be tired of waiting for a last goodbye."""
    made: Run | None = None
    try:
        async with site:
            made = await run(site, probes, watcher, names, seed)
    except (Exception, asyncio.CancelledError) as error:
        if made is None:
            raise
        click.echo(f"hwtest: not everything was closed in order: {clean(error) or 'ended'}", err=True)
    return made


async def _until_interrupted(work: Coroutine[Any, Any, Run]) -> Run:
    """The first Ctrl-C (or SIGTERM) ends the probe that runs, whose calls end by BYE; a second one ends us at once."""
    task = asyncio.ensure_future(work)

    def interrupt() -> None:
        task.cancel()
        click.echo("hwtest: ending calls and writing the report; again to end at once", err=True)

    with on_first_signal(interrupt):
        return await task

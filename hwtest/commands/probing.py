"""What every command that runs probes shares: its options, the run from target to report, and the end by Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hwtest.lab.command import default_directory
from hwtest.probes.contract import Probe
from hwtest.probes.registry import UnknownProbeError, choose
from hwtest.report.result import Run
from hwtest.report.terminal import Live, show
from hwtest.report.writing import Outputs, check, write
from hwtest.running import Watcher, run
from hwtest.site import Site
from hwtest.target import TargetError, open_target

EXIT_NOT_MEASURED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options, as they were given."""

    target: Path
    lab: bool
    seed: int
    numbers: bool
    json_file: Path | None
    dry_run: bool

    @property
    def outputs(self) -> Outputs:
        """Where reports go."""
        return Outputs(json=self.json_file)


def probing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that runs probes."""
    for option in reversed(
        (
            click.option(
                "--target",
                "-t",
                type=click.Path(path_type=Path),
                default=default_directory,
                show_default="the user's lab",
                help="lab.json, the folder of a lab, or an appliance's profile (TOML).",
            ),
            click.option(
                "--lab", is_flag=True, help="Allow load and faults; only on a target that is a lab."
            ),
            click.option(
                "--json", "-j", "json_file", type=click.Path(path_type=Path), help="Write the result as JSON."
            ),
            click.option(
                "--seed", type=int, default=1, show_default=True, help="The same seed, the same dice."
            ),
            click.option(
                "--numbers", is_flag=True, help="Show whole numbers in reports. They may be people's."
            ),
            click.option("--dry-run", is_flag=True, help="Say what would run, and run nothing."),
        )
    ):
        command = option(command)
    return command


def perform(names: Sequence[str], wishes: Wishes) -> int:
    """Run and report; the exit status."""
    try:
        probes = choose(names)
        target = open_target(wishes.target)
        check(wishes.outputs)
    except (UnknownProbeError, TargetError) as error:
        click.echo(f"hwtest: {error}", err=True)
        return EXIT_NOT_MEASURED
    if wishes.dry_run:
        click.echo(f"{target.name} ({target.kind.value}): {' '.join(probe.name for probe in probes)}")
        return 0
    with tempfile.TemporaryDirectory(prefix="hwtest-") as folder, Live() as live:
        made = asyncio.run(_run(names, probes, wishes, Path(folder), live))
        write(made, wishes.outputs, Path(folder), numbers=wishes.numbers)
    show(made)
    return made.exit_status


async def _run(
    names: Sequence[str], probes: Sequence[Probe], wishes: Wishes, folder: Path, live: Watcher
) -> Run:
    site = Site(open_target(wishes.target), folder, lab_allowed=wishes.lab, seed=wishes.seed)
    async with site:
        return await _until_interrupted(run(site, probes, live, names, wishes.seed))


async def _until_interrupted(work: Any) -> Run:
    """The first Ctrl-C (or SIGTERM) ends the probe that runs, whose calls end by BYE; a second one ends us at once."""
    task: asyncio.Task[Run] = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        task.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        click.echo("hwtest: ending calls and writing the report; again to end at once", err=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(number, interrupt)
    return await task

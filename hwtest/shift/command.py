"""`hwtest shift`, which is what `make run` runs."""

import sys
from pathlib import Path
from typing import Any

import click

from edge.config import load
from hwtest.lab import stack
from hwtest.lab.command import (
    default_directory,
    guide,
    lab_options,
    make_console,
    refuse_partial,
    say,
    softphone,
)
from hwtest.lab.packages import LabError
from hwtest.options import for_option, seed_option
from hwtest.shift import report
from hwtest.shift.plan import CALLBACKS
from hwtest.shift.run import run_shift

DEFAULT_AGENTS = 8
FAULTY, NOT_MEASURED = 1, 3


@click.command("shift")
@for_option(5.0, None, "End after so many seconds. [default: at Ctrl-C]")
@click.option(
    "--agents",
    type=click.IntRange(1, 100),
    default=DEFAULT_AGENTS,
    show_default=True,
    help="Agents at work; one more phone is left for you.",
)
@seed_option("the same callers")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Folder of its lab. [default: beside the user's lab]",
)
@lab_options
def command(seconds: float | None, agents: int, seed: int, directory: Path | None, **wishes: Any) -> None:
    """A shift with real SIP callers and agents in a lab of its own.

    Exit status 0: every call ended as it must; 1: something did not, each named; 3: the shift could not begin.
    """
    console = make_console()
    place = directory or _free_shift_directory()
    try:
        _refuse_running(place)
        started = stack.up(stack.Wishes(directory=place, agents=agents + 1, plan=CALLBACKS, **wishes), say)
        try:
            spare = started.agents[agents]
            click.echo(
                "\n".join(
                    [
                        guide(started, with_softphone=False),
                        *softphone(started, spare.user, "a phone of the shift"),
                        "",
                    ]
                )
            )
            result = run_shift(
                started,
                load(started.config),
                agents=agents,
                seed=seed,
                for_seconds=seconds,
                console=console,
                invitation=f"Your softphone: {spare.user}@{spare.registrar}, password {spare.password}; call 101.",
            )
        finally:
            say("ending the lab")
            stack.down(place)
    except LabError as error:
        click.echo(f"hwtest: {error}", err=True)
        sys.exit(NOT_MEASURED)
    console.print(report.render(result))
    if result.faults:
        click.echo(f"Logs and ledger are in {place}.", err=True)
        sys.exit(FAULTY)


def _refuse_running(directory: Path) -> None:
    found = stack.status(directory)
    if found.up:
        raise LabError(f"A lab is up in {directory}. End it, or choose another folder with --dir.")
    refuse_partial(found, directory)


def _free_shift_directory() -> Path:
    """Where no other shift runs."""
    beside = default_directory().parent
    places = [beside / name for name in ("shift", *(f"shift-{number}" for number in range(2, 10)))]
    return next((place for place in places if not stack.status(place).asterisk), places[0])

"""`hwtest soak`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import click
import msgspec

from hwtest.bench.numbers import CALLERS
from hwtest.bench.rig import RigError, rig
from hwtest.lab import stack
from hwtest.lab.packages import LabError
from hwtest.options import check_file, for_option, result_option, seed_option
from hwtest.report.writing import write_private
from hwtest.signals import on_first_signal
from hwtest.soak.run import Result, soak

SECONDS, RATE, AGENTS = 600.0, 5.0, 12
MOST_CALLS = CALLERS - 500
"""Every call has a number of its own, by which it is found in the ledger; and more may come than are to be expected."""
NOT_PASSED, NOT_MEASURED = 1, 3


@click.command()
@for_option(10.0, SECONDS, "So many seconds of calls.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1, max=50.0),
    default=RATE,
    show_default=True,
    help="Calls per second.",
)
@seed_option("the same callers, agents and faults")
@result_option("soak")
def command(seconds: float, rate: float, seed: int, file: Path) -> None:
    """Calls all the time and a fault of the daemon every few seconds, in a lab of its own.

    Ctrl-C ends it early, and the books of what there was are balanced. Exit status 0: every call is accounted for and nothing
    grew; 1: something does not balance, each named; 3: it could not be measured, or was ended before its time.
    """
    if seconds * rate > MOST_CALLS:
        raise click.UsageError(
            f"{seconds * rate:.0f} calls would come, and there are numbers for {MOST_CALLS}: with this --rate choose --for "
            f"{MOST_CALLS / rate:.0f} at most, or a lower --rate."
        )
    check_file(file)
    try:
        with tempfile.TemporaryDirectory(prefix="edge101-soak-") as folder:
            result = asyncio.run(in_lab(Path(folder, "lab"), seconds, rate, seed))
    except (LabError, RigError) as error:
        click.echo(f"hwtest: {error}", err=True)
        sys.exit(NOT_MEASURED)
    write_private(file, msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    show(result)
    click.echo(f"  written to {file}")
    sys.exit(NOT_PASSED if result.wrong else NOT_MEASURED if result.interrupted else 0)


async def in_lab(place: Path, seconds: float, rate: float, seed: int) -> Result:
    """A soak in a lab that ends with it."""
    wishes = stack.Wishes(directory=place, agents=AGENTS, wrap_up_seconds=0.0, callbacks=False)
    lab = await asyncio.to_thread(stack.up, wishes, _say)
    ending = asyncio.Event()

    def end() -> None:
        _say("no more calls; when everybody is served the books are balanced; again to end at once")
        ending.set()

    try:
        async with rig(lab, _say) as stand:
            with on_first_signal(end):
                return await soak(stand, seconds, seed=seed, rate=rate, progress=_say, ending=ending)
    finally:
        await asyncio.to_thread(stack.down, place)


def show(result: Result) -> None:
    """What it came to, in a few lines."""
    lines = [
        f"{result.calls} calls in {result.seconds:.0f} s, {result.daemon_lives} lives of the daemon",
        "faults: " + ", ".join(f"{count} {name}" for name, count in sorted(result.faults.items())),
        "calls: " + ", ".join(f"{count} {what}" for what, count in sorted(result.became.items())),
        f"no daemon saw the switch for {result.blind_seconds:.1f} s in all",
        *(f"Asterisk {when}: {_in_words(result.switch_samples[at])}" for when, at in _moments(result)),
        *(f"WRONG: {each}" for each in result.wrong),
        "everything balances" if not result.wrong else f"{len(result.wrong)} things do not balance",
        *(["ended by a person before its time"] if result.interrupted else []),
    ]
    for line in lines:
        click.echo(line)


def _moments(result: Result) -> list[tuple[str, int]]:
    """At first, halfway and in the end."""
    last = len(result.switch_samples) - 1
    return [("at first", min(2, last)), ("halfway", last // 2), ("in the end", last)]


def _in_words(sample: tuple[float, int, int, int, float]) -> str:
    _, _, descriptors, threads, rss_mb = sample
    return f"{descriptors} file descriptors, {threads} threads, {rss_mb:.0f} MB"


def _say(line: str) -> None:
    click.echo(f"· {line}", err=True)

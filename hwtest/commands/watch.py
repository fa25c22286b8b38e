"""`hwtest watch`."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from edge.cli.output import clean
from hwtest.commands.probing import EXIT_NOT_MEASURED, target_option, tell
from hwtest.options import seed_option
from hwtest.probes.contract import Probe, Verdict, worst
from hwtest.probes.registry import UnknownProbeError, choose
from hwtest.report.result import ProbeResult
from hwtest.signals import on_first_signal
from hwtest.target import TargetError, open_target
from hwtest.watching import Round, round_of, words_of

SHORTEST_SECONDS = 60


class _Quiet:
    """Nobody watches a round as it runs: a line for each probe is printed when it is over."""

    def started(self, probe: Probe) -> None:
        """A probe begins."""

    def progress(self, words: str) -> None:
        """How far it is."""

    def finished(self, result: ProbeResult) -> None:
        """It is done."""
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = words_of(result)
        click.echo(clean(f"{at} {result.name} {result.verdict.words}" + (f": {told}" if told else "")))


@click.command("watch")
@target_option
@click.option(
    "--every",
    type=click.IntRange(min=SHORTEST_SECONDS),
    metavar="SECONDS",
    help=f"Go on, one round every so many seconds ({SHORTEST_SECONDS} at the least). Without it: one round.",
)
@click.option("--probe", "names", multiple=True, metavar="NAME", help="Other probes than the group `watch`.")
@seed_option("the same dice")
def command(target: Path, every: int | None, names: tuple[str, ...], seed: int) -> None:
    """Safe probes and a call by the way of a 999 to a test phone; each verdict becomes a fact of the daemon's record.

    `edge status` and the wallboard show the last ones with their age. Exit status 0: all pass; 1: warnings; 2: something
    failed; 3: something could not be measured, or is not in the record. Ended by a signal between rounds it is 0.
    """
    try:
        probes = choose(names or ("watch",))
        opened = open_target(target)
    except (UnknownProbeError, TargetError) as error:
        tell(error)
        sys.exit(EXIT_NOT_MEASURED)
    if harmful := [probe.name for probe in probes if probe.level.value != "safe"]:
        click.echo(f"hwtest: {', '.join(harmful)} loads or breaks things and is not repeated", err=True)
        sys.exit(EXIT_NOT_MEASURED)
    click.echo(f"watching {clean(opened.name)}: {' '.join(probe.name for probe in probes)}")
    sys.exit(asyncio.run(_until_ended(_watch(target, probes, every, seed))))


async def _watch(target: Path, probes: Sequence[Probe], every: int | None, seed: int) -> int:
    """Rounds, each begun so long after the one before was begun; the status of the last."""
    loop, placed = asyncio.get_running_loop(), deque[float]()
    while True:
        due = loop.time() + (every or 0)
        status, ended = await _round(target, probes, seed, placed)
        if every is None or ended:
            return status
        try:
            await asyncio.sleep(max(0.0, due - loop.time()))
        except asyncio.CancelledError:
            return 0
        seed += 1


async def _round(target: Path, probes: Sequence[Probe], seed: int, placed: deque[float]) -> tuple[int, bool]:
    """Its status, and whether a person has ended it. The target is read anew: a lab may have been started again.

    Whatever becomes of a round, a full disk or a fault of our own, there is another one.
    """
    try:
        made = await round_of(open_target(target), probes, _Quiet(), seed, placed)
    except TargetError as error:
        tell(error)
        return EXIT_NOT_MEASURED, False
    except asyncio.CancelledError:  # between the probes and the end of the round
        click.echo("hwtest: ended before the round was done", err=True)
        return EXIT_NOT_MEASURED, True
    except Exception as error:  # noqa: BLE001 - nobody stands by to start the watch again
        click.echo(f"hwtest: this round came to nothing: {type(error).__name__}: {clean(error)}", err=True)
        return EXIT_NOT_MEASURED, False
    if made.trouble is not None:
        click.echo(f"hwtest: not in the record: {clean(made.trouble)}", err=True)
    return status_of(made), made.interrupted


def status_of(made: Round) -> int:
    """What is not in the record is not done."""
    verdicts = [result.verdict for result in made.results]
    return worst([*verdicts, *([Verdict.NOT_MEASURED] if made.trouble is not None else [])]).exit_status


async def _until_ended(work: Coroutine[Any, Any, int]) -> int:
    """A signal ends the round that runs, calls by BYE, and the watch with it; a second one ends us at once."""
    task = asyncio.ensure_future(work)
    with on_first_signal(task.cancel):
        return await task

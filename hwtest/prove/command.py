"""`hwtest prove`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from edge.version import VERSION
from hwtest.bench.machine import LoadMeter, describe_machine
from hwtest.lab import stack
from hwtest.lab.contract import Lab
from hwtest.lab.faults import FAULTS, Fault
from hwtest.lab.packages import LabError
from hwtest.options import check_file, lab_option, named_lab, page_options, result_option
from hwtest.prove import document, results
from hwtest.prove.results import Clean, Proof, Seeded, UnreadableError
from hwtest.prove.seeding import look, seed, unlooked, unseeded

AGENTS = 4
CLEAN_RUNS = 20
CLEAN_PROBES = ("quick",)
NOT_PROVEN, NOT_MEASURED = 1, 3


@click.command()
@click.option(
    "--only",
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(tuple(FAULTS)),
    help="Only this fault; may be repeated. [default: all]",
)
@click.option("--no-faults", is_flag=True, help="Seed none: the clean runs alone.")
@click.option(
    "--clean-runs",
    type=click.IntRange(min=0),
    default=CLEAN_RUNS,
    show_default=True,
    help="Runs without a fault.",
)
@click.option(
    "--clean-probe",
    "clean_probes",
    multiple=True,
    default=CLEAN_PROBES,
    show_default=True,
    help="A probe or a group that runs then; may be repeated.",
)
@lab_option()
@result_option("prove")
@page_options("docs/fault-finding.md")
def command(
    faults: tuple[str, ...],
    no_faults: bool,
    clean_runs: int,
    clean_probes: tuple[str, ...],
    directory: Path | None,
    file: Path,
    page: Path | None,
    source: Path | None,
) -> None:
    """Does hwtest find what is wrong, and blame nobody where nothing is? Seeds every fault, one at a time, and runs without one.

    Each is written as it comes, and Ctrl-C keeps what there is. Exit status 0: every fault is found with the right layer
    first, and no clean run is red; 1: something is not, each named; 3: it could not be measured, or not to its end. With
    --from the same of what the result says. All faults take half an hour, a clean run half a minute.
    """
    if faults and no_faults:
        raise click.UsageError("--only names faults, and --no-faults wants none: leave one of them out.")
    try:
        if source is not None:
            proof = results.read(source)
        else:
            chosen = () if no_faults else tuple(FAULTS[name] for name in faults or FAULTS)
            check_file(file)
            with _lab(directory) as lab:
                proof = _prove(
                    lab, chosen, clean_runs, clean_probes, lambda proof: results.write(proof, file)
                )
            _say(f"kept in {file}")
    except (LabError, UnreadableError) as error:
        click.echo(f"hwtest: {error}", err=True)
        sys.exit(NOT_MEASURED)
    if page is not None:
        document.write(proof, page)
        _say(f"page {page}")
    sys.exit(_show(proof))


@contextmanager
def _lab(directory: Path | None) -> Iterator[Lab]:
    """The lab that is named, or one that ends with the block. LabError."""
    if directory is not None:
        yield named_lab(directory)
        return
    with tempfile.TemporaryDirectory(prefix="edge101-prove-") as folder:
        place = Path(folder, "lab")
        lab = stack.up(stack.Wishes(directory=place, agents=AGENTS, mi=True), _say)
        try:
            yield lab
        finally:
            stack.down(place)


def _prove(
    lab: Lab,
    faults: tuple[Fault, ...],
    clean_runs: int,
    clean_probes: tuple[str, ...],
    keep: Callable[[Proof], None],
) -> Proof:
    """One after the other. `keep` has what there is after each, and at the end."""
    began, load = datetime.now(UTC), LoadMeter()
    seeded, clean = list[Seeded](), list[Clean]()
    place, machine = Path(lab.directory), describe_machine(lab.asterisk_version)

    def so_far(*, interrupted: bool) -> Proof:
        return Proof(
            hwtest_version=VERSION,
            started_utc=f"{began:%Y-%m-%dT%H:%M:%SZ}",
            machine=machine,
            load=load.read(),
            clean_probes=clean_probes,
            seeded=tuple(seeded),
            clean=tuple(clean),
            interrupted=interrupted,
        )

    try:
        for number, fault in enumerate(faults, 1):
            _say(f"fault {number} of {len(faults)}: {fault.name}, {fault.words}")
            try:
                seeded.append(seed(fault, place))
            except LabError as error:
                seeded.append(unseeded(fault, str(error)))
            _say(f"  {_in_words(seeded[-1])}")
            keep(so_far(interrupted=True))
        for number in range(1, clean_runs + 1):
            try:
                clean.append(look(number, clean_probes, place))
            except LabError as error:
                clean.append(unlooked(number, str(error)))
            _say(
                f"clean run {number} of {clean_runs}: {clean[-1].verdict.words} in {clean[-1].seconds:.0f} s"
            )
            keep(so_far(interrupted=True))
    except KeyboardInterrupt:
        _say("ended by a person; what there is is kept")
        proof = so_far(interrupted=True)
    else:
        proof = so_far(interrupted=False)
    keep(proof)
    return proof


def _in_words(seeded: Seeded) -> str:
    finder = seeded.finder
    if finder is None:
        return f"not found as {seeded.layer}; look at: {', '.join(seeded.looks_at) or 'nothing'}"
    return f"{finder.code} in {seeded.found_seconds:.0f} s; look at: {', '.join(seeded.looks_at)}: {finder.summary}"


def _show(proof: Proof) -> int:
    wrong = proof.wrong
    for line in wrong:
        click.echo(f"WRONG: {line}")
    found, right = sum(each.found for each in proof.seeded), sum(each.right for each in proof.seeded)
    reds = sum(len(run.reds) for run in proof.clean)
    click.echo(
        f"{found} of {len(proof.seeded)} faults found, {right} with the right layer first; "
        f"{reds} false reds in {len(proof.clean)} clean runs"
    )
    if wrong:
        return NOT_PROVEN
    if proof.interrupted or not (proof.seeded or proof.clean):
        click.echo("not to its end" if proof.interrupted else "nothing was looked at")
        return NOT_MEASURED
    return 0


def _say(line: str) -> None:
    click.echo(f"· {line}", err=True)

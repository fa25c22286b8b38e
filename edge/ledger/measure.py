"""How long a commit takes on this disk: `python -m edge.ledger.measure [DIRECTORY]`.

Beside the ledger on disk stand the same commits in memory (what encoding and chaining cost) and a bare write and fsync
(what the disk costs).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

import click

from edge.core.facts import CallArrived, Entry
from edge.core.model import ClockState, Instant
from edge.ledger.store import open_ledger
from edge.ports import Ledger

SIZES = (1, 10, 100)


def arrivals(first: int, count: int) -> list[Entry]:
    """`count` facts of common size with personal data, the dearest kind, from sequence `first` on."""
    return [_arrival(sequence) for sequence in range(first, first + count)]


def _arrival(sequence: int) -> Entry:
    fact = CallArrived(
        call_id=f"call-{sequence:012d}",
        leg_id=f"leg-{sequence:012d}",
        line="101",
        number_withheld=False,
        adopted=False,
        caller_number="+447700900123",  # Ofcom's range for drama: nobody's number
        caller_name="A Caller",
    )
    reason = "A call on line 101 arrived and was answered; it takes its place in queue 101."
    at = Instant(sequence * 1000, sequence)
    return Entry(sequence=sequence, at=at, fact=fact, reason=reason, clock=ClockState.SYNCHRONISED)


def timed(work: Callable[[int], None], repetitions: int) -> list[float]:
    """Milliseconds that each repetition of `work` took."""
    taken = []
    for repetition in range(repetitions):
        began = time.perf_counter_ns()
        work(repetition)
        taken.append((time.perf_counter_ns() - began) / 1e6)
    return taken


def commits(ledger: Ledger, size: int, repetitions: int) -> list[float]:
    """Milliseconds of each commit of `size` facts."""
    first = ledger.last_sequence() + 1
    batches = [arrivals(first + size * number, size) for number in range(repetitions)]
    return timed(lambda number: ledger.append(batches[number]), repetitions)


def fsyncs(file: Path, repetitions: int) -> list[float]:
    """Milliseconds of each write of one page and its fsync."""
    with file.open("wb", buffering=0) as disk:

        def write(_: int) -> None:
            disk.write(bytes(4096))
            os.fsync(disk.fileno())

        return timed(write, repetitions)


def report(name: str, taken: list[float]) -> None:
    """One line of the table."""
    cuts = quantiles(taken, n=100)
    click.echo(f"{name:<24}{len(taken):>6}{cuts[49]:>10.3f}{cuts[98]:>10.3f}{max(taken):>10.3f}")


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--repetitions", default=1000, show_default=True, help="Commits per batch size.")
def main(directory: Path, repetitions: int) -> None:
    """Measure commits on the file system of DIRECTORY (the current one)."""
    click.echo(f"{'milliseconds':<24}{'n':>6}{'p50':>10}{'p99':>10}{'max':>10}")
    with tempfile.TemporaryDirectory(dir=directory) as place:
        report("write and fsync", fsyncs(Path(place, "page"), repetitions))
        for name, url in (("memory", "memory:"), ("sqlite", f"sqlite:///{place}/ledger.db")):
            ledger = open_ledger(url)
            for size in SIZES:
                report(f"{name}, batch of {size}", commits(ledger, size, repetitions))
            ledger.close()


if __name__ == "__main__":
    main()

"""Many nights, one after the other: figures, the record, and what is printed when a promise is broken."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, islice
from pathlib import Path

import click
import structlog

from edge.pbx.simulated.legs import Counts
from tests.simulation.night import NightFailedError, Result, simulate

SHARED_MEMORY = Path("/dev/shm")
"""The ledgers of a night lie here where there is such a place: real files, whose fsync costs nothing."""
CRITICAL = 50


@dataclass(slots=True)
class Figures:
    """What many nights were together."""

    nights: int = 0
    calls: int = 0
    facts: int = 0
    simulated_seconds: float = 0.0
    faults: Counts = field(default_factory=Counts)
    outcomes: Counts = field(default_factory=Counts)
    broken: int = 0
    began: float = field(default_factory=time.monotonic)

    def add(self, night: Result) -> None:
        """One more."""
        self.nights += 1
        self.calls += night.calls
        self.facts += night.facts
        self.simulated_seconds += night.seconds
        for name, times in night.faults.by_name.items():
            self.faults.add(name, times)
        for name, times in night.outcomes.by_name.items():
            self.outcomes.add(name, times)

    @property
    def took_seconds(self) -> float:
        """Real time so far."""
        return time.monotonic() - self.began

    def __str__(self) -> str:
        """A line of figures, then one each of faults and outcomes."""
        hours = self.simulated_seconds / 3600
        return (
            f"{self.nights} nights, {self.calls} calls, {self.facts} facts, {hours:.1f} simulated hours, "
            f"{self.faults.total} faults, {self.broken} broken, in {self.took_seconds:.0f} s\n"
            f"  faults: {_listed(self.faults)}\n  ends: {_listed(self.outcomes)}"
        )


def _listed(counts: Counts) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(counts.by_name.items()))


@contextmanager
def quiet() -> Iterator[None]:
    """Without the duty log, which would be longer than anybody reads."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def one_night(seed: int, calls: int) -> Result:
    """A night in a ledger of its own, which is gone afterwards. Raises `NightFailedError`."""
    place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with quiet(), tempfile.TemporaryDirectory(prefix="edge101-night-", dir=place) as directory:
        return simulate(seed, calls, Path(directory))


def run_seeds(first: int, seeds: int, calls: int, record: Path | None) -> None:
    """Nights from seed `first` on; `seeds` 0: until stopped. Ends with exit code 1 at the first broken promise."""
    figures = Figures()
    numbers = count(first) if seeds == 0 else islice(count(first), seeds)
    try:
        for seed in numbers:
            night = one_night(seed, calls)
            figures.add(night)
            if seeds == 1:
                click.echo(f"seed {seed}: facts {night.digest}")
            elif figures.nights % 25 == 0:
                click.echo(f"up to seed {seed}: {figures}")
    except KeyboardInterrupt:
        click.echo("stopped")
    except NightFailedError as failure:
        figures.broken += 1
        _explain(failure)
    click.echo(str(figures))
    if record is not None:
        add_to_record(record, first, calls, figures)
    if figures.broken:
        sys.exit(1)


def _explain(failure: NightFailedError) -> None:
    """What was broken, what had happened just before, and how to see it again."""
    click.echo("\n".join(failure.recently))
    error = failure.__cause__
    frames = traceback.extract_tb(error.__traceback__ if error is not None else None)[-4:]
    click.echo("".join(traceback.format_list(frames)))
    click.echo(f"seed {failure.seed} broke a promise: {type(error).__name__}: {str(error)[:1000]}")
    click.echo(f"again: make simulate SEED={failure.seed} CALLS={failure.calls}")
    click.echo(
        "keep it: add it to SEEDS in tests/regressions/test_nights.py, or better its shortest table beside it"
    )


def add_to_record(record: Path, first: int, calls: int, figures: Figures) -> None:
    """One more row in the table at the end of the record."""
    day = datetime.now(UTC).date().isoformat()
    seeds = f"{first} to {first + figures.nights + figures.broken - 1}"
    cells = (
        day,
        seeds,
        calls,
        figures.calls,
        figures.facts,
        f"{figures.simulated_seconds / 3600:.1f}",
        figures.faults.total,
        figures.broken,
        f"{figures.took_seconds:.0f}",
    )
    with record.open("a", encoding="utf-8") as file:
        file.write("| " + " | ".join(str(cell) for cell in cells) + " |\n")

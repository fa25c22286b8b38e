"""`make simulate`: nights from seeds, and what to do when one breaks a promise."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from pathlib import Path

import click

from tests.simulation import harness


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed.")
@click.option("--seeds", default=1, show_default=True, help="How many seeds; 0: until stopped.")
@click.option("--calls", default=60, show_default=True, help="Callers in each night.")
@click.option("--record", type=click.Path(path_type=Path), help="Add the figures to this file.")
def main(seed: int, seeds: int, calls: int, record: Path | None) -> None:
    """Simulate nights; stop at the first broken promise."""
    harness.run_seeds(seed, seeds, calls, record)


if __name__ == "__main__":
    main()

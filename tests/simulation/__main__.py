"""`make simulate`: nights from seeds, and what to do when one breaks a promise."""

from __future__ import annotations

from pathlib import Path

import click

from tests.simulation.harness import run_seeds


@click.command()
@click.option("--seed", default=1, show_default=True, help="The first seed.")
@click.option("--seeds", default=1, show_default=True, help="How many seeds; 0: until stopped.")
@click.option("--calls", default=80, show_default=True, help="Callers in each night.")
@click.option("--record", type=click.Path(path_type=Path), help="Add a row of figures to this table.")
def main(seed: int, seeds: int, calls: int, record: Path | None) -> None:
    """Simulate nights; end at the first broken promise."""
    run_seeds(seed, seeds, calls, record)


if __name__ == "__main__":
    main()

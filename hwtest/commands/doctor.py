"""`hwtest doctor`."""

from __future__ import annotations

import sys

import click

from edge.cli import output
from hwtest.doctor import Ability, examine
from hwtest.probes.contract import Probe
from hwtest.probes.registry import all_probes


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> None:
    """What this machine can measure, which probes cannot run for want of something, and the command that mends it.

    Exit status 0: everything is there; 1: something is missing.
    """
    abilities, probes = examine(), all_probes()
    if as_json:
        output.emit(
            [
                {
                    "name": ability.name,
                    "there": ability.there,
                    "found": ability.found,
                    "used_for": ability.used_for,
                    "mend": ability.mend,
                    "probes": _wanting(ability, probes),
                }
                for ability in abilities
            ]
        )
    else:
        _show(abilities, probes)
    sys.exit(0 if all(ability.there for ability in abilities) else 1)


def _show(abilities: list[Ability], probes: list[Probe]) -> None:
    console = output.console()
    rows = [
        ("yes" if ability.there else "NO", ability.name, ability.found, ability.used_for)
        for ability in abilities
    ]
    console.print(output.table(("=", "=what", "found", "used for"), rows))
    for ability in abilities:
        if not ability.there:
            console.print()
            console.print(output.text(f"{ability.name}: {ability.mend}"))
            if names := _wanting(ability, probes):
                console.print(output.text(f"  without it not measured: {' '.join(names)}"))


def _wanting(ability: Ability, probes: list[Probe]) -> list[str]:
    return [probe.name for probe in probes if ability.need is not None and ability.need in probe.needs]

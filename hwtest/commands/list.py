"""`hwtest list`."""

from __future__ import annotations

import click

from edge.cli import output
from hwtest.probes.registry import GROUPS, QUICK, all_probes


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> None:
    """Every probe in the order in which a technician goes: is the meter good, the wire, one call, the queue, the record."""
    probes = all_probes()
    if as_json:
        output.emit(
            [
                {
                    "number": probe.number,
                    "name": probe.name,
                    "title": probe.title,
                    "level": probe.level.value,
                    "needs": sorted(need.value for need in probe.needs),
                    "seconds": probe.seconds,
                    "term": probe.term,
                    "reference": probe.reference,
                    "quick": probe.number in QUICK,
                    "codes": [explanation.code for explanation in probe.explanations],
                }
                for probe in probes
            ]
        )
        return
    rows = [
        (
            probe.number,
            probe.name,
            probe.level.value,
            f"{probe.seconds:.0f}",
            " ".join(sorted(need.value for need in probe.needs)),
            probe.title,
        )
        for probe in probes
    ]
    console = output.console()
    console.print(output.table((">#", "=probe", "level", ">s", "needs", "what it shows"), rows))
    console.print()
    console.print(output.text("Groups, for `hwtest run`:"))
    console.print(output.pairs({f"  {name}": words for name, words in GROUPS.items()}))

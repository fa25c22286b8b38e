"""`hwtest explain`."""

from __future__ import annotations

import sys

import click

from edge.cli import output
from hwtest.commands.probing import EXIT_NOT_MEASURED
from hwtest.probes.contract import Explanation, Probe
from hwtest.probes.registry import UnknownProbeError, explain
from hwtest.report.words import expected


@click.command("explain")
@click.argument("name")
def command(name: str) -> None:
    """What a probe (sip.options) measures, or what a finding (sip.options.slow) means and how to mend it."""
    try:
        probe, explanation = explain(name)
    except UnknownProbeError as error:
        click.echo(f"hwtest: {error}", err=True)
        sys.exit(EXIT_NOT_MEASURED)
    console = output.console()
    console.print(
        output.text(f"{name}: {probe.title if explanation is None else explanation.meaning}", "bold")
    )
    console.print(output.pairs(_of_probe(probe) if explanation is None else _of_finding(probe, explanation)))


def _of_probe(probe: Probe) -> dict[str, object]:
    needs = ", ".join(sorted(need.value for need in probe.needs)) or "nothing"
    return {
        "why": probe.meaning,
        "term": probe.term,
        "reference": probe.reference,
        "level": f"{probe.level.value}; needs {needs}; takes about {probe.seconds:.0f} s",
        **{threshold.figure.replace("_", " "): expected(threshold) for threshold in probe.thresholds},
        **{explanation.code: explanation.meaning for explanation in probe.explanations},
    }


def _of_finding(probe: Probe, explanation: Explanation) -> dict[str, object]:
    expectation = [expected(t) for t in probe.thresholds if t.code == explanation.code]
    return {
        "look at": explanation.layer.value,
        "the caller": explanation.caller_notices,
        **{f"likely {place}": cause for place, cause in enumerate(explanation.causes, 1)},
        "confirm": explanation.confirm,
        "mend": explanation.mend,
        **({"expected": "; ".join(expectation)} if expectation else {}),
        "found by": f"hwtest run {probe.name}",
    }

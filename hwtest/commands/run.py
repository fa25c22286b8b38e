"""`hwtest run`."""

from __future__ import annotations

import sys
from typing import Any

import click

from hwtest.commands.probing import Wishes, perform, probing_options


@click.command("run")
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--schema", is_flag=True, help="Print the JSON schema of a result, and run nothing.")
@probing_options
def command(names: tuple[str, ...], schema: bool, **wishes: Any) -> None:
    """Run probes by NAME (sip.options), by the part before the dot (sip), or by group (quick, accept, lab, watch).

    Exit status 0: all pass; 1: warnings; 2: something failed; 3: something could not be measured, which is never a pass.
    """
    if schema:
        from edge.cli.output import emit
        from hwtest.report.result import schema as of_result

        emit(of_result())
        return
    if not names:
        raise click.UsageError("Name a probe or a group; `hwtest list` shows them.")
    sys.exit(perform(names, Wishes(**wishes)))

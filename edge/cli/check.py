"""`edge check`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.output import clean, emit, json_option

if TYPE_CHECKING:
    from edge.config import Finding
    from edge.config.check import Capabilities


@click.command("check")
@click.option(
    "--asterisk",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Look at the switch's own files too, such as /etc/asterisk.",
)
@json_option
@click.pass_obj
def command(path: str, asterisk: Path | None, as_json: bool) -> None:
    """Look for mistakes, like `nginx -t`: what is wrong, where, and the line that mends it.

    Exit code 1 when there is an error; warnings do not prevent a start.
    """
    from edge.config.check import capabilities, check
    from edge.config.findings import Level

    findings = check(path, asterisk)
    can = capabilities(path)
    errors = sum(finding.level is Level.ERROR for finding in findings)
    if as_json:
        emit(
            {
                "file": path,
                "errors": errors,
                "warnings": len(findings) - errors,
                "findings": list(map(_json, findings)),
                "switch": None if can is None else asdict(can),
            }
        )
    else:
        for finding in findings:
            click.echo(clean(f"{finding.level.value}: {finding.where}: {finding.problem}"))
            click.echo(f"    {clean(finding.mend)}")
        if can is not None:
            click.echo(clean(_words(can)))
        click.echo(
            f"{clean(path)}: {errors} errors, {len(findings) - errors} warnings"
            if findings
            else f"{clean(path)}: well"
        )
    if errors:
        raise SystemExit(1)


def _words(can: Capabilities) -> str:
    notices = "new callers within 0.7 s" if can.claims_callers else "the dead-man alone"
    account = "has its account" if can.rescue else "has no account ([switch.rescue])"
    return f"Asterisk {can.version}: a daemon that hangs is noticed by {notices}; edge rescue {account}"


def _json(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level.value,
        "where": finding.where,
        "problem": finding.problem,
        "mend": finding.mend,
    }

"""`edge check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.cli.output import clean, emit, json_option

if TYPE_CHECKING:
    from edge.config import Finding


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
    from edge.config import check
    from edge.config.findings import Level

    findings = check(path, asterisk)
    errors = sum(finding.level is Level.ERROR for finding in findings)
    if as_json:
        emit(
            {
                "file": path,
                "errors": errors,
                "warnings": len(findings) - errors,
                "findings": list(map(_json, findings)),
            }
        )
    else:
        for finding in findings:
            click.echo(clean(f"{finding.level.value}: {finding.where}: {finding.problem}"))
            click.echo(f"    {clean(finding.mend)}")
        click.echo(
            f"{clean(path)}: {errors} errors, {len(findings) - errors} warnings"
            if findings
            else f"{clean(path)}: well"
        )
    if errors:
        raise SystemExit(1)


def _json(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level.value,
        "where": finding.where,
        "problem": finding.problem,
        "mend": finding.mend,
    }

"""`edge replay`."""

from __future__ import annotations

import click

from edge.cli import output
from edge.cli.places import reading, site


@click.command("replay")
@output.json_option
def command(as_json: bool) -> None:
    """Fold the whole ledger from its first fact, and compare with the newest checkpoint and the facts after it.

    Exit code 1 when the folds differ or a fact is not allowed where it stands.
    """
    from edge.views.refold import refold

    with reading(site().ledger_url) as reader:
        found = refold(reader)
    agree = found.difference is None
    if as_json:
        output.emit(
            {
                "agree": agree,
                "difference": found.difference,
                "checkpoint_sequence": found.checkpoint_sequence,
                "facts": found.state.sequence,
                "kinds": dict(sorted(found.kinds.items())),
                "open_calls": len(found.state.calls),
                "agents": len(found.state.agents),
            }
        )
    else:
        output.console().print(output.table(("kind", ">facts"), sorted(found.kinds.items())))
        click.echo(f"\n{found.state.sequence} facts, {len(found.state.calls)} calls open")
        click.echo(_verdict(found.checkpoint_sequence, found.difference))
    if not agree:
        raise SystemExit(1)


def _verdict(checkpoint_sequence: int | None, difference: str | None) -> str:
    if checkpoint_sequence is None:
        return "no checkpoint to compare with"
    if difference is None:
        return f"both folds agree (checkpoint at {checkpoint_sequence})"
    return f"THE FOLDS DIFFER at {output.clean(difference)}"

"""`edge why`."""

from __future__ import annotations

import click

from edge.cli import output
from edge.cli.one_call import entries_of_call
from edge.cli.places import reading, site
from edge.views import shapes


@click.command("why", context_settings={"ignore_unknown_options": True})
@click.argument("call_id", metavar="ID")
@output.json_option
def command(call_id: str, as_json: bool) -> None:
    """The answer to a complaint: what became of a call in one sentence, then one line per decision.

    ID may be the end of an id, such as -17, as long as no other call's id ends so.
    """
    from edge.views.calls import fold_calls
    from edge.views.story import decisions, outcome_sentence

    with reading(site().ledger_url) as reader:
        found = entries_of_call(reader, call_id)
    (call,) = fold_calls(found).values()
    made = decisions(found)
    if as_json:
        output.emit(
            {
                "call_id": call.call_id,
                "outcome": outcome_sentence(call),
                "decisions": [
                    {
                        "at": shapes.instant(decision.at),
                        "offset_seconds": decision.offset_seconds,
                        "reason": decision.reason,
                        "sequences": list(decision.sequences),
                    }
                    for decision in made
                ],
            }
        )
        return
    click.echo(output.clean(outcome_sentence(call)))
    for decision in made:
        when = f"{output.local(decision.at, '%Y-%m-%d')} {output.clock(decision.at)}"
        click.echo(f"{when} {decision.offset_seconds:+10.3f} s  {output.clean(decision.reason)}")

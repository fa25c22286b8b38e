"""`edge agents`."""

from __future__ import annotations

import click

from edge.cli import output
from edge.cli.places import reading, site
from edge.views import shapes


@click.command("agents")
@output.json_option
def command(as_json: bool) -> None:
    """Agents with their states, phones and calls of today, as the daemon last saw them."""
    from edge.cli.picture import Picture, state_words

    here = site()
    with reading(here.ledger_url) as reader:
        views = Picture(reader, here).agents
    at = output.now()
    if as_json:
        output.emit(
            {
                "agents": [
                    {
                        "agent": view.agent,
                        "name": view.name,
                        "state": view.state.value,
                        "since": shapes.instant(view.since),
                        "phone": view.phone,
                        "phone_state": view.phone_state.value,
                        "not_ready_reason": view.not_ready_reason,
                        "call_id": view.call_id,
                        "call_kind": view.call_kind,
                        "held": view.held,
                        "supervised_by": list(view.supervised_by),
                        "missed_in_a_row": view.missed_in_a_row,
                        "wrap_up_owed_seconds": view.wrap_up_owed_seconds,
                        "wrap_up_until": shapes.instant(view.wrap_up_until),
                        "answered": view.answered,
                        "talked_seconds": view.talked_seconds,
                    }
                    for view in views
                ]
            }
        )
        return
    columns = (
        "=agent",
        "name",
        "state",
        "=since",
        ">for s",
        "phone",
        "phone is",
        "=call",
        "=kind",
        ">answered",
        ">talked s",
    )
    rows = [
        (
            view.agent,
            view.name,
            state_words(view),
            output.local(view.since),
            output.seconds(None if view.since is None else output.age_seconds(view.since, at), 0),
            view.phone,
            view.phone_state.value if view.phone else "",
            view.call_id,
            view.call_kind,
            view.answered,
            output.seconds(view.talked_seconds, 0),
        )
        for view in views
    ]
    output.console().print(output.table(columns, rows))

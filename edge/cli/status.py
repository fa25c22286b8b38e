"""`edge status`."""

from __future__ import annotations

import click

from edge.cli.output import console, emit, json_option
from edge.cli.places import reading, site


@click.command("status")
@json_option
def command(as_json: bool) -> None:
    """Daemon, switch, clock, ledger, queues, agents and calls in one look.

    Exit code 1 when calls are not being served: the daemon is not running, does not see the switch, or its ledger is in
    trouble. "under target": calls of today that were answered in less than the target, of all that were answered or lost.
    """
    from edge.cli.picture import Picture, picture_json, render

    here = site()
    with reading(here.ledger_url) as reader:
        picture = Picture(reader, here)
    if as_json:
        emit(picture_json(picture))
    else:
        console().print(render(picture))
    if not picture.well:
        raise SystemExit(1)

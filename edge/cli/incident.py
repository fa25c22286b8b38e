"""`edge incident`: the major-incident switch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edge.cli import output
from edge.cli.places import Site, reading, site
from edge.views import shapes

if TYPE_CHECKING:
    from edge.core.facts import Entry
    from edge.ledger.store import SqlReader
    from edge.pbx.asterisk.control import Link


@click.group("incident")
def command() -> None:
    """A major incident: while one is declared, 101 callers hear its greeting, and its closed queues take no more of them.

    No 999 and no upgraded 101 is touched. What changes stands in [incident] of the configuration. It holds until it is ended,
    through restarts too.
    """


@command.command("declare")
@output.json_option
def declare(as_json: bool) -> None:
    """Declare a major incident now."""
    _set(True, as_json)


@command.command("end")
@output.json_option
def end(as_json: bool) -> None:
    """The major incident is over."""
    _set(False, as_json)


@command.command("show")
@output.json_option
def show(as_json: bool) -> None:
    """Whether a major incident is declared, since when and by whom, and what it changes."""
    here = site()
    with reading(here.ledger_url) as reader:
        _say(_declared(reader), here, as_json)


def _set(active: bool, as_json: bool) -> None:
    from edge.cli.telling import tell, user
    from edge.core import facts
    from edge.pbx.asterisk.notices import declare_incident

    here, by = site(), user()
    with reading(here.ledger_url) as reader:
        declared = _declared(reader)
    if (declared is not None) == active:
        _say(declared, here, as_json, changed=False)
        return
    wanted = facts.IncidentDeclared if active else facts.IncidentEnded

    async def send(link: Link) -> None:
        await declare_incident(link, active, by)

    entry = tell(here.ledger_url, send, lambda entry: isinstance(entry.fact, wanted))
    _say(entry if active else None, here, as_json, changed=True)


def _declared(reader: SqlReader) -> Entry | None:
    """The declaration that holds, None when there is none."""
    from edge.core.facts import IncidentDeclared
    from edge.views.reading import entries, open_state, sequence_before

    since = open_state(reader).incident_since
    if since is None:
        return None
    declarations = (
        entry
        for entry in entries(reader, sequence_before(reader, since.utc_us))
        if isinstance(entry.fact, IncidentDeclared) and entry.at.utc_us == since.utc_us
    )
    return next(declarations, None)


def _say(declared: Entry | None, here: Site, as_json: bool, changed: bool | None = None) -> None:
    """`changed`: whether this command made it so; None where it only looked."""
    by: str | None = getattr(declared.fact, "by", None) if declared is not None else None
    if as_json:
        said: dict[str, Any] = {
            "declared": declared is not None,
            "since": shapes.instant(declared.at) if declared is not None else None,
            "by": by,
            "greeting": here.incident_greeting,
            "closed_queues": list(here.incident_queues),
        }
        output.emit(said if changed is None else {**said, "changed": changed})
        return
    still = "already " if changed is False else ""
    if declared is None:
        click.echo("the major incident is over" if changed else "no major incident is declared")
        return
    click.echo(output.clean(f"MAJOR INCIDENT {still}declared by {by} at {output.local(declared.at)}"))
    greeting, queues = here.incident_greeting, ", ".join(here.incident_queues)
    click.echo(output.clean(f"greeting of 101: {greeting}" if greeting else "greetings are unchanged"))
    click.echo(output.clean(f"closed to new 101 callers: {queues}" if queues else "no queue is closed"))

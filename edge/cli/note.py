"""`edge note`: what belongs to a call and is known elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from edge.cli import Failure, output
from edge.cli.one_call import entries_of_call
from edge.cli.places import reading, site
from edge.cli.telling import Word, tell, user

if TYPE_CHECKING:
    from edge.core.facts import Entry
    from edge.pbx.asterisk.control import Link

ENDING = {"ignore_unknown_options": True}
"""Of an id, such as -17, is no option."""


@click.group("note")
def command() -> None:
    """Attach to a call what is known elsewhere, or mark its caller. It becomes a fact of the call's record.

    CALL may be the end of an id, such as -17, as long as no other call's id ends so. Calls that have ended can be noted too.
    """


@command.command("incident", context_settings=ENDING)
@click.argument("call_id", metavar="CALL")
@click.argument("reference", type=Word())
@output.json_option
def incident(call_id: str, reference: str, as_json: bool) -> None:
    """The call belongs to the incident with this REFERENCE."""
    _annotate(call_id, "incident", reference, "", as_json)


@command.command("recording", context_settings=ENDING)
@click.argument("call_id", metavar="CALL")
@click.argument("recording", type=Word(), metavar="ID")
@click.option("--started", "state", flag_value="started", help="The recorder has begun.")
@click.option("--stopped", "state", flag_value="stopped", help="The recorder has ended.")
@click.option("--failed", "state", flag_value="failed", help="The call is not recorded, or no longer.")
@output.json_option
def recording(call_id: str, recording: str, state: str | None, as_json: bool) -> None:
    """The recorder's ID of the call, and what became of the recording."""
    if state is None:
        raise click.UsageError("say what became of it: --started, --stopped or --failed")
    _annotate(call_id, "recording", recording, state, as_json)


@command.command("assisted", context_settings=ENDING)
@click.argument("call_id", metavar="CALL")
@output.json_option
def assisted(call_id: str, as_json: bool) -> None:
    """The caller comes through a relay (text, BSL): no timed menu, and a longer ring at the handler's phone."""
    from edge.core.facts import CallMarkedAssisted
    from edge.pbx.asterisk.notices import mark_assisted
    from edge.views.calls import fold_calls

    url, by = site().ledger_url, user()
    with reading(url) as reader:
        (call,) = fold_calls(entries_of_call(reader, call_id)).values()
    if call.ended_at is not None:
        raise Failure(f"call {call.call_id} has ended: only a call that is open can be marked", 1)
    if call.assisted:
        _say(call.call_id, "assisted already", as_json)
        return

    async def send(link: Link) -> None:
        await mark_assisted(link, call.call_id, by)

    _record(
        call.call_id, send, lambda e: isinstance(e.fact, CallMarkedAssisted), "marked as assisted", as_json
    )


def _annotate(call_id: str, kind: str, value: str, state: str, as_json: bool) -> None:
    from edge.core.facts import CallAnnotated
    from edge.pbx.asterisk.notices import annotate

    by = user()
    with reading(site().ledger_url) as reader:
        call_id = getattr(entries_of_call(reader, call_id)[0].fact, "call_id")  # noqa: B009 - facts of a call have one

    async def send(link: Link) -> None:
        await annotate(link, call_id, kind, value, state, by)

    def is_it(entry: Entry) -> bool:
        fact = entry.fact
        return isinstance(fact, CallAnnotated) and (fact.kind, fact.value, fact.state) == (kind, value, state)

    _record(call_id, send, is_it, f"{kind} {value} {state or 'attached'}", as_json)


def _record(
    call_id: str,
    send: Callable[[Link], Awaitable[None]],
    is_it: Callable[[Entry], bool],
    what: str,
    as_json: bool,
) -> None:
    tell(site().ledger_url, send, lambda e: getattr(e.fact, "call_id", None) == call_id and is_it(e))
    _say(call_id, what, as_json)


def _say(call_id: str, what: str, as_json: bool) -> None:
    if as_json:
        output.emit({"call_id": call_id, "done": what})
    else:
        click.echo(output.clean(f"call {call_id}: {what}"))

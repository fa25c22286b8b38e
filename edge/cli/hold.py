"""`edge hold`: legal holds."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from edge.cli import output
from edge.cli.one_call import entries_of_call
from edge.cli.places import reading, site
from edge.cli.protection import number_given, warrant, why_option
from edge.errors import PermanentError

if TYPE_CHECKING:
    from edge.ledger.maintenance import Hold


@click.group("hold")
def command() -> None:
    """Legal holds: what they hold is neither erased nor removed by retention, until they are released."""


@command.command("add", context_settings={"ignore_unknown_options": True})
@click.option("--call", metavar="CALL", help="This call; the end of its id will do.")
@click.option(
    "--number",
    metavar="NUMBER",
    help="Every call with this number in it; - reads it from the standard input.",
)
@click.option("--from", "from_day", type=click.DateTime(["%Y-%m-%d"]), help="Everything from this day on.")
@click.option(
    "--until", "until_day", type=click.DateTime(["%Y-%m-%d"]), help="Everything up to the end of this day."
)
@why_option
@output.json_option
def add(
    call: str | None,
    number: str | None,
    from_day: datetime | None,
    until_day: datetime | None,
    why: str,
    as_json: bool,
) -> None:
    """Hold one call, one number, or a period of local days."""
    from edge.ledger.maintenance import Hold
    from edge.ledger.store import open_for_maintenance

    if [call is not None, number is not None, from_day is not None or until_day is not None].count(True) != 1:
        raise click.UsageError("say what is held: --call, --number, or --from and --until (one of the three)")
    if from_day and until_day and until_day < from_day:
        raise click.UsageError("--until is before --from")
    found = site()
    url = found.ledger_url
    wanted = Hold(
        hold=0,
        since_utc_us=output.now().utc_us,
        by="",
        why=why,
        number=None if number is None else number_given(number),
        call_id=None if call is None else _call_id(url, call),
        from_utc_us=None if from_day is None else _midnight_us(from_day.date(), found.timezone),
        until_utc_us=None
        if until_day is None
        else _midnight_us(until_day.date() + timedelta(days=1), found.timezone) - 1,
    )
    ledger = open_for_maintenance(url)
    try:
        with ledger.maintenance() as maintenance:
            given = maintenance.hold(warrant(why), wanted)
    finally:
        ledger.close()
    if as_json:
        output.emit({"hold": given})
    else:
        click.echo(f"hold {given} holds: {_what(wanted)}")


@command.command("list")
@click.option("--all", "released", is_flag=True, help="Those that were released too.")
@output.json_option
def list_(released: bool, as_json: bool) -> None:
    """What is held, since when, by whom and why. Numbers are masked."""
    with reading(site().ledger_url) as reader:
        found = reader.holds(released=released)
    if as_json:
        output.emit({"holds": [_json(each) for each in found]})
        return
    rows = [
        (
            each.hold,
            _what(each),
            output.rfc3339(each.since_utc_us),
            each.by,
            each.why,
            "" if each.released_utc_us is None else output.rfc3339(each.released_utc_us),
        )
        for each in found
    ]
    output.console().print(output.table((">hold", "what", "=since", "=by", "why", "=released"), rows))


@command.command("release")
@click.argument("number", metavar="HOLD", type=click.IntRange(min=1))
@why_option
@output.json_option
def release(number: int, why: str, as_json: bool) -> None:
    """End a hold. What it held is erased by the next erasure or retention, not by this."""
    from edge.ledger.store import open_for_maintenance

    ledger = open_for_maintenance(site().ledger_url)
    try:
        with ledger.maintenance() as maintenance:
            maintenance.release(warrant(why), number)
    finally:
        ledger.close()
    if as_json:
        output.emit({"released": number})
    else:
        click.echo(f"hold {number} is released")


def _call_id(url: str, ending: str) -> str:
    with reading(url) as reader:
        found = (getattr(entry.fact, "call_id", None) for entry in entries_of_call(reader, ending))
        return next(str(call_id) for call_id in found if call_id is not None)


def _midnight_us(day: date, timezone: str) -> int:
    from edge.metrics.periods import midnight

    try:
        return midnight(day, ZoneInfo(timezone))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise PermanentError(
            f"[site] timezone = {timezone!r} is no time zone known here: run `edge check`"
        ) from error


def _what(hold: Hold) -> str:
    from edge.views.caller import masked

    if hold.call_id is not None:
        return f"call {hold.call_id}"
    if hold.number is not None:
        return f"number {masked(hold.number, False)}"
    if hold.from_utc_us is None and hold.until_utc_us is None:
        return "a number"
    begins = "the beginning" if hold.from_utc_us is None else output.rfc3339(hold.from_utc_us)
    return f"from {begins} " + (
        "on" if hold.until_utc_us is None else f"to {output.rfc3339(hold.until_utc_us)}"
    )


def _json(hold: Hold) -> dict[str, Any]:
    from edge.views.caller import masked

    return {
        "hold": hold.hold,
        "since": output.rfc3339(hold.since_utc_us),
        "by": hold.by,
        "why": hold.why,
        "call_id": hold.call_id,
        "number_mask": None if hold.number is None else masked(hold.number, False),
        "from": None if hold.from_utc_us is None else output.rfc3339(hold.from_utc_us),
        "until": None if hold.until_utc_us is None else output.rfc3339(hold.until_utc_us),
        "released": None if hold.released_utc_us is None else output.rfc3339(hold.released_utc_us),
    }

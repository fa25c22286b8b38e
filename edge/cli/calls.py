"""`edge calls`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.places import reading, site
from edge.core.model import MICROSECONDS, CallOutcome, Instant, Stage
from edge.views import shapes
from edge.views.words import kind_of

if TYPE_CHECKING:
    from edge.views.calls import CallRecord, OfferRecord
    from edge.views.reading import Reader

AGES = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Since(click.ParamType[int]):
    """An age (`90s`, `15m`, `2h`, `1d`) or a time (RFC 3339; local time without an offset) as microseconds of UTC."""

    name = "since"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Microseconds of UTC."""
        if isinstance(value, int):
            return value
        written = str(value)
        if written[-1:] in AGES and written[:-1].isdecimal():
            age = timedelta(seconds=int(written[:-1]) * AGES[written[-1]])
            return output.now().utc_us - int(age.total_seconds() * MICROSECONDS)
        try:
            moment = datetime.fromisoformat(written)
        except ValueError:
            self.fail(f"{written!r} is no age such as 15m and no time such as 2026-11-22T14:00", param, ctx)
        return round(moment.astimezone(UTC).timestamp() * MICROSECONDS)


@click.command("calls")
@click.option("--open", "only_open", is_flag=True, help="Only calls that have not ended.")
@click.option(
    "--last", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="The newest N."
)
@click.option(
    "--since", type=Since(), help="Calls that arrived since: 15m, 2h, 1d, or 2026-11-22T14:00. All of them."
)
@click.option("--line", help="Calls of this line.")
@click.option("--class", "priority_class", help="Calls that have this class, or had when they ended.")
@click.option("--language", help="Calls in this language, such as cy.")
@click.option("--upgraded", is_flag=True, help="Only 101 whose caller pressed the emergency key.")
@click.option("--callbacks", is_flag=True, help="Only calls that were promised a call-back.")
@click.option("--test", is_flag=True, help="Only test calls, which are in no figure.")
@click.option(
    "--outcome", type=click.Choice([outcome.value for outcome in CallOutcome]), help="Calls that ended so."
)
@output.numbers_option
@output.json_option
def command(
    only_open: bool,
    last: int,
    since: int | None,
    line: str | None,
    priority_class: str | None,
    language: str | None,
    upgraded: bool,
    callbacks: bool,
    test: bool,
    outcome: str | None,
    numbers: bool,
    as_json: bool,
) -> None:
    """Calls with their waits and outcomes, oldest first. --last counts what the other options leave."""
    here = site()

    def wanted(call: CallRecord) -> bool:
        return (
            (not only_open or call.ended_at is None)
            and (since is None or call.arrived_at.utc_us >= since)
            and (line is None or call.line == line)
            and (priority_class is None or call.priority_class == priority_class)
            and (language is None or call.language == language)
            and (not upgraded or call.upgraded_at is not None)
            and (not callbacks or call.callback is not None)
            and (not test or call.test)
            and (outcome is None or call.outcome == outcome)
        )

    with reading(here.ledger_url) as reader:
        if only_open:
            found = list(filter(wanted, _open(reader)))
        elif since is not None:
            found = list(filter(wanted, _since(reader, since)))
        else:
            found = _last(reader, last, wanted)
    if since is None:
        found = found[-last:]
    shown = shapes.callers(here.ledger_url, numbers)
    if as_json:
        output.emit({"calls": [shapes.call_json(call, shown) for call in found]})
    else:
        output.console().print(_table(found, shown))


def _open(reader: Reader) -> Iterable[CallRecord]:
    from edge.views.calls import fold_calls
    from edge.views.reading import open_state

    for call_id in open_state(reader).calls:
        yield from fold_calls(reader.read_call(call_id)).values()


def _since(reader: Reader, utc_us: int) -> Iterable[CallRecord]:
    from edge.views.calls import fold_calls
    from edge.views.reading import STORY_FACTS, entries_of, sequence_before

    return fold_calls(entries_of(reader, STORY_FACTS, sequence_before(reader, utc_us))).values()


def _last(reader: Reader, count: int, wanted: Callable[[CallRecord], bool]) -> list[CallRecord]:
    """Further and further back until there are enough."""
    from edge.views.calls import fold_calls
    from edge.views.reading import windows

    found: list[CallRecord] = []
    for window in windows(reader, count):
        found = [call for call in fold_calls(window).values() if wanted(call)]
        if len(found) >= count:
            break
    return found


def _table(calls: list[CallRecord], shown: shapes.Callers) -> object:
    at = output.now()
    return output.table(
        (
            "=call",
            "=arrived",
            "=line",
            "=kind",
            "class",
            "=language",
            "=caller",
            "=state",
            ">waited s",
            ">talked s",
            "=agent",
            "offers",
        ),
        list(_rows(calls, shown, at)),
    )


def _rows(calls: list[CallRecord], shown: shapes.Callers, at: Instant) -> Iterator[tuple[object, ...]]:
    for call in calls:
        waited = call.waited_seconds
        yield (
            call.call_id,
            output.local(call.arrived_at),
            call.line,
            kind_of(call),
            call.priority_class,
            call.language + (", assisted" if call.assisted else ""),
            shown.show(call),
            _state(call),
            output.seconds(output.age_seconds(call.queued_at, at) if waited is None else waited),
            output.seconds(call.talked_seconds if call.connected_at else None),
            call.agent,
            ", ".join(f"{offer.agent} {_offer(offer)}" for offer in call.offers),
        )


def _offer(offer: OfferRecord) -> str:
    if offer.outcome is not None:
        return offer.outcome.value
    return "answered" if offer.answered_at is not None else "ringing"


def _where(call: CallRecord) -> str:
    """Where it ended; of one that was sent away, why."""
    return (
        call.departures[-1].why
        if call.leaving
        else call.cause
        if call.stage is Stage.ENTRY
        else str(call.stage)
    )


def _state(call: CallRecord) -> str:
    if call.outcome is None:
        attempts = len(call.callback.attempts) if call.callback is not None else 0
        return f"{call.state.value} (attempt {attempts})" if attempts else call.state.value
    words = call.outcome.value.replace("_", " ")
    return (
        words if call.outcome is CallOutcome.ANSWERED or call.stage is None else f"{words} ({_where(call)})"
    )

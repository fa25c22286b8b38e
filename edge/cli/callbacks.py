"""`edge callbacks`: who was promised a call-back, how far it is, and what a person decides about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from edge.cli import Failure, output
from edge.cli.one_call import entries_of_call
from edge.cli.places import reading, site
from edge.cli.telling import Words, by_option, tell
from edge.core.model import CallOutcome, CallState, Instant
from edge.views import shapes

if TYPE_CHECKING:
    from edge.core.facts import Entry
    from edge.pbx.asterisk.control import Link
    from edge.views.reading import Reader
    from edge.views.record import AttemptRecord, CallbackRecord, CallRecord

ENDING = {"ignore_unknown_options": True}
"""Of an id, such as -17, is no option."""
call_argument = click.argument("call_id", metavar="CALL")
why_option = click.option(
    "--why", type=Words(), required=True, metavar="TEXT", help="In your words: it is a fact of the record."
)


@click.group("callbacks", invoke_without_command=True)
@output.numbers_option
@output.json_option
@click.pass_context
def command(ctx: click.Context, numbers: bool, as_json: bool) -> None:
    """Call-backs that were promised and are open, by their places; and what a person decides about them.

    CALL may be the end of an id, such as -17, as long as no other call's id ends so. A call-back is the caller's own call:
    `edge call CALL` tells its story.
    """
    if ctx.invoked_subcommand is None:
        _list(numbers, as_json)


@command.command("list")
@output.numbers_option
@output.json_option
def list_(numbers: bool, as_json: bool) -> None:
    """Every open one, whoever has waited longest first."""
    _list(numbers, as_json)


@command.command("show", context_settings=ENDING)
@call_argument
@output.numbers_option
@output.json_option
def show(call_id: str, numbers: bool, as_json: bool) -> None:
    """One call-back: what was promised, every attempt, who called from its number since."""
    call, promise = _promised(call_id)
    shown = shapes.callers(site().ledger_url, numbers)
    if as_json:
        output.emit(_json(call, promise, shown))
        return
    screen = output.console()
    screen.print(output.pairs(_heads(call, promise, shown)))
    if promise.attempts:
        screen.print()
        columns = (">attempt", "=agent", "=dialled", "=rang", "=answered", "outcome", "counted")
        screen.print(output.table(columns, [_attempt_row(call, each) for each in promise.attempts]))


@command.command("cancel", context_settings=ENDING)
@call_argument
@by_option
@why_option
@output.json_option
def cancel(call_id: str, by: str, why: str, as_json: bool) -> None:
    """It is not needed any more: nobody rings this person for it."""
    from edge.core.facts import CallEnded
    from edge.core.inputs import Order
    from edge.pbx.asterisk.notices import order_callback

    call = _undecided(call_id)

    async def send(link: Link) -> None:
        await order_callback(link, call.call_id, Order.CANCEL, by, why)

    def is_it(entry: Entry) -> bool:
        return isinstance(entry.fact, CallEnded) and entry.fact.outcome is CallOutcome.CANCELLED

    _record(call.call_id, send, is_it, f"cancelled by {by}", as_json)


@command.command("move", context_settings=ENDING)
@call_argument
@click.option("--queue", help="The queue of 101 that it is to wait in.")
@click.option("--class", "priority_class", help="The class that it is to have.")
@by_option
@why_option
@output.json_option
def move(
    call_id: str, queue: str | None, priority_class: str | None, by: str, why: str, as_json: bool
) -> None:
    """To another queue or class, at its time of joining."""
    from edge.core.facts import CallbackMoved
    from edge.core.inputs import Order
    from edge.pbx.asterisk.notices import order_callback

    if queue is None and priority_class is None:
        raise click.UsageError("say where to: --queue, --class or both")
    _check_names(queue, priority_class)
    call = _undecided(call_id)

    async def send(link: Link) -> None:
        await order_callback(
            link, call.call_id, Order.MOVE, by, why, queue=queue or "", priority_class=priority_class or ""
        )

    def is_it(entry: Entry) -> bool:
        fact = entry.fact
        return isinstance(fact, CallbackMoved) and (
            (queue or fact.queue, priority_class or fact.priority_class, by)
            == (fact.queue, fact.priority_class, fact.by)
        )

    where = " and ".join(
        [f"queue {queue}"] * (queue is not None) + [f"class {priority_class}"] * (priority_class is not None)
    )
    _record(call.call_id, send, is_it, f"moved to {where} by {by}", as_json)


@command.command("machine", context_settings=ENDING)
@call_argument
@by_option
@output.json_option
def machine(call_id: str, by: str, as_json: bool) -> None:
    """What answered it is an answering machine: its place is kept, and it is tried again or becomes a task."""
    from edge.core.facts import CallbackAttemptEnded
    from edge.core.promise import AttemptOutcome
    from edge.pbx.asterisk.notices import judge_callback

    call, _ = _promised(call_id)
    _check_open(call)
    if call.state is not CallState.TALKING:
        raise Failure(
            f"call {call.call_id} is {call.state.value}: nothing that answered it is on the line", 1
        )

    async def send(link: Link) -> None:
        await judge_callback(link, call.call_id, by)

    def is_it(entry: Entry) -> bool:
        fact = entry.fact
        return isinstance(fact, CallbackAttemptEnded) and fact.outcome is AttemptOutcome.MACHINE

    _record(call.call_id, send, is_it, f"judged a machine by {by}", as_json)


@command.command("pause")
@by_option
@output.json_option
def pause(by: str, as_json: bool) -> None:
    """Offer no more call-backs until resumed. Those promised are kept."""
    _set_offering(False, by, as_json)


@command.command("resume")
@by_option
@output.json_option
def resume(by: str, as_json: bool) -> None:
    """Offer call-backs again where the expected wait asks for it."""
    _set_offering(True, by, as_json)


# --- finding


def _open(reader: Reader) -> Iterator[tuple[CallRecord, CallbackRecord]]:
    """Every open call-back, by place."""
    from edge.views.calls import fold_calls
    from edge.views.reading import open_state

    calls = [call for call in open_state(reader).calls.values() if call.callback is not None]
    for call in sorted(calls, key=lambda call: call.queued_at.utc_us):
        (record,) = fold_calls(reader.read_call(call.call_id)).values()
        if record.callback is not None:
            yield record, record.callback


def _promised(call_id: str) -> tuple[CallRecord, CallbackRecord]:
    """The call, which was promised a call-back. Raises `Failure` when it was not, and as `entries_of_call` does."""
    from edge.views.calls import fold_calls

    with reading(site().ledger_url) as reader:
        (call,) = fold_calls(entries_of_call(reader, call_id)).values()
    if call.callback is None:
        raise Failure(
            f"call {call.call_id} was promised no call-back: `edge callbacks` lists those that were", 1
        )
    return call, call.callback


def _check_open(call: CallRecord) -> None:
    if call.outcome is not None:
        raise Failure(
            f"the call-back of call {call.call_id} is over: {call.outcome.value.replace('_', ' ')}", 1
        )


def _undecided(call_id: str) -> CallRecord:
    """An open call-back whose person is not on the line."""
    from edge.core.promising import OPEN

    call, _ = _promised(call_id)
    _check_open(call)
    if call.state not in OPEN:
        raise Failure(f"call {call.call_id} is {call.state.value}: its person is on the line now", 1)
    return call


def _check_names(queue: str | None, priority_class: str | None) -> None:
    here = site()
    if queue is not None and queue in here.emergency:
        raise Failure(f"999 callers wait in queue {queue}: nobody but the caller becomes one of them", 1)
    if queue is not None and queue not in here.targets:
        raise Failure(f"there is no queue {queue!r}; known: {', '.join(sorted(here.targets)) or 'none'}", 1)
    if priority_class is not None and priority_class not in here.classes:
        raise Failure(f"there is no class {priority_class!r}; known: {', '.join(sorted(here.classes))}", 1)


# --- telling


def _record(
    call_id: str,
    send: Callable[[Link], Awaitable[None]],
    is_it: Callable[[Entry], bool],
    what: str,
    as_json: bool,
) -> None:
    tell(site().ledger_url, send, lambda e: getattr(e.fact, "call_id", None) == call_id and is_it(e))
    if as_json:
        output.emit({"call_id": call_id, "done": what})
    else:
        click.echo(output.clean(f"call-back {call_id}: {what}"))


def _set_offering(active: bool, by: str, as_json: bool) -> None:
    from edge.core.facts import CallbackOfferingSet
    from edge.pbx.asterisk.notices import set_offering
    from edge.views.reading import open_state

    here = site()
    with reading(here.ledger_url) as reader:
        changed = open_state(reader).offering_paused == active

    async def send(link: Link) -> None:
        await set_offering(link, active, by)

    def is_it(entry: Entry) -> bool:
        fact = entry.fact
        return isinstance(fact, CallbackOfferingSet) and (fact.active, fact.by) == (active, by)

    if changed:
        tell(here.ledger_url, send, is_it)
    word = "resumed" if active else "paused"
    if as_json:
        output.emit({"offering_paused": not active, "changed": changed})
    else:
        click.echo(
            f"offering {word}" if changed else f"offering is {'not paused' if active else 'paused'} already"
        )


# --- showing


def _list(numbers: bool, as_json: bool) -> None:
    here = site()
    with reading(here.ledger_url) as reader:
        found = list(_open(reader))
    shown = shapes.callers(here.ledger_url, numbers)
    if as_json:
        output.emit({"callbacks": [_json(call, promise, shown) for call, promise in found]})
        return
    at = output.now()
    columns = (
        "=call",
        "=joined",
        "=queue",
        "class",
        "=number",
        "=state",
        ">waited s",
        ">attempts",
        "last",
        "=not before",
        "called again",
    )
    output.console().print(output.table(columns, [_row(call, promise, shown, at) for call, promise in found]))


def _row(call: CallRecord, promise: CallbackRecord, shown: shapes.Callers, at: Instant) -> tuple[object, ...]:
    last = promise.attempts[-1] if promise.attempts else None
    return (
        call.call_id,
        output.local(call.queued_at),
        call.queue,
        call.priority_class,
        shown.number(promise.number),
        call.state.value,
        output.seconds(_waited(call, at), 0),
        len(promise.attempts),
        _outcome(call, last) if last is not None else "",
        output.local(promise.not_before, "%H:%M:%S"),
        _again(promise),
    )


def _waited(call: CallRecord, at: Instant) -> float:
    """Since joining, to the person where they were reached."""
    if call.first_human_seconds is not None:
        return call.first_human_seconds
    return output.age_seconds(call.queued_at, call.ended_at or at)


def _outcome(call: CallRecord, attempt: AttemptRecord) -> str:
    from edge.views.words import ATTEMPTS

    if attempt.outcome is not None:
        return ATTEMPTS[attempt.outcome]
    return "connected" if call.connected_at is not None or call.outcome is not None else "in progress"


def _again(promise: CallbackRecord) -> str:
    return ", ".join(f"{match.by_call}{' (999)' if match.emergency else ''}" for match in promise.matched)


def _heads(call: CallRecord, promise: CallbackRecord, shown: shapes.Callers) -> dict[str, object]:
    how = "keyed by the caller" if promise.keyed else "the number that called"
    heads: dict[str, object] = {
        "call": call.call_id,
        "queue": f"{call.queue}, class {call.priority_class}, {call.language}",
        "number": f"{shown.number(promise.number)} ({how})",
        "joined": output.local(call.queued_at, "%Y-%m-%d %H:%M:%S %z"),
        "promised": output.local(promise.promised_at),
        "told": output.local(promise.confirmed_at) or "not yet",
        "off the line": output.local(promise.off_line_at) or "not yet",
        "state": call.state.value if call.outcome is None else call.outcome.value.replace("_", " "),
        "waited": f"{_waited(call, output.now()):.0f} s, {promise.off_line_seconds:.0f} s of it off the line"
        if promise.off_line_since is None
        else f"{_waited(call, output.now()):.0f} s, off the line now",
    }
    if promise.into is not None:
        heads["goes on as"] = promise.into
    if promise.barred:
        heads["passed over"] = promise.barred
    if promise.not_before is not None:
        heads["not before"] = output.local(promise.not_before)
    if promise.matched:
        heads["called again"] = _again(promise)
    for moved in promise.moved:
        where = f"queue {moved.queue}, class {moved.priority_class}"
        heads[f"moved {output.local(moved.at)}"] = f"{where} by {moved.by}: {moved.why}"
    return heads


def _attempt_row(call: CallRecord, attempt: AttemptRecord) -> tuple[object, ...]:
    return (
        attempt.attempt,
        attempt.agent,
        *(output.local(at, "%H:%M:%S") for at in (attempt.dialled_at, attempt.rang_at, attempt.answered_at)),
        _outcome(call, attempt),
        "yes" if attempt.counted else "no",
    )


def _json(call: CallRecord, promise: CallbackRecord, shown: shapes.Callers) -> dict[str, Any]:
    return {
        "call_id": call.call_id,
        "state": call.state.value,
        "queue": call.queue,
        "class": call.priority_class,
        "language": call.language,
        "queued": shapes.instant(call.queued_at),
        "waited_seconds": _waited(call, output.now()),
        "outcome": call.outcome,
        **shapes.promise_json(promise, shown),
    }

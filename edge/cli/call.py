"""`edge call`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.one_call import entries_of_call
from edge.cli.places import reading, site
from edge.views import shapes
from edge.views.words import SOURCES, TASKS, kind_of

if TYPE_CHECKING:
    from edge.core.model import CallerKnowledge
    from edge.views.calls import CallRecord
    from edge.views.record import CallbackRecord
    from edge.views.story import StoryLine


@click.command("call", context_settings={"ignore_unknown_options": True})
@click.argument("call_id", metavar="ID")
@output.numbers_option
@output.json_option
def command(call_id: str, numbers: bool, as_json: bool) -> None:
    """The story of one call: times, offsets from its arrival, what happened and why.

    ID may be the end of an id, such as -17, as long as no other call's id ends so.
    """
    from edge.views.calls import fold_calls
    from edge.views.story import outcome_sentence, tell

    here = site()
    with reading(here.ledger_url) as reader:
        found = entries_of_call(reader, call_id)
    (call,) = fold_calls(found).values()
    lines, shown = tell(found), shapes.callers(here.ledger_url, numbers)
    if as_json:
        story = [_line_json(line) for line in lines]
        output.emit(
            {"outcome": outcome_sentence(call), "call": shapes.call_json(call, shown), "story": story}
        )
        return
    screen = output.console()
    screen.print(output.pairs(_heads(call, shown)))
    screen.print(output.text(outcome_sentence(call), "bold"))
    screen.print()
    screen.print(
        output.table(
            ("=time", ">offset s", "what", "why"),
            [
                (output.clock(line.at), f"{line.offset_seconds:+.3f}", line.what, line.reason)
                for line in lines
            ],
        )
    )


def _heads(call: CallRecord, shown: shapes.Callers) -> dict[str, object]:
    heads: dict[str, object] = {
        "call": call.call_id,
        "line": f"{call.line} ({kind_of(call)}, class {call.priority_class or 'none'} {SOURCES[call.classified_by]})",
        "caller": shown.show(call) + (", assisted" if call.assisted else ""),
        "language": call.language,
        "arrived": output.local(call.arrived_at, "%Y-%m-%d %H:%M:%S %z"),
        "queue": call.queue,
        "waited": _seconds(call.waited_seconds),
        "talked": _seconds(call.talked_seconds if call.connected_at else None),
        "wrap-up": _seconds(call.wrap_up_seconds),
    }
    if call.consultation_of is not None:
        heads["consultation"] = f"for call {call.consultation_of}"
    if len(call.connections) > 1:
        first, last = _seconds(call.first_human_seconds), _seconds(call.right_desk_seconds)
        heads["waited"] = f"{first} for the first person, {last} for the right desk"
    if call.callback is not None:
        heads["call-back"] = _promise(call.callback, shown)
        heads["waited"] = f"{heads['waited']} gross, {_seconds(call.on_line_seconds)} of it on the line"
    if call.task is not None:
        heads["task"] = f"{TASKS[call.task]} (edge tasks show {call.call_id})"
    if call.wrap_up_codes:
        heads["wrap-up code"] = ", ".join(given.code for given in call.wrap_up_codes)
    for note in call.annotations:
        known = heads.get(note.kind)
        new = f"{note.value} {note.state}".strip()
        heads[note.kind] = new if known is None else f"{known}, {new}"
    if shown.numbers and call.knowledge is not None:
        heads["known"] = _knowledge(call.knowledge)
    return heads


def _promise(promise: CallbackRecord, shown: shapes.Callers) -> str:
    how = "keyed" if promise.keyed else "the number that called"
    off = (
        "still on the line"
        if promise.off_line_at is None
        else f"off the line {output.local(promise.off_line_at, '%H:%M:%S')}"
    )
    return (
        f"promised {output.local(promise.promised_at, '%H:%M:%S')} to {shown.number(promise.number)} ({how}), {off}, "
        f"{len(promise.attempts)} attempts"
    )


def _knowledge(known: CallerKnowledge) -> str:
    """What was known of the number when it called."""
    listed = [] if known.listing is None else [f"listed as {known.listing}"]
    return ", ".join(
        [
            *listed,
            f"{known.calls_in_day} calls in 24 h",
            f"{known.calls_in_month} in 30 days",
            f"{known.abandons_in_month} of them given up",
        ]
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s"


def _line_json(line: StoryLine) -> dict[str, object]:
    return {
        "sequence": line.sequence,
        "at": shapes.instant(line.at),
        "switch_utc": None if line.switch_utc_us is None else output.rfc3339(line.switch_utc_us),
        "offset_seconds": line.offset_seconds,
        "kind": line.kind,
        "what": line.what,
        "reason": line.reason,
    }

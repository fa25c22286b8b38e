"""`edge call`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge.cli import output
from edge.cli.one_call import entries_of_call
from edge.cli.places import reading, site

if TYPE_CHECKING:
    from edge.views.calls import CallRecord
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
    lines, shown = tell(found), output.callers(here.ledger_url, numbers)
    if as_json:
        story = [_line_json(line) for line in lines]
        output.emit(
            {"outcome": outcome_sentence(call), "call": output.call_json(call, shown), "story": story}
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


def _heads(call: CallRecord, shown: output.Callers) -> dict[str, object]:
    return {
        "call": call.call_id,
        "line": f"{call.line} ({output.tier_name(call.tier)}, class {call.priority_class or 'none'})",
        "caller": shown.show(call),
        "arrived": output.local(call.arrived_at, "%Y-%m-%d %H:%M:%S %z"),
        "queue": call.queue,
        "waited": _seconds(call.waited_seconds),
        "talked": _seconds(call.talked_seconds if call.connected_at else None),
        "wrap-up": _seconds(call.wrap_up_seconds),
    }


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s"


def _line_json(line: StoryLine) -> dict[str, object]:
    return {
        "sequence": line.sequence,
        "at": output.instant(line.at),
        "switch_utc": None if line.switch_utc_us is None else output.rfc3339(line.switch_utc_us),
        "offset_seconds": line.offset_seconds,
        "kind": line.kind,
        "what": line.what,
        "reason": line.reason,
    }

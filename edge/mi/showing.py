"""Calls, call-backs and tasks as rows of an answer. Numbers are read from the ledger for who may have them, never kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import select

from edge.core.model import Instant
from edge.core.promise import TaskKind
from edge.ledger.schema import facts, personal
from edge.ledger.store import SqlReader
from edge.mi.projection import TYPICAL, CallVersion, TaskVersion
from edge.views.record import CallbackRecord, CallRecord, TaskRecord
from edge.views.shapes import Callers, call_json, instant, promise_json, task_json

HASHED = Callers(None, numbers=False)
"""As a call is shown to everybody; the caller's hash comes from the projection, which has no numbers."""
CALL_PERSONAL = ("caller_number", "caller_name")

Row = dict[str, Any]


def call_row(ledger_id: str, found: CallVersion) -> Row:
    """As `edge calls --json` has it, and which version of it this is."""
    shown = call_json(found.record, HASHED)
    del shown["caller_mask"]
    if shown["callback"] is not None:
        shown["callback"] = _without_caller(shown["callback"])
    return {
        "id": f"{ledger_id}-{found.call_id}",
        "version": found.version,
        "through_sequence": found.through_sequence,
        "in_progress": found.in_progress,
        "contact": found.contact_id,
        **shown,
        "caller": found.caller,
    }


def callback_row(ledger_id: str, found: CallVersion) -> Row:
    """The promise, and as much of its call as tells what became of it."""
    record = found.record
    assert record.callback is not None
    return {
        "id": f"{ledger_id}-{found.call_id}",
        "call_id": found.call_id,
        "version": found.version,
        "through_sequence": found.through_sequence,
        "in_progress": found.in_progress,
        "contact": found.contact_id,
        "caller": found.caller,
        "line": record.line,
        "queue": record.queue,
        "class": record.priority_class,
        "language": record.language,
        "state": record.state.value,
        "arrived": instant(record.arrived_at),
        "queued": instant(record.queued_at),
        "connected": instant(record.connected_at),
        "agent": record.agent,
        "outcome": record.outcome,
        "task": record.task,
        "gross_wait_seconds": record.first_human_seconds,
        "net_wait_seconds": record.on_line_seconds if record.first_human_seconds is not None else None,
        **_without_caller(promise_json(record.callback, HASHED)),
    }


def _without_caller(shown: Row) -> Row:
    """Not even the last digits of the number: the call's own hash says who it was."""
    return {name: value for name, value in shown.items() if name not in ("caller", "number_mask")}


def task_row(ledger_id: str, found: TaskVersion) -> Row:
    """Work for a human."""
    return {
        "id": f"{ledger_id}-{found.record.task_id}",
        "version": found.version,
        "through_sequence": found.through_sequence,
        "caller": found.caller,
        **_without_caller(task_json(found.record, HASHED)),
        "note": found.record.note,
    }


def contact_row(ledger_id: str, position: int, calls: Sequence[CallVersion]) -> Row:
    """The calls of one need, in order, and the waits of the person who had it."""
    first = calls[0].record
    persons = [each.at for call in calls for each in call.record.connections if each.reached]
    through = next((call for call in calls if call.record.first_human_seconds is not None), None)
    return {
        "id": f"{ledger_id}-contact-{calls[0].contact_id}",
        "contact": calls[0].contact_id,
        "version": sum(call.version for call in calls),
        "through_sequence": position // 2,
        "in_progress": any(call.in_progress for call in calls),
        "caller": calls[0].caller,
        "arrived": instant(first.arrived_at),
        "calls_count": len(calls),
        "got_through": through is not None,
        "got_through_on_call": None if through is None else calls.index(through) + 1,
        "until_first_human_seconds": None
        if not persons
        else _seconds(first.arrived_at, min(persons, key=_utc)),
        "right_desk_seconds": None if through is None else through.record.right_desk_seconds,
        "persons": len(persons),
        "transfers": sum(len(call.record.sent_back) + len(call.record.passed_on) for call in calls),
        "called_999_too": len({_is_999(call.record) for call in calls}) > 1,
        "calls": [
            {
                "call_id": call.call_id,
                "version": call.version,
                "line": call.record.line,
                "queue": call.record.counted_queue,
                "kind": "999" if _is_999(call.record) else "101",
                "consultation_of": call.record.consultation_of,
                "arrived": instant(call.record.arrived_at),
                "outcome": call.record.outcome,
                "first_human_seconds": call.record.first_human_seconds,
                "waited_seconds": call.record.waited_seconds,
                "callback": call.record.callback is not None,
            }
            for call in calls
        ],
    }


def _utc(at: Instant) -> int:
    return at.utc_us


def _seconds(earlier: Instant, later: Instant) -> float:
    """By UTC: between calls, the machine may have been started anew."""
    return max(0.0, (later.utc_us - earlier.utc_us) / 1e6)


def _is_999(record: CallRecord) -> bool:
    return record.counted_tier == 0


_CALL = CallVersion(
    position=0,
    call_id="",
    version=0,
    through_sequence=0,
    in_progress=True,
    contact_id=0,
    caller=None,
    record=TYPICAL,
)
_PROMISED = replace(TYPICAL, callback=CallbackRecord(promised_at=Instant(0, 0), number=None, keyed=False))
_TASK = TaskRecord(
    task_id="",
    call_id="",
    kind=TaskKind.UNREACHED_CALLBACK,
    detail="",
    opened_at=Instant(0, 0),
    waited_seconds=0.0,
    rang_seconds=0.0,
    attempts=0,
    calls_in_day=0,
    emergency=False,
    number_withheld=False,
    number=None,
)
CALL_COLUMNS = tuple(call_row("", _CALL))
"""Of CSV: what a row in JSON has."""
CALLBACK_COLUMNS = tuple(callback_row("", replace(_CALL, record=_PROMISED)))
TASK_COLUMNS = tuple(
    task_row("", TaskVersion(position=0, version=0, through_sequence=0, caller=None, record=_TASK))
)
CONTACT_COLUMNS = tuple(contact_row("", 0, [_CALL]))


def numbers_of(reader: SqlReader, call_ids: Sequence[str]) -> dict[str, Row]:
    """Call id -> what is kept of its caller: `caller_number`, `caller_name`, `number` (of the call-back)."""
    query = (
        select(facts.c.call_id, personal.c.body)
        .join_from(facts, personal)
        .where(facts.c.kind.in_(("CallArrived", "CallbackPromised", "TaskOpened")))
        .order_by(facts.c.sequence)
    )
    found: dict[str, Row] = {call_id: {} for call_id in call_ids}
    with reader.snapshot() as connection:
        for start in range(0, len(call_ids), 500):
            some = facts.c.call_id.in_(call_ids[start : start + 500])
            for call_id, body in connection.execute(query.where(some)):
                values = msgspec.json.decode(body)
                found[call_id] |= {name: value for name, value in values.items() if value is not None}
    return found


def with_numbers(rows: Sequence[Row], reader: SqlReader, names: Sequence[str]) -> None:
    """Add these personal fields to rows that have a `call_id`; None once erased."""
    known = numbers_of(reader, list(dict.fromkeys(row["call_id"] for row in rows)))
    for row in rows:
        for name in names:
            row[name] = known[row["call_id"]].get(name)

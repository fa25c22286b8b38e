"""Subject access: everything that is held about one number, to be read by its owner and by a program.

Other people's numbers and names in the same calls are masked: this is disclosed to one person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from edge.core.facts import (
    KINDS,
    Entry,
    TaskAssigned,
    TaskAttemptEnded,
    TaskClosed,
    TaskDialled,
    TaskLinked,
    TaskOpened,
    personal_fields,
)
from edge.ledger.maintenance import numbers_in
from edge.ledger.store import SqlReader
from edge.numbering import comparable
from edge.views.caller import masked
from edge.views.reading import entries_of, whole_call
from edge.views.story import tell

PAGE = 5000
COMMON_DIGITS = 3
"""However a number is written, its last digits stand together: what does not have them need not be read closely."""
CALLERS_OWN = frozenset({"caller_name", "knowledge"})
"""Fields that are about the caller of the call."""
TASK_FACTS = (TaskOpened, TaskAssigned, TaskDialled, TaskAttemptEnded, TaskClosed, TaskLinked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is held about one number. `calls` and `tasks` are ready to be written as JSON."""

    number: str = field(repr=False)
    calls: list[dict[str, Any]]
    tasks: list[dict[str, Any]]


def calls_of(reader: SqlReader, number: str) -> list[str]:
    """Every call that has this number in it, in order. `number`: as `comparable` writes it."""
    found: dict[str, None] = {}
    after, like = 0, f"%{number[-COMMON_DIGITS:]}%"
    while page := reader.personal_data(after, PAGE, like):
        found |= {str(row.call_id): None for row in page if number in numbers_in(row.body)}
        after = page[-1].sequence
    return list(found)


def held_about(reader: SqlReader, number: str) -> Subject:
    """Everything. `number`: as `comparable` writes it."""
    calls = calls_of(reader, number)
    entries = [(call_id, whole_call(reader, call_id)) for call_id in calls]
    opened = {
        entry.fact.task_id for _, whole in entries for entry in whole if isinstance(entry.fact, TaskOpened)
    }
    return Subject(
        number=number,
        calls=[_call(call_id, whole, number) for call_id, whole in entries],
        tasks=list(_tasks(reader, opened, number)) if opened else [],
    )


def _call(call_id: str, entries: Sequence[Entry], number: str) -> dict[str, Any]:
    caller = any(comparable(getattr(entry.fact, "caller_number", None) or "") == number for entry in entries)
    return {
        "call_id": call_id,
        "number_is_the_callers": caller,
        "story": [
            {"utc_us": line.at.utc_us, "what": line.what, "why": line.reason} for line in tell(entries)
        ],
        "facts": [_fact(entry, number, caller=caller) for entry in entries],
    }


def _fact(entry: Entry, number: str, *, caller: bool) -> dict[str, Any]:
    kind = type(entry.fact).__name__
    values: dict[str, Any] = msgspec.to_builtins(entry.fact)
    for name in personal_fields(KINDS[kind]):
        values[name] = _shown(name, values[name], number, caller=caller)
    return {"sequence": entry.sequence, "utc_us": entry.at.utc_us, "kind": kind, "fields": values}


def _shown(name: str, value: Any, number: str, *, caller: bool) -> Any:
    if (
        value is None
        or (name in CALLERS_OWN and caller)
        or (isinstance(value, str) and comparable(value) == number)
    ):
        return value
    return masked(value, False) if isinstance(value, str) and comparable(value) else "(another person's)"


def _tasks(reader: SqlReader, task_ids: set[str], number: str) -> Iterator[dict[str, Any]]:
    told: dict[str, list[Entry]] = {}
    for entry in entries_of(reader, TASK_FACTS):
        if (task_id := getattr(entry.fact, "task_id", None)) in task_ids:
            told.setdefault(str(task_id), []).append(entry)
    for task_id, entries in told.items():
        yield {"task_id": task_id, "facts": [_fact(entry, number, caller=True) for entry in entries]}

"""Calls as data protection sees them: of which class, ended when, with whose numbers; read in portions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from edge.core.model import Tier
from edge.ledger.codec import Row
from edge.ledger.maintenance import Hold, numbers_in
from edge.ledger.store import PersonalData, SqlReader

PAGE = 2000
CALLS_AT_ONCE = 200
REMEMBERED = 100_000
"""Calls that were just looked at: their later facts do not bring them up again. More than begin in two days."""
TOLD_BY = ("CallArrived", "CallQueued", "CallUpgraded", "CallbackPromised", "TaskOpened", "CallEnded")


class RecordClass(StrEnum):
    """Classes of record, the first that fits a call is its own."""

    TEST = "test"
    EMERGENCY = "emergency"
    TASK = "task"
    CALLBACK = "callback"
    ROUTINE = "routine"


@dataclass(slots=True, kw_only=True)
class CallData:
    """One call whose caller's data is kept. `ended_utc_us`: when nothing of it was open any more, None while something is."""

    call_id: str
    record_class: RecordClass
    ended_utc_us: int | None
    first_utc_us: int
    last_utc_us: int
    last_sequence: int
    """Of its facts that matter here: what a reader must have got."""
    kept: tuple[str, ...] = field(repr=False)
    """The personal fields of each fact that has any."""

    def is_held(self, holds: Iterable[Hold]) -> bool:
        """Whether one of these holds is on it. Numbers are read out of what is kept only for a hold on a number: that is slow."""
        every = tuple(holds)
        by_number = any(hold.number is not None for hold in every)
        numbers = {number for body in self.kept for number in numbers_in(body)} if by_number else ()
        return any(hold.covers(self.call_id, numbers, self.first_utc_us, self.last_utc_us) for hold in every)


def calls_with_data(
    reader: SqlReader, emergency_lines: frozenset[str], until_utc_us: int | None = None
) -> Iterator[CallData]:
    """Every call of whose caller anything is kept, in order of that; `until_utc_us`: recorded by then."""
    closed: dict[str, Row] | None = None
    seen: dict[str, None] = {}
    after = 0
    while page := reader.personal_data(after, PAGE):
        after = page[-1].sequence
        wanted = {row.call_id for row in page if row.call_id is not None and row.call_id not in seen}
        if until_utc_us is not None and page[0].utc_us > until_utc_us:
            return
        for some in _some(sorted(wanted)):
            rows = reader.rows_of(TOLD_BY, some)
            if closed is None and any(row.kind == "TaskOpened" for row in rows):
                closed = _closings(reader)
            yield from _weigh(reader, some, rows, closed or {}, emergency_lines)
        seen |= dict.fromkeys(wanted)
        while len(seen) > REMEMBERED:
            del seen[next(iter(seen))]


def _closings(reader: SqlReader) -> dict[str, Row]:
    """Task -> the fact that closed it. It has no call, so all of them are read, once."""
    return {_body(row)["task_id"]: row for row in reader.rows_of(("TaskClosed",))}


def _weigh(
    reader: SqlReader,
    call_ids: Sequence[str],
    rows: Iterable[Row],
    closed: dict[str, Row],
    emergency_lines: frozenset[str],
) -> Iterator[CallData]:
    told: dict[str, list[Row]] = {call_id: [] for call_id in call_ids}
    for row in rows:
        told[str(row.call_id)].append(row)
    kept: dict[str, list[PersonalData]] = {call_id: [] for call_id in call_ids}
    for data in reader.personal_data_of(call_ids):
        kept[str(data.call_id)].append(data)
    spans = reader.spans_of(call_ids)
    for call_id in call_ids:
        yield _call(call_id, told[call_id], kept[call_id], spans[call_id], closed, emergency_lines)


def _call(
    call_id: str,
    told: list[Row],
    kept: list[PersonalData],
    span: tuple[int, int],
    closed: dict[str, Row],
    emergency_lines: frozenset[str],
) -> CallData:
    ends = [row for row in told if row.kind == "CallEnded"]
    tasks = [_body(row)["task_id"] for row in told if row.kind == "TaskOpened"]
    closings = [closed[task] for task in tasks if task in closed]
    over = bool(ends) and len(closings) == len(tasks)
    everything = [*told, *closings]
    times = [*span, *(row.utc_us for row in closings)]
    return CallData(
        call_id=call_id,
        record_class=_class_of(told, emergency_lines),
        ended_utc_us=max(row.utc_us for row in (*ends, *closings)) if over else None,
        first_utc_us=min(times),
        last_utc_us=max(times),
        last_sequence=max([row.sequence for row in everything] + [data.sequence for data in kept]),
        kept=tuple(data.body for data in kept),
    )


def _class_of(told: Iterable[Row], emergency_lines: frozenset[str]) -> RecordClass:
    found = {RecordClass.ROUTINE}
    for row in told:
        match row.kind:
            case "CallArrived":
                body = _body(row)
                found |= {RecordClass.TEST} if body.get("test") else set()
                found |= {RecordClass.EMERGENCY} if body["line"] in emergency_lines else set()
            case "CallQueued":
                found |= {RecordClass.EMERGENCY} if _body(row)["tier"] == Tier.EMERGENCY else set()
            case "CallUpgraded":
                found.add(RecordClass.EMERGENCY)
            case "TaskOpened":
                found.add(RecordClass.TASK)
            case "CallbackPromised":
                found.add(RecordClass.CALLBACK)
    return next(each for each in RecordClass if each in found)


def _body(row: Row) -> dict[str, Any]:
    return msgspec.json.decode(row.body, type=dict[str, Any])


def _some(call_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(call_ids), CALLS_AT_ONCE):
        yield call_ids[start : start + CALLS_AT_ONCE]

"""Retention: which calls' data is due to be erased, what is in the way of the others, and the erasing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edge.ledger.maintenance import Hold, Warrant
from edge.ledger.store import Erasure, SqlLedger, SqlReader
from edge.protection.records import CallData, RecordClass, calls_with_data

DAY_US = 86_400_000_000
ERASED_AT_ONCE = 100
"""Calls in one transaction: the daemon's commits wait for its end."""


class Verdict(StrEnum):
    """What becomes of a call's data."""

    ERASE = "erase"
    NOT_DUE = "not due"
    OPEN = "still open"
    HELD = "under a legal hold"
    NOT_ACKNOWLEDGED = "not yet acknowledged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The rules. `days`: 0 for ever. `through`: the last fact that everybody has who must have it."""

    days: Mapping[RecordClass, int]
    through: int
    emergency_lines: frozenset[str] = frozenset()

    @property
    def shortest_days(self) -> int | None:
        """Of the classes that are ever erased."""
        return min((days for days in self.days.values() if days), default=None)


@dataclass(slots=True)
class Plan:
    """What retention would do, or has done: calls by class and verdict."""

    counts: dict[RecordClass, Counter[Verdict]] = field(
        default_factory=lambda: {each: Counter() for each in RecordClass}
    )
    facts: int = 0
    """Whose personal data goes, or has gone."""


def due(reader: SqlReader, retention: Retention, now_utc_us: int, plan: Plan) -> Iterator[CallData]:
    """The calls whose data is to be erased now, as they come; `plan` counts them and all others."""
    shortest = retention.shortest_days
    if shortest is None:
        return
    holds = reader.holds()
    for call in calls_with_data(reader, retention.emergency_lines, now_utc_us - shortest * DAY_US):
        verdict = judge(call, retention, holds, now_utc_us)
        plan.counts[call.record_class][verdict] += 1
        if verdict is Verdict.ERASE:
            plan.facts += len(call.kept)
            yield call


def judge(call: CallData, retention: Retention, holds: Iterable[Hold], now_utc_us: int) -> Verdict:
    """What becomes of this call's data."""
    days = retention.days.get(call.record_class, 0)
    if call.ended_utc_us is None:
        return Verdict.OPEN
    if not days or call.ended_utc_us + days * DAY_US > now_utc_us:
        return Verdict.NOT_DUE
    if call.is_held(holds):
        return Verdict.HELD
    return Verdict.ERASE if call.last_sequence <= retention.through else Verdict.NOT_ACKNOWLEDGED


def apply(ledger: SqlLedger, retention: Retention, now_utc_us: int, warrant: Warrant) -> tuple[Plan, Erasure]:
    """Erase what is due, some calls at a time, each time with its entry in the audit. Raises `LedgerError`, also for a hold that
    came meanwhile; what was erased by then is erased."""
    plan, waiting = Plan(), list[str]()
    done = Erasure(facts=0, checkpoints=0, purged=True, lingers="")

    def erase() -> Erasure:
        with ledger.maintenance() as maintenance:
            erased, forgotten = maintenance.erase(warrant, "retain", call_ids=waiting)
        waiting.clear()
        return Erasure(
            facts=done.facts + erased, checkpoints=done.checkpoints + forgotten, purged=False, lingers=""
        )

    for call in due(ledger, retention, now_utc_us, plan):
        waiting.append(call.call_id)
        if len(waiting) >= ERASED_AT_ONCE:
            done = erase()
    if waiting:
        done = erase()
    return plan, ledger.purged(done) if done.facts else done

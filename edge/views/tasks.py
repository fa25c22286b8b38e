"""Ring-back tasks as a supervisor sees them, folded from their facts."""

from __future__ import annotations

from collections.abc import Iterable

from edge.core import facts
from edge.core.model import Instant
from edge.core.task_state import TaskAttempt
from edge.views.record import TaskRecord

TASK_FACTS = (
    facts.TaskOpened,
    facts.TaskLinked,
    facts.TaskAssigned,
    facts.TaskAttemptEnded,
    facts.TaskClosed,
)
"""Kinds of facts that tasks are folded from."""


def fold_tasks(entries: Iterable[facts.Entry]) -> dict[str, TaskRecord]:
    """Task id -> record, in order of opening. Facts about tasks whose opening is not among the entries are left out."""
    tasks: dict[str, TaskRecord] = {}
    for entry in entries:
        fold_task(tasks, entry.fact, entry.at)
    return tasks


def fold_task(tasks: dict[str, TaskRecord], fact: facts.Fact, at: Instant) -> None:
    """Fold one fact into these tasks."""
    match fact:
        case facts.TaskOpened():
            tasks[fact.task_id] = _opened(fact, at)
        case facts.TaskLinked(task_id=task_id, by_call=by_call) if task_id in tasks:
            tasks[task_id].linked.append(by_call)
        case facts.TaskAssigned(task_id=task_id, to=to) if task_id in tasks:
            tasks[task_id].assigned_to, tasks[task_id].assigned_at = to, at
        case facts.TaskAttemptEnded(task_id=task_id) if task_id in tasks:
            tasks[task_id].rung.append(
                TaskAttempt(agent=fact.agent, at=at, outcome=fact.outcome, talked_seconds=fact.talked_seconds)
            )
        case facts.TaskClosed(task_id=task_id) if task_id in tasks:
            task = tasks[task_id]
            task.closed_at, task.closed_by, task.outcome, task.note = at, fact.by, fact.outcome, fact.note


def _opened(fact: facts.TaskOpened, at: Instant) -> TaskRecord:
    return TaskRecord(
        task_id=fact.task_id,
        call_id=fact.call_id,
        kind=fact.kind,
        detail=fact.detail,
        opened_at=at,
        waited_seconds=fact.waited_seconds,
        rang_seconds=fact.rang_seconds,
        attempts=fact.attempts,
        calls_in_day=fact.calls_in_day,
        emergency=fact.emergency,
        number_withheld=fact.number_withheld,
        number=fact.number,
    )

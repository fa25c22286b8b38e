"""Ring-back tasks: work for a human, on the list until a named person closes it.

Rule 1: every 999 that nobody answered becomes a task, and a 101 by the policy's rule; a promised call-back whose person could
not be reached does, and a caller who asked for one and hung up before it was confirmed: they were promised nothing, and somebody
should look. Nobody is dialled for a task but by a handler's key (`task_at_phone.py`).
Rule 2: a call that a fault cut is work for a human too: all of them when the switch died, waiting, ringing or talking; else
those whom nobody had answered, and a 999 that the network cut at any time. In the list 999 comes first, then who joined earlier;
and who calls again soon has the time of joining that the fault took.
Rule 3: a later call from the same number is linked and shown to the handler. It closes nothing: a number is not an identity.
"""

from __future__ import annotations

from edge.core import facts, inputs
from edge.core.desk import Desk
from edge.core.model import CallOutcome, CallState, Instant, Tier
from edge.core.ordering import head_start_seconds
from edge.core.promise import Judgement, TaskKind
from edge.core.state import Call
from edge.core.task_state import Task

RECORD = "the switch's own record"
"""By which a task is theirs who answered unseen."""


class RingBack(Desk):
    """Opening, linking, assigning and closing tasks."""

    def _open_task_for(self, call: Call, outcome: CallOutcome, waited_seconds: float) -> None:
        """Whether the end of this call leaves something to do. Called before the call leaves the state."""
        if call.test:
            return
        if outcome is CallOutcome.UNREACHED:
            self._open_task(call, TaskKind.UNREACHED_CALLBACK, "a promised call-back", waited_seconds)
        elif outcome is CallOutcome.ENDED_UNKNOWN:
            self._lost(call, waited_seconds)
        elif outcome is CallOutcome.ABANDONED and call.first_connected_at is None:
            self._abandoned(call, waited_seconds)

    def _lost(self, call: Call, waited_seconds: float) -> None:
        """Its end was not seen. While the switch lives on, who talked has most likely hung up, and who waited has given up."""
        if self._switch_died:
            where = "waited" if call.connected_at is None else "talked"
            self._open_task(call, TaskKind.LOST, f"the switch died while they {where}", waited_seconds)
        elif call.first_connected_at is None and call.tier == Tier.EMERGENCY:
            self._open_task(call, TaskKind.LOST, "gone unseen and unanswered", waited_seconds)
        elif call.first_connected_at is None:
            self._abandoned(call, waited_seconds)

    def _abandoned(self, call: Call, waited_seconds: float) -> None:
        limit = self.policy.tasks.abandoned_101_after_seconds
        if call.tier == Tier.EMERGENCY:
            what = "an unanswered 999" if call.upgraded_at is None else "an unanswered upgraded 101"
            self._open_task(call, TaskKind.ABANDONED_999, what, waited_seconds)
        elif call.asked is not None:
            why = "asked for a call-back and hung up before it was confirmed"
            self._open_task(call, TaskKind.ABANDONED_101, why, waited_seconds)
        elif limit is not None and waited_seconds >= limit:
            self._open_task(call, TaskKind.ABANDONED_101, "gave up waiting", waited_seconds)

    def _open_task(self, call: Call, kind: TaskKind, detail: str, waited_seconds: float) -> None:
        promise = call.callback
        number = promise.number if promise is not None else self._number_of(call)
        rang = [
            o.made_at
            for o in self.state.offers.values()
            if o.call_id == call.call_id and o.rang_at is not None
        ]
        self._because(f"call {call.call_id} becomes a ring-back task: {detail}")
        self._record(
            facts.TaskOpened(
                task_id=call.call_id,
                call_id=call.call_id,
                kind=kind,
                detail=detail,
                waited_seconds=waited_seconds,
                rang_seconds=self._now.since(min(rang, key=lambda at: at.monotonic_ns)) if rang else 0.0,
                attempts=0 if promise is None else promise.attempt,
                calls_in_day=0 if call.knowledge is None else call.knowledge.calls_in_day,
                emergency=call.tier == Tier.EMERGENCY,
                number_withheld=number is None,
                queued_at=call.queued_at,
                queue=call.queue,
                head_start_seconds=head_start_seconds(call, self.policy),
                number=number,
            )
        )

    def _number_of(self, call: Call) -> str | None:
        """The number that the caller presented, as all numbers are compared; None for a withheld one, or none at all."""
        if call.number_withheld or not call.caller_number:
            return None
        judged = self.policy.destinations.judge(call.caller_number)
        return judged.number if judged.judgement is not Judgement.NO_NUMBER and judged.number else None

    def _tasks_of(self, call: Call) -> list[Task]:
        """The open tasks of this caller's number; none for a withheld one."""
        if not self.state.tasks:  # to judge a number takes longer than all else that is done for who calls
            return []
        number = self._number_of(call)
        return [] if number is None else [task for task in self.state.tasks.values() if task.number == number]

    def _lost_place(self, call: Call) -> Instant | None:
        """When this caller joined before a fault cut them, if that was earlier than now and not long ago."""
        times = [
            task.queued_at
            for task in self._tasks_of(call)
            if task.kind is TaskKind.LOST
            and task.queued_at is not None
            and self._now.since(task.opened_at) <= self.policy.tasks.redial_seconds
            and not task.emergency
        ]
        earliest = min(times, key=lambda at: at.monotonic_ns, default=None)
        if earliest is None or earliest.monotonic_ns >= call.queued_at.monotonic_ns:
            return None
        return earliest

    def _link_tasks(self, call: Call) -> None:
        """A call has come from a number that somebody was to ring back."""
        for task in self._tasks_of(call):
            self._because(f"call {call.call_id} comes from the number of task {task.task_id}: linked")
            self._record(facts.TaskLinked(task_id=task.task_id, by_call=call.call_id))

    # ------------------------------------------------------------------ people

    def _task_assigned(self, given: inputs.TaskAssigned) -> None:
        if self._is_open(given.task_id):
            self._because(f"task {given.task_id} is assigned to {given.to}")
            self._record(facts.TaskAssigned(task_id=given.task_id, to=given.to, by=given.by))

    def _task_closed(self, given: inputs.TaskClosed) -> None:
        if not given.by:
            self._because(f"task {given.task_id} is closed by named persons only: ignored")
        elif self._is_open(given.task_id):
            self._because(f"task {given.task_id} is closed by {given.by}: {given.outcome}")
            self._record(
                facts.TaskClosed(task_id=given.task_id, by=given.by, outcome=given.outcome, note=given.note)
            )

    def _leave_to_who_answered(self, task_id: str, who: str) -> None:
        """Nobody else is to ring who was spoken with unseen. It is on the list all the same, until a person closes it."""
        task = self.state.tasks.get(task_id)
        if task is not None and task.assigned_to is None:
            self._because(f"task {task_id} is {who}'s, who answered its caller while the switch was not seen")
            self._record(facts.TaskAssigned(task_id=task_id, to=who, by=RECORD))

    def _is_open(self, task_id: str) -> bool:
        if task_id not in self.state.tasks:
            self._because(f"task {task_id} is not open: ignored")
        return task_id in self.state.tasks

    # ------------------------------------------------------------------ age

    def _task_overdue(self, task: Task) -> None:
        minutes = self._now.since(task.opened_at) / 60
        detail = f"{task.kind} has been open for {minutes:.0f} minutes"
        self._because(f"task {task.task_id}: {detail}")
        self._record(facts.AlarmRaised(kind="task overdue", detail=detail, call_id=task.call_id))
        self._arm_task(task)

    def _callback_overdue(self, call: Call) -> None:
        """A promise that has not been kept for so long is an unassessed risk: a supervisor should look."""
        if call.callback is None or call.state is CallState.ENDED:
            return
        minutes = self._now.since(call.callback.promised_at) / 60
        detail = f"a call-back was promised {minutes:.0f} minutes ago and is {call.state}"
        self._because(f"call {call.call_id}: {detail}")
        self._record(facts.AlarmRaised(kind="call-back overdue", detail=detail, call_id=call.call_id))

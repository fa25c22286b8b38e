"""The desk: what every part of the engine writes on. It records facts, asks for effects, and keeps the derived indexes.

Rule 1: everything that the engine knows is in `State`, and only facts change it (`_record`).
The order of service and the alarms are derived from the state: each fact brings them up to date with what it touched.
"""

from __future__ import annotations

from math import floor
from typing import Any

from edge.core import effects, facts
from edge.core.alarms import AlarmClock
from edge.core.escalation import is_unanswered_emergency, next_rung
from edge.core.model import Activity, CallState, Instant, Policy
from edge.core.ordering import (
    WaitingOrder,
    announcements_for,
    next_announcement,
    patience_ends,
    place_of,
    untold_relaxation,
)
from edge.core.promise import Asked, Plan
from edge.core.state import AgentRecord, Call, Offer, State, apply
from edge.core.task_state import Task
from edge.core.transitions import CALL_DEADLINES, OFFER_DEADLINES, TASK_OFFER_DEADLINES, Deadline

ESCALATION = "escalation"
"""Kind of alarm: a waiting 999 comes to its next rung."""
PATIENCE = "patience"
"""Kind of alarm: a waiting 101 has waited as long as its queue lets it."""
ANNOUNCEMENT = "announcement"
"""Kind of alarm: a waiting 101 caller is due to be told something."""
OFFER_CALLBACK = "offer call-back"
"""Kind of alarm: look again whether a waiting 101 caller should be offered a call-back."""
DIALOGUE = "dialogue"
"""Kind of alarm: a caller who was asked something has not answered."""
AGE = "age"
"""Kind of alarm: a promised call-back has not been kept for long."""
TASK = "task"
"""Kind of alarm: a task has been open for long."""
TASK_OFFER = "task offer"
"""Kind of alarm: the deadline of a task's offer to an agent."""
ANSWER_SECONDS = 8.0
"""How long a caller may think about a question, after it was said. A whole number to be keyed has a time of its own."""
KEYING_SECONDS = 60.0
RECHECK_SECONDS = 10.0
"""How often it is looked again whether a call-back should be offered."""
RELAXATION = "relaxation"
"""Kind of alarm: a waiting 101 caller is due to be told that fewer skills will have to do."""
OF_CALL = ("call", ESCALATION, PATIENCE, ANNOUNCEMENT, RELAXATION, OFFER_CALLBACK, DIALOGUE, AGE)
"""Kinds of alarm that end with their call."""
WHILE_WAITING = (PATIENCE, ANNOUNCEMENT, RELAXATION, OFFER_CALLBACK, DIALOGUE)
"""Those of them that only a caller who waits, or is asked something, has."""


RINGING_BACK = frozenset({CallState.RESERVING, CallState.DIALLING, CallState.CHECKING})


class Desk:
    """State, policy, and the step that is being written."""

    def __init__(self, policy: Policy, state: State | None = None) -> None:
        """Go on from `state` (replayed from the ledger), or from nothing."""
        self.policy = policy
        self.state = State() if state is None else state
        self._order = WaitingOrder()
        self._unanswered = WaitingOrder()
        """The 999 that nobody has taken yet, waiting or ringing; all others wait in `_order` alone. Asked for in each match."""
        self._tasks = WaitingOrder()
        """The tasks that are offered to phones and are at none, by their places among those who wait."""
        self._changing: dict[str, None] = {}
        """Those of `_order` and `_unanswered` for whom time alone changes who may be asked (`_does_time_matter`)."""
        self._asking: set[str] = set()
        """Agents who asked for the next task and have not been offered one since. Asked for in each match."""
        self._alarms = AlarmClock()
        self._is_anybody_kept = True
        """Whether an agent may be kept for a call-back: since one was, until a look at all of them finds none."""
        self._ringing_back: set[str] = set()
        """Call-backs for which an agent is rung, kept or waiting on the line."""
        self._entries: list[facts.Entry] = []
        self._effects: list[tuple[effects.Effect, int]] = []
        self._reasons: list[str] = []
        self._reason = ""
        self._again: list[Instant] = []
        """When this step wants matching to be tried again; the soonest counts."""
        self._barred: set[tuple[str, ...] | None] = set()
        """In this match: skills for which no call-back can begin; None for all of them."""
        self._switch_died = False
        """Whether this step has found the switch in another life: every leg of the one before is gone."""
        self._due_calls: list[str] = []
        """Waiting calls for which time has come to be told something or sent somewhere else."""
        self._now = Instant(0, 0)
        self._switch_utc_us: int | None = None
        """When the switch says that it happened; what a snapshot shows has no such time."""
        self._told_utc_us: int | None = None
        """The switch's time when it told, of a snapshot too."""
        self._build_indexes()

    def _build_indexes(self) -> None:
        self._order, self._unanswered, self._alarms = WaitingOrder(), WaitingOrder(), AlarmClock()
        self._ringing_back, self._tasks, self._changing = set(), WaitingOrder(), {}
        self._asking, self._is_anybody_kept = set(), True
        for call in self.state.calls.values():
            self._index_call(call)
        for offer in self.state.offers.values():
            self._arm_offer(offer)
        for record in self.state.agents.values():
            self._index_agent(record)
        for task_id in self.state.tasks:
            self._index_task(task_id)
        for task_offer_id in self.state.task_offers:
            self._arm_task_offer(task_offer_id)

    def _is_new(self, call_id: str) -> bool:
        """Neither open nor ended just now: late and doubled words about a call do not open it again."""
        return call_id not in self.state.calls and call_id not in self.state.ended

    def _because(self, reason: str) -> None:
        """The sentence for what is recorded from here on."""
        self._reason = reason
        self._reasons.append(reason)

    def _record(self, fact: facts.Fact) -> None:
        entry = facts.Entry(
            sequence=self.state.sequence + 1,
            at=self._now,
            fact=fact,
            reason=self._reason,
            clock=self.state.clock,
            switch_utc_us=self._switch_utc_us,
        )
        apply(self.state, entry)
        self._entries.append(entry)
        self._keep_indexes(fact)

    def _ask(self, effect: effects.Effect) -> None:
        self._effects.append((effect, self.state.sequence))

    def _keep_indexes(self, fact: facts.Fact) -> None:
        """Order of service and alarms are derived from the state; bring them up to date with what the fact touched."""
        self._is_anybody_kept |= isinstance(fact, facts.CallbackAttempted)
        call_id = getattr(fact, "call_id", None)
        if call_id is not None:
            call = self.state.calls.get(call_id)
            if call is None:
                self._order.discard(call_id)
                self._unanswered.discard(call_id)
                self._changing.pop(call_id, None)
                self._ringing_back.discard(call_id)
                self._alarms.cancel_all(OF_CALL, call_id)
            else:
                self._index_call(call)
        offer_id = getattr(fact, "offer_id", None)
        if offer_id is not None:
            offer = self.state.offers.get(offer_id)
            if offer is None:
                self._alarms.cancel(("offer", offer_id))
            else:
                self._arm_offer(offer)
        agent = getattr(fact, "agent", None)
        if agent in self.state.agents:
            self._index_agent(self.state.agents[agent])
        task_id = getattr(fact, "task_id", None)
        if task_id is not None:
            self._index_task(task_id)
        task_offer_id = getattr(fact, "task_offer_id", None)
        if task_offer_id is not None:
            self._arm_task_offer(task_offer_id)

    def _index_call(self, call: Call) -> None:
        if self._holds_place(call):
            self._order.add(place_of(call, self.policy))
        else:
            self._order.discard(call.call_id)
        if self._is_unanswered(call):
            self._unanswered.add(place_of(call, self.policy))
        else:
            self._unanswered.discard(call.call_id)
        if self._does_time_matter(call):
            self._changing[call.call_id] = None
        else:
            self._changing.pop(call.call_id, None)
        if call.state in RINGING_BACK:
            self._ringing_back.add(call.call_id)
        else:
            self._ringing_back.discard(call.call_id)
        self._arm(("call", call.call_id), call, CALL_DEADLINES.get(call.state))
        self._arm_age(call)
        self._arm_escalation(call)
        self._arm_waiting(call)

    def _arm_escalation(self, call: Call) -> None:
        """Wake when the next rung is reached; the match of that step climbs it."""
        climb = next_rung(call, self.policy)
        if climb is None:
            self._alarms.cancel((ESCALATION, call.call_id))
        else:
            self._alarms.set((ESCALATION, call.call_id), climb[1])

    def _arm_age(self, call: Call) -> None:
        """When a promise not kept is, or is again, an alarm."""
        queue = self.policy.queues.get(call.queue)
        if call.callback is None or call.connected_at is not None or queue is None or queue.callback is None:
            self._alarms.cancel((AGE, call.call_id))
            return
        seconds = queue.callback.age_alarm_seconds
        self._alarms.set((AGE, call.call_id), self._next_multiple(call.callback.promised_at, seconds))

    def _index_task(self, task_id: str) -> None:
        task = self.state.tasks.get(task_id)
        if task is None:
            self._alarms.cancel((TASK, task_id))
        else:
            self._arm_task(task)

    def _arm_task(self, task: Task) -> None:
        limits = self.policy.tasks
        seconds = limits.alarm_999_seconds if task.emergency else limits.alarm_101_seconds
        self._alarms.set((TASK, task.task_id), self._next_multiple(task.opened_at, seconds))

    def _next_multiple(self, since: Instant, seconds: float) -> Instant:
        passed_seconds = max(0.0, self._now.since(since))
        return since.plus((floor(passed_seconds / seconds) + 1) * seconds)

    def _arm_waiting(self, call: Call) -> None:
        """When a waiting 101 is to be told something or sent somewhere else. What is overdue needs no alarm: it is done as soon
        as the call waits in silence, whichever step that is (`Routine._attend`)."""
        is_waiting = self._is_waiting(call) and call.is_routine
        if not is_waiting and call.asked is None:  # nothing is due, and most facts are about such calls
            self._alarms.cancel_all(WHILE_WAITING, call.call_id)
            return
        times: dict[str, Instant | None] = dict.fromkeys(WHILE_WAITING)
        times[DIALOGUE] = self._answer_due(call)
        if is_waiting:
            queue = self.policy.queues[call.queue]
            times[PATIENCE] = patience_ends(call, self.policy)
            if (relaxation := untold_relaxation(call, queue)) is not None:
                times[RELAXATION] = call.queued_at.plus(relaxation.after_seconds)
            if (wanted := announcements_for(call, self.policy.queues, self.policy.classes)) is not None:
                times[ANNOUNCEMENT] = next_announcement(call, wanted.every_seconds, self._now)
            if queue.callback is not None and call.asked is None:
                times[OFFER_CALLBACK] = self._next_look(call, queue.callback)
        for kind, at in times.items():
            if at is None or at.monotonic_ns <= self._now.monotonic_ns:
                self._alarms.cancel((kind, call.call_id))
            else:
                self._alarms.set((kind, call.call_id), at)

    def _next_look(self, call: Call, plan: Plan) -> Instant:
        """When to look next whether this caller should be offered a call-back."""
        soon = self._now.plus(RECHECK_SECONDS)
        if call.callback_offered_at is None:
            return soon
        return max(
            soon, call.callback_offered_at.plus(plan.offer_every_seconds), key=lambda at: at.monotonic_ns
        )

    def _answer_due(self, call: Call) -> Instant | None:
        """Until when a caller who was asked something may think; None while they are still being asked, or are not."""
        if call.asked is None or call.asked_at is None or call.announcement is not None:
            return None
        seconds = KEYING_SECONDS if call.asked is Asked.KEY else ANSWER_SECONDS
        since = (
            call.asked_at
            if call.quiet_at is None
            else max(call.asked_at, call.quiet_at, key=lambda at: at.monotonic_ns)
        )
        return since.plus(seconds)

    def _is_waiting(self, call: Call) -> bool:
        """Whether the caller waits on the line. What a new configuration dropped serves nobody (see `_serve`)."""
        return call.state is CallState.WAITING and self._is_configured(call)

    def _is_unanswered(self, call: Call) -> bool:
        """Whether it is a 999 that nobody has taken yet, and takes part in matching."""
        return is_unanswered_emergency(call) and self._is_configured(call)

    def _holds_place(self, call: Call) -> bool:
        """Whether it takes part in matching: on the line, or to be called back."""
        return call.state in (CallState.WAITING, CallState.CALLBACK) and self._is_configured(call)

    def _does_time_matter(self, call: Call) -> bool:
        """Whether it waits to be matched, and a refusal that is forgotten or skills that relax make others able to take it."""
        if call.call_id not in self._order and call.call_id not in self._unanswered:
            return False
        return bool(call.refused_by or self.policy.queues[call.queue].relaxations)

    def _is_configured(self, call: Call) -> bool:
        return call.line in self.policy.lines and call.queue in self.policy.queues

    def _arm_offer(self, offer: Offer) -> None:
        self._arm(("offer", offer.offer_id), offer, OFFER_DEADLINES.get(offer.state))

    def _arm_task_offer(self, task_offer_id: str) -> None:
        offer = self.state.task_offers.get(task_offer_id)
        deadline = None if offer is None else TASK_OFFER_DEADLINES.get(offer.state)
        self._arm((TASK_OFFER, task_offer_id), offer, deadline)

    def _arm(self, key: tuple[str, str], thing: Any, deadline: Deadline | None) -> None:
        since = None if deadline is None else getattr(thing, deadline.since)
        if deadline is None or since is None:
            self._alarms.cancel(key)
            return
        seconds = getattr(thing, deadline.seconds, None)
        if seconds is None:
            seconds = getattr(self.policy, deadline.seconds)
        self._alarms.set(key, since.plus(seconds))

    def _index_agent(self, record: AgentRecord) -> None:
        if record.task_asked_at is None:
            self._asking.discard(record.agent)
        else:
            self._asking.add(record.agent)
        self._arm_wrap_up(record)

    def _arm_wrap_up(self, record: AgentRecord) -> None:
        key = ("agent", record.agent)
        if record.wrap_up_until is None:
            self._alarms.cancel(key)
        else:
            self._alarms.set(key, record.wrap_up_until)

    def _check_reserved(self) -> None:
        """Whoever is kept, is kept for somebody."""
        if not self._is_anybody_kept:
            return
        self._is_anybody_kept = False
        for record in self.state.agents.values():
            if record.activity is Activity.RESERVED:
                self._is_anybody_kept = True
                call = self.state.calls.get(record.reserved_for or "")
                promise = None if call is None else call.callback
                assert promise is not None and promise.kept_agent == record.agent, f"{record.agent}: kept"

    def _check_tasks(self) -> None:
        """A task is at one phone at most, and whoever is there is occupied by it."""
        for offer in self.state.task_offers.values():
            record, task = self.state.agents.get(offer.agent), self.state.tasks.get(offer.task_id)
            assert record is not None and record.offer_id == offer.offer_id, f"{offer.offer_id}: agent"
            assert task is None or task.offer_id == offer.offer_id, f"{offer.offer_id}: task"

    def _check(self) -> None:
        """Every open call is in exactly one place, whatever was decided. A failure here stops the daemon, not the callers."""
        if not self._entries:
            return  # only facts change anything
        self._check_reserved()
        self._check_tasks()
        for entry in self._entries:
            call = self.state.calls.get(getattr(entry.fact, "call_id", ""))
            if call is None:
                continue
            assert self._holds_place(call) == (call.call_id in self._order), (
                f"{call.call_id} {call.state}: place in the order"
            )
            assert self._is_unanswered(call) == (call.call_id in self._unanswered), f"{call.call_id}: 999"
            assert self._does_time_matter(call) == (call.call_id in self._changing), f"{call.call_id}: time"
            offered = call.state in (CallState.OFFERED, CallState.RESERVING)
            assert offered == bool(call.live_offers), f"{call.call_id}: offers"
            claimed = call.state in (CallState.CONNECTING, CallState.TALKING)
            if call.state is CallState.DIALLING:  # by an agent on the line, or by one who is kept
                claimed = call.callback is not None and call.callback.kept_agent is None
            assert claimed == bool(call.claimed_by), f"{call.call_id}: claim"
            assert call.callback is None or not (
                call.callback.in_flight and call.state is CallState.CALLBACK
            ), f"{call.call_id}: an attempt in flight"

"""Handing ring-back tasks out to handlers: whom the next one is offered to, and when an offer of one gives way.

Rule 1: a task stands where its caller stood: those of 999 before all routine work, never before a waiting 999; the others by
their time of joining, in the one order, and only while somebody who can take a 999 stays free beside, as a call-back. A lost 999
is what those are kept free for. Nobody is kept for a task whose person cannot be rung now.
Rule 2: a 999 that finds nobody free takes the agent while the phone rings, while they choose, and while the person's rings.
Rule 3: one that a time without sight of the switch made is offered once the switch's own record was read: whoever was answered
meanwhile is left to who answered.
Rule 4: what happens at the phone stands in `task_at_phone.py`: nobody is dialled but by a handler's key.
"""

from __future__ import annotations

from edge.core import effects, facts, inputs
from edge.core.model import Activity, Instant, OfferOutcome, TaskOfferState, Tier
from edge.core.ordering import Candidates, Place, emergency_skills
from edge.core.promise import TaskAttemptOutcome, TaskOutcome
from edge.core.state import AgentRecord, Call
from edge.core.task_at_phone import TaskAtPhone
from edge.core.task_state import ASKED_SECONDS, TASK_OFFER_PREFIX, Task, TaskOffer

RINGING = frozenset({TaskOfferState.CALLING, TaskOfferState.RINGING})
TASK_GIVES_WAY = RINGING | {TaskOfferState.CHOOSING, TaskOfferState.DIALLING}
"""While nobody talks."""


class HandingOut(TaskAtPhone):
    """Offering tasks at their places."""

    # ------------------------------------------------------------------ matching

    def _is_task_at_a_phone(self) -> bool:
        """Whether an agent is occupied by a task of which nobody talks yet: so long the reserve for 999 is kept."""
        return any(offer.state in TASK_GIVES_WAY for offer in self.state.task_offers.values())

    def _does_anybody_want_a_task(self) -> bool:
        if not self._asking:
            return False
        asked = (self.state.agents[agent].task_asked_at for agent in self._asking)
        return any(at is not None and self._now.since(at) <= ASKED_SECONDS for at in asked)

    def _hand_out(self, task: Task, candidates: Candidates, hopeless: set[tuple[str, ...]]) -> None:
        """It is this task's turn among those who wait: offer it, or keep an agent free for it, or pass it over."""
        skills = self._skills_of_task(task)
        if skills in hopeless or self._is_too_early(task.not_before) or self._is_looked_up(task):
            return
        askable = [r for r in candidates.for_task(skills, task.declined_by) if not self._rests_from_tasks(r)]
        if not askable:
            hopeless.add(skills)
            return
        if self._why_not_offered(task) is not None:
            return
        chosen, reserve = (askable[0], None) if task.emergency else self._choose(askable, candidates)
        if reserve is not None:
            hopeless.add(skills)
        elif chosen is None:  # one is kept free for it, as for a call-back
            candidates.take(askable[0].phone)
            candidates.keep_for_emergencies(self._reserve())
        else:
            idle_seconds = self._now.since(chosen.idle_since)
            self._offer_task(task, chosen, f"next in order of service (idle {idle_seconds:.0f} s)")
            candidates.take(chosen.phone)
            candidates.keep_for_emergencies(self._reserve())

    def _give_to_who_asked(self, candidates: Candidates) -> None:
        """Agents who asked for the next task have it as soon as their phone is free, whatever its kind and their other work."""
        if not self._asking:
            return
        for record in tuple(self.state.agents.values()):
            if record.task_asked_at is None or self._now.since(record.task_asked_at) > ASKED_SECONDS:
                continue
            free = record.activity is Activity.IDLE and record.phone is not None
            if not free or not candidates.phone_is_free(record.phone):
                continue
            if (until := candidates.line_taken_until(record)) is not None:
                self._look_again(until)
                continue
            if self._does_999_need(record, candidates):
                continue
            task = self._next_for(record, candidates)
            if task is not None:
                self._offer_task(task, record, "asked for the next", asked=True)
                candidates.take(record.phone)

    def _next_for(self, record: AgentRecord, candidates: Candidates) -> Task | None:
        """The first that is nobody's work, else of this agent's own; what they have just declined last."""
        open_tasks = [
            task
            for task in self.state.tasks.values()
            if task.offer_id is None
            and task.assigned_to in (None, record.agent)
            and candidates.has_skills(record, self._skills_of_task(task))
            and self._why_not_rung(task) is None
            and not self._is_looked_up(task)
        ]
        return min(
            open_tasks,
            key=lambda task: (
                task.assigned_to is not None,
                record.agent in task.declined_by,
                self._task_place(task),
            ),
            default=None,
        )

    def _is_too_early(self, at: Instant | None) -> bool:
        if at is None or at.monotonic_ns <= self._now.monotonic_ns:
            return False
        self._look_again(at)
        return True

    def _is_looked_up(self, task: Task) -> bool:
        """Whether the switch's own record may tell in a moment that its caller was answered while nothing was seen."""
        return self._is_too_early(self.state.looked_up_until(task.call_id))

    def _rests_from_tasks(self, record: AgentRecord) -> bool:
        """Who has just declined one is not asked for another at once."""
        at = record.declined_task_at
        return at is not None and self._is_too_early(at.plus(self.policy.tasks.again_seconds))

    def _skills_of_task(self, task: Task) -> tuple[str, ...]:
        """Those of a 999, or of the queue that its caller waited in."""
        if task.emergency:
            return emergency_skills(self.policy) or ()
        queue = self.policy.queues.get(task.queue)
        return () if queue is None else queue.skills

    def _task_place(self, task: Task) -> Place:
        tier = Tier.EMERGENCY if task.emergency else Tier.ROUTINE
        return Place(tier, task.place_since.monotonic_ns, task.task_id)

    def _index_task(self, task_id: str) -> None:
        super()._index_task(task_id)
        task = self.state.tasks.get(task_id)
        waits = (
            task is not None
            and task.kind in self.policy.tasks.offered
            and task.assigned_to is None
            and task.offer_id is None
        )
        if task is not None and waits:
            self._tasks.add(self._task_place(task))
        else:
            self._tasks.discard(task_id)

    def _offer_task(self, task: Task, record: AgentRecord, why: str, *, asked: bool = False) -> None:
        tasks, waited_seconds = self.policy.tasks, self._now.since(task.joined_at)
        self._because(
            f"task {task.task_id} ({task.kind}) offered to agent {record.agent} after {waited_seconds:.0f} s: {why}"
        )
        offer_id = f"{TASK_OFFER_PREFIX}{task.task_id}.{task.offers_made + 1}"
        self._record(
            facts.TaskOffered(
                task_id=task.task_id,
                task_offer_id=offer_id,
                agent=record.agent,
                phone=record.phone or "",
                ring_seconds=tasks.offer_seconds,
                choose_seconds=tasks.choose_seconds,
                asked=asked,
            )
        )
        self._ask(
            effects.RingForTask(
                offer_id=offer_id,
                task_id=task.task_id,
                phone=record.phone or "",
                ring_seconds=tasks.offer_seconds,
                kind=task.kind,
                emergency=task.emergency,
                number=self._shown(task),
                waited_seconds=waited_seconds,
            )
        )

    def _shown(self, task: Task) -> str | None:
        """The number as a handler would dial it."""
        if task.number is None:
            return None
        judged = self.policy.destinations.judge(task.number)
        return judged.spoken or task.number

    # ------------------------------------------------------------------ who comes first, and who leaves

    def _task_offers_that_give_way(self) -> list[TaskOffer]:
        """Those with nobody talking, the newest first."""
        offers = (offer for offer in self.state.task_offers.values() if offer.state in TASK_GIVES_WAY)
        return sorted(offers, key=lambda offer: (offer.made_at.monotonic_ns, offer.offer_id), reverse=True)

    def _give_way(self, offer: TaskOffer, emergency: Call) -> None:
        """A 999 needs the agent: the task keeps its place, and nobody has declined it."""
        self._because(
            f"999 call {emergency.call_id} needs agent {offer.agent}: the offer of task {offer.task_id} is withdrawn"
        )
        if offer.state is not TaskOfferState.DIALLING:
            self._hang_up_for_task(offer, OfferOutcome.WITHDRAWN)
        elif offer.dialled_at is None:
            self._task_attempt_over(offer, TaskAttemptOutcome.NOT_DIALLED, f"999 call {emergency.call_id}")
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))
        else:
            self._task_attempt_over(offer, TaskAttemptOutcome.PREEMPTED, f"999 call {emergency.call_id}")
            self._ask(effects.GiveUpDial(offer_id=offer.offer_id))

    def _withdraw_ringing(self, record: AgentRecord) -> None:
        super()._withdraw_ringing(record)
        offer = self.state.task_offers.get(record.offer_id or "")
        if offer is not None and offer.state in RINGING:
            self._hang_up_for_task(offer, OfferOutcome.WITHDRAWN)

    def _withdraw_unreachable(self, phone: str) -> None:
        super()._withdraw_unreachable(phone)
        for offer in tuple(self.state.task_offers.values()):
            if offer.phone == phone and offer.state in RINGING:
                self._because(f"phone {phone} vanished while it was offered task {offer.task_id}")
                self._hang_up_for_task(offer, OfferOutcome.UNREACHABLE)

    def _task_assigned(self, given: inputs.TaskAssigned) -> None:
        super()._task_assigned(given)
        self._withdraw_if_taken(given.task_id, given.to)

    def _task_closed(self, given: inputs.TaskClosed) -> None:
        task = self.state.tasks.get(given.task_id)
        if task is not None and given.by:
            self._withdraw_if_taken(given.task_id, "")
        super()._task_closed(given)

    def _leave_to_who_answered(self, task_id: str, who: str) -> None:
        super()._leave_to_who_answered(task_id, who)
        self._withdraw_if_taken(task_id, "")

    def _withdraw_if_taken(self, task_id: str, by_agent: str) -> None:
        """A task that is somebody else's work, or done, rings and asks no more. A person who is being rung is not cut off."""
        task = self.state.tasks.get(task_id)
        offer = None if task is None else self.state.task_offers.get(task.offer_id or "")
        if (
            offer is not None
            and offer.agent != by_agent
            and offer.state in RINGING | {TaskOfferState.CHOOSING}
        ):
            self._because(
                f"task {task_id} is not to be had any more: its offer to agent {offer.agent} is withdrawn"
            )
            self._hang_up_for_task(offer, OfferOutcome.WITHDRAWN)

    # ------------------------------------------------------------------ codes

    def _task_asked(self, given: inputs.TaskAsked) -> None:
        record = self.state.agents.get(given.agent)
        if record is None or record.phone is None:
            self._because(f"agent {given.agent} asked for a task and is not signed in: ignored")
            return
        any_open = any(task.assigned_to in (None, given.agent) for task in self.state.tasks.values())
        words = "as soon as their phone is free" if any_open else "there is none"
        self._because(f"agent {given.agent} asked for the next task: {words}")
        self._record(facts.TaskAsked(agent=given.agent, any_open=any_open))

    def _task_spoken_with(self, given: inputs.TaskSpokenWith) -> None:
        record = self.state.agents.get(given.agent)
        task = None if record is None else self.state.tasks.get(record.last_task_id or "")
        if task is None:
            self._because(
                f"agent {given.agent} said that a person was spoken with, but has no open task: ignored"
            )
            return
        self._task_closed(
            inputs.TaskClosed(
                task_id=task.task_id, by=given.agent, outcome=TaskOutcome.REACHED, note="by code"
            )
        )

"""Ring-back tasks at handlers' phones: whom the next one is offered to, what the keys do, and the person's phone.

Rule 1: nobody is dialled but by a handler's key. The number is judged again at the key and before the dial, the intent is on disk
before it, and one whose outcome we lost is never made again: the task is open, and at its place.
Rule 2: a task stands where its caller stood: those of 999 before all routine work, never before a waiting 999; the others by
their time of joining, in the one order. It is offered only while somebody who can take a 999 stays free beside, as a call-back.
Rule 3: a 999 that finds nobody free takes the agent while the phone rings, while they choose, and while the person's rings.
Rule 4: from the dial on the talk is the switch's own. It closes nothing: whoever talked has the task, and closes it.
"""

from __future__ import annotations

from typing import Any

from edge.core import effects, facts, inputs
from edge.core.model import (
    Activity,
    Instant,
    OfferOutcome,
    TaskOfferState,
    Tier,
)
from edge.core.ordering import Candidates, Place, emergency_skills
from edge.core.promise import Destination, TaskAttemptOutcome, TaskKind, TaskOutcome
from edge.core.ringing_back import RingingBack
from edge.core.service import OUTCOME_OF_REFUSAL
from edge.core.state import AgentRecord, Call
from edge.core.task_state import ASKED_SECONDS, TASK_OFFER_PREFIX, Task, TaskOffer
from edge.core.transitions import TASK_OFFER_DEADLINES, TASK_OFFER_REACTIONS

RING_KEY, TAKE_KEY = "1", "2"
CHOOSE, LOOK_UP, NOT_NOW = "task-choose", "task-look-up", "task-not-now"
SAID = {
    TaskKind.LOST: "task-lost",
    TaskKind.ABANDONED_999: "task-abandoned-999",
    TaskKind.ABANDONED_101: "task-abandoned-101",
    TaskKind.UNREACHED_CALLBACK: "task-unreached-callback",
}
"""What is said first to who answers for a task of this kind."""
WORDS = {
    TaskAttemptOutcome.SPOKEN: "they spoke",
    TaskAttemptOutcome.NO_ANSWER: "nobody answered",
    TaskAttemptOutcome.BUSY: "the number was busy",
    TaskAttemptOutcome.FAILED: "the network failed, or there is no such number",
    TaskAttemptOutcome.AGENT_LEFT: "the agent hung up while it rang",
    TaskAttemptOutcome.PREEMPTED: "a 999 needed the agent",
    TaskAttemptOutcome.NOT_DIALLED: "nothing was dialled",
    TaskAttemptOutcome.UNSEEN: "its end was not seen",
}
RINGING = frozenset({TaskOfferState.CALLING, TaskOfferState.RINGING})
GIVES_WAY = RINGING | {TaskOfferState.CHOOSING, TaskOfferState.DIALLING}
"""While nobody talks."""


class HandingOut(RingingBack):
    """Offering tasks, and ringing their persons by a handler's key."""

    # ------------------------------------------------------------------ matching

    def _is_task_at_a_phone(self) -> bool:
        """Whether an agent is occupied by a task of which nobody talks yet: so long the reserve for 999 is kept."""
        return any(offer.state in GIVES_WAY for offer in self.state.task_offers.values())

    def _does_anybody_want_a_task(self) -> bool:
        return any(record.task_asked_at is not None for record in self.state.agents.values())

    def _hand_out(self, task: Task, candidates: Candidates, hopeless: set[tuple[str, ...]]) -> None:
        """It is this task's turn among those who wait: offer it, or keep an agent free for it, or pass it over."""
        skills = self._skills_of_task(task)
        if skills in hopeless or self._is_too_early(task.not_before) or self._why_not_rung(task) is not None:
            return
        askable = [r for r in candidates.for_task(skills, task.declined_by) if not self._rests_from_tasks(r)]
        if not askable:
            hopeless.add(skills)
            return
        chosen, reserve = self._choose(askable, candidates)
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
        for record in tuple(self.state.agents.values()):
            if record.task_asked_at is None or self._now.since(record.task_asked_at) > ASKED_SECONDS:
                continue
            free = record.activity is Activity.IDLE and record.phone is not None
            if not free or not candidates.phone_is_free(record.phone):
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

    def _why_not_rung(self, task: Task) -> str | None:
        """Why nobody should ring this number now: somebody calls from it, or it is being rung."""
        if task.number is None:
            return None
        for call in self.state.calls.values():
            promise = call.callback
            if promise is not None and promise.number == task.number and promise.in_flight:
                return "a call-back rings this number"
            if call.is_on_the_line and self._number_of(call) == task.number:
                return "somebody calls from this number"
        if self._is_rung_for_a_task(task.number, but=task.task_id):
            return "this number is rung for another task"
        return None

    def _is_rung_for_a_task(self, number: str | None, *, but: str = "") -> bool:
        return any(
            offer.task_id != but
            and offer.state is not TaskOfferState.WITHDRAWN
            and (other := self.state.tasks.get(offer.task_id)) is not None
            and other.number == number
            for offer in self.state.task_offers.values()
        )

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

    # ------------------------------------------------------------------ the agent's phone

    def _react_for_task_offer(self, offer: TaskOffer, given: Any) -> None:
        getattr(self, f"_{TASK_OFFER_REACTIONS[type(given)][offer.state]}")(offer, given)

    def _task_ignore(self, offer: TaskOffer, given: inputs.Input) -> None:
        self._because(f"{type(given).__name__} for {offer.offer_id}, which is {offer.state}: nothing to do")

    def _task_rang(self, offer: TaskOffer, given: inputs.PhoneRang) -> None:  # noqa: ARG002
        self._because(f"phone {offer.phone} of agent {offer.agent} rings for task {offer.task_id}")
        self._record(
            facts.TaskOfferRang(task_id=offer.task_id, task_offer_id=offer.offer_id, agent=offer.agent)
        )

    def _task_answered(self, offer: TaskOffer, given: inputs.PhoneAnswered) -> None:  # noqa: ARG002
        task = self.state.tasks.get(offer.task_id)
        if task is None:  # cannot be: a task that is closed has its offer withdrawn
            self._hang_up_for_task(offer, OfferOutcome.WITHDRAWN)
            return
        dialable = self._destination(task) is not None
        self._because(f"agent {offer.agent} answered for task {task.task_id} and is asked what to do")
        self._record(
            facts.TaskOfferAnswered(
                task_id=task.task_id, task_offer_id=offer.offer_id, agent=offer.agent, dialable=dialable
            )
        )
        self._tell_agent(offer, SAID[task.kind], CHOOSE if dialable else LOOK_UP)

    def _tell_agent(self, offer: TaskOffer, *sounds: str) -> None:
        self._ask(effects.AskAgent(offer_id=offer.offer_id, sounds=sounds, seconds=offer.choose_seconds))

    def _task_answered_late(self, offer: TaskOffer, given: inputs.PhoneAnswered) -> None:  # noqa: ARG002
        self._because(f"agent {offer.agent} answered for a task that was withdrawn: hung up")
        self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    def _task_refused(self, offer: TaskOffer, given: inputs.PhoneGone) -> None:
        outcome = OUTCOME_OF_REFUSAL[given.refusal]
        if outcome is OfferOutcome.MISSED and offer.rang_at is None:
            outcome = OfferOutcome.UNREACHABLE
        self._because(f"agent {offer.agent} did not take task {offer.task_id}: {outcome} ({given.cause})")
        self._end_task_offer(offer, outcome, given.cause, declined=True)

    def _task_declined(self, offer: TaskOffer, given: inputs.PhoneGone) -> None:
        self._because(f"agent {offer.agent} hung up without taking task {offer.task_id}")
        self._end_task_offer(offer, OfferOutcome.REJECTED, given.cause, declined=True)

    def _task_offer_over(self, offer: TaskOffer, given: inputs.PhoneGone) -> None:
        self._because(f"offer {offer.offer_id} to agent {offer.agent} is over")
        outcome = offer.outcome or OfferOutcome.WITHDRAWN
        self._end_task_offer(offer, outcome, given.cause, declined=offer.declined)

    def _end_task_offer(
        self, offer: TaskOffer, outcome: OfferOutcome, cause: str, *, declined: bool = False
    ) -> None:
        again_at = self._now.plus(self.policy.tasks.again_seconds)
        self._record(
            facts.TaskOfferEnded(
                task_id=offer.task_id,
                task_offer_id=offer.offer_id,
                agent=offer.agent,
                outcome=outcome,
                cause=cause,
                declined=declined,
                not_before=again_at if declined else None,
            )
        )
        if offer.talked:
            self._wrap_up_task(offer)

    def _wrap_up_task(self, offer: TaskOffer) -> None:
        """As after a talk with a caller of that queue."""
        record, task = self.state.agents.get(offer.agent), self.state.tasks.get(offer.task_id)
        if record is None or record.phone is None or record.activity is not Activity.IDLE:
            return
        name = "" if task is None else task.queue
        queue = self.policy.queues.get(name)
        seconds = record.wrap_up_owed_seconds + (0.0 if queue is None else queue.wrap_up_seconds)
        if seconds > 0.0:
            self._record(
                facts.WrapUpStarted(
                    agent=offer.agent,
                    call_id=offer.task_id,
                    seconds=seconds,
                    emergency=task is not None and task.emergency,
                )
            )

    def _withdraw_task_offer(
        self, offer: TaskOffer, outcome: OfferOutcome = OfferOutcome.WITHDRAWN, *, declined: bool = False
    ) -> None:
        """While nothing is dialled: the leg ends, whatever it is doing."""
        self._record(
            facts.TaskOfferWithdrawn(
                task_id=offer.task_id,
                task_offer_id=offer.offer_id,
                agent=offer.agent,
                outcome=outcome,
                declined=declined,
            )
        )

    def _hang_up_for_task(self, offer: TaskOffer, outcome: OfferOutcome, *, declined: bool = False) -> None:
        self._withdraw_task_offer(offer, outcome, declined=declined)
        self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    # ------------------------------------------------------------------ keys

    def _task_keyed(self, offer: TaskOffer, given: inputs.AgentKeyed) -> None:
        if given.key == RING_KEY:
            self._intend(offer)
        elif given.key == TAKE_KEY:
            self._because(f"agent {offer.agent} takes task {offer.task_id}, and nobody is dialled")
            self._record(facts.TaskAssigned(task_id=offer.task_id, to=offer.agent, by=offer.agent))
            self._hang_up_for_task(offer, OfferOutcome.ANSWERED)
        else:
            self._task_ignore(offer, given)

    def _intend(self, offer: TaskOffer) -> None:
        """Write down that this person is to be rung; the dialling waits for the disk (`_task_dial`)."""
        task = self.state.tasks[offer.task_id]
        why = self._why_no_dial(task)
        if why is not None:
            self._because(
                f"agent {offer.agent} asked to ring the person of task {task.task_id}: not now, {why}"
            )
            self._tell_agent(offer, NOT_NOW if self._destination(task) is not None else LOOK_UP)
            return
        self._because(f"agent {offer.agent} pressed the key to ring the person of task {task.task_id}")
        self._record(
            facts.TaskAttempted(
                task_id=task.task_id,
                task_offer_id=offer.offer_id,
                agent=offer.agent,
                attempt=task.attempt + 1,
            )
        )
        self._ask(effects.TellWhenDurable(call_id=offer.offer_id, token=f"attempt {offer.attempt}"))

    def _destination(self, task: Task) -> Destination | None:
        """What would be dialled; None: a withheld number, one that may not be dialled, or a site that dials nobody."""
        if task.number is None or not self.policy.callbacks.trunk:
            return None
        judged = self.policy.destinations.judge(task.number)
        return judged if judged.is_allowed else None

    def _why_no_dial(self, task: Task) -> str | None:
        if self._destination(task) is None:
            return "the number is withheld, or may not be dialled"
        if self.state.ledger_trouble is not None:
            return "the ledger is in trouble"
        return self._why_not_rung(task)

    def _task_dial(self, offer: TaskOffer, given: inputs.Durable) -> None:
        task = self.state.tasks.get(offer.task_id)
        if offer.dialled_at is not None or given.token != f"attempt {offer.attempt}" or not self.state.sight:
            self._task_ignore(offer, given)
            return
        judged = None if task is None else self._destination(task)
        why = "the task was closed" if task is None else self._why_not_rung(task)
        if task is None or judged is None or why is not None:
            self._because(
                f"the person of task {offer.task_id} is not rung: {why or 'the number is not allowed'}"
            )
            self._not_dialled(offer, why or "not allowed")
            return
        self._because(f"the person of task {task.task_id} is rung for agent {offer.agent}, who hears it")
        self._record(
            facts.TaskDialled(
                task_id=task.task_id,
                task_offer_id=offer.offer_id,
                agent=offer.agent,
                attempt=offer.attempt,
            )
        )
        self._ask(
            effects.DialForTask(
                offer_id=offer.offer_id,
                number=judged.dialled,
                trunk=self.policy.callbacks.trunk,
                show_number=self.policy.callbacks.show_number,
                ring_seconds=self.policy.tasks.dial_seconds,
            )
        )

    def _not_dialled(self, offer: TaskOffer, why: str) -> None:
        self._task_attempt_over(offer, TaskAttemptOutcome.NOT_DIALLED, why)
        self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    # ------------------------------------------------------------------ the person

    def _task_reached(self, offer: TaskOffer, given: inputs.TaskPersonAnswered | None) -> None:  # noqa: ARG002
        self._because(f"the person of task {offer.task_id} answered: agent {offer.agent} talks with them")
        self._record(
            facts.TaskReached(
                task_id=offer.task_id,
                task_offer_id=offer.offer_id,
                agent=offer.agent,
                attempt=offer.attempt,
            )
        )

    def _task_reached_late(self, offer: TaskOffer, given: inputs.TaskPersonAnswered) -> None:
        """Answered in the instant in which a 999 had it given up: nobody cuts a talk."""
        if offer.dialled_at is None:
            self._task_ignore(offer, given)
        else:
            self._task_reached(offer, given)

    def _task_person_gone(self, offer: TaskOffer, given: inputs.TaskPersonGone) -> None:
        outcome = given.outcome
        if offer.state is TaskOfferState.TALKING:
            outcome = TaskAttemptOutcome.SPOKEN
        self._task_attempt_over(offer, outcome, given.cause)
        if outcome is not TaskAttemptOutcome.SPOKEN:
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    def _task_attempt_over(self, offer: TaskOffer, outcome: TaskAttemptOutcome, cause: str) -> None:
        """The task is open and at its place. Who spoke with the person has it; else it is offered again after a while."""
        talked_seconds = 0.0 if offer.reached_at is None else self._now.since(offer.reached_at)
        self._because(f"ringing the person of task {offer.task_id}: {WORDS[outcome]} ({cause})")
        self._record(
            facts.TaskAttemptEnded(
                task_id=offer.task_id,
                task_offer_id=offer.offer_id,
                agent=offer.agent,
                attempt=offer.attempt,
                outcome=outcome,
                cause=cause,
                talked_seconds=talked_seconds,
                not_before=self._now.plus(self.policy.tasks.again_seconds),
            )
        )
        task = self.state.tasks.get(offer.task_id)
        if outcome is TaskAttemptOutcome.SPOKEN and task is not None and task.assigned_to is None:
            self._record(facts.TaskAssigned(task_id=task.task_id, to=offer.agent, by=offer.agent))

    def _task_agent_left(self, offer: TaskOffer, given: inputs.PhoneGone) -> None:
        if offer.state is TaskOfferState.TALKING:
            outcome = TaskAttemptOutcome.SPOKEN
        elif offer.dialled_at is None:
            outcome = TaskAttemptOutcome.NOT_DIALLED
        else:
            outcome = TaskAttemptOutcome.AGENT_LEFT
        self._task_attempt_over(offer, outcome, given.cause)
        self._end_task_offer(offer, OfferOutcome.ANSWERED, given.cause)

    # ------------------------------------------------------------------ deadlines

    def _task_offer_due(self, offer: TaskOffer) -> None:
        getattr(self, f"_{TASK_OFFER_DEADLINES[offer.state].then}")(offer)

    def _task_unreachable(self, offer: TaskOffer) -> None:
        self._because(f"phone {offer.phone} did not ring for task {offer.task_id} in time")
        self._hang_up_for_task(offer, OfferOutcome.UNREACHABLE, declined=True)

    def _task_missed(self, offer: TaskOffer) -> None:
        self._because(f"agent {offer.agent} did not answer for task {offer.task_id}: back at its place")
        self._hang_up_for_task(offer, OfferOutcome.MISSED, declined=True)

    def _task_no_key(self, offer: TaskOffer) -> None:
        self._because(f"agent {offer.agent} pressed no key for task {offer.task_id}: back at its place")
        self._hang_up_for_task(offer, OfferOutcome.REJECTED, declined=True)

    def _task_not_on_disk(self, offer: TaskOffer) -> None:
        self._because(f"the intent to ring the person of task {offer.task_id} is not on disk: not dialled")
        self._not_dialled(offer, "not on disk in time")

    def _task_never_ended(self, offer: TaskOffer) -> None:
        self._because(
            f"the leg of offer {offer.offer_id} was not reported as ended: agent {offer.agent} is freed"
        )
        self._end_task_offer(
            offer, offer.outcome or OfferOutcome.WITHDRAWN, "end not reported", declined=offer.declined
        )
        was_dialled = offer.dialled_at is not None  # nobody cuts a talk of whose beginning the word was lost
        end = effects.GiveUpDial if was_dialled else effects.HangUpOffer
        self._ask(end(offer_id=offer.offer_id))

    # ------------------------------------------------------------------ who comes first, and who leaves

    def _task_offers_that_give_way(self) -> list[TaskOffer]:
        """Those with nobody talking, the newest first."""
        offers = (offer for offer in self.state.task_offers.values() if offer.state in GIVES_WAY)
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
                self._hang_up_for_task(offer, OfferOutcome.UNREACHABLE, declined=True)

    def _task_assigned(self, given: inputs.TaskAssigned) -> None:
        super()._task_assigned(given)
        self._withdraw_if_taken(given.task_id, given.to)

    def _task_closed(self, given: inputs.TaskClosed) -> None:
        task = self.state.tasks.get(given.task_id)
        if task is not None and given.by:
            self._withdraw_if_taken(given.task_id, "")
        super()._task_closed(given)

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

    # ------------------------------------------------------------------ after losing sight

    def _reconcile_task_offers(self, seen: inputs.Reconciled) -> None:
        """What rang or asked is begun anew; a person who is rung, or talked with, by the switch's own doing goes on with it."""
        legs = {leg.offer_id: leg for leg in seen.offers}
        for offer in tuple(self.state.task_offers.values()):
            leg = legs.get(offer.offer_id)
            if leg is None:
                self._task_leg_gone(offer)
            elif offer.state is TaskOfferState.TALKING or (
                leg.away and offer.state is TaskOfferState.DIALLING
            ):
                self._task_goes_on(offer, leg)
            elif offer.state is TaskOfferState.WITHDRAWN:
                if not leg.talking:
                    self._ask(effects.HangUpOffer(offer_id=offer.offer_id))
                self._alarms.set(
                    ("task offer", offer.offer_id), self._now.plus(self.policy.withdrawal_seconds)
                )
            elif offer.state is TaskOfferState.DIALLING:
                self._not_dialled(offer, "found in our hands after losing sight")
            else:
                self._because(f"offer {offer.offer_id} was interrupted: withdrawn, the task keeps its place")
                self._hang_up_for_task(offer, OfferOutcome.WITHDRAWN)

    def _task_goes_on(self, offer: TaskOffer, leg: inputs.SeenOffer) -> None:
        if leg.talking and offer.state is TaskOfferState.DIALLING:
            self._task_reached(offer, None)
        else:
            self._because(f"the person of task {offer.task_id} is still being rung, or talked with")

    def _task_leg_gone(self, offer: TaskOffer) -> None:
        self._because(f"the leg of offer {offer.offer_id} is gone from the switch")
        if offer.state is TaskOfferState.TALKING:
            self._task_attempt_over(offer, TaskAttemptOutcome.SPOKEN, "not seen")
        elif offer.state is TaskOfferState.DIALLING:
            rang = offer.dialled_at is not None
            outcome = TaskAttemptOutcome.UNSEEN if rang else TaskAttemptOutcome.NOT_DIALLED
            self._task_attempt_over(offer, outcome, "not seen")
        self._end_task_offer(offer, offer.outcome or OfferOutcome.LOST, "not seen", declined=offer.declined)

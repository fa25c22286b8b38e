"""A ring-back task at a handler's phone: what the keys do, and the person's phone.

Rule 1: nobody is dialled but by a handler's key. The number is judged again at the key and before the dial, the intent is on disk
before it, and one whose outcome we lost is never made again: the task is open, and at its place.
Rule 2: from the dial on the talk is the switch's own. It closes nothing: whoever talked has the task, and closes it.
"""

from __future__ import annotations

from typing import Any

from edge.core import effects, facts, inputs
from edge.core.model import REFUSALS, Activity, OfferOutcome, TaskOfferState
from edge.core.promise import Destination, TaskAttemptOutcome, TaskKind
from edge.core.ringing_back import RingingBack
from edge.core.task_state import Task, TaskOffer
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


class TaskAtPhone(RingingBack):
    """From the ringing of the handler's phone to the end of the talk."""

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
        outcome = self._judge_refusal(offer, given.refusal)
        self._because(f"agent {offer.agent} did not take task {offer.task_id}: {outcome} ({given.cause})")
        self._end_task_offer(offer, outcome, given.cause)

    def _task_declined(self, offer: TaskOffer, given: inputs.PhoneGone) -> None:
        self._because(f"agent {offer.agent} hung up without taking task {offer.task_id}")
        self._end_task_offer(offer, OfferOutcome.REJECTED, given.cause)

    def _task_offer_over(self, offer: TaskOffer, given: inputs.PhoneGone) -> None:
        self._because(f"offer {offer.offer_id} to agent {offer.agent} is over")
        outcome = offer.outcome or OfferOutcome.WITHDRAWN
        self._end_task_offer(offer, outcome, given.cause)

    def _end_task_offer(self, offer: TaskOffer, outcome: OfferOutcome, cause: str) -> None:
        again_at = self._now.plus(self.policy.tasks.again_seconds)
        self._record(
            facts.TaskOfferEnded(
                task_id=offer.task_id,
                task_offer_id=offer.offer_id,
                agent=offer.agent,
                outcome=outcome,
                cause=cause,
                not_before=again_at if outcome in REFUSALS else None,
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

    def _hang_up_for_task(self, offer: TaskOffer, outcome: OfferOutcome) -> None:
        """While nothing is dialled: the leg ends, whatever it is doing."""
        self._record(
            facts.TaskOfferWithdrawn(
                task_id=offer.task_id,
                task_offer_id=offer.offer_id,
                agent=offer.agent,
                outcome=outcome,
            )
        )
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
        return self._why_not_now(task)

    def _why_not_offered(self, task: Task) -> str | None:
        """One that nobody dials for is looked up, and no trunk or disk is needed for that."""
        return self._why_not_rung(task) if self._destination(task) is None else self._why_not_now(task)

    def _why_not_now(self, task: Task) -> str | None:
        if self.state.ledger_trouble is not None:
            return "the ledger is in trouble"
        if not task.emergency and self._is_trunk_full():
            return "the rest of the trunk is for 999 and callers"
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
        self._hang_up_for_task(offer, OfferOutcome.UNREACHABLE)

    def _task_missed(self, offer: TaskOffer) -> None:
        self._because(f"agent {offer.agent} did not answer for task {offer.task_id}: back at its place")
        self._hang_up_for_task(offer, OfferOutcome.MISSED)

    def _task_no_key(self, offer: TaskOffer) -> None:
        self._because(f"agent {offer.agent} pressed no key for task {offer.task_id}: back at its place")
        self._hang_up_for_task(offer, OfferOutcome.REJECTED)

    def _task_not_on_disk(self, offer: TaskOffer) -> None:
        self._because(f"the intent to ring the person of task {offer.task_id} is not on disk: not dialled")
        self._not_dialled(offer, "not on disk in time")

    def _task_never_ended(self, offer: TaskOffer) -> None:
        self._because(
            f"the leg of offer {offer.offer_id} was not reported as ended: agent {offer.agent} is freed"
        )
        self._end_task_offer(offer, offer.outcome or OfferOutcome.WITHDRAWN, "end not reported")
        was_dialled = offer.dialled_at is not None  # nobody cuts a talk of whose beginning the word was lost
        end = effects.GiveUpDial if was_dialled else effects.HangUpOffer
        self._ask(end(offer_id=offer.offer_id))

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
        self._end_task_offer(offer, offer.outcome or OfferOutcome.LOST, "not seen")

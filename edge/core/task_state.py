"""Ring-back tasks in the open state, and the offers of them to agents: what facts make of both. Part of `edge.core.state`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.core import facts
from edge.core.model import REFUSALS, Activity, Instant, OfferOutcome, OfferState, TaskOfferState
from edge.core.promise import TaskAttemptOutcome, TaskKind
from edge.core.transitions import TASK_OFFER_TRANSITIONS, IllegalFactError, next_state

if TYPE_CHECKING:
    from edge.core.state import AgentRecord, State

DURABLE_SECONDS = 10.0
"""How long the disk may take to have a promise, or the intent of ringing somebody."""
TASK_OFFER_PREFIX = "task-"
"""Begins the name of a task's offer; no call's id begins so."""
ASKED_SECONDS = 30.0
"""How long it is remembered that an agent asked for a task: until their phone is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAttempt:
    """One time that the person of a task was rung, by an agent's key."""

    agent: str
    at: Instant
    outcome: TaskAttemptOutcome
    talked_seconds: float


@dataclass(slots=True, kw_only=True)
class Task:
    """Work for a human, open. Its id is that of the call it is about."""

    task_id: str
    call_id: str
    kind: TaskKind
    number: str | None
    opened_at: Instant
    emergency: bool
    queued_at: Instant | None = None
    queue: str = ""
    head_start_seconds: float = 0.0
    assigned_to: str | None = None
    linked: list[str] = field(default_factory=list)
    """Calls that came from the same number since."""
    offers_made: int = 0
    offer_id: str | None = None
    """The offer that is not over: at most one."""
    declined_by: dict[str, Instant] = field(default_factory=dict)
    """Agent number -> when they last did not want it."""
    not_before: Instant | None = None
    attempt: int = 0
    """The latest ringing of the person, whatever became of it."""
    attempts: list[TaskAttempt] = field(default_factory=list)

    @property
    def joined_at(self) -> Instant:
        """When its caller joined."""
        return self.queued_at or self.opened_at

    @property
    def place_since(self) -> Instant:
        """What its place counts from, as its call's did."""
        return self.joined_at.plus(-self.head_start_seconds)


@dataclass(slots=True, kw_only=True)
class TaskOffer:
    """One task presented to one agent, not yet over."""

    offer_id: str
    task_id: str
    agent: str
    phone: str
    made_at: Instant
    ring_seconds: float
    choose_seconds: float
    asked: bool = False
    """The agent had asked for the next task."""
    state: TaskOfferState = TaskOfferState.CALLING
    rang_at: Instant | None = None
    answered_at: Instant | None = None
    attempt: int = 0
    """That of the task which this offer has made; 0: none."""
    attempted_at: Instant | None = None
    dialled_at: Instant | None = None
    reached_at: Instant | None = None
    talked: bool = False
    """It came to a conversation: wrap-up follows."""
    withdrawn_at: Instant | None = None
    outcome: OfferOutcome | None = None
    """What a withdrawn offer will count as."""

    @property
    def undialled_since(self) -> Instant | None:
        """Since when an intent waits for the disk."""
        return None if self.dialled_at is not None else self.attempted_at

    @property
    def durable_seconds(self) -> float:
        """How long it may."""
        return DURABLE_SECONDS


def is_task_offer(offer_id: str) -> bool:
    """Whether an offer of this name is one of a task."""
    return offer_id.startswith(TASK_OFFER_PREFIX)


def _task(state: State, task_id: str, fact: facts.Fact) -> Task:
    """The open task of this fact. Nothing is changed."""
    task = state.tasks.get(task_id)
    if task is None:
        raise IllegalFactError(f"{type(fact).__name__} for task {task_id}, which is not open")
    return task


def _offer(state: State, fact: facts.TaskOfferFact) -> TaskOffer:
    """The offer of this fact in its next state. Raises before any change."""
    offer = state.task_offers.get(fact.task_offer_id)
    if offer is None:
        raise IllegalFactError(f"{type(fact).__name__} for offer {fact.task_offer_id}, which is not open")
    if (offer.task_id, offer.agent) != (fact.task_id, fact.agent):
        raise IllegalFactError(
            f"{type(fact).__name__} names another task or agent than offer {offer.offer_id}"
        )
    offer.state = next_state(TASK_OFFER_TRANSITIONS, offer.state, fact, f"offer {offer.offer_id}")
    return offer


def occupy_with_next(state: State, record: AgentRecord) -> None:
    """A free agent who has a caller by a transfer is busy with them: from the transfer on, or when what occupied them is over."""
    if record.activity is Activity.IDLE:
        taken = (o for o in state.offers.values() if o.taken_over and o.agent == record.agent)
        if (offer := next(taken, None)) is not None:
            record.offer_id = offer.offer_id
            talking = offer.state is OfferState.ANSWERED
            record.activity = Activity.TALKING if talking else Activity.OFFERED


# ---------------------------------------------------------------------- the list


def _task_opened(state: State, fact: facts.TaskOpened, at: Instant) -> None:
    state.tasks[fact.task_id] = Task(
        task_id=fact.task_id,
        call_id=fact.call_id,
        kind=fact.kind,
        number=fact.number,
        opened_at=at,
        emergency=fact.emergency,
        queued_at=fact.queued_at,
        queue=fact.queue,
        head_start_seconds=fact.head_start_seconds,
    )
    if (call := state.calls.get(fact.call_id)) is not None:
        call.became_task = True


def _task_linked(state: State, fact: facts.TaskLinked, at: Instant) -> None:  # noqa: ARG001
    _task(state, fact.task_id, fact).linked.append(fact.by_call)


def _task_assigned(state: State, fact: facts.TaskAssigned, at: Instant) -> None:  # noqa: ARG001
    _task(state, fact.task_id, fact).assigned_to = fact.to


def _task_closed(state: State, fact: facts.TaskClosed, at: Instant) -> None:  # noqa: ARG001
    _task(state, fact.task_id, fact)
    del state.tasks[fact.task_id]


# ---------------------------------------------------------------------- offers


def _task_asked(state: State, fact: facts.TaskAsked, at: Instant) -> None:
    record = state.agents.get(fact.agent)
    if record is None:
        raise IllegalFactError(f"agent {fact.agent} was never signed in")
    record.task_asked_at = at if fact.any_open else None


def _task_offered(state: State, fact: facts.TaskOffered, at: Instant) -> None:
    task, record = _task(state, fact.task_id, fact), state.agents.get(fact.agent)
    if task.offer_id is not None or fact.task_offer_id in state.task_offers:
        raise IllegalFactError(f"task {task.task_id} is being offered")
    if record is None or record.activity is not Activity.IDLE:
        raise IllegalFactError(f"offer {fact.task_offer_id} to agent {fact.agent}, who is not free")
    task.offers_made += 1
    task.offer_id = fact.task_offer_id
    state.task_offers[fact.task_offer_id] = TaskOffer(
        offer_id=fact.task_offer_id,
        task_id=fact.task_id,
        agent=fact.agent,
        phone=fact.phone,
        made_at=at,
        ring_seconds=fact.ring_seconds,
        choose_seconds=fact.choose_seconds,
        asked=fact.asked,
    )
    record.activity, record.offer_id, record.task_asked_at = Activity.OFFERED, fact.task_offer_id, None


def _task_offer_rang(state: State, fact: facts.TaskOfferRang, at: Instant) -> None:
    _offer(state, fact).rang_at = at
    if (record := state.agents.get(fact.agent)) is not None:
        record.crossed_in_a_row = 0


def _task_offer_answered(state: State, fact: facts.TaskOfferAnswered, at: Instant) -> None:
    offer = _offer(state, fact)
    offer.answered_at, offer.outcome = at, None
    record = state.agents.get(fact.agent)
    if record is not None:
        record.activity, record.last_task_id = Activity.TALKING, fact.task_id
        record.missed_in_a_row = 0


def _task_attempted(state: State, fact: facts.TaskAttempted, at: Instant) -> None:
    task = _task(state, fact.task_id, fact)
    offer = _offer(state, fact)
    offer.attempt, offer.attempted_at = fact.attempt, at
    task.attempt = fact.attempt


def _task_dialled(state: State, fact: facts.TaskDialled, at: Instant) -> None:
    _offer(state, fact).dialled_at = at


def _task_reached(state: State, fact: facts.TaskReached, at: Instant) -> None:
    offer = _offer(state, fact)
    offer.reached_at, offer.talked = at, True
    record = state.agents.get(fact.agent)
    if record is not None and (task := state.tasks.get(fact.task_id)) is not None:
        record.last_call_id = task.call_id


def _task_attempt_ended(state: State, fact: facts.TaskAttemptEnded, at: Instant) -> None:
    offer = _offer(state, fact)
    offer.withdrawn_at, offer.outcome = at, OfferOutcome.ANSWERED
    offer.talked = offer.talked or fact.outcome is TaskAttemptOutcome.SPOKEN
    task = state.tasks.get(fact.task_id)
    if task is not None:  # it may have been closed meanwhile
        task.not_before = fact.not_before
        task.attempts.append(
            TaskAttempt(agent=fact.agent, at=at, outcome=fact.outcome, talked_seconds=fact.talked_seconds)
        )


def _task_offer_withdrawn(state: State, fact: facts.TaskOfferWithdrawn, at: Instant) -> None:
    offer = _offer(state, fact)
    offer.withdrawn_at, offer.outcome = at, fact.outcome


def _task_offer_ended(state: State, fact: facts.TaskOfferEnded, at: Instant) -> None:
    offer = _offer(state, fact)
    del state.task_offers[fact.task_offer_id]
    task = state.tasks.get(fact.task_id)
    if task is not None and task.offer_id == fact.task_offer_id:
        task.offer_id = None
        if fact.outcome in REFUSALS:
            task.declined_by[fact.agent] = at
            task.not_before = fact.not_before
    record = state.agents.get(fact.agent)
    if record is not None and record.offer_id == fact.task_offer_id:
        record.activity, record.offer_id, record.freed_at = Activity.IDLE, None, at
        if fact.outcome in REFUSALS:
            record.declined_task_at = at
        if fact.outcome is OfferOutcome.CROSSED:
            record.note_crossing(at)
            record.task_asked_at = at if offer.asked else None
        if offer.talked:
            record.idle_since = at
        occupy_with_next(state, record)


TASK_FOLDS: dict[type[facts.Fact], Callable[[State, Any, Instant], None]] = {
    facts.TaskOpened: _task_opened,
    facts.TaskLinked: _task_linked,
    facts.TaskAssigned: _task_assigned,
    facts.TaskClosed: _task_closed,
    facts.TaskAsked: _task_asked,
    facts.TaskOffered: _task_offered,
    facts.TaskOfferRang: _task_offer_rang,
    facts.TaskOfferAnswered: _task_offer_answered,
    facts.TaskAttempted: _task_attempted,
    facts.TaskDialled: _task_dialled,
    facts.TaskReached: _task_reached,
    facts.TaskAttemptEnded: _task_attempt_ended,
    facts.TaskOfferWithdrawn: _task_offer_withdrawn,
    facts.TaskOfferEnded: _task_offer_ended,
}

"""Order of service and the choice of an agent: who is next, and who may take them.

One order for everyone: a strict tier for emergency calls; below it `queued_at - head_start(class)`, oldest first. The key
of a call never changes while it waits, so there is nothing to re-sort and nothing to explain but two numbers. Among calls
that any agent may take, emergency time excluded, nobody waits longer than first-come-first-served by more than the
largest head start: whoever overtakes you joined at most that many seconds after you.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator
from typing import NamedTuple

from edge.core.model import NANOSECONDS, Activity, Instant, OfferOutcome, PhoneState, Policy, Queue, Tier
from edge.core.state import AgentRecord, Call, State


class Place(NamedTuple):
    """A position in the one order of service; smaller is sooner. Ties go by call id, which begins with the time."""

    tier: int
    joined_ns: int
    call_id: str


def place_of(call: Call, policy: Policy) -> Place:
    """The place that this call holds for as long as it is open."""
    head_start_seconds = 0.0
    if call.tier != Tier.EMERGENCY and call.priority_class in policy.classes:
        head_start_seconds = policy.classes[call.priority_class].head_start_seconds
    return Place(
        call.tier, call.queued_at.monotonic_ns - round(head_start_seconds * NANOSECONDS), call.call_id
    )


class WaitingOrder:
    """The waiting calls in order of service. O(log n) to find a place, one memmove to take it."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._of_call: dict[str, Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return (place.call_id for place in tuple(self._places))

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._of_call

    def add(self, place: Place) -> None:
        """Take this place; nothing happens when the call already has it."""
        if place.call_id not in self._of_call:
            insort(self._places, place)
            self._of_call[place.call_id] = place

    def discard(self, call_id: str) -> None:
        """Give the place up, if there is one."""
        if (place := self._of_call.pop(call_id, None)) is not None:
            del self._places[bisect_left(self._places, place)]

    def position(self, call_id: str) -> int:
        """1 for the call that is served next."""
        return bisect_left(self._places, self._of_call[call_id]) + 1


def skills_needed(call: Call, queue: Queue, now: Instant) -> tuple[str, ...]:
    """The skills that an agent must have to take this call now; they relax with its waiting time."""
    if not queue.relaxations:  # asked of every waiting call in every match
        return queue.skills
    waited_seconds = now.since(call.queued_at)
    needed = queue.skills
    for relaxation in queue.relaxations:
        if waited_seconds >= relaxation.after_seconds:
            needed = relaxation.skills
    return needed


def next_relaxation(call: Call, queue: Queue, now: Instant) -> Instant | None:
    """When the skills needed for this call change next."""
    for relaxation in queue.relaxations:
        at = call.queued_at.plus(relaxation.after_seconds)
        if at.monotonic_ns > now.monotonic_ns:
            return at
    return None


class Candidates:
    """The agents as they stand at one instant: who is free, who has the skills, who may be asked for this call."""

    def __init__(self, state: State, policy: Policy, now: Instant) -> None:
        self._state = state
        self._policy = policy
        self._now = now
        self._phones_in_use = {offer.phone for offer in state.offers.values()}
        self._free = [record for record in state.agents.values() if self._is_free(record)]

    @property
    def free(self) -> int:
        """How many agents are free."""
        return len(self._free)

    def take(self, record: AgentRecord) -> None:
        """This agent is no longer free, nor is anyone else who is signed in at the same phone."""
        self._free = [other for other in self._free if other.phone != record.phone]

    def withhold(self, skills: Collection[str]) -> None:
        """Keep every free agent with these skills from calls that come later in the order (a 999 waits for them)."""
        self._free = [record for record in self._free if not self._has(record, skills)]

    def best(self, call: Call, skills: Collection[str]) -> AgentRecord | None:
        """The best skill level first, within it the agent who has been idle longest."""
        return min(self.askable(call, skills), key=lambda record: self._rank(record, skills), default=None)

    def askable(self, call: Call, skills: Collection[str]) -> list[AgentRecord]:
        """Free agents who may be asked now: who refused this call only when nobody else could take it."""
        able = [record for record in self._free if self._has(record, skills)]
        able = [record for record in able if not self._rests(record, call)]
        willing = [record for record in able if not self._remembers_refusal(record, call)]
        if not willing and able and self._another_may(call, skills):
            return []
        return willing or able

    def able(self, skills: Collection[str]) -> list[AgentRecord]:
        """Free agents with these skills."""
        return [record for record in self._free if self._has(record, skills)]

    def _is_free(self, record: AgentRecord) -> bool:
        return (
            record.agent in self._policy.agents
            and record.phone is not None
            and record.not_ready_reason is None
            and record.activity is Activity.IDLE
            and record.phone not in self._phones_in_use
            and self._phone_state(record) is PhoneState.IDLE
        )

    def _phone_state(self, record: AgentRecord) -> PhoneState:
        phone = self._policy.phones.get(record.phone or "")
        if phone is not None and phone.trunk is not None:
            return PhoneState.IDLE  # the switch cannot see it: only our own offer tells
        return self._state.phones.get(record.phone or "", PhoneState.UNKNOWN)

    def _has(self, record: AgentRecord, skills: Collection[str]) -> bool:
        known = self._policy.agents[record.agent].skills
        return all(skill in known for skill in skills)

    def _rank(self, record: AgentRecord, skills: Collection[str]) -> tuple[int, int, str]:
        known = self._policy.agents[record.agent].skills
        level = max((known[skill] for skill in skills), default=0)
        return level, record.idle_since.monotonic_ns, record.agent

    def _rests(self, record: AgentRecord, call: Call) -> bool:
        """A phone that just refused is not rung again at once: a phone set to reject would be rung without end.

        A 999 goes by its own memory only: it may ring a phone that has just refused somebody else.
        """
        since = call.refused_by.get(record.agent) if call.tier == Tier.EMERGENCY else record.rest_since
        if since is None:
            return False
        return self._now.since(since) < rest_seconds(record, self._policy)

    def _remembers_refusal(self, record: AgentRecord, call: Call) -> bool:
        refused_at = call.refused_by.get(record.agent)
        return refused_at is not None and self._now.since(refused_at) < self._policy.refusal_memory_seconds

    def _another_may(self, call: Call, skills: Collection[str]) -> bool:
        """Whether somebody else, at work now, could take this call: soon, or for a 999 at once."""
        others = self._free if call.tier == Tier.EMERGENCY else self._state.agents.values()
        return any(
            record.agent in self._policy.agents
            and record.phone is not None
            and record.not_ready_reason is None
            and self._phone_state(record) not in (PhoneState.UNAVAILABLE, PhoneState.UNKNOWN)
            and self._has(record, skills)
            and not self._remembers_refusal(record, call)
            for record in others
        )


def rest_seconds(record: AgentRecord, policy: Policy) -> float:
    """How long this agent is left alone after a refusal."""
    if record.rest_outcome is OfferOutcome.UNREACHABLE:
        return policy.unreachable_rest_seconds
    return policy.refusal_rest_seconds

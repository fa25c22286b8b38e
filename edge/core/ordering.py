"""Order of service and the choice of an agent: who is next, and who may take them.

One order for everyone: a strict tier for emergency calls; below it `queued_at - head_start(class)`, oldest first. The key
of a call never changes while it waits, so there is nothing to re-sort and nothing to explain but two numbers. Among calls
that any agent may take, emergency time excluded, nobody waits longer than first-come-first-served by more than the
largest head start: whoever overtakes you joined at most that many seconds after you.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import takewhile
from typing import NamedTuple

from edge.core.model import (
    NANOSECONDS,
    Activity,
    Announcements,
    Instant,
    OfferOutcome,
    PhoneState,
    Policy,
    PriorityClass,
    Queue,
    Relaxation,
    Tier,
)
from edge.core.state import AgentRecord, Call, State


class Place(NamedTuple):
    """A position in the one order of service; smaller is sooner. Ties go by call id, which begins with the time."""

    tier: int
    joined_ns: int
    call_id: str


MUSIC_SECONDS = 3.0
"""Music between two announcements, at least, however long they are."""
TEST_TIER = max(Tier) + 1
"""Synthetic calls stand behind everybody: they have a phone of their own and take nobody's turn."""


def head_start_seconds(call: Call, policy: Policy) -> float:
    """How much earlier than it did this call counts as having joined; none among the 999."""
    if call.tier == Tier.EMERGENCY or call.priority_class not in policy.classes:
        return 0.0
    seconds = policy.classes[call.priority_class].head_start_seconds
    return min(seconds, policy.largest_boost_seconds) if call.boosted else seconds


def place_of(call: Call, policy: Policy) -> Place:
    """The place that this call holds until its class or tier changes. An upgraded 101 joins the 999 when the key is pressed."""
    since = call.emergency_since if call.tier == Tier.EMERGENCY else call.queued_at
    joined_ns = since.monotonic_ns - round(head_start_seconds(call, policy) * NANOSECONDS)
    return Place(TEST_TIER if call.test else call.tier, joined_ns, call.call_id)


class WaitingOrder:
    """The waiting calls in order of service. O(log n) to find a place, one memmove to take it."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._of_call: dict[str, Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return (place.call_id for place in tuple(self._places))

    def places(self) -> list[Place]:
        """All places, the first to be served first."""
        return list(self._places)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._of_call

    def of_tests(self) -> list[str]:
        """The synthetic calls, who stand behind everybody, in their order."""
        last = takewhile(lambda place: place.tier == TEST_TIER, reversed(self._places))
        return [place.call_id for place in last][::-1]

    def add(self, place: Place) -> None:
        """Take this place, instead of another that the call may have; nothing happens when it has this one."""
        if self._of_call.get(place.call_id) != place:
            self.discard(place.call_id)
            insort(self._places, place)
            self._of_call[place.call_id] = place

    def discard(self, call_id: str) -> None:
        """Give the place up, if there is one."""
        if (place := self._of_call.pop(call_id, None)) is not None:
            del self._places[bisect_left(self._places, place)]

    def before(self, place: Place | None) -> list[str]:
        """Who is served before this place; None: all of them."""
        end = len(self._places) if place is None else bisect_left(self._places, place)
        return [known.call_id for known in self._places[:end]]

    def position(self, call_id: str) -> int:
        """1 for the call that is served next."""
        return bisect_left(self._places, self._of_call[call_id]) + 1


def skills_needed(call: Call, queue: Queue, now: Instant) -> tuple[str, ...]:
    """The skills that an agent must have to take this call now; they relax with its waiting time, and where the caller is to be
    told of it first, once they have been."""
    if not queue.relaxations:  # asked of every waiting call in every match
        return queue.skills
    waited_seconds = now.since(call.queued_at)
    needed = queue.skills
    for relaxation in queue.relaxations:
        if waited_seconds >= relaxation.after_seconds and _is_told(call, relaxation):
            needed = relaxation.skills
    return needed


def next_relaxation(call: Call, queue: Queue, now: Instant) -> Instant | None:
    """When the skills needed for this call change next by time alone."""
    for relaxation in queue.relaxations:
        at = call.queued_at.plus(relaxation.after_seconds)
        if at.monotonic_ns > now.monotonic_ns and _is_told(call, relaxation):
            return at
    return None


def untold_relaxation(call: Call, queue: Queue) -> Relaxation | None:
    """The first relaxation that the caller has yet to be told of."""
    return next((item for item in queue.relaxations if not _is_told(call, item)), None)


def _is_told(call: Call, relaxation: Relaxation) -> bool:
    """An emergency is told nothing, and waits for nobody to be told; nor does a call-back, with nobody on the line to hear it."""
    if relaxation.prompt is None or call.tier == Tier.EMERGENCY or not call.is_on_the_line:
        return True
    return call.was_told(relaxation.prompt)


def announcements_for(
    call: Call, queues: Mapping[str, Queue], classes: Mapping[str, PriorityClass]
) -> Announcements | None:
    """What this caller is told while waiting: by class, else by queue."""
    known = classes.get(call.priority_class)
    if known is not None and known.announcements is not None:
        return known.announcements
    queue = queues.get(call.queue)
    return None if queue is None else queue.announcements


def next_announcement(call: Call, every_seconds: float, since: Instant) -> Instant:
    """The first multiple of the interval, counted from joining, after `since`, with some music after what was said last."""
    if call.quiet_at is not None:
        since = max(since, call.quiet_at.plus(MUSIC_SECONDS), key=lambda at: at.monotonic_ns)
    every_ns = round(every_seconds * NANOSECONDS)
    passed = max(0, since.monotonic_ns - call.queued_at.monotonic_ns) // every_ns
    later_ns = (passed + 1) * every_ns
    return Instant(call.queued_at.monotonic_ns + later_ns, call.queued_at.utc_us + later_ns // 1000)


def patience_ends(call: Call, policy: Policy) -> Instant | None:
    """When this 101 will have waited as long as its queue lets it. Never for who has talked with a human, was sent on once, or
    came back from a number that did not answer: they wait until they are served."""
    queue = policy.queues.get(call.queue)
    if queue is None or queue.maximum_wait_seconds is None:
        return None
    if call.asked is not None:  # nobody is sent away in the middle of a question
        return None
    if not call.is_routine or call.stays or call.first_connected_at is not None or call.callback is not None:
        return None
    return call.queued_at.plus(queue.maximum_wait_seconds)


class Candidates:
    """The agents as they stand at one instant: who is free, who has the skills, who may be asked for this call."""

    def __init__(self, state: State, policy: Policy, now: Instant) -> None:
        self._state = state
        self._policy = policy
        self._now = now
        self._phones_in_use = {offer.phone for offer in state.offers.values()}
        self._phones_in_use |= {offer.phone for offer in state.task_offers.values()}
        # Looked up once, as all agents are asked in each match.
        idle, reserved = Activity.IDLE, Activity.RESERVED
        self._phones_in_use |= {  # kept for somebody, whoever else has signed in there
            r.phone for r in state.agents.values() if r.activity is reserved and r.phone is not None
        }
        self._emergency_skills = emergency_skills(policy)
        self.withheld = False
        """Whether a 999 waits for somebody."""
        self._keep_free = policy.emergency.keep_free
        self._skilled_free: dict[Collection[str], list[AgentRecord]] = {}
        """Those of `_free` with these skills, where that was asked."""
        self._free = self._those_free([r for r in state.agents.values() if r.activity is idle])

    def _those_free(self, idle: list[AgentRecord]) -> list[AgentRecord]:
        """As `_is_free` has it, of those who are idle: in most steps all of them, so nearly all are told in one go."""
        is_idle, known = PhoneState.IDLE, self._policy.agents
        phones = {name for name, seen in self._state.phones.items() if seen is is_idle} - self._phones_in_use
        return [
            r
            for r in idle
            if (r.phone in phones and r.not_ready_reason is None and r.agent in known) or self._is_free(r)
        ]

    @property
    def free(self) -> int:
        """How many agents are free."""
        return len(self._free)

    def take(self, phone: str | None) -> None:
        """Nobody who is signed in at this phone is free any more."""
        if phone is not None:
            self._phones_in_use.add(phone)
        self._free = [other for other in self._free if other.phone != phone]
        self._skilled_free.clear()

    def bring_back(self, record: AgentRecord) -> bool:
        """An agent has become free within this step; False when their phone is not to be had."""
        phones = {offer.phone for offer in self._state.offers.values()}
        phones |= {offer.phone for offer in self._state.task_offers.values()}
        if record.activity is Activity.IDLE and record.phone not in phones:
            self._phones_in_use.discard(record.phone or "")  # was kept for somebody
        free = self._is_free(record)
        if free:
            self._free.append(record)
            self._skilled_free.clear()
        return free

    def phone_is_free(self, phone: str | None) -> bool:
        """Whether this phone can be rung now, whoever sits there."""
        known = self._policy.phones.get(phone or "")
        if known is None or phone in self._phones_in_use:
            return False
        return known.trunk is not None or self._state.phones.get(known.name) is PhoneState.IDLE

    def withhold(self, skills: Collection[str]) -> None:
        """Keep every free agent with these skills from calls that come later in the order (a 999 waits for them)."""
        self.withheld = True
        self._free = [record for record in self._free if not self._has(record, skills)]
        self._skilled_free.clear()

    def keep_for_emergencies(self, agents: int) -> None:
        """Offer no 101 to so many, at least, of the free agents who can take a 999."""
        self._keep_free = max(self._keep_free, agents)

    def free_beside(self, record: AgentRecord, skills: Collection[str]) -> int:
        """How many others with these skills are free."""
        return sum(other is not record and self._has(other, skills) for other in self._free)

    def at_work_beside(self, record: AgentRecord, skills: Collection[str]) -> int:
        """How many others with these skills are at work, whatever they are doing."""
        return sum(other is not record for other in self.at_work(skills))

    def in_order_of_choice(self, call: Call, skills: Collection[str]) -> list[AgentRecord]:
        """Those who may be asked now for a call-back, the best first. Who are kept free for a 999 are among them: whether enough
        of those stay is looked at by who asks."""
        askable = self.askable(call, skills, self._skilled(skills))
        return sorted(askable, key=self._ranking(skills))

    def for_task(self, skills: Collection[str], declined_by: Collection[str]) -> list[AgentRecord]:
        """Those who may be asked now for a ring-back task, the best first; who has declined it before, last."""
        rested = [
            record
            for record in self._skilled(skills)
            if record.rest_since is None or self._left_alone_until(record) is None
        ]
        rank = self._ranking(skills)
        return sorted(rested, key=lambda record: (record.agent in declined_by, rank(record)))

    def best(self, call: Call, skills: Collection[str]) -> AgentRecord | None:
        """The best skill level first, within it the agent who has been idle longest."""
        return self.first(self.askable(call, skills), skills)

    def first(self, askable: Collection[AgentRecord], skills: Collection[str]) -> AgentRecord | None:
        """The best of these."""
        if len(skills) != 1:
            return min(askable, key=self._ranking(skills), default=None)
        (skill,), agents = skills, self._policy.agents  # as `_ranking`, for dozens at once
        ranks = [(agents[r.agent].skills[skill], r.idle_since.monotonic_ns, r.agent) for r in askable]
        return self._state.agents[min(ranks)[2]] if ranks else None

    def askable(
        self, call: Call, skills: Collection[str], among: list[AgentRecord] | None = None
    ) -> list[AgentRecord]:
        """Free agents who may be asked now: who refused this call only when nobody else could take it, those who merely missed it
        before those who rejected it. `among`: of these; None: of all who are able."""
        able = self.rested(skills, call) if among is None else self._rested_of(among, call)
        if not call.refused_by:
            return able
        willing = [record for record in able if not self._remembers_refusal(record, call)]
        if not willing and able and self._another_may(call, skills):
            return []
        return willing or [record for record in able if not self._rejected_lately(record, call)] or able

    def rested(self, skills: Collection[str], call: Call) -> list[AgentRecord]:
        """Those who are able and may be rung again. For a 101 the call itself makes no difference."""
        return self._rested_of(self.able(skills, call), call)

    def _rested_of(self, able: list[AgentRecord], call: Call) -> list[AgentRecord]:
        if call.tier == Tier.EMERGENCY:
            return [record for record in able if not self._rests(record, call)]
        return [record for record in able if record.rest_since is None or not self._rests(record, call)]

    def able(self, skills: Collection[str], call: Call | None = None) -> list[AgentRecord]:
        """Free agents with these skills; for a 101 without those who are kept free for the next 999."""
        found = self._skilled(skills)
        if call is None or call.tier == Tier.EMERGENCY or not self._keep_free:
            return found
        spare = len([r for r in self._free if self._takes_emergencies(r)]) > self._keep_free
        return found if spare else [record for record in found if not self._takes_emergencies(record)]

    def _skilled(self, skills: Collection[str]) -> list[AgentRecord]:
        found = self._skilled_free.get(skills)
        if found is None:
            found, agents = self._free, self._policy.agents
            for skill in skills:
                found = [record for record in found if skill in agents[record.agent].skills]
            self._skilled_free[skills] = found
        return found

    def ringable(self, call: Call, skills: Collection[str]) -> list[AgentRecord]:
        """Free agents to be rung for a 999 that rings everybody: who merely missed it too, who rejected it only when nobody
        else at work could take it, and then not at once."""
        able = self.able(skills)
        if not able:
            return able
        willing = [record for record in able if not self._rejected_lately(record, call)]
        if willing or any(self.at_work(skills, lambda record: not self._rejected_lately(record, call))):
            return [record for record in willing if self.line_taken_until(record) is None]
        return [record for record in able if not self._rests(record, call)]

    def would_take(self, record: AgentRecord | None, call: Call, skills: Collection[str]) -> bool:
        """Whether this agent, occupied now by an offer or a wrap-up, would be asked for this 999 once free."""
        return (
            record is not None
            and self._is_at_work(record)
            and self._has(record, skills)
            and not self._rests(record, call)
        )

    def has_not_rejected(self, record: AgentRecord | None, call: Call, skills: Collection[str]) -> bool:
        """Whether this agent, at work, could take a 999 that rings everybody and has not just rejected it."""
        return (
            record is not None
            and self._is_at_work(record)
            and self._has(record, skills)
            and not self._rejected_lately(record, call)
        )

    def at_work(
        self, skills: Collection[str], which: Callable[[AgentRecord], bool] = lambda _: True
    ) -> Iterator[AgentRecord]:
        """Agents with these skills who are signed in, ready, and whose phone is there, whatever they are doing."""
        for record in self._state.agents.values():
            if self._is_at_work(record) and self._has(record, skills) and which(record):
                yield record

    def signed_in(self, skills: Collection[str]) -> Iterator[AgentRecord]:
        """Agents with these skills who are signed in at a phone that is there, ready or not."""
        for record in self._state.agents.values():
            if self._is_signed_in(record) and self._has(record, skills):
                yield record

    def _is_at_work(self, record: AgentRecord) -> bool:
        return record.not_ready_reason is None and self._is_signed_in(record)

    def _is_signed_in(self, record: AgentRecord) -> bool:
        return (
            record.agent in self._policy.agents
            and record.phone is not None
            and self._phone_state(record) not in (PhoneState.UNAVAILABLE, PhoneState.UNKNOWN)
        )

    def has_skills(self, record: AgentRecord, skills: Collection[str]) -> bool:
        """Whether this agent has them all."""
        return self._has(record, skills)

    def _takes_emergencies(self, record: AgentRecord) -> bool:
        return self._emergency_skills is not None and self._has(record, self._emergency_skills)

    def _rejected_lately(self, record: AgentRecord, call: Call) -> bool:
        at = call.rejected_by.get(record.agent)
        return at is not None and self._now.since(at) < self._policy.refusal_memory_seconds

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

    def _ranking(self, skills: Collection[str]) -> Callable[[AgentRecord], tuple[int, int, str]]:
        """What the agents are put in order by for these skills: the level, then since when they have been idle."""
        agents = self._policy.agents
        if len(skills) == 1:
            (skill,) = skills
            return lambda r: (agents[r.agent].skills[skill], r.idle_since.monotonic_ns, r.agent)

        def rank(record: AgentRecord) -> tuple[int, int, str]:
            known = agents[record.agent].skills
            level = max((known[skill] for skill in skills), default=0)
            return level, record.idle_since.monotonic_ns, record.agent

        return rank

    def _rests(self, record: AgentRecord, call: Call) -> bool:
        """A phone that just refused is not rung again at once: a phone set to reject would be rung without end.

        A 999 goes by its own memory only, and a mere miss does not count: it may ring a phone that has just refused somebody
        else, and one that let it ring out. Not one that is still in the call before: that would be busy again.
        """
        if call.tier != Tier.EMERGENCY:
            return self._left_alone_until(record) is not None
        since = call.rejected_by.get(record.agent)
        return self.line_taken_until(record) is not None or (
            since is not None and self._now.since(since) < rest_seconds(record, self._policy)
        )

    def line_taken_until(self, record: AgentRecord) -> Instant | None:
        """When a phone that is still in the call before may be rung again; None: now."""
        return self._left_alone_until(record) if record.rest_outcome is OfferOutcome.CROSSED else None

    def _left_alone_until(self, record: AgentRecord) -> Instant | None:
        if record.rest_since is None:
            return None
        until = record.rest_since.plus(rest_seconds(record, self._policy))
        return until if until.monotonic_ns > self._now.monotonic_ns else None

    def _remembers_refusal(self, record: AgentRecord, call: Call) -> bool:
        refused_at = call.refused_by.get(record.agent)
        return refused_at is not None and self._now.since(refused_at) < self._policy.refusal_memory_seconds

    def _another_may(self, call: Call, skills: Collection[str]) -> bool:
        """Whether somebody else, at work now, could take this call: soon, or for a 999 at once."""
        if call.tier == Tier.EMERGENCY:
            return any(
                self._has(record, skills) and not self._remembers_refusal(record, call)
                for record in self._free
            )
        return any(self.at_work(skills, lambda record: not self._remembers_refusal(record, call)))


def emergency_skills(policy: Policy) -> tuple[str, ...] | None:
    """What an agent must know to take a 999; None where the site has no queue for them."""
    queue = policy.queues.get(policy.emergency.queue or "")
    return None if queue is None else queue.skills


def rest_seconds(record: AgentRecord, policy: Policy) -> float:
    """How long this agent is left alone after a refusal, or by a phone that was still in the call before."""
    match record.rest_outcome:
        case OfferOutcome.UNREACHABLE:
            return policy.unreachable_rest_seconds
        case OfferOutcome.CROSSED:
            return policy.crossed_rest_seconds * 2.0 ** (record.crossed_in_a_row - 1)
        case _:
            return policy.refusal_rest_seconds

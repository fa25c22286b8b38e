"""The open state: what is true now, as a fold over facts. `apply` is the only place that changes it.

Restart is the last checkpoint of a `State` and the facts after it; a test proves that both folds agree.
Calls and offers leave it when they end, so it stays as small as the room is busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from edge.core import facts
from edge.core.model import (
    Activity,
    AgentState,
    CallState,
    ClockState,
    Instant,
    OfferOutcome,
    OfferState,
    PhoneState,
)
from edge.core.transitions import CALL_TRANSITIONS, OFFER_TRANSITIONS

REFUSALS = frozenset({OfferOutcome.MISSED, OfferOutcome.REJECTED, OfferOutcome.UNREACHABLE})
"""Outcomes after which a call is not put to the same agent while another may take it."""


ENDED_MEMORY_SECONDS = 60.0
"""How long an ended call is remembered, so that a late or doubled input does not open it a second time."""


class IllegalFactError(Exception):
    """A fact that the tables do not allow here: a programming fault, or a ledger that was altered. Nothing was changed."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One caller's request, open."""

    call_id: str
    leg_id: str
    line: str
    arrived_at: Instant
    number_withheld: bool
    caller_number: str | None
    caller_name: str | None
    state: CallState = CallState.WAITING
    queue: str = ""
    priority_class: str = ""
    tier: int = 1
    queued_at: Instant
    answered_at: Instant | None = None
    announcement: str | None = None
    offers_made: int = 0
    live_offers: list[str] = field(default_factory=list)
    """Offers that are calling or ringing."""
    claimed_by: str | None = None
    """The offer whose agent answered."""
    claimed_at: Instant | None = None
    connected_at: Instant | None = None
    agent_left_at: Instant | None = None
    """When the agent's leg of the conversation ended; the caller's follows, or comes back to the queue."""
    agent: str | None = None
    held: bool = False
    refused_by: dict[str, Instant] = field(default_factory=dict)
    """Agent number -> when this agent last rejected, missed or lost this call (a leg that broke may break again)."""


@dataclass(slots=True, kw_only=True)
class Offer:
    """One call presented to one agent, not yet over."""

    offer_id: str
    call_id: str
    agent: str
    phone: str
    made_at: Instant
    ring_seconds: float
    state: OfferState = OfferState.CALLING
    rang_at: Instant | None = None
    withdrawn_at: Instant | None = None
    outcome: OfferOutcome | None = None
    """What a withdrawn offer will count as."""


@dataclass(slots=True, kw_only=True)
class AgentRecord:
    """What is known of one agent."""

    agent: str
    since: Instant
    """When `state` last changed."""
    phone: str | None = None
    not_ready_reason: str | None = None
    activity: Activity = Activity.IDLE
    idle_since: Instant
    """Since when no call occupied this agent: whoever has been idle longest is offered first."""
    offer_id: str | None = None
    wrap_up_until: Instant | None = None
    rest_since: Instant | None = None
    """When this agent last refused a call, until another is answered."""
    rest_outcome: OfferOutcome | None = None

    @property
    def state(self) -> AgentState:
        """The one state that a supervisor is shown."""
        if self.activity is Activity.TALKING:
            return AgentState.TALKING
        if self.phone is None:
            return AgentState.SIGNED_OUT
        if self.activity is Activity.OFFERED:
            return AgentState.OFFERED
        if self.activity is Activity.WRAP_UP:
            return AgentState.WRAP_UP
        return AgentState.READY if self.not_ready_reason is None else AgentState.NOT_READY


@dataclass(slots=True, kw_only=True)
class State:
    """Everything open, as of fact `sequence`."""

    sequence: int = 0
    latest_at: Instant | None = None
    """When fact `sequence` was recorded."""
    boot_id: str = ""
    policy_digest: str = ""
    version: str = ""
    started_at: Instant | None = None
    sight: bool = False
    """Whether the switch is seen: False from the loss of a link until it was reconciled."""
    sight_since: Instant | None = None
    sight_error: str = ""
    clock: ClockState = ClockState.UNKNOWN
    ledger_trouble: str | None = None
    calls: dict[str, Call] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    agents: dict[str, AgentRecord] = field(default_factory=dict)
    phones: dict[str, PhoneState] = field(default_factory=dict)
    ended: dict[str, Instant] = field(default_factory=dict)
    """Call id -> when it ended, for the last `ENDED_MEMORY_SECONDS`, oldest first."""


def replay(entries: Iterable[facts.Entry], state: State | None = None) -> State:
    """Fold `entries` into `state` (a new one if None) and return it."""
    state = State() if state is None else state
    for entry in entries:
        apply(state, entry)
    return state


def apply(state: State, entry: facts.Entry) -> None:
    """Fold one fact. Raises `IllegalFactError`, with `state` unchanged, when the tables do not allow it."""
    if entry.sequence != state.sequence + 1:
        raise IllegalFactError(f"fact {entry.sequence} does not follow fact {state.sequence}")
    record = state.agents.get(getattr(entry.fact, "agent", None) or "")
    before = None if record is None else record.state
    _FOLDS[type(entry.fact)](state, entry.fact, entry.at)
    if record is not None and record.state is not before:
        record.since = entry.at
    state.sequence, state.latest_at = entry.sequence, entry.at


def _call(state: State, fact: facts.CallFact) -> Call:
    """The open call of this fact, checked against the table. Nothing is changed."""
    call = state.calls.get(fact.call_id)
    if call is None:
        raise IllegalFactError(f"{type(fact).__name__} for call {fact.call_id}, which is not open")
    return call


def _move_call(call: Call, fact: facts.Fact) -> None:
    try:
        call.state = CALL_TRANSITIONS[call.state][type(fact)]
    except KeyError:
        raise IllegalFactError(f"{type(fact).__name__} while call {call.call_id} is {call.state}") from None


def _offer(state: State, fact: facts.OfferFact) -> Offer:
    """The offer of this fact in its next state. Raises before any change."""
    offer = state.offers.get(fact.offer_id)
    if offer is None:
        raise IllegalFactError(f"{type(fact).__name__} for offer {fact.offer_id}, which is not open")
    if (offer.call_id, offer.agent) != (fact.call_id, fact.agent):
        raise IllegalFactError(
            f"{type(fact).__name__} names another call or agent than offer {offer.offer_id}"
        )
    try:
        offer.state = OFFER_TRANSITIONS[offer.state][type(fact)]
    except KeyError:
        raise IllegalFactError(
            f"{type(fact).__name__} while offer {offer.offer_id} is {offer.state}"
        ) from None
    return offer


def _daemon_started(state: State, fact: facts.DaemonStarted, at: Instant) -> None:
    if state.boot_id not in ("", fact.boot_id):
        _count_from_boot(state, at)
    state.boot_id, state.policy_digest, state.version = fact.boot_id, fact.policy_digest, fact.version
    state.started_at = at
    _lose_sight(state, state.latest_at or at, "starting")  # a killed daemon saw nothing after its last fact
    state.ledger_trouble = None


def _count_from_boot(state: State, at: Instant) -> None:
    """The machine restarted: what is remembered moves to the new origin. A fold, so that every later replay agrees."""
    for part in fields(state):
        setattr(state, part.name, rebase(getattr(state, part.name), at))


def _lose_sight(state: State, since: Instant, error: str) -> None:
    """Blindness counts from its beginning: whatever ended unseen may have ended at any time after it."""
    if state.sight or state.sight_since is None:
        state.sight_since = since
    state.sight, state.sight_error = False, error


def _daemon_stopped(state: State, fact: facts.DaemonStopped, at: Instant) -> None:
    _lose_sight(state, at, f"stopped: {fact.why}")


def _switch_lost(state: State, fact: facts.SwitchLost, at: Instant) -> None:
    _lose_sight(state, at, fact.error)


def _switch_restored(state: State, fact: facts.SwitchRestored, at: Instant) -> None:  # noqa: ARG001
    state.sight, state.sight_since, state.sight_error = True, at, ""


def _clock_changed(state: State, fact: facts.ClockChanged, at: Instant) -> None:  # noqa: ARG001
    state.clock = fact.state


def _ledger_trouble_began(state: State, fact: facts.LedgerTroubleBegan, at: Instant) -> None:  # noqa: ARG001
    state.ledger_trouble = fact.detail


def _ledger_trouble_ended(state: State, fact: facts.LedgerTroubleEnded, at: Instant) -> None:  # noqa: ARG001
    state.ledger_trouble = None


def _call_arrived(state: State, fact: facts.CallArrived, at: Instant) -> None:
    if fact.call_id in state.calls:
        raise IllegalFactError(f"call {fact.call_id} arrived twice")
    state.calls[fact.call_id] = Call(
        call_id=fact.call_id,
        leg_id=fact.leg_id,
        line=fact.line,
        arrived_at=at,
        queued_at=at,
        number_withheld=fact.number_withheld,
        caller_number=fact.caller_number,
        caller_name=fact.caller_name,
    )


def _call_answered(state: State, fact: facts.CallAnswered, at: Instant) -> None:
    _call(state, fact).answered_at = at


def _call_queued(state: State, fact: facts.CallQueued, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _move_call(call, fact)
    call.queue, call.priority_class, call.tier = fact.queue, fact.priority_class, fact.tier
    call.queued_at = fact.queued_at
    call.connected_at = call.agent = None


def _announcement_started(state: State, fact: facts.AnnouncementStarted, at: Instant) -> None:  # noqa: ARG001
    _call(state, fact).announcement = fact.prompt


def _announcement_ended(state: State, fact: facts.AnnouncementEnded, at: Instant) -> None:  # noqa: ARG001
    _call(state, fact).announcement = None


def _offer_made(state: State, fact: facts.OfferMade, at: Instant) -> None:
    call = _call(state, fact)
    record = _known(state, fact.agent)
    if fact.offer_id in state.offers or record.activity is not Activity.IDLE:
        raise IllegalFactError(f"offer {fact.offer_id} to agent {fact.agent}, who is {record.activity}")
    _move_call(call, fact)
    call.offers_made += 1
    call.live_offers.append(fact.offer_id)
    state.offers[fact.offer_id] = Offer(
        offer_id=fact.offer_id,
        call_id=fact.call_id,
        agent=fact.agent,
        phone=fact.phone,
        made_at=at,
        ring_seconds=fact.ring_seconds,
    )
    record.activity, record.offer_id = Activity.OFFERED, fact.offer_id


def _offer_rang(state: State, fact: facts.OfferRang, at: Instant) -> None:
    _offer(state, fact).rang_at = at


def _offer_answered(state: State, fact: facts.OfferAnswered, at: Instant) -> None:
    call = _call(state, fact)
    if facts.OfferAnswered not in CALL_TRANSITIONS[call.state]:
        raise IllegalFactError(f"OfferAnswered while call {call.call_id} is {call.state}")
    _offer(state, fact).outcome = None
    _move_call(call, fact)
    _forget_live(call, fact.offer_id)
    call.claimed_by, call.claimed_at, call.agent = fact.offer_id, at, fact.agent
    record = state.agents[fact.agent]
    record.activity = Activity.TALKING
    record.rest_since = record.rest_outcome = None


def _offer_withdrawn(state: State, fact: facts.OfferWithdrawn, at: Instant) -> None:
    offer = _offer(state, fact)
    offer.withdrawn_at, offer.outcome = at, fact.outcome
    record = state.agents[fact.agent]
    if record.activity is Activity.TALKING:  # an answered leg that never reached its caller
        record.activity = Activity.OFFERED
    _note_refusal(state, fact, fact.outcome, at)
    _take_off_call(state, fact)


def _offer_ended(state: State, fact: facts.OfferEnded, at: Instant) -> None:
    _offer(state, fact)
    del state.offers[fact.offer_id]
    call = state.calls.get(fact.call_id)
    if call is not None and call.state is CallState.TALKING and call.claimed_by == fact.offer_id:
        call.agent_left_at = at
    record = state.agents[fact.agent]
    if record.offer_id == fact.offer_id:
        record.activity, record.offer_id = Activity.IDLE, None
        if fact.outcome is OfferOutcome.ANSWERED:
            record.idle_since = at
    _note_refusal(state, fact, fact.outcome, at)
    _take_off_call(state, fact)


def _note_refusal(state: State, fact: facts.OfferFact, outcome: OfferOutcome, at: Instant) -> None:
    if outcome in REFUSALS:
        record = state.agents[fact.agent]
        record.rest_since, record.rest_outcome = at, outcome
    call = state.calls.get(fact.call_id)
    if call is not None and (outcome in REFUSALS or outcome is OfferOutcome.LOST):
        call.refused_by[fact.agent] = at


def _take_off_call(state: State, fact: facts.OfferFact) -> None:
    """The offer no longer rings for its call; without any live offer the call waits again."""
    call = state.calls.get(fact.call_id)
    if call is None or fact.offer_id not in call.live_offers:
        return
    _forget_live(call, fact.offer_id)
    if call.state is CallState.OFFERED and not call.live_offers:
        _move_call(call, fact)


def _forget_live(call: Call, offer_id: str) -> None:
    if offer_id in call.live_offers:
        call.live_offers.remove(offer_id)


def _call_connected(state: State, fact: facts.CallConnected, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    call.connected_at = at
    call.agent_left_at = None if fact.offer_id in state.offers else at


def _call_returned(state: State, fact: facts.CallReturned, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _move_call(call, fact)
    call.claimed_by = call.claimed_at = call.agent = call.connected_at = call.agent_left_at = None
    call.held = False


def _call_held(state: State, fact: facts.CallHeld, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _move_call(call, fact)
    call.held = True


def _call_resumed(state: State, fact: facts.CallResumed, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _move_call(call, fact)
    call.held = False


def _fallback_entered(state: State, fact: facts.FallbackEntered, at: Instant) -> None:  # noqa: ARG001
    call = _call(state, fact)
    _move_call(call, fact)
    call.live_offers.clear()
    call.claimed_by = call.claimed_at = call.agent = call.connected_at = call.agent_left_at = None


def _fallback_connected(state: State, fact: facts.FallbackConnected, at: Instant) -> None:
    call = _call(state, fact)
    _move_call(call, fact)
    call.connected_at, call.agent = at, fact.agent


def _call_ended(state: State, fact: facts.CallEnded, at: Instant) -> None:
    _move_call(_call(state, fact), fact)
    del state.calls[fact.call_id]
    state.ended.pop(fact.call_id, None)
    state.ended[fact.call_id] = at
    while at.since(state.ended[oldest := next(iter(state.ended))]) > ENDED_MEMORY_SECONDS:
        del state.ended[oldest]


def _record(state: State, agent: str, at: Instant) -> AgentRecord:
    return state.agents.setdefault(agent, AgentRecord(agent=agent, since=at, idle_since=at))


def _known(state: State, agent: str) -> AgentRecord:
    """The record of an agent who has signed in before. Nothing is changed."""
    record = state.agents.get(agent)
    if record is None:
        raise IllegalFactError(f"agent {agent} was never signed in")
    return record


def _agent_signed_in(state: State, fact: facts.AgentSignedIn, at: Instant) -> None:
    record = _record(state, fact.agent, at)
    record.phone = fact.phone
    record.rest_since = record.rest_outcome = None
    if record.activity is Activity.IDLE:
        record.idle_since = at


def _agent_signed_out(state: State, fact: facts.AgentSignedOut, at: Instant) -> None:
    record = _record(state, fact.agent, at)
    record.phone = record.not_ready_reason = None
    if record.activity is Activity.WRAP_UP:
        record.activity, record.wrap_up_until = Activity.IDLE, None


def _agent_became_ready(state: State, fact: facts.AgentBecameReady, at: Instant) -> None:
    record = _record(state, fact.agent, at)
    record.not_ready_reason, record.idle_since = None, at
    record.rest_since = record.rest_outcome = None


def _agent_became_not_ready(state: State, fact: facts.AgentBecameNotReady, at: Instant) -> None:
    record = _record(state, fact.agent, at)
    record.not_ready_reason = fact.reason


def _wrap_up_started(state: State, fact: facts.WrapUpStarted, at: Instant) -> None:
    record = _known(state, fact.agent)
    if record.activity is not Activity.IDLE:
        raise IllegalFactError(f"WrapUpStarted while agent {fact.agent} is {record.activity}")
    record.activity, record.wrap_up_until = Activity.WRAP_UP, at.plus(fact.seconds)


def _wrap_up_ended(state: State, fact: facts.WrapUpEnded, at: Instant) -> None:
    record = _known(state, fact.agent)
    if record.activity is not Activity.WRAP_UP:
        raise IllegalFactError(f"WrapUpEnded while agent {fact.agent} is {record.activity}")
    record.activity, record.wrap_up_until, record.idle_since = Activity.IDLE, None, at


def _phone_changed(state: State, fact: facts.PhoneChanged, at: Instant) -> None:  # noqa: ARG001
    before = state.phones.get(fact.phone, PhoneState.UNKNOWN)
    state.phones[fact.phone] = fact.state
    if before not in (PhoneState.UNAVAILABLE, PhoneState.UNKNOWN):
        return  # our own attempt made it busy and idle again: that says nothing about the phone
    for record in state.agents.values():
        if record.phone == fact.phone and record.rest_outcome is OfferOutcome.UNREACHABLE:
            record.rest_since = record.rest_outcome = None


_FOLDS: dict[type[facts.Fact], Callable[[State, Any, Instant], None]] = {
    facts.DaemonStarted: _daemon_started,
    facts.DaemonStopped: _daemon_stopped,
    facts.SwitchLost: _switch_lost,
    facts.SwitchRestored: _switch_restored,
    facts.ClockChanged: _clock_changed,
    facts.LedgerTroubleBegan: _ledger_trouble_began,
    facts.LedgerTroubleEnded: _ledger_trouble_ended,
    facts.CallArrived: _call_arrived,
    facts.CallAnswered: _call_answered,
    facts.CallQueued: _call_queued,
    facts.AnnouncementStarted: _announcement_started,
    facts.AnnouncementEnded: _announcement_ended,
    facts.OfferMade: _offer_made,
    facts.OfferRang: _offer_rang,
    facts.OfferAnswered: _offer_answered,
    facts.OfferWithdrawn: _offer_withdrawn,
    facts.OfferEnded: _offer_ended,
    facts.CallConnected: _call_connected,
    facts.CallReturned: _call_returned,
    facts.CallHeld: _call_held,
    facts.CallResumed: _call_resumed,
    facts.FallbackEntered: _fallback_entered,
    facts.FallbackConnected: _fallback_connected,
    facts.CallEnded: _call_ended,
    facts.AgentSignedIn: _agent_signed_in,
    facts.AgentSignedOut: _agent_signed_out,
    facts.AgentBecameReady: _agent_became_ready,
    facts.AgentBecameNotReady: _agent_became_not_ready,
    facts.WrapUpStarted: _wrap_up_started,
    facts.WrapUpEnded: _wrap_up_ended,
    facts.PhoneChanged: _phone_changed,
}


def rebase(thing: Any, now: Instant) -> Any:
    """The same state or value with monotonic readings of another boot carried over to this boot's clock, by way of UTC.

    The monotonic clock starts anew with each boot; UTC is what both boots share, so these durations are only as good as it.
    """
    if isinstance(thing, Instant):
        return Instant(now.monotonic_ns - (now.utc_us - thing.utc_us) * 1000, thing.utc_us)
    if isinstance(thing, dict):
        return {key: rebase(value, now) for key, value in thing.items()}
    if is_dataclass(thing) and not isinstance(thing, type):
        changes = {part.name: rebase(getattr(thing, part.name), now) for part in fields(thing)}
        return replace(thing, **changes)
    return thing

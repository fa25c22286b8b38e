"""Calls as records: every stamp of a call in one place, folded from its facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from edge.core import facts
from edge.core.model import CallOutcome, CallState, Instant, OfferOutcome, Side, Stage


@dataclass(slots=True, kw_only=True)
class OfferRecord:
    """One offer: to whom, and when it was made, rang, was answered, was withdrawn and ended."""

    offer_id: str
    agent: str
    phone: str
    made_at: Instant
    ring_seconds: float
    rang_at: Instant | None = None
    answered_at: Instant | None = None
    withdrawn_at: Instant | None = None
    ended_at: Instant | None = None
    outcome: OfferOutcome | None = None
    cause: str = ""

    @property
    def live(self) -> bool:
        """Whether it is calling or ringing."""
        return self.answered_at is None and self.withdrawn_at is None and self.ended_at is None


@dataclass(slots=True, kw_only=True)
class HoldRecord:
    """One time on hold; `ended_at` is None while it lasts."""

    started_at: Instant
    ended_at: Instant | None = None


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One call, open or ended. Seconds are by the monotonic clock; None means that it has not happened."""

    call_id: str
    line: str
    arrived_at: Instant
    adopted: bool
    number_withheld: bool
    caller_number: str | None
    caller_name: str | None
    queue: str = ""
    priority_class: str = ""
    tier: int = 1
    queued_at: Instant
    answered_at: Instant | None = None
    answered_by: Side | None = None
    offers: list[OfferRecord] = field(default_factory=list)
    connected_at: Instant | None = None
    agent: str | None = None
    holds: list[HoldRecord] = field(default_factory=list)
    returned_at: list[Instant] = field(default_factory=list)
    fallback_at: Instant | None = None
    fallback_why: str = ""
    claimed: bool = False
    """An agent has answered and is being connected, or is."""
    in_fallback: bool = False
    ended_at: Instant | None = None
    outcome: CallOutcome | None = None
    stage: Stage | None = None
    side: Side | None = None
    cause: str = ""
    waited_seconds: float | None = None
    """From joining the queue to the connection or the end; None while it waits."""
    talked_seconds: float | None = None
    unseen_since: Instant | None = None
    wrap_up_started_at: Instant | None = None
    wrap_up_ended_at: Instant | None = None

    @property
    def state(self) -> CallState:
        """Where the call is."""
        if self.ended_at is not None:
            return CallState.ENDED
        if self.in_fallback:
            return CallState.FALLBACK
        if self.claimed:
            return CallState.CONNECTING if self.connected_at is None else CallState.TALKING
        return CallState.OFFERED if any(offer.live for offer in self.offers) else CallState.WAITING

    @property
    def agents(self) -> list[str]:
        """Everybody who was offered the call or took it, in order, each once."""
        took = [] if self.agent is None else [self.agent]
        return list(dict.fromkeys([offer.agent for offer in self.offers] + took))

    @property
    def held_seconds(self) -> float:
        """Time on hold that is over; a hold that lasts at the end of the call ends with it."""
        ends = [(hold.ended_at or self.ended_at, hold.started_at) for hold in self.holds]
        return sum(end.since(start) for end, start in ends if end is not None)

    @property
    def wrap_up_seconds(self) -> float | None:
        """From the end of the conversation to the end of the wrap-up, None unless it is over."""
        if self.wrap_up_started_at is None or self.wrap_up_ended_at is None:
            return None
        return self.wrap_up_ended_at.since(self.wrap_up_started_at)


class CallFold:
    """Folds facts, one by one, into records. Facts about calls whose arrival was not folded are left out."""

    def __init__(self) -> None:
        self.calls: dict[str, CallRecord] = {}
        self._wrapping_up: dict[str, CallRecord] = {}

    def add(self, entry: facts.Entry) -> None:
        """Fold one fact."""
        fact, at = entry.fact, entry.at
        if isinstance(fact, facts.CallArrived):
            self.calls[fact.call_id] = _arrived(fact, at)
        elif isinstance(fact, facts.WrapUpEnded | facts.AgentSignedOut):
            if (call := self._wrapping_up.pop(fact.agent, None)) is not None:
                call.wrap_up_ended_at = at
        elif (call := self.calls.get(getattr(fact, "call_id", ""))) is not None:
            _FOLDS[type(fact)](call, fact, at)
            if isinstance(fact, facts.WrapUpStarted):
                self._wrapping_up[fact.agent] = call


def fold_calls(entries: Iterable[facts.Entry]) -> dict[str, CallRecord]:
    """Call id -> record, in order of arrival."""
    fold = CallFold()
    for entry in entries:
        fold.add(entry)
    return fold.calls


def _arrived(fact: facts.CallArrived, at: Instant) -> CallRecord:
    return CallRecord(
        call_id=fact.call_id,
        line=fact.line,
        arrived_at=at,
        queued_at=at,
        adopted=fact.adopted,
        number_withheld=fact.number_withheld,
        caller_number=fact.caller_number,
        caller_name=fact.caller_name,
    )


def _answered(call: CallRecord, fact: facts.CallAnswered, at: Instant) -> None:
    call.answered_at, call.answered_by = at, fact.by


def _queued(call: CallRecord, fact: facts.CallQueued, at: Instant) -> None:  # noqa: ARG001
    call.queue, call.priority_class, call.tier = fact.queue, fact.priority_class, fact.tier
    call.queued_at, call.in_fallback = fact.queued_at, False


def _nothing(call: CallRecord, fact: facts.Fact, at: Instant) -> None:
    """Told in the story, not kept in the record."""


def _offer(call: CallRecord, fact: facts.OfferFact) -> OfferRecord | None:
    return next((offer for offer in reversed(call.offers) if offer.offer_id == fact.offer_id), None)


def _offer_made(call: CallRecord, fact: facts.OfferMade, at: Instant) -> None:
    call.offers.append(
        OfferRecord(
            offer_id=fact.offer_id,
            agent=fact.agent,
            phone=fact.phone,
            made_at=at,
            ring_seconds=fact.ring_seconds,
        )
    )


def _offer_rang(call: CallRecord, fact: facts.OfferRang, at: Instant) -> None:
    if (offer := _offer(call, fact)) is not None:
        offer.rang_at = at


def _offer_answered(call: CallRecord, fact: facts.OfferAnswered, at: Instant) -> None:
    call.claimed, call.agent = True, fact.agent
    if (offer := _offer(call, fact)) is not None:
        offer.answered_at = at


def _offer_withdrawn(call: CallRecord, fact: facts.OfferWithdrawn, at: Instant) -> None:
    if (offer := _offer(call, fact)) is not None:
        offer.withdrawn_at, offer.outcome = at, fact.outcome


def _offer_ended(call: CallRecord, fact: facts.OfferEnded, at: Instant) -> None:
    if (offer := _offer(call, fact)) is not None:
        offer.ended_at, offer.outcome, offer.cause = at, fact.outcome, fact.cause


def _connected(call: CallRecord, fact: facts.CallConnected, at: Instant) -> None:
    call.connected_at, call.agent, call.waited_seconds = at, fact.agent, fact.waited_seconds


def _disconnect(call: CallRecord, at: Instant) -> None:
    """The agent is not theirs after all: the call waits on, and what was waited is not over."""
    call.claimed = False
    call.connected_at = call.agent = call.waited_seconds = None
    _end_hold(call, at)


def _end_hold(call: CallRecord, at: Instant) -> None:
    if call.holds and call.holds[-1].ended_at is None:
        call.holds[-1].ended_at = at


def _returned(call: CallRecord, fact: facts.CallReturned, at: Instant) -> None:  # noqa: ARG001
    _disconnect(call, at)
    call.returned_at.append(at)


def _held(call: CallRecord, fact: facts.CallHeld, at: Instant) -> None:  # noqa: ARG001
    call.holds.append(HoldRecord(started_at=at))


def _resumed(call: CallRecord, fact: facts.CallResumed, at: Instant) -> None:  # noqa: ARG001
    _end_hold(call, at)


def _fallback_entered(call: CallRecord, fact: facts.FallbackEntered, at: Instant) -> None:
    _disconnect(call, at)
    call.in_fallback, call.fallback_at, call.fallback_why = True, at, fact.why


def _fallback_connected(call: CallRecord, fact: facts.FallbackConnected, at: Instant) -> None:
    call.connected_at, call.agent = at, fact.agent
    call.waited_seconds = at.since(call.queued_at)


def _ended(call: CallRecord, fact: facts.CallEnded, at: Instant) -> None:
    call.ended_at, call.outcome, call.stage, call.side = at, fact.outcome, fact.stage, fact.side
    call.cause, call.agent, call.unseen_since = fact.cause, fact.agent, fact.unseen_since
    call.waited_seconds, call.talked_seconds = fact.waited_seconds, fact.talked_seconds


def _wrap_up_started(call: CallRecord, fact: facts.WrapUpStarted, at: Instant) -> None:  # noqa: ARG001
    call.wrap_up_started_at, call.wrap_up_ended_at = at, None


_FOLDS: dict[type[facts.Fact], Callable[[CallRecord, Any, Instant], None]] = {
    facts.CallAnswered: _answered,
    facts.CallQueued: _queued,
    facts.AnnouncementStarted: _nothing,
    facts.AnnouncementEnded: _nothing,
    facts.OfferMade: _offer_made,
    facts.OfferRang: _offer_rang,
    facts.OfferAnswered: _offer_answered,
    facts.OfferWithdrawn: _offer_withdrawn,
    facts.OfferEnded: _offer_ended,
    facts.CallConnected: _connected,
    facts.CallReturned: _returned,
    facts.CallHeld: _held,
    facts.CallResumed: _resumed,
    facts.FallbackEntered: _fallback_entered,
    facts.FallbackConnected: _fallback_connected,
    facts.CallEnded: _ended,
    facts.WrapUpStarted: _wrap_up_started,
}

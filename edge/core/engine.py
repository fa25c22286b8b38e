"""The engine: one input in, facts and effects out, with the reason in a sentence. Sans-IO and deterministic.

Rule 1: everything that the engine knows is in `State`, and only facts change it (`_record`).
Rule 2: what an input means in each state stands in `transitions.py`; here is only how it is done.
Rule 3: time comes in with each step, and `next_deadline()` says when to come back. There is no other timer.
Rule 4: after each step every call is in exactly one place (`_check`), and every step says why it did what it did.

A step has three movements: react to the input, do what deadlines have come due, then match waiting calls with free agents.
The input goes first, so an answer that arrives together with its deadline is an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.core import effects, facts, inputs
from edge.core.alarms import AlarmClock
from edge.core.model import (
    Activity,
    Answer,
    CallOutcome,
    CallState,
    Instant,
    Line,
    OfferOutcome,
    OfferState,
    PhoneState,
    Policy,
    Queue,
    Refusal,
    Side,
    Stage,
    Tier,
)
from edge.core.ordering import (
    Candidates,
    WaitingOrder,
    next_relaxation,
    place_of,
    rest_seconds,
    skills_needed,
)
from edge.core.state import AgentRecord, Call, Offer, State, apply
from edge.core.transitions import (
    CALL_DEADLINES,
    CALL_REACTIONS,
    OFFER_DEADLINES,
    OFFER_REACTIONS,
    Deadline,
)

MATCH_AGAIN = ("match", "")
"""Alarm key: something that bars an agent from a call expires then."""

OUTCOME_OF_REFUSAL = {
    Refusal.NO_ANSWER: OfferOutcome.MISSED,
    Refusal.BUSY: OfferOutcome.REJECTED,
    Refusal.REJECTED: OfferOutcome.REJECTED,
    Refusal.UNREACHABLE: OfferOutcome.UNREACHABLE,
    Refusal.FAILED: OfferOutcome.UNREACHABLE,
    Refusal.CLEARED: OfferOutcome.REJECTED,  # ended normally by the other side, unanswered
}


@dataclass(frozen=True, slots=True)
class Step:
    """One decision. `effects` come each with the sequence of the fact that caused it, to be performed once that is durable."""

    entries: tuple[facts.Entry, ...]
    effects: tuple[tuple[effects.Effect, int], ...]
    reason: str


class Engine:
    """Decides for every call and agent of one switch. Not thread-safe: one loop owns it."""

    def __init__(self, policy: Policy, state: State | None = None) -> None:
        """Go on from `state` (replayed from the ledger), or from nothing."""
        self.policy = policy
        self.state = State() if state is None else state
        self._order = WaitingOrder()
        self._alarms = AlarmClock()
        self._entries: list[facts.Entry] = []
        self._effects: list[tuple[effects.Effect, int]] = []
        self._reasons: list[str] = []
        self._reason = ""
        self._now = Instant(0, 0)
        self._switch_utc_us: int | None = None
        self._build_indexes()

    def _build_indexes(self) -> None:
        self._order, self._alarms = WaitingOrder(), AlarmClock()
        for call in self.state.calls.values():
            self._index_call(call)
        for offer in self.state.offers.values():
            self._arm_offer(offer)
        for record in self.state.agents.values():
            self._arm_wrap_up(record)

    # ------------------------------------------------------------------ the front door

    def step(self, given: inputs.Input, now: Instant) -> Step:
        """Take one input at `now` and decide. Deadlines due at `now` are dealt with in the same step."""
        self._now, self._switch_utc_us = now, given.switch_utc_us
        self._entries, self._effects, self._reasons, self._reason = [], [], [], ""
        self._react(given)
        self._switch_utc_us = None
        self._expire()
        self._match()
        self._check()
        return Step(tuple(self._entries), tuple(self._effects), "; ".join(dict.fromkeys(self._reasons)))

    def next_deadline(self) -> Instant | None:
        """When to call `step(Woken())` if nothing happens before."""
        return self._alarms.next()

    def position(self, call_id: str) -> int | None:
        """1 for the waiting call that is served next; None when the call does not wait."""
        return self._order.position(call_id) if call_id in self._order else None

    # ------------------------------------------------------------------ recording

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
        call_id = getattr(fact, "call_id", None)
        if call_id is not None:
            call = self.state.calls.get(call_id)
            if call is None:
                self._order.discard(call_id)
                self._alarms.cancel(("call", call_id))
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
            self._arm_wrap_up(self.state.agents[agent])

    def _index_call(self, call: Call) -> None:
        if self._is_waiting(call):
            self._order.add(place_of(call, self.policy))
        else:
            self._order.discard(call.call_id)
        self._arm(("call", call.call_id), call, CALL_DEADLINES.get(call.state))

    def _is_waiting(self, call: Call) -> bool:
        """Whether it takes part in matching. What a new configuration dropped serves nobody (see `_serve`)."""
        return call.state is CallState.WAITING and self._is_configured(call)

    def _is_configured(self, call: Call) -> bool:
        return call.line in self.policy.lines and call.queue in self.policy.queues

    def _arm_offer(self, offer: Offer) -> None:
        self._arm(("offer", offer.offer_id), offer, OFFER_DEADLINES.get(offer.state))

    def _arm(self, key: tuple[str, str], thing: Any, deadline: Deadline | None) -> None:
        since = None if deadline is None else getattr(thing, deadline.since)
        if deadline is None or since is None:
            self._alarms.cancel(key)
            return
        seconds = getattr(thing, deadline.seconds, None)
        if seconds is None:
            seconds = getattr(self.policy, deadline.seconds)
        self._alarms.set(key, since.plus(seconds))

    def _arm_wrap_up(self, record: AgentRecord) -> None:
        key = ("agent", record.agent)
        if record.wrap_up_until is None:
            self._alarms.cancel(key)
        else:
            self._alarms.set(key, record.wrap_up_until)

    # ------------------------------------------------------------------ reacting to inputs

    def _react(self, given: inputs.Input) -> None:
        match given:
            case inputs.Woken():
                pass
            case inputs.CallPresented() if self._is_new(given.call_id):
                self._arrive(given)
            case inputs.FallbackTook() if self._is_new(given.call_id):
                self._arrive_in_fallback(given)
            case (
                inputs.CallPresented()
                | inputs.CallerGone()
                | inputs.PairJoined()
                | inputs.PairReturned()
                | inputs.AnnouncementFinished()
                | inputs.FallbackTook()
                | inputs.FallbackAnswered()
            ):
                self._react_for_call(given)
            case inputs.PhoneRang() | inputs.PhoneAnswered() | inputs.PhoneGone() | inputs.HoldChanged():
                self._react_for_offer(given)
            case inputs.AgentSeen():
                self._agent_seen(given)
            case inputs.ReadyPressed():
                self._ready_pressed(given)
            case inputs.PhoneSeen():
                self._phone_seen(given)
            case inputs.Reconciled():
                self._reconcile(given)
            case inputs.LinkLost():
                if self.state.sight:
                    self._because(f"lost sight of the switch: {given.error}")
                    self._record(facts.SwitchLost(link=given.link, error=given.error))
            case inputs.ClockSeen():
                if given.state is not self.state.clock:
                    self._because(f"the system clock is {given.state}")
                    self._record(facts.ClockChanged(state=given.state, error_us=given.error_us))
            case inputs.Started():
                self._because("the daemon started")
                self._record(
                    facts.DaemonStarted(
                        version=given.version, policy_digest=given.policy_digest, boot_id=given.boot_id
                    )
                )
                self._build_indexes()  # after a reboot every monotonic reading has moved
            case inputs.Stopping():
                self._because(f"the daemon stops: {given.why}")
                self._record(facts.DaemonStopped(why=given.why))
            case inputs.LedgerTrouble():
                self._ledger_trouble(given)

    def _is_new(self, call_id: str) -> bool:
        """Neither open nor ended just now: late and doubled words about a call do not open it again."""
        return call_id not in self.state.calls and call_id not in self.state.ended

    def _react_for_call(self, given: Any) -> None:
        call = self.state.calls.get(given.call_id)
        if call is None:
            self._because(f"{type(given).__name__} for call {given.call_id}, which is not open: ignored")
            return
        getattr(self, f"_{CALL_REACTIONS[type(given)][call.state]}")(call, given)

    def _react_for_offer(self, given: Any) -> None:
        offer = self.state.offers.get(given.offer_id)
        if offer is not None:
            getattr(self, f"_{OFFER_REACTIONS[type(given)][offer.state]}")(offer, given)
        elif isinstance(given, inputs.PhoneAnswered):
            self._because(f"an agent's leg answered for offer {given.offer_id}, which is over: hung up")
            self._ask(effects.HangUpOffer(offer_id=given.offer_id))
        else:
            self._because(f"{type(given).__name__} for offer {given.offer_id}, which is over: ignored")

    def _ignore(self, thing: Call | Offer, given: inputs.Input) -> None:
        name = thing.call_id if isinstance(thing, Call) else thing.offer_id
        self._because(f"{type(given).__name__} for {name}, which is {thing.state}: nothing to do")

    # ------------------------------------------------------------------ calls

    def _arrive(self, given: inputs.CallPresented | inputs.SeenCall, adopted: bool = False) -> None:
        line = self.policy.lines.get(given.line)
        if line is None:
            self._because(
                f"call {given.call_id} came by line {given.line!r}, which the configuration does not know: "
                "given to the switch's own queue"
            )
            self._record_arrival(given, adopted)
            self._ask(effects.SendToFallback(call_id=given.call_id, line=given.line))
            return
        self._because(f"call {given.call_id} arrived on line {line.name}" + (", adopted" * adopted))
        self._record_arrival(given, adopted)
        if line.answer is Answer.ON_ARRIVAL:
            self._record(facts.CallAnswered(call_id=given.call_id, by=Side.SYSTEM))
        self._join(given.call_id, line, self._joined_at(given))
        self._serve(self.state.calls[given.call_id], greet=not adopted)

    def _record_arrival(
        self, given: inputs.CallPresented | inputs.SeenCall | inputs.FallbackTook, adopted: bool
    ) -> None:
        self._record(
            facts.CallArrived(
                call_id=given.call_id,
                leg_id=given.leg_id,
                line=given.line,
                number_withheld=given.number_withheld,
                adopted=adopted,
                caller_number=given.caller_number,
                caller_name=given.caller_name,
            )
        )

    def _joined_at(self, given: inputs.CallPresented | inputs.SeenCall | inputs.FallbackTook) -> Instant:
        """When the caller joined: now, unless the switch has known them for longer than a glance."""
        if given.joined_utc_us is None:
            return self._now
        seconds_ago = (self._now.utc_us - given.joined_utc_us) / 1e6
        return self._now.plus(-seconds_ago) if 1.0 < seconds_ago < 86_400.0 else self._now

    def _join(self, call_id: str, line: Line, queued_at: Instant) -> None:
        self._record(
            facts.CallQueued(
                call_id=call_id,
                queue=line.queue,
                priority_class=line.priority_class,
                tier=line.tier,
                queued_at=queued_at,
            )
        )

    def _serve(self, call: Call, greet: bool = False) -> None:
        if not self._is_configured(call):
            self._because(
                f"line {call.line} or queue {call.queue} of call {call.call_id} is no longer configured: "
                "given to the switch's own queue"
            )
            self._ask(effects.SendToFallback(call_id=call.call_id, line=call.line))
            return
        line = self.policy.lines[call.line]
        greeting = line.greeting if greet else None
        if greeting is not None:
            self._record(facts.AnnouncementStarted(call_id=call.call_id, prompt=greeting))
        self._ask(effects.TakeCharge(call_id=call.call_id, line=line.name, greeting=greeting))

    def _serve_again(self, call: Call, given: inputs.Input) -> None:  # noqa: ARG002
        self._because(f"call {call.call_id} was presented again: still served at its place")
        self._serve(call)

    def _take_back(self, call: Call, given: inputs.Input) -> None:  # noqa: ARG002
        self._because(f"call {call.call_id} came back from the switch's own queue to its place")
        self._record(
            facts.CallQueued(
                call_id=call.call_id,
                queue=call.queue,
                priority_class=call.priority_class,
                tier=call.tier,
                queued_at=call.queued_at,
            )
        )
        self._serve(call)

    def _announcement_over(self, call: Call, given: inputs.AnnouncementFinished) -> None:
        if call.announcement == given.prompt:
            self._because(f"announcement {given.prompt} ended for call {call.call_id}")
            self._record(
                facts.AnnouncementEnded(call_id=call.call_id, prompt=given.prompt, completed=given.completed)
            )

    def _cut_announcement(self, call: Call) -> None:
        if call.announcement is not None:
            self._record(
                facts.AnnouncementEnded(call_id=call.call_id, prompt=call.announcement, completed=False)
            )

    def _abandon(self, call: Call, given: inputs.CallerGone) -> None:
        stage = self._stage(call)
        self._because(f"caller of {call.call_id} hung up ({stage}) after {self._waited(call):.1f} s")
        self._cut_announcement(call)
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        self._release_claim(call)
        self._end(call, CallOutcome.ABANDONED, stage, given.side, given.cause)

    def _stage(self, call: Call) -> Stage:
        match call.state:
            case CallState.OFFERED:
                return Stage.RINGING
            case CallState.CONNECTING:
                return Stage.CONNECTING
            case CallState.TALKING:
                return Stage.TALKING
            case CallState.FALLBACK:
                return Stage.TALKING if call.connected_at is not None else Stage.FALLBACK
            case _:
                return Stage.ANNOUNCEMENT if call.announcement is not None else Stage.QUEUE

    def _end(
        self,
        call: Call,
        outcome: CallOutcome,
        stage: Stage,
        side: Side,
        cause: str,
        unseen_since: Instant | None = None,
    ) -> None:
        connected_at = call.connected_at
        self._record(
            facts.CallEnded(
                call_id=call.call_id,
                outcome=outcome,
                stage=stage,
                side=side,
                cause=cause,
                waited_seconds=self._waited(call),
                talked_seconds=(call.agent_left_at or self._now).since(connected_at) if connected_at else 0.0,
                agent=call.agent,
                unseen_since=unseen_since,
            )
        )

    def _waited(self, call: Call) -> float:
        """Seconds from joining the queue to the connection, or until now."""
        return (call.connected_at or self._now).since(call.queued_at)

    def _conversation_over(self, call: Call, given: inputs.CallerGone) -> None:
        offer = self.state.offers.get(call.claimed_by or "")
        self._because(f"conversation of {call.call_id} with agent {call.agent} ended by the {given.side}")
        self._end(call, CallOutcome.ANSWERED, Stage.TALKING, given.side, given.cause)
        if offer is not None:
            self._leave_conversation(offer, call, given.cause)

    def _leave_conversation(self, offer: Offer, call: Call, cause: str) -> None:
        self._record_end(offer, OfferOutcome.ANSWERED, cause)
        self._begin_wrap_up(offer.agent, call)

    def _begin_wrap_up(self, agent: str, call: Call) -> None:
        record = self.state.agents[agent]
        queue = self.policy.queues.get(call.queue)
        if queue is not None and queue.wrap_up_seconds > 0 and record.phone is not None:
            self._record(
                facts.WrapUpStarted(agent=agent, call_id=call.call_id, seconds=queue.wrap_up_seconds)
            )

    def _joined(self, call: Call, given: inputs.PairJoined) -> None:
        if given.offer_id != call.claimed_by:
            self._ignore(call, given)
            return
        waited_seconds = self._now.since(call.queued_at)
        self._because(
            f"call {call.call_id} connected to agent {call.agent} after {waited_seconds:.1f} s in the queue"
        )
        if call.answered_at is None:
            self._record(facts.CallAnswered(call_id=call.call_id, by=Side.AGENT))
        self._record(
            facts.CallConnected(
                call_id=call.call_id,
                offer_id=given.offer_id,
                agent=call.agent or "",
                waited_seconds=waited_seconds,
            )
        )

    def _returned(self, call: Call, given: inputs.PairReturned) -> None:
        if given.offer_id not in (None, call.claimed_by):
            self._ignore(call, given)
            return
        self._because(
            f"call {call.call_id} could not be connected to agent {call.agent}: back at its place in the queue"
        )
        self._release_claim(call)
        self._record(facts.CallReturned(call_id=call.call_id, offer_id=call.claimed_by or ""))
        self._serve(call)

    def _release_claim(self, call: Call) -> None:
        """The agent who answered is not to have this call after all: their leg is hung up, without wrap-up."""
        offer = self.state.offers.get(call.claimed_by or "")
        if offer is not None and offer.state is OfferState.ANSWERED:
            self._record_withdrawal(offer, OfferOutcome.LOST)
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    # ------------------------------------------------------------------ fallback

    def _arrive_in_fallback(self, given: inputs.FallbackTook) -> None:
        self._because(f"call {given.call_id} went to the switch's own queue without us ({given.why})")
        self._record_arrival(given, adopted=True)
        if (line := self.policy.lines.get(given.line)) is not None:
            self._join(given.call_id, line, self._joined_at(given))
        self._record(facts.FallbackEntered(call_id=given.call_id, why=given.why))

    def _fallback(self, call: Call, given: inputs.FallbackTook) -> None:
        self._because(f"the switch's own queue took call {call.call_id} ({given.why})")
        self._cut_announcement(call)
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        self._release_claim(call)
        self._record(facts.FallbackEntered(call_id=call.call_id, why=given.why))

    def _fallback_answered(self, call: Call, given: inputs.FallbackAnswered) -> None:
        if call.connected_at is None:
            self._because(f"the switch's own queue connected call {call.call_id} to agent {given.agent}")
            self._record(facts.FallbackConnected(call_id=call.call_id, agent=given.agent))

    def _fallback_over(self, call: Call, given: inputs.CallerGone) -> None:
        answered = call.connected_at is not None
        self._because(
            f"call {call.call_id} ended in the switch's own queue, "
            + ("after a conversation" if answered else "unanswered")
        )
        outcome = CallOutcome.ANSWERED if answered else CallOutcome.ABANDONED
        self._end(call, outcome, self._stage(call), given.side, given.cause)

    # ------------------------------------------------------------------ offers

    def _rang(self, offer: Offer, given: inputs.PhoneRang) -> None:  # noqa: ARG002
        self._because(f"phone {offer.phone} of agent {offer.agent} rings for call {offer.call_id}")
        self._record(facts.OfferRang(offer_id=offer.offer_id, call_id=offer.call_id, agent=offer.agent))

    def _claim(self, offer: Offer, given: inputs.PhoneAnswered) -> None:  # noqa: ARG002
        call = self.state.calls.get(offer.call_id)
        if call is None or call.state not in (CallState.WAITING, CallState.OFFERED):
            self._because(f"agent {offer.agent} answered for a call that is no longer to be had: hung up")
            self._record_withdrawal(offer, OfferOutcome.WITHDRAWN)
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))
            return
        self._because(f"agent {offer.agent} answered call {call.call_id}")
        self._record(facts.OfferAnswered(offer_id=offer.offer_id, call_id=call.call_id, agent=offer.agent))
        self._cut_announcement(call)
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        self._ask(effects.ConnectPair(call_id=call.call_id, offer_id=offer.offer_id))

    def _claim_late(self, offer: Offer, given: inputs.PhoneAnswered) -> None:
        """A phone that we had given up was answered first: if nobody has the call yet, it is theirs."""
        call = self.state.calls.get(offer.call_id)
        if call is not None and call.state in (CallState.WAITING, CallState.OFFERED):
            self._claim(offer, given)
            return
        self._because(f"agent {offer.agent} answered a withdrawn offer too late: hung up, no wrap-up")
        self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    def _refused(self, offer: Offer, given: inputs.PhoneGone) -> None:
        outcome = OUTCOME_OF_REFUSAL[given.refusal]
        if outcome is OfferOutcome.MISSED and offer.rang_at is None:
            outcome = OfferOutcome.UNREACHABLE  # it never rang: the agent missed nothing (ASTERISK.md 2.7)
        self._because(f"agent {offer.agent} did not take call {offer.call_id}: {outcome} ({given.cause})")
        self._record_end(offer, outcome, given.cause)

    def _agent_left(self, offer: Offer, given: inputs.PhoneGone) -> None:
        call = self.state.calls.get(offer.call_id)
        if call is not None and call.state is CallState.TALKING and call.claimed_by == offer.offer_id:
            self._because(f"agent {offer.agent} left the conversation of {call.call_id}: its caller goes too")
            self._leave_conversation(offer, call, given.cause)
            return
        self._because(f"the leg of agent {offer.agent} ended before call {offer.call_id} was connected to it")
        self._record_end(offer, OfferOutcome.LOST, given.cause)

    def _offer_over(self, offer: Offer, given: inputs.PhoneGone) -> None:
        self._because(f"offer {offer.offer_id} to agent {offer.agent} is over: {offer.outcome}")
        self._record_end(offer, offer.outcome or OfferOutcome.WITHDRAWN, given.cause)

    def _hold(self, offer: Offer, given: inputs.HoldChanged) -> None:
        call = self.state.calls.get(offer.call_id)
        if call is None or call.state is not CallState.TALKING or call.held == given.held:
            return
        verb = "put on hold" if given.held else "taken off hold"
        self._because(f"call {call.call_id} was {verb} by agent {offer.agent}")
        kind = facts.CallHeld if given.held else facts.CallResumed
        self._record(kind(call_id=call.call_id, agent=offer.agent))

    def _withdraw_all(self, call: Call, outcome: OfferOutcome) -> None:
        for offer_id in tuple(call.live_offers):
            self._withdraw(self.state.offers[offer_id], outcome)

    def _withdraw(self, offer: Offer, outcome: OfferOutcome) -> None:
        self._record_withdrawal(offer, outcome)
        self._ask(effects.WithdrawOffer(offer_id=offer.offer_id))

    def _record_withdrawal(self, offer: Offer, outcome: OfferOutcome) -> None:
        self._record(
            facts.OfferWithdrawn(
                offer_id=offer.offer_id, call_id=offer.call_id, agent=offer.agent, outcome=outcome
            )
        )

    def _record_end(self, offer: Offer, outcome: OfferOutcome, cause: str) -> None:
        self._record(
            facts.OfferEnded(
                offer_id=offer.offer_id,
                call_id=offer.call_id,
                agent=offer.agent,
                outcome=outcome,
                cause=cause,
            )
        )

    # ------------------------------------------------------------------ agents and phones

    def _agent_seen(self, given: inputs.AgentSeen) -> None:
        if given.agent not in self.policy.agents:
            self._because(
                f"the switch names agent {given.agent}, whom the configuration does not know: ignored"
            )
            return
        record = self.state.agents.get(given.agent)
        if given.phone is None:
            if record is not None and record.phone is not None:
                self._sign_out(record)
            return
        if record is None or record.phone != given.phone:
            self._because(f"agent {given.agent} signed in at phone {given.phone}")
            if record is not None:
                self._withdraw_ringing(record)
            self._record(facts.AgentSignedIn(agent=given.agent, phone=given.phone))
        self._set_readiness(self.state.agents[given.agent], given.not_ready_reason)

    def _sign_out(self, record: AgentRecord) -> None:
        self._because(f"agent {record.agent} signed out")
        self._withdraw_ringing(record)
        self._record(facts.AgentSignedOut(agent=record.agent))

    def _set_readiness(self, record: AgentRecord, reason: str | None) -> None:
        if reason == record.not_ready_reason:
            return
        if reason is None:
            self._because(f"agent {record.agent} is ready")
            self._record(facts.AgentBecameReady(agent=record.agent))
            return
        self._because(f"agent {record.agent} is not ready: {reason}")
        self._withdraw_ringing(record)
        self._record(facts.AgentBecameNotReady(agent=record.agent, reason=reason))

    def _withdraw_ringing(self, record: AgentRecord) -> None:
        offer = self.state.offers.get(record.offer_id or "")
        if offer is not None and offer.state in (OfferState.CALLING, OfferState.RINGING):
            self._withdraw(offer, OfferOutcome.WITHDRAWN)

    def _ready_pressed(self, given: inputs.ReadyPressed) -> None:
        record = self.state.agents.get(given.agent)
        if record is not None and record.activity is Activity.WRAP_UP:
            self._because(f"agent {given.agent} ended wrap-up")
            self._record(facts.WrapUpEnded(agent=given.agent))

    def _phone_seen(self, given: inputs.PhoneSeen) -> None:
        if given.phone not in self.policy.phones or self.state.phones.get(given.phone) is given.state:
            return
        self._because(f"phone {given.phone} is {given.state}")
        self._record(facts.PhoneChanged(phone=given.phone, state=given.state))
        if given.state is PhoneState.UNAVAILABLE:
            self._withdraw_unreachable(given.phone)

    def _withdraw_unreachable(self, phone: str) -> None:
        """A phone that vanished while it was being rung will not answer: the next agent at once."""
        for offer in tuple(self.state.offers.values()):
            if offer.phone == phone and offer.state in (OfferState.CALLING, OfferState.RINGING):
                self._because(f"phone {phone} vanished while it was offered call {offer.call_id}")
                self._withdraw(offer, OfferOutcome.UNREACHABLE)

    # ------------------------------------------------------------------ reconciling with the switch

    def _reconcile(self, seen: inputs.Reconciled) -> None:
        """What the ledger says was meant, what the switch says is: the difference is the work to do."""
        since = self.state.sight_since or self._now
        calls = {call.call_id: call for call in seen.calls}
        legs = {leg.offer_id: leg for leg in seen.offers}
        missing = [call for call in self.state.calls.values() if call.call_id not in calls]
        known = [call for call in self.state.calls.values() if call.call_id in calls]
        new = [call for call in seen.calls if call.call_id not in self.state.calls]
        self._because(
            f"the switch was seen again: {len(known)} calls kept, {len(new)} adopted, {len(missing)} ended unseen"
        )
        self._record(
            facts.SwitchRestored(calls_adopted=len(new), calls_kept=len(known), calls_missing=len(missing))
        )
        for phone in seen.phones:
            self._phone_seen(phone)
        self._reconcile_agents(seen)
        for call in missing:
            self._ended_unseen(call, since)
        for offer in tuple(self.state.offers.values()):
            self._reconcile_offer(offer, legs.get(offer.offer_id), calls.get(offer.call_id))
        for call in known:
            self._reconcile_call(call, calls[call.call_id])
        for stranger in new:
            self._adopt(stranger)
        talking = {call.offer_id for call in seen.calls if call.standing is inputs.Standing.CONNECTED}
        for leg in seen.offers:
            if leg.offer_id not in self.state.offers and leg.offer_id not in talking:
                self._because(f"a leg of offer {leg.offer_id}, which is over, was left behind: hung up")
                self._ask(effects.HangUpOffer(offer_id=leg.offer_id))

    def _reconcile_agents(self, seen: inputs.Reconciled) -> None:
        present = {agent.agent for agent in seen.agents}
        for record in tuple(self.state.agents.values()):
            if record.phone is not None and record.agent not in present:
                self._sign_out(record)
        for agent in seen.agents:
            self._agent_seen(agent)

    def _ended_unseen(self, call: Call, since: Instant) -> None:
        stage = self._stage(call)
        self._because(f"call {call.call_id} is gone from the switch: it ended while it was not seen")
        self._cut_announcement(call)
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        offer = self.state.offers.get(call.claimed_by or "")
        self._end(call, CallOutcome.ENDED_UNKNOWN, stage, Side.UNKNOWN, "not seen", unseen_since=since)
        if offer is not None and call.connected_at is not None:
            self._leave_conversation(offer, call, "not seen")
        elif offer is not None:
            self._record_end(offer, OfferOutcome.LOST, "not seen")

    def _reconcile_offer(
        self, offer: Offer, leg: inputs.SeenOffer | None, call: inputs.SeenCall | None
    ) -> None:
        connected = call is not None and call.standing is inputs.Standing.CONNECTED
        if leg is None:
            self._because(f"the leg of offer {offer.offer_id} is gone from the switch")
            held = self.state.calls.get(offer.call_id)
            if held is not None and held.state is CallState.TALKING and held.claimed_by == offer.offer_id:
                self._leave_conversation(offer, held, "not seen")
            else:
                self._record_end(offer, offer.outcome or OfferOutcome.LOST, "not seen")
        elif offer.state is OfferState.ANSWERED and connected:
            return
        elif connected and call is not None and call.offer_id == offer.offer_id:
            self._answered_unseen(offer)
        elif offer.state is not OfferState.WITHDRAWN:
            self._because(f"offer {offer.offer_id} was interrupted: withdrawn, its caller keeps the place")
            self._record_withdrawal(offer, OfferOutcome.WITHDRAWN)
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))
        else:
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))
            until = self._now.plus(
                self.policy.withdrawal_seconds
            )  # its deadline may have passed while we were blind
            self._alarms.set(("offer", offer.offer_id), until)

    def _answered_unseen(self, offer: Offer) -> None:
        """The pair talks, and the ledger lost (or never got) the answer: catch up, and touch nothing."""
        call = self.state.calls[offer.call_id]
        if call.state in (CallState.WAITING, CallState.OFFERED):
            self._because(f"call {call.call_id} was found connected to agent {offer.agent}: answered unseen")
            self._record(
                facts.OfferAnswered(offer_id=offer.offer_id, call_id=call.call_id, agent=offer.agent)
            )
            self._cut_announcement(call)
            self._withdraw_all(call, OfferOutcome.WITHDRAWN)

    def _reconcile_call(self, call: Call, seen: inputs.SeenCall) -> None:
        match seen.standing:
            case inputs.Standing.HELD if call.state in (CallState.CONNECTING, CallState.TALKING):
                self._returned(call, inputs.PairReturned(call_id=call.call_id))
            case inputs.Standing.HELD if call.state is CallState.FALLBACK:
                self._take_back(call, inputs.PairReturned(call_id=call.call_id))
            case inputs.Standing.HELD:
                self._serve_again(call, inputs.Woken())
            case inputs.Standing.CONNECTED if call.state in (CallState.WAITING, CallState.OFFERED):
                self._served_by_unknown(call)
            case inputs.Standing.CONNECTED if (
                call.state is CallState.CONNECTING and call.claimed_by in self.state.offers
            ):
                self._joined(call, inputs.PairJoined(call_id=call.call_id, offer_id=call.claimed_by or ""))
            case inputs.Standing.FALLBACK if call.state is not CallState.FALLBACK:
                self._fallback(
                    call,
                    inputs.FallbackTook(
                        call_id=call.call_id, line=call.line, leg_id=call.leg_id, why="found there"
                    ),
                )
            case _:
                pass

    def _served_by_unknown(self, call: Call) -> None:
        """Somebody talks to this caller by a leg that we know nothing of: no more ours than one in the switch's queue."""
        self._because(
            f"call {call.call_id} was found talking to an agent whom the ledger does not name: left alone"
        )
        self._cut_announcement(call)
        self._record(facts.FallbackEntered(call_id=call.call_id, why="found connected"))
        self._record(facts.FallbackConnected(call_id=call.call_id, agent=None))

    def _adopt(self, seen: inputs.SeenCall) -> None:
        if seen.standing is inputs.Standing.HELD:
            self._arrive(seen, adopted=True)
        elif seen.standing is inputs.Standing.CONNECTED and seen.call_id not in self.state.ended:
            self._because(f"call {seen.call_id} was found, of which the ledger knows nothing")
            self._record_arrival(seen, adopted=True)
            if (line := self.policy.lines.get(seen.line)) is not None:
                self._join(seen.call_id, line, self._joined_at(seen))
            self._served_by_unknown(self.state.calls[seen.call_id])
        elif seen.standing is inputs.Standing.FALLBACK:
            self._arrive_in_fallback(
                inputs.FallbackTook(
                    call_id=seen.call_id,
                    line=seen.line,
                    leg_id=seen.leg_id,
                    why="found there",
                    caller_number=seen.caller_number,
                    caller_name=seen.caller_name,
                    number_withheld=seen.number_withheld,
                    joined_utc_us=seen.joined_utc_us,
                )
            )

    def _ledger_trouble(self, given: inputs.LedgerTrouble) -> None:
        if given.ok and self.state.ledger_trouble is not None:
            self._because("the ledger takes facts again")
            self._record(facts.LedgerTroubleEnded(detail=given.detail))
        elif not given.ok and self.state.ledger_trouble is None:
            self._because(f"the ledger is in trouble: {given.detail}")
            self._record(facts.LedgerTroubleBegan(detail=given.detail))

    # ------------------------------------------------------------------ deadlines

    def _expire(self) -> None:
        """Without sight of the switch only wrap-ups end: nothing can be asked of it, and `Reconciled` settles the rest."""
        while keys := self._alarms.due(self._now):
            for kind, name in keys:
                if kind == "agent":
                    self._wrap_up_over(self.state.agents[name])
                elif kind == "offer" and self.state.sight:
                    offer = self.state.offers[name]
                    getattr(self, f"_{OFFER_DEADLINES[offer.state].then}")(offer)
                elif kind == "call" and self.state.sight:
                    call = self.state.calls[name]
                    getattr(self, f"_{CALL_DEADLINES[call.state].then}")(call)

    def _wrap_up_over(self, record: AgentRecord) -> None:
        self._because(f"wrap-up of agent {record.agent} is over")
        self._record(facts.WrapUpEnded(agent=record.agent))

    def _unreachable(self, offer: Offer) -> None:
        self._because(
            f"phone {offer.phone} did not ring within {self.policy.unreachable_seconds:g} s: "
            f"call {offer.call_id} goes to the next agent"
        )
        self._withdraw(offer, OfferOutcome.UNREACHABLE)

    def _missed(self, offer: Offer) -> None:
        self._because(
            f"agent {offer.agent} did not answer call {offer.call_id} within {offer.ring_seconds:g} s: "
            "it goes to the next agent"
        )
        self._withdraw(offer, OfferOutcome.MISSED)

    def _never_ended(self, offer: Offer) -> None:
        self._because(
            f"the leg of offer {offer.offer_id} was not reported as ended: agent {offer.agent} is freed"
        )
        self._record_end(offer, offer.outcome or OfferOutcome.WITHDRAWN, "end not reported")
        self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    def _inspect(self, call: Call) -> None:
        self._because(f"call {call.call_id} is neither seen connected nor seen ended: looking where it is")
        self._ask(effects.Inspect(call_id=call.call_id, offer_id=call.claimed_by or ""))
        left_seconds = self._now.since(call.agent_left_at) if call.agent_left_at is not None else 0.0
        again_seconds = max(
            self.policy.connect_seconds, left_seconds
        )  # ever more rarely: they may talk to a third party
        self._alarms.set(("call", call.call_id), self._now.plus(again_seconds))

    # ------------------------------------------------------------------ matching

    def _match(self) -> None:
        """Offer waiting calls, in order of service, to free agents. Nothing is polled: every step ends here."""
        self._alarms.cancel(MATCH_AGAIN)
        if not self.state.sight or not len(self._order):
            return
        candidates = Candidates(self.state, self.policy, self._now)
        if not candidates.free:
            return
        hopeless: set[tuple[str, ...]] = set()
        passed_over, withheld = 0, False
        for call_id in self._order:
            if not candidates.free:
                break
            call = self.state.calls[call_id]
            skills = skills_needed(call, self.policy.queues[call.queue], self._now)
            if skills in hopeless and not call.refused_by:
                passed_over += 1
                continue
            chosen = candidates.best(call, skills)
            if chosen is not None:
                self._offer(call, chosen, skills, candidates, passed_over)
                candidates.take(chosen)
                continue
            passed_over += 1
            if not candidates.able(skills):
                hopeless.add(skills)
            if call.tier == Tier.EMERGENCY:
                withheld = True
                candidates.withhold(skills)
        if candidates.free or withheld:
            self._arm_next_match()

    def _offer(
        self,
        call: Call,
        chosen: AgentRecord,
        skills: tuple[str, ...],
        candidates: Candidates,
        passed_over: int,
    ) -> None:
        queue = self.policy.queues[call.queue]
        offer_id = f"{call.call_id}.{call.offers_made + 1}"
        waited_seconds = self._now.since(call.queued_at)
        self._because(self._why_offered(call, chosen, skills, candidates, passed_over, waited_seconds))
        self._record(
            facts.OfferMade(
                offer_id=offer_id,
                call_id=call.call_id,
                agent=chosen.agent,
                phone=chosen.phone or "",
                ring_seconds=queue.offer_seconds,
                waited_seconds=waited_seconds,
            )
        )
        self._ask(
            effects.MakeOffer(
                offer_id=offer_id,
                call_id=call.call_id,
                phone=chosen.phone or "",
                ring_seconds=queue.offer_seconds,
                caller_number=call.caller_number,
                line=call.line,
                tier=Tier(call.tier),
                priority_class=call.priority_class,
                waited_seconds=waited_seconds,
            )
        )

    def _why_offered(
        self,
        call: Call,
        chosen: AgentRecord,
        skills: tuple[str, ...],
        candidates: Candidates,
        passed_over: int,
        waited_seconds: float,
    ) -> str:
        able, asked = len(candidates.able(skills)), len(candidates.askable(call, skills))
        whom = (
            "the only free agent" if asked == 1 else f"of {asked} free agents the best skilled, idle longest"
        )
        whom += f" with {', '.join(skills)}" if skills else ""
        whom += f" but for {able - asked} who refused a call just now" if able > asked else ""
        ahead = (
            f"; {passed_over} ahead wait for other agents" if passed_over else "; next in order of service"
        )
        kind = "999" if call.tier == Tier.EMERGENCY else f"101 ({call.priority_class})"
        idle_seconds = self._now.since(chosen.idle_since)
        return (
            f"{kind} call {call.call_id} offered to agent {chosen.agent} after {waited_seconds:.1f} s: "
            f"{whom} (idle {idle_seconds:.0f} s){ahead}"
        )

    def _arm_next_match(self) -> None:
        """Somebody is free and somebody waits: wake when a rest, a refusal's memory or a skill requirement runs out."""
        times = [
            record.rest_since.plus(rest_seconds(record, self.policy))
            for record in self.state.agents.values()
            if record.rest_since is not None
        ]
        for call in map(self.state.calls.__getitem__, self._order):
            if call.refused_by or self.policy.queues[call.queue].relaxations:
                times += self._changes_of(call)
        soonest = min(
            (at for at in times if at.monotonic_ns > self._now.monotonic_ns),
            key=lambda at: at.monotonic_ns,
            default=None,
        )
        if soonest is not None:
            self._alarms.set(MATCH_AGAIN, soonest)

    def _changes_of(self, call: Call) -> list[Instant]:
        queue: Queue = self.policy.queues[call.queue]
        times = []
        for refused_at in call.refused_by.values():
            times += [
                refused_at.plus(self.policy.refusal_rest_seconds),
                refused_at.plus(self.policy.unreachable_rest_seconds),
                refused_at.plus(self.policy.refusal_memory_seconds),
            ]
        if (relaxes_at := next_relaxation(call, queue, self._now)) is not None:
            times.append(relaxes_at)
        return times

    # ------------------------------------------------------------------ invariants

    def _check(self) -> None:
        """Every open call is in exactly one place, whatever was decided. A failure here stops the daemon, not the callers."""
        for entry in self._entries:
            call = self.state.calls.get(getattr(entry.fact, "call_id", ""))
            if call is None:
                continue
            assert self._is_waiting(call) == (call.call_id in self._order), (
                f"{call.call_id} {call.state}: place in the order"
            )
            assert (call.state is CallState.OFFERED) == bool(call.live_offers), f"{call.call_id}: offers"
            assert (call.state in (CallState.CONNECTING, CallState.TALKING)) == bool(call.claimed_by), (
                f"{call.call_id}: claim"
            )

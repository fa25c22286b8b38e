"""The service: what is done for calls, offers, agents and phones. The tables in `transitions.py` say when.

Methods that a table names take the thing and the input: `_abandon(call, given)`, `_claim(offer, given)`.
"""

from __future__ import annotations

from edge.core import effects, facts, inputs
from edge.core.escalation import RUNG_ANEW_SECONDS
from edge.core.model import (
    BUDDY,
    TEST,
    Activity,
    Answer,
    CallOutcome,
    CallState,
    Instant,
    Line,
    OfferOutcome,
    OfferState,
    PhoneState,
    Refusal,
    Rung,
    Side,
    Stage,
    Tier,
)
from edge.core.ordering import head_start_seconds
from edge.core.promise import TaskKind
from edge.core.ring_back import RingBack
from edge.core.state import AgentRecord, Call, Offer
from edge.core.task_state import TaskOffer

CROSSED_IN_A_ROW_MAXIMUM = 3
"""A phone that is busy oftener, without having rung in between, does not want to be rung."""
CLEARING_SECONDS = 0.5
"""A phone clears its line within so much of a call's end, as the switch sees that."""
CLOCKS_APART_SECONDS = 1.0
"""So much may the switch's clock be ahead of ours, within which nothing tells them apart."""
TOLD_LATE_SECONDS = 30.0
"""Older words than this do not reach us: the dead-man of a stopped daemon takes its callers sooner."""
OUTCOME_OF_REFUSAL = {
    Refusal.NO_ANSWER: OfferOutcome.MISSED,
    Refusal.BUSY: OfferOutcome.REJECTED,
    Refusal.REJECTED: OfferOutcome.REJECTED,
    Refusal.UNREACHABLE: OfferOutcome.UNREACHABLE,
    Refusal.FAILED: OfferOutcome.UNREACHABLE,
    Refusal.CLEARED: OfferOutcome.REJECTED,  # ended normally by the other side, unanswered
}


def whom(agent: str | None) -> str:
    """Who was rung or answered, for a reason: an agent, or what stands in the place of one."""
    return {BUDDY: "the buddy force", TEST: "the test phone"}.get(agent or "", f"agent {agent}")


class Service(RingBack):
    """Reactions to what callers, agents and phones do, and to deadlines."""

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
        self._welcome(self.state.calls[given.call_id], given, adopted=adopted)

    def _match_number(self, call: Call) -> None:
        """A call-back or a task may be open for this number, see `promising.py`."""
        raise NotImplementedError

    def _welcome(self, call: Call, given: inputs.CallPresented | inputs.SeenCall, *, adopted: bool) -> None:
        """What a newly arrived caller meets first; what a 101 meets stands in `routine.py`."""
        raise NotImplementedError

    def _record_arrival(
        self,
        given: inputs.CallPresented | inputs.SeenCall | inputs.FallbackTook | inputs.CallRefused,
        adopted: bool,
    ) -> None:
        line = self.policy.lines.get(given.line)
        consultation_of = given.consultation_of if isinstance(given, inputs.CallPresented) else None
        self._record(
            facts.CallArrived(
                call_id=given.call_id,
                leg_id=given.leg_id,
                line=given.line,
                number_withheld=given.number_withheld,
                adopted=adopted,
                language="en" if line is None else line.language,
                assisted=line is not None and line.assisted,
                test=line is not None and line.test_phone is not None,
                consultation_of=consultation_of,
                caller_number=given.caller_number,
                caller_name=given.caller_name,
            )
        )
        held = self.state.calls.get(consultation_of or "")
        if held is not None:
            self._record(
                facts.CallConsulted(
                    call_id=held.call_id, agent=held.agent, line=given.line, consultation=given.call_id
                )
            )

    def _joined_at(self, given: inputs.CallPresented | inputs.SeenCall | inputs.FallbackTook) -> Instant:
        """When the caller joined, by the switch: its words about two callers may reach us in the other order.

        Where the switch's clock and ours disagree (one was set meanwhile), how long ago that was is told by the switch's alone:
        else a caller would have waited an hour on arrival, and a 999 would ring everybody at once.
        """
        if given.joined_utc_us is None:
            return self._now
        seconds_ago = (self._now.utc_us - given.joined_utc_us) / 1e6
        if self._told_utc_us is not None:
            told_late_seconds = (self._now.utc_us - self._told_utc_us) / 1e6
            if not -CLOCKS_APART_SECONDS <= told_late_seconds <= TOLD_LATE_SECONDS:
                seconds_ago = (self._told_utc_us - given.joined_utc_us) / 1e6
        return self._now.plus(-seconds_ago) if 0.0 < seconds_ago < 86_400.0 else self._now

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

    def _serve(self, call: Call, greeting: str | None = None) -> None:
        if not self._is_configured(call):
            self._because(
                f"line {call.line} or queue {call.queue} of call {call.call_id} is no longer configured: "
                "given to the switch's own queue"
            )
            self._ask(effects.SendToFallback(call_id=call.call_id, line=call.line))
            return
        if greeting is not None:
            self._record(facts.AnnouncementStarted(call_id=call.call_id, prompt=greeting))
        self._ask(effects.TakeCharge(call_id=call.call_id, line=call.line, greeting=greeting))

    def _note_place(self, call: Call) -> None:
        """Have the switch know the place, so that its own queue would serve the caller there and in their language."""
        since = call.emergency_since if call.tier == Tier.EMERGENCY else call.queued_at
        earlier_us = round(head_start_seconds(call, self.policy) * 1_000_000)
        self._ask(
            effects.NotePlace(
                call_id=call.call_id,
                queue=call.queue,
                tier=Tier(call.tier),
                place_utc_us=since.utc_us - earlier_us,
                language=call.language,
                upgraded=call.upgraded_at is not None,
            )
        )

    def _note_if_elsewhere(self, call: Call) -> None:
        """Note the place of a call that the switch, if it knew the line alone, would serve in another place or language."""
        line = self.policy.lines.get(call.line)
        place = (call.queue, call.priority_class, call.language, call.upgraded_at)
        if line is not None and place != (line.queue, line.priority_class, line.language, None):
            self._note_place(call)

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
        self._note_if_elsewhere(call)

    def _announcement_over(self, call: Call, given: inputs.AnnouncementFinished) -> None:
        if call.announcement == given.prompt:
            self._because(f"announcement {given.prompt} ended for call {call.call_id}")
            self._record(
                facts.AnnouncementEnded(call_id=call.call_id, prompt=given.prompt, completed=given.completed)
            )
            self._after_announcement(call, given.prompt)

    def _after_announcement(self, call: Call, prompt: str) -> None:
        """What is said next, after `prompt`."""

    def _announcement_lost(self, call: Call) -> None:
        prompt = call.announcement or ""
        self._because(f"nobody told of the end of announcement {prompt} for call {call.call_id}: it is over")
        self._record(facts.AnnouncementEnded(call_id=call.call_id, prompt=prompt, completed=False))
        self._after_announcement(call, prompt)

    def _cut_announcement(self, call: Call) -> None:
        """On purpose, for something better: this says nothing about whether the prompt can be played."""
        if call.announcement is not None:
            self._record(
                facts.AnnouncementEnded(
                    call_id=call.call_id, prompt=call.announcement, completed=False, cut=True
                )
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
            case CallState.LEAVING:
                return Stage.LEAVING
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
        """Durations reach to the end, or to where it was last seen: a night without sight is not a talk of nine hours."""
        connected_at, last_seen = call.connected_at, unseen_since or self._now
        talked_until = call.agent_left_at or last_seen
        waited_seconds = max(0.0, (connected_at or last_seen).since(call.queued_at))
        self._open_task_for(call, outcome, waited_seconds)
        self._record(
            facts.CallEnded(
                call_id=call.call_id,
                outcome=outcome,
                stage=stage,
                side=side,
                cause=cause,
                waited_seconds=waited_seconds,
                talked_seconds=max(0.0, talked_until.since(connected_at)) if connected_at else 0.0,
                agent=call.agent,
                unseen_since=unseen_since,
            )
        )

    def _waited(self, call: Call) -> float:
        """Seconds from joining the queue to the connection, or until now."""
        return (call.connected_at or self._now).since(call.queued_at)

    def _conversation_over(self, call: Call, given: inputs.CallerGone) -> None:
        offer = self.state.offers.get(call.claimed_by or "")
        self._because(f"conversation of {call.call_id} with {whom(call.agent)} ended by the {given.side}")
        if given.cut and call.tier == Tier.EMERGENCY and not call.test:
            self._open_task(call, TaskKind.LOST, "a 999 that the network cut", self._waited(call))
        self._end(call, CallOutcome.ANSWERED, Stage.TALKING, given.side, given.cause)
        if offer is not None:
            self._leave_conversation(offer, offer.call_id, given.cause)

    def _leave_conversation(self, offer: Offer, call_id: str, cause: str) -> None:
        self._record_end(offer, OfferOutcome.ANSWERED, cause)
        self._begin_wrap_up(offer, call_id)

    def _begin_wrap_up(self, offer: Offer, call_id: str) -> None:
        """The queue's wrap-up, and what a 999 took from the one before. None for another force, nor for who has signed out."""
        record = self.state.agents.get(offer.agent)
        if record is None or record.phone is None or record.activity is not Activity.IDLE:
            return
        queue = self.policy.queues.get(offer.queue)
        seconds = record.wrap_up_owed_seconds + (queue.wrap_up_seconds if queue is not None else 0.0)
        if seconds > 0:
            self._record(
                facts.WrapUpStarted(
                    agent=offer.agent, call_id=call_id, seconds=seconds, emergency=offer.emergency
                )
            )

    def _joined(self, call: Call, given: inputs.PairJoined) -> None:
        if given.offer_id != call.claimed_by:
            self._ignore(call, given)
            return
        waited_seconds = self._now.since(call.queued_at)
        self._because(
            f"call {call.call_id} connected to {whom(call.agent)} after {waited_seconds:.1f} s in the queue"
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
        if call.connected_at is None:
            what = f"could not be connected to {whom(call.agent)}"
        else:
            what = "went on to somebody who did not take it"
        self._because(f"call {call.call_id} {what}: back at its place in the queue")
        self._release_claim(call)
        self._record(facts.CallReturned(call_id=call.call_id, offer_id=call.claimed_by or ""))
        self._serve(call)

    def _release_claim(self, call: Call) -> None:
        """The agent who answered is not to have this call after all: their leg is hung up, without wrap-up; but who had
        talked with the caller, and passed them on in vain, has had their talk."""
        offer = self.state.offers.get(call.claimed_by or "")
        if offer is not None and offer.state is OfferState.ANSWERED:
            outcome = OfferOutcome.LOST if call.connected_at is None else OfferOutcome.ANSWERED
            self._record_withdrawal(offer, outcome)
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    # ------------------------------------------------------------------ fallback

    def _arrive_in_fallback(self, given: inputs.FallbackTook) -> None:
        self._because(f"call {given.call_id} went to the switch's own queue without us ({given.why})")
        self._record_arrival(given, adopted=True)
        if (line := self.policy.lines.get(given.line)) is not None:
            self._join(given.call_id, line, self._joined_at(given))
        self._record(facts.FallbackEntered(call_id=given.call_id, why=given.why))
        self._match_number(self.state.calls[given.call_id])

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
        self._because(f"phone {offer.phone} of {whom(offer.agent)} rings for call {offer.call_id}")
        self._record(facts.OfferRang(offer_id=offer.offer_id, call_id=offer.call_id, agent=offer.agent))

    def _claim(self, offer: Offer, given: inputs.PhoneAnswered) -> None:  # noqa: ARG002
        call = self.state.calls.get(offer.call_id)
        if call is None or call.state not in (CallState.WAITING, CallState.OFFERED):
            self._because(f"{whom(offer.agent)} answered for a call that is no longer to be had: hung up")
            self._record_withdrawal(offer, OfferOutcome.WITHDRAWN)
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id, answered_elsewhere=call is not None))
            return
        self._because(f"{whom(offer.agent)} answered call {call.call_id}")
        self._record(facts.OfferAnswered(offer_id=offer.offer_id, call_id=call.call_id, agent=offer.agent))
        self._cut_announcement(call)
        self._withdraw_all(call, OfferOutcome.WITHDRAWN, answered_elsewhere=True)
        self._ask(effects.ConnectPair(call_id=call.call_id, offer_id=offer.offer_id))

    def _claim_late(self, offer: Offer, given: inputs.PhoneAnswered) -> None:
        """A phone that we had given up was answered first: if nobody has the call yet, it is theirs."""
        call = self.state.calls.get(offer.call_id)
        if call is not None and call.state in (CallState.WAITING, CallState.OFFERED):
            self._claim(offer, given)
            return
        self._because(f"{whom(offer.agent)} answered a withdrawn offer too late: hung up, no wrap-up")
        self._ask(effects.HangUpOffer(offer_id=offer.offer_id, answered_elsewhere=call is not None))

    def _refused(self, offer: Offer, given: inputs.PhoneGone) -> None:
        outcome = self._judge_refusal(offer, given.refusal)
        self._because(f"{whom(offer.agent)} did not take call {offer.call_id}: {outcome} ({given.cause})")
        self._record_end(offer, outcome, given.cause)

    def _judge_refusal(self, offer: Offer | TaskOffer, refusal: Refusal) -> OfferOutcome:
        """What the refusal of a phone says of its agent. Who was never rung has missed nothing (ASTERISK.md 2.7); and a phone
        that was in a call a moment ago, as the switch shows it idle now, may not have cleared its line yet."""
        if offer.rang_at is None and refusal is Refusal.NO_ANSWER:
            return OfferOutcome.UNREACHABLE
        if offer.rang_at is None and refusal is Refusal.BUSY and self._was_in_a_call(offer):
            return OfferOutcome.CROSSED
        return OUTCOME_OF_REFUSAL[refusal]

    def _was_in_a_call(self, offer: Offer | TaskOffer) -> bool:
        """Whether this phone had only just left a call when it was rung, or asked for a task by one; at most so many times in a
        row, as our own attempt is a call too."""
        record, phone = self.state.agents.get(offer.agent), self.policy.phones.get(offer.phone)
        if record is None or phone is None or phone.trunk is not None:
            return False
        if record.crossed_in_a_row >= CROSSED_IN_A_ROW_MAXIMUM:
            return False
        left = (record.freed_at, self.state.phones_left_off_at.get(offer.phone))
        return (isinstance(offer, TaskOffer) and offer.asked) or any(
            at is not None and offer.made_at.since(at) <= CLEARING_SECONDS for at in left
        )

    def _agent_left(self, offer: Offer, given: inputs.PhoneGone) -> None:
        call = self.state.calls.get(offer.call_id)
        if offer.released_at is not None:
            self._because(f"{whom(offer.agent)} has left call {offer.call_id}, which went on without them")
            self._leave_conversation(offer, offer.call_id, given.cause)
            return
        if call is not None and call.state is CallState.TALKING and call.claimed_by == offer.offer_id:
            self._because(f"{whom(offer.agent)} left the conversation of {call.call_id}: its caller goes too")
            self._leave_conversation(offer, offer.call_id, given.cause)
            return
        self._because(f"the leg of {whom(offer.agent)} ended before call {offer.call_id} was connected to it")
        self._record_end(offer, OfferOutcome.LOST, given.cause)

    def _offer_over(self, offer: Offer, given: inputs.PhoneGone) -> None:
        if offer.outcome is OfferOutcome.ANSWERED:
            self._because(f"{whom(offer.agent)} has left call {offer.call_id}, which went on without them")
            self._leave_conversation(offer, offer.call_id, given.cause)
            return
        self._because(f"offer {offer.offer_id} to {whom(offer.agent)} is over: {offer.outcome}")
        self._record_end(offer, offer.outcome or OfferOutcome.WITHDRAWN, given.cause)

    def _hold(self, offer: Offer, given: inputs.HoldChanged) -> None:
        call = self.state.calls.get(offer.call_id)
        if call is None or call.state is not CallState.TALKING or call.held == given.held:
            return
        if call.claimed_by != offer.offer_id:
            self._ignore(offer, given)
            return
        verb = "put on hold" if given.held else "taken off hold"
        self._because(f"call {call.call_id} was {verb} by {whom(offer.agent)}")
        kind = facts.CallHeld if given.held else facts.CallResumed
        self._record(kind(call_id=call.call_id, agent=offer.agent))

    def _withdraw_all(self, call: Call, outcome: OfferOutcome, *, answered_elsewhere: bool = False) -> None:
        for offer_id in tuple(call.live_offers):
            self._withdraw(self.state.offers[offer_id], outcome, answered_elsewhere=answered_elsewhere)

    def _withdraw(self, offer: Offer, outcome: OfferOutcome, *, answered_elsewhere: bool = False) -> None:
        self._record_withdrawal(offer, outcome)
        self._ask(effects.WithdrawOffer(offer_id=offer.offer_id, answered_elsewhere=answered_elsewhere))

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
        record = self.state.agents.get(offer.agent)
        if outcome is not OfferOutcome.ANSWERED and record is not None and record.wrap_up_owed_seconds > 0:
            self._give_wrap_up_back(record, offer.call_id)

    def _give_wrap_up_back(self, record: AgentRecord, call_id: str) -> None:
        """A 999 broke this wrap-up and did not come to the agent after all."""
        if record.activity is Activity.IDLE and record.phone is not None:
            seconds = record.wrap_up_owed_seconds
            self._because(f"agent {record.agent} gets back {seconds:.0f} s of wrap-up")
            self._record(facts.WrapUpStarted(agent=record.agent, call_id=call_id, seconds=seconds))

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

    # ------------------------------------------------------------------ deadlines

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
        rings_all = self.state.calls[offer.call_id].rung >= Rung.ALL_AGENTS
        if rings_all and offer.ring_seconds == RUNG_ANEW_SECONDS:
            self._because(
                f"{whom(offer.agent)} is rung anew for 999 call {offer.call_id}, which rings everybody"
            )
            self._withdraw(offer, OfferOutcome.WITHDRAWN)
            return
        self._because(
            f"{whom(offer.agent)} did not answer call {offer.call_id} within {offer.ring_seconds:g} s: "
            "it goes to the next agent"
        )
        self._withdraw(offer, OfferOutcome.MISSED)

    def _never_ended(self, offer: Offer) -> None:
        self._because(
            f"the leg of offer {offer.offer_id} was not reported as ended: {whom(offer.agent)} is freed"
        )
        if offer.outcome is OfferOutcome.ANSWERED:
            self._leave_conversation(offer, offer.call_id, "end not reported")
        else:
            self._record_end(offer, offer.outcome or OfferOutcome.WITHDRAWN, "end not reported")
        self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    def _left_behind(self, offer: Offer) -> None:
        self._because(
            f"call {offer.call_id} went on without {whom(offer.agent)}, whose leg was not reported as ended: wrap-up"
        )
        self._leave_conversation(offer, offer.call_id, "end not reported")

    def _inspect(self, call: Call) -> None:
        self._because(f"call {call.call_id} is neither seen connected nor seen ended: looking where it is")
        self._ask(effects.Inspect(call_id=call.call_id, offer_id=call.claimed_by or ""))
        left_seconds = self._now.since(call.agent_left_at) if call.agent_left_at is not None else 0.0
        again_seconds = max(
            self.policy.connect_seconds, left_seconds
        )  # ever more rarely: they may talk to a third party
        self._alarms.set(("call", call.call_id), self._now.plus(again_seconds))

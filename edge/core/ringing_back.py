"""From the place in the queue to the person's voice: reserving an agent for a call-back, ringing the person, joining both.

Rule 1: at most one attempt of a call-back is in flight, ever. Its intent is on disk before anything is dialled; an attempt whose
outcome we lost is looked up, and never made again.
Rule 2: agent first: the agent waits on the line while the person's phone rings, so that a human voice answers. Caller first is an
option: then an agent is kept for them until they have pressed a key.
Rule 3: it begins only while somebody who can take a 999 stays free beside. Until then the agent whose turn it is stays free for
it, so that nobody who joined later is served first. A 999 that finds nobody free takes the agent while the person's phone rings.
Rule 4: whatever happens the place is kept, or the call becomes a task for a human. The number is judged again before each dial.
"""

from __future__ import annotations

from edge.core import effects, facts, inputs
from edge.core.model import (
    Activity,
    CallOutcome,
    CallState,
    Instant,
    OfferOutcome,
    OfferState,
    Queue,
    Side,
    Stage,
    TaskOfferState,
    Tier,
)
from edge.core.offering import Offering
from edge.core.ordering import Candidates, emergency_skills, head_start_seconds, skills_needed
from edge.core.promise import COUNTED, AttemptOutcome, First, Plan
from edge.core.state import HOUR_SECONDS, AgentRecord, Call, Callback, Offer

CALLS_NOW = "somebody calls from this number"
RUNG_FOR_TASK = "a handler has a task of this number"
WAITS_FOR_RESERVE = "an agent is kept for it until enough who can take a 999 are free"
LEG_MARGIN_SECONDS = 10.0
"""How much longer than it was asked to a person's leg may ring, as far as we know: the switch's own limit lies behind ours."""
GIVE_WAY = frozenset({CallState.DIALLING, CallState.CHECKING})
DIALS_FOR_TASK = frozenset({TaskOfferState.DIALLING, TaskOfferState.TALKING})
PRESS_KEY = "callback-press-key"
TRUNK_ALARM_FAILURES = 3
"""So many failures of the network in a row are an alarm."""
WORDS = {
    AttemptOutcome.NO_ANSWER: "nobody answered",
    AttemptOutcome.BUSY: "the number was busy",
    AttemptOutcome.REJECTED: "the call was rejected",
    AttemptOutcome.NETWORK: "the network failed",
    AttemptOutcome.INVALID: "there is no such number",
    AttemptOutcome.MACHINE: "a machine answered, in the handler's judgement",
    AttemptOutcome.NO_KEY: "no key was pressed",
    AttemptOutcome.HUNG_UP: "whoever answered hung up before anybody spoke",
    AttemptOutcome.PREEMPTED: "a 999 took the agent",
    AttemptOutcome.AGENT_LEFT: "the agent hung up",
    AttemptOutcome.INTERRUPTED: "it was lost sight of",
}


class RingingBack(Offering):
    """The agent's and the person's side of a call-back."""

    # ------------------------------------------------------------------ matching

    def _ring_back(self, call: Call, candidates: Candidates) -> bool:
        """Whether the call-back, whose turn it is for any free agent who can take it, has begun or has an agent kept free for it.
        False: it cannot begin now, and others may come first."""
        promise = call.callback
        assert promise is not None
        if promise.not_before is not None and promise.not_before.monotonic_ns > self._now.monotonic_ns:
            self._look_again(promise.not_before)
            return False
        skills = skills_needed(call, self.policy.queues[call.queue], self._now)
        if None in self._barred or skills in self._barred:
            return (
                False  # as one before it, for which it was noted: a hundred facts would say no more than one
            )
        askable = candidates.in_order_of_choice(call, skills)
        if not askable:
            return False
        chosen, reserve = self._choose(askable, candidates)
        nobody, number = self._why_nobody_is_dialled(), self._why_not_this_person(promise)
        held = None if chosen is not None or reserve is not None else WAITS_FOR_RESERVE
        self._note_bar(call, promise, nobody or number or reserve or held)
        if nobody is not None:
            self._barred.add(None)
        elif number is None and reserve is not None:
            self._barred.add(skills)
        if nobody or number or reserve:
            return False
        if (
            chosen is None
        ):  # one is kept free for it, and nobody of the reserve is offered a 101, until both are there
            candidates.take(askable[0].phone)
            candidates.keep_for_emergencies(self._reserve())
            return True
        return self._begin(call, promise, chosen, candidates)

    def _choose(
        self, askable: list[AgentRecord], candidates: Candidates
    ) -> tuple[AgentRecord | None, str | None]:
        """The first agent beside whom enough who can take a 999 stay free. None without a reason: such a time will come."""
        skills, reserve = emergency_skills(self.policy), self._reserve()
        if skills is None or reserve == 0:
            return askable[0], None
        for record in askable:
            if candidates.free_beside(record, skills) >= reserve:
                return record, None
        if any(candidates.at_work_beside(record, skills) >= reserve for record in askable):
            return None, None
        return None, f"fewer than {reserve} who can take a 999 are at work beside the agent"

    def _note_bar(self, call: Call, promise: Callback, why: str | None) -> None:
        """Say why it is not its turn although an agent is free: somebody may ask."""
        if (why or "") != promise.barred:
            words = why or "nothing in its way any more"
            self._because(f"the call-back of call {call.call_id} and its turn: {words}")
            self._record(facts.CallbackBarred(call_id=call.call_id, why=why or ""))

    def _why_nobody_is_dialled(self) -> str | None:
        """Why nobody at all is dialled now; None if they may be."""
        limits = self.policy.callbacks
        if self.state.ledger_trouble is not None:
            return "the ledger is in trouble"
        if self._does_trunk_rest():
            assert self.state.trunk_rests_until is not None
            self._look_again(self.state.trunk_rests_until)
            return "the trunk fails"
        if len(self._ringing_back) >= limits.concurrent:
            return f"{limits.concurrent} are being rung"
        lately = [at for at in self.state.dials if self._now.since(at) < HOUR_SECONDS]
        if len(lately) >= limits.per_hour:
            self._look_again(lately[0].plus(HOUR_SECONDS))
            return f"{limits.per_hour} were dialled within an hour"
        if self._is_trunk_full():
            return "the rest of the trunk is for 999 and callers"
        return None

    def _why_not_this_person(self, promise: Callback) -> str | None:
        if any(
            other in self.state.calls and self.state.calls[other].is_on_the_line
            for other in promise.matched_by
        ):
            return CALLS_NOW
        if self._is_rung_for_a_task(promise.number):
            return RUNG_FOR_TASK
        return None

    def _is_rung_for_a_task(self, number: str | None, *, but: str = "") -> bool:
        """Whether a handler has this number as a task at their phone; see `TaskAtPhone`."""
        raise NotImplementedError

    def _is_trunk_full(self) -> bool:
        """Whether what is left of the trunk is for 999 and callers."""
        channels = self.policy.callbacks.channels
        return channels is not None and self._lines_in_use() >= channels

    def _lines_in_use(self) -> int:
        """Lines of the trunk with a 101 caller, or with somebody who is rung or about to be, for a call-back or a task."""
        lines = sum(call.is_routine and call.is_on_the_line for call in self.state.calls.values())
        lines += sum(not self.state.calls[call_id].is_on_the_line for call_id in self._ringing_back)
        return lines + sum(offer.state in DIALS_FOR_TASK for offer in self.state.task_offers.values())

    def _begin(self, call: Call, promise: Callback, chosen: AgentRecord, candidates: Candidates) -> bool:
        """Reserve the agent: rung, or kept where the person comes first. False where the number has become forbidden."""
        if not self._may_be_dialled(call, promise):
            return False
        plan = self._plan(call)
        candidates.take(chosen.phone)
        candidates.keep_for_emergencies(self._reserve())
        if plan.first is First.CALLER:
            self._because(
                f"agent {chosen.agent} is kept for the call-back of call {call.call_id}: next in order of service"
            )
            self._attempt(call, promise, chosen.agent, None)
            return True
        idle_seconds = self._now.since(chosen.idle_since)
        self._make(
            call,
            chosen.agent,
            chosen.phone or "",
            self.policy.queues[call.queue].offer_seconds,
            f"agent {chosen.agent}",
            f"a call-back, next in order of service (idle {idle_seconds:.0f} s)",
        )
        return True

    def _plan(self, call: Call) -> Plan:
        """The plan of its queue; a queue that has lost its plan keeps what was promised by the usual one."""
        queue: Queue | None = self.policy.queues.get(call.queue)
        return Plan() if queue is None or queue.callback is None else queue.callback

    def _may_be_dialled(self, call: Call, promise: Callback) -> bool:
        """Judge the number again; one that may no longer be dialled is work for a human. So is who turned out to come through a
        relay: no machine dials them."""
        judged = self.policy.destinations.judge(promise.number or "")
        if judged.is_allowed and not call.assisted:
            return True
        words = "through a relay" if call.assisted else judged.why or judged.judgement.value
        self._because(
            f"the number of the call-back of call {call.call_id} may not be dialled any more: {words}"
        )
        self._stop_ringing_back(call)
        self._give_to_human(call, "through a relay" if call.assisted else "the number may not be dialled")
        return False

    def _give_to_human(self, call: Call, why: str) -> None:
        self._end(call, CallOutcome.UNREACHED, Stage.CALLBACK, Side.SYSTEM, why)

    # ------------------------------------------------------------------ an attempt

    def _reserve_answered(self, offer: Offer, call: Call) -> None:
        """The agent is on the line: ring the person, unless something has come in its way since the phone began to ring."""
        assert call.callback is not None
        why = self._why_not_this_person(call.callback) or (
            "the trunk fails" if self._does_trunk_rest() else None
        )
        if why is not None:
            self._note_bar(call, call.callback, why)
            self._record_withdrawal(offer, OfferOutcome.WITHDRAWN)
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))
            return
        self._because(f"agent {offer.agent} is on the line for the call-back of call {call.call_id}")
        self._record(facts.OfferAnswered(offer_id=offer.offer_id, call_id=call.call_id, agent=offer.agent))
        self._withdraw_all(call, OfferOutcome.WITHDRAWN, answered_elsewhere=True)
        if self._may_be_dialled(call, call.callback):
            self._attempt(call, call.callback, offer.agent, offer.offer_id)

    def _attempt(self, call: Call, promise: Callback, agent: str, offer_id: str | None) -> None:
        """Write the intent down; the dialling waits for the disk (`_dial`)."""
        self._record(
            facts.CallbackAttempted(
                call_id=call.call_id,
                attempt=promise.attempt + 1,
                offer_id=offer_id,
                agent=agent,
                ring_seconds=self._plan(call).ring_seconds,
                unrung_seconds=self.policy.callbacks.unrung_seconds,
            )
        )
        self._ask(effects.TellWhenDurable(call_id=call.call_id, token=_token(promise)))

    def _dial(self, call: Call, given: inputs.Durable) -> None:
        promise = call.callback
        assert promise is not None
        if given.token != _token(promise) or promise.dialled_at is not None or not self.state.sight:
            self._ignore(
                call, given
            )  # blind: nothing can be asked of the switch, which will show what there is
        elif self._may_be_dialled(call, promise):
            self._because(
                f"call {call.call_id} is called back, attempt {promise.attempt}: the person is rung"
            )
            self._record(facts.CallbackDialled(call_id=call.call_id, attempt=promise.attempt))
            self._ask(self._dialling(call, promise))

    def _dialling(self, call: Call, promise: Callback) -> effects.DialPerson:
        limits = self.policy.callbacks
        judged = self.policy.destinations.judge(promise.number or "")
        earlier_us = round(head_start_seconds(call, self.policy) * 1_000_000)
        return effects.DialPerson(
            call_id=call.call_id,
            attempt=promise.attempt,
            offer_id=call.claimed_by,
            number=judged.dialled,
            trunk=limits.trunk,
            show_number=limits.show_number,
            ring_seconds=promise.ring_seconds,
            line=call.line,
            queue=call.queue,
            language=call.language,
            joined_utc_us=call.queued_at.utc_us,
            place_utc_us=call.queued_at.utc_us - earlier_us,
        )

    def _person_rang(self, call: Call, given: inputs.PersonRang) -> None:
        promise = call.callback
        assert promise is not None
        if given.attempt != promise.attempt or promise.rang_at is not None:
            self._ignore(call, given)
            return
        self._because(f"the person of call {call.call_id} is being rung: their phone rings")
        self._record(facts.CallbackRang(call_id=call.call_id, attempt=given.attempt))

    def _person_answered(self, call: Call, given: inputs.PersonAnswered) -> None:
        promise = call.callback
        assert promise is not None
        if given.attempt != promise.attempt:
            self._stray_person(call, given)
        elif promise.kept_agent is not None:
            self._picked_up(call, given)
        else:
            self._because(
                f"call {call.call_id} was answered: joined to agent {call.agent}, who waits on the line"
            )
            self._record(
                facts.CallbackAnswered(call_id=call.call_id, attempt=given.attempt, leg_id=given.leg_id)
            )
            self._ask(effects.ConnectPair(call_id=call.call_id, offer_id=call.claimed_by or ""))

    def _stray_person(self, call: Call, given: inputs.PersonAnswered) -> None:
        """Answered in the instant in which we gave up, with the agent leaving: a caller on the line, served at their place."""
        assert call.callback is not None
        if given.attempt != call.callback.attempt or call.state is CallState.DIALLING:
            self._ignore(call, given)
            return
        self._because(f"the person of call {call.call_id} answered as they were given up: served at once")
        self._back_on_the_line(call, given.leg_id)

    def _back_on_the_line(self, call: Call, leg_id: str) -> None:
        """Somebody whom we had given up is a caller on this leg, served at their place: nobody is rung for them."""
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        self._record_presence(call, leg_id)
        self._record(facts.CallbackPresent(call_id=call.call_id))
        self._serve(call)

    def _person_left_behind(self, call: Call, given: inputs.Input | None) -> None:  # noqa: ARG002
        """Somebody is on the line of a call-back that waits, such as a machine that was judged and sent back in one breath."""
        self._because(f"a leg of call {call.call_id}, which waits to be called back, was left behind: ended")
        self._ask(effects.HangUpCaller(call_id=call.call_id))

    def _fallback_stray(self, call: Call, given: inputs.FallbackTook) -> None:
        """The switch's own queue has somebody whom we had given up: a human serves them, and nobody is rung beside. The word may
        be an old one, so it is looked at."""
        assert call.callback is not None
        if call.callback.attempt == 0:
            self._ignore(call, given)
            return
        self._because(f"the switch's own queue took the person of call {call.call_id}: not rung beside")
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        self._record_presence(call, given.leg_id)
        self._record(facts.FallbackEntered(call_id=call.call_id, why=given.why))
        self._ask(effects.Inspect(call_id=call.call_id, offer_id=""))

    def _person_gone(self, call: Call, given: inputs.PersonGone) -> None:
        assert call.callback is not None
        if given.attempt != call.callback.attempt:
            self._ignore(call, given)
            return
        outcome = given.outcome
        if outcome is AttemptOutcome.NO_ANSWER and call.callback.rang_at is None:
            outcome = AttemptOutcome.NETWORK  # it never rang
        self._attempt_over(call, outcome, given.cause)

    def _attempt_overdue(self, call: Call) -> None:
        """It has rung as long as the plan says, or has not rung at all."""
        promise = call.callback
        assert promise is not None
        rang = promise.rang_at is not None
        outcome = AttemptOutcome.NO_ANSWER if rang else AttemptOutcome.NETWORK
        if promise.dialled_at is None:  # the disk did not take the intent in time: nothing was dialled
            outcome = AttemptOutcome.INTERRUPTED
        self._give_up(call, outcome, "not answered in time" if rang else "did not ring in time")

    def _give_up(self, call: Call, outcome: AttemptOutcome, cause: str) -> None:
        """The attempt is over because we say so: the end of its ringing is asked for, and has yet to be seen."""
        assert call.callback is not None
        self._ask(effects.EndAttempt(call_id=call.call_id, attempt=call.callback.attempt))
        self._attempt_over(call, outcome, cause, is_seen_to_end=False)

    def _attempt_over(
        self, call: Call, outcome: AttemptOutcome, cause: str, *, is_seen_to_end: bool = True
    ) -> None:
        """The attempt led to no conversation: the place is kept, lost by the plan, or work for a human now.

        `is_seen_to_end`: the switch has told, or shown, that their phone rings no more. Where we have only asked for that, the
        next waits until it must have stopped by itself: the asking may be lost, and two would be in flight.
        """
        promise = call.callback
        assert promise is not None
        plan = self._plan(call)
        counted = _does_count(promise, outcome)
        self._because(f"attempt {promise.attempt} to call {call.call_id} back: {WORDS[outcome]} ({cause})")
        self._let_agent_go(call)
        not_before = self._now.plus(self._spacing_seconds(call, outcome, counted=counted))
        if not is_seen_to_end and promise.dialled_at is not None:
            rings_seconds = promise.ring_seconds + promise.unrung_seconds + LEG_MARGIN_SECONDS
            stops_at = promise.dialled_at.plus(rings_seconds)
            not_before = max(not_before, stops_at, key=lambda at: at.monotonic_ns)
        self._record(
            facts.CallbackAttemptEnded(
                call_id=call.call_id,
                attempt=promise.attempt,
                outcome=outcome,
                counted=counted,
                cause=cause,
                not_before=not_before,
                queued_at=None if plan.keep_place or not counted else self._now,
            )
        )
        if outcome is AttemptOutcome.NETWORK:
            self._rest_trunk()
        if (why := self._why_no_more(promise, plan, outcome)) is not None:
            self._because(f"call {call.call_id} is not called back any more: {why}")
            self._give_to_human(call, why)
        else:
            self._join_twin(call)

    def _spacing_seconds(self, call: Call, outcome: AttemptOutcome, *, counted: bool) -> float:
        spacing_seconds = self._plan(call).spacing_seconds if counted else 0.0
        if outcome is AttemptOutcome.AGENT_LEFT:  # as after any refusal: not the same phone again at once
            spacing_seconds = max(spacing_seconds, self.policy.refusal_rest_seconds)
        return spacing_seconds

    def _person_silent(self, call: Call, given: inputs.PersonGone) -> None:
        """The end of an attempt that had been given up: the next need not wait until the phone must have stopped by itself."""
        promise = call.callback
        assert promise is not None
        if given.attempt != promise.attempt or promise.not_before is None or promise.last_outcome is None:
            self._ignore(call, given)
            return
        counted = _does_count(promise, promise.last_outcome)
        not_before = self._now.plus(self._spacing_seconds(call, promise.last_outcome, counted=counted))
        if not_before.monotonic_ns >= promise.not_before.monotonic_ns:
            self._ignore(call, given)
            return
        self._because(f"attempt {given.attempt} to call {call.call_id} back: their phone rings no more")
        self._record(facts.CallbackSilent(call_id=call.call_id, attempt=given.attempt, not_before=not_before))

    def _join_twin(self, call: Call) -> None:
        """While its person was thought to be reached the same number was promised another: again one goes on for both. The one
        that is being rung, else the one that was reached."""
        assert call.callback is not None
        twin = self._open_callback_for(call.callback.number, call.queue, but=call)
        if (
            twin is None or twin.state is CallState.PROMISED
        ):  # who is on the line is merged when they leave it
            return
        older, newer = (twin, call) if twin.state is CallState.DIALLING else (call, twin)
        self._because(
            f"call {newer.call_id} goes on as the call-back of call {older.call_id}, of the same number"
        )
        self._give_better_place(older, newer)
        self._stop_ringing_back(newer)
        self._end(newer, CallOutcome.MERGED, Stage.CALLBACK, Side.SYSTEM, f"call {older.call_id}")

    def _why_no_more(self, promise: Callback, plan: Plan, outcome: AttemptOutcome) -> str | None:
        limits = self.policy.callbacks
        if outcome is AttemptOutcome.INVALID:
            return "there is no such number"
        if promise.counted >= plan.attempts:
            return f"not reached in {promise.counted} attempts"
        if promise.preemptions >= limits.preemptions:
            return f"cut for a 999 {promise.preemptions} times"
        if promise.network_failures >= limits.network_failures:
            return f"the network failed {promise.network_failures} times"
        return None

    def _let_agent_go(self, call: Call) -> None:
        """The agent who waits on the line is free again, without wrap-up: they have talked with nobody."""
        offer = self.state.offers.get(call.claimed_by or "")
        if offer is not None and offer.state is OfferState.ANSWERED and call.connected_at is None:
            self._record_withdrawal(offer, OfferOutcome.WITHDRAWN)
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    def _rest_trunk(self) -> None:
        limits, failures = self.policy.callbacks, self.state.trunk_failures + 1
        seconds = min(
            limits.trunk_rest_seconds * 2 ** min(failures - 1, 16), limits.trunk_rest_maximum_seconds
        )
        self._because(
            f"the network failed {failures} times in a row: nobody is called back for {seconds:.0f} s"
        )
        self._record(facts.TrunkRested(seconds=seconds, failures=failures))
        if failures == TRUNK_ALARM_FAILURES:
            detail = f"{failures} call-backs in a row failed in the network; places are kept"
            self._record(facts.AlarmRaised(kind="trunk fails", detail=detail))

    def _returned(self, call: Call, given: inputs.PairReturned) -> None:
        """A person's leg says where it waits as of its dialling: they may have been moved since."""
        super()._returned(call, given)
        self._note_reached(call)

    def _note_reached(self, call: Call) -> None:
        if call.callback is not None and call.state is CallState.WAITING:
            self._note_if_elsewhere(call)

    # ------------------------------------------------------------------ who leaves

    def _person_hung_up(self, call: Call, side: Side, cause: str) -> None:
        """Somebody who was called back is gone before a conversation: they have abandoned nothing, the promise stands."""
        self._because(
            f"the person of call {call.call_id} is gone before they talked with anybody: the promise stands"
        )
        self._cut_announcement(call)
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        self._release_claim(call)
        if call.callback is not None and call.callback.attempt == 0:  # nobody was rung yet
            self._leave_the_line(call, side, cause)
        else:
            self._attempt_over(call, AttemptOutcome.HUNG_UP, f"{side}: {cause}")

    def _abandon(self, call: Call, given: inputs.CallerGone) -> None:
        if call.callback is None or call.callback.kept_at is not None:
            super()._abandon(call, given)
        else:
            self._person_hung_up(call, given.side, given.cause)

    def _checked_hung_up(self, call: Call, given: inputs.CallerGone) -> None:
        self._person_hung_up(call, given.side, given.cause)

    def _fallback_over(self, call: Call, given: inputs.CallerGone) -> None:
        """Promised, and gone from the switch's own queue before anybody answered there: the promise stands."""
        if call.callback is None or call.connected_at is not None or call.callback.kept_at is not None:
            super()._fallback_over(call, given)
        else:
            self._person_hung_up(call, given.side, given.cause)

    def _agent_left(self, offer: Offer, given: inputs.PhoneGone) -> None:
        call = self.state.calls.get(offer.call_id)
        if call is None or call.state is not CallState.DIALLING or call.claimed_by != offer.offer_id:
            super()._agent_left(offer, given)
            return
        self._because(f"agent {offer.agent} hung up while the person of call {call.call_id} was being rung")
        self._record_end(offer, OfferOutcome.LOST, given.cause)
        self._give_up(call, AttemptOutcome.AGENT_LEFT, given.cause)

    def _stop_ringing_back(self, call: Call) -> None:
        """Whatever rings or is kept for it rings no more. The call itself is left in its state."""
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        if call.callback is not None and call.callback.in_flight:
            self._ask(effects.EndAttempt(call_id=call.call_id, attempt=call.callback.attempt))
        self._let_agent_go(call)

    def _claim(self, offer: Offer, given: inputs.PhoneAnswered) -> None:
        call = self.state.calls.get(offer.call_id)
        if call is not None and call.state in (CallState.CALLBACK, CallState.RESERVING):
            self._reserve_answered(offer, call)
        else:
            super()._claim(offer, given)

    def _claim_late(self, offer: Offer, given: inputs.PhoneAnswered) -> None:
        call = self.state.calls.get(offer.call_id)
        if call is not None and call.state is CallState.RESERVING:
            self._claim(offer, given)  # the first answer seen wins
        else:
            super()._claim_late(offer, given)

    # ------------------------------------------------------------------ caller first

    def _picked_up(self, call: Call, given: inputs.PersonAnswered) -> None:
        self._because(f"call {call.call_id} was answered by somebody or something: asked for a key")
        self._record(
            facts.CallbackPickedUp(
                call_id=call.call_id,
                attempt=given.attempt,
                leg_id=given.leg_id,
                check_seconds=self.policy.callbacks.check_seconds,
            )
        )
        self._serve(call)
        self._announce(call, PRESS_KEY, (PRESS_KEY,), "who rings, and what to press")

    def _is_present(self, call: Call) -> None:
        """A person pressed the key: a caller at their place again, put through to the agent who was kept for them."""
        promise = call.callback
        assert promise is not None
        kept = self.state.agents.get(promise.kept_agent or "")
        self._because(f"the person of call {call.call_id} pressed the key")
        self._stop_announcement(call)
        self._record(facts.CallbackPresent(call_id=call.call_id))
        self._note_reached(call)
        candidates = Candidates(self.state, self.policy, self._now)
        is_free = kept is not None and kept.activity is Activity.IDLE and kept.not_ready_reason is None
        if kept is not None and self._does_999_need(kept, candidates):
            self._because(
                f"agent {kept.agent}, who was kept for them, is needed for a 999: they wait at their place"
            )
        elif kept is not None and is_free and candidates.phone_is_free(kept.phone):
            seconds = self._offer_seconds(call)
            self._make(
                call, kept.agent, kept.phone or "", seconds, f"agent {kept.agent}", "was kept for them"
            )

    def _does_999_need(self, record: AgentRecord, candidates: Candidates) -> bool:
        """Whether a 999 waits that no phone rings for, and this agent could take it."""
        return any(
            call.tier == Tier.EMERGENCY
            and not call.test
            and call.state is CallState.WAITING
            and self._is_configured(call)
            and candidates.has_skills(record, skills_needed(call, self.policy.queues[call.queue], self._now))
            for call in self.state.calls.values()
        )

    def _serve_checked(self, call: Call, given: inputs.Input) -> None:  # noqa: ARG002
        """Found again in our hands while asked for a key: asked again, with the time that is left."""
        self._because(f"call {call.call_id} is still being asked for a key")
        self._cut_announcement(call)
        self._serve(call)
        self._announce(call, PRESS_KEY, (PRESS_KEY,), "who rings, and what to press")

    def _fallback_reached(self, call: Call, given: inputs.FallbackTook) -> None:
        """The person answered while we could not be reached: the switch's own queue gives them to a human, at their place."""
        self._because(
            f"the person of call {call.call_id} answered, and the switch's own queue took them ({given.why})"
        )
        self._let_agent_go(call)
        self._record_presence(call, given.leg_id)
        self._record(facts.FallbackEntered(call_id=call.call_id, why=given.why))

    def _record_presence(self, call: Call, leg_id: str) -> None:
        """Somebody answered and is on the line, and nobody asks them for a key."""
        assert call.callback is not None
        attempt = call.callback.attempt
        self._record(
            facts.CallbackPickedUp(call_id=call.call_id, attempt=attempt, leg_id=leg_id, check_seconds=0.0)
        )

    def _no_key(self, call: Call) -> None:
        self._because(f"nobody pressed a key when call {call.call_id} was called back: let go")
        self._cut_announcement(call)
        self._ask(effects.HangUpCaller(call_id=call.call_id))
        self._attempt_over(call, AttemptOutcome.NO_KEY, "no key")

    # ------------------------------------------------------------------ 999 and the handler's judgement

    def _newest_attempts(self) -> list[Call]:
        """Call-backs whose person is being rung, or asked for a key, and who have an agent; the newest attempt first."""
        calls = (self.state.calls[call_id] for call_id in self._ringing_back)
        return sorted(
            (call for call in calls if call.state in GIVE_WAY and self._agent_of_attempt(call) is not None),
            key=lambda call: (-_began(call).monotonic_ns, call.call_id),
        )

    def _agent_of_attempt(self, call: Call) -> AgentRecord | None:
        assert call.callback is not None
        return self.state.agents.get(call.callback.kept_agent or call.agent or "")

    def _preempt(self, call: Call, emergency: Call) -> None:
        """A 999 needs the agent: the person's phone stops ringing, the place is kept. Whoever has answered is a caller at it."""
        assert call.callback is not None
        if call.state is CallState.CHECKING:
            self._because(
                f"999 call {emergency.call_id} needs the agent who was kept for call {call.call_id}"
            )
            self._put_in_place(call)
            return
        self._because(
            f"999 call {emergency.call_id} needs the agent of the call-back of call {call.call_id}, whose person has not "
            "answered: given up for now, the place is kept"
        )
        self._give_up(call, AttemptOutcome.PREEMPTED, f"999 call {emergency.call_id}")

    def _put_in_place(self, call: Call) -> None:
        """Whoever answered is on the line and has no agent any more: a caller, at their place, without a key."""
        self._stop_announcement(call)
        self._record(facts.CallbackPresent(call_id=call.call_id))
        self._serve(call)

    def _withdraw_ringing(self, record: AgentRecord) -> None:
        """An agent leaves: who is kept for a person is kept no more."""
        super()._withdraw_ringing(record)
        call = self.state.calls.get(record.reserved_for or "")
        if call is None or call.callback is None or record.activity is not Activity.RESERVED:
            return
        self._because(f"agent {record.agent}, who was kept for the call-back of call {call.call_id}, leaves")
        if call.state is CallState.CHECKING:
            self._put_in_place(call)
        else:
            self._give_up(call, AttemptOutcome.AGENT_LEFT, "left")

    def _person_judged(self, given: inputs.PersonJudged) -> None:
        """The handler, who is on the line with it, says that a machine answered: the attempt has failed."""
        record = self.state.agents.get(given.agent or "")
        offer = None if record is None else self.state.offers.get(record.offer_id or "")
        last = None if record is None else record.last_call_id
        call = self.state.calls.get(given.call_id or (offer.call_id if offer else None) or last or "")
        if call is None or not self._may_judge(call, given.agent):
            self._because(
                f"{given.by} judged what answered a call-back, but none is being talked on: ignored"
            )
            return
        talking = self.state.offers.get(call.claimed_by or "")
        self._because(f"{given.by} says of call {call.call_id}: {given.outcome}")
        self._attempt_over(call, given.outcome, f"said {given.by}")
        if talking is not None:
            self._expect_end(talking)
            self._ask(effects.HangUpOffer(offer_id=talking.offer_id))

    def _may_judge(self, call: Call, agent: str | None) -> bool:
        """Whether it is the first talk of a call-back, and this agent's own; None: a person at the command line, who may."""
        promise = call.callback
        if promise is None or call.state is not CallState.TALKING or call.passed_on:
            return False
        return promise.kept_at == call.connected_at and agent in (None, self._holder(call))


def _token(promise: Callback) -> str:
    """Token of `TellWhenDurable` for the latest attempt."""
    return f"attempt {promise.attempt}"


def _began(call: Call) -> Instant:
    assert call.callback is not None
    return call.callback.attempted_at or call.callback.promised_at


def _does_count(promise: Callback, outcome: AttemptOutcome) -> bool:
    """Whether an attempt that ended so counts towards the most that the plan allows."""
    was_dialled = promise.dialled_at is not None or outcome is not AttemptOutcome.INTERRUPTED
    rang_in_vain = outcome is AttemptOutcome.AGENT_LEFT and promise.rang_at is not None
    return (outcome in COUNTED and was_dialled) or rang_in_vain

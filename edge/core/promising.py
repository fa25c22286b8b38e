"""From the offer of a call-back to the promise: when a waiting 101 caller is offered one, what they are asked, what is promised.

Rule 1: only a waiting 101 caller, neither upgraded nor assisted, is ever offered one, and only one that could be kept.
Rule 2: the caller keeps the place and may be answered at any moment of the dialogue, which the answer cuts. Who presses nothing
goes on waiting.
Rule 3: nothing is promised before it is durable: the fact goes to disk, the ledger says so (`Durable`), then it is said.
Rule 4: who hangs up before the promise has been promised nothing. They become a ring-back task, for they asked for one; who hangs
up after it has not abandoned anything.
Rule 5: a number is not an identity. No word said to a caller depends on whether another call from the same number exists.
"""

from __future__ import annotations

from edge.core import effects, facts, inputs
from edge.core.expectation import Expectation
from edge.core.model import (
    CallOutcome,
    CallState,
    ClockState,
    Instant,
    OfferOutcome,
    Queue,
    Side,
    Stage,
    Tier,
)
from edge.core.ordering import Candidates, emergency_skills, place_of
from edge.core.promise import Asked, Destination, Judgement, Plan
from edge.core.routine import Routine
from edge.core.state import Call

OFFER = "callback-offer"
YOUR_NUMBER = "callback-your-number"
YOU_KEYED = "callback-keyed"
IS_IT_RIGHT = "callback-is-it-right"
IS_IT_SAFE = "callback-is-it-safe"
KEY_NUMBER = "callback-key-number"
NOT_THAT_NUMBER = "callback-not-that-number"
NOT_POSSIBLE = "callback-not-possible"
CONFIRMATION = "callback-promised"
YES, ANOTHER, NO = "1", "2", "*"
PROMISE = "promise"
"""Token of `TellWhenDurable` for a promise."""
OPEN = frozenset({CallState.CALLBACK, CallState.RESERVING, CallState.DIALLING})
"""States of a call-back with nobody on the line."""


class Promising(Routine):
    """The caller's side of a call-back."""

    # ------------------------------------------------------------------ whether to offer

    def _offer_callback(self, call: Call) -> bool:
        """Offer it if it is due, the wait is expected to be long, and it could be kept. Whether it was offered."""
        plan = self._plan_of(call)
        if plan is None or call.asked is not None or not self._is_offer_due(call, plan):
            return False
        expectation = self._expectation(call)
        if expectation is None or not self._is_wait_long(call, plan, expectation):
            return False
        if self._why_no_callback(call, plan, expectation) is not None:
            return False
        self._record_offer(call, expectation)
        return True

    def _record_offer(self, call: Call, expectation: Expectation) -> None:
        low, high = expectation.minutes
        self._because(
            f"call {call.call_id} is offered a call-back: expected to wait {low} to {high} minutes at position "
            f"{expectation.position}, {expectation.agents} agents at work"
        )
        self._record(facts.CallbackOffered(call_id=call.call_id))
        self._announce(call, OFFER, (OFFER,), "that it may be called back")

    def _plan_of(self, call: Call) -> Plan | None:
        """The plan of the queue, for a caller of whom nothing was promised yet."""
        queue = self.policy.queues.get(call.queue)
        return None if queue is None or call.callback is not None else queue.callback

    def _is_offer_due(self, call: Call, plan: Plan) -> bool:
        offered_at = call.callback_offered_at
        return offered_at is None or self._now.since(offered_at) >= plan.offer_every_seconds

    def _is_wait_long(self, call: Call, plan: Plan, expectation: Expectation) -> bool:
        """By this caller's place, with the queue's hysteresis: on from the first who waits long, off when no newcomer would."""
        seconds, active = expectation.middle_seconds, self.state.offering.get(call.queue, False)
        joining = self._expectation_at_end(call) or expectation
        if not active and seconds >= plan.offer_above_seconds:
            self._turn_offering(call.queue, seconds, active=True)
        elif active and joining.middle_seconds < plan.offer_below_seconds:
            self._turn_offering(call.queue, joining.middle_seconds, active=False)
        is_offering = self.state.offering.get(call.queue, False)
        return is_offering and seconds >= plan.offer_below_seconds

    def _turn_offering(self, queue: str, seconds: float, *, active: bool) -> None:
        verb = "offered from now on" if active else "no longer offered"
        self._because(f"call-backs in queue {queue} are {verb}: {seconds:.0f} s of waiting expected")
        self._record(facts.CallbackOfferingTurned(queue=queue, active=active, expected_seconds=seconds))

    def _why_no_callback(self, call: Call, plan: Plan, expectation: Expectation | None) -> str | None:
        """Why none may be promised to this caller now; None if it may."""
        if call.assisted or not call.is_routine or not self.policy.callbacks.trunk:
            return "not for this call"
        if plan.classes is not None and call.priority_class not in plan.classes:
            return f"not for class {call.priority_class}"
        return self._why_nobody(call, plan, expectation) or self._why_not_this_number(call, plan)

    def _why_nobody(self, call: Call, plan: Plan, expectation: Expectation | None) -> str | None:
        """Why nobody is promised one now."""
        queue = self.policy.queues[call.queue]
        if self.state.offering_paused:
            return "offering is paused"
        if self.state.incident_since is not None and not plan.in_incident:
            return "a major incident"
        if self.policy.callbacks.clock_synchronised and self.state.clock is not ClockState.SYNCHRONISED:
            return "the clock is not synchronised"
        if self.state.ledger_trouble is not None:
            return "the ledger is in trouble"
        if self._does_trunk_rest():
            return "the trunk fails"
        if not self._is_staffed(call, plan):
            return "too few agents at work"
        if queue.callback_hours is not None and not queue.callback_hours.is_open(self._now.utc_us):
            return "not at this hour"
        if not self._would_be_in_time(queue, plan, expectation):
            return "the queue closes before"
        if self._open_callbacks(queue.name) >= plan.list_maximum:
            return "the list is full"
        return None

    def _why_not_this_number(self, call: Call, plan: Plan) -> str | None:
        if plan.may_key_number or self._presented(call).is_allowed:
            return None
        return "the number cannot be called, and no other may be keyed"

    def _does_trunk_rest(self) -> bool:
        until = self.state.trunk_rests_until
        return until is not None and until.monotonic_ns > self._now.monotonic_ns

    def _reserve(self) -> int:
        return max(self.policy.callbacks.idle_agents, self.policy.emergency.keep_free)

    def _is_staffed(self, call: Call, plan: Plan) -> bool:
        """Enough at work for it, and besides them who must stay free for a 999 while one of them is reserved."""
        candidates = Candidates(self.state, self.policy, self._now)
        able = list(candidates.at_work(self._skills(call)))
        if len(able) < max(1, plan.agents_minimum):
            return False
        emergency = emergency_skills(self.policy)
        if emergency is None:
            return True
        reserve = self._reserve()
        free = sum(1 for _ in candidates.at_work(emergency))
        return free > reserve or (
            free == reserve and any(not candidates.has_skills(r, emergency) for r in able)
        )

    def _would_be_in_time(self, queue: Queue, plan: Plan, expectation: Expectation | None) -> bool:
        closes = None if queue.hours is None else queue.hours.closes_utc_us(self._now.utc_us)
        if closes is None or expectation is None:
            return closes is None
        seconds = expectation.high_seconds + plan.closing_margin_seconds
        return self._now.plus(seconds).utc_us <= closes

    def _open_callbacks(self, queue: str) -> int:
        return sum(
            call.callback is not None and call.queue == queue and not call.callback.into
            for call in self.state.calls.values()
        )

    # ------------------------------------------------------------------ the dialogue

    def _key_while_waiting(self, call: Call, key: str) -> None:
        """A key other than the emergency key, of a caller who waits on the line."""
        if call.asked is not None:
            self._answer(call, key)
        elif key == self.policy.callbacks.key and call.callback_offered_at is not None:
            self._accept(call)
        else:
            self._menu_key(call, key)

    def _accept(self, call: Call) -> None:
        plan = self._plan_of(call)
        if plan is None or call.state is CallState.OFFERED:
            self._because(
                f"caller of {call.call_id} would be called back, but a handler's phone rings for them"
            )
            return
        why = self._why_no_callback(call, plan, self._expectation(call))
        if why is not None:
            self._decline(call, why, say=NOT_POSSIBLE)
            return
        self._because(f"caller of {call.call_id} accepts a call-back")
        known = self._presented(call)
        if known.is_allowed:
            self._ask_number(call, Asked.NUMBER, known)
        elif known.judgement is Judgement.FORBIDDEN:
            self._ask_question(call, Asked.KEY, (NOT_THAT_NUMBER, KEY_NUMBER))
        else:
            self._ask_question(call, Asked.KEY, (KEY_NUMBER,))

    def _presented(self, call: Call) -> Destination:
        """What the caller's own number is as a destination; a withheld one is none, whatever the network knows."""
        if call.number_withheld or not call.caller_number:
            return Destination(judgement=Judgement.NO_NUMBER)
        return self.policy.destinations.judge(call.caller_number)

    def _chosen(self, call: Call) -> Destination:
        """The number that the caller wants to be called on."""
        return (
            self._presented(call)
            if call.keyed_number is None
            else self.policy.destinations.judge(call.keyed_number)
        )

    def _ask_number(self, call: Call, asked: Asked, known: Destination, *, again: bool = False) -> None:
        """Read a number back, digit by digit."""
        lead = YOU_KEYED if asked is Asked.KEYED else YOUR_NUMBER
        digits = tuple(f"digit:{digit}" for digit in known.spoken)
        self._ask_question(call, asked, (lead, *digits, IS_IT_RIGHT), again=again)

    def _ask_question(
        self, call: Call, asked: Asked, sounds: tuple[str, ...], *, again: bool = False
    ) -> None:
        self._because(
            f"call {call.call_id} is asked about the call-back: {asked}" + (", again" if again else "")
        )
        self._stop_announcement(call)
        if call.asked is Asked.KEY and asked is not Asked.KEY:
            self._ask(effects.CollectNumber(call_id=call.call_id, collect=False))
        self._record(facts.CallbackAsked(call_id=call.call_id, asked=asked, again=again))
        if asked is Asked.KEY:
            self._ask(effects.CollectNumber(call_id=call.call_id))
        self._announce(call, f"callback-{asked}", sounds, f"the question after the {asked}")

    def _answer(self, call: Call, key: str) -> None:
        """A key in the dialogue. What answers nothing is no answer, and the question stands."""
        match call.asked, key:
            case _, "*":
                self._decline(call, "the caller would rather wait")
            case ((Asked.NUMBER | Asked.KEYED), "1"):
                self._ask_question(call, Asked.SAFE, (IS_IT_SAFE,))
            case ((Asked.NUMBER | Asked.KEYED | Asked.SAFE), "2"):
                self._another_number(call)
            case Asked.SAFE, "1":
                self._promise_callback(call)
            case _:
                self._because(
                    f"caller of {call.call_id} pressed a key that answers nothing: the question stands"
                )

    def _another_number(self, call: Call) -> None:
        plan = self._plan_of(call)
        if plan is not None and plan.may_key_number:
            self._ask_question(call, Asked.KEY, (KEY_NUMBER,))
        else:
            self._decline(call, "no other number may be keyed", say=NOT_POSSIBLE)

    def _number_keyed(self, call: Call, given: inputs.NumberKeyed) -> None:
        if call.asked is not Asked.KEY:
            self._ignore(call, given)
            return
        judged = self.policy.destinations.judge(given.number)
        if given.number:
            self._because(
                f"caller of {call.call_id} keyed a number: {judged.judgement} {judged.why}".rstrip()
            )
            number = judged.number if judged.is_allowed else None
            self._record(
                facts.CallbackNumberKeyed(call_id=call.call_id, judgement=judged.judgement, number=number)
            )
        if given.number and judged.is_allowed:
            self._ask_number(call, Asked.KEYED, judged)
        elif call.asked_again:
            self._decline(call, "no number that can be called was keyed", say=NOT_POSSIBLE)
        else:
            sounds = (NOT_THAT_NUMBER, KEY_NUMBER) if given.number else (KEY_NUMBER,)
            self._ask_question(call, Asked.KEY, sounds, again=True)

    def _no_answer_given(self, call: Call) -> None:
        """The caller was asked and has said nothing: once more, then they go on waiting."""
        if call.asked is None:
            return
        if call.asked_again:
            self._decline(call, "no answer")
        elif call.asked is Asked.KEY:
            self._ask_question(call, Asked.KEY, (KEY_NUMBER,), again=True)
        elif call.asked is Asked.SAFE:
            self._ask_question(call, Asked.SAFE, (IS_IT_SAFE,), again=True)
        else:
            self._ask_number(call, call.asked, self._chosen(call), again=True)

    def _decline(self, call: Call, why: str, *, say: str | None = None) -> None:
        self._because(f"no call-back for call {call.call_id} now: {why}; the caller goes on waiting")
        self._stop_announcement(call)
        if call.asked is Asked.KEY:
            self._ask(effects.CollectNumber(call_id=call.call_id, collect=False))
        self._record(facts.CallbackDeclined(call_id=call.call_id, why=why))
        if say is not None:
            self._announce(call, say, (say,), "that it cannot be called back now")

    # ------------------------------------------------------------------ the promise

    def _promise_callback(self, call: Call) -> None:
        plan, chosen = self._plan_of(call), self._chosen(call)
        if plan is None or call.state is not CallState.WAITING:
            self._decline(call, "a handler's phone rings for them")
            return
        why = self._why_no_callback(call, plan, self._expectation(call))
        if not chosen.is_allowed:
            why = why or "the number cannot be called"
        elif len(self.state.promised_to.get(chosen.number, ())) >= self.policy.callbacks.per_number:
            why = why or "enough was promised to this number today"
        if why is not None:
            self._decline(call, why, say=NOT_POSSIBLE)
            return
        twin = self._open_callback_for(chosen.number, call.queue)
        for_both = (
            "" if twin is None else f": that of call {twin.call_id}, for the same number, goes on for both"
        )
        self._because(f"call {call.call_id} is promised a call-back at its place{for_both}")
        self._stop_announcement(call)
        self._record(
            facts.CallbackPromised(
                call_id=call.call_id,
                keyed=call.keyed_number is not None,
                into=None if twin is None else twin.call_id,
                number=chosen.number,
            )
        )
        if twin is not None:
            self._give_better_place(twin, call)
        self._ask(effects.TellWhenDurable(call_id=call.call_id, token=PROMISE))

    def _open_callback_for(
        self, number: str | None, queue: str | None, *, but: Call | None = None
    ) -> Call | None:
        """The one open call-back of this number beside `but`; in this queue, or in any (None)."""
        if not number:
            return None
        for call in self.state.calls.values():
            promise = call.callback
            if call is but or promise is None or promise.number != number or promise.into is not None:
                continue
            unkept = OPEN | {CallState.PROMISED, CallState.CHECKING}
            if queue in (None, call.queue) and call.state in unkept:
                return call
        return None

    def _give_better_place(self, older: Call, newer: Call) -> None:
        """Two of one number go on as one, at the better place of both: that of either call as it was."""
        if place_of(newer, self.policy)[:2] >= place_of(older, self.policy)[:2]:
            return
        self._record(
            facts.CallbackMoved(
                call_id=older.call_id,
                queue=older.queue,
                priority_class=newer.priority_class,
                by="",
                why=f"call {newer.call_id} of the same number",
                queued_at=newer.queued_at,
                boosted=newer.boosted,
            )
        )

    def _confirm(self, call: Call, given: inputs.Durable) -> None:
        if (
            given.token != PROMISE
            or call.callback is None
            or call.callback.confirmed
            or not self.state.sight  # asked again when the caller is seen again
        ):
            self._ignore(call, given)
            return
        self._because(f"the promise to call {call.call_id} back is on disk: the caller is told")
        self._record(facts.CallbackConfirmed(call_id=call.call_id))
        self._announce(call, CONFIRMATION, (CONFIRMATION,), "that it will be called back")

    def _promise_told(self, call: Call, given: inputs.AnnouncementFinished) -> None:
        if given.prompt != call.announcement:
            self._ignore(call, given)
            return
        self._announcement_over(call, given)
        if not given.completed and not call.was_told(CONFIRMATION):
            self._announce(call, CONFIRMATION, (CONFIRMATION,), "once more that it will be called back")
        else:
            self._release_promised(call)

    def _release_promised(self, call: Call) -> None:
        self._because(f"call {call.call_id} was told of its call-back: the caller is let go, the place waits")
        self._cut_announcement(call)
        self._ask(effects.HangUpCaller(call_id=call.call_id))

    def _promise_overdue(self, call: Call) -> None:
        """A promise that did not get to disk is none. One that was said, and whose caller is still there: let go again."""
        assert call.callback is not None
        if call.callback.confirmed:
            self._release_promised(call)
            self._alarms.set(("call", call.call_id), self._now.plus(self.policy.leaving_seconds))
            return
        self._because(
            f"the promise to call {call.call_id} back is not on disk: there is none, the caller waits on"
        )
        self._record(facts.CallbackRevoked(call_id=call.call_id, why="not on disk in time"))
        self._announce(call, NOT_POSSIBLE, (NOT_POSSIBLE,), "that it cannot be called back now")

    def _off_the_line(self, call: Call, given: inputs.CallerGone) -> None:
        """Who was promised a call-back has hung up, or was let go: the place waits."""
        self._leave_the_line(call, given.side, given.cause)

    def _leave_the_line(self, call: Call, side: Side, cause: str) -> None:
        """With another of the same number they go on as one, if that one still waits; else on their own, whatever was meant."""
        assert call.callback is not None
        twin = self._open_callback_for(call.callback.number, call.queue, but=call)
        if twin is not None and twin.state is not CallState.PROMISED:
            self._because(f"call {call.call_id} goes on as the call-back of call {twin.call_id}")
            self._give_better_place(twin, call)
            self._cut_announcement(call)
            self._end(call, CallOutcome.MERGED, Stage.CALLBACK, side, cause)
        else:
            self._because(f"caller of {call.call_id} is off the line: the call-back waits at its place")
            self._cut_announcement(call)
            self._record(facts.CallbackWaits(call_id=call.call_id, side=side, cause=cause))

    def _serve_promised(self, call: Call, given: inputs.Input) -> None:  # noqa: ARG002
        """Found again in our hands: told if it has to be, else let go."""
        assert call.callback is not None
        self._because(f"call {call.call_id} is still on the line after its promise")
        self._cut_announcement(call)
        self._serve(call)
        if call.callback.confirmed and call.was_told(CONFIRMATION):
            self._release_promised(call)
        elif call.callback.confirmed:
            self._announce(call, CONFIRMATION, (CONFIRMATION,), "once more that it will be called back")
        else:
            self._ask(effects.TellWhenDurable(call_id=call.call_id, token=PROMISE))

    # ------------------------------------------------------------------ the same number

    def _match_number(self, call: Call) -> None:
        """A new call from the number of a call-back or a task: linked, and shown to the handler. A 101 gets the better place of
        both, without a word."""
        self._link_tasks(call)
        if call.is_routine and self._is_waiting(call) and (joined_at := self._lost_place(call)) is not None:
            self._because(
                f"call {call.call_id} was cut by a fault before: it has the time of joining that it had"
            )
            self._record_place(call, call.queue, call.priority_class, joined_at)
        self._match_callback(call)

    def _match_callback(self, call: Call) -> None:
        """Whether a call-back waits for whoever calls; asked again when the call has come to another queue."""
        if all(other.callback is None for other in self.state.calls.values()):
            return  # no number to be judged
        number, line = self._number_of(call), self.policy.lines.get(call.line)
        if number is None or call.test or line is None:
            return
        shown = self.policy.destinations.judge(self.policy.callbacks.show_number).number
        rang_back = shown != "" and shown == self.policy.destinations.judge(line.number).number
        emergency = call.tier == Tier.EMERGENCY
        known = self._open_callback_for(number, None if rang_back or emergency else call.queue)
        if (
            known is None
            or known is call
            or known.callback is None
            or call.call_id in known.callback.matched_by
        ):
            return
        self._because(f"call {call.call_id} comes from the number of the call-back of call {known.call_id}")
        self._record(facts.CallbackMatched(call_id=known.call_id, by_call=call.call_id, emergency=emergency))
        if emergency:
            detail = "a 999 came from the number of a call-back that waits"
            self._record(facts.AlarmRaised(kind="999 and call-back", detail=detail, call_id=known.call_id))
        elif self._is_waiting(call) and place_of(known, self.policy) < place_of(call, self.policy):
            self._take_place_of(call, known)

    def _record_place(self, call: Call, queue: str, priority_class: str, queued_at: Instant) -> None:
        self._record(
            facts.CallQueued(
                call_id=call.call_id,
                queue=queue,
                priority_class=priority_class,
                tier=call.tier,
                queued_at=queued_at,
            )
        )
        self._note_place(call)

    def _take_place_of(self, call: Call, known: Call) -> None:
        self._because(f"call {call.call_id} gets the place of call {known.call_id}, which is the better one")
        self._record_place(call, known.queue, known.priority_class, known.queued_at)

    # ------------------------------------------------------------------ people who order

    def _callback_ordered(self, given: inputs.CallbackOrdered) -> None:
        call = self._ordered_callback(given)
        if call is None or call.state not in OPEN:
            self._because(f"{given.order} of a call-back that is not waiting, by {given.by}: ignored")
        elif given.order is inputs.Order.CANCEL:
            self._cancel_callback(call, given.by, given.why)
        else:
            self._move_callback(call, given)

    def _ordered_callback(self, given: inputs.CallbackOrdered) -> Call | None:
        """The call-back that was named, or that of the person whom this agent talks or last talked with."""
        if given.call_id is not None:
            return self.state.calls.get(given.call_id)
        record = self.state.agents.get(given.agent or "")
        offer = None if record is None else self.state.offers.get(record.offer_id or "")
        talked = {offer.call_id if offer else None, record.last_call_id if record else None} - {None}
        return next(
            (
                call
                for call in self.state.calls.values()
                if call.callback is not None and talked & set(call.callback.matched_by)
            ),
            None,
        )

    def _cancel_callback(self, call: Call, by: str, why: str) -> None:
        self._because(f"the call-back of call {call.call_id} is cancelled by {by}: {why}")
        self._stop_ringing_back(call)
        self._end(call, CallOutcome.CANCELLED, Stage.CALLBACK, Side.SYSTEM, f"{by}: {why}")

    def _stop_ringing_back(self, call: Call) -> None:
        """Whatever rings or is kept for this call-back rings no more; see `RingingBack`."""
        raise NotImplementedError

    def _move_callback(self, call: Call, given: inputs.CallbackOrdered) -> None:
        queue = self._queue_or(given.queue, call.queue)
        named = given.priority_class or call.priority_class
        if self._is_for_emergencies(queue) or named not in self.policy.classes:
            self._because(
                f"call-back of call {call.call_id} not moved by {given.by}: no such class, or a queue of 999"
            )
            return
        assert call.callback is not None
        twin = self._open_callback_for(call.callback.number, queue, but=call)
        if twin is not None and queue != call.queue:
            self._because(
                f"call-back of call {call.call_id} not moved by {given.by}: that of call {twin.call_id}, for the same "
                f"number, waits in {queue}"
            )
            return
        self._because(
            f"the call-back of call {call.call_id} is moved by {given.by} to {queue} ({named}): {given.why}"
        )
        if call.state is CallState.RESERVING and queue != call.queue:
            self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        self._record(
            facts.CallbackMoved(
                call_id=call.call_id, queue=queue, priority_class=named, by=given.by, why=given.why
            )
        )

    def _callback_offering_set(self, given: inputs.CallbackOfferingSet) -> None:
        if given.active is not self.state.offering_paused:
            self._because("offering of call-backs is " + ("on" if given.active else "paused") + " already")
            return
        self._because(f"offering of call-backs {'resumed' if given.active else 'paused'} by {given.by}")
        self._record(facts.CallbackOfferingSet(active=given.active, by=given.by))

    # ------------------------------------------------------------------ what the handler is shown

    def _notes_for(self, call: Call) -> tuple[str, ...]:
        notes = super()._notes_for(call)
        if (promise := call.callback) is not None:
            notes += (f"attempt {promise.attempt + 1}",)
            notes += ("999 since from this number",) if promise.emergency_since is not None else ()
            notes += ("other number",) if promise.keyed else ()
        for other in self.state.calls.values():
            if other.callback is not None and call.call_id in other.callback.matched_by:
                minutes, seconds = divmod(int(self._now.since(other.queued_at)), 60)
                notes += (f"call-back waits {minutes}:{seconds:02d}",)
        for task in self.state.tasks.values():
            if call.call_id in task.linked:
                notes += (f"task {task.kind.replace('_', ' ')}",)
        return notes

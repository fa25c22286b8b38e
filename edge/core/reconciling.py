"""Reconciling: what the ledger says was meant, what the switch says is; the difference is the work to do.

One path for cold start, reconnect and crash. Nobody is hung up who talks, and nobody who waits loses the place.
"""

from __future__ import annotations

from edge.core import effects, facts, inputs
from edge.core.handing_out import HandingOut
from edge.core.model import (
    CallOutcome,
    CallState,
    Instant,
    OfferOutcome,
    OfferState,
    Side,
)
from edge.core.ordering import place_of
from edge.core.promise import AttemptOutcome
from edge.core.state import Call, Offer
from edge.core.task_state import is_task_offer
from edge.core.tracing import Tracing


class Reconciling(HandingOut, Tracing):
    """Takes one `Reconciled` and settles every call, offer and agent."""

    def _reconcile(self, seen: inputs.Reconciled) -> None:
        """What the ledger says was meant, what the switch says is: the difference is the work to do."""
        since = self.state.sight_since or self._now
        calls = {call.call_id: call for call in seen.calls}
        legs = {leg.offer_id: leg for leg in seen.offers}
        self._switch_died = bool(seen.switch_boot and self.state.switch_boot) and (
            seen.switch_boot != self.state.switch_boot
        )
        self._gap_over(seen)
        missing = sorted(
            (c for c in self.state.calls.values() if c.call_id not in calls and c.is_on_the_line),
            key=lambda call: place_of(call, self.policy),
        )
        known = [call for call in self.state.calls.values() if call.call_id in calls]
        new = [call for call in seen.calls if call.call_id not in self.state.calls]
        self._because(
            f"the switch was seen again{', in another life' * self._switch_died}: {len(known)} calls kept, "
            f"{len(new)} adopted, {len(missing)} ended unseen"
        )
        self._record(
            facts.SwitchRestored(
                calls_adopted=len(new),
                calls_kept=len(known),
                calls_missing=len(missing),
                switch_boot=seen.switch_boot,
                restarted=self._switch_died,
            )
        )
        for phone in seen.phones:
            self._phone_seen(phone)
        self._reconcile_agents(seen)
        for call in missing:
            self._ended_unseen(call, since)
        for offer in tuple(self.state.offers.values()):
            self._reconcile_offer(offer, legs.get(offer.offer_id), calls.get(offer.call_id))
        self._reconcile_attempts(seen, calls)
        self._reconcile_task_offers(seen)
        for call in known:
            self._reconcile_call(call, calls[call.call_id])
        for stranger in new:
            self._adopt(stranger)
        self._due_calls += self.state.calls  # whose time may have come while nothing was seen
        talking = {call.offer_id for call in seen.calls if call.standing is inputs.Standing.CONNECTED}
        known_offers = self.state.offers.keys() | self.state.task_offers.keys()
        for leg in seen.offers:
            if is_task_offer(leg.offer_id) and leg.talking:
                continue  # with somebody, by the switch's own doing: a talk that we know nothing of is not ours to cut
            if leg.offer_id not in known_offers and leg.offer_id not in talking:
                self._because(f"a leg of offer {leg.offer_id}, which is over, was left behind: hung up")
                self._ask(effects.HangUpOffer(offer_id=leg.offer_id))
        self._ask_for_traces()

    def _reconcile_agents(self, seen: inputs.Reconciled) -> None:
        present = {agent.agent for agent in seen.agents}
        for record in tuple(self.state.agents.values()):
            if record.phone is not None and record.agent not in present:
                self._sign_out(record)
        for agent in seen.agents:
            self._agent_seen(agent)

    def _reconcile_attempts(self, seen: inputs.Reconciled, calls: dict[str, inputs.SeenCall]) -> None:
        """An attempt goes on while both its legs are there. One that is not is over, whatever came of it: it may have rung, so it
        counts. A leg of an attempt that is over is ended."""
        found = {(attempt.call_id, attempt.attempt) for attempt in seen.attempts}
        for call in tuple(self.state.calls.values()):
            promise = call.callback
            if promise is None or call.state is not CallState.DIALLING or call.call_id in calls:
                continue
            is_rung = (call.call_id, promise.attempt) in found
            if is_rung and (promise.kept_agent is not None or call.claimed_by in self.state.offers):
                found.discard((call.call_id, promise.attempt))
                self._because(f"the person of call {call.call_id} is still being rung")
            else:
                outcome = AttemptOutcome.AGENT_LEFT if is_rung else AttemptOutcome.INTERRUPTED
                self._attempt_over(call, outcome, "found after losing sight", is_seen_to_end=not is_rung)
        for call_id, attempt in sorted(found):
            self._because(f"attempt {attempt} of call {call_id}, which is over, was left behind: ended")
            self._ask(effects.EndAttempt(call_id=call_id, attempt=attempt))

    def _promise_unseen(self, call: Call) -> bool:
        """Whether a caller who is gone had been promised a call-back, or was being called back: then the promise stands."""
        if call.callback is None or call.connected_at is not None or call.callback.kept_at is not None:
            return False
        self._because(f"call {call.call_id} is gone from the switch: the promise to call it back stands")
        self._cut_announcement(call)
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        self._release_claim(call)
        if call.callback.attempt == 0:
            self._leave_the_line(call, Side.UNKNOWN, "not seen")
        else:
            self._attempt_over(call, AttemptOutcome.INTERRUPTED, "not seen")
        return True

    def _ended_unseen(self, call: Call, since: Instant) -> None:
        if self._promise_unseen(call):
            return
        stage = self._stage(call)
        self._because(f"call {call.call_id} is gone from the switch: it ended while it was not seen")
        self._cut_announcement(call)
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        offer = self.state.offers.get(call.claimed_by or "")
        outcome, cause = CallOutcome.ENDED_UNKNOWN, "not seen"
        if call.state is CallState.LEAVING:
            outcome, cause = self._outcome_of_leaving(call), call.leaving_for or cause
        self._end(call, outcome, stage, Side.UNKNOWN, cause, unseen_since=since)
        if offer is not None and call.connected_at is not None:
            self._leave_conversation(offer, offer.call_id, "not seen")
        elif offer is not None:
            self._record_end(offer, OfferOutcome.LOST, "not seen")

    def _reconcile_offer(
        self, offer: Offer, leg: inputs.SeenOffer | None, call: inputs.SeenCall | None
    ) -> None:
        connected = call is not None and call.standing is inputs.Standing.CONNECTED
        if leg is None and connected and offer.taken_over and offer.released_at is None:
            return  # a leg that another dialled: the snapshot shows the caller's alone, and they still talk
        if leg is None:
            self._because(f"the leg of offer {offer.offer_id} is gone from the switch")
            held = self.state.calls.get(offer.call_id)
            talked = (
                held is not None and held.state is CallState.TALKING and held.claimed_by == offer.offer_id
            )
            if talked or offer.released_at is not None or offer.outcome is OfferOutcome.ANSWERED:
                self._leave_conversation(offer, offer.call_id, "not seen")
            else:
                self._record_end(offer, offer.outcome or OfferOutcome.LOST, "not seen")
        elif offer.state is OfferState.ANSWERED and (
            connected or offer.released_at is not None or self._waits_for_person(offer)
        ):
            return
        elif connected and call is not None and call.offer_id == offer.offer_id:
            self._answered_unseen(offer)
        elif offer.state is not OfferState.WITHDRAWN:
            self._because(f"offer {offer.offer_id} was interrupted: withdrawn, its caller keeps the place")
            self._record_withdrawal(offer, OfferOutcome.WITHDRAWN)
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))
        else:
            self._ask(effects.HangUpOffer(offer_id=offer.offer_id))

    def _waits_for_person(self, offer: Offer) -> bool:
        """Whether this agent is on the line while the person of a call-back is being rung."""
        call = self.state.calls.get(offer.call_id)
        return call is not None and call.state is CallState.DIALLING and call.claimed_by == offer.offer_id

    def _reached_unseen(self, call: Call, seen: inputs.SeenCall) -> None:
        """The person of a call-back answered, and nobody told us: to the agent who waits for them, else to who is free next."""
        assert call.callback is not None
        answered = inputs.PersonAnswered(
            call_id=call.call_id, attempt=call.callback.attempt, leg_id=seen.leg_id
        )
        if call.callback.kept_agent is not None or call.claimed_by in self.state.offers:
            self._person_answered(call, answered)
            if seen.standing is inputs.Standing.CONNECTED and call.claimed_by is not None:
                self._joined(call, inputs.PairJoined(call_id=call.call_id, offer_id=call.claimed_by))
            return
        self._because(
            f"the person of call {call.call_id} was found on the line, and nobody with them: served at once"
        )
        self._record_presence(call, seen.leg_id)
        self._record(facts.CallbackPresent(call_id=call.call_id))
        self._serve(call)
        self._note_reached(call)

    def _found_reached(self, call: Call, seen: inputs.SeenCall) -> None:
        """The person answered in the instant in which the attempt was given up, and the switch's own queue has taken them: they
        are served there, and not rung again."""
        self._because(f"the person of call {call.call_id} was found in the switch's own queue: left there")
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        self._record_presence(call, seen.leg_id)
        self._record(facts.FallbackEntered(call_id=call.call_id, why="found there"))

    def _found_held(self, call: Call, seen: inputs.SeenCall) -> None:
        """Somebody whom we had given up is in our hands: served at once, and not rung again."""
        self._because(f"the person of call {call.call_id} was found on the line, given up: served at once")
        self._back_on_the_line(call, seen.leg_id)

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
        """A caller in our hands has the place noted anew: the daemon may have died between deciding and writing it."""
        match seen.standing:
            case inputs.Standing.HELD | inputs.Standing.CONNECTED if call.state is CallState.DIALLING:
                self._reached_unseen(call, seen)
            case inputs.Standing.FALLBACK if call.state is CallState.DIALLING:
                self._fallback_reached(call, _found_in_fallback(call, seen.leg_id))
            case inputs.Standing.HELD if call.state in (CallState.CALLBACK, CallState.RESERVING):
                self._found_held(call, seen)
            case inputs.Standing.FALLBACK if call.state in (CallState.CALLBACK, CallState.RESERVING):
                self._found_reached(call, seen)
            case _ if call.state in (CallState.CALLBACK, CallState.RESERVING):
                attempt = 0 if call.callback is None else call.callback.attempt
                self._because(
                    f"a leg of call {call.call_id}, which waits to be called back, was left behind: ended"
                )
                self._ask(effects.EndAttempt(call_id=call.call_id, attempt=attempt))
            case inputs.Standing.HELD if call.state is CallState.PROMISED:
                self._serve_promised(call, inputs.Woken())
            case inputs.Standing.HELD if call.state is CallState.CHECKING:
                self._serve_checked(call, inputs.Woken())
            case inputs.Standing.HELD if call.state in (CallState.CONNECTING, CallState.TALKING):
                self._returned(call, inputs.PairReturned(call_id=call.call_id))
                self._note_if_elsewhere(call)
            case inputs.Standing.HELD if call.state is CallState.FALLBACK:
                self._take_back(call, inputs.PairReturned(call_id=call.call_id))
            case inputs.Standing.HELD if call.state is CallState.LEAVING:
                self._leaving_again(call, inputs.Woken())
            case inputs.Standing.HELD:
                self._serve_again(call, inputs.Woken())
                self._cut_announcement(call)  # nobody will tell of its end any more
                if call.asked is not None:
                    self._decline(call, "interrupted")
                self._note_if_elsewhere(call)
            case inputs.Standing.CONNECTED if call.state in (CallState.WAITING, CallState.OFFERED):
                self._served_by_unknown(call)
            case inputs.Standing.CONNECTED if (
                call.state is CallState.CONNECTING and call.claimed_by in self.state.offers
            ):
                self._joined(call, inputs.PairJoined(call_id=call.call_id, offer_id=call.claimed_by or ""))
            case inputs.Standing.FALLBACK if call.state is not CallState.FALLBACK:
                self._fallback(call, _found_in_fallback(call, call.leg_id))
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


def _found_in_fallback(call: Call, leg_id: str) -> inputs.FallbackTook:
    return inputs.FallbackTook(call_id=call.call_id, line=call.line, leg_id=leg_id, why="found there")

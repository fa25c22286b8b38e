"""What handlers do with callers and for themselves: send back, pass on, mark, ask for help; and agents who miss call after call.

Rule: a caller who was sent back keeps the time of joining, and is not put to who sent them while another may take them. Nobody
turns them away any more: they have talked with a human, who decided where they belong.
"""

from __future__ import annotations

from edge.core import effects, facts, inputs
from edge.core.model import Activity, CallState, ClassSource, OfferOutcome, Supervision, Tier
from edge.core.ordering import Candidates, emergency_skills
from edge.core.state import AgentRecord, Call, Offer
from edge.core.telling import Telling


def _named(agent: str | None) -> str:
    return "somebody outside the queues" if agent is None else f"agent {agent}"


class Handling(Telling):
    """The handlers' side of 101."""

    # ------------------------------------------------------------------ callers who move on

    def _sent_back(self, call: Call, given: inputs.CallSentBack) -> None:
        """A handler gives the caller to a queue again: the time of joining stays. A queue of 999 lines makes an upgraded 101."""
        if given.offer_id not in (None, call.claimed_by):
            self._ignore(call, given)
            return
        self._were_connected(call)
        queue = self._queue_or(given.queue, call.queue)
        sender = self._holder(call)
        self._because(
            f"{_named(sender)} sent call {call.call_id} back to queue {queue}, with its time of joining"
        )
        offer = self.state.offers.get(call.claimed_by or "")
        self._record(facts.CallSentBack(call_id=call.call_id, agent=sender, queue=queue))
        self._expect_end(offer)
        if call.is_routine and self._is_for_emergencies(queue):
            self._record(facts.CallUpgraded(call_id=call.call_id, queue=queue))
        self._note_place(call)
        self._serve(call)

    def _sent_back_again(self, call: Call, given: inputs.CallSentBack) -> None:
        """We knew that the caller had come back, but maybe not where to."""
        queue = self._queue_or(given.queue, call.queue)
        if call.first_connected_at is not None and queue != call.queue and call.is_routine:
            self._withdraw_all(call, OfferOutcome.WITHDRAWN)
            if self._is_for_emergencies(queue):
                self._because(f"call {call.call_id} was sent back to the emergency queue {queue}")
                self._record(facts.CallUpgraded(call_id=call.call_id, queue=queue))
            else:
                self._classify(
                    call, queue, call.priority_class, call.language, ClassSource.HANDLER, "sent back"
                )
            self._note_place(call)
        self._serve_again(call, given)

    def _queue_or(self, name: str | None, otherwise: str) -> str:
        if name is None or name in self.policy.queues:
            return name or otherwise
        self._because(f"queue {name!r} is not configured: queue {otherwise} instead")
        return otherwise

    def _is_for_emergencies(self, queue: str) -> bool:
        """Whether calls of this queue are 999 calls: it is the one for upgraded calls, or a 999 line leads to it."""
        return queue == self.policy.emergency.queue or any(
            line.queue == queue and line.tier == Tier.EMERGENCY and line.test_phone is None
            for line in self.policy.lines.values()
        )

    def _were_connected(self, call: Call) -> None:
        """Who sends a caller back or passes them on was connected: the word of it was overtaken."""
        if call.state is CallState.CONNECTING:
            self._joined(call, inputs.PairJoined(call_id=call.call_id, offer_id=call.claimed_by or ""))
        elif call.state is CallState.FALLBACK:
            self._fallback_answered(call, inputs.FallbackAnswered(call_id=call.call_id, agent=None))

    def _passed_on(self, call: Call, given: inputs.CallPassedOn) -> None:
        if given.offer_id not in (None, call.claimed_by):
            self._ignore(call, given)
            return
        self._were_connected(call)
        whom = "a number outside" if given.agent is None else f"agent {given.agent}"
        sender = self._holder(call)
        self._because(f"{_named(sender)} passed call {call.call_id} on ({given.kind}) to {whom}")
        self._record(
            facts.CallPassedOn(
                call_id=call.call_id,
                agent=sender,
                kind=given.kind,
                target=given.target,
                to_agent=given.agent,
            )
        )
        self._expect_end(self.state.offers.get(call.claimed_by or ""))

    def _colleague_answered(self, call: Call, given: inputs.ColleagueAnswered) -> None:
        """From now on it is as if the call had been offered and connected to them: nothing else rings at their phone, they are
        shown with it, and wrap-up follows. Who was in a wrap-up has left it."""
        if not call.passed_on or given.offer_id in self.state.offers:
            self._ignore(call, given)
            return
        self._because(f"agent {given.agent}, to whom call {call.call_id} was passed on, has its caller")
        record = self.state.agents.get(given.agent)
        if record is not None:
            self._withdraw_ringing(record)
            if record.activity is Activity.WRAP_UP:
                self._record(facts.WrapUpEnded(agent=given.agent))
        self._record(
            facts.CallTakenOver(
                call_id=call.call_id, offer_id=given.offer_id, agent=given.agent, phone=given.phone
            )
        )

    def _holder(self, call: Call) -> str | None:
        """The agent who talks with the caller: whoever they were passed on to, once they were."""
        return call.passed_to if call.passed_on else call.agent

    def _expect_end(self, offer: Offer | None) -> None:
        """The leg of a handler whose caller went on without them ends by itself: soon, or nobody tells of it."""
        if offer is not None:
            self._arm_offer(offer)

    def _classify(
        self, call: Call, queue: str, priority_class: str, language: str, source: ClassSource, detail: str
    ) -> None:
        """Another queue, class or language; who calls this has the place noted."""
        self._because(
            f"call {call.call_id} is now {priority_class} in queue {queue}, language {language} ({source}: {detail}), "
            "with its time of joining"
        )
        self._record(
            facts.CallClassified(
                call_id=call.call_id,
                queue=queue,
                priority_class=priority_class,
                language=language,
                source=source,
                detail=detail,
            )
        )

    # ------------------------------------------------------------------ what is attached to a call

    def _annotate(self, given: inputs.CallAnnotated) -> None:
        """A reference may be given, and a recording end, after the call."""
        self._because(f"call {given.call_id}: {given.kind} {given.state}".rstrip())
        self._record(
            facts.CallAnnotated(
                call_id=given.call_id, kind=given.kind, value=given.value, state=given.state, by=given.by
            )
        )

    def _consultation_seen(self, given: inputs.ConsultationSeen) -> None:
        if given.call_id not in self.state.calls:
            self._because(f"a consultation about call {given.call_id}, which is not open: ignored")
            return
        self._because(f"agent {given.agent} talks to agent {given.with_agent} about call {given.call_id}")
        self._record(
            facts.CallConsulted(call_id=given.call_id, agent=given.agent, with_agent=given.with_agent)
        )

    def _mark_assisted(self, given: inputs.CallMarkedAssisted) -> None:
        """From the next offer on; what rings now is left as it is."""
        call = self.state.calls.get(given.call_id)
        if call is None or call.assisted:
            self._because(f"call {given.call_id} is not open, or marked as assisted already: nothing to do")
            return
        self._because(f"call {call.call_id} is marked as assisted")
        self._record(facts.CallMarkedAssisted(call_id=call.call_id, by=given.by))

    # ------------------------------------------------------------------ agents and supervisors

    def _wrap_up_coded(self, given: inputs.WrapUpCoded) -> None:
        record = self.state.agents.get(given.agent)
        if record is None or record.last_call_id is None:
            self._because(f"agent {given.agent} gave a wrap-up code without a call: ignored")
            return
        self._because(f"agent {given.agent} gave call {record.last_call_id} the code {given.code}")
        self._record(facts.WrapUpCoded(agent=given.agent, call_id=record.last_call_id, code=given.code))

    def _assist_asked(self, given: inputs.AssistAsked) -> None:
        if given.agent not in self.policy.agents:
            self._because(f"help asked for by {given.agent}, whom the configuration does not know: ignored")
            return
        call_id = self._call_of_agent(given.agent)
        self._because(f"agent {given.agent} asks for a supervisor's help")
        self._record(facts.AssistAsked(agent=given.agent, call_id=call_id))
        detail = f"agent {given.agent} asks for help"
        self._record(facts.AlarmRaised(kind="assist", detail=detail, call_id=call_id))

    def _supervision_seen(self, given: inputs.SupervisionSeen) -> None:
        """Recorded whoever it is that listens: an audit does not look away."""
        if given.agent not in self.policy.agents:
            self._because(
                f"supervision of agent {given.agent}, whom the configuration does not know: ignored"
            )
            return
        verb = "begins" if given.began else "ends"
        what = {
            Supervision.LISTEN: "listening to",
            Supervision.WHISPER: "whispering to",
            Supervision.BARGE: "speaking in calls of",
            Supervision.CONFERENCE: "a conference with",
        }[given.mode]
        self._because(f"supervisor {given.supervisor} {verb} {what} agent {given.agent}")
        kind = facts.SupervisionBegan if given.began else facts.SupervisionEnded
        call_id = self._call_of_agent(given.agent)
        if not given.began:
            call_id = self.state.supervised.get(given.supervisor, call_id)
        self._record(kind(supervisor=given.supervisor, agent=given.agent, call_id=call_id, mode=given.mode))

    def _supervisor_invited(self, given: inputs.SupervisorInvited) -> None:
        """The switch rings them; whether they come is told by itself."""
        if not {given.agent, given.supervisor} <= self.policy.agents.keys():
            self._because(
                f"agent {given.agent} asks {given.supervisor} into a talk: not both configured, ignored"
            )
            return
        self._because(f"agent {given.agent} asks supervisor {given.supervisor} into the conversation")
        call_id = self._call_of_agent(given.agent)
        self._record(facts.SupervisorInvited(supervisor=given.supervisor, agent=given.agent, call_id=call_id))

    def _call_of_agent(self, agent: str) -> str | None:
        """The call that occupies this agent; or that the switch's own queue has connected to them."""
        record = self.state.agents.get(agent)
        offer = None if record is None else self.state.offers.get(record.offer_id or "")
        if offer is not None:
            return offer.call_id
        calls = self.state.calls.values()
        return next((c.call_id for c in calls if c.state is CallState.FALLBACK and c.agent == agent), None)

    def _incident_set(self, given: inputs.IncidentSet) -> None:
        if given.active == (self.state.incident_since is not None):
            self._because("the major incident is " + ("declared" if given.active else "over") + " already")
            return
        self._because(f"major incident {'declared' if given.active else 'ended'} by {given.by}")
        kind = facts.IncidentDeclared if given.active else facts.IncidentEnded
        self._record(kind(by=given.by))

    def _equipment_checked(self, given: inputs.EquipmentChecked) -> None:
        """Kept for those who watch the equipment; no call is served otherwise for it."""
        self._because(f"{given.probe} came to {given.verdict.words}, says {given.by}")
        self._record(
            facts.EquipmentChecked(probe=given.probe, verdict=given.verdict, figure=given.figure, by=given.by)
        )

    # ------------------------------------------------------------------ missed offers

    def _record_end(self, offer: Offer, outcome: OfferOutcome, cause: str) -> None:
        super()._record_end(offer, outcome, cause)
        record = self.state.agents.get(offer.agent)
        limit = self.policy.missed_offers_maximum
        if record is None or not limit or outcome is not OfferOutcome.MISSED:
            return
        if record.missed_in_a_row >= limit and record.phone and record.not_ready_reason is None:
            self._missed_again(record)

    def _missed_again(self, record: AgentRecord) -> None:
        """Set not ready whoever lets call after call ring out; but never the last who can take a 999. It counts from now on: the
        switch is asked to show it too, and no phone rings in between."""
        kept, missed = self._is_last_for_999(record), record.missed_in_a_row
        self._because(
            f"agent {record.agent} missed {missed} offers in a row: "
            + ("the last who can take a 999, so kept ready, behind the others" if kept else "set not ready")
        )
        self._record(facts.AgentMissedOffers(agent=record.agent, missed=missed, kept_ready=kept))
        if kept:
            detail = f"agent {record.agent} misses calls and is the last who can take a 999"
            self._record(facts.AlarmRaised(kind="last 999 agent", detail=detail))
        else:
            reason = self.policy.missed_reason
            self._record(facts.AgentBecameNotReady(agent=record.agent, reason=reason))
            self._ask(effects.SetNotReady(agent=record.agent, reason=reason))

    def _is_last_for_999(self, record: AgentRecord) -> bool:
        skills = emergency_skills(self.policy)
        if skills is None or not set(skills) <= set(self.policy.agents[record.agent].skills):
            return False
        candidates = Candidates(self.state, self.policy, self._now)
        return not any(candidates.at_work(skills, lambda other: other is not record))

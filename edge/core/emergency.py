"""999 without compromise: who is rung for a waiting 999, what is taken from 101 for it, and how an unanswered one climbs.

Rule 1: while a 999 that an agent could take waits unoffered, no 101 is offered to that agent.
Rule 2: for each such 999 without a free agent exactly one agent is freed: one who is about to be free anyway, else the newest
ringing 101 is withdrawn (its caller keeps the place), else a phone that rings for a 999 which rings elsewhere too, else, where
the policy allows, a wrap-up is broken. A connected call is never cut.
Rule 3: on each rung of the ladder (`escalation.py`) more phones ring, and the first answer ends all the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge.core import effects, facts, inputs
from edge.core.escalation import RUNG_ANEW_SECONDS, next_rung
from edge.core.handing_out import TASK_GIVES_WAY, HandingOut
from edge.core.model import (
    BUDDY,
    TEST,
    Activity,
    Agent,
    CallState,
    OfferOutcome,
    OfferState,
    Rung,
    TaskOfferState,
    Tier,
)
from edge.core.ordering import Candidates, skills_needed
from edge.core.promising import YES
from edge.core.state import AgentRecord, Call, Offer

FREEING_SECONDS = 1.0
"""A withdrawn leg that has not ended by then is not waited for: another agent is freed."""
UNTIL_ANSWERED_SECONDS = 120.0
"""How long another force's number or a test phone rings: until somebody answers."""
UNANSWERED_AGAIN_SECONDS = 10.0
"""How long a supervisor, another force or a test phone that did not take a 999 is left alone before it is rung again for it."""
LIVE = frozenset({OfferState.CALLING, OfferState.RINGING})


class Emergencies(HandingOut):
    """The 999 part of each match, and the emergency key."""

    # ------------------------------------------------------------------ matching

    def _serve_emergencies(self, candidates: Candidates) -> None:
        """Everything that this step can do for unanswered 999 calls, oldest first, until nothing is left to do: a phone that
        one rings now may be the second of two, of which another needs one."""
        calls = self._unanswered_emergencies()
        if not calls:
            return
        for call in calls:
            self._climb(call)
        supervisors, recorded = self._supervisors(), -1
        while recorded != len(self._entries):
            recorded = len(self._entries)
            coming: dict[str, Call] = {}
            hopeless: set[tuple[str, ...]] = set()
            for call in calls:
                if call.state is CallState.WAITING:
                    self._find_agent(call, candidates, coming, hopeless)
            for call in calls:
                self._ring_more(call, candidates, supervisors)
        for call in calls:
            if call.state is CallState.WAITING:
                candidates.withhold(self._skills_for(call))

    def _unanswered_emergencies(self) -> list[Call]:
        return [self.state.calls[call_id] for call_id in self._unanswered]

    def _find_agent(
        self, call: Call, candidates: Candidates, coming: dict[str, Call], hopeless: set[tuple[str, ...]]
    ) -> None:
        """Offer it to the best free agent, or see to it that one becomes free. `coming`: agents promised, and to which call.
        `hopeless`: skills for which an earlier call that nobody had refused found no agent."""
        skills = self._skills_for(call)
        chosen = None
        if skills not in hopeless:
            chosen = candidates.best(call, skills)
            if chosen is not None and self._is_better_coming(chosen, call, skills, candidates):
                return
            if chosen is None and not self._is_agent_coming(call, skills, candidates, coming):
                chosen = self._break_wrap_up(call, skills, candidates)
                if chosen is not None:
                    call = self._who_waited_longer(chosen, call, candidates, coming)
                if chosen is None and not call.refused_by:
                    hopeless.add(skills)
        if chosen is not None:
            self._offer_to_agent(call, chosen, candidates)
        elif call.rung < Rung.SUPERVISORS and not any(candidates.at_work(skills)):
            self._climb_at_once(call, any(candidates.signed_in(skills)))

    def _is_better_coming(
        self, chosen: AgentRecord, call: Call, skills: tuple[str, ...], candidates: Candidates
    ) -> bool:
        """Whether the only one to ask has just rejected it, while somebody who has not is being rung anew."""
        if candidates.has_not_rejected(chosen, call, skills):
            return False
        return any(candidates.has_not_rejected(record, call, skills) for record in self._being_freed())

    def _who_waited_longer(
        self, freed: AgentRecord, call: Call, candidates: Candidates, coming: dict[str, Call]
    ) -> Call:
        """An agent is free at once. An older 999 that was promised one who is only about to be takes them, and leaves the
        promised one to `call`."""
        for agent, elder in coming.items():
            promised = self.state.agents[agent]
            if candidates.would_take(freed, elder, self._skills_for(elder)) and candidates.would_take(
                promised, call, self._skills_for(call)
            ):
                coming[agent] = call
                return elder
        return call

    def _is_agent_coming(
        self, call: Call, skills: tuple[str, ...], candidates: Candidates, coming: dict[str, Call]
    ) -> bool:
        """Whether an agent who could take it is about to be free, if need be because a ringing offer is withdrawn now."""
        for record in self._being_freed():
            if record.agent not in coming and candidates.would_take(record, call, skills):
                coming[record.agent] = call
                return True
        for handed in self._task_offers_that_give_way():
            record = self.state.agents[handed.agent]
            if record.agent not in coming and candidates.would_take(record, call, skills):
                coming[record.agent] = call
                self._give_way(handed, call)
                return True
        for offer in (*self._ringing_routine(), *self._ringing_beside_others()):
            if offer.agent not in coming and self._frees(offer, call, skills, candidates):
                coming[offer.agent] = call
                self._because(
                    f"999 call {call.call_id} needs agent {offer.agent}: the ringing offer of call {offer.call_id} is "
                    "withdrawn, its caller keeps the place"
                )
                self._withdraw(offer, OfferOutcome.WITHDRAWN)
                return True
        return self._does_attempt_give_way(call, skills, candidates, coming)

    def _does_attempt_give_way(
        self, call: Call, skills: tuple[str, ...], candidates: Candidates, coming: dict[str, Call]
    ) -> bool:
        """Whether the agent of a call-back whose person has not answered could take it; that phone then stops ringing."""
        for attempt in self._newest_attempts():
            record = self._agent_of_attempt(attempt)
            if (
                record is not None
                and record.agent not in coming
                and candidates.would_take(record, call, skills)
            ):
                coming[record.agent] = call
                self._preempt(attempt, call)
                candidates.bring_back(record)
                return True
        return False

    def _frees(self, offer: Offer, call: Call, skills: tuple[str, ...], candidates: Candidates) -> bool:
        return candidates.would_take(self.state.agents.get(offer.agent), call, skills)

    def _being_freed(self) -> Iterator[AgentRecord]:
        """Agents whose withdrawn leg is ending, or has just ended and the switch has yet to show their phone idle; but for
        those with whom it takes too long."""
        for record in self.state.agents.values():
            offer = self.state.offers.get(record.offer_id or "")
            handed = self.state.task_offers.get(record.offer_id or "")
            if handed is not None:
                since = handed.withdrawn_at if handed.state is TaskOfferState.WITHDRAWN else None
            elif offer is not None:
                since = offer.withdrawn_at if offer.state is OfferState.WITHDRAWN else None
            else:
                since = record.freed_at if record.activity is Activity.IDLE else None
            if since is None:
                continue
            patience_ends = since.plus(FREEING_SECONDS)
            if patience_ends.monotonic_ns > self._now.monotonic_ns:
                self._look_again(patience_ends)
                yield record

    def _ringing_routine(self) -> list[Offer]:
        """Live offers of 101 calls, the newest first."""
        return self._newest_first(
            offer for offer in self._live_offers() if self._call_of(offer).tier != Tier.EMERGENCY
        )

    def _ringing_beside_others(self) -> list[Offer]:
        """Live offers of 999 calls that ring at other phones too, the newest first."""
        return self._newest_first(
            offer
            for offer in self._live_offers()
            if self._call_of(offer).tier == Tier.EMERGENCY and len(self._call_of(offer).live_offers) > 1
        )

    def _live_offers(self) -> Iterator[Offer]:
        return (
            offer
            for offer in self.state.offers.values()
            if offer.state in LIVE and not self._call_of(offer).test
        )

    def _call_of(self, offer: Offer) -> Call:
        return self.state.calls[offer.call_id]

    @staticmethod
    def _newest_first(offers: Iterable[Offer]) -> list[Offer]:
        return sorted(offers, key=lambda offer: (offer.made_at.monotonic_ns, offer.offer_id), reverse=True)

    def _break_wrap_up(
        self, call: Call, skills: tuple[str, ...], candidates: Candidates
    ) -> AgentRecord | None:
        """End the wrap-up that has lasted longest, where that is allowed and frees somebody who could take the call."""
        if not self.policy.emergency.break_wrap_up:
            return None
        wrapping = [
            record
            for record in self.state.agents.values()
            if self._may_be_broken(record)
            and candidates.would_take(record, call, skills)
            and candidates.phone_is_free(record.phone)
        ]
        if not wrapping:
            return None
        record = min(wrapping, key=lambda record: (record.since.monotonic_ns, record.agent))
        self._record_broken(call, record, f"agent {record.agent}")
        return record if candidates.bring_back(record) else None

    @staticmethod
    def _may_be_broken(record: AgentRecord) -> bool:
        """Whether this agent is in a wrap-up, and not in that of a 999."""
        return record.activity is Activity.WRAP_UP and not record.wrap_up_emergency

    def _record_broken(self, call: Call, record: AgentRecord, whom: str) -> None:
        owed_seconds = max(0.0, record.wrap_up_until.since(self._now)) if record.wrap_up_until else 0.0
        self._because(
            f"999 call {call.call_id} breaks the wrap-up of {whom}: {owed_seconds:.0f} s of it are owed"
        )
        self._record(facts.WrapUpBroken(agent=record.agent, call_id=call.call_id, seconds=owed_seconds))

    # ------------------------------------------------------------------ the ladder

    def _climb(self, call: Call) -> None:
        """Take the rungs whose time has come."""
        while (climb := next_rung(call, self.policy)) is not None:
            rung, at = climb
            if at.monotonic_ns > self._now.monotonic_ns:
                return
            waited_seconds = self._now.since(call.unanswered_since)
            self._escalate(call, rung, f"unanswered after {waited_seconds:.1f} s")

    def _climb_at_once(self, call: Call, is_anybody_signed_in: bool) -> None:
        """Nobody who could take it is at work: no rung below the supervisors can help. The buddy force is rung early only when
        nobody is signed in at all, or at its distance from the supervisors."""
        why = "nobody who could take it is at work"
        if call.rung < Rung.ALL_AGENTS:
            self._escalate(call, Rung.ALL_AGENTS, why)
            self._because(f"999 call {call.call_id} waits and {why}")
            self._record(facts.AlarmRaised(kind="no 999 agent", detail=why, call_id=call.call_id))
        climb = next_rung(call, self.policy)
        if climb is not None and (climb[0] is Rung.SUPERVISORS or not is_anybody_signed_in):
            self._escalate(call, climb[0], why)

    def _escalate(self, call: Call, rung: Rung, why: str) -> None:
        whom = {
            Rung.ALL_AGENTS: "every agent who could take it",
            Rung.SUPERVISORS: "the supervisors too",
            Rung.BUDDY: "the buddy force too",
        }[rung]
        self._because(f"999 call {call.call_id} rings {whom}: {why}")
        self._record(facts.CallEscalated(call_id=call.call_id, rung=rung))
        if rung >= Rung.SUPERVISORS:
            self._record(
                facts.AlarmRaised(kind="999 unanswered", detail=f"rings {whom}", call_id=call.call_id)
            )

    def _ring_more(self, call: Call, candidates: Candidates, supervisors: list[tuple[str, Agent]]) -> None:
        """All the phones that this call's rung rings beside the one it has."""
        if call.rung >= Rung.ALL_AGENTS:
            self._ring_all_agents(call, candidates)
        if call.rung >= Rung.SUPERVISORS:
            self._ring_supervisors(call, candidates, supervisors)
        if call.rung >= Rung.BUDDY:
            self._ring_buddy(call)

    def _ring_all_agents(self, call: Call, candidates: Candidates) -> None:
        skills = self._skills_for(call)
        for record in candidates.ringable(call, skills):
            if record.phone is not None and candidates.phone_is_free(record.phone):
                self._offer_to_agent(call, record, candidates)
        if self.policy.emergency.break_wrap_up and not self._does_an_agent_ring(call, skills, candidates):
            wrapping = self._break_wrap_up(call, skills, candidates)
            if wrapping is not None:
                self._offer_to_agent(call, wrapping, candidates)
        for offer in self._ringing_routine():
            if candidates.has_not_rejected(self.state.agents.get(offer.agent), call, skills):
                self._because(
                    f"999 call {call.call_id} rings everybody: the ringing offer of call {offer.call_id} at agent "
                    f"{offer.agent} is withdrawn, its caller keeps the place"
                )
                self._withdraw(offer, OfferOutcome.WITHDRAWN)
        for handed in self._task_offers_that_give_way():
            if candidates.has_not_rejected(self.state.agents[handed.agent], call, skills):
                self._give_way(handed, call)
        for attempt in self._newest_attempts():
            freed = self._agent_of_attempt(attempt)
            if freed is not None and candidates.has_not_rejected(freed, call, skills):
                self._preempt(attempt, call)
                candidates.bring_back(freed)  # at once, where they were kept and no leg has to end first

    def _does_an_agent_ring(self, call: Call, skills: tuple[str, ...], candidates: Candidates) -> bool:
        """Whether anybody rings, or is about to, who is there for such calls: not merely a supervisor or another force."""
        ringing = (self.state.agents.get(self.state.offers[offer_id].agent) for offer_id in call.live_offers)
        return any(candidates.would_take(record, call, skills) for record in (*ringing, *self._being_freed()))

    def _ring_supervisors(
        self, call: Call, candidates: Candidates, supervisors: list[tuple[str, Agent]]
    ) -> None:
        """Each where signed in, ready, in wrap-up or not, else at the usual phone; never in the middle of a call, and not in the
        wrap-up of a 999."""
        for number, agent in supervisors:
            record = self.state.agents.get(number)
            phone = agent.phone if record is None or record.phone is None else record.phone
            if not phone or self._was_asked_lately(call, number):
                continue
            free = candidates.phone_is_free(phone)
            if record is not None and free and self._may_be_broken(record):
                self._record_broken(call, record, f"supervisor {number}")
            if record is not None and record.activity is not Activity.IDLE:
                self._free_of_routine(call, record)
                continue
            if free:
                self._make(call, number, phone, RUNG_ANEW_SECONDS, f"supervisor {number}", "nobody answered")
                candidates.take(phone)

    def _supervisors(self) -> list[tuple[str, Agent]]:
        return [(number, agent) for number, agent in self.policy.agents.items() if agent.supervisor]

    def _free_of_routine(self, call: Call, supervisor: AgentRecord) -> None:
        """A supervisor's phone that rings for a 101 is needed for the 999 too, whatever the supervisor's own skills."""
        handed = self.state.task_offers.get(supervisor.offer_id or "")
        if handed is not None and handed.state in TASK_GIVES_WAY:
            self._give_way(handed, call)
        offer = self.state.offers.get(supervisor.offer_id or "")
        if offer is None or offer.state not in LIVE or self._call_of(offer).tier == Tier.EMERGENCY:
            return
        self._because(
            f"999 call {call.call_id} rings the supervisors: the ringing offer of call {offer.call_id} at supervisor "
            f"{offer.agent} is withdrawn, its caller keeps the place"
        )
        self._withdraw(offer, OfferOutcome.WITHDRAWN)

    def _ring_buddy(self, call: Call) -> None:
        phone = self.policy.emergency.buddy_phone
        rings = any(self.state.offers[offer_id].agent == BUDDY for offer_id in call.live_offers)
        if phone is not None and not rings and not self._was_asked_lately(call, BUDDY):
            self._make(call, BUDDY, phone, UNTIL_ANSWERED_SECONDS, "the buddy force", "nobody answered")

    def _was_asked_lately(self, call: Call, whom: str) -> bool:
        refused_at = call.refused_by.get(whom)
        if refused_at is None:
            return False
        again_at = refused_at.plus(UNANSWERED_AGAIN_SECONDS)
        if again_at.monotonic_ns <= self._now.monotonic_ns:
            return False
        self._look_again(again_at)
        return True

    # ------------------------------------------------------------------ test calls

    def _serve_test(self, call: Call, candidates: Candidates) -> None:
        """A synthetic 999 rings its test phone and no other."""
        line = self.policy.lines.get(call.line)
        phone = None if line is None else line.test_phone
        if phone is not None and candidates.phone_is_free(phone) and not self._was_asked_lately(call, TEST):
            self._make(
                call,
                TEST,
                phone,
                UNTIL_ANSWERED_SECONDS,
                f"test phone {phone}",
                "a test call goes nowhere else",
            )
            candidates.take(phone)

    # ------------------------------------------------------------------ offers

    def _skills_for(self, call: Call) -> tuple[str, ...]:
        return skills_needed(call, self.policy.queues[call.queue], self._now)

    def _offer_to_agent(self, call: Call, record: AgentRecord, candidates: Candidates) -> None:
        rings_all = call.rung >= Rung.ALL_AGENTS
        seconds = RUNG_ANEW_SECONDS if rings_all else self.policy.queues[call.queue].offer_seconds
        how = "rings everybody" if rings_all else "next in order of service"
        idle_seconds = self._now.since(record.idle_since)
        self._make(
            call,
            record.agent,
            record.phone or "",
            seconds,
            f"agent {record.agent}",
            f"{how} (idle {idle_seconds:.0f} s)",
        )
        candidates.take(record.phone)

    # ------------------------------------------------------------------ the emergency key

    def _key_pressed(self, call: Call, given: inputs.KeyPressed) -> None:
        is_emergency_key = given.key == self.policy.emergency.key
        if call.tier == Tier.EMERGENCY or call.test:
            self._ignore(call, given)
        elif given.upgraded or is_emergency_key:
            self._upgrade(call)
        elif call.state in (CallState.WAITING, CallState.OFFERED):
            self._key_while_waiting(call, given.key)
        elif call.state is CallState.CHECKING and given.key == YES:
            self._is_present(call)
        else:
            self._ignore(call, given)

    def _upgrade(self, call: Call) -> None:
        """From now on the call is among the 999, whatever state it is in; whoever talks with it goes on talking."""
        queue = self.policy.emergency.queue
        if queue is None or queue not in self.policy.queues:
            self._because(
                f"caller of {call.call_id} pressed the emergency key, but no queue is configured for it"
            )
            return
        talks_elsewhere = call.elsewhere_since is not None
        left_us = call.state in (CallState.LEAVING, CallState.PROMISED, CallState.CHECKING)
        was_leaving = left_us and not talks_elsewhere
        was_announced = call.announcement is not None
        self._because(
            f"caller of {call.call_id} pressed the emergency key: an upgraded 101, among the 999 from now on"
            + (", but talking to the other number, which goes on" if talks_elsewhere else "")
        )
        self._record(facts.CallUpgraded(call_id=call.call_id, queue=queue))
        self._cut_announcement(call)
        self._withdraw_all(call, OfferOutcome.WITHDRAWN)
        if call.state is CallState.FALLBACK and call.connected_at is None:
            return  # the switch has already moved it
        self._note_place(call)
        if was_announced and call.state is CallState.WAITING:
            self._ask(effects.StopAnnouncement(call_id=call.call_id))
        if was_leaving:
            self._serve(call)

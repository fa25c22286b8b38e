"""101 in real life: class and language of a caller, menu, hours, limits, overflow, what a caller is told while waiting.

Rule 1: nothing here ever touches a 999, an upgraded 101 or a test call (`_is_routine`).
Rule 2: the caller stands in the queue from the first moment. Menu and announcements play beside it and delay no offer; who
presses nothing goes on waiting.
Rule 3: whatever changes the queue, class or language of a call keeps its time of joining, and is noted on the switch.
"""

from __future__ import annotations

from math import ceil

from edge.core import effects, facts, inputs
from edge.core.desk import ANNOUNCEMENT, PATIENCE, RELAXATION
from edge.core.model import (
    Announcements,
    CallerKnowledge,
    CallOutcome,
    CallState,
    ClassSource,
    Line,
    OfferOutcome,
    Queue,
    Side,
    Stage,
    Tier,
)
from edge.core.ordering import (
    Candidates,
    announcements_for,
    emergency_skills,
    head_start_seconds,
    place_of,
    skills_needed,
    untold_relaxation,
)
from edge.core.service import Service
from edge.core.state import AgentRecord, Call, Offer

SPOKEN_MAXIMUM = 20
"""Numbers are said up to here, and "more than twenty" above."""
SERVICES_NEEDED = 5
SERVICES_WITHIN_SECONDS = 900.0
"""An expected wait is only said when so many callers were served within so long: otherwise nobody knows."""


class Routine(Service):
    """What happens to 101 callers from their arrival until they have somebody."""

    # ------------------------------------------------------------------ arrival

    def _welcome(self, call: Call, given: inputs.CallPresented | inputs.SeenCall, *, adopted: bool) -> None:
        """Class, admission, greeting, menu. An adopted caller has been through all that, or waited through our absence."""
        if not _is_routine(call) or not self._is_configured(call):
            self._serve(call)
            return
        line = self.policy.lines[call.line]
        knowledge = given.knowledge if isinstance(given, inputs.CallPresented) else None
        if knowledge is not None and not call.number_withheld:
            self._recognise(call, line, knowledge)
        if adopted or self._admit(call):
            self._serve(call, greeting=None if adopted else self._greeting(line))
            if call.announcement is None and not adopted:
                self._offer_menu(call, line)

    def _greeting(self, line: Line) -> str | None:
        if self.state.incident_since is not None and self.policy.incident.greeting is not None:
            return self.policy.incident.greeting
        return line.greeting

    def _recognise(self, call: Call, line: Line, knowledge: CallerKnowledge) -> None:
        """The number tells something of the caller; it is a hint, and a capped one."""
        self._because(f"the number of call {call.call_id} has called before, or is on the force's list")
        self._record(facts.CallerRecognised(call_id=call.call_id, knowledge=knowledge))
        if knowledge.assisted and not call.assisted:
            self._record(facts.CallMarkedAssisted(call_id=call.call_id, by="number list"))
        language = knowledge.language or call.language
        best, source, why = line.priority_class, ClassSource.LINE, ""
        for name, whence, words in self._hinted_classes(knowledge):
            if self._boost(name) > self._head_start(best, source):
                best, source, why = name, whence, words
        if source is not ClassSource.LINE or language != call.language:
            source = ClassSource.LISTED if source is ClassSource.LINE else source
            self._classify(call, call.queue, best, language, source, why or f"language {language}")

    def _hinted_classes(self, knowledge: CallerKnowledge) -> list[tuple[str, ClassSource, str]]:
        found = []
        if knowledge.listed_class in self.policy.classes:
            assert knowledge.listed_class is not None
            found.append((knowledge.listed_class, ClassSource.LISTED, f"listed as {knowledge.listing}"))
        repeat = self.policy.repeat
        if (
            repeat is not None
            and repeat.priority_class in self.policy.classes
            and knowledge.recent_abandons >= repeat.abandons
        ):
            words = f"gave up {knowledge.recent_abandons} times within {repeat.minutes:g} minutes"
            found.append((repeat.priority_class, ClassSource.REPEAT, words))
        return found

    def _boost(self, name: str) -> float:
        return min(self.policy.classes[name].head_start_seconds, self.policy.largest_boost_seconds)

    def _head_start(self, name: str, source: ClassSource) -> float:
        known = self.policy.classes.get(name)
        if known is None:
            return 0.0
        return known.head_start_seconds if source is ClassSource.LINE else self._boost(name)

    def _classify(
        self, call: Call, queue: str, priority_class: str, language: str, source: ClassSource, detail: str
    ) -> None:
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
        self._note_place(call)

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

    # ------------------------------------------------------------------ menu

    def _offer_menu(self, call: Call, line: Line) -> None:
        menu = line.menu
        if menu is None or call.assisted or call.classified_by is ClassSource.MENU:
            return
        if menu.prompt not in call.prompts_heard and call.state in (CallState.WAITING, CallState.OFFERED):
            self._announce(call, menu.prompt, (menu.prompt,), "the choices")

    def _menu_key(self, call: Call, key: str) -> None:
        """A key other than the emergency key, while the call waits. A later choice counts instead of an earlier one."""
        line = self.policy.lines.get(call.line)
        choice = None if line is None or line.menu is None else line.menu.choices.get(key)
        if choice is None:
            self._because(f"caller of {call.call_id} pressed a key that chooses nothing: goes on waiting")
            return
        queue = choice.queue or call.queue
        moves = queue != call.queue
        self._classify(
            call,
            queue,
            choice.priority_class or call.priority_class,
            choice.language or call.language,
            ClassSource.MENU,
            f"key {key}",
        )
        self._stop_announcement(call)
        if moves:
            self._withdraw_all(call, OfferOutcome.WITHDRAWN)  # by agents who may not serve this queue
            if not self._admit(call):
                return
        if choice.greeting is not None:
            self._announce(call, choice.greeting, (choice.greeting,), "an answer to the choice")

    # ------------------------------------------------------------------ admission, overflow, turning away

    def _admit(self, call: Call) -> bool:
        """Whether the call may wait where it is; if not it has been sent somewhere else or is being told why."""
        why = self._obstacle(self.policy.queues[call.queue], call)
        return why is None or self._find_another_way(call, why)

    def _obstacle(self, queue: Queue, call: Call) -> str | None:
        if self.state.incident_since is not None and queue.name in self.policy.incident.closed_queues:
            return "incident"
        if queue.hours is not None and not queue.hours.is_open(self._now.utc_us):
            return "closed"
        if queue.limit is not None and self._waiting_in(queue, call) >= queue.limit:
            return "full"
        return None

    def _waiting_in(self, queue: Queue, but: Call) -> int:
        return sum(
            call.queue == queue.name
            and call is not but
            and _is_routine(call)
            and call.state in (CallState.WAITING, CallState.OFFERED)
            for call in self.state.calls.values()
        )

    def _find_another_way(self, call: Call, why: str) -> bool:
        """Another queue, else another number, else the caller is told what to do instead. True while it waits with us."""
        queue = self.policy.queues[call.queue]
        seen = {queue.name}
        following = queue
        while following.overflow_queue is not None and following.overflow_queue not in seen:
            seen.add(following.overflow_queue)
            following = self.policy.queues[following.overflow_queue]
            if self._obstacle(following, call) is None:
                detail = f"queue {queue.name}: {why}"
                self._classify(
                    call, following.name, call.priority_class, call.language, ClassSource.OVERFLOW, detail
                )
                return True
        if queue.overflow_phone in self.policy.phones:
            self._divert(call, queue.overflow_phone or "", why)
        else:
            self._turn_away(call, why, self._farewell(queue, why))
        return False

    def _farewell(self, queue: Queue, why: str) -> str:
        match why:
            case "incident":
                return self.policy.incident.closed_prompt
            case "closed":
                return queue.closed_prompt
            case _:
                return queue.full_prompt

    def _divert(self, call: Call, phone: str, why: str) -> None:
        self._because(f"call {call.call_id} goes to {phone}: queue {call.queue}: {why}")
        self._cut_announcement(call)
        self._record(facts.CallDiverted(call_id=call.call_id, why=why, phone=phone))
        self._ask(effects.TakeCharge(call_id=call.call_id, line=call.line, greeting=None))
        self._ask(effects.Divert(call_id=call.call_id, phone=phone))

    def _turn_away(self, call: Call, why: str, prompt: str) -> None:
        self._because(f"call {call.call_id} is told why it is not served: queue {call.queue}: {why}")
        self._cut_announcement(call)
        self._record(facts.CallTurnedAway(call_id=call.call_id, why=why, prompt=prompt))
        self._ask(effects.TakeCharge(call_id=call.call_id, line=call.line, greeting=prompt))

    def _tell_again(self, call: Call, given: inputs.Input | None = None) -> None:  # noqa: ARG002
        """Say why, and let go when it was said (`_told`) or when it should have been (`_let_go`)."""
        self._because(f"call {call.call_id} stands before us while it is leaving: {call.leaving_for}")
        if call.diverted:
            self._ask(effects.TakeCharge(call_id=call.call_id, line=call.line, greeting=None))
            return
        self._ask(effects.TakeCharge(call_id=call.call_id, line=call.line, greeting=call.announcement))

    def _told(self, call: Call, given: inputs.AnnouncementFinished) -> None:
        if call.diverted or given.prompt != call.announcement:
            self._ignore(call, given)
            return
        self._let_go(call)

    def _let_go(self, call: Call) -> None:
        """The caller has heard why. Asked again each time until their leg has ended."""
        self._because(f"call {call.call_id} was told why it is not served ({call.leaving_for}): let go")
        self._ask(effects.HangUpCaller(call_id=call.call_id))
        self._alarms.set(("call", call.call_id), self._now.plus(self.policy.leaving_seconds))

    def _left(self, call: Call, given: inputs.CallerGone) -> None:
        """A 101 that was turned away or diverted has gone."""
        outcome = CallOutcome.OVERFLOWED if call.diverted else CallOutcome.REFUSED
        self._because(f"call {call.call_id} has gone: {outcome} ({call.leaving_for})")
        self._cut_announcement(call)
        self._end(call, outcome, Stage.LEAVING, given.side, call.leaving_for or given.cause)

    def _not_taken(self, call: Call, given: inputs.PairReturned) -> None:
        """The other number did not take the call: back at its place here, whatever the hours."""
        if not call.diverted:
            self._tell_again(call, given)
            return
        self._because(f"the other number did not take call {call.call_id}: back at its place")
        self._record(facts.CallReturned(call_id=call.call_id, offer_id=""))
        self._serve(call)

    def _out_of_patience(self, call: Call) -> None:
        """The longest wait of the queue is over."""
        self._find_another_way(call, "waited too long")

    def _refuse_at_entrance(self, given: inputs.CallRefused) -> None:
        self._because(f"the switch turned call {given.call_id} away: {given.why}")
        self._record_arrival(given, adopted=False)
        self._end(self.state.calls[given.call_id], CallOutcome.REFUSED, Stage.ENTRY, Side.SYSTEM, given.why)

    # ------------------------------------------------------------------ announcements

    def _announce(self, call: Call, prompt: str, sounds: tuple[str, ...], what: str) -> None:
        self._because(f"call {call.call_id} hears {what}")
        self._record(facts.AnnouncementStarted(call_id=call.call_id, prompt=prompt))
        self._ask(effects.Announce(call_id=call.call_id, prompt=prompt, sounds=sounds))

    def _stop_announcement(self, call: Call) -> None:
        if call.announcement is not None:
            self._cut_announcement(call)
            self._ask(effects.StopAnnouncement(call_id=call.call_id))

    def _after_announcement(self, call: Call) -> None:
        """The greeting, or the answer to a choice, is over: the menu, where there is one to hear."""
        line = self.policy.lines.get(call.line)
        if line is not None and line.menu is not None and _is_routine(call):
            self._offer_menu(call, line)

    def _announce_while_waiting(self, call: Call) -> None:
        """It is time to say something to who waits; only what is true, or nothing."""
        wanted = announcements_for(call, self.policy.queues, self.policy.classes)
        if wanted is None or call.announcement is not None:
            return
        sounds: tuple[str, ...] = () if wanted.prompt is None else (wanted.prompt,)
        sounds += self._position_sounds(call, wanted) + self._wait_sounds(call, wanted)
        if sounds:
            self._announce(call, "waiting", sounds, "how it stands")
        else:
            self._arm_waiting(call)

    def _position_sounds(self, call: Call, wanted: Announcements) -> tuple[str, ...]:
        position = self._true_position(call) if wanted.position else None
        if position is None:
            return ()
        return ("position", f"number:{min(position, SPOKEN_MAXIMUM + 1)}")

    def _wait_sounds(self, call: Call, wanted: Announcements) -> tuple[str, ...]:
        minutes = self._expected_minutes(call) if wanted.expected_wait else None
        if minutes is None or minutes > SPOKEN_MAXIMUM:
            return ()
        return ("expected-wait", f"number:{minutes}", "minutes")

    def _true_position(self, call: Call) -> int | None:
        """Which of the callers whom the same agents may take is this; None while nobody is at work for them."""
        candidates = Candidates(self.state, self.policy, self._now)
        agents = list(candidates.at_work(self._skills(call)))
        if not agents:
            return None
        place = place_of(call, self.policy)
        ahead = [
            other
            for other in self.state.calls.values()
            if self._is_waiting(other) and not other.test and place_of(other, self.policy) < place
        ]
        rivals = [
            other
            for other in ahead
            if any(candidates.has_skills(record, self._skills(other)) for record in agents)
        ]
        return len(rivals) + 1

    def _expected_minutes(self, call: Call) -> int | None:
        """Position times the mean distance of the queue's last services, in whole minutes; None when that is not known."""
        position = self._true_position(call)
        served = [
            at
            for at in self.state.services.get(call.queue, ())
            if self._now.since(at) <= SERVICES_WITHIN_SECONDS
        ]
        if position is None or len(served) < SERVICES_NEEDED:
            return None
        mean_seconds = self._now.since(served[0]) / len(served)
        return max(1, ceil(position * mean_seconds / 60.0))

    def _skills(self, call: Call) -> tuple[str, ...]:
        return skills_needed(call, self.policy.queues[call.queue], self._now)

    def _tell_of_relaxation(self, call: Call) -> None:
        """Fewer skills will do from here on; the caller is told before it counts."""
        relaxation = untold_relaxation(call, self.policy.queues[call.queue])
        if relaxation is not None and call.announcement is None:
            prompt = relaxation.prompt or ""
            self._announce(call, prompt, (prompt,), "that fewer skills will have to do")

    # ------------------------------------------------------------------ what agents need and do

    def _offer_seconds(self, call: Call) -> float:
        """How long an agent's phone rings for this call: longer for who comes through a relay."""
        seconds = self.policy.queues[call.queue].offer_seconds
        return max(seconds, self.policy.assisted_offer_seconds) if call.assisted else seconds

    def _notes_for(self, call: Call) -> tuple[str, ...]:
        """What the handler should see before answering."""
        notes = []
        if call.assisted:
            notes.append("assisted")
        if call.language != "en":
            notes.append(call.language)
        if (known := call.knowledge) is not None:
            notes += [known.listing] if known.listing else []
            if known.calls_in_month:
                notes.append(f"{known.calls_in_day} in 24 h {known.calls_in_month} in 30 d")
            if known.abandons_in_month:
                notes.append(f"gave up {known.abandons_in_month}")
        if call.first_connected_at is not None:
            notes.append("sent back")
        return tuple(notes)

    def _record_end(self, offer: Offer, outcome: OfferOutcome, cause: str) -> None:
        super()._record_end(offer, outcome, cause)
        record = self.state.agents.get(offer.agent)
        limit = self.policy.missed_offers_maximum
        if record is not None and limit is not None and record.missed_in_a_row >= limit:
            self._missed_again(record)

    def _missed_again(self, record: AgentRecord) -> None:
        """Set not ready whoever lets call after call ring out; but never the last who can take a 999."""
        if record.phone is None or record.not_ready_reason is not None:
            return
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
            self._ask(effects.SetNotReady(agent=record.agent, reason=self.policy.missed_reason))

    def _is_last_for_999(self, record: AgentRecord) -> bool:
        skills = emergency_skills(self.policy)
        if skills is None or not set(skills) <= set(self.policy.agents[record.agent].skills):
            return False
        candidates = Candidates(self.state, self.policy, self._now)
        return not any(candidates.at_work(skills, lambda other: other is not record))

    # ------------------------------------------------------------------ handlers and supervisors

    def _sent_back(self, call: Call, given: inputs.CallSentBack) -> None:
        """A handler gives the caller to a queue again: the time of joining stays."""
        known = given.queue is not None and given.queue in self.policy.queues
        queue = (given.queue or call.queue) if known else call.queue
        self._because(
            f"agent {call.agent} sent call {call.call_id} back to queue {queue}, with its time of joining"
        )
        self._record(facts.CallSentBack(call_id=call.call_id, agent=call.agent, queue=queue))
        if self._is_of_emergencies(queue) and _is_routine(call):
            self._record(facts.CallUpgraded(call_id=call.call_id, queue=queue))
        self._note_place(call)
        self._serve(call)

    def _is_of_emergencies(self, queue: str) -> bool:
        lines = self.policy.lines.values()
        return queue == self.policy.emergency.queue or any(
            line.queue == queue and line.tier == Tier.EMERGENCY for line in lines
        )

    def _passed_on(self, call: Call, given: inputs.CallPassedOn) -> None:
        if given.offer_id is not None and given.offer_id != call.claimed_by:
            self._ignore(call, given)
            return
        whom = "a number outside" if given.agent is None else f"agent {given.agent}"
        self._because(f"agent {call.agent} passed call {call.call_id} on ({given.kind}) to {whom}")
        self._record(
            facts.CallPassedOn(
                call_id=call.call_id,
                agent=call.agent,
                kind=given.kind,
                target=given.target,
                to_agent=given.agent,
            )
        )

    def _annotate(self, given: inputs.CallAnnotated) -> None:
        """A reference may be given, and a recording end, after the call."""
        self._because(f"call {given.call_id}: {given.kind} {given.state}".rstrip())
        self._record(
            facts.CallAnnotated(
                call_id=given.call_id, kind=given.kind, value=given.value, state=given.state, by=given.by
            )
        )

    def _mark_assisted(self, given: inputs.CallMarkedAssisted) -> None:
        call = self.state.calls.get(given.call_id)
        if call is None or call.assisted:
            self._because(f"call {given.call_id} is not open, or marked as assisted already: nothing to do")
            return
        self._because(f"call {call.call_id} is marked as assisted")
        self._record(facts.CallMarkedAssisted(call_id=call.call_id, by=given.by))

    def _wrap_up_coded(self, given: inputs.WrapUpCoded) -> None:
        record = self.state.agents.get(given.agent)
        if record is None or record.last_call_id is None:
            self._because(f"agent {given.agent} gave a wrap-up code without a call: ignored")
            return
        self._because(f"agent {given.agent} gave call {record.last_call_id} the code {given.code}")
        self._record(facts.WrapUpCoded(agent=given.agent, call_id=record.last_call_id, code=given.code))

    def _assist_asked(self, given: inputs.AssistAsked) -> None:
        call_id = self._call_of_agent(given.agent)
        self._because(f"agent {given.agent} asks for a supervisor's help")
        self._record(facts.AssistAsked(agent=given.agent, call_id=call_id))
        detail = f"agent {given.agent} asks for help"
        self._record(facts.AlarmRaised(kind="assist", detail=detail, call_id=call_id))

    def _supervision_seen(self, given: inputs.SupervisionSeen) -> None:
        verb = "begins" if given.began else "ends"
        self._because(f"supervisor {given.supervisor} {verb} to {given.mode} at agent {given.agent}")
        kind = facts.SupervisionBegan if given.began else facts.SupervisionEnded
        self._record(
            kind(
                supervisor=given.supervisor,
                agent=given.agent,
                call_id=self._call_of_agent(given.agent),
                mode=given.mode,
            )
        )

    def _call_of_agent(self, agent: str) -> str | None:
        record = self.state.agents.get(agent)
        offer = None if record is None else self.state.offers.get(record.offer_id or "")
        return None if offer is None else offer.call_id

    def _incident_set(self, given: inputs.IncidentSet) -> None:
        if given.active == (self.state.incident_since is not None):
            self._because("the major incident is " + ("declared" if given.active else "over") + " already")
            return
        self._because(f"major incident {'declared' if given.active else 'ended'} by {given.by}")
        kind = facts.IncidentDeclared if given.active else facts.IncidentEnded
        self._record(kind(by=given.by))

    # ------------------------------------------------------------------ alarms

    def _ring_alarm(self, kind: str, call: Call) -> None:
        """One of a waiting caller's own alarms has come due."""
        if not self._is_waiting(call) or not _is_routine(call):
            return
        if kind == PATIENCE:
            self._out_of_patience(call)
        elif kind == ANNOUNCEMENT:
            self._announce_while_waiting(call)
        elif kind == RELAXATION:
            self._tell_of_relaxation(call)


def _is_routine(call: Call) -> bool:
    return call.tier != Tier.EMERGENCY and not call.test

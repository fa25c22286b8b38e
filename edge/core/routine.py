"""101 in real life: who a caller is, what they chose, whether they may wait, and where they go if not.

Rule 1: nothing here ever touches a 999, an upgraded 101 or a test call (`Call.is_routine`).
Rule 2: the caller stands in the queue from the first moment; who presses nothing goes on waiting.
Rule 3: whatever changes the queue, class or language of a call keeps its time of joining, and is noted on the switch.
Rule 4: a caller is sent somewhere else at most once, and nobody who has talked with a human is turned away.
"""

from __future__ import annotations

from dataclasses import replace

from edge.core import effects, facts, inputs
from edge.core.handling import Handling
from edge.core.model import (
    CallerKnowledge,
    CallOutcome,
    CallState,
    ClassSource,
    Line,
    OfferOutcome,
    Queue,
    Side,
    Stage,
)
from edge.core.ordering import patience_ends
from edge.core.state import Call

WAITED_TOO_LONG = "waited too long"


class Routine(Handling):
    """What happens to 101 callers from their arrival until they have somebody."""

    # ------------------------------------------------------------------ arrival

    def _welcome(self, call: Call, given: inputs.CallPresented | inputs.SeenCall, *, adopted: bool) -> None:
        """Class, admission, greeting, menu. An adopted caller has been through all that, or waited through our absence."""
        knowledge = given.knowledge if isinstance(given, inputs.CallPresented) else None
        if knowledge is not None and not call.number_withheld:
            self._recognise(call, knowledge)
        self._match_number(call)
        if adopted or not call.is_routine or not self._is_configured(call):
            self._serve(call)
            return
        line = self.policy.lines[call.line]
        if self._admit(call, arriving=True):
            self._serve(call, greeting=self._greeting(line))
            if call.announcement is None:
                self._offer_menu(call)
        if not call.diverted:
            self._note_if_elsewhere(call)

    def _match_callback(self, call: Call) -> None:
        """A call-back may be open for this number in the queue where the call is now, see `promising.py`."""
        raise NotImplementedError

    def _greeting(self, line: Line) -> str | None:
        if self.state.incident_since is not None and self.policy.incident.greeting is not None:
            return self.policy.incident.greeting
        return line.greeting

    # ------------------------------------------------------------------ class

    def _recognise(self, call: Call, knowledge: CallerKnowledge) -> None:
        """The number tells something of the caller; it is a hint, and changes the class of a 101 alone."""
        self._because(f"the number of call {call.call_id} has called before, or is on the force's list")
        self._record(facts.CallerRecognised(call_id=call.call_id, knowledge=knowledge))
        if knowledge.assisted and not call.assisted:
            self._record(facts.CallMarkedAssisted(call_id=call.call_id, by="number list"))
        if call.is_routine:
            self._classify_by_number(call, knowledge)

    def _classify_by_number(self, call: Call, knowledge: CallerKnowledge) -> None:
        """The language of the list, and the largest head start of what the call has and what its number gives, capped."""
        best, source, why = call.priority_class, ClassSource.LISTED, f"listed as {knowledge.listing}"
        most_seconds = self._head_start_seconds(best)
        for name, whence, words in self._hinted_classes(knowledge):
            seconds = min(self._head_start_seconds(name), self.policy.largest_boost_seconds)
            if seconds > most_seconds:
                best, source, why, most_seconds = name, whence, words, seconds
        language = knowledge.language or call.language
        if (best, language) != (call.priority_class, call.language):
            self._classify(call, call.queue, best, language, source, why)

    def _hinted_classes(self, knowledge: CallerKnowledge) -> list[tuple[str, ClassSource, str]]:
        repeat, found = self.policy.repeat, []
        if knowledge.listed_class is not None:
            found.append((knowledge.listed_class, ClassSource.LISTED, f"listed as {knowledge.listing}"))
        if repeat is not None and knowledge.recent_abandons >= repeat.abandons:
            words = f"gave up {knowledge.recent_abandons} times within {repeat.minutes:g} minutes"
            found.append((repeat.priority_class, ClassSource.REPEAT, words))
        for name, source, _ in found:
            if name not in self.policy.classes:
                self._because(f"class {name!r} ({source}) is not configured: ignored")
        return [hint for hint in found if hint[0] in self.policy.classes]

    def _head_start_seconds(self, name: str) -> float:
        known = self.policy.classes.get(name)
        return 0.0 if known is None else known.head_start_seconds

    # ------------------------------------------------------------------ menu

    def _menu_key(self, call: Call, key: str) -> None:
        """A key other than the emergency key, while the call waits. A later choice counts instead of an earlier one, as if it had
        been the first; the class that the number gives stays if it is the better one."""
        menu = self._menu_of(call)
        choice = None if menu is None else menu.choices.get(key)
        if choice is None or key == call.menu_key:
            self._because(f"caller of {call.call_id} pressed a key that chooses nothing new: goes on waiting")
            return
        line, before = self.policy.lines[call.line], call.queue
        language = call.language
        if call.menu_key is not None:
            language = (call.knowledge and call.knowledge.language) or line.language
        self._classify(
            call,
            choice.queue or (call.queue if call.menu_key is None else line.queue),
            choice.priority_class or line.priority_class,
            choice.language or language,
            ClassSource.MENU,
            key,
        )
        if call.knowledge is not None:
            self._classify_by_number_again(call, call.knowledge)
        self._stop_announcement(call)
        self._match_callback(call)
        if call.queue != before:
            self._withdraw_all(call, OfferOutcome.WITHDRAWN)  # by agents who may not serve this queue
            if not self._admit(call):
                return
        self._note_place(call)
        if choice.greeting is not None:
            self._announce(call, choice.greeting, (choice.greeting,), "an answer to the choice")

    def _classify_by_number_again(self, call: Call, knowledge: CallerKnowledge) -> None:
        """For the class alone: the language was chosen."""
        language = call.language
        self._classify_by_number(call, replace(knowledge, language=language))

    # ------------------------------------------------------------------ admission and overflow

    def _admit(self, call: Call, *, arriving: bool = False) -> bool:
        """Whether the call may wait where it is, or in another queue; if not it is being sent away or told why."""
        why = self._obstacle(self.policy.queues[call.queue], call)
        return why is None or self._find_another_way(call, why, arriving=arriving)

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
            and call.is_routine
            and call.state in (CallState.WAITING, CallState.OFFERED)
            for call in self.state.calls.values()
        )

    def _find_another_way(self, call: Call, why: str, *, arriving: bool = False) -> bool:
        """Another queue, else another number, else the caller is told what to do instead. True while it waits with us.

        An incident's closed queue sends nobody anywhere: its callers are to be told, not to fill the other queues.
        """
        queue = self.policy.queues[call.queue]
        if why != "incident":
            other = self._overflow_of(call, queue)
            if other is not None:
                detail = f"queue {queue.name}: {why}"
                self._classify(call, other, call.priority_class, call.language, ClassSource.OVERFLOW, detail)
                return True
            if queue.overflow_phone in self.policy.phones:
                self._divert(call, queue.overflow_phone or "", why)
                return False
        self._turn_away(call, why, self._farewell(queue, why), arriving=arriving)
        return False

    def _overflow_of(self, call: Call, queue: Queue) -> str | None:
        """The first queue along the chain that takes callers now; none for a call that was sent on before."""
        seen = {queue.name}
        following = self.policy.queues.get(queue.overflow_queue or "")
        while not call.stays and following is not None and following.name not in seen:
            if self._obstacle(following, call) is None:
                return following.name
            seen.add(following.name)
            following = self.policy.queues.get(following.overflow_queue or "")
        return None

    def _farewell(self, queue: Queue, why: str) -> str:
        match why:
            case "incident":
                return self.policy.incident.closed_prompt
            case "closed":
                return queue.closed_prompt
            case "waited too long":
                return queue.waited_prompt
            case _:
                return queue.full_prompt

    # ------------------------------------------------------------------ leaving

    def _divert(self, call: Call, phone: str, why: str) -> None:
        self._because(f"call {call.call_id} goes to {phone}: queue {call.queue}: {why}")
        self._cut_announcement(call)
        self._record(facts.CallDiverted(call_id=call.call_id, why=why, phone=phone))
        self._ask(effects.TakeCharge(call_id=call.call_id, line=call.line, greeting=None))
        self._ask(effects.Divert(call_id=call.call_id, phone=phone))

    def _diversion_answered(self, call: Call, given: inputs.DiversionAnswered) -> None:
        if not call.diverted or call.elsewhere_since is not None:
            self._ignore(call, given)
            return
        self._because(f"the other number answered call {call.call_id}: its caller talks there")
        self._record(facts.DiversionAnswered(call_id=call.call_id))

    def _turn_away(self, call: Call, why: str, prompt: str, *, arriving: bool) -> None:
        """Say why, and let go when it was said (`_told`) or when it should have been (`_let_go`)."""
        self._because(f"call {call.call_id} is told why it is not served: queue {call.queue}: {why}")
        self._cut_announcement(call)
        self._record(facts.CallTurnedAway(call_id=call.call_id, why=why, prompt=prompt))
        if arriving:
            self._ask(effects.TakeCharge(call_id=call.call_id, line=call.line, greeting=prompt))
        else:
            self._ask(effects.Announce(call_id=call.call_id, prompt=prompt, sounds=(prompt,)))

    def _leaving_again(self, call: Call, given: inputs.Input) -> None:  # noqa: ARG002
        """A leaving caller is found in our hands. The other number did not take them: back at their place, whatever the hours. Or
        they have yet to hear why they are turned away; from the beginning, for nobody knows how far they came."""
        if call.diverted:
            self._because(f"the other number did not take call {call.call_id}: back at its place")
            self._record(facts.CallReturned(call_id=call.call_id, offer_id=""))
            self._serve(call)
            self._note_if_elsewhere(call)
        elif (prompt := call.announcement) is not None:
            self._because(f"call {call.call_id} is told again why it is not served")
            self._cut_announcement(call)
            self._serve(call, greeting=prompt)
        else:
            self._let_go(call)

    def _told(self, call: Call, given: inputs.AnnouncementFinished) -> None:
        if call.diverted or given.prompt != call.announcement:
            self._ignore(call, given)
            return
        self._announcement_over(call, given)
        self._let_go(call)

    def _let_go(self, call: Call) -> None:
        """The caller has heard why. Asked again each time until their leg has ended."""
        self._because(f"call {call.call_id} was told why it is not served ({call.leaving_for}): let go")
        self._ask(effects.HangUpCaller(call_id=call.call_id))
        self._alarms.set(("call", call.call_id), self._now.plus(self.policy.leaving_seconds))

    def _left(self, call: Call, given: inputs.CallerGone) -> None:
        """A 101 that was turned away or diverted has gone."""
        outcome = self._outcome_of_leaving(call)
        self._because(f"call {call.call_id} has gone: {outcome} ({call.leaving_for})")
        self._cut_announcement(call)
        self._end(call, outcome, Stage.LEAVING, given.side, call.leaving_for or given.cause)

    def _outcome_of_leaving(self, call: Call) -> CallOutcome:
        return CallOutcome.OVERFLOWED if call.diverted else CallOutcome.REFUSED

    def _refuse_at_entrance(self, given: inputs.CallRefused) -> None:
        self._because(f"the switch turned call {given.call_id} away: {given.why}")
        self._record_arrival(given, adopted=False)
        self._end(self.state.calls[given.call_id], CallOutcome.REFUSED, Stage.ENTRY, Side.SYSTEM, given.why)

    # ------------------------------------------------------------------ who goes on waiting

    def _attend(self) -> bool:
        """After the match, to each 101 caller of this step who goes on waiting: send them elsewhere if they have waited too long,
        else tell them what is due. Whether anybody came to another queue, so that it is worth matching again."""
        if not self.state.sight:
            return False
        named = (getattr(entry.fact, "call_id", None) for entry in self._entries)
        moved = False
        for call_id in dict.fromkeys((*self._due_calls, *named)):
            call = self.state.calls.get(call_id or "")
            if call is None or not call.is_routine or not self._is_waiting(call):
                continue
            ends = patience_ends(call, self.policy)
            if ends is None or ends.monotonic_ns > self._now.monotonic_ns:
                self._tell(call)
                self._arm_waiting(call)  # nothing may have been true enough to say
            elif self._find_another_way(call, WAITED_TOO_LONG):
                self._note_place(call)
                moved = True
        return moved

    # ------------------------------------------------------------------ what an offer needs to know

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
        if call.classified_by is ClassSource.HANDLER:
            notes.append("sent back")
        return tuple(notes)

"""What a 101 caller is told while waiting: the menu, how it stands, and that fewer skills will have to do.

Rule 1: nothing is ever said to a 999, an upgraded 101 or a test call (`Call.is_routine`).
Rule 2: the caller stands in the queue while anything is said. It delays no offer, and the connection cuts it.
Rule 3: only what is true is said, or nothing. Relay callers are told like everybody else: the relay assistant passes it on, and
nothing that is said asks for an answer; only the menu, which does, is not for them.
"""

from __future__ import annotations

from collections import Counter

from edge.core import effects, facts
from edge.core.expectation import SAMPLES_NEEDED, Expectation, expect, is_bad, mean
from edge.core.model import Announcements, CallState, Menu
from edge.core.ordering import (
    Candidates,
    Place,
    announcements_for,
    next_announcement,
    place_of,
    skills_needed,
    untold_relaxation,
)
from edge.core.service import Service
from edge.core.state import AgentRecord, Call

SPOKEN_MAXIMUM = 20
"""Numbers are said up to here, and "more than twenty" above."""


class Telling(Service):
    """Announcements to waiting callers."""

    def _announce(self, call: Call, prompt: str, sounds: tuple[str, ...], what: str) -> None:
        self._because(f"call {call.call_id} hears {what}")
        self._record(facts.AnnouncementStarted(call_id=call.call_id, prompt=prompt))
        self._ask(effects.Announce(call_id=call.call_id, prompt=prompt, sounds=sounds))

    def _stop_announcement(self, call: Call) -> None:
        if call.announcement is not None:
            self._cut_announcement(call)
            self._ask(effects.StopAnnouncement(call_id=call.call_id))

    def _tell(self, call: Call) -> None:
        """Say what is due to a caller who waits in silence: first what a relaxation waits for, then that they may be called back,
        then how it stands. Nothing to who is in a dialogue."""
        self._predict(call)
        if call.announcement is not None or call.asked is not None:
            return
        relaxation = untold_relaxation(call, self.policy.queues[call.queue])
        if relaxation is not None and self._now.since(call.queued_at) >= relaxation.after_seconds:
            prompt = relaxation.prompt or ""
            self._announce(call, prompt, (prompt,), "that fewer skills will have to do")
        elif not self._offer_callback(call) and self._is_news_due(call):
            self._tell_how_it_stands(call)

    def _offer_callback(self, call: Call) -> bool:
        """Offer a call-back, see `promising.py`."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the menu

    def _menu_of(self, call: Call) -> Menu | None:
        """The menu that this caller may still choose from: once a handler has talked with them, the handler has chosen."""
        line = self.policy.lines.get(call.line)
        if (
            line is None
            or not call.is_routine
            or call.first_connected_at is not None
            or call.callback is not None
        ):
            return None
        return line.menu

    def _offer_menu(self, call: Call) -> None:
        """Once, after the greeting, unless the caller has chosen meanwhile. Keys count before, during and after it."""
        menu = self._menu_of(call)
        if menu is not None and not call.assisted and call.menu_key is None:
            self._announce(call, menu.prompt, (menu.prompt,), "the choices")

    def _after_announcement(self, call: Call, prompt: str) -> None:
        line = self.policy.lines.get(call.line)
        greetings = (None if line is None else line.greeting, self.policy.incident.greeting)
        if prompt in greetings and call.state in (CallState.WAITING, CallState.OFFERED):
            self._offer_menu(call)
        if prompt in call.prompts_failed and call.was_told(prompt):
            self._because(f"prompt {prompt} cannot be played: for call {call.call_id} it counts as heard")

    # ------------------------------------------------------------------ how it stands

    def _is_news_due(self, call: Call) -> bool:
        wanted = announcements_for(call, self.policy.queues, self.policy.classes)
        if wanted is None:
            return False
        at = next_announcement(call, wanted.every_seconds, call.announced_at or call.queued_at)
        return at.monotonic_ns <= self._now.monotonic_ns

    def _tell_how_it_stands(self, call: Call) -> None:
        wanted = announcements_for(call, self.policy.queues, self.policy.classes)
        assert wanted is not None
        sounds: tuple[str, ...] = () if wanted.prompt is None else (wanted.prompt,)
        if wanted.position or wanted.expected_wait:
            sounds += self._outlook(call, wanted)
        if sounds:
            self._announce(call, "waiting", sounds, "how it stands")

    def _outlook(self, call: Call, wanted: Announcements) -> tuple[str, ...]:
        expectation = self._expectation(call)
        if expectation is None:
            return ()
        position = min(expectation.position, SPOKEN_MAXIMUM + 1)  # "more than twenty"
        sounds: tuple[str, ...] = ("position", f"number:{position}") if wanted.position else ()
        return sounds + (self._spoken_wait(call, expectation) if wanted.expected_wait else ())

    def _spoken_wait(self, call: Call, expectation: Expectation) -> tuple[str, ...]:
        """The range in minutes; nothing where talks have not been seen, or recent waits were expected wrongly."""
        low, high = expectation.minutes
        if (
            not expectation.measured
            or is_bad(self.state.prediction_errors.get(call.queue, ()))
            or high > SPOKEN_MAXIMUM
        ):
            return ()
        self._record_prediction(call, expectation)
        if low == high:
            return ("expected-wait", f"number:{low}", "minutes")
        return ("expected-wait-between", f"number:{low}", "and", f"number:{high}", "minutes")

    # ------------------------------------------------------------------ what is expected

    def _predict(self, call: Call) -> None:
        """Expect this caller's wait once, so that it can be told later how good we are at it."""
        queue = self.policy.queues[call.queue]
        wanted = announcements_for(call, self.policy.queues, self.policy.classes)
        if call.prediction is not None or call.callback is not None:
            return
        if queue.callback is None and (wanted is None or not wanted.expected_wait):
            return
        expectation = self._expectation(call)
        if expectation is not None:
            self._record_prediction(call, expectation)

    def _record_prediction(self, call: Call, expectation: Expectation) -> None:
        low, high = expectation.low_seconds, expectation.high_seconds
        self._because(f"call {call.call_id} is expected to wait {low:.0f} to {high:.0f} s from now")
        self._record(
            facts.WaitPredicted(
                call_id=call.call_id,
                low_seconds=low,
                high_seconds=high,
                position=expectation.position,
                agents=expectation.agents,
                measured=expectation.measured,
            )
        )

    def _expectation(self, call: Call) -> Expectation | None:
        """How long this caller is expected to wait; None while nobody is at work for them."""
        return self._expectation_behind(call, place_of(call, self.policy))

    def _expectation_at_end(self, call: Call) -> Expectation | None:
        """The same for whoever would join the queue of this caller now."""
        return self._expectation_behind(call, None)

    def _expectation_behind(self, call: Call, place: Place | None) -> Expectation | None:
        """Those whom the same agents may take and who come first count: ringing ones, 999 and call-backs too."""
        agents = list(Candidates(self.state, self.policy, self._now).at_work(self._skills(call)))
        if not agents:
            return None
        queue = self.policy.queues[call.queue]
        talks = self.state.handlings.get(call.queue, ())
        measured = len(talks) >= SAMPLES_NEEDED
        prior_seconds = queue.callback.handling_seconds if queue.callback is not None else mean(talks)
        return expect(
            1 + self._rivals(agents, place),
            len(agents),
            mean(talks) + queue.wrap_up_seconds if measured else prior_seconds,
            mean(self.state.departures.get(call.queue, ())),
            measured=measured,
        )

    def _rivals(self, agents: list[AgentRecord], place: Place | None) -> int:
        """How many come before this place (None: before whoever joins now) and may be taken by any of these agents."""
        candidates = Candidates(self.state, self.policy, self._now)
        shared: dict[tuple[str, ...], bool] = {}
        rivals = 0
        for skills, count in self._needs_before(place).items():
            if skills not in shared:
                shared[skills] = any(candidates.has_skills(record, skills) for record in agents)
            rivals += count * shared[skills]
        return rivals

    def _needs_before(self, place: Place | None) -> Counter[tuple[str, ...]]:
        """Skills, and how many who come before this place need them. Hundreds wait, and this is asked for each: those of one
        queue whose needs do not change with time are counted together."""
        calls, queues = self.state.calls, self.policy.queues
        ringing = {
            call_id
            for call_id in {offer.call_id for offer in self.state.offers.values()}
            if (call := calls.get(call_id)) is not None
            and self._is_ringing_unserved(call)
            and (place is None or place_of(call, self.policy) < place)
        }
        needs: Counter[tuple[str, ...]] = Counter()
        by_queue: Counter[str] = Counter()
        for call_id in (*self._order.before(place), *ringing):
            call = calls[call_id]
            if call.test:
                continue
            if queues[call.queue].relaxations:
                needs[self._skills(call)] += 1
            else:
                by_queue[call.queue] += 1
        for name, count in by_queue.items():
            needs[queues[name].skills] += count
        return needs

    def _is_ringing_unserved(self, call: Call) -> bool:
        """Has nobody yet, though a phone rings for it: then it is not in the order."""
        return call.state in (CallState.OFFERED, CallState.RESERVING) and self._is_configured(call)

    def _skills(self, call: Call) -> tuple[str, ...]:
        return skills_needed(call, self.policy.queues[call.queue], self._now)

"""What a 101 caller is told while waiting: the menu, how it stands, and that fewer skills will have to do.

Rule 1: nothing is ever said to a 999, an upgraded 101 or a test call (`Call.is_routine`).
Rule 2: the caller stands in the queue while anything is said. It delays no offer, and the connection cuts it.
Rule 3: only what is true is said, or nothing. Relay callers are told like everybody else: the relay assistant passes it on, and
nothing that is said asks for an answer; only the menu, which does, is not for them.
"""

from __future__ import annotations

from math import ceil

from edge.core import effects, facts
from edge.core.model import Announcements, CallState, Menu
from edge.core.ordering import (
    Candidates,
    announcements_for,
    next_announcement,
    place_of,
    skills_needed,
    untold_relaxation,
)
from edge.core.service import Service
from edge.core.state import Call

SPOKEN_MAXIMUM = 20
"""Numbers are said up to here, and "more than twenty" above."""
SERVICES_NEEDED = 5
SERVICES_WITHIN_SECONDS = 900.0
"""An expected wait is only said when so many callers were served within so long: otherwise nobody knows."""


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
        """Say what is due to a caller who waits in silence: first what a relaxation waits for, then how it stands."""
        if call.announcement is not None:
            return
        relaxation = untold_relaxation(call, self.policy.queues[call.queue])
        if relaxation is not None and self._now.since(call.queued_at) >= relaxation.after_seconds:
            prompt = relaxation.prompt or ""
            self._announce(call, prompt, (prompt,), "that fewer skills will have to do")
        elif self._is_news_due(call):
            self._tell_how_it_stands(call)

    # ------------------------------------------------------------------ the menu

    def _menu_of(self, call: Call) -> Menu | None:
        """The menu that this caller may still choose from: once a handler has talked with them, the handler has chosen."""
        line = self.policy.lines.get(call.line)
        if line is None or not call.is_routine or call.first_connected_at is not None:
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
        position = self._true_position(call)
        if position is None:
            return ()
        sounds: tuple[str, ...] = ("position", f"number:{position}") if wanted.position else ()
        minutes = self._expected_minutes(call, position) if wanted.expected_wait else None
        if minutes is not None and minutes <= SPOKEN_MAXIMUM:
            sounds += ("expected-wait", f"number:{minutes}", "minutes")
        return sounds

    def _true_position(self, call: Call) -> int | None:
        """How many of those whom the same agents may take come first, this one counted, ringing ones too; up to "more than
        twenty". None while nobody is at work for them."""
        candidates = Candidates(self.state, self.policy, self._now)
        agents = list(candidates.at_work(self._skills(call)))
        if not agents:
            return None
        place, rivals = place_of(call, self.policy), 0
        shared: dict[tuple[str, ...], bool] = {}
        for other in self.state.calls.values():
            if not self._is_unserved(other) or place_of(other, self.policy) >= place:
                continue
            skills = self._skills(other)
            if skills not in shared:
                shared[skills] = any(candidates.has_skills(record, skills) for record in agents)
            rivals += shared[skills]
            if rivals == SPOKEN_MAXIMUM:
                break
        return rivals + 1

    def _is_unserved(self, call: Call) -> bool:
        unserved = call.state in (CallState.WAITING, CallState.OFFERED)
        return unserved and not call.test and self._is_configured(call)

    def _expected_minutes(self, call: Call, position: int) -> int | None:
        """Position times the mean time between the queue's last services, the one that has been going on since the last of them
        included, in whole minutes; None when that is not known."""
        served = [
            at
            for at in self.state.services.get(call.queue, ())
            if self._now.since(at) <= SERVICES_WITHIN_SECONDS
        ]
        if position > SPOKEN_MAXIMUM or len(served) < SERVICES_NEEDED:
            return None
        mean_seconds = self._now.since(served[0]) / (len(served) - 1)
        return max(1, ceil(position * mean_seconds / 60.0))

    def _skills(self, call: Call) -> tuple[str, ...]:
        return skills_needed(call, self.policy.queues[call.queue], self._now)

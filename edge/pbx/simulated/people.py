"""Those who use the simulated switch: callers without patience, agents with moods, persons who are called back.

Every decision is drawn from the dice. A `Crowd` is a room full of them; for training, or a scripted test, write another `People`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from edge.core.model import Refusal, Side
from edge.core.promise import AttemptOutcome, TaskAttemptOutcome
from edge.core.promising import CONFIRMATION, OFFER
from edge.pbx.simulated.legs import AgentLeg, CallerLeg, PersonLeg
from edge.pbx.simulated.switch import Switch

HOSTILE = (
    ("anonymous", "Anonymous"),
    ("07700900666\r\nAction: Originate", "x\r\nVariable: y"),
    ("'; DROP TABLE facts; --", "${SHELL(reboot)}"),
    ("\ud800\udfff", "\ud800 half a pair"),
    ("+44" * 400, "N" * 5000),
    ("\u202e1010\u2028", "\x00\x07\x1b[2J"),
    ("", ""),
)
"""Numbers and names as strangers write them."""
SILENCE_SECONDS = 12.0
"""How long anybody listens to silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Temper:
    """How these people are: mean times in seconds, and shares."""

    patience_seconds: float = 90.0
    talk_seconds: float = 25.0
    answer_seconds: float = 2.5
    misses: float = 0.07
    rejects: float = 0.05
    never_rings: float = 0.02
    vanishes: float = 0.01
    holds: float = 0.1
    sends_back: float = 0.04
    passes_on: float = 0.03
    accepts_callback: float = 0.7
    keys_other_number: float = 0.2
    hangs_up_in_dialogue: float = 0.05
    presses_emergency: float = 0.02
    hostile: float = 0.05


class Crowd:
    """A room of them. `redial`: called when a caller has given up and would try again, with number and name."""

    def __init__(self, switch: Switch, dice: Random, temper: Temper) -> None:
        self.switch = switch
        self.temper = temper
        self._dice = dice
        self.redial: Callable[[str, str, str], None] | None = None
        self.queues: tuple[str | None, ...] = (None,)
        """Where handlers send callers back to."""

    def _later(self, seconds: float, then: Callable[..., None], *what: object) -> None:
        asyncio.get_running_loop().call_later(seconds, then, *what)

    def _chance(self, share: float) -> bool:
        return self._dice.random() < share

    def _about(self, mean_seconds: float) -> float:
        return 0.2 + self._dice.expovariate(1.0 / mean_seconds)

    # ------------------------------------------------------------------ callers

    def call(self, line: str) -> CallerLeg:
        """Somebody calls."""
        number, name = f"07700900{self._dice.randrange(120):03}", f"Caller {self._dice.randrange(1000)}"
        if self._chance(self.temper.hostile):
            number, name = self._dice.choice(HOSTILE)
        return self.switch.arrive(line, number, name)

    def arrived(self, caller: CallerLeg) -> None:
        """They wait as long as they have patience, and some are in danger."""
        self._later(self._about(self.temper.patience_seconds), self._lose_patience, caller)
        if self._chance(self.temper.presses_emergency):
            self._later(self._dice.uniform(0.5, 20.0), self.switch.press, caller, "9")
        if self._chance(0.1):
            self._later(self._dice.uniform(0.5, 10.0), self.switch.press, caller, self._dice.choice("1230*#"))

    def _lose_patience(self, caller: CallerLeg) -> None:
        if not caller.is_alive or caller.is_talking:
            return
        self.switch.hang_up(caller)
        if self.redial is not None and caller.number and self._chance(0.3):
            self._later(self._about(20.0), self.redial, caller.line, caller.number, caller.name or "")

    def told(self, caller: CallerLeg, prompt: str) -> float:
        """They listen, and answer what is a question."""
        seconds = self._dice.uniform(1.5, 5.0)
        answer_seconds = self._dice.uniform(0.5, seconds + 4.0)
        if prompt in (OFFER, "callback-number", "callback-keyed", "callback-safe", "callback-press-key"):
            self._later(answer_seconds, self._answer, caller, prompt)
        elif prompt == "callback-key":
            self._later(answer_seconds, self._key_number, caller)
        elif prompt == CONFIRMATION and self._chance(0.3):
            self._later(self._dice.uniform(0.1, seconds), self.switch.hang_up, caller)
        if self._chance(0.03):  # it cannot be played
            self._later(0.05, self.switch.said, caller, prompt, False)
        return seconds

    def _answer(self, caller: CallerLeg, prompt: str) -> None:
        if caller.standing != "held" or not caller.is_alive:
            return
        if prompt != OFFER and self._chance(self.temper.hangs_up_in_dialogue):
            self.switch.hang_up(caller)
        elif self._chance(self.temper.accepts_callback):
            other = prompt == "callback-number" and self._chance(self.temper.keys_other_number)
            self.switch.press(caller, "2" if other else "1")
        elif self._chance(0.3):
            self.switch.press(caller, self._dice.choice("*259"))

    def _key_number(self, caller: CallerLeg) -> None:
        numbers = (f"07700900{self._dice.randrange(120):03}", "0909", "", "999", "01632960123")
        self.switch.key_number(caller, self._dice.choice(numbers))

    def went_away(self, caller: CallerLeg) -> None:
        """The other end takes them or not, and they talk."""
        if self._chance(0.3):
            self._later(self._about(5.0), self.switch.come_back, caller)
        self._later(self._about(self.temper.talk_seconds), self._leave_outside, caller)

    def _leave_outside(self, caller: CallerLeg) -> None:
        if caller.away:
            self.switch.hang_up(caller)

    # ------------------------------------------------------------------ agents

    def called(self, leg: AgentLeg) -> None:
        """The phone rings, and its agent is in this mood or that."""
        if self._chance(self.temper.vanishes):
            self._later(self._dice.uniform(0.0, 2.0), self.switch.unplug, leg.phone)
            self._later(self._about(15.0), self.switch.plug, leg.phone)
        if self._chance(self.temper.never_rings):
            return
        ringing_seconds = self._dice.uniform(0.02, 0.4)
        self._later(ringing_seconds, self.switch.ring, leg)
        if self._chance(self.temper.rejects):
            refusal = self._dice.choice((Refusal.REJECTED, Refusal.BUSY, Refusal.FAILED, Refusal.CLEARED))
            self._later(ringing_seconds + self._about(2.0), self._reject, leg, refusal)
        elif not self._chance(self.temper.misses):
            self._later(ringing_seconds + self._about(self.temper.answer_seconds), self.switch.answer, leg)

    def _reject(self, leg: AgentLeg, refusal: Refusal) -> None:
        if not leg.answered:
            self.switch.end_offer(leg, refusal)

    def answered(self, leg: AgentLeg) -> None:
        """They wait for a voice, or for the ringing of the person who is called back; not for ever."""
        self._later(SILENCE_SECONDS + 60.0 * self._dice.random(), self._tire_of_silence, leg)

    def _tire_of_silence(self, leg: AgentLeg) -> None:
        caller = self.switch.callers.get(leg.call_id)
        if leg.is_alive and leg.rings is None and (caller is None or caller.offer_id != leg.offer_id):
            self.switch.end_offer(leg, Refusal.CLEARED)

    def joined(self, caller: CallerLeg, leg: AgentLeg) -> None:
        """They talk, until one of them hangs up or the agent does something with the caller."""
        seconds = self._about(self.temper.talk_seconds)
        if self._chance(self.temper.holds):
            self._later(seconds * 0.3, self._hold, leg, True)
            self._later(seconds * 0.6, self._hold, leg, False)
        if "-back-" in caller.leg_id and self._chance(0.15):
            agent = next((a for a, (phone, _) in self.switch.signed.items() if phone == leg.phone), "")
            self._later(min(seconds, 3.0), self._judge, caller, leg, agent)
        if self._chance(self.temper.sends_back):
            self._later(seconds, self._send_back, caller, leg)
        elif self._chance(self.temper.passes_on):
            self._later(seconds, self._pass_on, caller, leg)
        else:
            self._later(seconds, self._say_goodbye, caller, leg, self._chance(0.5))

    def _hold(self, leg: AgentLeg, held: bool) -> None:
        self.switch.hold(leg, held=held)

    def _do_talk(self, caller: CallerLeg, leg: AgentLeg) -> bool:
        return caller.is_alive and leg.is_alive and caller.offer_id == leg.offer_id

    def _judge(self, caller: CallerLeg, leg: AgentLeg, agent: str) -> None:
        if self._do_talk(caller, leg):
            self.switch.judge(caller, agent)

    def _send_back(self, caller: CallerLeg, leg: AgentLeg) -> None:
        if self._do_talk(caller, leg):
            self.switch.send_back(caller, self._dice.choice(self.queues))

    def _pass_on(self, caller: CallerLeg, leg: AgentLeg) -> None:
        if self._do_talk(caller, leg):
            self.switch.pass_on(caller)

    def _say_goodbye(self, caller: CallerLeg, leg: AgentLeg, by_caller: bool) -> None:
        if not self._do_talk(caller, leg):
            return
        if by_caller:
            self.switch.hang_up(caller)
        else:
            self.switch.end_offer(leg, Refusal.CLEARED)

    # ------------------------------------------------------------------ agents who are offered a task

    def asked(self, leg: AgentLeg) -> None:
        """They ring the person, take the task, think too long, or hang up."""
        what, seconds = self._dice.random(), self._about(3.0)
        if what < 0.55:
            self._later(seconds, self.switch.press_at, leg, "1")
        elif what < 0.8:
            self._later(seconds, self.switch.press_at, leg, "2")
        elif what < 0.9:
            self._later(seconds, self._hang_up_if_asked, leg)

    def _hang_up_if_asked(self, leg: AgentLeg) -> None:
        if leg.is_alive and leg.rings is None:
            self.switch.end_offer(leg, Refusal.CLEARED)

    def rung_for_task(self, leg: AgentLeg) -> None:
        """The person answers, mostly."""
        what = self._dice.random()
        if what < 0.1:
            self._later(0.5, self.switch.end_for_task, leg, TaskAttemptOutcome.BUSY)
        elif what < 0.2:
            self._later(0.3, self.switch.end_for_task, leg, TaskAttemptOutcome.FAILED)
        elif what < 0.3:
            self._later(self._about(4.0), self._tire_of_ringing, leg)
        elif what < 0.85:
            self._later(self._about(6.0), self.switch.answer_for_task, leg)

    def _tire_of_ringing(self, leg: AgentLeg) -> None:
        if not leg.talks:
            self.switch.end_offer(leg, Refusal.CLEARED)

    def talks_for_task(self, leg: AgentLeg) -> None:
        """They talk, and somebody hangs up."""
        seconds = self._about(self.temper.talk_seconds)
        if self._chance(0.5):
            self._later(seconds, self.switch.end_for_task, leg, TaskAttemptOutcome.SPOKEN)
        else:
            self._later(seconds, self.switch.end_offer, leg, Refusal.CLEARED)

    # ------------------------------------------------------------------ persons who are called back

    def dialled(self, leg: PersonLeg) -> None:
        """Their phone rings and is answered, mostly."""
        what = self._dice.random()
        if what < 0.06:
            self._later(0.3, self.switch.end_person, leg, AttemptOutcome.NETWORK)
            return
        if what < 0.08:
            self._later(0.3, self.switch.end_person, leg, AttemptOutcome.INVALID)
            return
        if what < 0.15:
            self._later(0.5, self.switch.end_person, leg, AttemptOutcome.BUSY)
            return
        if what < 0.18:
            return  # neither rings nor answers
        self._later(self._dice.uniform(0.2, 3.0), self.switch.ring_person, leg)
        if what < 0.25:
            self._later(self._dice.uniform(3.0, 9.0), self.switch.end_person, leg, AttemptOutcome.REJECTED)
        elif what < 0.85:
            self._later(3.0 + self._about(5.0), self.switch.answer_person, leg)

    # ------------------------------------------------------------------ the switch's own queue

    def rung_in_fallback(self, agent: str) -> float | None:  # noqa: ARG002
        """Agents answer it as they answer us."""
        return None if self._chance(self.temper.misses) else self._about(self.temper.answer_seconds)

    def served_in_fallback(self, caller: CallerLeg) -> None:
        """They talk, and somebody hangs up."""
        side = Side.AGENT if self._chance(0.5) else Side.CALLER
        self._later(self._about(self.temper.talk_seconds), self.switch.hang_up, caller, side)

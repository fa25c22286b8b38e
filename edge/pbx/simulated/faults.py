"""What goes wrong, and how often. Rates are shares of what could go wrong; all of them 0 is a switch in perfect order."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from edge.core import effects, inputs
from edge.core.effects import Effect
from edge.core.inputs import Input
from edge.core.task_state import is_task_offer
from edge.pbx.simulated.legs import Counts

LOSABLE = (
    inputs.CallPresented,  # the dead-man takes the caller to the switch's own queue
    inputs.PhoneRang,
    inputs.PhoneAnswered,
    inputs.PhoneGone,
    inputs.PairJoined,
    inputs.PairReturned,
    inputs.KeyPressed,
    inputs.NumberKeyed,
    inputs.HoldChanged,
    inputs.AnnouncementFinished,
    inputs.PersonRang,
    inputs.PersonGone,
    inputs.AgentKeyed,
    inputs.TaskPersonAnswered,
    inputs.TaskPersonGone,
)
"""Words that may be lost for good. Others are told again, or found by asking: see `SimulatedPbx`."""
OVERTAKEN = (*LOSABLE, inputs.CallerGone, inputs.PersonAnswered)
"""Words that another word about another leg, or by another link, may overtake. What people set keeps its order."""
REFUSABLE = (
    effects.MakeOffer,
    effects.RingForTask,
    effects.DialForTask,
    effects.ConnectPair,
    effects.Divert,
    effects.Announce,
    effects.NotePlace,
    effects.DialPerson,
    effects.SendToFallback,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often a message or a command goes wrong, and how late it may be (`late_seconds`, at most)."""

    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    late_seconds: float = 1.5
    refused: float = 0.0
    unanswered: float = 0.0
    """Asked, and no answer: half of these commands were carried out."""


def _ends_task(given: Input) -> bool:
    """The end of an agent's only leg: a task has no other by which it would be found, but for the cross-check of both links,
    which tells of it."""
    return isinstance(given, inputs.PhoneGone) and is_task_offer(given.offer_id)


def _is_unnamed(given: Input) -> bool:
    """A caller came back from somebody outside: it names no hand-over, so that nothing tells a late copy of it from another
    return. No switch says it twice."""
    return isinstance(given, inputs.PairReturned) and given.offer_id is None


class Injector:
    """Draws the faults, and counts them. `faults` may be changed at any time."""

    def __init__(self, faults: Faults, dice: Random) -> None:
        self.faults = faults
        self.dice = dice
        self.injected = Counts()

    def strikes(self, name: str, rate: float) -> bool:
        """Whether this goes wrong now."""
        if rate <= 0.0 or self.dice.random() >= rate:
            return False
        self.injected.add(name)
        return True

    def fate_of_message(self, given: Input) -> list[float]:
        """How many seconds after its turn each copy of a message comes; none: it is lost."""
        if (
            isinstance(given, LOSABLE)
            and not _ends_task(given)
            and self.strikes("message lost", self.faults.lost)
        ):
            return []
        copies = [self._lateness(given)]
        if not _is_unnamed(given) and self.strikes("message doubled", self.faults.doubled):
            copies.append(self.dice.uniform(0.0, self.faults.late_seconds))
        return copies

    def _lateness(self, given: Input) -> float:
        if isinstance(given, OVERTAKEN) and self.strikes("message late", self.faults.late):
            return self.dice.uniform(0.01, self.faults.late_seconds)
        return 0.0

    def fate_of_command(self, effect: Effect) -> str:
        """`done`, `refused`, or without an answer: `done unseen`, `not done`."""
        if isinstance(effect, REFUSABLE) and self.strikes("command refused", self.faults.refused):
            return "refused"
        if self.strikes("command unanswered", self.faults.unanswered):
            return "done unseen" if self.dice.random() < 0.5 else "not done"
        return "done"

"""Nouns of the call-back: what a site allows, what a caller is asked, how an attempt to ring them ended; and the ring-back task.

A call-back is the caller's own call, which goes on without a caller on the line and keeps its place in the one order. A task
is work for a human: nobody is dialled for it but by a handler's key, and only a named person closes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Asked(StrEnum):
    """What a caller who accepted a call-back is being asked. A key answers each; who answers nothing goes on waiting."""

    NUMBER = "number"
    """Is the number that we have the right one? 1: yes, 2: another."""
    KEY = "key"
    """To key a number."""
    KEYED = "keyed"
    """Is the number that was keyed the right one? 1: yes, 2: again."""
    SAFE = "safe"
    """Is it safe to ring it? 1: yes, 2: another number."""


class Judgement(StrEnum):
    """What a number is as the destination of a call-back."""

    ALLOWED = "allowed"
    NO_NUMBER = "no number"
    """What was presented or keyed is no telephone number."""
    FORBIDDEN = "forbidden"
    """A number that this site never dials: premium, emergency, international, its own, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A number, judged. `number`: E.164, under which it is compared; `dialled`: as the trunk wants it; `spoken`: its digits as
    people of this country say them. All are empty for what is no number; what is not dialled has a `number` at most. `why`: in
    words without the number."""

    judgement: Judgement
    number: str = ""
    dialled: str = ""
    spoken: str = ""
    why: str = ""

    @property
    def is_allowed(self) -> bool:
        """Whether it may be dialled."""
        return self.judgement is Judgement.ALLOWED


class Destinations(Protocol):
    """Which numbers may be dialled. Pure: the same text is always judged the same."""

    def judge(self, text: str) -> Destination:
        """Judge a number as presented or keyed, whatever a stranger has put there."""


class NoDestinations:
    """Nothing may be dialled: a site without call-back."""

    def judge(self, text: str) -> Destination:  # noqa: ARG002
        """Forbidden."""
        return Destination(judgement=Judgement.FORBIDDEN, why="this site dials nobody")


class First(StrEnum):
    """Who is rung first."""

    AGENT = "agent"
    """The agent waits on the line while the person's phone rings: a human voice answers."""
    CALLER = "caller"
    """The person is rung while an agent is kept for them, and presses a key to be put through."""


class AttemptOutcome(StrEnum):
    """How one attempt to reach the person ended, but for the connection itself."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    NETWORK = "network"
    """The network or the trunk failed: their phone has not rung, as far as we know."""
    INVALID = "invalid"
    """No such number: nobody can ever be reached there."""
    MACHINE = "machine"
    """An answering machine, in the handler's judgement."""
    NO_KEY = "no_key"
    """Caller first: somebody or something answered and pressed nothing."""
    HUNG_UP = "hung_up"
    """Answered, and gone before the handler could speak."""
    PREEMPTED = "preempted"
    """A 999 took the agent while the phone rang; not counted."""
    AGENT_LEFT = "agent_left"
    """The agent hung up; counted where the person's phone had rung."""
    INTERRUPTED = "interrupted"
    """We lost sight of it before it had an outcome. It may have rung."""


COUNTED = frozenset(
    {
        AttemptOutcome.NO_ANSWER,
        AttemptOutcome.BUSY,
        AttemptOutcome.REJECTED,
        AttemptOutcome.MACHINE,
        AttemptOutcome.NO_KEY,
        AttemptOutcome.HUNG_UP,
        AttemptOutcome.INTERRUPTED,
    }
)
"""Attempts that count towards the most that a plan allows. A failing network has a limit of its own: its own back-off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a queue offers and keeps call-backs. They are offered by expected wait with hysteresis: from `offer_above_seconds` on,
    until the expectation falls below `offer_below_seconds` (0 and 0: to whoever waits); again every `offer_every_seconds`.

    `classes`: None for all. `agents_minimum`: how many who could take it must be at work. `attempts`, `spacing_seconds`: between
    them the place is kept (`keep_place`) or given up for one at the end. `handling_seconds`: a talk with its wrap-up, until
    enough have been seen. `closing_margin_seconds`: what must be left to the end of the hours.
    """

    offer_above_seconds: float = 180.0
    offer_below_seconds: float = 120.0
    offer_every_seconds: float = 60.0
    classes: tuple[str, ...] | None = None
    agents_minimum: int = 1
    in_incident: bool = False
    may_key_number: bool = True
    list_maximum: int = 100
    first: First = First.AGENT
    attempts: int = 3
    spacing_seconds: float = 120.0
    keep_place: bool = True
    ring_seconds: float = 25.0
    age_alarm_seconds: float = 1800.0
    handling_seconds: float = 240.0
    closing_margin_seconds: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """What is decided for call-backs as a whole.

    `key`: accepts the offer. `concurrent`: attempts in flight at once. `per_hour`: dials in any hour. `per_number`: promises to
    one number in a day. `idle_agents`: how many agents who can take a 999 stay free beside the one who is reserved.
    `preemptions`: after so many rings cut for a 999 it becomes a task. `unrung_seconds`: a person's phone that does not ring by
    then is not reached. `trunk_rest_seconds`: after a network failure the trunk rests so long, doubled with each that follows,
    up to `trunk_rest_maximum_seconds`. `clock_synchronised`: promises are made only while the clock is.
    """

    key: str = "1"
    trunk: str = ""
    show_number: str = ""
    concurrent: int = 10
    per_hour: int = 200
    per_number: int = 3
    idle_agents: int = 1
    preemptions: int = 2
    network_failures: int = 10
    unrung_seconds: float = 12.0
    trunk_rest_seconds: float = 5.0
    trunk_rest_maximum_seconds: float = 300.0
    check_seconds: float = 10.0
    clock_synchronised: bool = True
    channels: int | None = None
    """101 channels in use, call-backs and people who are rung for tasks included, beyond which nobody is dialled but for a 999
    task: the rest of the trunk is for 999 and inbound."""


class TaskKind(StrEnum):
    """Why a human has to ring somebody back, or look."""

    ABANDONED_999 = "abandoned_999"
    ABANDONED_101 = "abandoned_101"
    UNREACHED_CALLBACK = "unreached_callback"
    """A promised call-back whose person could not be reached as promised."""
    LOST = "lost"
    """A call that a fault of the switch or the network cut, or whose end nobody saw: waiting, ringing or in a conversation."""


class TaskOutcome(StrEnum):
    """With what a named person closed a task."""

    REACHED = "reached"
    NOT_REACHED = "not_reached"
    CALLED_AGAIN = "called_again"
    NO_NEED = "no_need"
    INCIDENT = "incident"
    """An incident was opened: others go on with it."""


class TaskAttemptOutcome(StrEnum):
    """What came of ringing the person of a task, by a handler's key."""

    SPOKEN = "spoken"
    """Somebody or something answered, and the handler was on the line with it."""
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    FAILED = "failed"
    """The network or the trunk failed, or there is no such number."""
    AGENT_LEFT = "agent_left"
    """The handler hung up while it rang."""
    PREEMPTED = "preempted"
    """A 999 needed the handler while it rang."""
    NOT_DIALLED = "not_dialled"
    """Meant, and never done: the disk did not take the intent in time, or the daemon died between the two."""
    UNSEEN = "unseen"
    """Dialled, and its end was not seen. They may have spoken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """Which abandoned 101 calls become tasks (those of 999 always do), when an open one is an alarm, and which are offered to
    phones.

    `abandoned_101_after_seconds`: from this wait on; None: never. `offered`: the kinds that are; the others wait on the list,
    and for who asks for the next. `again_seconds`: a task that was declined is not offered again before, nor is another to
    whoever declined it. `offer_seconds`: how long a phone rings for one. `choose_seconds`: how long who has answered may think.
    `dial_seconds`: how long the person's phone rings.
    """

    abandoned_101_after_seconds: float | None = None
    offered: tuple[TaskKind, ...] = (TaskKind.LOST,)
    again_seconds: float = 60.0
    offer_seconds: float = 15.0
    choose_seconds: float = 25.0
    dial_seconds: float = 30.0
    alarm_999_seconds: float = 120.0
    alarm_101_seconds: float = 3600.0
    redial_seconds: float = 900.0
    """Who calls again within this time from the number of a call that a fault cut has its time of joining."""


CALLBACK_PROMPTS = frozenset(
    {
        "callback-offer",
        "callback-your-number",
        "callback-keyed",
        "callback-is-it-right",
        "callback-is-it-safe",
        "callback-key-number",
        "callback-not-that-number",
        "callback-not-possible",
        "callback-promised",
        "callback-press-key",
        "callback-returned",
        *(f"digit-{digit}" for digit in range(10)),
    }
)
"""What is said in a call-back's name: needed, in every language that callers are spoken to in, where a queue has call-backs."""

TASK_PROMPTS = frozenset(
    {
        "task-lost",
        "task-abandoned-999",
        "task-abandoned-101",
        "task-unreached-callback",
        "task-choose",
        "task-look-up",
        "task-not-now",
    }
)
"""What is said to a handler who has answered for a task."""

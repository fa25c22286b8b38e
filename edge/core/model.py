"""Nouns that inputs, facts and effects share: time, the policy of a site, and the states of calls, offers and agents.

Nothing here changes by itself: an `Instant` is given by whoever calls, a `Policy` is read from the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

NANOSECONDS = 1_000_000_000
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks: monotonic for deadlines and durations, UTC for the record."""

    monotonic_ns: int
    utc_us: int

    def plus(self, seconds: float) -> Instant:
        """The instant `seconds` later, on both clocks."""
        return Instant(
            self.monotonic_ns + round(seconds * NANOSECONDS), self.utc_us + round(seconds * MICROSECONDS)
        )

    def since(self, earlier: Instant) -> float:
        """Seconds from `earlier` to this instant, by the monotonic clock."""
        return (self.monotonic_ns - earlier.monotonic_ns) / NANOSECONDS


class ClockState(StrEnum):
    """What the kernel says of the clock at the time of a fact (adjtimex(2))."""

    SYNCHRONISED = "synchronised"
    UNSYNCHRONISED = "unsynchronised"
    UNKNOWN = "unknown"


class Tier(IntEnum):
    """Strict tiers of service: an emergency call is always before every routine call."""

    EMERGENCY = 0
    ROUTINE = 1


class Answer(StrEnum):
    """When a line answers its caller."""

    ON_ARRIVAL = "on_arrival"
    """The switch answers before queueing: the caller hears greeting and music (101)."""
    BY_AGENT = "by_agent"
    """The caller hears ringing until a human answers (999)."""


class CallState(StrEnum):
    """Where a call is. A call is in exactly one of these."""

    WAITING = "waiting"
    OFFERED = "offered"
    CONNECTING = "connecting"
    TALKING = "talking"
    FALLBACK = "fallback"
    ENDED = "ended"


class OfferState(StrEnum):
    """Where an offer is. `withdrawn` means we asked the leg to end and it has not ended yet."""

    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"


class Activity(StrEnum):
    """What a signed-in agent is doing with calls; the engine's own, never written to the switch."""

    IDLE = "idle"
    OFFERED = "offered"
    TALKING = "talking"
    WRAP_UP = "wrap_up"


class AgentState(StrEnum):
    """The agent state that a supervisor is shown; derived from sign-in, activity and not-ready reason."""

    SIGNED_OUT = "signed out"
    READY = "ready"
    OFFERED = "offered"
    TALKING = "talking"
    WRAP_UP = "wrap-up"
    NOT_READY = "not ready"


class PhoneState(StrEnum):
    """What the switch says of a phone. Only an idle phone of a ready agent is offered a call."""

    UNKNOWN = "unknown"
    IDLE = "idle"
    RINGING = "ringing"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


class OfferOutcome(StrEnum):
    """How an offer ended."""

    ANSWERED = "answered"
    MISSED = "missed"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    WITHDRAWN = "withdrawn"
    LOST = "lost"
    """The leg ended after its answer and before the pair was connected, or unseen by us."""


class CallOutcome(StrEnum):
    """The one terminal state of a call (DOMAIN: nothing is ever lost)."""

    ANSWERED = "answered"
    ABANDONED = "abandoned"
    ENDED_UNKNOWN = "ended_unknown"
    """Its end was not seen; the fact says between which instants it fell."""


class Stage(StrEnum):
    """Where in its journey an unanswered call ended."""

    ANNOUNCEMENT = "announcement"
    QUEUE = "queue"
    RINGING = "ringing"
    CONNECTING = "connecting"
    FALLBACK = "fallback"
    TALKING = "talking"


class Side(StrEnum):
    """Who hung up."""

    CALLER = "caller"
    AGENT = "agent"
    SYSTEM = "system"
    UNKNOWN = "unknown"


class Refusal(StrEnum):
    """Why a phone's leg ended without serving the call, in the switch adapter's judgement."""

    NO_ANSWER = "no_answer"
    BUSY = "busy"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    CLEARED = "cleared"
    """Ended normally: after our own withdrawal, or by a hang-up after the answer."""
    FAILED = "failed"


class PhoneKind(StrEnum):
    """How the switch reaches a phone."""

    REGISTERED = "registered"
    """A SIP phone that registers with the switch: its device state is seen."""
    TRUNK = "trunk"
    """A number behind a SIP trunk: the switch cannot see whether it is busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityClass:
    """A class of 101 calls. `head_start_seconds`: how much earlier than it did its caller counts as having joined."""

    name: str
    head_start_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """After `after_seconds` of waiting a call needs only `skills`."""

    after_seconds: float
    skills: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """An ordered waiting place with a service target."""

    name: str
    skills: tuple[str, ...]
    relaxations: tuple[Relaxation, ...] = ()
    offer_seconds: float = 15.0
    wrap_up_seconds: float = 30.0
    target_seconds: float = 30.0
    target_share: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """How a call came in: a dialled number and what the force has decided for it."""

    name: str
    number: str
    queue: str
    tier: Tier
    priority_class: str
    answer: Answer
    greeting: str | None = None
    music: str = "default"
    dead_man_seconds: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A device that can ring. `number`: what to dial behind `trunk`, for a phone of kind trunk."""

    name: str
    kind: PhoneKind = PhoneKind.REGISTERED
    trunk: str | None = None
    number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A call handler: a person. `skills`: level per skill, 1 is best. `phone`: the phone this agent usually sits at."""

    number: str
    name: str
    skills: Mapping[str, int]
    phone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that the engine needs to know of a site. Built and validated by `edge.config`."""

    lines: Mapping[str, Line]
    queues: Mapping[str, Queue]
    classes: Mapping[str, PriorityClass]
    agents: Mapping[str, Agent]
    phones: Mapping[str, Phone]
    unreachable_seconds: float = 3.0
    """A phone that does not ring within this time is unreachable (ASTERISK.md, design rule 11)."""
    withdrawal_seconds: float = 5.0
    """A withdrawn leg that has not ended by then is taken for lost, so that its agent is not stuck."""
    connect_seconds: float = 2.0
    """An answered pair that is not connected by then goes back: the caller to their place."""
    refusal_memory_seconds: float = 30.0
    """How long a call is kept from an agent who rejected or missed it while another may take it."""
    refusal_rest_seconds: float = 2.0
    """How long an agent who has just rejected or missed a call is offered nothing at all."""
    unreachable_rest_seconds: float = 10.0
    """How long an unreachable phone is left alone, unless its state is seen to change."""
    digest: str = field(default="", compare=False)
    """SHA-256 of the configuration it came from, for the record."""

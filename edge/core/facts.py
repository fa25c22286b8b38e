"""Facts: what we hold true, recorded in order and never changed. Past tense, one line of meaning each.

A fact's instant, sequence, reason and the state of the clock stand around it in its `Entry`. Fields marked `personal()`
are kept apart in the ledger, so that they can be erased without breaking the chain (DESIGN: personal data).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, get_args

from edge.core.model import (
    CallOutcome,
    ClockState,
    Instant,
    OfferOutcome,
    PhoneState,
    Side,
    Stage,
)


def personal() -> Any:
    """A field that is personal data: None once erased."""
    return field(default=None, metadata={"personal": True})


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStarted:
    """The daemon began to act on this ledger."""

    version: str
    policy_digest: str
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStopped:
    """The daemon stopped on purpose. Its absence before the next `DaemonStarted` means that it was killed."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchLost:
    """From here on the switch was not seen."""

    link: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchRestored:
    """The switch was seen again and compared with what we held."""

    calls_adopted: int
    calls_kept: int
    calls_missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockChanged:
    """The state of the system clock changed."""

    state: ClockState
    error_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTroubleBegan:
    """The ledger was slow or refused; calls went on from memory. Written when it could be written."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTroubleEnded:
    """The ledger takes facts again; those made meanwhile stand before this one, or are named as lost in `detail`."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallArrived:
    """A call reached us (or was found waiting: `adopted`)."""

    call_id: str
    leg_id: str
    line: str
    number_withheld: bool
    adopted: bool
    caller_number: str | None = personal()
    caller_name: str | None = personal()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallAnswered:
    """The caller got an answer (200 OK), by the switch on arrival or by an agent. Charging and BT's clock run from here."""

    call_id: str
    by: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class CallQueued:
    """The call took its place: `queued_at` is its original time of joining, earlier than this fact when adopted."""

    call_id: str
    queue: str
    priority_class: str
    tier: int
    queued_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementStarted:
    """The caller began to hear this prompt (or its playing was asked for)."""

    call_id: str
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementEnded:
    """The prompt ended; not `completed` when it was cut short."""

    call_id: str
    prompt: str
    completed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferMade:
    """The call was offered to this agent at this phone."""

    offer_id: str
    call_id: str
    agent: str
    phone: str
    ring_seconds: float
    waited_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRang:
    """The agent's phone rang."""

    offer_id: str
    call_id: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferAnswered:
    """The agent answered: the call is theirs."""

    offer_id: str
    call_id: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferWithdrawn:
    """We asked the agent's leg to end. `outcome` is what the offer will count as."""

    offer_id: str
    call_id: str
    agent: str
    outcome: OfferOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferEnded:
    """The agent's leg is gone and the offer is over."""

    offer_id: str
    call_id: str
    agent: str
    outcome: OfferOutcome
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallConnected:
    """Caller and agent hear each other."""

    call_id: str
    offer_id: str
    agent: str
    waited_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReturned:
    """The connection failed: the caller is at their place in the queue again, with their original time of joining."""

    call_id: str
    offer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallHeld:
    """The agent put the caller on hold."""

    call_id: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResumed:
    """The agent took the caller off hold."""

    call_id: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackEntered:
    """The switch's own queue took the call."""

    call_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConnected:
    """The switch's own queue connected the call."""

    call_id: str
    agent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """The call reached its one terminal state. `stage`: where it was. Seconds are from joining the queue and from connection.

    `unseen_since` is set for `ended_unknown`: the end fell between it and this fact.
    """

    call_id: str
    outcome: CallOutcome
    stage: Stage
    side: Side
    cause: str
    waited_seconds: float
    talked_seconds: float
    agent: str | None
    unseen_since: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSignedIn:
    """The agent signed in at this phone, or moved to it."""

    agent: str
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSignedOut:
    """The agent signed out."""

    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBecameReady:
    """The agent set themselves ready."""

    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBecameNotReady:
    """The agent set themselves not ready."""

    agent: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpStarted:
    """The agent's conversation ended; work on it goes on for at most `seconds`."""

    agent: str
    call_id: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WrapUpEnded:
    """The agent's wrap-up ended."""

    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneChanged:
    """The switch saw this phone change."""

    phone: str
    state: PhoneState


Fact = (
    DaemonStarted
    | DaemonStopped
    | SwitchLost
    | SwitchRestored
    | ClockChanged
    | LedgerTroubleBegan
    | LedgerTroubleEnded
    | CallArrived
    | CallAnswered
    | CallQueued
    | AnnouncementStarted
    | AnnouncementEnded
    | OfferMade
    | OfferRang
    | OfferAnswered
    | OfferWithdrawn
    | OfferEnded
    | CallConnected
    | CallReturned
    | CallHeld
    | CallResumed
    | FallbackEntered
    | FallbackConnected
    | CallEnded
    | AgentSignedIn
    | AgentSignedOut
    | AgentBecameReady
    | AgentBecameNotReady
    | WrapUpStarted
    | WrapUpEnded
    | PhoneChanged
)

CallFact = (
    CallArrived
    | CallAnswered
    | CallQueued
    | AnnouncementStarted
    | AnnouncementEnded
    | OfferMade
    | OfferRang
    | OfferAnswered
    | OfferWithdrawn
    | OfferEnded
    | CallConnected
    | CallReturned
    | CallHeld
    | CallResumed
    | FallbackEntered
    | FallbackConnected
    | CallEnded
)
"""Facts of one call."""

OfferFact = OfferMade | OfferRang | OfferAnswered | OfferWithdrawn | OfferEnded
"""Facts of one offer."""

KINDS: dict[str, type[Fact]] = {kind.__name__: kind for kind in get_args(Fact)}
"""Fact class by its name, which is its `kind` in the ledger."""


def personal_fields(kind: type[Fact]) -> tuple[str, ...]:
    """Names of the fields of this kind of fact that are personal data."""
    return tuple(part.name for part in fields(kind) if part.metadata.get("personal"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A fact and what stands around it in the ledger."""

    sequence: int
    at: Instant
    fact: Fact
    reason: str
    clock: ClockState
    switch_utc_us: int | None = None

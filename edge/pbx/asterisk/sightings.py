"""Sightings: what one message of either link shows, in plain values. The book (`book.py`) makes inputs of them.

A `leg_id` is a channel's unique id, the same on both links. `switch_utc_us` is the message's own stamp: from ARI
milliseconds, truncated, taken when the happening was; from AMI microseconds, taken when its text was built, 0.1 to 3 ms
later (ASTERISK.md 2.12). Stamps and order of the two links are never compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.core.inputs import (
    AssistAsked,
    CallAnnotated,
    CallbackOfferingSet,
    CallbackOrdered,
    CallRefused,
    EquipmentChecked,
    IncidentSet,
    PersonJudged,
    SupervisionSeen,
    SupervisorInvited,
    TaskAsked,
    TaskAssigned,
    TaskClosed,
    TaskSpokenWith,
    WrapUpCoded,
)
from edge.core.model import PhoneState, TransferKind
from edge.core.promise import TaskAttemptOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, as far as the network says. Written by strangers, cleaned; a withheld number is never kept."""

    number: str | None = None
    name: str | None = None
    withheld: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerEntered:
    """A caller's leg came into our application: newly, or because (`returned`) a hand-over, diversion or transfer found nobody,
    or because (`sent_back_to`, a queue) a handler sent them there, or because (`attempt`) somebody who was called back has
    answered."""

    call_id: str
    leg_id: str
    line: str
    caller: Caller
    returned: bool
    joined_utc_us: int | None
    switch_utc_us: int | None
    sent_back_to: str | None = None
    interface: str = ""
    """What the leg belongs to, such as PJSIP/desk1."""
    attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerSwapped:
    """An attended transfer put this leg into our application in the place of another, which ends: no arguments came with it,
    and what the dialplan wrote on the other leg (call, line, time of joining, dead-man) is now on this one."""

    leg_id: str
    replaced_leg_id: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassedOn:
    """A transfer was carried out by whoever holds `transferer_leg_ids`: `leg_ids` are the others, of whom one may be our caller.

    `target`: what was dialled, where the switch tells; `interfaces`: by leg, what it was dialled as.
    `into_queue`: the far end waits in the switch's own queue.
    """

    kind: TransferKind
    transferer_leg_ids: tuple[str, ...]
    leg_ids: tuple[str, ...]
    target: str
    interfaces: Mapping[str, str]
    into_queue: bool = False
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DivertedTook:
    """The other number answered the caller whom we had sent there."""

    leg_id: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consulted:
    """Somebody at `from_phone`, by `from_leg_id`, has rung up this agent, who has answered at `phone`, by `leg_id`."""

    from_phone: str
    from_leg_id: str
    agent: str
    phone: str
    leg_id: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ColleagueTook:
    """The colleague to whom a handler transferred the caller of `caller_leg_id` has answered; theirs is `leg_id`."""

    call_id: str
    caller_leg_id: str
    leg_id: str
    agent: str
    phone: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHeard:
    """The party at this leg pressed a key."""

    leg_id: str
    key: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTaken:
    """A caller of the switch's own queue pressed the emergency key, and was put among its emergencies."""

    call_id: str
    key: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistedMarked:
    """Somebody marked a caller as coming through a relay: that of `call_id`, or the one whom `agent` talks with."""

    call_id: str | None
    agent: str | None
    by: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The dialplan or the command line says, in as many words, what the engine is to hear."""

    said: (
        WrapUpCoded
        | AssistAsked
        | SupervisionSeen
        | SupervisorInvited
        | IncidentSet
        | EquipmentChecked
        | CallAnnotated
        | CallRefused
        | CallbackOrdered
        | CallbackOfferingSet
        | PersonJudged
        | TaskAssigned
        | TaskClosed
        | TaskAsked
        | TaskSpokenWith
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LegAnswered:
    """An agent's leg came into our application: the phone was answered."""

    offer_id: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentKeyHeard:
    """An agent in our application pressed a key."""

    offer_id: str
    key: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRung:
    """The dialplan has rung the person of a task for the agent on this leg, or could not: what came of it."""

    leg_id: str
    outcome: TaskAttemptOutcome
    words: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRang:
    """An agent's phone said 180 or 183."""

    offer_id: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRinging:
    """The network says 180 or 183 of the person who is called back on this leg."""

    leg_id: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEnded:
    """A leg is gone. `cause`: Q.850 number; `status`: SIP status where the link tells it, else 0; `answered`: it was up."""

    leg_id: str
    cause: int
    status: int
    words: str
    switch_utc_us: int | None
    answered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUpAsked:
    """The party at this leg hung up."""

    leg_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridged:
    """A leg entered this bridge, or (None) left its bridge."""

    leg_id: str
    bridge_id: str | None
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The party at this leg put the other on hold, or took them back."""

    leg_id: str
    held: bool
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackEnded:
    """A playback of ours is over."""

    playback_id: str
    completed: bool
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSeen:
    """A member of one of our queues. `interface` None: removed from it. `not_ready_reason` None: not paused."""

    queue: str
    agent: str
    interface: str | None
    not_ready_reason: str | None
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSeen:
    """The state of the device behind an interface such as PJSIP/desk1."""

    interface: str
    state: PhoneState
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackEntered:
    """The dialplan is about to queue this caller without us."""

    call_id: str
    leg_id: str
    line: str
    why: str
    caller: Caller
    joined_utc_us: int | None
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConnected:
    """The switch connected this caller's leg by itself: to a member of its queue (`agent`), or to somebody who is none."""

    leg_id: str
    agent: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyAsked:
    """An agent dialled the code for ready."""

    agent: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMissing:
    """We asked for this call's leg, and the switch shows none."""

    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePassed:
    """It is `now_seconds`, by the adapter's own clock. Not from the switch: for those who key a number and then nothing more."""

    now_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryHeard:
    """Our own user event came back."""

    nonce: str


Sighting = (
    CallerEntered
    | CallerSwapped
    | PassedOn
    | ColleagueTook
    | Consulted
    | DivertedTook
    | KeyHeard
    | KeyTaken
    | AssistedMarked
    | Told
    | AgentKeyHeard
    | TaskRung
    | LegAnswered
    | LegRang
    | PersonRinging
    | LegEnded
    | HangUpAsked
    | Bridged
    | Held
    | PlaybackEnded
    | MemberSeen
    | DeviceSeen
    | FallbackEntered
    | FallbackConnected
    | ReadyAsked
    | CallMissing
    | TimePassed
    | CanaryHeard
)

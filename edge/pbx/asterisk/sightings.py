"""Sightings: what one message of either link shows, in plain values. The book (`book.py`) makes inputs of them.

A `leg_id` is a channel's unique id, the same on both links. `switch_utc_us` is the message's own stamp: from ARI
milliseconds, truncated, taken when the happening was; from AMI microseconds, taken when its text was built, 0.1 to 3 ms
later (ASTERISK.md 2.12). Stamps and order of the two links are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.core.model import PhoneState


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls, as far as the network says. Written by strangers, cleaned; a withheld number is never kept."""

    number: str | None = None
    name: str | None = None
    withheld: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerEntered:
    """A caller's leg came into our application: newly, or (`returned`) because a hand-over found no agent leg."""

    call_id: str
    leg_id: str
    line: str
    caller: Caller
    returned: bool
    joined_utc_us: int | None
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegAnswered:
    """An agent's leg came into our application: the phone was answered."""

    offer_id: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRang:
    """An agent's phone said 180 or 183."""

    offer_id: str
    switch_utc_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEnded:
    """A leg is gone. `cause`: Q.850 number; `status`: SIP status where the link tells it, else 0."""

    leg_id: str
    cause: int
    status: int
    words: str
    switch_utc_us: int | None


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
    """The switch's own queue connected this caller's leg to a member."""

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
class CanaryHeard:
    """Our own user event came back."""

    nonce: str


Sighting = (
    CallerEntered
    | LegAnswered
    | LegRang
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
    | CanaryHeard
)

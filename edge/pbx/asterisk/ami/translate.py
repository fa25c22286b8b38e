"""AMI: events to sightings, effects to actions. Pure.

Whatever is global comes from here and not from ARI: phones, queue members, hang-ups, bridges, the fallback.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from panoramisk.message import Message

from edge.core.model import PhoneState
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.ami.wire import text
from edge.pbx.asterisk.ari.translate import milliseconds
from edge.pbx.asterisk.sightings import (
    Bridged,
    DeviceSeen,
    FallbackConnected,
    FallbackEntered,
    HangUpAsked,
    Held,
    LegEnded,
    MemberSeen,
    ReadyAsked,
    Sighting,
)

QUEUE_PREFIX = "edge-"
UNSPECIFIED = "unspecified"
"""The reason where a queue member is paused without one."""

Action = tuple[str, Mapping[str, str]]

PHONE_STATES = {
    "NOT_INUSE": PhoneState.IDLE,
    "INUSE": PhoneState.BUSY,
    "BUSY": PhoneState.BUSY,
    "ONHOLD": PhoneState.BUSY,
    "RINGINUSE": PhoneState.BUSY,
    "RINGING": PhoneState.RINGING,
    "UNAVAILABLE": PhoneState.UNAVAILABLE,
    "INVALID": PhoneState.UNAVAILABLE,
}


# --- effects to actions; a channel may be named by its unique id ---


def renew(leg_id: str, seconds: float) -> Action:
    """Put the dead-man off. Not blocked by a playback, and no event comes of it (ASTERISK.md 1.10, 8)."""
    return "Setvar", {"Channel": leg_id, "Variable": "TIMEOUT(absolute)", "Value": f"{seconds:g}"}


def connect(caller_leg: str, offer_id: str) -> list[Action]:
    """Hand the pair over to the dialplan's own Bridge()."""
    return [
        _set(caller_leg, "EDGE_AGENT_CHANNEL", identity.leg_of_offer(offer_id)),
        _redirect(caller_leg, "edge-connect", "connect"),
    ]


def send_to_fallback(caller_leg: str, line: str) -> list[Action]:
    """Hand the caller to the dialplan's own queue."""
    return [_set(caller_leg, "EDGE_WHY", "sent"), _redirect(caller_leg, f"edge-line-{line}", "fallback")]


def _set(leg_id: str, variable: str, value: str) -> Action:
    return "Setvar", {"Channel": leg_id, "Variable": variable, "Value": value}


def _redirect(leg_id: str, context: str, extension: str) -> Action:
    return "Redirect", {"Channel": leg_id, "Context": context, "Exten": extension, "Priority": "1"}


# --- events to sightings ---


def sighting(message: Message) -> Sighting | None:
    """What an event shows, or None: nothing to us."""
    read = READERS.get(text(message, "Event"))
    return read(message) if read is not None else None


def stamp(message: Message) -> int | None:
    """The event's time in microseconds of UTC (timestampevents=yes in manager.conf)."""
    try:
        return int(Decimal(text(message, "Timestamp")) * 1_000_000)
    except (InvalidOperation, ValueError, OverflowError):
        return None


def _cause(message: Message, key: str) -> int:
    value = text(message, key)
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 4 else 0


def _hang_up(message: Message) -> Sighting:
    return LegEnded(
        leg_id=text(message, "Uniqueid"),
        cause=_cause(message, "Cause"),
        status=_cause(message, "TechCause"),
        words=text(message, "Cause-txt"),
        switch_utc_us=stamp(message),
    )


def _hang_up_request(message: Message) -> Sighting:
    return HangUpAsked(leg_id=text(message, "Uniqueid"))


def _bridge_enter(message: Message) -> Sighting:
    return Bridged(
        leg_id=text(message, "Uniqueid"),
        bridge_id=text(message, "BridgeUniqueid"),
        switch_utc_us=stamp(message),
    )


def _bridge_leave(message: Message) -> Sighting:
    return Bridged(leg_id=text(message, "Uniqueid"), bridge_id=None, switch_utc_us=stamp(message))


def _hold(message: Message) -> Sighting:
    return Held(leg_id=text(message, "Uniqueid"), held=True, switch_utc_us=stamp(message))


def _unhold(message: Message) -> Sighting:
    return Held(leg_id=text(message, "Uniqueid"), held=False, switch_utc_us=stamp(message))


def member(message: Message) -> MemberSeen | None:
    """A member of one of our queues; the list of QueueStatus names its fields differently from the events."""
    queue = text(message, "Queue")
    if not queue.startswith(QUEUE_PREFIX):
        return None
    paused = text(message, "Paused") == "1"
    reason = identity.clean(text(message, "PausedReason") or text(message, "Reason")) or UNSPECIFIED
    return MemberSeen(
        queue=queue,
        agent=text(message, "MemberName") or text(message, "Name"),
        interface=text(message, "Interface") or text(message, "Location"),
        not_ready_reason=reason if paused else None,
        switch_utc_us=stamp(message),
    )


def _member_removed(message: Message) -> MemberSeen | None:
    seen = member(message)
    if seen is None:
        return None
    return MemberSeen(
        queue=seen.queue,
        agent=seen.agent,
        interface=None,
        not_ready_reason=None,
        switch_utc_us=seen.switch_utc_us,
    )


def _device(message: Message) -> Sighting:
    return DeviceSeen(
        interface=text(message, "Device"),
        state=PHONE_STATES.get(text(message, "State"), PhoneState.UNKNOWN),
        switch_utc_us=stamp(message),
    )


def _user_event(message: Message) -> Sighting | None:
    read = _USER_EVENTS.get(text(message, "UserEvent"))
    return read(message) if read is not None else None


def _ready(message: Message) -> Sighting:
    return ReadyAsked(agent=text(message, "Agent"), switch_utc_us=stamp(message))


def _fallback(message: Message) -> Sighting | None:
    if not text(message, "Call"):
        return None
    return FallbackEntered(
        call_id=text(message, "Call"),
        leg_id=text(message, "Uniqueid"),
        line=text(message, "Line"),
        why=identity.clean(text(message, "Why")) or "entry",
        caller=identity.caller(
            text(message, "CallerIDNum"), _known(text(message, "CallerIDName")), text(message, "Presentation")
        ),
        joined_utc_us=milliseconds(text(message, "Joined")),
        switch_utc_us=stamp(message),
    )


def _known(name: str) -> str:
    return "" if name == "<unknown>" else name


def _agent_connect(message: Message) -> Sighting | None:
    if not text(message, "Queue").startswith(QUEUE_PREFIX):
        return None
    return FallbackConnected(
        leg_id=text(message, "Uniqueid"), agent=text(message, "MemberName"), switch_utc_us=stamp(message)
    )


_USER_EVENTS: Mapping[str, Callable[[Message], Sighting | None]] = {
    "EdgeFallback": _fallback,
    "EdgeReady": _ready,
}
READERS: Mapping[str, Callable[[Message], Sighting | None]] = {
    "Hangup": _hang_up,
    "HangupRequest": _hang_up_request,
    "BridgeEnter": _bridge_enter,
    "BridgeLeave": _bridge_leave,
    "Hold": _hold,
    "Unhold": _unhold,
    "QueueMemberAdded": member,
    "QueueMemberPause": member,
    "QueueMember": member,
    "QueueMemberRemoved": _member_removed,
    "DeviceStateChange": _device,
    "UserEvent": _user_event,
    "AgentConnect": _agent_connect,
}

"""ARI: events to sightings, effects to requests. Pure.

No event source is ever subscribed to beyond what Stasis and originate give by themselves: asking for all of them, or for
device states, can deadlock Asterisk when the websocket closes (ASTERISK.md 0.1, asterisk/asterisk issue 2170).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from dialplans.asterisk.generate import PRIORITY_CONSTANT
from edge.core.effects import DialPerson, MakeOffer, RingForTask
from edge.core.model import Phone, Tier
from edge.core.task_state import is_task_offer
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.sightings import (
    AgentKeyHeard,
    Caller,
    CallerEntered,
    CallerSwapped,
    CanaryHeard,
    LegAnswered,
    LegRang,
    PlaybackEnded,
    Sighting,
)

Event = Mapping[str, Any]

EVENT_TYPES = (
    "CallBroadcast",
    "StasisStart",
    "ChannelStateChange",
    "ChannelDtmfReceived",
    "PlaybackFinished",
    "ChannelUserevent",
    "ApplicationReplaced",
)
"""What we want to hear; the rest is about 10 events a call. Ends of legs are heard on AMI only, because only AMI tells who
hung up, and what one link tells must not be put in order against the other (ASTERISK.md 2.12); callers' keys likewise, because
only AMI tells those of callers who talk. An agent's keys are heard here, while they are asked for one: their legs stand in the
context of the phones, of whose keys AMI is told nothing (a PIN is among them)."""

EXTRA_RING_SECONDS = 5
"""The switch's own limit lies behind the engine's, so that only the engine ends an offer while it lives."""
EXTRA_URGENT_SECONDS = 2
"""The same for a 999: should we die, its agents' phones must soon be free for the switch's own queue."""
LARGEST_NUMBER = 20
"""Numbers are spoken up to here; the prompt after it says "more than twenty"."""
NO_FORWARDING = "edge-no-forwarding"
"""A context that does not exist: a forwarded leg ends there."""


DECISECOND_US = 100_000
KEYS = frozenset("0123456789*#")


@dataclass(frozen=True, slots=True)
class Request:
    """One ARI operation, by its names in Asterisk's api-docs."""

    resource: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


# --- effects to requests ---


def display(offer: MakeOffer) -> str:
    """What a phone shows: 999, an upgraded 101 or a call-back, line, class, how long the caller has waited, and what else is to
    be known."""
    minutes, seconds = divmod(max(0, int(offer.waited_seconds)), 60)
    words = [_urgency(offer)] if is_urgent(offer) else ["CALL-BACK"] if offer.callback else []
    words += [offer.line, offer.priority_class]
    shown = identity.printable(" ".join([*dict.fromkeys(words), f"{minutes}:{seconds:02d}"]))
    mark = " "
    for note in map(identity.printable, offer.notes):  # as many as fit, each whole
        if len(shown) + len(mark) + len(note) <= identity.LONGEST_NAME:
            shown, mark = shown + mark + note, " - "
    return shown


def is_urgent(offer: MakeOffer) -> bool:
    """Whether a phone is to ring as for an emergency."""
    return offer.upgraded or offer.tier is Tier.EMERGENCY


def _urgency(offer: MakeOffer) -> str:
    return "UPGRADED 101" if offer.upgraded else "999"


def _notes(offer: MakeOffer) -> str:
    return " - ".join(offer.notes)


def originate(
    offer: MakeOffer,
    phone: Phone,
    app: str,
    caller_leg: str | None,
    *,
    agent: str | None = None,
    alert_info: str = "",
) -> Request:
    """Ring the phone. Its leg frees itself when we die between answer and hand-over: TIMEOUT(absolute) hangs it up.

    A phone that answers 302 does not send the caller elsewhere: Asterisk would dial what it names in the phones' context,
    public numbers included, and show us nothing of that leg. `agent`: who sits there; supervisors find the leg by it.
    `alert_info`: the header of an emergency's ring, from the configuration, "" for none.
    """
    extra = EXTRA_URGENT_SECONDS if is_urgent(offer) else EXTRA_RING_SECONDS
    limit = round(offer.ring_seconds) + extra
    headers = {
        "X-Edge-Call": offer.call_id,
        "X-Edge-Line": offer.line,
        "X-Edge-Class": _urgency(offer).lower() if is_urgent(offer) else offer.priority_class,
        "X-Edge-Wait": str(int(offer.waited_seconds)),
    }
    if offer.callback:
        headers["X-Edge-Callback"] = "yes"
    if offer.notes:
        headers["X-Edge-Notes"] = _notes(offer)
    variables = {f"PJSIP_HEADER(add,{name})": identity.printable(value) for name, value in headers.items()}
    if alert_info and is_urgent(offer):
        variables["PJSIP_HEADER(add,Alert-Info)"] = alert_info
    if agent is not None:
        variables["SPYGROUP"] = agent
    parameters = {
        "channelId": identity.leg_of_offer(offer.offer_id),
        "endpoint": identity.interface(phone),
        "app": app,
        "appArgs": f"offer,{offer.offer_id}",
        "callerId": f"{display(offer)} <{identity.digits(offer.caller_number)}>",
        "timeout": limit,
        "variables": {"TIMEOUT(absolute)": str(limit), "FORWARD_CONTEXT": NO_FORWARDING, **variables},
    }
    if caller_leg is not None:
        parameters["originator"] = caller_leg
    return Request("channels", "originateWithId", parameters)


def task_display(task: RingForTask) -> str:
    """What a phone shows that rings for a task: that somebody is to be rung back, 999 or 101, why, and since when they wait."""
    minutes, seconds = divmod(max(0, int(task.waited_seconds)), 60)
    kind = task.kind.removesuffix("_999").removesuffix("_101").replace("_", " ")
    tier = "999" if task.emergency else "101"
    return identity.printable(f"RING BACK {tier} {kind} {minutes}:{seconds:02d}")


def originate_for_task(task: RingForTask, phone: Phone, app: str, *, agent: str | None = None) -> Request:
    """Ring the phone for a task: as for a call, without a caller."""
    limit = round(task.ring_seconds) + EXTRA_RING_SECONDS
    headers = {"X-Edge-Task": task.task_id, "X-Edge-Class": "999" if task.emergency else "101"}
    variables = {f"PJSIP_HEADER(add,{name})": identity.printable(value) for name, value in headers.items()}
    if agent is not None:
        variables["SPYGROUP"] = agent
    parameters = {
        "channelId": identity.leg_of_offer(task.offer_id),
        "endpoint": identity.interface(phone),
        "app": app,
        "appArgs": f"offer,{task.offer_id}",
        "callerId": f"{task_display(task)} <{identity.digits(task.number)}>",
        "timeout": limit,
        "variables": {"TIMEOUT(absolute)": str(limit), "FORWARD_CONTEXT": NO_FORWARDING, **variables},
    }
    return Request("channels", "originateWithId", parameters)


def ring_person(offer_id: str) -> Request:
    """Let the dialplan ring whom is noted on this agent's leg. Refused with 409 when the leg is not in our application: so it is
    done once, however often it is asked."""
    parameters = {
        "channelId": identity.leg_of_offer(offer_id),
        "context": "edge-task",
        "extension": "ring",
        "priority": 1,
    }
    return Request("channels", "continueInDialplan", parameters)


def queue_priority(place_utc_us: int) -> int:
    """A place in the one order as the switch's own queue has it, which serves higher priorities first."""
    return PRIORITY_CONSTANT - place_utc_us // DECISECOND_US


def attempt_seconds(person: DialPerson, unrung_seconds: float) -> int:
    """The switch's own limit for a person's phone: behind the engine's, for what it may take to ring and may ring."""
    return round(person.ring_seconds + unrung_seconds) + EXTRA_RING_SECONDS


def dial(person: DialPerson, unrung_seconds: float) -> Request:
    """Ring somebody who is called back. Their leg is the dialplan's own from the answer on, and all that it needs to be a
    caller's without us stands on it; it takes a channel of the trunk, so it is counted with the callers of 101 lines."""
    variables = {
        "EDGE_CALL": person.call_id,
        "EDGE_LINE": person.line,
        "EDGE_TIER": "101",
        "EDGE_JOINED": str(person.joined_utc_us // 1000),
        "EDGE_QUEUE": person.queue,
        "QUEUE_PRIO": str(queue_priority(person.place_utc_us)),
        "EDGE_PERSON": person.number,
        "CHANNEL(language)": person.language,
        "GROUP(edge101)": "routine",
        "FORWARD_CONTEXT": NO_FORWARDING,
    }
    parameters = {
        "channelId": identity.leg_of_attempt(person.call_id, person.attempt),
        "endpoint": f"PJSIP/{person.number}@{person.trunk}",
        "context": "edge-reached",
        "extension": "reached",
        "priority": 1,
        "callerId": f"<{identity.digits(person.show_number)}>",
        "timeout": attempt_seconds(person, unrung_seconds),
        "variables": variables,
    }
    return Request("channels", "originateWithId", parameters)


def hang_up(offer_id: str, *, answered_elsewhere: bool = False) -> Request:
    """End an offer's leg. `answered_elsewhere`: the phone is told so (Reason: SIP;cause=200, RFC 3326)."""
    reason = {"reason": "answered_elsewhere"} if answered_elsewhere else {}
    return Request("channels", "hangup", {"channelId": identity.leg_of_offer(offer_id), **reason})


def hang_up_leg(leg_id: str) -> Request:
    """End a caller's or a person's leg. A playback does not delay it (ASTERISK.md 0.5)."""
    return Request("channels", "hangup", {"channelId": leg_id})


def channel(leg_id: str) -> Request:
    """One channel, wherever it is; refused with 404 when there is none."""
    return Request("channels", "get", {"channelId": leg_id})


def play(playback_id: str, leg_id: str, folder: str, sounds: Iterable[str]) -> Request:
    """Play sounds to the caller, one after the other, each in the language of the caller's channel."""
    media = [f"sound:{folder}/{_file(sound)}" for sound in sounds]
    return Request("channels", "playWithId", {"channelId": leg_id, "playbackId": playback_id, "media": media})


def _file(sound: str) -> str:
    """The file of a sound. A number is one of our own prompts, and above twenty all are "more than twenty"."""
    kind, colon, number = sound.partition(":")
    if not colon:
        return sound
    if kind == "digit" and len(number) == 1 and number in "0123456789":
        return f"digit-{number}"
    if kind != "number" or not (number.isascii() and number.isdigit()):
        raise ValueError(f"no such kind of sound: {sound}")
    return f"number-{min(max(int(number), 1), LARGEST_NUMBER + 1)}"


def stop(playback_id: str) -> Request:
    """End a playback at once; refused with 404 when it is over."""
    return Request("playbacks", "stop", {"playbackId": playback_id})


def ring(leg_id: str) -> Request:
    """Let a caller who is not answered yet hear ringing again, which a playback has ended. On an answered leg it is a tone."""
    return Request("channels", "ring", {"channelId": leg_id})


def music(leg_id: str, music_class: str) -> Request:
    """Music on hold. Asterisk does not take it up again by itself after a playback (ASTERISK.md 2.9)."""
    return Request("channels", "startMoh", {"channelId": leg_id, "mohClass": music_class})


def application(app: str) -> Request:
    """Our application: which channels are in it."""
    return Request("applications", "get", {"applicationName": app})


PROBE = "EDGE_PROBE"
"""A global variable of the switch that nobody else uses."""


def set_global(variable: str, value: str) -> Request:
    """Set a global variable of the dialplan."""
    return Request("asterisk", "setGlobalVar", {"variable": variable, "value": value})


LIST_CHANNELS = Request("channels", "list")
LIST_BRIDGES = Request("bridges", "list")


# --- events to sightings ---


def decoded(data: str | bytes) -> Any:
    """What this JSON says. Raises ValueError or RecursionError."""
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        # Slower, and takes more: half a character in the name of a caller is no reason to lose them.
        return json.loads(data)


def sighting(event: Event) -> Sighting | None:
    """What an event shows, or None: nothing to us. Anything may be missing or of another type in `event`."""
    read = _READERS.get(_text(event, "type"))
    return read(event) if read is not None else None


def _text(source: Any, *path: str) -> str:
    """The string at the end of a path of keys, "" where there is none."""
    for key in path:
        # A dictionary is told sooner than a mapping.
        source = source.get(key) if isinstance(source, (dict, Mapping)) else None
    return source if isinstance(source, str) else ""


def asks_who_takes(event: Event) -> str | None:
    """The leg that waits for somebody to claim it; None for every other event."""
    leg_id = _text(event, "channel", "id")
    return leg_id if leg_id and event.get("type") == "CallBroadcast" else None


def stamp(event: Event) -> int | None:
    """The event's time in microseconds of UTC (milliseconds, truncated by Asterisk)."""
    try:
        return round(datetime.fromisoformat(_text(event, "timestamp")).timestamp() * 1_000_000)
    except (ValueError, OverflowError, OSError):
        return None


def milliseconds(text: str) -> int | None:
    """Microseconds of UTC from the dialplan's milliseconds of the epoch, None where it is no such number."""
    return int(text) * 1000 if text.isascii() and text.isdigit() and len(text) <= 14 else None


def _stasis_start(event: Event) -> Sighting | None:
    arguments = event.get("args")
    replaced = _text(event, "replace_channel", "id")
    if replaced and not arguments:
        return CallerSwapped(
            leg_id=_text(event, "channel", "id"), replaced_leg_id=replaced, switch_utc_us=stamp(event)
        )
    return entered(event.get("channel"), arguments if isinstance(arguments, list) else [], stamp(event))


def entered(
    channel: Any, arguments: list[Any], switch_utc_us: int | None
) -> CallerEntered | LegAnswered | None:
    """Who stands in our application, by the arguments with which they came."""
    match arguments:
        case ["offer", str(offer_id)]:
            return LegAnswered(offer_id=offer_id, switch_utc_us=switch_utc_us)
        case [str(kind), str(call_id), str(line), str(joined), *rest] if kind in identity.ENTRIES and call_id:
            presentation, further = (*(str(word) for word in rest), "", "")[:2]
            return CallerEntered(
                call_id=call_id,
                leg_id=_text(channel, "id"),
                line=line,
                caller=caller_of(channel, presentation),
                returned=kind == "returned",
                joined_utc_us=milliseconds(joined),
                switch_utc_us=switch_utc_us,
                sent_back_to=further if kind == "sent-back" else None,
                attempt=_attempt(channel, call_id) if kind == "reached" else None,
                interface=identity.interface_of_leg(_text(channel, "name")),
            )
    return None


def _attempt(channel: Any, call_id: str) -> int | None:
    """Which attempt to call the person of this call back has brought this channel."""
    known = identity.attempt_of_leg(_text(channel, "id"))
    return known[1] if known is not None and known[0] == call_id else None


def caller_of(channel: Any, presentation: str = "") -> Caller:
    """Who calls, from a channel's JSON."""
    return identity.caller(_text(channel, "caller", "number"), _text(channel, "caller", "name"), presentation)


def _state_change(event: Event) -> Sighting | None:
    offer_id = identity.offer_of_leg(_text(event, "channel", "id"))
    if offer_id is None or _text(event, "channel", "state") != "Ringing":
        return None
    return LegRang(offer_id=offer_id, switch_utc_us=stamp(event))


def _key(event: Event) -> Sighting | None:
    """A key of an agent who is asked for one; never logged."""
    offer_id, key = identity.offer_of_leg(_text(event, "channel", "id")), _text(event, "digit")
    if offer_id is None or not is_task_offer(offer_id) or key not in KEYS:
        return None
    return AgentKeyHeard(offer_id=offer_id, key=key, switch_utc_us=stamp(event))


def _playback_finished(event: Event) -> Sighting:
    return PlaybackEnded(
        playback_id=_text(event, "playback", "id"),
        completed=_text(event, "playback", "state") == "done",
        switch_utc_us=stamp(event),
    )


def _user_event(event: Event) -> Sighting:
    return CanaryHeard(nonce=_text(event, "userevent", "nonce"))


_READERS = {
    "StasisStart": _stasis_start,
    "ChannelStateChange": _state_change,
    "ChannelDtmfReceived": _key,
    "PlaybackFinished": _playback_finished,
    "ChannelUserevent": _user_event,
}

"""Looking at the switch after connecting: which legs, members and phones there are, and whose they are.

Legs are known by their channel ids, callers in our application by its arguments, callers elsewhere by their context and
by the variables that the dialplan set on arrival; so this works after a crash of ours without any memory.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Any

from panoramisk.message import Message

from edge.core.task_state import is_task_offer
from edge.errors import RefusedError
from edge.pbx.asterisk import identity
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami.client import AmiClient
from edge.pbx.asterisk.ami.wire import text
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.ari.client import AriClient
from edge.pbx.asterisk.book import AgentLeg, CallerLeg, PersonLeg, Place, Snapshot
from edge.pbx.asterisk.sightings import CallerEntered, DeviceSeen, FallbackConnected, KeyTaken, MemberSeen

VARIABLES = (
    "EDGE_CALL",
    "EDGE_LINE",
    "EDGE_JOINED",
    "EDGE_UPGRADED",
    "EDGE_AGENT_CHANNEL",
    "CALLERID(num-pres)",
    "MEMBERNAME",
)
"""What the dialplan, app_queue and we write on a caller's leg; last what may have any character in it."""
BETWEEN = "|"
NOTED = f"EVAL({BETWEEN.join(f'${{{variable}}}' for variable in VARIABLES)})"
"""All of them in one answer: hundreds may wait, and nobody is offered before we know whom we see."""
IN_QUEUE = ("edge-key", "edge-queue")
"""Contexts beside a line's own in which a caller of the switch's own queue is for a moment."""
DIALLED = "AppDial2"
"""The application that Asterisk shows of a leg that we let it dial, until its answer."""
BROADCAST = "StasisBroadcast"
"""The application of the dialplan in which a caller waits to be claimed, and then is ours."""
BY_UNKNOWN_KEY = "9"
"""Where no emergency key is configured any more, for a caller who pressed it once."""

Channel = Mapping[str, Any]
Variables = Mapping[str, str]


async def look(ari_link: AriClient, ami_link: AmiClient, app: str) -> Snapshot:
    """The switch as it is. Raises LinkError or RefusedError."""
    channels = await _channels(ari_link, app)
    bridges = await ari_link.request(ari.LIST_BRIDGES)
    offers = [leg for leg in map(agent_leg, channels) if leg is not None]
    for bridge in bridges:
        for offered in offers:
            if offered.away and identity.leg_of_offer(offered.offer_id) in bridge["channels"]:
                offered.bridge_id = bridge["id"]
    callers = [channel for channel in channels if held(channel, app) or place_elsewhere(channel)]
    noted = await _variables([_field(channel, "id") for channel in callers], ami_link)
    living = {leg.offer_id for leg in offers}
    calls = [_caller(channel, noted[_field(channel, "id")], app, living) for channel in callers]
    known = [call for call in calls if call is not None]
    talking = {leg_id for bridge in bridges for leg_id in bridge["channels"]}
    return Snapshot(
        calls=tuple(known),
        served=tuple(
            FallbackConnected(leg_id=call.leg_id, agent=noted[call.leg_id]["MEMBERNAME"], switch_utc_us=None)
            for call in known
            if call.place is Place.FALLBACK and call.leg_id in talking
        ),
        upgraded=tuple(
            KeyTaken(call_id=call.call_id, key=BY_UNKNOWN_KEY, switch_utc_us=None)
            for call in known
            if call.upgraded
        ),
        offers=tuple(offers),
        legs=frozenset(_field(channel, "id") for channel in channels),
        attempts=tuple(leg for channel in channels if (leg := person_leg(channel, app)) is not None),
        members=tuple(_members(await ami_link.list("QueueStatus", {}))),
        devices=tuple(_devices(await ami_link.list("DeviceStateList", {}))),
        switch_utc_us=ami.stamp(await ami_link.ask("Ping", {})),
        switch_boot=_boot(await ami_link.ask("CoreStatus", {})),
    )


async def _channels(ari_link: AriClient, app: str) -> list[Channel]:
    """All channels but callers who wait to be claimed: they are nobody's yet, and their entering is told."""
    channels = await ari_link.request(ari.LIST_CHANNELS)
    broadcast = [_field(channel, "id") for channel in channels if _dialplan(channel, "app_name") == BROADCAST]
    if not broadcast:
        return list(channels)
    ours = (await ari_link.request(ari.application(app)))["channel_ids"]
    unclaimed = set(broadcast) - set(ours)
    return [channel for channel in channels if _field(channel, "id") not in unclaimed]


async def _variables(leg_ids: list[str], ami_link: AmiClient) -> Mapping[str, Variables]:
    """What is noted on each of these legs, "" where nothing is; asked for in one write."""
    answers = await ami_link.ask_all(
        [("Getvar", {"Channel": leg_id, "Variable": NOTED}) for leg_id in leg_ids]
    )
    return {leg_id: _noted(answer) for leg_id, answer in zip(leg_ids, answers, strict=True)}


def _noted(answer: Message) -> Variables:
    """Of a leg that is gone meanwhile there is nothing."""
    if not answer.success:
        return dict.fromkeys(VARIABLES, "")
    values = text(answer, "Value").split(BETWEEN, len(VARIABLES) - 1)
    if len(values) < len(VARIABLES):
        raise RefusedError("the switch has no function EVAL: let it load func_strings.so (modules.conf)")
    return dict(zip(VARIABLES, values, strict=True))


def agent_leg(channel: Channel) -> AgentLeg | None:
    """An offer's leg, or None."""
    offer_id = identity.offer_of_leg(_field(channel, "id"))
    if offer_id is None:
        return None
    state = _field(channel, "state")
    return AgentLeg(
        offer_id=offer_id,
        rang=state in ("Ringing", "Up"),
        answered=state == "Up",
        interface=identity.interface_of_leg(_field(channel, "name")),
        away=state == "Up" and is_task_offer(offer_id) and _dialplan(channel, "context") == "edge-task",
    )


def person_leg(channel: Channel, app: str) -> PersonLeg | None:
    """The leg of somebody who is called back and is not yet where callers are, or None."""
    known = identity.attempt_of_leg(_field(channel, "id"))
    if known is None or held(channel, app) is not None or place_elsewhere(channel) is not None:
        return None
    call_id, attempt = known
    return PersonLeg(call_id=call_id, attempt=attempt, rang=_field(channel, "state") in ("Ringing", "Up"))


def entered(channel: Channel, app: str) -> CallerEntered | None:
    """A caller in our application, or None. Asterisk shows the arguments of Stasis() as the dialplan gave them."""
    arguments = _arguments(channel, app)
    if arguments is None:
        return None
    seen = ari.entered(channel, arguments, None)
    return seen if isinstance(seen, CallerEntered) else None


def _arguments(channel: Channel, app: str) -> list[str] | None:
    """With what the dialplan gave the caller to us: `Stasis(app,...)`, or `StasisBroadcast(ms,^app$,...:...)`."""
    words = _dialplan(channel, "app_data").split(",")
    match _dialplan(channel, "app_name"):
        case "Stasis" if words[0] == app:
            return words[1:]
        case "StasisBroadcast" if words[1:2] == [f"^{app}$"]:
            return ",".join(words[2:]).split(":")
    return None


def returned(channel: Channel, app: str) -> CallerEntered | None:
    """A caller in our application whom we had meant to be talking, or None; one who was sent back to a queue is that."""
    seen = entered(channel, app)
    return None if seen is None else replace(seen, returned=seen.sent_back_to is None, attempt=None)


def held(channel: Channel, app: str) -> CallerLeg | None:
    """The leg of a caller in our application, or None."""
    seen = entered(channel, app)
    if seen is None:
        return None
    return CallerLeg(
        call_id=seen.call_id,
        leg_id=seen.leg_id,
        line=seen.line,
        caller=seen.caller,
        joined_utc_us=seen.joined_utc_us,
    )


def place_elsewhere(channel: Channel) -> Place | None:
    """Where the dialplan has taken a caller who is not in our application; None: still on the way to it, or an agent's leg.

    A caller whom an agent has sent somewhere else in the dialplan is connected as far as we are concerned: alive, not ours.
    So is one who is on the way back to us: they will be told of when they are there.
    """
    if _dialplan(channel, "app_name") in (*identity.OURS, DIALLED) or identity.offer_of_leg(
        _field(channel, "id")
    ):
        return None
    context, extension = _dialplan(channel, "context"), _dialplan(channel, "exten")
    if context == "edge-reached":
        return None
    if context in IN_QUEUE:
        return Place.FALLBACK
    if not context.startswith("edge-line"):
        return Place.CONNECTED
    return {
        "fallback": Place.FALLBACK,
        "T": Place.FALLBACK,
        "return": Place.CONNECTED,
        "sent-back": Place.CONNECTED,
    }.get(extension)


def _caller(channel: Channel, noted: Variables, app: str, living: Container[str]) -> CallerLeg | None:
    """A caller's leg by what is noted on it, which outlives transfers; the arguments of our application may be another's.

    `living`: the offers that have a leg; a caller who was passed on still bears the name of one that is gone.
    """
    entry = held(channel, app)
    place = Place.HELD if entry is not None else place_elsewhere(channel)
    call_id = noted["EDGE_CALL"] or (entry.call_id if entry is not None else "")
    if place is None or not call_id:
        return None
    offer_id = identity.offer_of_leg(noted["EDGE_AGENT_CHANNEL"])
    return CallerLeg(
        call_id=call_id,
        leg_id=_field(channel, "id"),
        line=noted["EDGE_LINE"] or (entry.line if entry is not None else ""),
        caller=ari.caller_of(channel, noted["CALLERID(num-pres)"]),
        joined_utc_us=ari.milliseconds(noted["EDGE_JOINED"]) or (entry.joined_utc_us if entry else None),
        place=place,
        offer_id=offer_id if place is Place.CONNECTED and offer_id in living else None,
        upgraded=noted["EDGE_UPGRADED"] == "1",
    )


def _members(messages: list[Message]) -> list[MemberSeen]:
    seen = [ami.member(message) for message in messages if text(message, "Event") == "QueueMember"]
    return [member for member in seen if member is not None]


def _devices(messages: list[Message]) -> list[DeviceSeen]:
    seen = [ami.sighting(message) for message in messages]
    return [device for device in seen if isinstance(device, DeviceSeen)]


def _field(channel: Channel, key: str) -> str:
    value = channel.get(key)
    return value if isinstance(value, str) else ""


def _dialplan(channel: Channel, key: str) -> str:
    dialplan = channel.get("dialplan")
    return _field(dialplan, key) if isinstance(dialplan, Mapping) else ""


def _boot(status: Message) -> str:
    """When this life of Asterisk began, as it says itself, to the second: no two lives of a switch begin in one."""
    return f"{text(status, 'CoreStartupDate')} {text(status, 'CoreStartupTime')}".strip()

"""Looking at the switch after connecting: which legs, members and phones there are, and whose they are.

Legs are known by their channel ids, callers in our application by its arguments, callers elsewhere by their context and
by the variables that the dialplan set on arrival; so this works after a crash of ours without any memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from panoramisk.message import Message

from edge.pbx.asterisk import identity
from edge.pbx.asterisk.ami import translate as ami
from edge.pbx.asterisk.ami.client import AmiClient
from edge.pbx.asterisk.ami.wire import text
from edge.pbx.asterisk.ari import translate as ari
from edge.pbx.asterisk.ari.client import AriClient
from edge.pbx.asterisk.book import AgentLeg, CallerLeg, Place, Snapshot
from edge.pbx.asterisk.sightings import CallerEntered, DeviceSeen, FallbackConnected, MemberSeen

VARIABLES = ("EDGE_CALL", "EDGE_LINE", "EDGE_JOINED", "EDGE_AGENT_CHANNEL", "CALLERID(num-pres)")

Channel = Mapping[str, Any]


async def look(ari_link: AriClient, ami_link: AmiClient, app: str) -> Snapshot:
    """The switch as it is. Raises LinkError or RefusedError."""
    channels = await ari_link.request(ari.LIST_CHANNELS)
    bridges = await ari_link.request(ari.LIST_BRIDGES)
    elsewhere = [channel for channel in channels if place_elsewhere(channel) is not None]
    found = [held(channel, app) for channel in channels]
    found += [await _caller_elsewhere(channel, ami_link) for channel in elsewhere]
    talking = {leg_id for bridge in bridges for leg_id in bridge["channels"]}
    fallback = [_field(channel, "id") for channel in elsewhere if place_elsewhere(channel) is Place.FALLBACK]
    return Snapshot(
        calls=tuple(call for call in found if call is not None),
        served=tuple([await _served(leg_id, ami_link) for leg_id in fallback if leg_id in talking]),
        offers=tuple(leg for leg in map(agent_leg, channels) if leg is not None),
        members=tuple(_members(await ami_link.list("QueueStatus", {}))),
        devices=tuple(_devices(await ami_link.list("DeviceStateList", {}))),
    )


def agent_leg(channel: Channel) -> AgentLeg | None:
    """An offer's leg, or None."""
    offer_id = identity.offer_of_leg(_field(channel, "id"))
    if offer_id is None:
        return None
    state = _field(channel, "state")
    return AgentLeg(offer_id=offer_id, rang=state in ("Ringing", "Up"), answered=state == "Up")


def entered(channel: Channel, app: str) -> CallerEntered | None:
    """A caller in our application, or None. Asterisk shows the arguments of Stasis() as the dialplan gave them."""
    application, *arguments = _dialplan(channel, "app_data").split(",")
    if _dialplan(channel, "app_name") != "Stasis" or application != app:
        return None
    seen = ari.entered(channel, arguments, None)
    return seen if isinstance(seen, CallerEntered) else None


def returned(channel: Channel, app: str) -> CallerEntered | None:
    """A caller in our application whom we had meant to be talking, or None."""
    seen = entered(channel, app)
    return None if seen is None else replace(seen, returned=True)


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
    """
    if _dialplan(channel, "app_name") == "Stasis" or identity.offer_of_leg(_field(channel, "id")):
        return None
    context, extension = _dialplan(channel, "context"), _dialplan(channel, "exten")
    if not context.startswith("edge-line"):
        return Place.CONNECTED
    return Place.FALLBACK if extension in ("fallback", "T") else None


async def _caller_elsewhere(channel: Channel, ami_link: AmiClient) -> CallerLeg | None:
    leg_id = _field(channel, "id")
    answers = await ami_link.ask_all(
        [("Getvar", {"Channel": leg_id, "Variable": variable}) for variable in VARIABLES]
    )
    call_id, line, joined, agent_leg_id, presentation = (text(answer, "Value") for answer in answers)
    place = place_elsewhere(channel)
    if not call_id or place is None:
        return None
    return CallerLeg(
        call_id=call_id,
        leg_id=leg_id,
        line=line,
        caller=ari.caller_of(channel, presentation),
        joined_utc_us=ari.milliseconds(joined),
        place=place,
        offer_id=identity.offer_of_leg(agent_leg_id) if place is Place.CONNECTED else None,
    )


async def _served(leg_id: str, ami_link: AmiClient) -> FallbackConnected:
    """Who talks to a caller of the switch's own queue: it names them on the caller's channel (setinterfacevar)."""
    [answer] = await ami_link.ask_all([("Getvar", {"Channel": leg_id, "Variable": "MEMBERNAME"})])
    return FallbackConnected(leg_id=leg_id, agent=text(answer, "Value"), switch_utc_us=None)


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

"""Looking at the switch: what is noted on a caller's leg counts, not the arguments with which another leg came."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from panoramisk.message import Message

from edge.errors import RefusedError
from edge.pbx.asterisk import snapshot
from edge.pbx.asterisk.ari.translate import LIST_CHANNELS, Request
from edge.pbx.asterisk.book import PersonLeg, Place, Snapshot
from edge.pbx.asterisk.sightings import FallbackConnected, KeyTaken


def channel(
    leg_id: str,
    context: str,
    extension: str,
    application: str,
    data: str = "",
    name: str = "PJSIP/trunk-1",
    state: str = "Up",
) -> dict[str, Any]:
    """A channel as ARI lists it."""
    dialplan = {"context": context, "exten": extension, "app_name": application, "app_data": data}
    caller = {"number": "01632960001", "name": ""}
    return {"id": leg_id, "name": name, "state": state, "caller": caller, "dialplan": dialplan}


class Switch:
    """Both links of a switch with these channels, these bridges and what is noted on the legs."""

    def __init__(
        self,
        channels: list[dict[str, Any]],
        noted: Mapping[str, Mapping[str, str]],
        bridges: list[dict[str, Any]],
        entered: Sequence[str] = (),
    ) -> None:
        self.channels, self.noted, self.bridges = channels, noted, bridges
        self.entered = entered
        self.evaluates = True

    async def request(self, request: Request) -> Any:
        """An ARI operation."""
        if request.resource == "applications":
            return {"channel_ids": list(self.entered)}
        return self.channels if request == LIST_CHANNELS else self.bridges

    async def ask_all(self, requests: Sequence[tuple[str, Mapping[str, str]]]) -> list[Message]:
        """Getvar, any number: Asterisk puts the values where `${NAME}` stands."""
        return [
            Message(
                {
                    "Response": "Success",
                    "Value": re.sub(
                        r"\$\{(.+?)\}",
                        lambda name, leg=each["Channel"]: self.noted.get(leg, {}).get(name[1], ""),  # type: ignore[misc]
                        each["Variable"].removeprefix("EVAL(").removesuffix(")"),
                    )
                    if self.evaluates
                    else "",
                }
            )
            for _, each in requests
        ]

    async def ask(self, name: str, headers: Mapping[str, str]) -> Message:
        """Ping, which tells the time."""
        return Message({"Ping": "Pong", "Timestamp": "1700000100.000005"})

    async def list(self, name: str, headers: Mapping[str, str]) -> list[Message]:
        """No members, no devices."""
        return []


async def look(
    *channels: dict[str, Any],
    noted: Mapping[str, Mapping[str, str]],
    bridges: Sequence[dict[str, Any]] = (),
    entered: Sequence[str] = (),
) -> Snapshot:
    """What is found."""
    switch = Switch(list(channels), noted, list(bridges), entered)
    return await snapshot.look(switch, switch, "edge101")  # type: ignore[arg-type]


async def test_a_switch_that_cannot_tell_is_not_taken_for_one_that_knows_nothing() -> None:
    """Asterisk answers "Success" and nothing when a function is not there."""
    waiting = channel("1.1", "edge-line-second", "arrive", "Stasis", ARGUMENTS)
    switch = Switch([waiting], {}, [])
    switch.evaluates = False
    with pytest.raises(RefusedError, match="func_strings"):
        await snapshot.look(switch, switch, "edge101")  # type: ignore[arg-type]


async def test_the_switchs_own_time_is_asked_for() -> None:
    """It is what its callers' times of joining are to be compared with."""
    assert (await look(noted={})).switch_utc_us == 1_700_000_100_000_005


ARGUMENTS = "edge101,arrived,c-9,second,1700000000000,allowed"
NOTED = {"EDGE_CALL": "c-1", "EDGE_LINE": "routine", "EDGE_JOINED": "1600000000000"}


async def test_leg_in_anothers_place_is_known_by_what_is_noted_on_it() -> None:
    """An attended transfer into a waiting line leaves the other leg's arguments."""
    found = await look(
        channel("1.1", "edge-line-second", "arrive", "Stasis", ARGUMENTS), noted={"1.1": NOTED}
    )
    [call] = found.calls
    assert (call.call_id, call.line, call.joined_utc_us, call.place) == (
        "c-1",
        "routine",
        1_600_000_000_000_000,
        Place.HELD,
    )


async def test_leg_without_notes_is_known_by_its_arguments() -> None:
    """It ended while we looked, say: its Hangup ends the call that is found."""
    [call] = (await look(channel("1.1", "edge-line-second", "arrive", "Stasis", ARGUMENTS), noted={})).calls
    assert (call.call_id, call.line, call.joined_utc_us) == ("c-9", "second", 1_700_000_000_000_000)


async def test_caller_who_was_passed_on_is_connected_to_nobody_of_ours() -> None:
    """The leg of the handler who passed them on is still named on theirs, and gone."""
    noted = {"1.1": {**NOTED, "EDGE_AGENT_CHANNEL": "edge-c-1.1-leg"}}
    caller = channel("1.1", "edge-colleague", "ring", "Dial")
    agent = channel("edge-c-1.1-leg", "edge-phones", "s", "", name="PJSIP/phone1-00000001")
    alone, with_agent = await look(caller, noted=noted), await look(caller, agent, noted=noted)
    assert [(call.place, call.offer_id) for call in alone.calls] == [(Place.CONNECTED, None)]
    assert [(call.place, call.offer_id) for call in with_agent.calls] == [(Place.CONNECTED, "c-1.1")]
    assert [leg.interface for leg in with_agent.offers] == ["PJSIP/phone1"]


async def test_upgraded_callers_are_told_as_such() -> None:
    """Their key may have been pressed while nobody looked."""
    waiting = channel("1.1", "edge-line-routine", "fallback", "Queue")
    found = await look(waiting, noted={"1.1": {**NOTED, "EDGE_UPGRADED": "1"}})
    assert found.upgraded == (KeyTaken(call_id="c-1", key=snapshot.BY_UNKNOWN_KEY, switch_utc_us=None),)
    assert found.calls[0].upgraded is True


async def test_who_is_served_by_the_switch_is_seen() -> None:
    """By a member of its queue, while they are bridged."""
    talking = channel("1.1", "edge-line-routine", "fallback", "Queue")
    found = await look(
        talking,
        noted={"1.1": {**NOTED, "MEMBERNAME": "1001"}},
        bridges=[{"id": "b", "channels": ["1.1", "2.2"]}],
    )
    assert found.served == (FallbackConnected(leg_id="1.1", agent="1001", switch_utc_us=None),)


async def test_strangers_are_no_callers() -> None:
    """A colleague's leg, an agent at a code: nothing of ours is noted on it."""
    found = await look(channel("2.2", "edge-phones", "", "AppDial"), noted={})
    assert found.calls == ()


BACK = "edge-back-c-1.2-leg"
REACHED = "edge101,reached,c-1,routine,1600000000000,allowed"


@pytest.mark.parametrize(("state", "rang"), [("Down", False), ("Ringing", True), ("Up", True)])
async def test_person_who_is_being_dialled_is_an_attempt(state: str, rang: bool) -> None:
    """Wherever the trunk's own context is; and so is one who has answered this moment."""
    dialled = channel(BACK, "from-trunk", "s", "AppDial2", "(Outgoing Line)", state=state)
    found = await look(dialled, noted={BACK: NOTED})
    assert found.attempts == (PersonLeg(call_id="c-1", attempt=2, rang=rang),)
    assert (found.calls, found.offers) == ((), ())


@pytest.mark.parametrize(
    ("context", "extension"), [("edge-reached", "reached"), ("edge-line-routine", "reached")]
)
async def test_person_on_the_way_to_us_is_an_attempt(context: str, extension: str) -> None:
    """They are told of when they are there."""
    found = await look(channel(BACK, context, extension, "Set"), noted={BACK: NOTED})
    assert (len(found.attempts), found.calls) == (1, ())


@pytest.mark.parametrize(
    ("person", "place"),
    [
        (channel(BACK, "edge-line-routine", "reached", "Stasis", REACHED), Place.HELD),
        (channel(BACK, "edge-connect", "connect", "Bridge"), Place.CONNECTED),
        (channel(BACK, "edge-line-routine", "fallback", "Queue"), Place.FALLBACK),
        (channel(BACK, "edge-colleague", "ring", "Dial"), Place.CONNECTED),
    ],
)
async def test_person_who_answered_is_a_caller(person: dict[str, Any], place: Place) -> None:
    """By what was written on their leg when it was dialled, although nobody remembers anything."""
    found = await look(person, noted={BACK: NOTED})
    [call] = found.calls
    assert (call.call_id, call.leg_id, call.line, call.place) == ("c-1", BACK, "routine", place)
    assert call.joined_utc_us == 1_600_000_000_000_000
    assert (found.attempts, found.offers) == ((), ())


def test_person_who_was_not_handed_over_has_returned() -> None:
    """Their leg stands in our application as when they answered: a look at it is no second answer."""
    seen = snapshot.returned(channel(BACK, "edge-line-routine", "reached", "Stasis", REACHED), "edge101")
    assert seen is not None
    assert (seen.returned, seen.attempt) == (True, None)


async def test_who_waits_to_be_claimed_is_nobodys_yet() -> None:
    """In StasisBroadcast() a caller is ours once they are in our application; until then their entering is still to come."""
    arguments = ARGUMENTS.partition(",")[2].replace(",", ":")
    shown = channel("1.1", "edge-line-second", "arrive", "StasisBroadcast", f"700,^edge101$,{arguments}")
    assert (await look(shown, noted={"1.1": NOTED})).calls == ()
    [call] = (await look(shown, noted={"1.1": NOTED}, entered=["1.1"])).calls
    assert (call.call_id, call.place) == (NOTED["EDGE_CALL"], Place.HELD)

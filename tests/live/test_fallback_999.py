"""999 and 101 by the switch alone: what its dialplan keeps of the promises while no daemon runs at all.

Room on the wire, the emergency key, the way of an unanswered 999 to supervisors and buddy, test calls, callers whom a handler
sends back, supervisors in a conversation, and a 101 on its way to another number.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from panoramisk.message import Message

from edge.pbx.asterisk.ami.client import AmiClient
from hwtest.lab.configuration import merged
from hwtest.useragent import CallState as Wire
from hwtest.useragent import IncomingCall, Media, OutgoingCall, answering, rejecting
from tests.live.conftest import POLICY
from tests.live.room import Desk, LiveLab, Room, milliseconds, until
from tests.live.test_agents import dial_with_digits

LINE = "101_no_greeting"
CHANNELS = 4
STAY_SECONDS = 20
"""How long an answered caller is in the queue before they are told that they still are."""
POLICY_999: dict[str, Any] = {
    "emergency": {"buddy_after_seconds": 16.0},
    "capacity": {"channels_101": CHANNELS},
    "line": {"welsh": {"language": "cy"}},
    "triage": {"queues": ["101", "999"]},
    "wrap_up": {"codes": ["crime", "antisocial behaviour"]},
}
PLACE_SECONDS = 0.1
"""The resolution of QUEUE_PRIO."""
CLAIM_SECONDS = 0.7
"""How long a daemon has to claim a caller."""
RING_SECONDS = 8.0
"""How long the switch's queue rings one agent."""
SUPERVISOR_HZ, CALLER_HZ, HANDLER_HZ = 700, 400, 1000

pytestmark = pytest.mark.usefixtures("daemon_absent")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A lab without its daemon (so without a record), whose switch tells its waiting callers sooner than others do."""
    generator = importlib.import_module("dialplans.asterisk.generate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, "FALLBACK_STAY_SECONDS", STAY_SECONDS)
        policy = merged(POLICY, POLICY_999)
        lab = LiveLab.up(tmp_path_factory.mktemp("fallback999"), policy, with_daemon=False)
    yield lab
    lab.down()


@asynccontextmanager
async def manager(room: Room) -> AsyncIterator[tuple[AmiClient, list[Message]]]:
    """The daemon's own account at the switch, and the events that it hears: what the daemon would."""
    events: list[Message] = []
    ami = room.live.configuration.switch.ami
    client = AmiClient(ami.host, ami.port, ami.user, ami.password.get_secret_value(), events.append)
    await client.connect()
    try:
        yield client, events
    finally:
        client.close()


def told(events: list[Message], name: str) -> list[dict[str, str]]:
    """The fields of every user event of this name."""
    return [dict(event) for event in events if event.UserEvent == name]


def in_queue(room: Room, queue: str) -> int:
    """How many callers stand in a queue of the switch."""
    words = room.live.asterisk.cli(f"queue show edge-{queue}").split()
    return int(words[words.index("has") + 1])


def open_sounds(room: Room) -> list[str]:
    """The files of prompts that the switch is playing, below its folder of sounds."""
    files = (link.readlink() for link in Path(f"/proc/{room.live.asterisk.pid}/fd").iterdir())
    return [str(file).rpartition("/sounds/")[2] for file in files if file.match("sounds/*/edge/*.wav")]


def responses(caller: OutgoingCall) -> list[str]:
    """Every response to the caller's INVITE, in order."""
    return [e.label for e in caller.trace if e.method == "INVITE" and e.direction == "received"]


async def signed_in(room: Room, index: int, *, tone_hz: int | None = None) -> Desk:
    """An agent who dialled the code; the phone rings and waits."""
    desk = await room.desk(index, tone_hz=tone_hz)
    await desk.dial("*22")
    return desk


async def rings_for(room: Room, desk: Desk, caller: OutgoingCall, within_seconds: float) -> IncomingCall:
    """The call by which this phone rings for this caller."""

    def found() -> list[IncomingCall]:
        return [c for c in desk.calls if c.caller_number == room.numbers[caller] and c.state is Wire.RINGING]

    await until(found, within_seconds, "the phone rings for this caller")
    return found()[0]


async def talks(room: Room, desk: Desk, caller: OutgoingCall, within_seconds: float = 5) -> IncomingCall:
    """The desk answers this caller, and both are in a bridge."""
    call = await rings_for(room, desk, caller, within_seconds)
    call.answer()
    await until(room.live.bridges, 3, "both in a bridge")
    await call.until(lambda: call.acknowledged, 3)
    return call


# ---------------------------------------------------------------------- 999


async def test_a_999_with_nobody_at_work_rings_supervisor_and_buddy_at_once(room: Room) -> None:
    """Nobody signed in: the supervisor's usual phone and the buddy number ring at once; the caller hears ringing and nothing
    else until the buddy answers, which ends the other ring as answered elsewhere; the end of the talk ends the call."""
    supervisor = await room.supervisor()
    async with room.elsewhere() as far, manager(room) as (_, events):
        emergency = room.caller("999")
        await until(lambda: far and supervisor.calls, 4, "both ring")
        [buddy] = far
        assert milliseconds(emergency, "INVITE", buddy, "INVITE") < 1000 * CLAIM_SECONDS + 500
        assert "info=999" in (buddy.header("Alert-Info") or "")
        assert await emergency.lasts(1.0)
        assert set(responses(emergency)) == {"100", "180"}
        buddy.answer()
        await emergency.answered(3)
        assert milliseconds(buddy, "INVITE", emergency, "200") > 1000
        await supervisor.calls[0].ended(2)
        assert "200" in "".join(supervisor.calls[0].reasons)
        await until(lambda: told(events, "EdgeTaken"), what="the daemon would know who took it")
        [taken] = told(events, "EdgeTaken")
        [entered] = told(events, "EdgeFallback")
        assert (taken["Call"], taken["Leg"], taken["By"]) == (entered["Call"], entered["Uniqueid"], "buddy")
        await buddy.hang_up()
        await emergency.ended(3)


async def test_a_999_that_no_agent_answers_goes_on_to_the_buddy_and_comes_back(room: Room) -> None:
    """The agent's phone rings unattended, then the buddy's, who refuses; then the agent's again. No 200 before hers."""
    ann = await signed_in(room, 1)
    async with room.elsewhere() as far:
        emergency = room.caller("999")
        rung = await rings_for(room, ann, emergency, 3)
        assert rung.header("Alert-Info") == "<http://edge101.invalid/999>;info=999"
        await until(lambda: far, 3 * RING_SECONDS, "the buddy number")
        assert milliseconds(emergency, "INVITE", far[0], "INVITE") >= 16000
        assert all(call.cancelled for call in ann.calls)
        far[0].reject(486)
        again = await rings_for(room, ann, emergency, 5)
        assert set(responses(emergency)) == {"100", "180"}
        again.answer()
        await emergency.answered(3)
        await emergency.hang_up()


async def test_a_supervisor_takes_a_999_at_the_usual_phone(room: Room) -> None:
    """Nobody signed in; the supervisor answers and is named to the daemon."""
    supervisor = await room.supervisor()
    async with room.elsewhere(), manager(room) as (_, events):
        emergency = room.caller("999")
        (await rings_for(room, supervisor, emergency, 4)).answer()
        await emergency.answered(3)
        await until(lambda: [event["By"] for event in told(events, "EdgeTaken")] == [supervisor.number])
        await emergency.hang_up()


async def test_a_test_999_rings_the_test_phone_and_no_other(room: Room) -> None:
    """A synthetic 999 rings its phone again and again, and neither the agent's, the supervisor's nor the buddy's."""
    rig, supervisor, ann = await room.test_phone(), await room.supervisor(), await signed_in(room, 1)
    async with room.elsewhere() as far:
        synthetic = room.caller("999_test")
        call = await rings_for(room, rig, synthetic, 4)
        assert await synthetic.lasts(2.0)
        assert set(responses(synthetic)) == {"100", "180"}
        call.answer()
        await synthetic.answered(3)
        await synthetic.hang_up()
        assert (far, supervisor.calls, ann.calls) == ([], [], [])


# ---------------------------------------------------------------------- room on the wire


async def test_a_101_too_many_is_refused_and_a_999_gets_through(room: Room) -> None:
    """The limit's 101s are in; the next gets 503, unanswered, and the daemon would be told; a 999 rings; when one 101 has
    gone the next is admitted. Who was refused leaves no trace in the count."""
    async with manager(room) as (_, events):
        inside = await room.queue_up(CHANNELS, LINE)
        refused = [room.caller(LINE) for _ in range(3)]
        for caller in refused:
            await caller.ended(3)
            assert (caller.status, caller.reached) == (503, Wire.TRYING)
        await until(lambda: len(told(events, "EdgeRefused")) == 3)
        assert {(e["Line"], e["Why"]) for e in told(events, "EdgeRefused")} == {
            ("101-no-greeting", "no channel to spare")
        }
        assert {e["CallerIDNum"] for e in told(events, "EdgeRefused")} == {room.numbers[c] for c in refused}
        emergency = room.caller("999")
        await emergency.ringing(3)
        await inside[0].hang_up()
        await until(lambda: room.numbers[inside[0]] not in room.live.channels())
        await room.caller(LINE).answered(3)
        await emergency.hang_up()


async def test_many_101_at_once_are_never_too_many(room: Room) -> None:
    """Forty arrive at the same moment: never more than the limit are admitted, and whoever is not gets 503."""
    callers = [room.caller(LINE) for _ in range(40)]
    await until(lambda: all(c.reached is Wire.ANSWERED or c.state is Wire.ENDED for c in callers), 10)
    admitted = [caller for caller in callers if caller.reached is Wire.ANSWERED]
    assert len(admitted) <= CHANNELS
    assert {caller.status for caller in callers if caller not in admitted} == {503}
    await room.callers.shut_down(3.0)


# ---------------------------------------------------------------------- the emergency key


async def test_the_emergency_key_moves_a_caller_before_the_other_101s(room: Room) -> None:
    """The last of three presses 9 while the agent's phone rings for the first: next to be rung, music going on; then the
    others in order. The daemon would be told which call it was."""
    ann = await signed_in(room, 1)
    first, second = await room.queue_up(2, LINE, apart_seconds=2 * PLACE_SECONDS)
    jo = room.caller(LINE, hears=True)
    await jo.answered(3)
    missed = await rings_for(room, ann, first, 3)
    assert missed.header("Alert-Info") is None
    async with manager(room) as (_, events):
        jo.leg.send_digits("59")  # another key does nothing
        await until(lambda: (in_queue(room, "999"), in_queue(room, "101")) == (1, 2), 3, "jo among the 999")
        await until(lambda: told(events, "EdgeKey"), what="the event")
        [pressed] = told(events, "EdgeKey")
        assert (pressed["CallerIDNum"], pressed["Key"]) == (room.numbers[jo], "9")
        heard = jo.leg.packets
        await until(lambda: jo.leg.packets > heard + 50, what="music")
        assert not [e for e in events if e.event == "DTMFEnd" and e.Direction != "Received"]
    upgraded = await talks(room, ann, jo, RING_SECONDS + 4)
    assert missed.cancelled
    await upgraded.hang_up()
    for caller in (first, second):
        await (await talks(room, ann, caller)).hang_up()


async def test_the_emergency_key_is_heard_while_the_caller_is_told_that_they_wait(room: Room) -> None:
    """During "you are still in the queue" too, which is said in the line's language. Without agents an upgraded 101 goes to
    supervisor and buddy as a 999 does."""
    jo = room.caller("welsh", hears=True)
    await jo.answered(3)
    await until(lambda: "!BackGround!" in room.live.channels(), STAY_SECONDS + 4, "the prompt")
    assert open_sounds(room) == ["cy/edge/fallback-still-waiting.wav"]
    async with room.elsewhere() as far:
        jo.leg.send_digits("9")
        await until(lambda: far, 3, "the buddy number")
        assert far[0].caller_number == room.numbers[jo]
        far[0].answer()
        await far[0].until(lambda: far[0].acknowledged, 3)
        await far[0].hang_up()
        await jo.ended(3)


# ---------------------------------------------------------------------- sent back


async def test_a_caller_whom_a_handler_sends_back_keeps_the_place_of_joining(room: Room) -> None:
    """Transferred to *301 the caller is again before who joined after them; to *302 they are among the 999."""
    ann = await signed_in(room, 1)
    jo, later = await room.queue_up(2, LINE, apart_seconds=2 * PLACE_SECONDS)
    first = await talks(room, ann, jo)
    assert await first.transfer(room.uri("*301"), 5) == 200
    second = await talks(room, ann, jo)
    assert await second.transfer(room.uri("*302"), 5) == 200
    await until(lambda: in_queue(room, "999") == 1, 3, "jo among the 999")
    await (await talks(room, ann, jo)).hang_up()
    await rings_for(room, ann, later, 4)
    await later.hang_up()


async def test_a_transfer_to_a_line_is_no_second_call(room: Room) -> None:
    """Transferred to the number of a line, the caller waits in its queue under the same call id."""
    ann = await signed_in(room, 1)
    async with manager(room) as (_, events):
        [jo] = await room.queue_up(1, LINE)
        call = await talks(room, ann, jo)
        assert await call.transfer(room.uri("101"), 5) == 200
        await rings_for(room, ann, jo, 4)
        await until(lambda: len(told(events, "EdgeFallback")) == 2)
        assert len({event["Call"] for event in told(events, "EdgeFallback")}) == 1
        await jo.hang_up()


async def test_codes_for_callers_and_supervisors_mean_nothing_to_others(room: Room) -> None:
    """A handler who dials the send-back code, or a supervisor's, is told so and released; wrap-up codes and calls for help are
    told to the daemon with the handler's number."""
    ann = await signed_in(room, 1)
    async with manager(room) as (_, events):
        for code in ("*301", "*314002", "*262", "*27", "*28"):
            await ann.dial(code)
        assert not told(events, "EdgeSpy")
        [wrap_up], [assist], [assisted] = (
            told(events, n) for n in ("EdgeWrapUp", "EdgeAssist", "EdgeAssisted")
        )
        assert (wrap_up["Agent"], wrap_up["Code"]) == (ann.number, "antisocial behaviour")
        assert (assist["Agent"], assisted["Agent"]) == (ann.number, ann.number)


# ---------------------------------------------------------------------- supervisors


@pytest.mark.parametrize(
    ("code", "mode", "handler_hears", "caller_hears"),
    [("*31", "listen", False, False), ("*32", "whisper", True, False), ("*33", "barge", True, True)],
)
async def test_a_supervisor_in_a_conversation(
    room: Room, code: str, mode: str, handler_hears: bool, caller_hears: bool
) -> None:
    """The supervisor hears both; who hears the supervisor depends on the code; it ends with the conversation, and the switch's
    log and the daemon are told of both ends."""
    ann = await signed_in(room, 1, tone_hz=HANDLER_HZ)
    boss = await room.supervisor()
    await boss.dial("*22")
    jo = room.caller(LINE, tone_hz=CALLER_HZ)
    talk = await rings_for(room, ann, jo, 3)
    talk.answer()
    await talk.until(lambda: talk.leg.hears(CALLER_HZ) and jo.leg.hears(HANDLER_HZ), 5)
    async with manager(room) as (_, events):
        media = Media("tone", SUPERVISOR_HZ)
        listening = boss.phone.agent.invite(room.uri(f"{code}{ann.number}"), media=media)
        await listening.until(lambda: loud(listening, CALLER_HZ) and loud(listening, HANDLER_HZ), 5)
        await talk.until(lambda: loud(talk, SUPERVISOR_HZ) is handler_hears, 3)
        await jo.until(lambda: loud(jo, SUPERVISOR_HZ) is caller_hears, 3)
        jo.leg.forget_heard()
        talk.leg.forget_heard()
        assert await listening.lasts(1.2)
        assert (loud(talk, SUPERVISOR_HZ), loud(jo, SUPERVISOR_HZ)) == (handler_hears, caller_hears)
        assert loud(jo, HANDLER_HZ)
        assert loud(talk, CALLER_HZ)
        await jo.hang_up()
        await listening.ended(3)
        await until(lambda: len(told(events, "EdgeSpy")) == 2)
        seen = [(e["Supervisor"], e["Agent"], e["Mode"], e["State"]) for e in told(events, "EdgeSpy")]
        assert seen == [(boss.number, ann.number, mode, state) for state in ("began", "ended")]
    log = "".join(file.read_text(errors="replace") for file in room.live.log_files())
    assert f"supervisor {boss.number} begins to {mode} at agent {ann.number}" in log


async def test_a_handler_brings_a_supervisor_into_a_talk_of_the_switch(room: Room) -> None:
    """Signed in at another phone than the usual one: rung there, and all three hear each other; over with the conversation."""
    ann = await signed_in(room, 1, tone_hz=HANDLER_HZ)
    boss = await room.supervisor(tone_hz=SUPERVISOR_HZ)
    elsewhere = await room.desk(3, tone_hz=SUPERVISOR_HZ)
    pin = room.lab.supervisors[0].pin
    assert pin is not None
    await dial_with_digits(room, elsewhere, f"*22{boss.number}", pin)
    jo = room.caller(LINE, tone_hz=CALLER_HZ)
    talk = await rings_for(room, ann, jo, 3)
    talk.answer()
    await talk.answered(3)
    async with manager(room) as (_, events):
        await ann.dial(f"*34{boss.number}")
        joined = await elsewhere.answers()
        await until(
            lambda: loud(joined, CALLER_HZ) and loud(joined, HANDLER_HZ), what="the supervisor hears both"
        )
        await until(
            lambda: loud(talk, SUPERVISOR_HZ) and loud(jo, SUPERVISOR_HZ), what="both hear the supervisor"
        )
        await jo.hang_up()
        await joined.ended(3)
        await until(lambda: len(told(events, "EdgeSpy")) == 2)
        [asked] = told(events, "EdgeInvite")
        assert (asked["Agent"], asked["Supervisor"]) == (ann.number, boss.number)
        assert [e["Mode"] for e in told(events, "EdgeSpy")] == ["conference", "conference"]
    assert boss.calls == []


def loud(call: OutgoingCall | IncomingCall, frequency_hz: int) -> bool:
    """Whether a tone of this frequency is among what was heard in the last second."""
    return call.leg.tone_level_dbm0(frequency_hz) > -30


# ---------------------------------------------------------------------- to another number


async def redirect(client: AmiClient, room: Room, caller: OutgoingCall, context: str, extension: str) -> None:
    """What the daemon asks of the switch to divert a caller."""
    for line in room.live.channels().splitlines():
        fields = line.split("!")
        if room.numbers[caller] in fields:
            where = {"Context": context, "Exten": extension, "Priority": "1"}
            await client.ask("Redirect", {"Channel": fields[0], **where})
            return
    pytest.fail("the caller has no channel")


async def test_a_diverted_101_comes_back_when_the_number_fails(room: Room) -> None:
    """The number is rung for the caller; refused, the caller is in the queue again; answered, the end of the talk ends it."""
    jo = room.caller(LINE, hears=True)
    await jo.answered(3)
    async with room.elsewhere() as far, manager(room) as (client, _):
        await redirect(client, room, jo, "edge-divert", "phone-home1")
        await until(lambda: far, 3)
        assert far[0].invite.uri.startswith(f"sip:{POLICY['phone']['home1']['number']}@")
        far[0].reject(486)
        await until(lambda: in_queue(room, "101") == 1, 3, "back in the queue")
        await redirect(client, room, jo, "edge-divert", "phone-home1")
        await until(lambda: len(far) == 2, 3)
        far[1].answer()
        await far[1].until(lambda: far[1].acknowledged, 3)
        await far[1].hang_up()
        await jo.ended(3)


async def test_the_emergency_key_ends_a_divert(room: Room) -> None:
    """While the other number rings, 9 gives it up: among the 999."""
    ann = await signed_in(room, 1)
    ann.phone.behaviour = rejecting(486)
    jo = room.caller(LINE, hears=True)
    await jo.answered(3)
    async with room.elsewhere() as far, manager(room) as (client, _):
        await redirect(client, room, jo, "edge-divert", "phone-home1")
        await until(lambda: far, 3)
        ann.phone.behaviour = answering()
        jo.leg.send_digits("9")
        await far[0].ended(3)
        await until(lambda: ann.calls and ann.calls[-1].acknowledged, 5, "the agent answers")
        assert in_queue(room, "101") == 0
        await jo.hang_up()


async def test_a_999_is_never_diverted(room: Room) -> None:
    """Whoever asks: it goes on ringing among the 999, and the number is not rung."""
    ann = await signed_in(room, 1)
    emergency = room.caller("999")
    await rings_for(room, ann, emergency, 3)
    async with room.elsewhere() as far, manager(room) as (client, _):
        await redirect(client, room, emergency, "edge-divert", "phone-home1")
        await asyncio.wait_for(rings_again(room, ann, emergency), 5)
        assert (far, set(responses(emergency))) == ([], {"100", "180"})
        await emergency.hang_up()


async def rings_again(room: Room, desk: Desk, caller: OutgoingCall) -> None:
    """The desk's phone rings a second time for this caller."""
    await until(lambda: len(desk.calls) == 2)
    await rings_for(room, desk, caller, 1)

"""What strangers write into SIP, and what they do with their calls: everything is served, nothing is evaluated or lost."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from edge.core import facts
from edge.core.model import AgentState, CallOutcome, CallState, OfferOutcome
from edge.views.calls import CallRecord
from hwtest.useragent import CallEnded, IncomingCall, OutgoingCall, UserAgent, answering
from hwtest.useragent import CallState as Wire
from hwtest.useragent.wire import Request, decode
from tests.live.room import WITHIN_SECONDS, Desk, LiveLab, Room, until

LINE = "101_no_greeting"
ACCEPTED_SECONDS = 0.3
"""Asterisk says 100 in 5 ms; of what may be no SIP, what has none by then its parser has dropped."""
VALID = {"user", "asserted user", "our own headers"}
"""Places whose message is valid SIP: Asterisk accepts these whatever they hold."""
FORGED = b"\r\nAction: Setvar\r\nVariable: EDGE_CANARY\r\nValue: 1\r\n\r\n"
FORGED_EVENT = (
    b"\r\n\r\nEvent: QueueMemberRemoved\r\nPrivilege: agent,all\r\nQueue: edge-101\r\nMemberName: 4001\r\n"
    b"Interface: PJSIP/agent1\r\nLocation: PJSIP/agent1\r\n\r\n"
)
HOSTILE = {
    "ami-action": FORGED,
    "ami-event": FORGED_EVENT,
    "ami-header": b"1\r\nUniqueid: 0\r\nEvent: Hangup",
    "line-feed": b"1\n\nAction: Setvar",
    "folded": b"Bob\r\n Action: Setvar\r\n Variable: EDGE_CANARY",
    "quotes": b'"\'`<>"',
    "backslashes": b"\\\\\\",
    "4-kB": b"A" * 4096,
    "invalid-utf-8": b"\xff\xfe\xc3(\xf0\x9f\x92",
    "line-separators": "a\u2028b\u2029c\u0085d\u202ee".encode(),
    "sql": b"'; DROP TABLE facts; DELETE FROM personal; --",
    "dialplan": b"${SET(GLOBAL(EDGE_CANARY)=1)}${DB(edge/canary)=1}$[1+1],;&|(){}",
    "html": b"<script>alert(1)</script>&amp;",
    "terminal": b"\x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f",
    "control": b"\x1b\x1b\x1b\x1b\x1b x",
    "nul": b"a\x00b",
    "json": b'"}],"call_id":"x","\\u0000',
    "markup": b"[bold red]x[/bold red][/] %s %n {0}",
}
"""What a trunk may carry, raw. Numbers are sent percent-encoded too, as SIP allows: Asterisk decodes them."""
_random = random.Random(101)


def evaluated(live: LiveLab) -> str:
    """What shows that a stranger's words were acted on; empty when none was."""
    found = live.asterisk.cli("dialplan show globals") + live.asterisk.cli("database show edge canary")
    return "\n".join(line for line in found.splitlines() if "canary" in line.lower())


async def spin(seconds: float) -> None:
    """Let so little time pass that a timer of the loop is too coarse for it."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:  # noqa: ASYNC110 - the loop turns, nothing is waited for
        await asyncio.sleep(0)


# --- what strangers write ---


def ways(room: Room, raw: bytes) -> dict[str, Callable[[], OutgoingCall]]:
    """Every place of an INVITE that a stranger writes into, each with a number of its own where one is left."""
    text, encoded = decode(raw), quote(raw, safe="")

    def call(**invite: Any) -> Callable[[], OutgoingCall]:
        return lambda: stranger(room, **invite)

    def asserting(identity: str) -> Callable[[], OutgoingCall]:
        return call(headers={"P-Asserted-Identity": identity})

    return {
        "name": call(from_name=raw),
        "user": call(from_user=encoded),
        "raw user": call(from_user=text),
        "asserted user": asserting(f'"x" <sip:{encoded}@127.0.0.1>'),
        "asserted name": asserting(f'"{text}" <sip:{next(_numbers)}@127.0.0.1>'),
        "headers": call(headers={"User-Agent": text, "Subject": text}),
        "our own headers": call(headers={"X-Edge-Call": encoded, "X-Edge-Class": "999"}),
    }


_numbers = (f"020794{ending:05d}" for ending in itertools.count(60800))


def stranger(room: Room, **invite: Any) -> OutgoingCall:
    """A caller whose number the room does not look for in the switch's own log: Asterisk writes it there together with a
    name that is too long or no UTF-8 (docs/quirks/asterisk.md)."""
    return room.callers.invite(room.uri(LINE), **{"from_user": next(_numbers), **invite})


async def served(
    room: Room, desk: Desk, caller: OutgoingCall, accepted_seconds: float = WITHIN_SECONDS
) -> CallRecord | None:
    """Serve the caller and return the record; None for a message that Asterisk's own parser did not accept.

    A text with line breaks in a header may also cut the message short: without a session description the switch
    answers and ends such a call at once.
    """
    served_before = len(desk.calls)
    try:
        await caller.until(lambda: caller.stamp_of("100") is not None, accepted_seconds)
        await caller.answered(WITHIN_SECONDS)
    except (TimeoutError, CallEnded):
        caller.abandon()
        return None
    await until(lambda: len(desk.calls) > served_before or caller.state is Wire.ENDED)
    if len(desk.calls) == served_before:
        await everything_ended_once(room)
        return None
    call = desk.calls[served_before]
    call.answer()
    call_id = call.header("X-Edge-Call") or ""
    await room.until(lambda: _state(room, call_id) in (CallState.TALKING, CallState.ENDED))
    await caller.hang_up()
    await room.until(lambda: _state(room, call_id) is CallState.ENDED)
    record = room.live.calls.calls[call_id]
    return record if record.outcome is CallOutcome.ANSWERED else None


def _state(room: Room, call_id: str) -> CallState | None:
    found = room.live.calls.calls.get(call_id)
    return found.state if found else None


@pytest.mark.parametrize("what", HOSTILE)
async def test_hostile_text_is_served_and_never_evaluated(room: Room, what: str) -> None:
    """Wherever it stands the call is offered, answered, recorded and ended, and the record has no control character."""
    ann = await room.agent(1)
    outcomes = {
        place: await served(room, ann, call(), WITHIN_SECONDS if place in VALID else ACCEPTED_SECONDS)
        for place, call in ways(room, HOSTILE[what]).items()
    }
    assert evaluated(room.live) == ""
    assert b"020794" not in (room.live.directory / "log/edge.log").read_bytes()
    assert {place for place, record in outcomes.items() if record} >= VALID
    for record in filter(None, outcomes.values()):
        assert (record.outcome, record.agent) == (CallOutcome.ANSWERED, ann.number)
        assert [offer.outcome for offer in record.offers] == [OfferOutcome.ANSWERED]
        assert _printable(f"{record.caller_number}{record.caller_name}")
    assert room.agent_state(ann) is AgentState.READY


def _printable(text: str) -> bool:
    return not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", text)


async def test_a_strangers_contact_is_not_evaluated(room: Room) -> None:
    """A call with anything in the user part of its Contact is served like any other."""
    ann = await room.agent(1)
    for raw in HOSTILE.values():
        async with UserAgent(user=quote(raw, safe="")) as stranger:
            caller = stranger.invite(room.uri(LINE), from_user="01632960001")
            call = await ann.answers()
            await caller.answered(3)
            await caller.hang_up()  # Asterisk cannot send a BYE to a URI of 4 kB
            await call.ended(3)
    await everything_ended_once(room)
    assert evaluated(room.live) == ""


async def test_a_hostile_dialled_number_is_not_found(room: Room) -> None:
    """A number that nobody has gets 404, whatever it is made of, and no call is recorded."""
    for raw in HOSTILE.values():
        dialled = quote(raw, safe="")
        caller = room.callers.invite(f"sip:{dialled}@{room.lab.sip.host}:{room.lab.sip.port}")
        await caller.ended(3)
        assert caller.status == 404
    assert room.facts(facts.CallArrived) == []
    assert evaluated(room.live) == ""


async def test_hostile_text_in_the_switchs_own_queue(room: Room) -> None:
    """Without the daemon's application the fallback serves them, and the daemon reads its events unharmed."""
    ann = await room.agent(1)
    for what in ("ami-action", "ami-event", "dialplan"):
        caller = stranger(room, from_user=quote(HOSTILE[what], safe=""))
        call = await ann.offered()
        call_id = call.header("X-Edge-Call") or ""
        room.live.follow()
        channel = _channel_of(room, room.live.state.calls[call_id].leg_id)
        room.live.asterisk.cli(f"channel redirect {channel} edge-line-101-no-greeting,fallback,1")
        await room.until(lambda call_id=call_id: _state(room, call_id) is CallState.FALLBACK)  # type: ignore[misc]
        await caller.hang_up()
        await room.until(lambda call_id=call_id: _state(room, call_id) is CallState.ENDED)  # type: ignore[misc]
    assert evaluated(room.live) == ""
    assert room.live.state.agents[ann.number].phone == "agent1"


def _channel_of(room: Room, leg_id: str) -> str:
    """The switch's name of the channel with this id."""
    rows = [line.split("!") for line in room.live.channels().splitlines()]
    return next(row[0] for row in rows if row[-1] == leg_id)


async def test_the_command_line_prints_hostile_names_safely(room: Room) -> None:
    """Tables hold no control character and no markup; JSON is JSON; logs and the ledger are whole."""
    ann = await room.agent(1)
    call_id = ""
    for raw in HOSTILE.values():
        record = await served(room, ann, stranger(room, from_user=quote(raw, safe="")))
        assert record is not None
        record = await served(room, ann, stranger(room, from_name=raw), ACCEPTED_SECONDS)
        call_id = record.call_id if record else call_id
    looks = (
        ("calls", "--last", "50", "--numbers"),
        ("calls", "--last", "50", "--numbers", "--json"),
        ("call", call_id, "--numbers"),
        ("call", call_id, "--json"),
        ("why", call_id),
        ("top", "--for", "0", "--json"),
        ("status",),
        ("ledger", "verify", "--json"),
    )
    told = await asyncio.gather(*(asyncio.to_thread(room.live.edge, *look) for look in looks))
    for look, done in zip(looks, told, strict=True):
        assert done.returncode == 0, (look, done.stderr)
        assert _printable(done.stdout.replace("\n", "")), look
        if "--json" in look:
            assert json.loads(done.stdout)


# --- who does not say who they are ---


def ledger_files(room: Room) -> list[Path]:
    """The ledger as it is on disk."""
    return list(room.live.directory.glob("ledger.sqlite*"))


UNKNOWN: dict[str, dict[str, Any]] = {
    "anonymous": {"from_user": "anonymous"},
    "rfc-3323": {"headers": {"From": '"Anonymous" <sip:anonymous@anonymous.invalid>'}},
    "private": {"headers": {"Privacy": "id", "P-Asserted-Identity": "<sip:01632960717@127.0.0.1>"}},
    "private-rfc-3323": {
        "headers": {
            "From": '"Anonymous" <sip:anonymous@anonymous.invalid>',
            "Privacy": "id",
            "P-Asserted-Identity": '"Jo" <sip:01632960717@127.0.0.1>',
        }
    },
    "no-user": {"headers": {"From": "<sip:127.0.0.1>"}},
    "tel-empty": {"headers": {"From": '"" <sip:@127.0.0.1>'}},
}


@pytest.mark.parametrize("how", [how for how in UNKNOWN if how != "tel-empty"])
async def test_withheld_callers_are_served_and_stay_unknown(room: Room, how: str) -> None:
    """Two callers who withhold their number are two calls; the phone shows "withheld", the ledger nothing personal."""
    ann = await room.agent(1)
    records = [await served(room, ann, stranger(room, **UNKNOWN[how])) for _ in range(2)]
    assert all(record is not None for record in records)
    assert len({record.call_id for record in records if record}) == 2
    for record in filter(None, records):
        shown = (record.number_withheld, record.caller_number, record.caller_name)
        assert shown == (True, None, None)
    assert {call.caller_number for call in ann.calls} == {"withheld"}
    assert not any(b"01632960717" in file.read_bytes() for file in ledger_files(room))


@pytest.mark.parametrize("number", ["Bob", "1" * 40, "+441632960001", "0", "*22", "agent1", "4001", "101"])
async def test_odd_numbers_are_served(room: Room, number: str) -> None:
    """Letters, forty digits, our own codes, phones and lines as caller's number: a call like any other."""
    ann = await room.agent(2)
    jo = room.callers.invite(room.uri(LINE), from_user=number)
    if number == "agent1":  # known by user name: it must prove to be that phone
        await jo.ended(3)
        assert jo.status == 401
        return
    record = await served(room, ann, jo)
    assert record is not None
    assert (record.caller_number, record.number_withheld) == (number, False)


# --- when strangers hang up ---

CALLERS = 36


async def hangs_up_at_once(room: Room, callers: list[OutgoingCall]) -> None:
    """Before the 200, some of them before the 100."""

    async def one(caller: OutgoingCall) -> None:
        await spin(_random.uniform(0, 0.002))
        await caller.hang_up()

    await asyncio.gather(*map(one, callers))


async def hangs_up_after_the_answer(room: Room, callers: list[OutgoingCall]) -> None:
    """While the greeting plays."""

    async def one(caller: OutgoingCall) -> None:
        await caller.answered(5)
        await spin(_random.uniform(0, 0.003))
        await caller.hang_up()

    await asyncio.gather(*map(one, callers))


@pytest.mark.parametrize("when", [hangs_up_at_once, hangs_up_after_the_answer])
@pytest.mark.parametrize("line", ["101", "999"])
async def test_callers_who_hang_up_early(
    room: Room,
    when: Callable[[Room, list[OutgoingCall]], Awaitable[None]],
    line: str,
    expected_warnings: list[str],
) -> None:
    """Each call of the batch has one end, and it is the caller's."""
    expected_warnings += ["no 999 agent", "999 unanswered"]  # nobody is there
    if (line, when) == ("999", hangs_up_after_the_answer):
        pytest.skip("a 999 has no answer before a human's")
    callers = [room.caller(line) for _ in range(CALLERS)]
    await when(room, callers)
    await everything_ended_once(room)
    ends = [fact for fact in room.facts(facts.CallEnded) if isinstance(fact, facts.CallEnded)]
    assert {fact.outcome for fact in ends} <= {CallOutcome.ABANDONED}
    assert all(caller.state is Wire.ENDED for caller in callers)


async def everything_ended_once(room: Room) -> None:
    """Every call that arrived since the room opened ends, once; no offer is left. One reading: others may be arriving."""

    def have_all_ended() -> bool:
        known = room.facts(facts.CallArrived, facts.CallEnded)
        arrived = [fact.call_id for fact in known if isinstance(fact, facts.CallArrived)]
        ended = [fact.call_id for fact in known if isinstance(fact, facts.CallEnded)]
        is_left = bool(room.live.state.calls or room.live.state.offers)
        return not is_left and sorted(ended) == sorted(arrived)

    await room.until(have_all_ended, 10, "all calls end, each once")
    known = room.facts(facts.OfferMade, facts.OfferEnded)
    made = [fact.offer_id for fact in known if isinstance(fact, facts.OfferMade)]
    over = [fact.offer_id for fact in known if isinstance(fact, facts.OfferEnded)]
    assert len(over) == len(set(over))
    assert set(over) <= set(made)


Moment = Callable[[IncomingCall, OutgoingCall], Awaitable[None]]


async def while_it_rings(call: IncomingCall, caller: OutgoingCall) -> None:
    """The caller gives up just after the phone began to ring."""
    call.ring()
    await spin(_random.uniform(0, 0.002))
    await caller.hang_up()


async def just_before_the_answer(call: IncomingCall, caller: OutgoingCall) -> None:
    """The caller gives up less than a millisecond before the agent answers."""
    call.ring()
    gone = asyncio.create_task(caller.hang_up())
    await spin(_random.uniform(0, 0.0009))
    call.answer()
    await gone


async def just_after_the_answer(call: IncomingCall, caller: OutgoingCall) -> None:
    """The caller gives up less than a millisecond after the agent answers."""
    call.ring()
    call.answer()
    await spin(_random.uniform(0, 0.0009))
    await caller.hang_up()


async def just_after_the_connection(call: IncomingCall, caller: OutgoingCall) -> None:
    """The caller gives up some milliseconds after the agent's answer was acknowledged: about when they are joined."""
    call.answer()
    await call.until(lambda: call.acknowledged, 5)
    await spin(_random.uniform(0, 0.008))
    await caller.hang_up()


async def agent_just_after_the_connection(call: IncomingCall, caller: OutgoingCall) -> None:
    """The agent hangs up about when they are joined; a caller who was given back gives up."""
    call.answer()
    await call.until(lambda: call.acknowledged, 5)
    await spin(_random.uniform(0, 0.008))
    await call.hang_up()
    if await caller.lasts(0.5):
        await caller.hang_up()


@pytest.mark.parametrize(
    "moment",
    [
        while_it_rings,
        just_before_the_answer,
        just_after_the_answer,
        just_after_the_connection,
        agent_just_after_the_connection,
    ],
)
@pytest.mark.parametrize("line", [LINE, "999"])
async def test_hang_up_in_the_same_moment(room: Room, moment: Moment, line: str) -> None:
    """36 callers, 4 agents: whichever the switch saw first, each call has one end and every agent is ready again."""

    async def behave(call: IncomingCall) -> None:
        await moment(call, room.who(call))

    desks = [await room.agent(index, behave) for index in (1, 2, 3, 4)]
    callers = [room.caller(line) for _ in range(CALLERS)]
    await until(lambda: all(caller.state is Wire.ENDED for caller in callers), 30, "all callers gone")
    await everything_ended_once(room)
    for desk in desks:
        await room.becomes(desk, AgentState.READY)
    assert len(room.facts(facts.CallArrived)) == CALLERS


async def test_agents_who_hang_up_at_the_connection_strand_no_caller(room: Room) -> None:
    """Asterisk may lose a hang-up in the hand-over: no caller stays with a phone that is gone, though none hangs up."""

    async def behave(call: IncomingCall) -> None:
        call.answer()
        await call.until(lambda: call.acknowledged, 5)
        await spin(_random.uniform(0, 0.02))
        await call.hang_up()

    for index in (1, 2, 3, 4):
        await room.agent(index, behave)
    callers = [room.caller(LINE) for _ in range(2 * CALLERS)]
    await until(lambda: all(caller.state is Wire.ENDED for caller in callers), 30, "all callers released")
    await everything_ended_once(room)


# --- phones in trouble ---


async def waits_and_is_served_by(room: Room, caller: OutgoingCall, desk: Desk) -> CallRecord:
    """The caller has kept the place and is served by another desk."""
    assert await room.serve(desk, 8) is caller
    record = room.record(caller)
    assert (record.outcome, record.agent) == (CallOutcome.ANSWERED, desk.number)
    return record


async def test_a_phone_that_vanishes_while_it_rings(room: Room) -> None:
    """Its socket is gone without a word: when the ring time is over the next agent is rung and serves the caller."""
    ann = await room.agent(1)
    bob = await room.desk(2)
    jo = room.caller(LINE)
    call = await ann.offered()
    call.ring()
    await room.until(lambda: room.facts(facts.OfferRang))
    await ann.phone.vanish()
    await room.sign_in(bob)
    record = await waits_and_is_served_by(room, jo, bob)
    assert [offer.outcome for offer in record.offers] == [OfferOutcome.MISSED, OfferOutcome.ANSWERED]


async def test_a_phone_that_vanished_before_it_was_rung(room: Room) -> None:
    """No ringing within 3 s: unreachable, and the next agent serves the caller."""
    ann = await room.agent(1)
    await ann.phone.vanish()
    bob = await room.desk(2)
    jo = room.caller(LINE)
    await room.until(lambda: room.facts(facts.OfferMade))
    await room.sign_in(bob)
    record = await waits_and_is_served_by(room, jo, bob)
    assert [offer.outcome for offer in record.offers] == [OfferOutcome.UNREACHABLE, OfferOutcome.ANSWERED]


async def test_a_phone_that_vanishes_in_the_conversation(room: Room) -> None:
    """The caller hangs up into the silence: the call ends at once as answered, and the agent is not stuck."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    await ann.phone.vanish()
    await jo.hang_up()
    record = await room.ended(jo)
    assert record.outcome is CallOutcome.ANSWERED
    await room.until(lambda: room.agent_state(ann) is not AgentState.TALKING)


async def test_a_phone_that_answers_and_hangs_up_at_once(room: Room) -> None:
    """The caller, if not joined for a moment, keeps the place and is served by another."""

    async def answer_and_leave(call: IncomingCall) -> None:
        call.answer()
        await call.hang_up()

    ann = await room.agent(1, answer_and_leave)
    bob = await room.desk(2)
    jo = room.caller(LINE)
    await ann.offered()
    await room.until(lambda: room.facts(facts.CallReturned, facts.CallEnded))
    if room.facts(facts.CallReturned):
        await room.sign_in(bob)
        await until(lambda: bob.calls or jo.state is Wire.ENDED)
        if bob.calls:
            await room.serve(bob)
    await jo.ended(8)
    assert (await room.ended(jo)).outcome is CallOutcome.ANSWERED


@pytest.mark.parametrize("status", [500, 603, 404, 480, 503])
async def test_a_phone_that_rings_and_refuses(room: Room, status: int) -> None:
    """180 and then a refusal: the offer is not answered, and the next agent serves the caller at the same place."""

    async def ring_and_refuse(call: IncomingCall) -> None:
        call.ring()
        await room.until(lambda: room.facts(facts.OfferRang))
        call.reject(status)

    await room.agent(1, ring_and_refuse)
    bob = await room.desk(2)
    jo = room.caller(LINE)
    await room.until(lambda: room.facts(facts.OfferEnded))
    await room.sign_in(bob)
    record = await waits_and_is_served_by(room, jo, bob)
    refused = OfferOutcome.MISSED if status == 480 else OfferOutcome.REJECTED  # 480: nobody came to the phone
    assert record.offers[0].outcome in (refused, OfferOutcome.UNREACHABLE)


async def test_a_phone_cannot_send_the_caller_elsewhere(room: Room) -> None:
    """A 302 is a refusal: nobody else is called for it, neither the host it names nor the public number."""
    outside = UserAgent()
    trunk = UserAgent(port=room.lab.callee.port)
    targets = [
        f"<sip:07700900123@127.0.0.1:{outside.address[1]}>",
        "<sip:07700900123@127.0.0.1>",
        "<sip:7001@x>",
    ]

    async def redirect(call: IncomingCall) -> None:
        call.ring()
        call.reject(302, (("Contact", targets[len(ann.calls) % len(targets)]),))

    ann = await room.agent(1, redirect)
    bob = await room.desk(2)
    jo = room.caller(LINE)
    await until(lambda: len(ann.calls) >= 3, 8)
    await room.sign_in(bob)
    record = await waits_and_is_served_by(room, jo, bob)
    assert {offer.outcome for offer in record.offers[:-1]} <= {
        OfferOutcome.REJECTED,
        OfferOutcome.UNREACHABLE,
    }
    assert (outside.calls, trunk.calls) == ({}, {})
    for phone in (outside, trunk):
        phone.close()


UNUSABLE = {
    "empty": b"",
    "cut-short": b"v=0\r\nrubbish",
    "binary": b"\xff" * 100,
    "no-codec": b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 9 RTP/AVP 126\r\na=rtpmap:126 nonsense/8000\r\n",
}


@pytest.mark.parametrize("what", UNUSABLE)
async def test_a_phone_that_answers_without_usable_media(room: Room, what: str) -> None:
    """A 200 whose session description cannot be used: whatever the switch makes of it, the caller is served in the end."""

    async def answer_badly(call: IncomingCall) -> None:
        call.ring()
        call.answer(UNUSABLE[what])

    ann = await room.agent(1, answer_badly)
    bob = await room.desk(2)
    jo = room.caller(LINE)
    await ann.offered()
    await room.until(lambda: room.facts(facts.OfferEnded, facts.CallConnected))
    if not room.facts(facts.CallConnected):
        await room.sign_in(bob)  # ann, who rejected, may have been asked again before bob was there
        await room.until(lambda: bob.calls or room.facts(facts.CallConnected))
    if room.facts(facts.CallConnected):  # without media, but connected: the agent will say so
        await jo.hang_up()
    else:
        await waits_and_is_served_by(room, jo, bob)
    await room.ended(jo)


# --- floods ---


async def test_digits_from_a_waiting_caller_change_nothing(room: Room) -> None:
    """A caller who presses every key all the time keeps waiting and is served."""
    jo = room.caller(LINE, hears=True)
    await jo.answered(3)
    jo.leg.send_digits("0123456789*#ABCD" * 3)
    sent = jo.leg.sent
    await until(lambda: jo.leg.sent > sent + 60, 8)
    ann = await room.agent(1)
    assert await room.serve(ann) is jo


async def test_a_storm_of_re_invites(room: Room) -> None:
    """A caller who holds and resumes thirty times while waiting is served like any other."""
    jo = room.caller(LINE)
    await jo.answered(3)
    answers = [await (jo.hold() if index % 2 else jo.resume()) for index in range(30)]
    assert set(answers) == {200}
    ann = await room.agent(1)
    assert await room.serve(ann) is jo


async def test_a_caller_who_sends_bye_twice(room: Room) -> None:
    """The second BYE finds nothing, and the call has ended once."""
    ann = await room.agent(1)
    jo = room.caller(LINE)
    await ann.answers()
    await room.reaches(jo, CallState.TALKING)
    answers = await asyncio.gather(jo.request("BYE"), jo.request("BYE"))
    assert sorted(answer.status for answer in answers)[0] == 200
    await room.ended(jo)
    await everything_ended_once(room)
    jo.abandon()


@pytest.mark.quiet
async def test_an_options_flood_while_calls_are_served(room: Room) -> None:
    """500 OPTIONS as fast as they go: all are answered, and meanwhile callers are served."""
    desks = [await room.agent(index, answering(talk_seconds=0.1)) for index in (1, 2)]
    flood = [asyncio.create_task(options(room, number)) for number in range(500)]
    callers = [room.caller(LINE) for _ in range(20)]
    await until(lambda: all(caller.state is Wire.ENDED for caller in callers), 20, "all served")
    assert {(await answer) for answer in flood} == {200}
    records = [room.record(caller) for caller in callers]
    assert {record.outcome for record in records} == {CallOutcome.ANSWERED}
    assert sum(len(desk.calls) for desk in desks) == len(callers)


async def options(room: Room, number: int) -> int:
    """The answer to one OPTIONS."""
    agent, uri = room.callers, room.uri(LINE)
    headers = [
        ("Via", agent.new_via()),
        ("Max-Forwards", "70"),
        ("From", f"<sip:flood@127.0.0.1>;tag=flood{number}"),
        ("To", f"<{uri}>"),
        ("Call-ID", f"flood-{number}-{agent.address[1]}"),
        ("CSeq", "1 OPTIONS"),
    ]
    return (await agent.exchange(Request(headers, method="OPTIONS", uri=uri), uri, [])).status


@pytest.mark.quiet
async def test_a_hundred_callers_in_one_second(room: Room) -> None:
    """All are accepted, all are offered in the order in which they joined, and all are served."""
    callers = []
    began = asyncio.get_running_loop().time()
    for index in range(100):
        callers.append(room.caller(LINE))
        due = began + (index + 1) / 100
        assert await callers[-1].lasts(max(0.0, due - asyncio.get_running_loop().time()))
    await asyncio.gather(*(caller.answered(8) for caller in callers))
    for index in (1, 2, 3, 4):
        await room.agent(index, answering(talk_seconds=0.1))
    await until(lambda: all(caller.state is Wire.ENDED for caller in callers), 30, "all served")
    await everything_ended_once(room)
    records = {room.record(caller).call_id: room.record(caller) for caller in callers}
    offered = [fact.call_id for fact in room.facts(facts.OfferMade) if isinstance(fact, facts.OfferMade)]
    joined = [records[call_id].queued_at.utc_us for call_id in dict.fromkeys(offered)]
    assert joined == sorted(joined)
    assert len(joined) == len(callers)
    assert {room.record(caller).outcome for caller in callers} == {CallOutcome.ANSWERED}

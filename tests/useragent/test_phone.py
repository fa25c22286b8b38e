"""Two user agents call each other over loopback."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hwtest.useragent import (
    CallEnded,
    CallState,
    IncomingCall,
    Media,
    OutgoingCall,
    Stamp,
    Timers,
    UserAgent,
)
from hwtest.useragent.media import payload_of
from hwtest.useragent.sdp import PCMA, PCMU, Description

SECONDS = 5.0
FAST = Timers(t1=0.01, t2=0.04, t4=0.05)


@pytest.fixture
async def caller() -> AsyncIterator[UserAgent]:
    """A user agent that places calls."""
    agent = UserAgent(user="caller")
    yield agent
    agent.close()


@pytest.fixture
async def callee() -> AsyncIterator[UserAgent]:
    """A user agent that takes calls."""
    agent = UserAgent(user="callee", media="silence")
    yield agent
    agent.close()


def uri_of(agent: UserAgent) -> str:
    host, port = agent.address
    return f"sip:101@{host}:{port}"


async def connected(
    caller: UserAgent, callee: UserAgent, media: Media | None = None
) -> tuple[OutgoingCall, IncomingCall]:
    outgoing = caller.invite(uri_of(callee), media=media)
    incoming = await callee.next_invite(SECONDS)
    incoming.answer()
    await outgoing.answered(SECONDS)
    await incoming.until(lambda: incoming.acknowledged, SECONDS)
    return outgoing, incoming


def labels(call: OutgoingCall | IncomingCall) -> list[tuple[str, str]]:
    return [(entry.direction, entry.label) for entry in call.trace]


async def test_answered_call(caller: UserAgent, callee: UserAgent) -> None:
    """A call rings, is answered, and the caller's BYE ends it; the trace has each message in order."""
    outgoing = caller.invite(uri_of(callee))
    incoming = await callee.next_invite(SECONDS)
    incoming.ring()
    await outgoing.ringing(SECONDS)
    incoming.answer()
    await outgoing.answered(SECONDS)
    await outgoing.hang_up()
    await incoming.ended(SECONDS)
    assert labels(outgoing) == [
        ("sent", "INVITE"),
        ("received", "180"),
        ("received", "200"),
        ("sent", "ACK"),
        ("sent", "BYE"),
        ("received", "200"),
    ]
    assert [label for _, label in labels(incoming)] == [label for _, label in labels(outgoing)]
    assert (outgoing.ended_by, incoming.ended_by, outgoing.status) == ("local", "remote", 200)
    assert (caller.calls, callee.calls) == ({}, {})


async def test_callee_hangs_up(caller: UserAgent, callee: UserAgent) -> None:
    """The callee's BYE ends the call for both."""
    outgoing, incoming = await connected(caller, callee)
    await incoming.hang_up()
    await outgoing.ended(SECONDS)
    assert (outgoing.ended_by, incoming.ended_by) == ("remote", "local")


async def test_both_hang_up(caller: UserAgent, callee: UserAgent) -> None:
    """Two BYEs that cross end the call for both."""
    outgoing, incoming = await connected(caller, callee)
    await asyncio.gather(outgoing.hang_up(), incoming.hang_up())
    assert (outgoing.state, incoming.state) == (CallState.ENDED, CallState.ENDED)


async def test_hang_up_twice(caller: UserAgent, callee: UserAgent) -> None:
    """Hanging up twice sends one BYE."""
    outgoing, _ = await connected(caller, callee)
    await asyncio.gather(outgoing.hang_up(), outgoing.hang_up())
    assert labels(outgoing).count(("sent", "BYE")) == 1


@pytest.mark.parametrize("status", [302, 404, 480, 486, 603])
async def test_reject(caller: UserAgent, callee: UserAgent, status: int) -> None:
    """A refusal reaches the caller and is acknowledged."""
    outgoing = caller.invite(uri_of(callee))
    incoming = await callee.next_invite(SECONDS)
    incoming.reject(status)
    with pytest.raises(CallEnded):
        await outgoing.answered(SECONDS)
    assert (outgoing.status, outgoing.ended_by) == (status, "remote")
    assert labels(outgoing)[-1] == ("sent", "ACK")


async def test_cancel(caller: UserAgent, callee: UserAgent) -> None:
    """A call cancelled while it rings ends with 487 on both sides."""
    outgoing = caller.invite(uri_of(callee))
    incoming = await callee.next_invite(SECONDS)
    incoming.ring()
    await outgoing.ringing(SECONDS)
    await outgoing.hang_up()
    await incoming.ended(SECONDS)
    assert (outgoing.status, incoming.status, incoming.cancelled) == (487, 487, True)
    assert outgoing.ended_by == "local"


async def test_cancel_waits_for_a_provisional_response(caller: UserAgent, callee: UserAgent) -> None:
    """No CANCEL is sent before the far end has said anything (RFC 3261 §9.1)."""
    outgoing = caller.invite(uri_of(callee))
    outgoing.cancel()
    incoming = await callee.next_invite(SECONDS)
    assert labels(outgoing) == [("sent", "INVITE")]
    incoming.ring()
    await outgoing.ended(SECONDS)
    assert labels(outgoing)[1:3] == [("received", "180"), ("sent", "CANCEL")]


@pytest.mark.parametrize("answer_first", [True, False])
async def test_answer_crosses_cancel(caller: UserAgent, callee: UserAgent, answer_first: bool) -> None:
    """A 200 that crosses the CANCEL is acknowledged and the call ended by BYE."""
    outgoing = caller.invite(uri_of(callee))
    incoming = await callee.next_invite(SECONDS)
    incoming.ring()
    await outgoing.ringing(SECONDS)
    acts = [incoming.answer, outgoing.cancel]
    for act in acts if answer_first else acts[::-1]:
        act()
    await outgoing.ended(SECONDS)
    await incoming.ended(SECONDS)
    sent = [label for direction, label in labels(outgoing) if direction == "sent"]
    assert sorted(sent) == ["ACK", "BYE", "CANCEL", "INVITE"]
    assert (incoming.cancelled, incoming.ended_by) == (False, "remote")


async def test_ignored_call() -> None:
    """A phone that is off sends nothing: the INVITE is repeated and ends as a 408 after 64 T1."""
    caller, callee = UserAgent(timers=FAST), UserAgent(timers=FAST)
    callee.on_invite = IncomingCall.ignore
    outgoing = caller.invite(uri_of(callee))
    await outgoing.ended(SECONDS)
    assert outgoing.status == 408
    assert set(labels(outgoing)) == {("sent", "INVITE")}
    assert 5 <= len(outgoing.trace) <= 8
    caller.close()
    callee.close()


async def test_first_transmission_is_stamped(caller: UserAgent, callee: UserAgent) -> None:
    """`stamp_of` gives the first copy of each message, the sender's before the receiver's kernel stamp."""
    outgoing, incoming = await connected(caller, callee)
    sent, received = outgoing.stamp_of("INVITE"), incoming.stamp_of("INVITE")
    assert sent is not None
    assert received is not None
    assert 0 <= received.utc_ns - sent.utc_ns < 1_000_000_000
    assert abs((received.utc_ns - sent.utc_ns) - (received.monotonic_ns - sent.monotonic_ns)) < 5_000_000
    assert outgoing.stamp_of("BYE") is None


async def test_trying_after_200_ms(caller: UserAgent, callee: UserAgent) -> None:
    """A callee that has said nothing for 200 ms sends 100, which is not ringing."""
    outgoing = caller.invite(uri_of(callee))
    incoming = await callee.next_invite(SECONDS)
    callee.later(0.21, lambda: incoming.reject(486))
    await outgoing.ended(SECONDS)
    assert [label for _, label in labels(outgoing)] == ["INVITE", "100", "486", "ACK"]
    assert outgoing.reached is CallState.TRYING


@pytest.mark.parametrize(
    "name",
    [
        b'quote " and \\ backslash',
        b"<sip:evil@127.0.0.1>;tag=evil",
        b"\xff\xfe\x80 not UTF-8",
        "Zoë Ünïcode 📞".encode(),
        b"'; DROP TABLE calls; --",
        b"${SHELL(id)},1,n&Action: Originate",
        b"\x00\x01\x1b[31m",
        b"x" * 4096,
        b"",
    ],
)
async def test_hostile_names(caller: UserAgent, callee: UserAgent, name: bytes) -> None:
    """A hostile caller name arrives byte for byte."""
    caller.invite(uri_of(callee), from_user="07700900123", from_name=name, headers={"X-Edge-Call": "c-1"})
    incoming = await callee.next_invite(SECONDS)
    assert (incoming.caller_name, incoming.caller_number) == (name, "07700900123")
    assert incoming.header("x-edge-call") == "c-1"


async def test_line_ends_in_a_name_reach_the_wire(caller: UserAgent, callee: UserAgent) -> None:
    """CR and LF in a name are sent as they are: the injected header arrives, and the name is cut."""
    caller.invite(uri_of(callee), headers={"Subject": "a\r\nX-Injected: yes"})
    incoming = await callee.next_invite(SECONDS)
    assert incoming.header("X-Injected") == "yes"


async def test_hold_and_resume(caller: UserAgent, callee: UserAgent) -> None:
    """A re-INVITE that holds is answered and tracked, and another one takes it back."""
    outgoing, incoming = await connected(caller, callee)
    assert (await incoming.hold(), outgoing.held) == (200, True)
    assert (await incoming.resume(), outgoing.held) == (200, False)


async def test_requests_inside_a_call(caller: UserAgent, callee: UserAgent) -> None:
    """OPTIONS, NOTIFY, INFO and UPDATE are answered, an unknown method is not allowed."""
    outgoing, _ = await connected(caller, callee)
    methods = ["OPTIONS", "NOTIFY", "INFO", "UPDATE", "PUBLISH"]
    statuses = [(await outgoing.request(method)).status for method in methods]
    assert statuses == [200, 200, 200, 200, 405]


async def test_refer(caller: UserAgent, callee: UserAgent) -> None:
    """REFER names the target; this user agent does not follow it."""
    outgoing, incoming = await connected(caller, callee)
    assert await outgoing.refer("sip:102@127.0.0.1") == 405
    assert await outgoing.refer(incoming) == 405


async def test_request_outside_any_call(caller: UserAgent, callee: UserAgent) -> None:
    """A BYE for a call that is over gets a 481."""
    outgoing, incoming = await connected(caller, callee)
    incoming.abandon()
    assert (await outgoing.request("BYE")).status == 481


async def test_digits(caller: UserAgent, callee: UserAgent) -> None:
    """Digits sent as telephone events are received in order, repeated ones too."""
    outgoing, incoming = await connected(caller, callee, Media("silence"))
    outgoing.leg.send_digits("1#1")
    await incoming.until(lambda: incoming.leg.digits == "1#1", SECONDS)


async def test_tone_is_heard(caller: UserAgent, callee: UserAgent) -> None:
    """A tone is heard with its frequency and level, and not mistaken for another."""
    _, incoming = await connected(caller, callee, Media("tone", 1000, -13.0))
    await incoming.until(lambda: incoming.leg.packets >= 5, SECONDS)
    assert incoming.leg.level_dbm0 == pytest.approx(-13.0, abs=0.5)
    assert (incoming.leg.hears(1000), incoming.leg.hears(440)) == (True, False)


async def test_the_other_law_is_heard_as_what_it_is(caller: UserAgent, callee: UserAgent) -> None:
    """A far end that answers with both laws may send either: its silence is none of the other law's noise."""
    outgoing, incoming = await connected(caller, callee, Media("silence"))
    incoming.leg.connect(Description(*outgoing.leg.address, codecs=(PCMA, PCMU)))
    await outgoing.until(lambda: outgoing.leg.packets >= 5, SECONDS)
    assert outgoing.leg._remote is not None and outgoing.leg._remote.codecs[0] == PCMU
    outgoing.leg.forget_heard()
    packets = outgoing.leg.packets
    await outgoing.until(lambda: outgoing.leg.packets > packets + 5, SECONDS)
    assert outgoing.leg.level_dbm0 < -60


@pytest.mark.parametrize(
    ("packet", "payload"),
    [
        ("80 00" + 10 * "00" + "d5d5", "d5d5"),
        ("81 00" + 14 * "00" + "d5", "d5"),  # a contributing source
        (
            "90 00" + 10 * "00" + "bede0001" + "10ff0000" + "d5d5",
            "d5d5",
        ),  # an extension: audio level (RFC 6464)
        ("a0 00" + 10 * "00" + "d5" + "000003", "d5"),  # padding
        ("b1 00" + 14 * "00" + "bede0000" + "d5" + "01", "d5"),
        ("90 00" + 10 * "00" + "bedeffff" + "d5", None),  # an extension longer than the packet
        ("90 00" + 10 * "00" + "be", None),
        ("a0 00" + 10 * "00" + "d5ff", None),  # padding longer than it
    ],
)
def test_payload_of_a_packet(packet: str, payload: str | None) -> None:
    """Audio is heard without what stands around it, as some servers send it."""
    assert payload_of(bytes.fromhex(packet)) == (None if payload is None else bytes.fromhex(payload))


async def test_echo(caller: UserAgent) -> None:
    """An echoing callee returns the caller's tone."""
    callee = UserAgent(media="echo")
    outgoing, _ = await connected(caller, callee, Media("tone", 440))
    await outgoing.until(lambda: outgoing.leg.hears(440), SECONDS)
    callee.close()


async def test_a_leg_that_fails_stops_no_other(caller: UserAgent, callee: UserAgent) -> None:
    """Whoever listens to one leg and fails costs the other legs no more than a frame."""
    outgoing, incoming = await connected(caller, callee, Media("tone", 440))  # both legs have one pacer
    failed = list[bytes]()

    def fail(codes: bytes, _: Stamp) -> None:
        failed.append(codes)
        raise ValueError("a fault of who listens")

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    incoming.leg.listener = fail
    await incoming.until(lambda: len(failed) > 2, SECONDS)
    assert outgoing.leg.sent > 2


async def test_held_leg_sends_nothing(caller: UserAgent, callee: UserAgent) -> None:
    """A leg that is held sends no frames until it is resumed."""
    outgoing, incoming = await connected(caller, callee, Media("tone"))
    await incoming.until(lambda: incoming.leg.packets >= 1, SECONDS)
    await incoming.hold()
    sent = outgoing.leg.sent
    await incoming.request("OPTIONS")
    assert outgoing.leg.sent == sent
    await incoming.resume()
    await incoming.until(lambda: outgoing.leg.sent > sent, SECONDS)


async def test_hundred_calls_at_once(caller: UserAgent, callee: UserAgent) -> None:
    """A hundred calls in one loop are all answered, counted and ended, and nothing is left."""
    callee.on_invite = IncomingCall.answer
    calls = [caller.invite(uri_of(callee)) for _ in range(100)]
    await asyncio.gather(*(call.answered(SECONDS) for call in calls))
    assert len(callee.calls) == 100
    await asyncio.gather(*(call.hang_up() for call in calls))
    assert (len(caller.calls), len(callee.calls)) == (0, 0)
    assert {call.status for call in calls} == {200}


async def test_vanished_phone(callee: UserAgent) -> None:
    """A phone that is closed sends no word, and whoever waits on its calls is told."""
    caller = UserAgent()
    outgoing, incoming = await connected(caller, callee)
    waiting = asyncio.create_task(outgoing.hang_up())
    caller.close()
    await waiting
    assert outgoing.state is CallState.ENDED
    assert incoming.state is CallState.ANSWERED


async def test_shut_down_hangs_up(callee: UserAgent) -> None:
    """Leaving the block of a user agent ends its calls in an orderly way."""
    async with UserAgent() as caller:
        _, incoming = await connected(caller, callee)
    await incoming.ended(SECONDS)
    assert incoming.ended_by == "remote"

"""Loss, repetition and late messages, against a peer that is scripted datagram by datagram."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hwtest.useragent import CallState, SipError, Timers, UserAgent, wire
from hwtest.useragent.sdp import Description
from hwtest.useragent.transport import SocketAddress, open_socket
from hwtest.useragent.wire import Credentials, Request, Response

SECONDS = 5.0
FAST = Timers(t1=0.01, t2=0.04, t4=0.05)
SDP = (("Content-Type", "application/sdp"),)


class Peer:
    """A bare UDP socket that speaks SIP by hand."""

    def __init__(self) -> None:
        self._socket = open_socket("127.0.0.1", 0)
        self._sender: SocketAddress = ("127.0.0.1", 0)
        self.uri = f"sip:peer@127.0.0.1:{self._socket.getsockname()[1]}"

    async def receive(self, label: str) -> Request | Response:
        """The next message named `label`; others before it are passed over."""
        async with asyncio.timeout(SECONDS):
            while True:
                datagram, self._sender = await asyncio.get_running_loop().sock_recvfrom(self._socket, 65535)
                message = wire.parse(datagram)
                if message.label == label:
                    return message

    async def request(self, method: str) -> Request:
        message = await self.receive(method)
        assert isinstance(message, Request)
        return message

    def send(self, message: Request | Response, destination: SocketAddress | None = None) -> None:
        self._socket.sendto(message.format(), destination or self._sender)

    def send_raw(self, datagram: bytes, destination: SocketAddress) -> None:
        self._socket.sendto(datagram, destination)

    def accept(self, invite: Request) -> Response:
        headers = (("Contact", f"<{self.uri}>"), *SDP)
        return wire.respond(
            invite, 200, tag="peer", headers=headers, body=Description("127.0.0.1", 4000).format()
        )

    def new_request(self, method: str, agent: UserAgent, to_tag: str = "", number: int = 1) -> Request:
        via = f"SIP/2.0/UDP {self.uri.partition('@')[2]};branch=z9hG4bK{method}{number};rport"
        to = f"<sip:x@127.0.0.1>{';tag=' + to_tag if to_tag else ''}"
        headers = [("Via", via), ("From", f"<{self.uri}>;tag=p"), ("To", to), ("Call-ID", "by-hand")]
        headers += [("CSeq", f"{number} {method}"), ("Contact", f"<{self.uri}>")]
        return Request(headers, b"", method, f"sip:x@{agent.address[0]}:{agent.address[1]}")

    def close(self) -> None:
        self._socket.close()


def rewrite(message: Request | Response, name: str, *values: str) -> None:
    """Give this header these values and no others."""
    message.headers = [pair for pair in message.headers if pair[0] != name] + [
        (name, value) for value in values
    ]


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """The scripted side."""
    opened = Peer()
    yield opened
    opened.close()


@pytest.fixture
async def agent() -> AsyncIterator[UserAgent]:
    """The user agent under test, with timers fifty times faster."""
    opened = UserAgent(timers=FAST)
    yield opened
    opened.close()


async def test_invite_is_repeated(agent: UserAgent, peer: Peer) -> None:
    """An INVITE without any response is sent again, unchanged."""
    agent.invite(peer.uri)
    first = await peer.request("INVITE")
    assert await peer.request("INVITE") == first


async def test_every_200_is_acknowledged(agent: UserAgent, peer: Peer) -> None:
    """A repeated 200 is acknowledged again with the INVITE's number, and the call stays one call."""
    call = agent.invite(peer.uri)
    invite = await peer.request("INVITE")
    for _ in range(2):
        peer.send(peer.accept(invite))
        ack = await peer.request("ACK")
        assert (ack.cseq.number, ack.to_tag, ack.uri) == (invite.cseq.number, "peer", peer.uri)
    assert call.state is CallState.ANSWERED


async def test_every_failure_is_acknowledged(agent: UserAgent, peer: Peer) -> None:
    """A repeated 486 is acknowledged again inside the INVITE's transaction."""
    agent.invite(peer.uri)
    invite = await peer.request("INVITE")
    for _ in range(2):
        peer.send(wire.respond(invite, 486, tag="peer"))
        assert (await peer.request("ACK")).branch == invite.branch


async def test_200_is_repeated_until_its_ack(agent: UserAgent, peer: Peer) -> None:
    """Our 200 is repeated while no ACK comes; a repeated INVITE gets it too and makes no second call."""
    invite = peer.new_request("INVITE", agent)
    peer.send(invite, agent.address)
    call = await agent.next_invite(SECONDS)
    call.answer()
    first = await peer.receive("200")
    peer.send(invite, agent.address)
    assert [await peer.receive("200") for _ in range(2)] == [first, first]
    peer.send(peer.new_request("ACK", agent, call.dialog.local_tag), agent.address)
    await call.until(lambda: call.acknowledged, SECONDS)
    assert len(agent.calls) == 1


async def test_answer_without_ack_ends_in_bye(agent: UserAgent, peer: Peer) -> None:
    """When no ACK comes in 64 T1 the call is ended by BYE (RFC 3261 §13.3.1.4)."""
    peer.send(peer.new_request("INVITE", agent), agent.address)
    call = await agent.next_invite(SECONDS)
    call.answer()
    peer.send(wire.respond(await peer.request("BYE"), 200))
    await call.ended(SECONDS)
    assert call.ended_by == "local"


async def test_silence_after_a_200_to_a_late_cancel(agent: UserAgent, peer: Peer) -> None:
    """A CANCEL that no final response follows ends the call 64 T1 later (§9.1)."""
    call = agent.invite(peer.uri)
    peer.send(wire.respond(await peer.request("INVITE"), 180, tag="peer"))
    await call.ringing(SECONDS)
    call.cancel()
    peer.send(wire.respond(await peer.request("CANCEL"), 200))
    await call.ended(SECONDS)
    assert (call.status, call.ended_by) == (408, "local")


async def test_lost_bye(agent: UserAgent, peer: Peer) -> None:
    """A BYE that nobody answers is repeated and ends the call after 64 T1."""
    call = agent.invite(peer.uri)
    peer.send(peer.accept(await peer.request("INVITE")))
    await call.answered(SECONDS)
    await call.hang_up()
    assert call.state is CallState.ENDED
    assert 8 <= sum(entry.label == "BYE" for entry in call.trace) <= 20


async def test_old_request_inside_a_call(agent: UserAgent, peer: Peer) -> None:
    """A request whose sequence number is not newer than the last one gets a 500 (§12.2.2)."""
    peer.send(peer.new_request("INVITE", agent, number=5), agent.address)
    call = await agent.next_invite(SECONDS)
    call.answer()
    peer.send(peer.new_request("BYE", agent, call.dialog.local_tag, number=4), agent.address)
    await peer.receive("500")
    assert call.state is CallState.ANSWERED


async def test_offer_in_our_answer(agent: UserAgent, peer: Peer) -> None:
    """An INVITE without a description is answered with an offer, and the ACK brings the peer's answer."""
    agent.media = type(agent.media)("silence")
    peer.send(peer.new_request("INVITE", agent), agent.address)
    call = await agent.next_invite(SECONDS)
    call.answer()
    assert b"m=audio" in (await peer.receive("200")).body
    ack = peer.new_request("ACK", agent, call.dialog.local_tag)
    ack.headers += SDP
    ack.body = Description("127.0.0.1", 4000).format()
    peer.send(ack, agent.address)
    await call.until(lambda: call.acknowledged, SECONDS)
    assert call.leg._sending


@pytest.mark.parametrize(
    ("method", "status"), [("OPTIONS", "200"), ("NOTIFY", "200"), ("PUBLISH", "405"), ("CANCEL", "481")]
)
async def test_stray_request(agent: UserAgent, peer: Peer, method: str, status: str) -> None:
    """Requests outside any call are answered."""
    peer.send(peer.new_request(method, agent), agent.address)
    assert (await peer.receive(status)).to_tag != ""


async def test_several_vias_in_one_line(agent: UserAgent, peer: Peer) -> None:
    """Where a request came from is written into the top Via, though a proxy has its own behind it in the same line."""
    options = peer.new_request("OPTIONS", agent)
    top, behind = options.required("Via"), "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKbehind"
    rewrite(options, "Via", f"{top}, {behind}")
    peer.send(options, agent.address)
    port = peer.uri.rpartition(":")[2]
    assert (await peer.receive("200")).header("Via") == (
        f"{top.removesuffix('rport')}rport={port};received=127.0.0.1, {behind}"
    )


async def test_required_extension(agent: UserAgent, peer: Peer) -> None:
    """An INVITE that requires an extension gets a 420 that names it."""
    invite = peer.new_request("INVITE", agent)
    invite.headers.append(("Require", "100rel"))
    peer.send(invite, agent.address)
    assert (await peer.receive("420")).header("Unsupported") == "100rel"


@pytest.mark.parametrize("contact", ["*", "<tel:1>"])
async def test_unusable_contact(agent: UserAgent, peer: Peer, contact: str) -> None:
    """An INVITE whose Contact is no SIP URI gets a 400."""
    invite = peer.new_request("INVITE", agent)
    rewrite(invite, "Contact", contact)
    peer.send(invite, agent.address)
    await peer.receive("400")


async def test_two_phones_of_a_fork_answer(agent: UserAgent, peer: Peer) -> None:
    """The second is acknowledged and let go at once; what it says afterwards does not end the call with the first."""
    call = agent.invite(peer.uri)
    invite = await peer.request("INVITE")
    peer.send(peer.accept(invite))
    await peer.request("ACK")
    second = peer.accept(invite)
    rewrite(second, "To", f"{invite.required('To')};tag=second")
    for _ in range(2):
        peer.send(second)
        assert (await peer.request("ACK")).to_tag == "second"
    bye = await peer.request("BYE")
    assert (bye.to_tag, bye.cseq.number) == ("second", invite.cseq.number + 1)
    peer.send(wire.respond(bye, 200))
    theirs = peer.new_request("BYE", agent, call.dialog.local_tag)
    rewrite(theirs, "Call-ID", invite.call_id)
    rewrite(theirs, "From", f"<{peer.uri}>;tag=second")
    peer.send(theirs, agent.address)
    await peer.receive("481")
    assert call.state is CallState.ANSWERED
    assert call.stamp_of("BYE") is None
    call.abandon()


NAMED = ["sip:edge@pbx.example.org:5062;transport=udp", "sip:edge@[2001:db8::1]:5060", "sip:edge@1.2.3.999"]


@pytest.mark.parametrize("uri", NAMED)
async def test_contact_by_name(agent: UserAgent, peer: Peer, uri: str) -> None:
    """A far end that gives its name is asked by it, at the address where it was reached: no name is looked up."""
    call = agent.invite(peer.uri)
    answer = peer.accept(await peer.request("INVITE"))
    rewrite(answer, "Contact", f"<{uri}>")
    peer.send(answer)
    assert (await peer.request("ACK")).uri == uri
    hanging_up = asyncio.create_task(call.hang_up())
    bye = await peer.request("BYE")
    assert bye.uri == uri
    peer.send(wire.respond(bye, 200))
    await hanging_up


async def test_route_by_name(agent: UserAgent, peer: Peer) -> None:
    """A proxy that records its name stays on the route, and requests go to where it was reached."""
    call = agent.invite(peer.uri)
    answer = peer.accept(await peer.request("INVITE"))
    rewrite(answer, "Record-Route", "<sip:p2.example.org;lr>", "<sip:p1.example.org;lr>")
    peer.send(answer)
    ack = await peer.request("ACK")
    assert ack.headers_named("Route") == ["<sip:p1.example.org;lr>", "<sip:p2.example.org;lr>"]
    call.abandon()


@pytest.mark.parametrize("uri", NAMED)
async def test_caller_by_name(agent: UserAgent, peer: Peer, uri: str) -> None:
    """A call of such a far end is taken, and ended by a BYE that goes to where it came from."""
    invite = peer.new_request("INVITE", agent)
    rewrite(invite, "Contact", f"<{uri}>")
    peer.send(invite, agent.address)
    call = await agent.next_invite(SECONDS)
    call.answer()
    await peer.receive("200")
    peer.send(peer.new_request("ACK", agent, call.dialog.local_tag), agent.address)
    await call.until(lambda: call.acknowledged, SECONDS)
    hanging_up = asyncio.create_task(call.hang_up())
    bye = await peer.request("BYE")
    assert bye.uri == uri
    peer.send(wire.respond(bye, 200))
    await hanging_up


async def test_noise(agent: UserAgent, peer: Peer) -> None:
    """Keep-alives and garbage are dropped, the latter counted, and the next request is answered."""
    for noise in (b"\r\n\r\n", b"", b"\0", b"garbage", b"\xff" * 1000):
        peer.send_raw(noise, agent.address)
    peer.send(peer.new_request("OPTIONS", agent), agent.address)
    await peer.receive("200")
    assert agent._transactions.malformed == 2


def challenged(request: Request, status: int = 401) -> Response:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    return wire.respond(request, status, tag="x", headers=((name, 'Digest realm="r", nonce="n"'),))


@pytest.mark.parametrize(("status", "name"), [(401, "Authorization"), (407, "Proxy-Authorization")])
async def test_invite_with_credentials(agent: UserAgent, peer: Peer, status: int, name: str) -> None:
    """A challenged INVITE is acknowledged and sent again, answered, in the same call; the first is t1."""
    call = agent.invite(peer.uri, auth=("ann", "secret"))
    first = await peer.request("INVITE")
    peer.send(challenged(first, status))
    await peer.request("ACK")
    second = await peer.request("INVITE")
    expected = wire.digest('Digest realm="r", nonce="n"', "INVITE", peer.uri, Credentials("ann", "secret"))
    assert second.header(name) == expected
    assert (second.call_id, second.cseq.number) == (first.call_id, first.cseq.number + 1)
    sent = [entry for entry in call.trace if entry.label == "INVITE"]
    assert call.stamp_of("INVITE") == (sent[0].monotonic_ns, sent[0].utc_ns)


async def test_wrong_credentials(agent: UserAgent, peer: Peer) -> None:
    """A second challenge ends the call."""
    call = agent.invite(peer.uri, auth=("ann", "wrong"))
    for _ in range(2):
        peer.send(challenged(await peer.request("INVITE")))
        await peer.request("ACK")
    await call.ended(SECONDS)
    assert call.status == 401


async def test_proxy_and_server_both_ask(agent: UserAgent, peer: Peer) -> None:
    """A proxy's 407 and then a 401 of the server behind it are both answered, the proxy's nonce counted on."""
    call = agent.invite(peer.uri, auth=("ann", "secret"))
    asked = {
        "Proxy-Authenticate": 'Digest realm="p", nonce="1", qop="auth"',
        "WWW-Authenticate": 'Digest realm="r", nonce="2"',
    }
    for status, (name, challenge) in zip((407, 401), asked.items(), strict=True):
        invite = await peer.request("INVITE")
        peer.send(wire.respond(invite, status, tag="x", headers=((name, challenge),)))
        await peer.request("ACK")
    invite = await peer.request("INVITE")
    assert "nc=00000002" in invite.required("Proxy-Authorization")
    assert 'nonce="2"' in invite.required("Authorization")
    peer.send(peer.accept(invite))
    await call.answered(SECONDS)
    call.abandon()


@pytest.mark.parametrize(("stale", "asked"), [("true", 4), ("false", 1)])
async def test_a_nonce_that_is_too_old(agent: UserAgent, peer: Peer, stale: str, asked: int) -> None:
    """A challenge whose nonce alone was too old is answered anew, but not for ever; a password that was refused is not."""
    call = agent.invite(peer.uri, auth=("ann", "secret"))
    for number in range(asked + 1):
        challenge = ("WWW-Authenticate", f'Digest realm="r", nonce="{number}", stale={stale}')
        peer.send(wire.respond(await peer.request("INVITE"), 401, tag="x", headers=(challenge,)))
        await peer.request("ACK")
    await call.ended(SECONDS)
    assert call.status == 401
    assert sum(entry.label == "INVITE" for entry in call.trace) == asked + 1


async def test_a_challenge_that_nobody_can_answer(agent: UserAgent, peer: Peer) -> None:
    """It is told as that, and not as a password that was refused."""
    registering = asyncio.create_task(agent.register(peer.uri.partition("@")[2], "ann", "secret"))
    challenge = ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth-int"')
    peer.send(wire.respond(await peer.request("REGISTER"), 401, tag="x", headers=(challenge,)))
    with pytest.raises(SipError, match="challenge"):
        await registering


async def test_whoever_hangs_up_may_be_interrupted(agent: UserAgent, peer: Peer) -> None:
    """The goodbye that was said goes on, and whoever hangs up again waits for its answer alone."""
    call = agent.invite(peer.uri)
    peer.send(peer.accept(await peer.request("INVITE")))
    await call.answered(SECONDS)
    interrupted = asyncio.create_task(call.hang_up())
    bye = await peer.request("BYE")
    interrupted.cancel()
    again = asyncio.create_task(call.hang_up())
    peer.send(wire.respond(bye, 200))
    async with asyncio.timeout(1.2):  # sooner than one that was forgotten would be given up
        await again
    assert call.stamp_of("200", "BYE") is not None


async def test_bye_with_credentials(agent: UserAgent, peer: Peer) -> None:
    """A challenged BYE is sent again, answered."""
    call = agent.invite(peer.uri, auth=("ann", "secret"))
    peer.send(peer.accept(await peer.request("INVITE")))
    await call.answered(SECONDS)
    hanging_up = asyncio.create_task(call.hang_up())
    peer.send(challenged(await peer.request("BYE")))
    async with asyncio.timeout(SECONDS):
        while (bye := await peer.request("BYE")).header("Authorization") is None:
            pass
    peer.send(wire.respond(bye, 200))
    await hanging_up
    assert call.ended_by == "local"


async def test_cause_of_the_far_end(agent: UserAgent, peer: Peer) -> None:
    """The Q.850 cause of a Reason header is kept."""
    call = agent.invite(peer.uri)
    reason = (("Reason", 'SIP;cause=486, Q.850;cause=17;text="busy"'),)
    peer.send(wire.respond(await peer.request("INVITE"), 486, tag="peer", headers=reason))
    await call.ended(SECONDS)
    assert call.cause == 17


@pytest.mark.parametrize(("report", "hung_up"), [(200, True), (503, False)])
async def test_transfer(agent: UserAgent, peer: Peer, report: int, hung_up: bool) -> None:
    """A transfer waits for the final report, and hangs up only when the target was reached."""
    call = agent.invite(peer.uri)
    invite = await peer.request("INVITE")
    peer.send(peer.accept(invite))
    await call.answered(SECONDS)
    transfer = asyncio.create_task(call.transfer("sip:102@127.0.0.1", SECONDS))
    refer = await peer.request("REFER")
    assert refer.header("Refer-To") == "<sip:102@127.0.0.1>"
    peer.send(wire.respond(refer, 202))
    for number, status in enumerate((100, report), start=1):
        notify = peer.new_request("NOTIFY", agent, call.dialog.local_tag, number)
        rewrite(notify, "Call-ID", invite.call_id)
        rewrite(notify, "From", f"<{peer.uri}>;tag=peer")
        notify.body = f"SIP/2.0 {status} x".encode()
        peer.send(notify, agent.address)
    if hung_up:
        peer.send(wire.respond(await peer.request("BYE"), 200))
    assert await transfer == report
    assert (call.state is CallState.ENDED) is hung_up


async def registered(agent: UserAgent, peer: Peer, granted: str) -> int:
    """Register through one challenge; the registrar grants `granted` seconds."""
    host_and_port = peer.uri.partition("@")[2]
    registering = asyncio.create_task(agent.register(host_and_port, "ann", "secret", expires=60))
    await answer_register(peer, granted)
    return await registering


async def answer_register(peer: Peer, granted: str) -> Request:
    peer.send(challenged(await peer.request("REGISTER")))
    async with asyncio.timeout(SECONDS):
        while (request := await peer.request("REGISTER")).header("Authorization") is None:
            pass
    contact = f"<sip:other@127.0.0.9>;expires=9, {request.required('Contact')};expires={granted}"
    peer.send(wire.respond(request, 200, tag="r", headers=(("Contact", contact),)))
    return request


async def test_register_and_refresh(agent: UserAgent, peer: Peer) -> None:
    """A registration answers the challenge, takes the time granted to its own contact, refreshes, and ends."""
    assert await registered(agent, peer, "1") == 1
    assert agent.registered
    refresh = await answer_register(peer, "60")
    assert refresh.header("Expires") == "60"
    ending = asyncio.create_task(agent.unregister())
    assert (await answer_register(peer, "0")).header("Expires") == "0"
    await ending
    assert not agent.registered


async def test_register_refused(agent: UserAgent, peer: Peer) -> None:
    """A registrar that refuses is reported."""
    registering = asyncio.create_task(agent.register(peer.uri.partition("@")[2], "ann", "secret"))
    peer.send(wire.respond(await peer.request("REGISTER"), 403))
    with pytest.raises(SipError, match="403"):
        await registering


async def test_register_interval_too_brief(agent: UserAgent, peer: Peer) -> None:
    """After a 423 the registrar's least interval is asked for."""
    registering = asyncio.create_task(agent.register(peer.uri.partition("@")[2], "ann", "secret", expires=5))
    peer.send(wire.respond(await peer.request("REGISTER"), 423, headers=(("Min-Expires", "77"),)))
    async with asyncio.timeout(SECONDS):
        while (second := await peer.request("REGISTER")).header("Expires") != "77":
            pass
    peer.send(wire.respond(second, 200))
    assert await registering == 77


@pytest.mark.parametrize("granted", ["9" * 5000, "\u0663", "soon"])
async def test_register_for_no_time_that_is_one(agent: UserAgent, peer: Peer, granted: str) -> None:
    """A time that is no number of seconds is none: what was asked for stands."""
    assert await registered(agent, peer, granted) == 60


async def test_register_unanswered(agent: UserAgent, peer: Peer) -> None:
    """A registrar that says nothing is reported after 64 T1."""
    with pytest.raises(SipError, match="408"):
        await agent.register(peer.uri.partition("@")[2], "ann", "secret")

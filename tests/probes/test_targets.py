"""Targets that are silent, refuse, lie or are something else: what the probes make of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hwtest import site
from hwtest.lab.contract import Address, Login
from hwtest.probes import call_one, ctl_link, sip_options
from hwtest.probes.contract import Layer, NotMeasuredError, Probe, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.report.result import ProbeResult
from hwtest.report.words import gist
from hwtest.running import run
from hwtest.site import Site
from hwtest.target import Daemon, Line, Phone, Target
from hwtest.useragent import UserAgent
from hwtest.useragent import answering as at_once
from hwtest.useragent.transport import Endpoint, SocketAddress, Stamp
from hwtest.useragent.wire import Request, parse, respond
from tests.probes.made import LIVE
from tests.probes.test_reports import Silent


async def measured(probe: Probe, target: Target, folder: Path) -> ProbeResult:
    """The result of one probe."""
    async with Site(target, folder) as opened:
        (result,) = (await run(opened, [probe], Silent(), [probe.name], 1)).probes
    return result


@asynccontextmanager
async def answering(answer: Callable[[Request], bytes | None]) -> AsyncIterator[Target]:
    """A target that answers each request so."""

    def take(datagram: bytes, source: SocketAddress, _stamp: Stamp) -> None:
        if not datagram.strip():
            return
        message = parse(datagram)
        assert isinstance(message, Request)
        if (said := answer(message)) is not None:
            endpoint.send(said, source)

    endpoint = Endpoint("127.0.0.1", 0, take)
    try:
        yield replace(LIVE, sip=Address(host="127.0.0.1", port=endpoint.address[1]))
    finally:
        endpoint.close()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for the silent."""
    monkeypatch.setattr(sip_options, "ANSWER_SECONDS", 0.1)


async def test_who_answers_passes(tmp_path: Path) -> None:
    """A real user agent, and a trunk beside it."""
    async with UserAgent() as switch, UserAgent() as trunk:
        target = replace(
            LIVE,
            sip=Address(host="127.0.0.1", port=switch.address[1]),
            trunks={"bt": Address(host="127.0.0.1", port=trunk.address[1])},
        )
        result = await measured(sip_options.PROBE, target, tmp_path)
    assert [(figure.name, figure.n) for figure in result.figures] == [
        ("round_trip", 40),
        ("least_round_trip", 20),
        ("lost", 40),
    ]
    assert result.figures[2].value == 0
    assert "switch: 20 x 200; trunk bt: 20 x 200" in result.figures[0].note


async def test_silence_is_not_measured(tmp_path: Path) -> None:
    """With whom, and how to go on; it does not take twenty time-outs to see."""
    asked = list[str]()
    async with answering(lambda request: asked.append(request.call_id)) as target:
        result = await measured(sip_options.PROBE, target, tmp_path)
    assert result.verdict is Verdict.NOT_MEASURED
    assert result.reason is not None and result.reason.startswith("nobody answers SIP: switch (127.0.0.1:")
    assert [(finding.code, finding.verdict) for finding in result.findings] == [
        ("sip.options.silent", Verdict.NOT_MEASURED)
    ]
    assert "no answer at all to 2 OPTIONS" in result.findings[0].summary
    assert len(set(asked)) == 2


async def test_a_closed_port_is_told_from_silence(tmp_path: Path) -> None:
    """The host itself says that nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    target = replace(LIVE, sip=Address(host="127.0.0.1", port=port))
    result = await measured(sip_options.PROBE, target, tmp_path)
    assert result.verdict is Verdict.NOT_MEASURED
    assert "nothing listens there" in result.findings[0].summary


async def test_a_silent_trunk_is_the_trunks_fault(tmp_path: Path) -> None:
    """The switch answers, so the trunk is blamed, and the answers of the switch still count."""
    async with UserAgent() as switch, answering(lambda _: None) as silent:
        target = replace(
            LIVE, sip=Address(host="127.0.0.1", port=switch.address[1]), trunks={"bt": silent.sip}
        )
        result = await measured(sip_options.PROBE, target, tmp_path)
    assert result.verdict is Verdict.FAIL
    assert [(finding.code, finding.layer) for finding in result.findings] == [
        ("sip.options.trunk", Layer.TRUNK)
    ]
    assert [figure.n for figure in result.figures] == [20, 20, 20]


async def test_who_only_answers_the_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider or a phone may speak to the switch alone: from another machine its silence is no failure, and no pass."""
    monkeypatch.setattr(sip_options, "is_own", lambda _: False)
    async with UserAgent() as switch, answering(lambda _: None) as silent:
        target = replace(
            LIVE, sip=Address(host="127.0.0.1", port=switch.address[1]), trunks={"bt": silent.sip}
        )
        result = await measured(sip_options.PROBE, target, tmp_path)
    assert result.verdict is Verdict.NOT_MEASURED
    (finding,) = result.findings
    assert (finding.code, finding.verdict) == ("sip.options.trunk", Verdict.NOT_MEASURED)
    assert finding.summary.endswith("is told on the appliance itself")


class Registrar:
    """A control link to a switch at which these contacts are registered."""

    def __init__(self, contacts: list[str]) -> None:
        self.contacts = contacts

    async def ask(self, *_: object) -> dict[str, str]:
        """It is there."""
        return {}

    async def list(self, *_: object) -> list[dict[str, str]]:
        """Each of an endpoint of its own."""
        return [{"Endpoint": f"desk{n}", "Uri": uri} for n, uri in enumerate(self.contacts)]


async def test_only_phones_that_would_hear_us_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A phone on TCP, TLS or WebSocket hears no UDP, and no name is looked up: their silence would be ours."""
    async with UserAgent() as switch, UserAgent() as desk:
        here = "{}:{}".format(*desk.address)
        contacts = [
            f"sip:desk0@{here}",
            f"sip:desk1@{here};transport=tcp",
            f"sip:desk2@{here};ob;transport=TLS",
            f"sips:desk3@{here}",
            "sip:x7f@df7jal23ls0d.invalid;transport=ws",
            "sip:desk5@[2001:db8::1]:5060",
        ]

        async def control(_: Site) -> Registrar:
            return Registrar(contacts)

        monkeypatch.setattr(Site, "control", control)
        target = replace(LIVE, sip=Address(host="127.0.0.1", port=switch.address[1]))
        result = await measured(sip_options.PROBE, target, tmp_path)
    assert not any(finding.verdict is Verdict.FAIL for finding in result.findings)
    assert result.figures[0].note == "switch: 20 x 200; phone desk0: 20 x 200"
    assert any(note.startswith("5 contacts by TCP") for note in result.notes)


async def test_many_silent_phones_take_no_longer_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is blamed by name within the probe's time, though every silence takes its two time-outs."""
    monkeypatch.setattr(sip_options, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(Probe, "limit_seconds", property(lambda _: 3.5))
    async with UserAgent() as switch, answering(lambda _: None) as silent:
        contacts = [f"sip:desk{number}@127.0.0.1:{silent.sip.port}" for number in range(10)]

        async def control(_: Site) -> Registrar:
            return Registrar(contacts)

        monkeypatch.setattr(Site, "control", control)
        target = replace(LIVE, sip=Address(host="127.0.0.1", port=switch.address[1]))
        result = await measured(sip_options.PROBE, target, tmp_path)
    assert result.reason is None
    assert [finding.code for finding in result.findings].count("sip.options.phone") == 10


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda request: b"HTTP/1.1 400 Bad Request\r\n\r\n", "sip.options.malformed"),
        (lambda request: respond(request, 503).format(), "sip.options.refuses"),
    ],
    ids=["not SIP", "503"],
)
async def test_a_liar_and_one_who_refuses(
    tmp_path: Path, answer: Callable[[Request], bytes], code: str
) -> None:
    """Both are seen to fail, and named."""
    async with answering(answer) as target:
        result = await measured(sip_options.PROBE, target, tmp_path)
    assert result.verdict is Verdict.FAIL
    assert [finding.code for finding in result.findings] == [code]  # who answers is not said to be silent
    assert gist(result) == result.findings[0].summary  # a failure is told by what failed


async def test_loss_is_counted(tmp_path: Path) -> None:
    """One of ten requests is dropped: two of twenty are lost, which fails, and their Call-IDs are evidence."""
    count = 0

    def drop_some(request: Request) -> bytes | None:
        nonlocal count
        count += 1
        return None if count % 10 == 0 else respond(request, 200).format()

    async with answering(drop_some) as target:
        result = await measured(sip_options.PROBE, target, tmp_path)
    round_trip, _, lost = result.figures
    assert round_trip.n == 18
    assert (lost.value, lost.n, lost.verdict) == (10.0, 20, Verdict.FAIL)
    (finding,) = (finding for finding in result.findings if finding.code == "sip.options.lost")
    assert finding.evidence[0].call_id


def asked(peer: sip_options.Peer) -> list[tuple[str, Layer, Verdict]]:
    """What is found where this is how one has answered."""
    peer.sent = sip_options.COUNT
    sheet = Sheet(sip_options.PROBE)
    sip_options.judge(sheet, [peer], "")
    return [(finding.code, finding.layer, finding.verdict) for finding in sheet.findings]


def test_the_way_and_the_switch_are_told_apart() -> None:
    """A long way makes every answer late, a busy switch some of them; a message that was lost is neither."""

    def peer(*, first: list[float], again: list[float] = []) -> sip_options.Peer:  # noqa: B006 - not changed
        where = sip_options.Peer("switch", LIVE.sip, sip_options.SILENT)
        where.round_trips_ms, where.again_ms = first, again
        return where

    far, slow, lost = "sip.options.far", "sip.options.slow", "sip.options.lost"
    assert asked(peer(first=[2.0] * 20)) == []
    assert asked(peer(first=[120.0] * 20)) == [(far, Layer.NETWORK, Verdict.WARN)]
    assert asked(peer(first=[], again=[601.0] * 20)) == [(far, Layer.NETWORK, Verdict.FAIL)]
    assert asked(peer(first=[2.0] * 10 + [400.0] * 10)) == [(slow, Layer.SWITCH, Verdict.WARN)]
    assert asked(peer(first=[2.0] * 17, again=[503.0] * 3)) == [(lost, Layer.NETWORK, Verdict.FAIL)]


async def test_a_test_phone_that_cannot_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No call is placed that nobody would answer: the reason names the phone and where it tried."""
    monkeypatch.setattr(site, "REGISTER_SECONDS", 0.1)
    async with UserAgent() as switch:
        switch.on_invite = lambda _: pytest.fail("it was called")
        target = replace(
            LIVE,
            sip=Address(host="127.0.0.1", port=switch.address[1]),
            lines={"test": Line(number="5990", phone="test1")},
            phones={"test1": Phone(user="test1", password="x", registrar="127.0.0.1:9")},
        )
        result = await measured(call_one.PROBE, target, tmp_path)
    assert result.verdict is Verdict.NOT_MEASURED
    assert result.reason == "phone test1 cannot register at 127.0.0.1:9: no answer"


async def test_a_test_phone_stands_on_our_address_on_the_way_to_the_target(tmp_path: Path) -> None:
    """A phone on loopback would reach no appliance but this machine, and no appliance would reach it."""
    bound = list[str]()

    def register(request: Request) -> bytes:
        bound.append(request.header("Contact") or "")
        return respond(request, 200).format()

    async with answering(register) as target:
        at = f"{target.sip.host}:{target.sip.port}"
        phones = {"test1": Phone(user="test1", password="x", registrar=at)}
        target = replace(target, local_address="127.0.0.7", phones=phones)
        async with Site(target, tmp_path) as opened, opened.phone("test1", at_once()):
            pass
    assert bound and all(contact.startswith("<sip:test1@127.0.0.7:") for contact in bound)


async def test_the_wire_of_an_appliance_is_seen_on_all_of_its_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hwtest on the appliance itself may reach the switch by its address on the network: that is loopback all the same."""
    monkeypatch.setattr(site, "is_own", lambda host: host == "10.1.2.3")
    ports = list[int]()

    def capture(port: int) -> contextlib.AbstractAsyncContextManager[None]:
        ports.append(port)
        return contextlib.nullcontext()

    monkeypatch.setattr(site, "Capture", capture)
    async with Site(replace(LIVE, sip=Address(host="10.1.2.3", port=5070)), tmp_path) as opened:
        async with opened.capture():
            assert ports == [5070]
        with pytest.raises(NotMeasuredError, match="another machine"):
            async with opened.capture(Address(host="10.1.2.4", port=5070)):
                pass


@pytest.mark.parametrize("banner", [b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"\xff" * 100_000])
async def test_something_that_is_no_ami(
    tmp_path: Path, banner: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that is not Asterisk: not measured, in words."""
    from edge.pbx.asterisk.ami import client

    monkeypatch.setattr(client, "ACTION_SECONDS", 0.2)

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(banner)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        target = replace(LIVE, ami=Login(host="127.0.0.1", port=port, user="hwtest", password="x"))
        result = await measured(ctl_link.PROBE, target, tmp_path)
    assert result.verdict is Verdict.NOT_MEASURED
    assert result.reason is not None and result.reason.startswith("the control link to 127.0.0.1:")
    assert "what answers there is not Asterisk's manager; it says" in result.reason
    assert result.mend and "[ami]" in result.mend


async def test_no_account_and_nobody_there(tmp_path: Path) -> None:
    """Each with what to do."""
    result = await measured(ctl_link.PROBE, LIVE, tmp_path)
    assert result.reason == "an appliance gives no AMI account"
    closed = replace(LIVE, ami=Login(host="127.0.0.1", port=9, user="hwtest", password="x"))
    result = await measured(ctl_link.PROBE, closed, tmp_path)
    assert result.reason is not None and "Is Asterisk running?" in result.reason


def test_who_is_connected() -> None:
    """As Asterisk 22 prints it."""
    lines = [
        "  Username         IP Address                                               Start       Elapsed     FileDes",
        "  edge101          127.0.0.1                                                1795710568  1853        8      ",
        "  tool             ::1                                                      1795712421  0           22     ",
        "2 users connected.",
    ]
    assert (
        ctl_link.connected_users(lines) == ctl_link.connected_users("\n".join(lines)) == {"edge101", "tool"}
    )
    assert ctl_link.connected_users("Command not found") == set()


async def test_a_user_whose_name_is_cut_off() -> None:
    """The switch prints fifteen characters of it: the daemon is there all the same."""

    class Manager:
        async def ask(self, *_: object) -> dict[str, str]:
            return {"Output": "  edge101-control  127.0.0.1     1795710568  1853        8"}

    for user, absent in (("edge101-control-room", False), ("edge102-control-room", True)):
        sheet = Sheet(ctl_link.PROBE)
        await ctl_link._daemon_in_ami(sheet, Manager(), Daemon(user=user))  # type: ignore[arg-type]
        assert [finding.code for finding in sheet.findings] == ["ctl.link.absent"] * absent

"""call.one at switches of our own making: those that keep silent, greet before they ring, ring nobody, or end badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hwtest.lab.contract import Address
from hwtest.probes import call_one
from hwtest.probes.contract import Layer, Probe, Verdict
from hwtest.report.result import ProbeResult
from hwtest.target import Line, Phone
from hwtest.useragent import sdp
from hwtest.useragent.dialog import Dialog
from hwtest.useragent.transport import Endpoint, SocketAddress, Stamp
from hwtest.useragent.wire import Request, Response, destination, parse, parse_address, respond
from tests.probes.made import LIVE
from tests.probes.test_targets import measured


class Switch:
    """It registers one phone, answers a caller at once, and then rings the phone. What it does not do is a fault."""

    def __init__(
        self, *, answers: bool = True, rings: bool = True, goodbye: int | None = 200, refuses: int = 0
    ) -> None:
        self.answers, self.rings, self.goodbye, self.refuses = answers, rings, goodbye, refuses
        self.endpoint = Endpoint("127.0.0.1", 0, self.take)
        self.phone = ""
        """Contact that was registered."""
        self.leg: Dialog | None = None
        """To the phone."""

    @property
    def audio(self) -> bytes:
        """An offer or an answer; nobody listens there."""
        return sdp.Description("127.0.0.1", 9).format()

    @property
    def via(self) -> str:
        """Of a request of ours; each of them is sent once, and no two have the same method."""
        return "SIP/2.0/UDP {}:{};branch=z9hG4bKswitch;rport".format(*self.endpoint.address)

    def take(self, datagram: bytes, source: SocketAddress, _stamp: Stamp) -> None:
        """A message of the caller's or the phone's."""
        message = parse(datagram)
        if isinstance(message, Response):
            self.take_answer(message)
        elif message.method == "REGISTER":
            self.phone = message.header("Contact") or self.phone
            self.endpoint.send(respond(message, 200, tag="r").format(), source)
        elif message.method == "INVITE" and self.refuses:
            self.endpoint.send(respond(message, self.refuses, tag="s").format(), source)
        elif message.method == "INVITE" and self.answers:
            self.answer(message, source)
        elif message.method == "BYE" and self.goodbye is not None:
            self.endpoint.send(respond(message, self.goodbye, tag="s").format(), source)
            if self.leg is not None:
                self.say("BYE")

    def answer(self, invite: Request, source: SocketAddress) -> None:
        """At once, as a line does that greets."""
        own = "<sip:{}:{}>".format(*self.endpoint.address)
        headers = [("Contact", own), ("Content-Type", sdp.CONTENT_TYPE)]
        self.endpoint.send(respond(invite, 200, tag="s", headers=headers, body=self.audio).format(), source)
        if self.rings and self.leg is None:
            self.leg = Dialog("leg", f"{own};tag=l", "l", self.phone, parse_address(self.phone).uri, own)
            asyncio.get_running_loop().call_later(0.1, self.say, "INVITE", self.audio)

    def take_answer(self, response: Response) -> None:
        """Acknowledge the phone's."""
        if self.leg is not None and response.cseq.method == "INVITE" and response.status == 200:
            self.leg.learn(response)
            self.say("ACK", sequence_number=response.cseq.number)

    def say(self, method: str, body: bytes = b"", sequence_number: int | None = None) -> None:
        """One request to the phone."""
        assert self.leg is not None
        headers = [("Content-Type", sdp.CONTENT_TYPE)] if body else []
        request = self.leg.request(method, self.via, headers, body, sequence_number)
        self.endpoint.send(request.format(), destination(self.leg.next_hop))


@asynccontextmanager
async def called(folder: Path, switch: Switch, probe: Probe = call_one.PROBE) -> AsyncIterator[ProbeResult]:
    """What call.one says of it, or another probe of one call."""
    host, port = switch.endpoint.address
    target = replace(
        LIVE,
        sip=Address(host=host, port=port),
        lines={"test": Line(number="5990", phone="test1")},
        phones={"test1": Phone(user="test1", password="x", registrar=f"{host}:{port}")},
        calls=replace(LIVE.calls, unseen=True),
    )
    try:
        yield await measured(probe, target, folder)
    finally:
        switch.endpoint.close()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for what does not come."""
    monkeypatch.setattr(call_one, "RING_SECONDS", 0.6)
    monkeypatch.setattr(call_one, "ANSWER_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(call_one, "TALK_SECONDS", 0.3)
    monkeypatch.setattr(call_one, "END_SECONDS", 0.3)
    monkeypatch.setattr("hwtest.site.GOODBYE_SECONDS", 0.1)


def failures(result: ProbeResult) -> set[tuple[str, Layer]]:
    """What failed and who is blamed. A busy machine may add a warning of its own, of a message that came late."""
    return {(f.code, f.layer) for f in result.findings if f.verdict is Verdict.FAIL}


async def test_a_line_that_greets_before_it_rings(tmp_path: Path) -> None:
    """The switch answers, and the phone is rung a moment later: nothing is wrong with that, and it is told."""
    async with called(tmp_path, Switch()) as result:
        pass
    assert (failures(result), result.reason) == (set(), None)
    assert any(note.startswith("The switch answered before") for note in result.notes)


@pytest.mark.parametrize(
    ("faults", "code", "layer"),
    [
        ({"answers": False}, "silent", Layer.SWITCH),
        ({"rings": False}, "misrouted", Layer.DIALPLAN),
        ({"refuses": 404}, "rejected", Layer.DIALPLAN),
        ({"refuses": 486}, "unavailable", Layer.SWITCH),
        ({"refuses": 403}, "refused", Layer.TRUNK),
        ({"goodbye": None}, "unclean", Layer.SWITCH),
        ({"goodbye": 481}, "unclean", Layer.SWITCH),
    ],
)
async def test_a_fault_is_named(
    tmp_path: Path, faults: dict[str, bool | int | None], code: str, layer: Layer
) -> None:
    """With its layer, its ladder, and nothing else blamed."""
    async with called(tmp_path, Switch(**faults)) as result:  # type: ignore[arg-type]
        pass
    assert failures(result) == {(f"call.one.{code}", layer)}
    assert (result.verdict, result.reason, len(result.ladders)) == (Verdict.FAIL, None, 1)

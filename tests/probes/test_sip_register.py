"""sip.register against registrars of our own making: good ones, careless ones, slow ones and silent ones."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hwtest.lab.contract import Address
from hwtest.probes import sip_register
from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.target import Line, Phone
from hwtest.useragent import binding, wire
from hwtest.useragent.wire import Credentials, Request, parse, respond
from tests.probes.made import LIVE

CHALLENGE = ("WWW-Authenticate", 'Digest realm="edge", nonce="abc", algorithm=MD5, qop="auth"')
PASSWORD = "right"


class Registrar(asyncio.DatagramProtocol):
    """A registrar with faults to choose from."""

    def __init__(self, faults: frozenset[str]) -> None:
        self.faults = faults
        self.bound: dict[str, int] = {}
        self.wrong = 0
        self.seen = 0
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Listening."""
        self.transport = transport

    def datagram_received(self, data: bytes, source: tuple[str, int]) -> None:
        """Answer, or not, or late."""
        self.seen += 1
        if "silent" in self.faults or ("loses the first" in self.faults and self.seen == 1):
            return
        request = parse(data)
        assert isinstance(request, Request) and self.transport is not None
        answer = self.answer(request).format()
        delay = 0.25 if "slow" in self.faults else 0.0
        asyncio.get_running_loop().call_later(delay, self.transport.sendto, answer, source)

    def answer(self, request: Request) -> wire.Response:
        """As RFC 3261 §10.3 has it, but for the faults."""
        given = request.header("Authorization")
        if given is None and "never asks" not in self.faults:
            return respond(request, 401, tag="r", headers=[CHALLENGE])
        if given is not None and not self.is_right(given) and "takes anything" not in self.faults:
            self.wrong += 1
            return respond(request, 401, tag="r", headers=[CHALLENGE])
        if "overloaded" in self.faults:
            return respond(request, 503, tag="r")
        contact, expires = request.header("Contact"), int(request.header("Expires") or 0)
        if "full" in self.faults and contact is not None:
            return respond(request, 403, tag="r")
        if "wants long ones" in self.faults and 0 < expires < 600:
            return respond(request, 423, tag="r", headers=[("Min-Expires", "600")])
        if contact is not None:
            uri = wire.parse_address(contact).uri
            self.bound[uri] = expires
            if not expires and "keeps" not in self.faults:
                del self.bound[uri]
        headers = [("Contact", f"<{uri}>;expires={seconds}") for uri, seconds in self.bound.items()]
        return respond(request, 200, tag="r", headers=headers)

    def is_right(self, given: str) -> bool:
        """Whether the answer to the challenge is of the right password."""
        part = dict(item.strip().partition("=")[::2] for item in given.removeprefix("Digest ").split(","))
        nonce = part["cnonce"].strip('"')
        uri = part["uri"].strip('"')
        expected = wire.digest(CHALLENGE[1], "REGISTER", uri, Credentials("test1", PASSWORD), nonce)
        return part["response"] in expected


@asynccontextmanager
async def registrar(*faults: str) -> AsyncIterator[tuple[Registrar, Address]]:
    """One on a port of its own."""
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(
        lambda: Registrar(frozenset(faults)), local_addr=("127.0.0.1", 0)
    )
    host, port = transport.get_extra_info("sockname")
    try:
        yield made, Address(host=host, port=port)
    finally:
        transport.close()


async def measured(address: Address, folder: Path, password: str = PASSWORD) -> Sheet:
    """What stands on the sheet."""
    where = f"{address.host}:{address.port}"
    target = dataclasses.replace(
        LIVE,
        sip=address,
        lines={"test": Line(number="5990", phone="test1")},
        phones={"test1": Phone(user="test1", password=password, registrar=where)},
    )
    sheet = Sheet(sip_register.PROBE)
    async with Site(target, folder) as site:
        await sip_register.measure(site, sheet)
    return sheet


async def test_a_good_registrar_passes(tmp_path: Path) -> None:
    """One wrong password and no more was tried, and nothing of ours stays bound."""
    async with registrar() as (made, address):
        sheet = await measured(address, tmp_path)
    assert (sheet.verdict, sheet.findings, made.bound, made.wrong) == (Verdict.PASS, [], {}, 1)
    delay = next(figure for figure in sheet.figures if figure.name == "registration_request_delay")
    assert delay.n == sip_register.ROUNDS and "10 of 10 with a challenge" in delay.note


@pytest.mark.parametrize(
    ("fault", "code", "layer", "verdict"),
    [
        ("slow", "slow", Layer.SWITCH, Verdict.WARN),
        ("takes anything", "open", Layer.SWITCH, Verdict.FAIL),
        ("never asks", "open", Layer.SWITCH, Verdict.FAIL),
        ("keeps", "kept", Layer.SWITCH, Verdict.FAIL),
        ("overloaded", "ineffective", Layer.SWITCH, Verdict.FAIL),
        (
            "full",
            "ineffective",
            Layer.SWITCH,
            Verdict.FAIL,
        ),  # it took the password when it was asked what is bound
    ],
)
async def test_a_fault_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, code: str, layer: Layer, verdict: Verdict
) -> None:
    """With its layer."""
    monkeypatch.setattr(sip_register, "ROUNDS", 2)
    async with registrar(fault) as (made, address):
        sheet = await measured(address, tmp_path)
    assert {(f.code, f.layer, f.verdict) for f in sheet.findings} == {
        (f"sip.register.{code}", layer, verdict)
    }
    assert fault == "keeps" or made.bound == {}


async def test_a_registrar_that_takes_no_short_registration(tmp_path: Path) -> None:
    """RFC 3261 §10.2.8: a phone asks again for as long as it must be, and so nothing has failed."""
    async with registrar("wants long ones") as (made, address):
        sheet = await measured(address, tmp_path)
    assert (sheet.verdict, sheet.findings, made.bound) == (Verdict.PASS, [], {})
    assert next(figure.value for figure in sheet.figures if figure.name == "granted") == 600


async def test_a_password_that_is_not_the_switchs(tmp_path: Path) -> None:
    """It is tried once, and the phone is blamed."""
    async with registrar() as (made, address):
        sheet = await measured(address, tmp_path, "stale")
    assert [(f.code, f.layer) for f in sheet.findings] == [("sip.register.refused", Layer.PHONE)]
    assert made.wrong == 1


async def test_a_lost_request_counts_from_the_first(tmp_path: Path) -> None:
    """RFC 6076 §3: retransmission never resets t1."""
    async with (
        registrar("loses the first") as (_, address),
        Site(dataclasses.replace(LIVE, sip=address), tmp_path) as site,
        site.user_agent() as agent,
    ):
        bound = binding.Binding(agent, f"{address.host}:{address.port}", "test1")
        attempt = await bound.register(Credentials("test1", PASSWORD), 60)
    assert attempt.succeeded and attempt.sent_again == 1
    assert 500 <= (attempt.delay_ms or 0) < 1500


async def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not measured."""
    monkeypatch.setattr(binding, "ANSWER_SECONDS", 0.2)
    async with registrar("silent") as (_, address):
        with pytest.raises(NotMeasuredError, match="nobody answers REGISTER"):
            await measured(address, tmp_path)

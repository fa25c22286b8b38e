"""The agents' phone: behaviours, one line, feature codes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hwtest.useragent import (
    AgentPhone,
    Behaviour,
    CallState,
    IncomingCall,
    UserAgent,
    answering,
    ignoring,
    rejecting,
    ringing_only,
)
from hwtest.useragent.transaction import ServerTransaction

SECONDS = 5.0


class Registrar(UserAgent):
    """Accepts every REGISTER and hangs up on every call at once: a switch with a feature code."""

    def _receive_stray(self, transaction: ServerTransaction) -> None:
        if transaction.request.method == "REGISTER":
            self._reply(transaction, 200)
        else:
            super()._receive_stray(transaction)


@pytest.fixture
async def switch() -> AsyncIterator[Registrar]:
    """The phone's registrar, which also places the calls."""
    opened = Registrar()
    yield opened
    opened.close()


@pytest.fixture
async def phone(switch: Registrar) -> AsyncIterator[AgentPhone]:
    """A registered phone that answers at once."""
    host, port = switch.address
    opened = AgentPhone("agent1", "secret", f"{host}:{port}", answering())
    await opened.start()
    yield opened
    await opened.stop()


def uri_of(phone: AgentPhone) -> str:
    host, port = phone.agent.address
    return f"sip:agent1@{host}:{port}"


async def test_registers_and_stops(switch: Registrar, phone: AgentPhone) -> None:
    """A phone is registered while it runs."""
    assert phone.agent.registered
    await phone.stop()
    assert not phone.agent.registered


async def test_answers_and_hangs_up(switch: Registrar, phone: AgentPhone) -> None:
    """A phone rings, answers, talks and hangs up as its behaviour says."""
    phone.behaviour = answering(ring_after_seconds=0.01, answer_after_seconds=0.01, talk_seconds=0.01)
    call = switch.invite(uri_of(phone))
    await call.ended(SECONDS)
    assert (call.reached, call.ended_by) == (CallState.ANSWERED, "remote")
    assert [entry.label for entry in phone.calls[0].trace][:3] == ["INVITE", "180", "200"]


async def test_one_line(switch: Registrar, phone: AgentPhone) -> None:
    """A second call gets 486 while the first lasts, and the phone is free after it."""
    first = switch.invite(uri_of(phone))
    await first.answered(SECONDS)
    second = switch.invite(uri_of(phone))
    await second.ended(SECONDS)
    assert (second.status, phone.busy) == (486, True)
    await first.hang_up()
    assert not phone.busy


@pytest.mark.parametrize(
    ("behaviour", "status"), [(rejecting(486), 486), (rejecting(603, after_seconds=0.01), 603)]
)
async def test_rejects(switch: Registrar, phone: AgentPhone, behaviour: Behaviour, status: int) -> None:
    """A phone refuses as its behaviour says."""
    phone.behaviour = behaviour
    call = switch.invite(uri_of(phone))
    await call.ended(SECONDS)
    assert call.status == status


async def test_caller_gives_up_while_ringing(switch: Registrar, phone: AgentPhone) -> None:
    """A caller who gives up ends the behaviour, and the phone is free."""
    phone.behaviour = ringing_only()
    call = switch.invite(uri_of(phone))
    await call.ringing(SECONDS)
    await call.hang_up()
    assert (phone.calls[0].cancelled, phone.busy) == (True, False)


async def test_caller_gives_up_before_the_answer(switch: Registrar, phone: AgentPhone) -> None:
    """A behaviour that waits to answer does not answer a call that has ended."""
    phone.behaviour = answering(answer_after_seconds=SECONDS)
    call = switch.invite(uri_of(phone))
    await call.ringing(SECONDS)
    await call.hang_up()
    assert phone.calls[0].reached is CallState.RINGING


async def test_ignores(switch: Registrar, phone: AgentPhone) -> None:
    """A phone that is off says nothing."""
    arrived = asyncio.Event()

    async def behave(call: IncomingCall) -> None:
        await ignoring(call)
        arrived.set()

    phone.behaviour = behave
    call = switch.invite(uri_of(phone))
    await asyncio.wait_for(arrived.wait(), SECONDS)
    assert {entry.direction for entry in call.trace} == {"sent"}


async def test_dials_a_feature_code(switch: Registrar, phone: AgentPhone) -> None:
    """Dialling returns when the far end has hung up."""

    async def serve(call: IncomingCall) -> None:
        call.answer()
        await call.hang_up()

    dialling = asyncio.create_task(phone.dial("*22", SECONDS))
    incoming = await switch.next_invite(SECONDS)
    await serve(incoming)
    call = await dialling
    assert (call.status, call.ended_by, incoming.caller_number) == (200, "remote", "agent1")
    assert incoming.invite.to_address.user == "*22"


async def test_dialling_gives_up(switch: Registrar, phone: AgentPhone) -> None:
    """A far end that never hangs up is hung up on."""
    switch.on_invite = IncomingCall.answer
    with pytest.raises(TimeoutError):
        await phone.dial("*22", 0.05)
    assert switch.calls == {}


async def test_vanishes(switch: Registrar, phone: AgentPhone) -> None:
    """A phone that vanishes leaves its calls hanging at the far end."""
    call = switch.invite(uri_of(phone))
    await call.answered(SECONDS)
    await phone.vanish()
    assert (call.state, phone.calls[0].state) == (CallState.ANSWERED, CallState.ENDED)

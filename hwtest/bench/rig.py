"""The rig: callers and agents' phones on real SIP, and the wire they are measured on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from hwtest.bench.machine import Load, LoadMeter
from hwtest.bench.numbers import caller_numbers
from hwtest.bench.readings import stray_offers
from hwtest.bench.results import Block, retransmission_fault
from hwtest.capture import Capture, CaptureUnavailableError, Record, Taken, retransmissions
from hwtest.lab.contract import Lab
from hwtest.useragent import (
    AgentPhone,
    Behaviour,
    CallEnded,
    CallState,
    OutgoingCall,
    SipError,
    UserAgent,
    ignoring,
)
from hwtest.useragent.call import Call, IncomingCall
from hwtest.useragent.media import Media, Mode

OURS = "ours"
PLAIN_QUEUE = "plain_queue"
PLAIN_DIAL = "plain_dial"
PLAIN_QUEUE_DEFAULTS = "plain_queue_defaults"
PLAIN_QUEUE_FIRST = "plain_queue_first"
"""The same queue as `plain_queue`, before all who came by that: what app_queue has for a 999."""
CODE_SECONDS = 20.0
ANSWER_SECONDS = 10.0
FILL_SECONDS_PER_CALLER = 0.025
_CLOCK_STEP_MS = 20.0
Progress = Callable[[str], None]


class RigError(Exception):
    """The rig could not do its part: what it wanted to measure could not be measured."""


class Wire(Protocol):
    """Where records come from."""

    async def take(self) -> Taken:
        """Records since the last time."""


class PhonesWire:
    """Instead of a capture: the phones' own stamps, kernel's for what they received, user space's for what they sent."""

    def __init__(self, switch_port: int) -> None:
        self._switch_port = switch_port
        self._calls = dict[int, tuple[int, Call]]()
        self._taken = dict[int, int]()

    def watch(self, phone: UserAgent, call: Call) -> None:
        """Read this call's trace from now on."""
        self._calls[id(call)] = phone.address[1], call

    async def take(self) -> Taken:
        """What the calls that are watched have traced since the last time."""
        records = list[Record]()
        for key, (port, call) in list(self._calls.items()):
            start = self._taken.get(key, 0)
            entries = call.trace[start:]
            self._taken[key] = start + len(entries)
            records += self._records(port, call, start)
            if call.state is CallState.ENDED and not entries:
                del self._calls[key]
        return Taken(records=sorted(records, key=lambda record: record.stamp_ns), dropped=None)

    def _records(self, port: int, call: Call, start: int) -> Iterator[Record]:
        incoming = call if isinstance(call, IncomingCall) else None
        edge_call = incoming.header("X-Edge-Call") if incoming else None
        callback = incoming is not None and incoming.header("X-Edge-Callback") is not None
        caller = incoming.caller_number if incoming else number_of(call)
        callee = incoming.invite.to_address.user if incoming else ""
        for position, entry in enumerate(call.trace[start:], start):
            sent = entry.direction == "sent"
            yield Record(
                entry.utc_ns,
                *((port, self._switch_port) if sent else (self._switch_port, port)),
                entry.label,
                entry.method,
                entry.sequence_number,
                call.dialog.call_id,
                "",
                in_dialog=position > 0,
                from_user=caller,
                edge_call=edge_call if entry.label == "INVITE" else None,
                edge_callback=callback and entry.label == "INVITE",
                to_user=callee,
            )


def number_of(call: Call) -> str:
    """The number from which a caller calls."""
    return call.dialog.local.partition("sip:")[2].partition("@")[0]


class Rig:
    """Callers, agents' phones and the wire of one lab. Only the phones that were started exist for the switch."""

    def __init__(self, lab: Lab, wire: Wire, progress: Progress) -> None:
        self.lab = lab
        self.wire = wire
        self.progress = progress
        self.captured = isinstance(wire, Capture)
        self.callers = UserAgent(user="caller")
        self.agents: list[AgentPhone] = []
        self._behaviour: Behaviour = ignoring
        self._signed_in = set[str]()
        self._numbers = caller_numbers()
        self.arrivals = 0

    # The wire

    @property
    def caller_ports(self) -> frozenset[int]:
        """Ports that callers call from."""
        return frozenset({self.callers.address[1]})

    @property
    def agent_ports(self) -> frozenset[int]:
        """Ports of the agents' phones."""
        return frozenset(phone.agent.address[1] for phone in self.agents)

    def watch(self, phone: UserAgent, call: Call) -> None:
        """Let the messages of this call be on the wire too, where that is the phones' own stamps."""
        if isinstance(self.wire, PhonesWire):
            self.wire.watch(phone, call)

    # Agents

    async def staff(self, count: int) -> None:
        """Have exactly the first `count` phones registered; RigError when the lab has fewer."""
        if count > len(self.lab.agents):
            raise RigError(f"the lab has {len(self.lab.agents)} agents, {count} are needed")
        while len(self.agents) > count:
            phone = self.agents.pop()
            await self._code(phone, "sign_out")
            await phone.stop()
        for agent in self.lab.agents[len(self.agents) : count]:
            phone = AgentPhone(agent.user, agent.password, agent.registrar, self._serve, media="sink")
            await phone.start()
            self.agents.append(phone)
            await self._code(phone, "sign_out")

    async def serve_for(self, system: str) -> None:
        """Sign the agents in for our lines, out for any other: app_queue's members are the same phones."""
        code = "sign_in" if system == OURS else "sign_out"
        changing = [phone for phone in self.agents if (phone.user in self._signed_in) != (system == OURS)]
        await asyncio.gather(*(self._code(phone, code) for phone in changing))

    async def sign_out(self) -> None:
        """Nobody serves."""
        await self.serve_for("")

    async def _code(self, phone: AgentPhone, code: str) -> None:
        try:
            call = await phone.dial(self.lab.codes[code], CODE_SECONDS)
        except TimeoutError:
            raise RigError(f"the feature code {code} did not end within {CODE_SECONDS:.0f} s") from None
        if call.reached is not CallState.ANSWERED:
            raise RigError(f"the feature code {code} was refused with {call.status}")
        (self._signed_in.add if code == "sign_in" else self._signed_in.discard)(phone.user)

    @contextmanager
    def behaviour(self, behaviour: Behaviour) -> Iterator[None]:
        """What every agent's phone does with calls, inside this block."""
        self._behaviour = behaviour
        try:
            yield
        finally:
            self._behaviour = ignoring

    async def _serve(self, call: IncomingCall) -> None:
        self.watch(call.agent, call)
        await self._behaviour(call)

    async def agents_idle(self, within_seconds: float = 10.0) -> None:
        """Return when no agent's phone has a call."""
        async with asyncio.timeout(within_seconds):
            for phone in self.agents:
                for call in list(phone.agent.calls.values()):
                    await call.ended(within_seconds)

    # Callers

    def call(self, line: str, media: Media | Mode = "sink") -> OutgoingCall:
        """A caller with a number of their own dials a line."""
        number = next(self._numbers, None)
        if number is None:
            raise RigError("no more callers' numbers")
        self.arrivals += 1
        uri = f"sip:{self.lab.lines[line]}@{self.lab.sip.host}:{self.lab.sip.port}"
        call = self.callers.invite(uri, from_user=number, media=media)
        self.watch(self.callers, call)
        return call

    async def fill(self, line: str, count: int) -> None:
        """`count` callers wait on a line, all answered; RigError when one is refused."""
        calls = []
        for _ in range(count):
            calls.append(self.call(line))
            await asyncio.sleep(FILL_SECONDS_PER_CALLER)
        try:
            for call in calls:
                await call.answered(ANSWER_SECONDS)
        except (CallEnded, TimeoutError) as error:
            raise RigError(f"a caller on {line} was not answered: {error or 'no answer in time'}") from error

    async def clear(self) -> None:
        """Every caller hangs up, and the agents' phones become idle."""
        calls = list(self.callers.calls.values())
        for position in range(0, len(calls), 20):  # not all in one burst: no datagram is to be lost
            await asyncio.gather(*(call.hang_up() for call in calls[position : position + 20]))
        with contextlib.suppress(TimeoutError):
            await self.agents_idle()

    async def recover(self) -> None:
        """After a measurement that failed: nobody calls, and what the phones do is nobody's business any more."""
        self._behaviour = ignoring
        with contextlib.suppress(SipError, RigError, OSError):
            await self.clear()

    async def close(self) -> None:
        """Hang up, sign out, unregister."""
        await self.clear()
        with contextlib.suppress(RigError):
            await self.sign_out()
        for phone in self.agents:
            await phone.stop()
        await self.callers.shut_down(2.0)


class Stretch:
    """One stretch of measuring: begun by `begin`, ended by `end`."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._meter = LoadMeter()

    @classmethod
    async def begin(cls, rig: Rig) -> Stretch:
        """Start measuring now; what was on the wire before is let go."""
        await rig.wire.take()
        return cls(rig)

    async def end(self, fault: str | None = None) -> Measured:
        """What was on the wire. `fault` is one more reason why it is not valid."""
        return Measured(await self._rig.wire.take(), self._meter.read(), self._rig.agent_ports, fault)


@dataclass(frozen=True, slots=True)
class Measured:
    """The wire of one stretch, and what ran meanwhile."""

    taken: Taken
    load: Load
    agent_ports: frozenset[int]
    fault: str | None = None

    def with_fault(self, fault: str) -> Measured:
        """The same with one more reason why it is not valid."""
        return replace(self, fault=", ".join(filter(None, (self.fault, fault))))

    def block(self, figure: str, system: str, samples: list[float]) -> Block:
        """The block that `samples` make, with what makes it invalid."""
        return Block(
            figure=figure,
            system=system,
            samples=samples,
            seconds=self.load.seconds,
            load_average=self.load.load_average,
            steal_share=self.load.steal_share,
            busy_share=self.load.busy_share,
            retransmissions=retransmissions(self.taken.records),
            dropped=self.taken.dropped,
            invalid=", ".join(self._faults(system)) or None,
        )

    def _faults(self, system: str) -> Iterator[str]:
        stray = stray_offers(self.taken.records, self.agent_ports, ours=system == OURS)
        repeated = retransmissions(self.taken.records)
        if self.fault:
            yield self.fault
        if repeated:
            yield retransmission_fault(repeated)
        if stray:
            yield f"{stray} calls from the other system"
        yield from self.faults_of_the_meter()

    def faults_of_the_meter(self) -> Iterator[str]:
        """What makes any reading of this stretch doubtful, whatever was done to the daemon meanwhile."""
        if self.taken.dropped:
            yield f"{self.taken.dropped} packets lost by the capture"
        if self.taken.malformed:
            yield f"{self.taken.malformed} unreadable packets"
        if abs(self.load.clock_step_ms) > _CLOCK_STEP_MS:
            yield "the clock stepped"


@asynccontextmanager
async def rig(lab: Lab, progress: Progress) -> AsyncIterator[Rig]:
    """The rig of a lab; on the capture where that is allowed, else on the phones' own stamps, and it says so."""
    async with contextlib.AsyncExitStack() as stack:
        wire: Wire
        try:
            wire = await stack.enter_async_context(Capture(lab.sip.port))
        except CaptureUnavailableError as error:
            progress(f"capture not measured ({error}): the phones' own stamps stand in for it")
            wire = PhonesWire(lab.sip.port)
        made = Rig(lab, wire, progress)
        try:
            yield made
        finally:
            await made.close()

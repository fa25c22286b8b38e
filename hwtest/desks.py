"""Callers and agents of a lab, for the probes of the queue. Whatever happens, agents end as they were found: signed out.

    async with desks(site, 2) as room:                 # agents' phones registered, nobody signed in
        jo = await room.call("101_no_greeting")        # a caller with a number of their own
        await room.sign_in(room.desks[0])
        offer = await room.desks[0].rung(5)            # the INVITE at that phone

Agents are signed in and out through the switch's control interface, as `edge agent` does it, so that no prompt of a feature
code costs time. A lab where somebody is at work already is left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from edge.config import Configuration, ConfigurationError, load
from edge.errors import LinkError, RefusedError
from edge.pbx.asterisk.ami.client import AmiClient
from edge.pbx.asterisk.ami.translate import QUEUE_PREFIX
from edge.pbx.asterisk.ami.wire import text
from edge.pbx.asterisk.control import AgentControl
from hwtest.bench.numbers import caller_numbers, comparable
from hwtest.lab.contract import Lab, LabAgent
from hwtest.probes.contract import NotMeasuredError
from hwtest.site import GOODBYE_SECONDS, Site
from hwtest.useragent import AgentPhone, Behaviour, OutgoingCall, SipError, UserAgent
from hwtest.useragent.call import Call, IncomingCall
from hwtest.useragent.media import Media, Mode

SEEN_SECONDS = 10.0
"""So long the switch may take to count a phone that has registered as there."""
SILENT = Media("silence")
POLICY = Path(__file__).with_name("lab") / "queues.toml"
"""What a lab is made with so that every probe of the queue finds what it needs."""
_POLL_SECONDS = 0.05
_LAST_NUMBERS = 10_000


async def ring(call: IncomingCall) -> None:
    """A phone that rings until somebody does something."""
    call.ring()


class Desk:
    """An agent's phone, which rings unless told otherwise (`treat`). Calls come out of `rung` in order."""

    def __init__(self, agent: LabAgent, media: Media) -> None:
        self.agent = agent
        self.treat: Behaviour = ring
        self._media = media
        self.phone = self._new_phone()
        self._rung = asyncio.Queue[IncomingCall]()

    @property
    def calls(self) -> list[IncomingCall]:
        """Every INVITE that came to this phone."""
        return self.phone.calls

    def _new_phone(self) -> AgentPhone:
        agent = self.agent
        return AgentPhone(agent.user, agent.password, agent.registrar, self._take, media=self._media)

    async def unplug(self) -> None:
        """The phone is gone without a word; the switch believes for minutes that it is there."""
        await self.phone.vanish()

    async def plug_in(self) -> None:
        """It is there again, on another port."""
        self.phone = self._new_phone()
        await self.phone.start()

    async def rung(self, within_seconds: float) -> IncomingCall:
        """The next call to this phone that this has not returned yet. TimeoutError."""
        return await asyncio.wait_for(self._rung.get(), within_seconds)

    async def _take(self, call: IncomingCall) -> None:
        self._rung.put_nowait(call)
        await self.treat(call)


class Room:
    """The phones of so many agents, and callers. `desks` opens it."""

    def __init__(
        self, site: Site, lab: Lab, configuration: Configuration, link: AmiClient, stack: AsyncExitStack
    ) -> None:
        self.site = site
        self.lab = lab
        self.configuration = configuration
        self.callers = UserAgent(site.target.local_address, 0, user="caller")
        self.desks: list[Desk] = []
        self.numbers: dict[str, OutgoingCall] = {}
        """Calls by what identifies their caller's number (`comparable`)."""
        self._link = link
        self._control = AgentControl(link, configuration)
        self._stack = stack
        self._written: dict[OutgoingCall, str] = {}
        self._unused = caller_numbers()
        for _ in range(random.randrange(_LAST_NUMBERS)):
            next(self._unused)

    # Agents

    async def register(self, count: int, media: Media) -> None:
        """Register the phones of the first `count` agents. NotMeasuredError when the lab has fewer."""
        if count > len(self.lab.agents):
            raise NotMeasuredError(
                f"the lab has {len(self.lab.agents)} agents, {count} are needed",
                f"hwtest lab up --dir {self.lab.directory} --agents {count}",
            )
        for agent in self.lab.agents[:count]:
            desk = Desk(agent, media)
            self.desks.append(desk)
            await desk.phone.start()
        await self._until_there({desk.agent.user for desk in self.desks})

    async def _until_there(self, users: set[str]) -> None:
        states, until = dict[str, str](), asyncio.get_running_loop().time() + SEEN_SECONDS
        while asyncio.get_running_loop().time() < until:
            listed = await self._link.list("DeviceStateList", {})
            states = {text(event, "Device"): text(event, "State") for event in listed}
            if all(states.get(f"PJSIP/{user}") == "NOT_INUSE" for user in users):
                return
            await asyncio.sleep(_POLL_SECONDS)
        seen = ", ".join(f"{user} {states.get(f'PJSIP/{user}', 'unknown')}" for user in sorted(users))
        raise NotMeasuredError(
            f"phones have registered, and after {SEEN_SECONDS:.0f} s the switch does not take all of them for free: {seen}",
            f"hwtest lab status --dir {self.lab.directory}; is another phone registered as one of them, or on a call?",
        )

    async def sign_in(self, *desks: Desk) -> None:
        """Sign these agents in at their phones, ready, in this order."""
        for desk in desks:
            await self._control.sign_in(desk.agent.number)

    async def sign_out(self, desk: Desk) -> None:
        """Sign this agent out."""
        with contextlib.suppress(RefusedError):  # was not signed in
            await self._control.sign_out(desk.agent.number)

    async def ready(self, desk: Desk) -> None:
        """End this agent's wrap-up."""
        await self._control.ready(desk.agent.number)

    # Callers

    async def call(self, line: str, media: Media | Mode = "sink", number: str | None = None) -> OutgoingCall:
        """A caller dials this line of the lab; by default with a number that has not called yet."""
        dialled = self.lab.lines.get(line)
        if dialled is None:
            raise NotMeasuredError(
                f"the lab has no line {line!r}", f"hwtest lab up --dir {self.lab.directory}"
            )
        allowed = await self._stack.enter_async_context(self.site.interlock.call(dialled))
        own = number or next(self._unused)
        address = self.lab.sip
        call = self.callers.invite(f"sip:{allowed}@{address.host}:{address.port}", from_user=own, media=media)
        self.numbers[comparable(own)] = call
        self._written[call] = own
        return call

    def caller_of(self, offer: IncomingCall) -> OutgoingCall | None:
        """Whose number this phone shows."""
        return self.numbers.get(comparable(offer.caller_number))

    def number_of(self, call: OutgoingCall) -> str:
        """By what a caller's number is identified."""
        return next(number for number, other in self.numbers.items() if other is call)

    def written(self, call: OutgoingCall) -> str:
        """The caller's number as it was sent, and as the record has it."""
        return self._written[call]

    # The end

    async def close(self) -> None:
        """Everybody hangs up, and the phones unregister; `put_back` signs out who is signed in."""
        await asyncio.gather(*(_end(call) for call in list(self.callers.calls.values())))
        for desk in self.desks:
            await asyncio.gather(*(_end(call) for call in list(desk.phone.agent.calls.values())))
        await asyncio.gather(*(desk.phone.stop(GOODBYE_SECONDS) for desk in self.desks))
        await self.callers.shut_down(GOODBYE_SECONDS)


async def _end(call: Call) -> None:
    with contextlib.suppress(TimeoutError, SipError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await call.hang_up()


def made_again(lab: Lab, options: str = f"--policy {POLICY}") -> str:
    """The command that makes the lab in this folder anew, with these options of `lab up`."""
    return f"hwtest lab down --dir {lab.directory} && hwtest lab up --dir {lab.directory} {options}"


def lab_of(site: Site, what: str) -> Lab:
    """The lab that is tested. NotMeasuredError on an appliance: its agents are people."""
    if site.target.lab is None:
        raise NotMeasuredError(
            f"{what} needs agents' phones, and {site.target.name} is no lab: its agents are people",
            "hwtest lab up --dir DIR, then hwtest run --lab -t DIR",
        )
    return site.target.lab


@asynccontextmanager
async def desks(site: Site, count: int, what: str, media: Media = SILENT) -> AsyncIterator[Room]:
    """So many agents' phones of the lab, registered, nobody signed in. NotMeasuredError where somebody is at work."""
    lab = lab_of(site, what)
    async with put_back(site) as (configuration, link), AsyncExitStack() as stack:
        room = Room(site, lab, configuration, link, stack)
        stack.push_async_callback(room.close)
        await room.register(count, media)
        yield room


@asynccontextmanager
async def put_back(site: Site) -> AsyncIterator[tuple[Configuration, AmiClient]]:
    """Nobody is at work (else NotMeasuredError), and at the end whoever is signed in is signed out again."""
    lab = lab_of(site, "signing agents in")
    try:
        configuration = load(Path(lab.config))
    except ConfigurationError as error:
        raise NotMeasuredError(
            f"the lab's configuration cannot be read: {error}", f"edge --config {lab.config} check"
        ) from None
    link = await site.control()
    await nobody_at_work(link)
    try:
        yield configuration, link
    finally:
        try:
            await _everybody_out(link, configuration)
        except LinkError:  # it was cut meanwhile; another one may stand
            with contextlib.suppress(LinkError, NotMeasuredError):
                await _everybody_out(await site.open_control(lambda _: None), configuration)


async def _everybody_out(link: AmiClient, configuration: Configuration) -> None:
    control = AgentControl(link, configuration)
    for agent in await at_work(link):
        with contextlib.suppress(RefusedError):  # went by itself meanwhile
            await control.sign_out(agent)


async def at_work(link: AmiClient) -> list[str]:
    """Agents who are signed in, by number: the members of our queues at the switch, whether or not the daemon runs."""
    listed = await link.list("QueueStatus", {})
    members = [event for event in listed if text(event, "Event") == "QueueMember"]
    return sorted({text(m, "Name") for m in members if text(m, "Queue").startswith(QUEUE_PREFIX)})


async def nobody_at_work(link: AmiClient) -> None:
    """NotMeasuredError when an agent is signed in: a call that is placed for a test would ring a person."""
    if agents := await at_work(link):
        raise NotMeasuredError(
            f"agents are at work ({', '.join(agents)}): a test call would ring their phones",
            "edge agent sign-out AGENT for each, or test when nobody is signed in",
        )

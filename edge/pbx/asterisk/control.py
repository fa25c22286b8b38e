"""What a person sets, set from the command line: sign-in, sign-out, ready, not ready. The same as the feature codes do.

app_queue's dynamic members are the master, so this works with or without the daemon, which follows their events. The
names of queues, interfaces and database keys are those of `dialplans/asterisk/edge101-extensions.conf.j2`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol

from panoramisk.message import Message

from dialplans.asterisk.generate import interface, serves, state_interface
from edge.config import Configuration
from edge.errors import RefusedError
from edge.pbx.asterisk.ami.client import AmiClient
from edge.pbx.asterisk.ami.translate import QUEUE_PREFIX, UNSPECIFIED
from edge.pbx.asterisk.ami.wire import text

FAMILY = "edge"
"""Of AstDB: agent/NUMBER = phone and phone/PHONE = number."""
ALREADY_SO = ("Not there", "entry not found")
"""Asterisk's words for a no that changes nothing: what was asked for is the case."""


class Link(Protocol):
    """What is needed of `AmiClient`."""

    async def ask(self, name: str, headers: Mapping[str, str]) -> Message:
        """The answer to one action. Raises `RefusedError`, `LinkError`."""

    async def list(self, name: str, headers: Mapping[str, str]) -> list[Message]:
        """The events of a list action."""


class Member(NamedTuple):
    """A dynamic member of one of our queues."""

    queue: str
    interface: str
    agent: str


async def pause(link: Link, members: Sequence[Member], reason: str | None) -> None:
    """Take no calls for this reason; None: take calls again. Raises `RefusedError`, `LinkError`."""
    for member in members:
        headers = {
            "Queue": member.queue,
            "Interface": member.interface,
            "Paused": "false" if reason is None else "true",
            "Reason": reason or "",
        }
        await link.ask("QueuePause", headers)


@asynccontextmanager
async def connected(configuration: Configuration) -> AsyncIterator[Link]:
    """A short-lived link. Raises `LinkError` when Asterisk is not there, `PermanentError` for a wrong password."""
    ami = configuration.switch.ami
    client = AmiClient(ami.host, ami.port, ami.user, ami.password.get_secret_value(), _not_listening)
    try:
        await client.connect()
        yield client
    finally:
        client.close()


def _not_listening(message: Message) -> None:
    """Events are the daemon's business."""


class AgentControl:
    """Changes one agent at a time. Every method raises `RefusedError` with a message for a person, and `LinkError`."""

    def __init__(self, link: Link, configuration: Configuration) -> None:
        self._link = link
        self._configuration = configuration

    async def sign_in(self, agent: str, phone: str | None = None) -> str:
        """Sign in at `phone` (None: the usual one) and be ready; returns the phone. Whoever was there is signed out.

        Signing in where one is signed in already only makes ready: leaving and joining would show as a gap in the record.
        """
        phone = self._phone_for(agent, phone)
        members = await self._members()
        if await self._read(f"agent/{agent}") != phone:
            await self._leave(agent, members)
            if (other := await self._read(f"phone/{phone}")) is not None:
                await self._leave(other, members)
            await self._remove([m for m in members if m.interface == self._interface(phone)])
            await self._write(f"agent/{agent}", phone)
            await self._write(f"phone/{phone}", agent)
        await pause(self._link, await self._join(agent, phone), None)
        return phone

    async def sign_out(self, agent: str) -> None:
        """Leave every queue."""
        self._known(agent)
        await self._signed_in(agent)
        await self._leave(agent, await self._members())

    async def ready(self, agent: str) -> None:
        """Take calls again; a wrap-up ends now."""
        self._known(agent)
        await self._signed_in(agent)
        await pause(self._link, await self._members_of(agent), None)
        await self._link.ask("UserEvent", {"UserEvent": "EdgeReady", "Agent": agent})

    async def not_ready(self, agent: str, reason: str = UNSPECIFIED) -> None:
        """Take no calls until ready, for this reason."""
        self._known(agent)
        known = (UNSPECIFIED, *self._configuration.not_ready.reasons)
        if reason not in known:
            raise RefusedError(
                f'there is no reason "{reason}"; known: {", ".join(known)} (reasons in [not_ready])'
            )
        await self._signed_in(agent)
        await pause(self._link, await self._members_of(agent), reason)

    def _known(self, agent: str) -> None:
        if agent not in self._configuration.agents:
            raise RefusedError(f"there is no agent {agent}; known: {_names(self._configuration.agents)}")

    def _phone_for(self, agent: str, phone: str | None) -> str:
        self._known(agent)
        phone = phone or self._configuration.agents[agent].phone
        if phone is None:
            raise RefusedError(f"agent {agent} has no usual phone: name one with --phone")
        if phone not in self._configuration.phones:
            raise RefusedError(f"there is no phone {phone}; known: {_names(self._configuration.phones)}")
        return phone

    async def _signed_in(self, agent: str) -> None:
        if await self._read(f"agent/{agent}") is None and not await self._members_of(agent):
            raise RefusedError(f"agent {agent} is not signed in: edge agent sign-in {agent}")

    def _interface(self, phone: str) -> str:
        return interface(phone, self._configuration.phones[phone])

    async def _members(self) -> list[Member]:
        found = await self._link.list("QueueStatus", {})
        members = [
            Member(text(m, "Queue"), text(m, "Location"), text(m, "Name"))
            for m in found
            if text(m, "Event") == "QueueMember"
        ]
        return [member for member in members if member.queue.startswith(QUEUE_PREFIX)]

    async def _members_of(self, agent: str) -> list[Member]:
        return [member for member in await self._members() if member.agent == agent]

    async def _leave(self, agent: str, members: Sequence[Member]) -> None:
        await self._remove([member for member in members if member.agent == agent])
        if (phone := await self._read(f"agent/{agent}")) is not None:
            await self._link.ask("DBDel", {"Family": FAMILY, "Key": f"agent/{agent}"})
            if await self._read(f"phone/{phone}") is not None:
                await self._link.ask("DBDel", {"Family": FAMILY, "Key": f"phone/{phone}"})

    async def _remove(self, members: Sequence[Member]) -> None:
        for member in members:
            await self._ask("QueueRemove", {"Queue": member.queue, "Interface": member.interface})

    async def _join(self, agent: str, phone: str) -> list[Member]:
        """Join every queue that the agent has the skills for; what was done is seen from the members afterwards."""
        skills = self._configuration.agents[agent].skills
        queues = {
            QUEUE_PREFIX + name for name, queue in self._configuration.queues.items() if serves(skills, queue)
        }
        section = self._configuration.phones[phone]
        for queue in sorted(queues):
            member = {
                "Queue": queue,
                "Interface": interface(phone, section),
                "Penalty": "0",
                "MemberName": agent,
                "StateInterface": state_interface(phone, section),
            }
            with contextlib.suppress(RefusedError):
                await self._link.ask("QueueAdd", member)
        joined = await self._members_of(agent)
        if missing := sorted(queues - {member.queue for member in joined}):
            raise RefusedError(
                f"the switch did not add agent {agent} to {', '.join(missing)}: are its files those of `edge dialplan`, "
                "and reloaded?"
            )
        return joined

    async def _read(self, key: str) -> str | None:
        try:
            found = await self._link.list("DBGet", {"Family": FAMILY, "Key": key})
        except RefusedError as refusal:
            _tolerate(refusal)
            return None
        return next((text(m, "Val") for m in found if text(m, "Event") == "DBGetResponse"), None) or None

    async def _write(self, key: str, value: str) -> None:
        await self._link.ask("DBPut", {"Family": FAMILY, "Key": key, "Val": value})

    async def _ask(self, name: str, headers: Mapping[str, str]) -> None:
        try:
            await self._link.ask(name, headers)
        except RefusedError as refusal:
            _tolerate(refusal)


def _tolerate(refusal: RefusedError) -> None:
    if not any(words in str(refusal) for words in ALREADY_SO):
        raise refusal


def _names(known: Mapping[str, object]) -> str:
    return ", ".join(sorted(known)) or "none"

"""The AMI link: one TCP connection, from login to loss. It never reconnects by itself and never sends anything twice.

panoramisk's `Manager` is not used: it stores unanswered actions and repeats them after a reconnect (an Originate went out
twice), and retries a wrong password for ever. Its `AMIProtocol` pairs answers with questions; the rest is fenced here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import structlog
from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

from edge.errors import LinkError, PermanentError, RefusedError
from edge.pbx.asterisk.ami import wire

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 3.0
ACTION_SECONDS = 2.0
BOOT_SECONDS = 60.0
PING_SECONDS = 2.0
PINGS_MISSED = 2

Headers = Mapping[str, str]
Take = Callable[[Message], None]


class Protocol(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
    """panoramisk's protocol with a reader that no byte can kill and an end that leaves nobody waiting."""

    def __init__(self, take: Take, lost: Callable[[str], None]) -> None:
        self._take_event = take
        self._lost = lost
        self._framer = wire.Framer()
        self._outgoing: list[bytes] = []
        self._told: dict[int, Callable[[], None]] = {}
        """Actions whose answer is only asked for a no, and whom to tell of it."""
        self._numbers = count(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin. `factory` is what panoramisk calls for events; it resets it here, so it is set after."""
        super().connection_made(transport)
        self.factory = self
        self.closed: bool = False
        self.responses: dict[str, Action] = {}

    def data_received(self, data: bytes) -> None:
        """Hand every complete message on; a message that panoramisk cannot digest costs that message only."""
        try:
            frames = self._framer.feed(data)
        except wire.WireError as failure:
            self._end(str(failure))
            return
        for frame in frames:
            self._digest(frame)

    def _digest(self, frame: str) -> None:
        if (answer := wire.answer_to_told(frame)) is not None:
            self._answered(*answer)
            return
        try:
            message = wire.parse(frame)
            if message is not None:
                self.handle_message(message)
        except (AttributeError, TypeError, ValueError, LookupError, asyncio.InvalidStateError) as failure:
            log.warning("ami.message_dropped", failure=type(failure).__name__, size=len(frame))

    def handle_message(self, message: Message) -> None:
        """An answer goes to its action, whatever else happens is an event: as panoramisk has it, with one look for each."""
        action = self.responses.get(wire.text(message, "ActionID"))
        if action is not None:
            if wire.is_item(action, message):
                action.responses.append(message)
            elif action.add_message(message):
                self.responses.pop(action.id, None)
            return
        if event := wire.text(message, "Event"):
            if event.lower() == "shutdown":
                self.connection_lost(message)
            self.dispatch(message)

    def dispatch(self, message: Message) -> None:
        """An event; panoramisk calls this."""
        self._take_event(message)

    def _answered(self, number: int, is_yes: bool) -> None:
        refused = self._told.pop(number, None)
        if refused is not None and not is_yes:
            asyncio.get_running_loop().call_soon(refused)

    def write(self, actions: Sequence[Action]) -> None:
        """Send actions in one write, so that nothing of ours comes between them."""
        for action in actions:
            self.responses[action.id] = action
        self._send_soon(*map(wire.encode, actions))

    def tell(self, name: str, headers: Headers, refused: Callable[[], None]) -> None:
        """Send an action in its turn; `refused` is called if the answer is no. A thousand callers are put off so every few
        seconds: no future, no action and no message is made for it."""
        number = next(self._numbers)
        told = wire.told(name, headers, number)
        self._told[number] = refused
        self._send_soon(told)

    def _send_soon(self, *data: bytes) -> None:
        if not self._outgoing:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outgoing.extend(data)

    def _flush(self) -> None:
        """Everything asked for in this turn of the loop leaves in one packet, in order."""
        data, self._outgoing = self._outgoing, []
        if not self.closed:
            self.transport.write(b"".join(data))

    def forget(self, action: Action) -> None:
        """Nobody waits for this answer any more."""
        self.responses.pop(action.id, None)

    def connection_lost(self, exc: object) -> None:
        """The connection is gone, or (Shutdown event) about to go."""
        self._end(str(exc) if isinstance(exc, Exception) else "closed by Asterisk")

    def close(self) -> None:
        """End the connection from our side."""
        self._end("closed by us")

    def _end(self, reason: str) -> None:
        if self.closed:
            return
        self.closed = True
        self.transport.abort()
        pending = list(self.responses.values())
        self.responses.clear()
        self._told.clear()
        for action in pending:
            _fail(action.future, LinkError(f"AMI connection ended before the answer: {reason}"))
        self._lost(reason)


def _fail(future: asyncio.Future[Message], error: LinkError) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # retrieved: perhaps nobody waits for it


class AmiClient:
    """One life of the link. `take` gets every event in order and must only queue it."""

    def __init__(
        self, host: str, port: int, user: str, password: str, take: Take, section: str = "switch.ami"
    ) -> None:
        """`section`: of the configuration that has this account, for the message about a wrong one."""
        self._section = section
        loop = asyncio.get_running_loop()
        self._address = (host, port)
        self._user = user
        self._password = password
        self._take = take
        self._protocol: Protocol | None = None
        self._ended: asyncio.Future[Message] = loop.create_future()
        self._booted: asyncio.Future[Message] = loop.create_future()

    @property
    def _where(self) -> str:
        return "AMI {}:{}".format(*self._address)

    async def connect(self) -> None:
        """Log in and wait until Asterisk has booted. Raises PermanentError for a wrong user or password, else LinkError."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, self._protocol = await loop.create_connection(
                    lambda: Protocol(self._dispatch, self._connection_lost), *self._address
                )
        except OSError as failure:  # TimeoutError is one
            raise LinkError(
                f"{self._where}: {str(failure) or 'no answer'}. Is Asterisk running?"
            ) from failure
        await self._login()
        await self._wait_for_boot()

    async def _login(self) -> None:
        try:
            await self.ask("Login", {"Username": self._user, "Secret": self._password, "Events": "on"})
        except RefusedError as refusal:
            raise PermanentError(
                f"{self._where} refuses user {self._user!r}: {refusal}. Make `secret` of [{self._user}] in Asterisk's"
                f" manager.conf and the file named by password_file of [{self._section}] in our configuration the same."
            ) from refusal

    async def _wait_for_boot(self) -> None:
        try:
            async with asyncio.timeout(BOOT_SECONDS):  # `wait_for` swallows a cancellation before Python 3.12
                await asyncio.shield(self._booted)
        except TimeoutError as failure:
            raise LinkError(
                f"{self._where}: no FullyBooted within {BOOT_SECONDS:.0f} s. Is class `system` in `read` of"
                f" [{self._user}] in manager.conf?"
            ) from failure

    def _dispatch(self, message: Message) -> None:
        if wire.text(message, "Event") == "FullyBooted" and not self._booted.done():
            self._booted.set_result(message)
        self._take(message)

    def _connection_lost(self, reason: str) -> None:
        error = LinkError(f"{self._where}: {reason}")
        _fail(self._booted, error)
        _fail(self._ended, error)

    async def watch(self) -> None:
        """Ping until the link is lost or silent, then raise LinkError. A hung Asterisk keeps its socket open."""
        missed = 0
        while missed < PINGS_MISSED:
            await asyncio.wait((self._ended,), timeout=PING_SECONDS)
            if self._ended.done():
                await self._ended
            missed = 0 if await self._pong() else missed + 1
        self.close()
        raise LinkError(f"{self._where}: connected, but {missed} pings were not answered")

    async def _pong(self) -> bool:
        try:
            return wire.text(await self.ask("Ping", {}), "Ping") == "Pong"
        except (LinkError, RefusedError):
            return False

    async def ask(self, name: str, headers: Headers) -> Message:
        """The answer to one action. Raises RefusedError for a no, LinkError when there is none within 2 s."""
        (answer,) = await self.ask_all([(name, headers)])
        check(name, answer)
        return answer

    async def ask_all(self, requests: Sequence[tuple[str, Headers]]) -> list[Message]:
        """The answers, yes or no, to several actions sent in one write; Asterisk carries them out in this order."""
        return await asyncio.gather(*map(self._answer, self._send(requests)))

    async def list(self, name: str, headers: Headers) -> list[Message]:
        """The events of a list action such as QueueStatus, without its frame."""
        answer = await self._answer(self._send([(name, headers)], listed=True)[0])
        if not isinstance(answer, list):
            check(name, answer)
            return []
        return [message for message in answer[1:] if not wire.text(message, "EventList")]

    def tell(self, name: str, headers: Headers, refused: Callable[[], None]) -> None:
        """Send an action without waiting; `refused` is called if the answer is no. Raises LinkError when not connected."""
        self._connected.tell(name, headers, refused)

    def close(self) -> None:
        """End the link."""
        if self._protocol is not None:
            self._protocol.close()

    @property
    def lost(self) -> bool:
        """Whether the link stood and is no more."""
        return self._protocol is not None and self._protocol.closed

    @property
    def _connected(self) -> Protocol:
        if self._protocol is None or self._protocol.closed:
            raise LinkError(f"{self._where}: not connected")
        return self._protocol

    def _send(self, requests: Sequence[tuple[str, Headers]], listed: bool = False) -> Sequence[Action]:
        protocol = self._connected
        actions = [wire.action(name, headers, listed) for name, headers in requests]
        protocol.write(actions)
        return actions

    async def _answer(self, action: Action) -> Any:
        try:
            async with asyncio.timeout(ACTION_SECONDS):
                return await action.future
        except TimeoutError as failure:
            raise LinkError(
                f"{self._where}: {action['action']} not answered in {ACTION_SECONDS:.0f} s"
            ) from failure
        finally:
            if self._protocol is not None:
                self._protocol.forget(action)


def check(name: str, answer: Message) -> None:
    """Raises RefusedError when the answer is no."""
    if not answer.success:
        raise RefusedError(f"{name}: {wire.text(answer, 'Message') or 'refused'}")

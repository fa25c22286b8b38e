"""The open target as a probe has it: whom it may call, phones it may be, the control link, a folder, dice.

Everything that is opened here is closed at the end of the run, calls by BYE.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edge.cli.output import clean
from hwtest.addresses import is_own
from hwtest.capture import Capture, CaptureUnavailableError, Record, Taken
from hwtest.interlock import Interlock
from hwtest.lab.contract import Address
from hwtest.probes.contract import NotMeasuredError, Probe
from hwtest.target import Line, Target
from hwtest.useragent import AgentPhone, Behaviour, Media, OutgoingCall, SipError, Timers, UserAgent
from hwtest.useragent.media import Mode

if TYPE_CHECKING:
    from panoramisk.message import Message

    from edge.pbx.asterisk.ami.client import AmiClient
    from hwtest.probes.sheet import Sheet

REGISTER_SECONDS = 5.0
BANNER_SECONDS = 1.0
"""Asterisk's manager says what it is as soon as somebody connects."""
_BANNER_BYTES = 80
GOODBYE_SECONDS = 3.0
"""So long a call may take to end by BYE before it is abandoned."""


class Site:
    """An open target."""

    def __init__(
        self,
        target: Target,
        folder: Path,
        *,
        lab_allowed: bool = False,
        seed: int = 1,
        placed: deque[float] | None = None,
    ) -> None:
        """`folder`: private, for what the run keeps. `placed`: when runs before placed calls. Entered as an async context."""
        self.target = target
        self.folder = folder
        self.lab_allowed = lab_allowed
        self.dice = random.Random(seed)
        self.interlock = Interlock(
            target, lab_allowed=lab_allowed, others=self._calls_in_progress, placed=placed
        )
        self.say: Callable[[str], None] = lambda _: None
        """Progress within a probe, a few words, such as `12 of 20`."""
        self._stack = AsyncExitStack()
        self._control: AmiClient | None = None

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what is still open."""
        await self._stack.aclose()

    def admit(self, probe: Probe) -> None:
        """Raises NotMeasuredError for a probe that may not run on this target."""
        self.interlock.admit(probe)

    # Calls

    def user_agent(
        self, user: str = "hwtest", media: Media | Mode = "sink", timers: Timers | None = None
    ) -> UserAgent:
        """A SIP phone on our own address, registered nowhere; enter it, or it stays open until the run ends.

        It must not dial by itself: `dial` does.
        """
        agent = UserAgent(self.target.local_address, 0, user=user, media=media, timers=timers)
        self._stack.push_async_callback(agent.shut_down, GOODBYE_SECONDS)
        return agent

    @asynccontextmanager
    async def dial(
        self,
        number: str,
        *,
        media: Media | Mode = "silence",
        caller: UserAgent | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[OutgoingCall]:
        """A call to a number; leaving the block ends it by BYE (or CANCEL), whatever happens.

        `caller`: the phone that calls, such as `agent` of one that is registered; without it a caller of our own.
        Raises NotMeasuredError when the interlock refuses it.
        """
        async with self.interlock.call(number) as allowed:
            agent = caller or self.user_agent(self.target.caller)
            address = self.target.sip
            known = self.target.phones.get(self.target.caller_phone or "") if caller is None else None
            call = agent.invite(
                f"sip:{allowed}@{address.host}:{address.port}",
                from_user=known.user if known else self.target.caller if caller is None else caller.user,
                headers=headers,
                auth=(known.user, known.password) if known else None,
                media=media,
            )
            try:
                yield call
            finally:
                try:
                    await _end(call)
                finally:
                    if caller is None:
                        agent.close()

    def call_own(self, caller: UserAgent, called: UserAgent) -> OutgoingCall:
        """From one of our own phones straight to another: nobody else is on the way, so the interlock has no say."""
        return caller.invite("sip:{}@{}:{}".format(called.user, *called.address))

    def test_line(self) -> tuple[str, Line]:
        """The line for test calls and its name. NotMeasuredError where the target has none."""
        found = self.target.test_line
        if found is None:
            raise NotMeasuredError(
                f"{self.target.name} has no line that rings a test phone",
                f"give a [line.NAME] with number and phone, and a [phone.NAME], in {self.target.source}",
            )
        return found

    @asynccontextmanager
    async def phone(
        self, name: str, behaviour: Behaviour, *, media: Media | Mode = "silence"
    ) -> AsyncIterator[AgentPhone]:
        """One of the target's phones, registered, which treats calls by `behaviour`; leaving the block unregisters it."""
        known = self.target.phones.get(name)
        if known is None:
            raise NotMeasuredError(
                f"{self.target.name} has no phone {name!r}", f"give [phone.{name}] in {self.target.source}"
            )
        host = self.target.local_address
        phone = AgentPhone(known.user, known.password, known.registrar, behaviour, host=host, media=media)
        try:
            async with asyncio.timeout(REGISTER_SECONDS):
                await phone.start()
        except (SipError, TimeoutError) as error:
            await phone.vanish()
            raise NotMeasuredError(
                f"phone {name} cannot register at {known.registrar}: {str(error) or 'no answer'}",
                f"look whether the switch runs there and whether [phone.{name}] has the right password",
            ) from None
        except BaseException:
            await phone.vanish()
            raise
        try:
            yield phone
        finally:
            await phone.stop(GOODBYE_SECONDS)

    # Control

    async def control(self) -> AmiClient:
        """The switch's AMI, logged in; the same for the whole run, unless it was cut meanwhile. NotMeasuredError without one."""
        if self._control is None or self._control.lost:
            self._control = await self.open_control(lambda _: None)
        return self._control

    async def open_control(self, take: Callable[[Message], None]) -> AmiClient:
        """A link of one's own, whose events go to `take`; it is closed with the run. NotMeasuredError without one."""
        from edge.errors import LinkError, PermanentError
        from edge.pbx.asterisk.ami.client import AmiClient

        login = self.target.ami
        if login is None:
            raise NotMeasuredError(
                f"{self.target.name} gives no AMI account", f"give [ami] in {self.target.source}"
            )
        client = AmiClient(login.host, login.port, login.user, login.password, take)
        try:
            await client.connect()
        except (LinkError, PermanentError) as error:
            client.close()
            if stranger := await _stranger(login.host, login.port):
                raise NotMeasuredError(
                    f"the control link to {login.host}:{login.port} does not stand: what answers there is not Asterisk's "
                    f'manager; it says "{stranger}"',
                    f"give [ami] in {self.target.source} the address that manager.conf has (bindaddr, port)",
                ) from None
            raise NotMeasuredError(
                f"the control link to {login.host}:{login.port} does not stand: {error}",
                "look whether the switch runs and whether the account in manager.conf is the one given here",
            ) from None
        self._stack.callback(client.close)
        return client

    async def _calls_in_progress(self) -> int | None:
        """Channels of calls, without the dead entries that the switch counts too; None where it does not say."""
        from edge.errors import LinkError, RefusedError

        try:
            client = await self.control()
            answer = await client.ask("CoreStatus", {})
            dead = await self._dead_entries(client)
        except (NotMeasuredError, LinkError, RefusedError):
            self._control = None
            return None
        count = str(answer.get("CoreCurrentCalls", ""))
        return max(0, int(count) - dead) if count.isdecimal() else None

    @staticmethod
    async def _dead_entries(client: AmiClient) -> int:
        """None of them where the account may not see them: then all that is counted counts."""
        from edge.errors import RefusedError
        from hwtest.switch.settings import is_dead_entry

        try:
            return sum(map(is_dead_entry, await client.list("CoreShowChannels", {})))
        except RefusedError:
            return 0

    # The wire

    @asynccontextmanager
    async def capture(self, address: Address | None = None) -> AsyncIterator[Capture]:
        """SIP of the target's port as the kernel saw it, from now on. NotMeasuredError without a raw socket."""
        place = address or self.target.sip
        if not is_own(place.host):  # what goes to an address of one's own goes by loopback
            raise NotMeasuredError(
                "the capture sees loopback alone, and this target is another machine",
                "run hwtest on the appliance itself to have times from the wire",
            )
        capture = Capture(place.port)
        try:
            async with capture:
                yield capture
        except CaptureUnavailableError as error:
            raise NotMeasuredError(
                f"the wire cannot be seen: {error}",
                f"run as root, or once: sudo setcap cap_net_raw+ep $(readlink -f {sys.executable})",
            ) from None

    @asynccontextmanager
    async def wire_or_stamps(self, sheet: Sheet) -> AsyncIterator[Capture | None]:
        """The same; None, and a note on the sheet, where there is none: then the phones' own stamps have to do."""
        async with AsyncExitStack() as stack:
            capture: Capture | None = None
            try:
                capture = await stack.enter_async_context(self.capture())
            except NotMeasuredError as error:
                note = f"Times are the phones' own stamps, not the wire's: {error.reason}."
                if note not in sheet.notes:
                    sheet.note(note)
            yield capture

    def file(self, name: str) -> Path:
        """A new private file in the run's folder."""
        path = self.folder / name
        path.touch(mode=0o600)
        return path


def whole(taken: Taken) -> list[Record]:
    """What was on the wire. NotMeasuredError where the capture lost some of it: nothing can be said of what did not come then."""
    if taken.dropped:
        raise NotMeasuredError(f"the capture lost {taken.dropped} packets", "hwtest run meter.capture")
    return taken.records


async def _end(call: OutgoingCall) -> None:
    with contextlib.suppress(OSError, SipError):  # TimeoutError is one
        async with asyncio.timeout(GOODBYE_SECONDS):
            await call.hang_up()


async def _stranger(host: str, port: int) -> str | None:
    """What somebody else than Asterisk's manager says who has its port; None when it is the manager, silent, or nobody."""
    try:
        async with asyncio.timeout(BANNER_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                said = await reader.read(_BANNER_BYTES)
            finally:
                writer.close()
    except OSError:  # TimeoutError is one
        return None
    words = said.decode("utf-8", "replace").strip()
    return clean(words) if words and not words.startswith("Asterisk Call Manager") else None

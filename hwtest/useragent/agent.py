"""A call handler's phone: registers, dials feature codes, and treats each incoming call by a behaviour."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from hwtest.useragent.call import CallEnded, IncomingCall, OutgoingCall
from hwtest.useragent.media import Media, Mode
from hwtest.useragent.phone import UserAgent
from hwtest.useragent.transaction import Timers

Behaviour = Callable[[IncomingCall], Awaitable[None]]
"""What a phone does with one incoming call, from INVITE to end. It is cancelled when the phone stops."""

_BUSY = 486


def answering(
    *, ring_after_seconds: float = 0.0, answer_after_seconds: float = 0.0, talk_seconds: float | None = None
) -> Behaviour:
    """Ring, answer so long after the ringing, talk and hang up; without `talk_seconds` the caller hangs up."""

    async def behave(call: IncomingCall) -> None:
        if ring_after_seconds and not await call.lasts(ring_after_seconds):
            return
        call.ring()
        if answer_after_seconds and not await call.lasts(answer_after_seconds):
            return
        call.answer()
        if talk_seconds is not None and await call.lasts(talk_seconds):
            await call.hang_up()

    return behave


def ringing_only(ring_after_seconds: float = 0.0) -> Behaviour:
    """Ring until the caller gives up: nobody is at the desk."""

    async def behave(call: IncomingCall) -> None:
        if not ring_after_seconds or await call.lasts(ring_after_seconds):
            call.ring()

    return behave


def rejecting(status: int = 603, after_seconds: float = 0.0) -> Behaviour:
    """Ring, and refuse with `status` after so long."""

    async def behave(call: IncomingCall) -> None:
        if after_seconds:
            call.ring()
        if not after_seconds or await call.lasts(after_seconds):
            call.reject(status)

    return behave


async def ignoring(call: IncomingCall) -> None:
    """Send nothing at all: the phone is off."""
    call.ignore()


class AgentPhone:
    """One registered phone with one line: a call that comes while another lasts gets 486.

    `behaviour` may be replaced at any time and holds for later calls. `calls` keeps every incoming call,
    busy ones included, for those who check the shift afterwards. `host`: the address of ours that the
    registrar can reach.
    """

    def __init__(
        self,
        user: str,
        password: str,
        registrar: str,
        behaviour: Behaviour,
        *,
        host: str = "127.0.0.1",
        media: Media | Mode = "sink",
        timers: Timers | None = None,
    ) -> None:
        self.user = user
        self.behaviour = behaviour
        self.calls = list[IncomingCall]()
        self.agent = UserAgent(host, user=user, media=media, timers=timers)
        self.agent.on_invite = self._receive
        self._password = password
        self._registrar = registrar
        self._tasks = set[asyncio.Task[None]]()

    @property
    def busy(self) -> bool:
        """Whether a call rings or is talked on."""
        return bool(self.agent.calls)

    async def start(self, expires: int = 300) -> None:
        """Register; SipError when the registrar refuses or does not answer."""
        await self.agent.register(self._registrar, self.user, self._password, expires)

    async def dial(self, number: str, within_seconds: float = 10.0) -> OutgoingCall:
        """Call a number or feature code and return when the far end has hung up.

        TimeoutError, after hanging up, when it does not within `within_seconds`.
        """
        call = self.agent.invite(f"sip:{number}@{self._registrar}")
        try:
            await call.ended(within_seconds)
        except TimeoutError:
            await call.hang_up()
            raise
        return call

    async def stop(self, within_seconds: float = 2.0) -> None:
        """Hang up, unregister and close; what the behaviours still wanted to do is cancelled."""
        await self._cancel_behaviours()
        await self.agent.shut_down(within_seconds)

    async def vanish(self) -> None:
        """Be gone without a word, as if the power were cut."""
        self.agent.close()
        await self._cancel_behaviours()

    def _receive(self, call: IncomingCall) -> None:
        self.calls.append(call)
        if any(other is not call and not other.leaving for other in self.agent.calls.values()):
            call.reject(_BUSY)
            return
        task = asyncio.create_task(self._behave(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _behave(self, call: IncomingCall) -> None:
        with contextlib.suppress(CallEnded):  # the caller was faster
            await self.behaviour(call)

    async def _cancel_behaviours(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

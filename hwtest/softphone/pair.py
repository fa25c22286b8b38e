"""Two software phones in processes of their own, one that calls and one that is called: directly, or through what is tested.

Nothing else places calls of software phones, and it asks the interlock before each that leaves for the target.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hwtest.audio.rtp import Arrivals, arriving
from hwtest.probes.contract import NotMeasuredError
from hwtest.site import Site
from hwtest.softphone.build import Library, find
from hwtest.softphone.latency import Latency, measure
from hwtest.softphone.messages import Settings
from hwtest.softphone.phone import Softphone, SoftphoneCall, SoftphoneError, Softphones

RING_SECONDS = 10.0
"""So long a call may take to reach the phone, and to stand after that."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Both ends of one call that stands."""

    caller: SoftphoneCall
    callee: SoftphoneCall


class Pair:
    """The two phones."""

    def __init__(
        self, caller_phones: Softphones, callee_phones: Softphones, caller: Softphone, callee: Softphone
    ) -> None:
        self.caller = caller
        self.callee = callee
        self._processes = (caller_phones, callee_phones)

    @property
    def settings(self) -> Settings:
        """How both hear and speak."""
        return self._processes[0].settings

    @property
    def version(self) -> str:
        """PJSUA2's."""
        return self._processes[0].version

    @asynccontextmanager
    async def direct(self) -> AsyncIterator[Conversation]:
        """A call from one to the other with nothing between them."""
        async with self._ringing(self.callee.uri) as (caller, callee):
            yield await _answered(caller, callee)

    @asynccontextmanager
    async def through(self, site: Site, number: str) -> AsyncIterator[Conversation]:
        """A call to a number that rings the callee's phone; the interlock is asked. NotMeasuredError when it refuses."""
        async with self.ringing(site, number) as (caller, callee):
            yield await _answered(caller, callee)

    @asynccontextmanager
    async def ringing(
        self, site: Site, number: str | None
    ) -> AsyncIterator[tuple[SoftphoneCall, SoftphoneCall]]:
        """The same call while it rings: both ends of it, which the block answers. Without a number, a direct one."""
        if number is None:
            async with self._ringing(self.callee.uri) as ends:
                yield ends
            return
        async with site.interlock.call(number) as allowed:
            address = site.target.sip
            uri = f"sip:{allowed}@{address.host}:{address.port}"
            known = site.target.phones.get(site.target.caller_phone or "")
            user, password = (known.user, known.password) if known else (site.target.caller, "")
            async with self._ringing(uri, user, password) as ends:
                yield ends

    @asynccontextmanager
    async def _ringing(
        self, uri: str, from_user: str = "", password: str = ""
    ) -> AsyncIterator[tuple[SoftphoneCall, SoftphoneCall]]:
        caller = await self.caller.invite(uri, from_user, password)
        callee: SoftphoneCall | None = None
        try:
            callee = await self._arrives(caller)
            await callee.answer(180)
            yield caller, callee
        finally:
            await _end(caller)
            if callee is not None:
                await _end(callee)

    async def _arrives(self, caller: SoftphoneCall) -> SoftphoneCall:
        """The call at the other phone; SoftphoneError with the switch's answer when it ends before, or does not come."""
        arrival = asyncio.create_task(self._next_that_stands())
        ended = asyncio.create_task(caller.until(lambda: caller.ended, RING_SECONDS))
        try:
            await asyncio.wait({arrival, ended}, timeout=RING_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if arrival.done() and arrival.exception() is None:
                return await arrival
        finally:
            for task in (arrival, ended):
                task.cancel()
            await asyncio.gather(arrival, ended, return_exceptions=True)
        said = f"{caller.status} {caller.reason}".strip() if caller.status else "nothing"
        when = "ended before it reached" if caller.ended else f"did not reach within {RING_SECONDS:.0f} s"
        raise SoftphoneError(f"The call {when} the phone; the switch said {said}.")

    async def _next_that_stands(self) -> SoftphoneCall:
        while True:
            call = await self.callee.next_call(RING_SECONDS)
            if not call.ended:  # one that was given up before
                return call

    async def shift_clocks(self) -> None:
        """Both begin their 20 ms at another instant, so that repeated measurements average them out."""
        for phones in self._processes:
            await phones.restart_clock()

    async def latency(
        self, conversation: Conversation, folder: Path, *, count: int, seed: int, name: str
    ) -> Latency:
        """Mouth to ear, both ways."""
        return await measure(
            conversation.caller, conversation.callee, folder, count=count, seed=seed, name=name
        )

    async def latency_and_path(
        self,
        conversation: Conversation,
        folder: Path,
        *,
        count: int,
        seed: int,
        name: str,
        interface: str,
    ) -> tuple[Latency, tuple[Arrivals, Arrivals] | None]:
        """The same, and every RTP packet that reached the caller and the callee meanwhile; None where the wire cannot be seen."""
        ends = (conversation.caller, conversation.callee)
        ports = [int((await end.statistics()).local.rpartition(":")[2]) for end in ends]
        with contextlib.ExitStack() as stack:
            try:
                seen = (
                    stack.enter_context(arriving(ports[0], interface)),
                    stack.enter_context(arriving(ports[1], interface)),
                )
            except PermissionError:
                seen = None
            latency = await self.latency(conversation, folder, count=count, seed=seed, name=name)
        return latency, seen


def interface_of(site: Site) -> str:
    """Where packets to us arrive: loopback, or any."""
    return "lo" if site.target.local_address.startswith("127.") else ""


async def _answered(caller: SoftphoneCall, callee: SoftphoneCall) -> Conversation:
    await callee.answer()
    await asyncio.gather(caller.answered(RING_SECONDS), callee.answered(RING_SECONDS))
    return Conversation(caller, callee)


async def _end(call: SoftphoneCall) -> None:
    with contextlib.suppress(SoftphoneError, TimeoutError):
        await call.hang_up()


@asynccontextmanager
async def pair(
    library: Library, settings: Settings | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Pair]:
    """Two phones that are registered nowhere."""
    chosen = settings or Settings()
    async with Softphones(library, chosen) as ours, Softphones(library, chosen) as theirs:
        yield Pair(ours, theirs, await ours.phone("caller", host), await theirs.phone("callee", host))


@asynccontextmanager
async def pair_at(site: Site, *, registered: bool = True) -> AsyncIterator[tuple[Pair, str]]:
    """Two phones at a target, and the number that rings the second: the one which its test line rings, registered.

    NotMeasuredError where PJSUA2 was not built, or the target has no test line.
    """
    library = find()
    if library is None:
        raise NotMeasuredError(
            "the software phones (PJSUA2) are not built on this machine yet",
            "python -m hwtest.softphone build (a minute, once)",
        )
    target = site.target
    host = target.local_address
    _, line = site.test_line()
    phone = target.phones[line.phone or ""]
    hosts = {host, target.sip.host, phone.registrar.partition(":")[0]}
    async with pair(library, Settings(allowed_hosts=tuple(sorted(hosts))), host) as phones:
        if registered:
            await phones.callee.register(phone.registrar, phone.user, phone.password)
        try:
            yield phones, line.number
        finally:
            if registered:
                with contextlib.suppress(SoftphoneError):
                    await phones.callee.unregister()

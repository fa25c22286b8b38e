"""The people of a shift on their real SIP phones: callers who wait or lose patience, agents who answer and talk."""

import asyncio
import contextlib
from collections.abc import Iterator

from hwtest.lab.contract import Lab, LabAgent
from hwtest.shift.plan import Caller, Handling, handlings
from hwtest.useragent import AgentPhone, CallState, IncomingCall, OutgoingCall, SipError, UserAgent

LONGEST_TALK_SECONDS = 120.0
_BUSY_NOW = 603
_ENDING_SECONDS = 40.0  # RFC 3261 timer B or F is 32 s: then a lost end is known to be lost


class Public:
    """Everybody who calls, behind one trunk. `placed` has the number of every caller so far."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._agent = UserAgent(user="public", media="silence")
        self._talking: set[str] = set()
        self._open: dict[str, OutgoingCall] = {}
        self.placed: list[str] = []
        self.hung_up_at_the_end = 0

    async def call(self, caller: Caller) -> None:
        """One caller, from dialling to the end of the call."""
        line = self._lab.lines["999" if caller.emergency else "101"]
        address = f"sip:{line}@{self._lab.sip.host}:{self._lab.sip.port}"
        call = self._agent.invite(address, from_user=caller.number)
        self.placed.append(caller.number)
        self._open[caller.number] = call
        if await call.lasts(caller.patience_seconds) and caller.number in self._talking:
            await call.lasts(LONGEST_TALK_SECONDS)
        await call.hang_up()
        self._over(caller.number, call)

    def _over(self, number: str, call: OutgoingCall) -> None:
        """Keeps of an ended call nothing; one without an end on the wire stays, to be told of."""
        self._talking.discard(number)
        if call.state is CallState.ENDED:
            self._open.pop(number, None)

    def connected(self, number: str) -> OutgoingCall | None:
        """An agent answered this caller: from now on patience does not matter. None if it is not one of ours."""
        if number in self._open:
            self._talking.add(number)
        return self._open.get(number)

    async def hang_up_all(self) -> None:
        """The shift is over: everybody hangs up."""
        calls = dict(self._open)
        self.hung_up_at_the_end += len(calls)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_SECONDS):
                await asyncio.gather(*(call.hang_up() for call in calls.values()))
        for number, call in calls.items():
            self._over(number, call)

    @property
    def unended(self) -> list[str]:
        """Numbers of callers whose call SIP has not seen the end of."""
        return list(self._open)

    async def leave(self) -> None:
        """Close the trunk."""
        await self._agent.shut_down(1.0)


class Handler:
    """A call handler at a phone."""

    def __init__(self, lab: Lab, agent: LabAgent, public: Public, seed: int) -> None:
        self._lab = lab
        self._public = public
        self._handlings: Iterator[Handling] = handlings(seed, agent.number)
        self.agent = agent
        self.phone = AgentPhone(agent.user, agent.password, agent.registrar, self._handle, media="silence")

    async def begin(self) -> None:
        """Register the phone and sign in by its code."""
        await self.phone.start()
        await self.phone.dial(self._lab.codes["sign_in"])

    async def finish(self) -> None:
        """Sign out, as far as the switch still answers, and put the phone away."""
        try:
            await self.phone.dial(self._lab.codes["sign_out"], within_seconds=5.0)
        except (SipError, TimeoutError):
            pass
        finally:
            await self.phone.stop()

    async def _handle(self, call: IncomingCall) -> None:
        handling = next(self._handlings)
        call.ring()
        if handling.missed or not await call.lasts(handling.answer_after_seconds):
            return
        if handling.rejected:
            call.reject(_BUSY_NOW)
            return
        call.answer()
        caller = self._public.connected(call.caller_number)
        if await call.lasts(handling.talk_seconds):
            ending = caller if handling.caller_ends and caller is not None else call
            await ending.hang_up()

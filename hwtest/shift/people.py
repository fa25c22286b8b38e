"""The people of a shift on their real SIP phones: callers who wait, give up or are called back, agents who answer and talk."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

from edge.ledger.store import SqlReader
from hwtest.accepting import Accepting
from hwtest.lab.contract import Lab, LabAgent
from hwtest.shift.plan import HEARS_SECONDS, Caller, Handling, handlings, reaction
from hwtest.useragent import AgentPhone, Call, CallState, IncomingCall, OutgoingCall, SipError, UserAgent

LONGEST_TALK_SECONDS = 120.0
LONGEST_DIALOGUE_SECONDS = 60.0
"""Who has accepted a call-back loses no patience while they are asked about it."""
_BUSY_HERE = 486
_BUSY_NOW = 603
_ENDING_SECONDS = 40.0  # RFC 3261 timer B or F is 32 s: then a lost end is known to be lost
_LOOK_SECONDS = 0.2


class Public:
    """Everybody who calls, behind one trunk, and is called back there. `placed` has the number of every caller so far."""

    def __init__(self, lab: Lab, reader: SqlReader, seed: int) -> None:
        """Where the lab has no call-backs nobody is called back."""
        self._lab = lab
        self._seed = seed
        self._agent = UserAgent(user="public", media="silence")
        self._talking: set[str] = set()
        self._open: dict[str, OutgoingCall] = {}
        self._accepting = Accepting(reader, lab.callback.key) if lab.callback else None
        self._called_back: UserAgent | None = None
        self._attempts: Counter[str] = Counter()
        self._reached: dict[str, IncomingCall] = {}
        """By number: persons who have answered and are on the line."""
        self._reacting: set[asyncio.Task[None]] = set()
        self.placed: list[str] = []
        self.hung_up_at_the_end = 0

    async def call(self, caller: Caller) -> None:
        """One caller, from dialling to the end of the call."""
        # Nobody is offered a call-back during the greeting, which takes longer than most waits of a shift.
        name = "999" if caller.emergency else "101_no_greeting" if caller.accepts else "101"
        address = f"sip:{self._lab.lines[name]}@{self._lab.sip.host}:{self._lab.sip.port}"
        call = self._agent.invite(address, from_user=caller.number)
        self.placed.append(caller.number)
        self._open[caller.number] = call
        if caller.accepts and self._accepting is not None:
            self._accepting.watch(caller.number, call)
        if await call.lasts(caller.patience_seconds):
            if caller.number in self._talking:
                await call.lasts(LONGEST_TALK_SECONDS)
            elif self._accepting is not None and caller.number in self._accepting.asked:
                await call.lasts(LONGEST_DIALOGUE_SECONDS)
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

    # Being called back

    async def be_called_back(self) -> None:
        """Press keys for those who accept, let them hang up once it was confirmed, and have a phone for those who are rung. Ends
        only by an error."""
        if self._accepting is None:
            await asyncio.Event().wait()
            return
        callee = self._lab.callee
        self._called_back = UserAgent(callee.host, callee.port, user="public", media="silence")
        self._called_back.on_invite = self._ring
        async with asyncio.TaskGroup() as hearing:
            while True:
                for call in self._accepting.follow():
                    hearing.create_task(_hear(call))
                await asyncio.sleep(_LOOK_SECONDS)

    def _ring(self, call: IncomingCall) -> None:
        task = asyncio.create_task(self._react(call))
        self._reacting.add(task)
        task.add_done_callback(self._reacting.discard)

    async def _react(self, call: IncomingCall) -> None:
        number = call.invite.to_address.user
        self._attempts[number] += 1
        how = reaction(self._seed, number, self._attempts[number])
        if how.busy:
            call.reject(_BUSY_HERE)
            return
        call.ring()
        if how.away or not await call.lasts(how.answer_after_seconds):
            return
        call.answer()
        self._reached[number] = call
        await call.lasts(LONGEST_TALK_SECONDS)
        self._reached.pop(number, None)
        await call.hang_up()

    async def reached(self, number: str, waiting: IncomingCall) -> IncomingCall | None:
        """The person of this number, once they answer; None when the agent, who is on the line, is let go before."""
        while await waiting.lasts(_LOOK_SECONDS):
            if (person := self._reached.get(number)) is not None:
                return person
        return None

    # The end

    async def hang_up_all(self) -> None:
        """The shift is over: everybody hangs up, and who waits to be called back goes on waiting."""
        calls = dict(self._open)
        self.hung_up_at_the_end += len(calls)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING_SECONDS):
                talking = list(self._reached.values())
                await asyncio.gather(*(call.hang_up() for call in (*calls.values(), *talking)))
        for number, call in calls.items():
            self._over(number, call)

    @property
    def unended(self) -> list[str]:
        """Numbers of callers whose call SIP has not seen the end of."""
        return list(self._open)

    @property
    def on_the_phone(self) -> bool:
        """Whether the phone of anybody who is called back rings or is talked on."""
        return self._called_back is not None and bool(self._called_back.calls)

    async def leave(self) -> None:
        """Close the trunk."""
        for task in self._reacting:
            task.cancel()
        if self._called_back is not None:
            await self._called_back.shut_down(1.0)
        await self._agent.shut_down(1.0)


async def _hear(call: OutgoingCall) -> None:
    """Listen to the confirmation for a moment, and hang up."""
    if await call.lasts(HEARS_SECONDS):
        await call.hang_up()


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
        caller: Call | None
        if (
            call.header("X-Edge-Callback") is not None
        ):  # wait on the line, however long the person's phone rings
            caller = await self._public.reached(call.caller_number, call)
        else:
            caller = self._public.connected(call.caller_number)
        if await call.lasts(handling.talk_seconds):
            ending = caller if handling.caller_ends and caller is not None else call
            await ending.hang_up()

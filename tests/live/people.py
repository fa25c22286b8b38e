"""Those who are called back, and what a test of call-backs does with them: keys, promises, phones that ring."""

from __future__ import annotations

from itertools import pairwise

from edge.core import facts
from edge.core.inputs import Order
from edge.core.model import CallState
from edge.core.promise import Asked, TaskOutcome
from edge.pbx.asterisk.control import connected
from edge.pbx.asterisk.notices import close_task, order_callback
from hwtest.useragent import CallState as Wire
from hwtest.useragent import IncomingCall, OutgoingCall, UserAgent
from tests.live.room import LiveLab, Room, until


class People:
    """The persons behind public numbers: every call that comes to the lab's callee, in order."""

    def __init__(self, agent: UserAgent) -> None:
        self.calls: list[IncomingCall] = []
        self._taken = 0
        self.refuse_with: int | None = None
        agent.on_invite = self._take

    def _take(self, call: IncomingCall) -> None:
        self.calls.append(call)
        if self.refuse_with is None:
            call.ring()
        else:
            call.reject(self.refuse_with)

    async def rung(self, within_seconds: float = 8.0) -> IncomingCall:
        """The next call to any of them."""
        await until(lambda: len(self.calls) > self._taken, within_seconds, "a person's phone rings")
        self._taken += 1
        return self.calls[self._taken - 1]


async def is_offered(room: Room, caller: OutgoingCall) -> None:
    """Return when the waiting caller has been offered a call-back."""
    await caller.answered(5)
    await room.reaches(caller, CallState.WAITING)
    call_id = room.record(caller).call_id
    await room.until(lambda: call_id in {fact.call_id for fact in room.facts(facts.CallbackOffered)}, 12)


async def is_asked_for(room: Room, caller: OutgoingCall, asked: Asked) -> None:
    """Return when the caller is being asked for this."""
    call_id = room.record(caller).call_id

    def is_asked() -> bool:
        call = room.live.state.calls.get(call_id)
        return call is not None and call.asked is asked

    await room.until(is_asked, 8, f"asked for {asked}")


async def accept(room: Room, caller: OutgoingCall) -> str:
    """The caller accepts with the own number, by keys as RFC 4733 events; returns the call's id, off the line."""
    await press_through(room, caller)
    return await is_promised(room, caller)


async def press_through(room: Room, caller: OutgoingCall) -> None:
    """The caller presses every key that it takes."""
    await is_offered(room, caller)
    key = room.lab.callback.key if room.lab.callback is not None else ""
    for digit, asked in ((key, Asked.NUMBER), ("1", Asked.SAFE)):
        caller.leg.send_digits(digit)
        await is_asked_for(room, caller, asked)
    caller.leg.send_digits("1")


async def is_promised(room: Room, caller: OutgoingCall) -> str:
    """Return the call's id when the promise was confirmed; the caller hangs up."""
    await room.reaches(caller, CallState.PROMISED)
    call_id = room.record(caller).call_id
    await room.until(lambda: any(f.call_id == call_id for f in room.facts(facts.CallbackConfirmed)))
    await caller.hang_up()
    await room.until(lambda: room.live.state.calls[call_id].state is CallState.CALLBACK)
    return call_id


async def reaches_state(room: Room, call_id: str, state: CallState, within_seconds: float = 8.0) -> None:
    """Return when the open call is in this state; for calls whose caller is not on the line."""

    def holds() -> bool:
        call = room.live.state.calls.get(call_id)
        return call is not None and call.state is state

    await room.until(holds, within_seconds, f"call {call_id} in state {state}")


async def cancel_callbacks(live: LiveLab) -> None:
    """Every promise on the list is cancelled; whom somebody talks with has what was promised."""
    live.follow()
    promised = [call.call_id for call in live.state.calls.values() if call.callback is not None]
    if promised:
        async with connected(live.configuration) as link:
            for call_id in promised:
                await order_callback(link, call_id, Order.CANCEL, "test", "over")


async def close_tasks(live: LiveLab) -> None:
    """Every task on the list is closed, and stands so in the record."""
    live.follow()
    closing = list(live.state.tasks)
    if closing:
        async with connected(live.configuration) as link:
            for task_id in closing:
                await close_task(link, task_id, TaskOutcome.NO_NEED, "test")

    def are_closed() -> bool:
        live.follow()
        return not live.state.tasks

    await until(are_closed, what="no task is left")


def dialled(call: IncomingCall) -> str:
    """The number that was dialled."""
    return call.invite.uri.removeprefix("sip:").partition("@")[0]


def at_most_one_at_a_time(calls: list[IncomingCall]) -> bool:
    """Whether each of these calls was over on the wire before the next began."""
    spans = [(call.trace[0].monotonic_ns, call.trace[-1].monotonic_ns) for call in calls]
    are_over = [call.state is Wire.ENDED for call in calls[:-1]]
    return all(are_over) and all(earlier[1] <= later[0] for earlier, later in pairwise(spans))

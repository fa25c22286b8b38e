"""Call-backs: from the agent's BYE to the INVITE for a call-back, from the agent's 200 to the person's INVITE, and the order.

One block has a queue of its own. Agents talk; callers join one after the other, and most of them accept a call-back by keys and
hang up, while every fourth waits on the line. Then the agents begin to hang up, and all are served: persons answer at once and
are joined to the agent who waits for them. Nobody may be served before somebody who joined earlier.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from edge.core.facts import CallArrived, CallConnected, CallEnded, Entry, OfferMade
from edge.ledger.store import SqlReader, open_reader
from hwtest.accepting import Accepting
from hwtest.bench.ledger import entries_after
from hwtest.bench.numbers import comparable
from hwtest.bench.readings import (
    arrivals,
    callback_latencies,
    joined_latencies,
    overtaken,
    person_latencies,
    services,
)
from hwtest.bench.results import (
    Block,
    Figure,
    Outcome,
    cap_tail,
    count_errors,
    describe,
    sized,
    unmeasured,
)
from hwtest.bench.rig import FILL_SECONDS_PER_CALLER, OURS, Measured, Rig, RigError, Stretch, number_of
from hwtest.useragent import UserAgent
from hwtest.useragent.call import IncomingCall, OutgoingCall

FREED = "call-back: BYE -> agent INVITE"
PERSON = "call-back: agent 200 -> person INVITE"
JOINED = "call-back: person 200 -> joined"
PLACES = "call-back: order of service"
MOST_MS = 50.0
BLOCKS = 6
"""In full; as many queues are there for it (lab.toml)."""
POLICY = "hwtest/bench/lab.toml"
AT_ONCE = 20
"""So many callers are in the dialogue at a time."""
LIVE_EVERY = 4
"""Of those who join, every fourth waits on the line."""
RING_SECONDS = 0.015
TALK_SECONDS = (0.1, 0.6)
WIRE_ORDER_NS = 50_000_000
"""Two phones that are rung within this time may be so in either order: requests for two free agents are on their way at once."""
_DIALOGUE_SECONDS = 30.0
_PERSON_SECONDS = 10.0
_SECONDS_PER_SERVICE = 2.0
_LEDGER_SECONDS = 5.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`samples`: call-backs in all; `least`: what is asked for."""

    samples: int
    blocks: int = BLOCKS
    agents: int = 4
    least: int = 0

    @property
    def promised_per_block(self) -> int:
        """Call-backs that are promised in a block."""
        return max(2, -(-self.samples // self.blocks))


class Persons:
    """The persons behind public numbers: their phones ring and are answered at once."""

    def __init__(self, rig: Rig, phone: UserAgent) -> None:
        self._rig = rig
        self._phone = phone
        self._answered: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        phone.on_invite = self._take

    @property
    def ports(self) -> frozenset[int]:
        """Where they are called."""
        return frozenset({self._phone.address[1]})

    def _take(self, call: IncomingCall) -> None:
        self._rig.watch(self._phone, call)
        call.ring()
        call.answer()
        self._answered[comparable(call.invite.to_address.user)].set()

    async def answered(self, number: str) -> None:
        """Return when the person of this number has answered."""
        await self._answered[comparable(number)].wait()


@dataclass(slots=True)
class _Order:
    """Who was served, and who of them before somebody who had joined earlier."""

    served: int = 0
    decided: list[int] = field(default_factory=list)
    on_the_wire: list[int] = field(default_factory=list)


async def measure(rig: Rig, plan: Plan) -> Outcome:
    """The blocks, and what they say. RigError where the lab has no queues for it."""
    if rig.lab.callback is None or not {_line(n) for n in range(1, plan.blocks + 1)} <= set(rig.lab.lines):
        raise RigError(f"the lab has no queues for it: bring it up with --policy {POLICY}")
    outcome, order = Outcome(), _Order()
    await rig.staff(plan.agents)
    await rig.serve_for(OURS)
    callee = rig.lab.callee
    async with contextlib.AsyncExitStack() as stack:
        phone = await stack.enter_async_context(UserAgent(callee.host, callee.port, user="people"))
        reader = open_reader(rig.lab.ledger)
        stack.callback(reader.close)
        persons = Persons(rig, phone)
        for number in range(1, plan.blocks + 1):
            outcome.blocks += await _Block(rig, plan, persons, reader, number).measure(order)
            freed = outcome.blocks[-3]
            rig.progress(
                f"call-back block {number}/{plan.blocks}: n {len(freed.samples)}, {freed.seconds:.0f} s"
                + (f", not valid: {freed.invalid}" if freed.invalid else "")
            )
    outcome.figures = figures(plan, outcome.blocks, order)
    return outcome


def figures(plan: Plan, blocks: Sequence[Block], order: _Order) -> list[Figure]:
    """The rows: both legs, the join and the order."""
    of = {name: [block for block in blocks if block.figure == name] for name in (FREED, PERSON, JOINED)}
    places = count_errors(
        PLACES, OURS, sorted({*order.decided, *order.on_the_wire}), order.served, "place errors"
    )
    places.notes.append(
        f"place errors: {len(order.decided)} as decided (ledger), {len(order.on_the_wire)} on the wire; live callers among them"
    )
    joined = describe(JOINED, OURS, of[JOINED])
    joined.notes.append("joined: the fact CallConnected, which the switch's own event makes")
    return [
        sized(cap_tail(FREED, OURS, of[FREED], MOST_MS), plan.least, plan.samples),
        describe(PERSON, OURS, of[PERSON]),
        joined,
        places,
    ]


def not_measured(why: str) -> list[Figure]:
    """The rows when they could not be measured."""
    return [unmeasured(FREED, f"p95 <= {MOST_MS:g} ms", why), unmeasured(PLACES, "0 place errors", why)]


def _line(number: int) -> str:
    return f"bench_{number}"


class _Block:
    def __init__(self, rig: Rig, plan: Plan, persons: Persons, reader: SqlReader, number: int) -> None:
        self._rig = rig
        self._plan = plan
        self._persons = persons
        self._reader = reader
        self._line = _line(number)
        self._dice = random.Random(f"call-back {number}")
        self._talking = 0
        self._served = 0
        self._wanted = 0
        self._faults = list[str]()
        self._all_talk = asyncio.Event()
        self._begin = asyncio.Event()
        self._enough = asyncio.Event()

    async def measure(self, order: _Order) -> list[Block]:
        """Fill, measure, look at the order, and leave nobody behind."""
        before = self._reader.last_sequence()
        with self._rig.behaviour(self._serve):
            try:
                joined = await self._fill()
                stretch = await Stretch.begin(self._rig)
                measured = await self._serve_all(stretch)
            finally:
                self._begin.set()
                self._enough.set()
                await self._rig.clear()
        return self._blocks(measured, await self._entries(before, len(joined)), joined, order)

    # Joining

    async def _fill(self) -> list[str]:
        """Agents talk, and the others have joined behind; numbers in the order of joining."""
        await self._rig.wire.take()
        accepting = Accepting(self._reader, self._rig.lab.callback.key if self._rig.lab.callback else "")
        await self._rig.fill(self._line, self._plan.agents)
        try:
            await asyncio.wait_for(self._all_talk.wait(), _PERSON_SECONDS)
        except TimeoutError:
            raise RigError(f"no agent was rung within {_PERSON_SECONDS:.0f} s") from None
        self._wanted = self._plan.agents
        while len(accepting.promised) < self._plan.promised_per_block:
            wanted = self._plan.promised_per_block - len(accepting.promised)
            await self._join(accepting, min(AT_ONCE, wanted))
        return arrivals((await self._rig.wire.take()).records, self._rig.caller_ports)

    async def _join(self, accepting: Accepting, willing: int) -> None:
        """So many who accept, with live callers in between; return when each is off the line or waits on it."""
        settled = len(accepting.waiting) + len(accepting.declined) + willing
        live = list[OutgoingCall]()
        while willing:
            self._wanted += 1
            if self._wanted % LIVE_EVERY == 0:
                live.append(self._rig.call(self._line))
            else:
                call = self._rig.call(self._line, media="silence")
                accepting.watch(number_of(call), call)
                willing -= 1
            await asyncio.sleep(FILL_SECONDS_PER_CALLER)
        for call in live:
            await call.answered(_PERSON_SECONDS)
        until = time.monotonic() + _DIALOGUE_SECONDS
        while len(accepting.waiting) + len(accepting.declined) < settled:
            for call in accepting.follow():
                await call.hang_up()
            if time.monotonic() > until:
                raise RigError(
                    f"after {_DIALOGUE_SECONDS:.0f} s {len(accepting.waiting)} of {settled} callers had been promised a call-back"
                )
            await asyncio.sleep(_POLL_SECONDS)

    # Serving

    async def _serve_all(self, stretch: Stretch) -> Measured:
        self._begin.set()
        try:
            await asyncio.wait_for(
                self._enough.wait(), self._wanted * _SECONDS_PER_SERVICE + _DIALOGUE_SECONDS
            )
            await self._rig.agents_idle()
        except TimeoutError:
            self._faults.append(f"only {self._served} of {self._wanted} were served in time")
        return await stretch.end("; ".join(self._faults) or None)

    async def _serve(self, call: IncomingCall) -> None:
        call.ring()
        if not await call.lasts(RING_SECONDS):
            return
        call.answer()
        if not self._begin.is_set():
            self._talking += 1
            if self._talking == self._plan.agents:
                self._all_talk.set()
            await self._begin.wait()
        elif call.header("X-Edge-Callback") is not None and not await self._is_joined(call):
            return
        if await call.lasts(self._dice.uniform(*TALK_SECONDS)) and not self._enough.is_set():
            self._count()
            await call.hang_up()

    async def _is_joined(self, call: IncomingCall) -> bool:
        """Whether the person answered while the agent waited on the line."""
        try:
            await asyncio.wait_for(self._persons.answered(call.caller_number), _PERSON_SECONDS)
        except TimeoutError:
            self._faults.append("a person was not rung")
            await call.hang_up()
            return False
        return True

    def _count(self) -> None:
        self._served += 1
        if self._served >= self._wanted:
            self._enough.set()

    # Reading

    async def _entries(self, before: int, calls: int) -> list[Entry]:
        """Everything since, once every call has ended in the ledger, or it is clear that one will not."""
        until = time.monotonic() + _LEDGER_SECONDS
        while True:
            entries = entries_after(self._reader, before)
            ended = sum(isinstance(entry.fact, CallEnded) for entry in entries)
            if ended >= calls or time.monotonic() > until:
                return entries
            await asyncio.sleep(0.1)

    def _blocks(
        self, measured: Measured, entries: Sequence[Entry], joined: Sequence[str], order: _Order
    ) -> list[Block]:
        records, agents, people = measured.taken.records, self._rig.agent_ports, self._persons.ports
        numbers = {
            entry.fact.call_id: comparable(entry.fact.caller_number)
            for entry in entries
            if isinstance(entry.fact, CallArrived)
        }
        behind = joined[self._plan.agents :]  # the first are those to whom the agents talked meanwhile
        decided = dict(_offers(entries, numbers))
        order.served += sum(number in decided for number in behind)
        order.decided += overtaken(behind, _offers(entries, numbers))
        order.on_the_wire += overtaken(behind, services(records, agents), WIRE_ORDER_NS)
        connected = {
            numbers[entry.fact.call_id]: entry.at.utc_us * 1000
            for entry in entries
            if isinstance(entry.fact, CallConnected) and entry.fact.call_id in numbers
        }
        return [
            measured.block(FREED, OURS, callback_latencies(records, agents)),
            measured.block(PERSON, OURS, person_latencies(records, agents, people)),
            measured.block(JOINED, OURS, joined_latencies(records, people, connected)),
        ]


def _offers(entries: Sequence[Entry], numbers: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Whom a phone was rung for, by number, and the fact that says so."""
    for entry in entries:
        if isinstance(entry.fact, OfferMade):
            yield numbers.get(entry.fact.call_id, ""), entry.sequence
